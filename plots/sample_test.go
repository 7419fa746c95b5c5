package plots

import (
	"fmt"
	"math"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/internal/lang"
)

// Made-up input that is as awkward as real input gets: long Swedish labels, many
// rows, wide intervals, thin areas.

type sample struct {
	name string
	make func(lang.Lang) (Figure, error)
}

func pick(l lang.Lang, sv, en string) string {
	if l == lang.SV {
		return sv
	}
	return en
}

func samples() []sample {
	return append(append(progressSamples(), placeSamples()...), []sample{
		{"love-few", func(l lang.Lang) (Figure, error) { return sampleLove(l, 8) }},
		{"love-many", func(l lang.Lang) (Figure, error) { return sampleLove(l, 25) }},
		{"event-years", func(l lang.Lang) (Figure, error) { return sampleEvent(l, -5, 5, "normal") }},
		{"event-months", func(l lang.Lang) (Figure, error) { return sampleEvent(l, -36, 60, "uniform-band") }},
		{"states-four", func(l lang.Lang) (Figure, error) { return sampleStates(l, 4, 2) }},
		{"states-thirteen", func(l lang.Lang) (Figure, error) { return sampleStates(l, 13, 2) }},
		{"forest", sampleForest},
		{"forest-naive", sampleNaive},
		{"attrition", sampleAttrition},
		{"trend-naive", sampleTrend},
		{"trend-difference", sampleDifference},
		{"mirrored", sampleMirrored},
		{"ecdf", sampleECDF},
	}...)
}

func sampleStyle(l lang.Lang, sv, svSub, en, enSub string) Style {
	return Style{
		Lang: l, Title: pick(l, sv, en), Subtitle: pick(l, svSub, enSub),
		Caption: pick(l, "Källa: simulerat register, 50 000 personer, 2009–2018. Påhittade uppgifter.",
			"Source: simulated register, 50,000 people, 2009–2018. Made-up data."),
	}
}

func sampleLove(l lang.Lang, n int) (Figure, error) {
	long := []string{
		"Antal sjukpenningdagar de senaste 24 månaderna före start", "Har varit inskriven hos Arbetsförmedlingen med funktionsnedsättningskod",
		"Ålder", "Kvinna", "Utrikes född", "Högst grundskola", "Ekonomiskt bistånd, månader senaste året", "Psykiatrisk diagnos (F00–F99)",
		"Muskuloskeletal diagnos (M00–M99)", "Ensamstående med barn", "Kommunens arbetslöshet året före", "Pensionsgrundande inkomst, tkr",
		"Socialförsäkringshandläggningsärendens genomsnittliga väntetid", "Sjukersättning, partiell",
	}
	labels := Labels{}
	var b cohort.Balance
	b.Denominator = "sd-treated"
	for i := range n {
		v := fmt.Sprintf("covariate_%02d", i+1)
		if l == lang.SV && i < len(long) {
			labels[v] = long[i]
		}
		before := 0.62 * math.Cos(float64(i)*1.3) * math.Exp(-float64(i)/14)
		b.Rows = append(b.Rows, cohort.BalanceRow{Variable: v, Before: cohort.BalanceStat{SMD: before}, After: cohort.BalanceStat{SMD: 0.12*math.Sin(float64(i)) - 0.02}})
	}
	return Love(b, labels, sampleStyle(l, "Grupperna liknar varandra efter matchningen", "Absolut standardiserad medelskillnad mellan deltagare och jämförelsegrupp, per bakgrundsvariabel",
		"The groups are alike after matching", "Absolute standardised mean difference between participants and comparison group, by covariate"))
}

func sampleEvents(first, last int, method string) []estimate.Estimate {
	var es []estimate.Estimate
	for e := first; e <= last; e++ {
		term := fmt.Sprintf("event=%d", e)
		if e == -1 {
			es = append(es, estimate.Wald(term, estimate.MeanDifference, 0, math.NaN(), math.Inf(1), 0.95))
			continue
		}
		v := 0.006 * math.Sin(float64(e)*2.1)
		if e >= 0 {
			v = 0.08*(1-math.Exp(-float64(e+1)/(0.4*float64(last)))) + 0.004*math.Sin(float64(e))
		}
		est := estimate.Wald(term, estimate.MeanDifference, v, 0.009+0.012*math.Abs(float64(e))/float64(last), math.Inf(1), 0.95)
		est.CI.Method = method
		es = append(es, est)
	}
	return es
}

func sampleEvent(l lang.Lang, first, last int, method string) (Figure, error) {
	unit := pick(l, "år", "years")
	if last > 20 {
		unit = pick(l, "månader", "months")
	}
	known := map[int]float64{}
	for e := 0; e <= last && last < 20; e++ {
		known[e] = 0.08 * (1 - math.Exp(-float64(e+1)/(0.4*float64(last))))
	}
	return EventStudy(EventStudyData{
		Known:     known,
		Estimates: sampleEvents(first, last, method), PercentagePoints: true,
		XLabel: pick(l, "Tid i "+unit+" sedan kommunen gick med i ett samordningsförbund", "Time in "+unit+" since the municipality joined"),
		YLabel: pick(l, "Skillnad i andel i arbete", "Difference in share employed"),
	}, sampleStyle(l, "Effekten växer under de första åren", "Andel i arbete bland 16–64-åringar: anslutna kommuner jämförda med dem som ännu inte anslutit sig",
		"The effect grows over the first years", "Share employed, age 16–64: member municipalities compared with those that have not yet joined"))
}

func sampleStates(l lang.Lang, n, groups int) (Figure, error) {
	names := []string{"arbete", "arbete med lönestöd", "studier", "arbetslöshet", "sjukpenning", "rehabiliteringspenning", "aktivitetsersättning",
		"sjukersättning", "ekonomiskt bistånd", "föräldrapenning", "pension", "utflyttad", "okänd försörjning eller uppgift saknas"}
	english := []string{"work", "subsidised work", "studies", "unemployment", "sickness benefit", "rehabilitation benefit", "activity compensation",
		"disability pension", "social assistance", "parental benefit", "old-age pension", "emigrated", "unknown income or no data"}
	var d StateData
	labels := Labels{"t": pick(l, "Deltagare i samordnad rehabilitering", "Participants"), "c": pick(l, "Matchad jämförelsegrupp", "Matched comparison group")}
	for i := range n {
		id := fmt.Sprintf("s%d", i)
		d.States = append(d.States, State{Name: id})
		labels[id] = pick(l, names[i], english[i])
	}
	for t := range 37 {
		d.Times = append(d.Times, float64(t))
	}
	for g := range groups {
		group := StateGroup{Name: []string{"t", "c", "d"}[g]}
		for t := range d.Times {
			row := make([]float64, n)
			sum := 0.0
			for j := range row {
				x := float64(t) / 36
				row[j] = 0.15 + math.Sin(float64(j)*2)*0.1
				if j == 0 {
					row[j] = 0.1 + (0.9-0.4*float64(g))*x*(float64(n)/4)
				}
				if j == 4%n {
					row[j] = 1.2 - 0.9*x
				}
				if j > 8 {
					row[j] = 0.02
				}
				sum += row[j]
			}
			for j := range row {
				row[j] /= sum
			}
			group.P = append(group.P, row)
		}
		d.Groups = append(d.Groups, group)
	}
	d.XLabel = pick(l, "Månader sedan start", "Months since the start")
	return States(d, labels, sampleStyle(l, "Fler är i arbete efter tre år", "Andel av personerna i varje tillstånd, månad för månad",
		"More people work after three years", "Share of people in each state, month by month"))
}

func sampleForest(l lang.Lang) (Figure, error) {
	w := func(sv, en string, v, se float64) ForestRow {
		return ForestRow{Label: pick(l, sv, en), Estimate: estimate.Wald("att", estimate.RiskDifference, v, se, math.Inf(1), 0.95)}
	}
	all := w("Alla deltagare", "All participants", 0.061, 0.012)
	all.Overall = true
	return Forest(ForestData{
		Decimals: 1, PercentagePoints: true, XLabel: pick(l, "Skillnad i andel i arbete efter 24 månader", "Difference in share employed after 24 months"),
		Groups: []ForestGroup{
			{Rows: []ForestRow{all}},
			{Heading: pick(l, "Kön", "Sex"), Rows: []ForestRow{w("Kvinnor", "Women", 0.071, 0.016), w("Män", "Men", 0.048, 0.018)}},
			{Heading: pick(l, "Ålder", "Age"), Rows: []ForestRow{w("18–29 år", "18–29", 0.102, 0.027), w("30–49 år", "30–49", 0.058, 0.017), w("50–64 år", "50–64", -0.012, 0.021)}},
			{Heading: pick(l, "Försörjning före start", "Income before the start"), Rows: []ForestRow{
				w("Sjukpenning eller rehabiliteringspenning i mer än två år", "Sickness or rehabilitation benefit for over two years", 0.033, 0.019),
				w("Ekonomiskt bistånd", "Social assistance", 0.094, 0.022),
				w("Aktivitetsersättning, förlängd skolgång", "Activity compensation", 0.12, 0.31),
			}},
		},
	}, nil, sampleStyle(l, "Störst effekt bland unga", "Procentenheter i arbete efter 24 månader, deltagare minus matchad jämförelsegrupp",
		"The effect is largest among the young", "Percentage points in work after 24 months, participants minus matched comparison group"))
}

// sampleNaive sets the naive comparison beside the matched one and the truth.
func sampleNaive(l lang.Lang) (Figure, error) {
	truth := 0.055
	w := func(sv, en string, v, se float64) ForestRow {
		return ForestRow{Label: pick(l, sv, en), Estimate: estimate.Wald(en, estimate.RiskDifference, v, se, math.Inf(1), 0.95), Known: &truth}
	}
	return Forest(ForestData{Decimals: 1, PercentagePoints: true, XLabel: pick(l, "Skillnad i andel i arbete", "Difference in share employed"),
		Groups: []ForestGroup{{Rows: []ForestRow{
			w("Före och efter, bara deltagarna", "Before and after, participants only", 0.262, 0.011), w("Alla andra som jämförelse, utan matchning", "Everyone else, unmatched", -0.174, 0.009),
			w("Matchad jämförelsegrupp", "Matched comparison group", 0.061, 0.012), w("Matchning och regression", "Matching and regression", 0.058, 0.010),
		}}}}, nil, sampleStyle(l, "Bara jämförelsegruppen hittar den sanna effekten", "Skattad effekt efter 24 månader, procentenheter",
		"Only the comparison group finds the true effect", "Estimated effect after 24 months, percentage points"))
}

func sampleAttrition(l lang.Lang) (Figure, error) {
	labels := Labels{}
	if l == lang.SV {
		labels = Labels{"working-age": "Inte i åldern 18–64 år vid start", "history": "Mindre än 24 månaders historik i registret före start",
			"no-repeat": "Har deltagit i en samordnad insats tidigare", "complete": "Saknar uppgift i någon bakgrundsvariabel", "matched": "Ingen jämförbar person inom kalipern"}
	}
	return Attrition(sampleSteps(), labels, sampleStyle(l, "Från registret till analysen", "Antal personer efter varje steg", "From the register to the analysis", "People after each step"))
}

func sampleSteps() []cohort.Step {
	return []cohort.Step{
		{Name: "working-age", Rule: "age >= 18 && age <= 64", UnitsIn: 50000, UnitsOut: 48112, TreatedIn: 2850, TreatedOut: 2807},
		{Name: "history", Rule: "history >= 24", UnitsIn: 48112, UnitsOut: 41230, TreatedIn: 2807, TreatedOut: 2391, Missing: 120},
		{Name: "no-repeat", Rule: "earlier == 0", UnitsIn: 41230, UnitsOut: 41004, TreatedIn: 2391, TreatedOut: 2165},
		{Name: "complete", Rule: "complete", UnitsIn: 41004, UnitsOut: 41003, TreatedIn: 2165, TreatedOut: 2165, Missing: 1},
		{Name: "matched", Rule: "set > 0", UnitsIn: 41003, UnitsOut: 4288, TreatedIn: 2165, TreatedOut: 2144},
	}
}

func sampleSeries(name string, first, last int, f func(float64) float64, half float64) Series {
	s := Series{Name: name}
	for x := first; x <= last; x++ {
		y := f(float64(x))
		s.X, s.Y = append(s.X, float64(x)), append(s.Y, y)
		if half > 0 {
			s.Lo, s.Hi = append(s.Lo, y-half), append(s.Hi, y+half)
		}
	}
	return s
}

func sampleTrend(l lang.Lang) (Figure, error) {
	dip := func(x float64) float64 { return math.Exp(-x * x / 60) }
	return Trend(TrendData{
		Series: []Series{
			sampleSeries("t", -24, 36, func(x float64) float64 { return 0.42 - 0.25*dip(x) + 0.03*math.Max(x, 0)/36 }, 0.018),
			sampleSeries("c", -24, 36, func(x float64) float64 { return 0.41 - 0.24*dip(x) - 0.02*math.Max(x, 0)/36 }, 0.012),
			sampleSeries("all", -24, 36, func(x float64) float64 { return 0.61 + 0.0004*x }, 0),
		},
		Marks:   []Mark{{0, pick(l, "Start", "Start")}, {24, pick(l, "Uppföljning", "Follow-up")}},
		XLabel:  pick(l, "Månader i förhållande till starten", "Months relative to the start"),
		YLabel:  pick(l, "Andel med arbetsinkomst", "Share with earnings"),
		Level:   0.95,
		Percent: true,
	}, Labels{"t": pick(l, "Deltagare", "Participants"), "c": pick(l, "Matchad jämförelsegrupp", "Matched comparison group"), "all": pick(l, "Övriga i befolkningen", "Rest of the population")},
		sampleStyle(l, "Före och efter ger en skev bild", "Andel med arbetsinkomst per månad; deltagarna återhämtar sig även utan insatsen",
			"Before and after misleads", "Share with earnings by month; participants recover without the measure too"))
}

func sampleDifference(l lang.Lang) (Figure, error) {
	return Trend(TrendData{
		Series: []Series{sampleSeries("net", 2009, 2018, func(x float64) float64 { return 1500*math.Sin((x-2009)/3) - 400 }, 600)},
		XLabel: pick(l, "År", "Year"), YLabel: pick(l, "Kronor per person", "Kronor per person"), Level: 0.975, Years: true,
	}, Labels{"net": pick(l, "Nettoskillnad", "Net difference")},
		sampleStyle(l, "Nettoskillnad per år", "Kronor per person, deltagare minus jämförelsegrupp", "Net difference by year", "Kronor per person, participants minus comparison group"))
}
