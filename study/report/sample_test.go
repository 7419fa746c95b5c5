package report

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/plots"
	"utfall/study/release"
	"utfall/table"
)

// A made-up study that has everything a report can hold: a clear effect, an unclear
// one, no important difference, a neutral one, a withheld one, a refused one, an
// association, merged steps, hidden rows, an untranslated note, and one label that
// tries to be markup.

var infinite = math.Inf(1)

const evil = `<script>alert("x")</script>`

func wald(term string, m estimate.Measure, v, se float64) estimate.Estimate {
	return estimate.Wald(term, m, v, se, infinite, 0.95)
}

func pick(l lang.Lang, sv, en string) string {
	if l == lang.SV {
		return sv
	}
	return en
}

func released(t testing.TB, e estimate.Estimate, treated, control int) release.Estimate {
	out, _ := release.Policy{}.Estimate("x", e, release.Basis{Treated: treated, Control: control, DF: infinite})
	return out
}

func single(e estimate.Estimate, n int) release.Estimate {
	out, _ := release.Policy{}.Estimate("x", e, release.Basis{Treated: n, Single: true, DF: infinite})
	return out
}

func proportion(events, n int) release.Mean {
	m, _ := release.Policy{}.Proportion("x", events, n)
	return m
}

func mean(x float64, n int) release.Mean {
	m, _ := release.Policy{}.Mean("x", x, n)
	return m
}

func sampleSteps() []cohort.Step {
	return []cohort.Step{
		{Name: "working-age", Rule: "age >= 18 && age < 65", UnitsIn: 50000, UnitsOut: 44000, TreatedIn: 1506, TreatedOut: 1440, Missing: 310},
		{Name: "known", Rule: "!anonymous", UnitsIn: 44000, UnitsOut: 43580, TreatedIn: 1440, TreatedOut: 1020},
		{Name: "first-time", Rule: "previous == 0", UnitsIn: 43580, UnitsOut: 43400, TreatedIn: 1020, TreatedOut: 1017},
		{Name: "matching", Rule: "nearest 1:1", UnitsIn: 43400, UnitsOut: 1970, TreatedIn: 1017, TreatedOut: 985},
	}
}

func sampleBalance() (cohort.Balance, []release.Covariate, release.Arms, release.Arms) {
	before, after := release.Arms{Treated: 1017, Control: 42383}, release.Arms{Treated: 985, Control: 985}
	var b cohort.Balance
	var about []release.Covariate
	nan := math.NaN()
	add := func(name, group string, mt, mc0, mc1, smd0, smd1 float64, nt, n0, n1 int) {
		st := func(mc, smd float64) cohort.BalanceStat {
			return cohort.BalanceStat{MeanTreated: mt, MeanControl: mc, SMD: smd, VarianceRatio: nan, ECDFMean: 0.01, ECDFMax: 0.03}
		}
		b.Rows = append(b.Rows, cohort.BalanceRow{Variable: name, Before: st(mc0, smd0), After: st(mc1, smd1)})
		c := release.Covariate{Group: group, Before: before, After: after}
		if group != "" {
			c.Before, c.After = release.Arms{Treated: nt + 10, Control: n0}, release.Arms{Treated: nt, Control: n1}
		}
		about = append(about, c)
	}
	add("age", "", 38.41, 45.2, 38.69, -0.512, -0.021, 0, 0, 0)
	add("woman", "woman", 0.583, 0.49, 0.571, 0.188, 0.025, 574, 20767, 562)
	add("born-abroad", "born-abroad", 0.31, 0.18, 0.27, 0.307, 0.112, 305, 7628, 266)
	add("sick-days", "", 211.3, 23.9, 203.8, 1.104, 0.048, 0, 0, 0)
	add("income", "", 92340, 284100, 95510, -1.423, -0.019, 0, 0, 0)
	add("diagnosis[psychiatric]", "diagnosis", 0.44, 0.11, 0.43, 0.81, 0.02, 433, 4660, 424)
	add("diagnosis[musculoskeletal]", "diagnosis", 0.29, 0.08, 0.3, 0.56, -0.022, 286, 3390, 296)
	add("diagnosis[other]", "diagnosis", 0.01, 0.02, 0.01, -0.08, 0.004, 7, 850, 8)
	return b, about, before, after
}

// drawn keeps the drawings of the sample: each is painted in three formats, and the
// tests write the same report many times.
var drawn sync.Map

func render(t testing.TB, f plots.Figure, err error, caption, csv string) Figure {
	require.NoError(t, err)
	if fig, ok := drawn.Load(caption); ok {
		return fig.(Figure)
	}
	r, err := f.Render(t.Context())
	require.NoError(t, err)
	fig := Figure{SVG: r.SVG, Alt: r.Alt, Caption: caption, CSV: csv}
	drawn.Store(caption, fig)
	return fig
}

func sampleInput(t testing.TB, l lang.Lang) Input {
	p := release.Policy{}
	flow, w1, err := p.Attrition(sampleSteps())
	require.NoError(t, err)
	b, about, before, after := sampleBalance()
	balance, w2, err := p.Balance(b, about, before, after, flow.Steps[2].Left)
	require.NoError(t, err)
	rowLabels := map[string]string{
		"age": pick(l, "Ålder, år", "Age, years"), "woman": pick(l, "Kvinna", "Woman"), "born-abroad": pick(l, "Utrikes född", "Born abroad"),
		"sick-days": pick(l, "Dagar med sjukpenning, senaste året", "Days with sickness benefit, last year"), "income": pick(l, "Inkomst, kronor", "Income, kronor"),
		"diagnosis[psychiatric]": pick(l, "Diagnos: psykiatrisk", "Diagnosis: psychiatric"), "diagnosis[musculoskeletal]": pick(l, "Diagnos: rörelseorganen", "Diagnosis: musculoskeletal"),
		"diagnosis[other]": pick(l, "Diagnos: annan", "Diagnosis: other"),
	}
	love, err := plots.Love(balance.Balance(), rowLabels, plots.Style{Lang: l, Title: pick(l, "Grupperna före och efter matchningen", "The groups before and after matching")})
	loveFig := render(t, love, err, pick(l, "Ju närmare noll, desto mer lika. Efter matchningen ligger nästan allt under 0,1.", "The nearer zero, the more alike. After matching almost all is below 0.1."), "figures/balance.csv")

	states := []string{"work", "subsidised", "study", "measure", "benefit", "pension"}
	stateNames := map[string]string{"work": pick(l, "Arbete utan stöd", "Work without support"), "subsidised": pick(l, "Arbete med stöd", "Subsidised work"),
		"study": pick(l, "Studier", "Studies"), "measure": pick(l, "Arbetsträning", "Work training"), "benefit": pick(l, "Sjukpenning eller bistånd", "Sickness benefit or assistance"),
		"pension": pick(l, "Sjukersättning", "Disability pension"), "few": pick(l, "Små grupper tillsammans", "Small groups together"),
		"t": pick(l, "Deltagare", "Participants"), "c": pick(l, "Jämförelsegrupp", "Comparison group")}
	curve := func(up float64) release.Curve {
		o := release.Occupation{States: states}
		for m := range 25 {
			x := 1 - math.Exp(-float64(m)/18)
			row := []float64{0.26 * up * x, 0.12 * up * x, 0.07 * x, 0.15 * up * x * (1 - x), 0, 0.06 * x}
			row[4] = 1
			for i, v := range row {
				if i != 4 {
					row[4] -= v
				}
			}
			o.Times, o.AtRisk, o.P = append(o.Times, float64(m)), append(o.AtRisk, 985), append(o.P, row)
		}
		c, _, err := p.Curve("states", o)
		require.NoError(t, err)
		return c
	}
	tc, cc := curve(1.3), curve(1)
	names, tp := tc.Areas("few")
	_, cp := cc.Areas("few")
	sd := plots.StateData{Times: tc.Times, Groups: []plots.StateGroup{{Name: "t", P: tp}, {Name: "c", P: cp}}, XLabel: pick(l, "Månader sedan starten", "Months since the start")}
	for _, n := range names {
		sd.States = append(sd.States, plots.State{Name: n})
	}
	sf, err := plots.States(sd, stateNames, plots.Style{Lang: l, Title: pick(l, "Vart deltagare och jämförelsegrupp tog vägen", "Where participants and comparison group went")})
	statesFig := render(t, sf, err, pick(l, "Andel i varje tillstånd månad för månad.", "Share in each state month by month."), "figures/states.csv")

	distribution := func(n []int) release.Distribution {
		var classes []release.Class
		for i, s := range states {
			classes = append(classes, release.Class{Label: s, N: n[i]})
		}
		d, _ := p.Distribution("destinations", classes)
		return d
	}

	var events []estimate.Estimate
	for e := -4; e <= 5; e++ {
		term := "event=" + lang.EN.Int(e)
		switch {
		case e == -1:
			events = append(events, wald("event=-1", estimate.MeanDifference, 0, math.NaN()))
		case e < 0:
			events = append(events, wald("event=-"+lang.EN.Int(-e), estimate.MeanDifference, 0.002*math.Sin(float64(e)), 0.004))
		default:
			events = append(events, wald(term, estimate.MeanDifference, 0.004*float64(e+1), 0.004+0.001*float64(e)))
		}
	}
	es, err := plots.EventStudy(plots.EventStudyData{Estimates: events, PercentagePoints: true}, plots.Style{Lang: l, Title: pick(l, "Kommunerna före och efter inträdet", "The municipalities before and after entry")})
	esFig := render(t, es, err, pick(l, "Skillnad i andel med egen försörjning mot kommuner som inte gått med ännu.", "Difference in the share with own income against municipalities that had not yet joined."), "figures/event-study.csv")

	rows := []Row{
		{Address: "own-income/month=12/risk-difference", Label: pick(l, "Efter 12 månader", "After 12 months"), Estimate: released(t, wald("month=12", estimate.RiskDifference, 0.031, 0.012), 985, 985)},
		{Address: "own-income/month=36/risk-difference", Label: pick(l, "Efter 36 månader", "After 36 months"), Estimate: released(t, wald("month=36", estimate.RiskDifference, 0.05, 0.05), 8, 40),
			Notes: []table.Note{{Code: "boundary", Text: "Too few are followed.", Args: nil}}},
	}
	return Input{
		Lang: l, Title: pick(l, "Samordnad rehabilitering i åtta förbund", "Coordinated rehabilitation in eight associations"),
		Question:   pick(l, "Kom de som deltog i samordnad rehabilitering närmare arbete och egen försörjning än de annars hade gjort?", "Did those who took part in coordinated rehabilitation come closer to work and own income than they would otherwise have done?"),
		Background: pick(l, "Insatserna finansieras gemensamt av Försäkringskassan, Arbetsförmedlingen, regionen och kommunerna. De riktar sig till personer som behöver stöd från flera håll samtidigt.", "The measures are financed jointly by the social insurance agency, the employment service, the region and the municipalities. They are meant for people who need support from several sides at once."),
		Publisher:  pick(l, "Utvärderingsenheten, exempelförbundet", "Evaluation unit, example association"), Period: "2010–2019", Simulated: true,
		Sources: []Source{
			{Name: pick(l, "Personer", "People"), File: "people.csv", Rows: p.Count(50000), Rejected: p.Count(37), Reasons: []Reason{{pick(l, "dubbel rad", "row twice"), p.Count(30)}, {pick(l, "ålder saknas", "no age"), p.Count(7)}}},
			{Name: evil, File: "spells.csv", Rows: p.Count(812345), Rejected: release.StructuralZero()},
		},
		Comparisons: []Comparison{{
			Name: "participants", Label: pick(l, "Deltagare och liknande personer som inte deltog", "Participants and similar people who did not take part"),
			Population: pick(l, "Personer 18–64 år som varit sjukskrivna eller haft ekonomiskt bistånd i minst sex månader.", "People aged 18–64 who had been on sick leave or social assistance for at least six months."),
			TimeZero:   pick(l, "Deltagare: den månad då insatsen började. Jämförelsegruppen: samma månad.", "Participants: the month in which the measure began. Comparison group: the same month."), Period: "2010–2017",
			Design:    pick(l, "För varje deltagare valdes den mest lika personen utanför insatsen, lika i 14 uppgifter som var kända före start.", "For each participant the most similar person outside the programme was chosen, alike in 14 facts known before the start."),
			Attrition: &flow, StepLabels: map[string]string{"working-age": pick(l, "I arbetsför ålder", "Of working age"), "known": pick(l, "Deltog inte anonymt", "Did not take part anonymously"),
				"first-time": pick(l, "Deltog för första gången", "Took part for the first time"), "matching": pick(l, "Fick en jämförelseperson", "Got a comparison person")},
			Balance: &balance, RowLabels: rowLabels, Figures: []Figure{loveFig},
			Notes: []table.Note{{Code: "rows-dropped", Text: "420 rows.", Args: map[string]any{"rows": 420}}},
		}, {
			Name: "municipalities", Label: pick(l, "Kommuner som gått med och kommuner som inte gått med ännu", "Municipalities that joined and those that had not yet"),
			Treated: pick(l, "anslutna kommuner", "member municipalities"), Control: pick(l, "ännu inte anslutna kommuner", "municipalities not yet members"), Period: "2010–2019",
		}},
		Findings: []Finding{
			{Address: "own-income/att/risk-difference", Outcome: pick(l, "Egen försörjning 24 månader efter start", "Own income 24 months after the start"), Question: pick(l, "Får fler en egen försörjning?", "Do more people get an income of their own?"),
				Comparison: "participants", Kind: Effect, Headline: true, Unit: PercentagePoints, Good: Up, Relevance: 0.02,
				Estimate: released(t, wald("att", estimate.RiskDifference, 0.063, 0.016), 985, 985), Means: &Means{proportion(261, 985), proportion(199, 985)},
				Naive: &Naive{Address: "own-income/before-after/risk-difference", Before: proportion(55, 985), After: proportion(261, 985), Change: single(wald("change", estimate.RiskDifference, 0.209, 0.014), 985)},
				Truth: &Truth{0.058}, Rows: rows, Notes: []table.Note{{Code: "rows-dropped", Text: "14 rows", Args: map[string]any{"rows": 14}}},
				Method: &Method{pick(l, "Genomsnittlig effekt för deltagarna", "Average effect for the participants"), pick(l, "Matchad skillnad", "Matched difference"), pick(l, "klusterrobusta medelfel per matchat par", "cluster-robust by matched pair")}},
			{Address: "net-months/att/net-months", Outcome: pick(l, "Nettomånader på högre trappsteg, 24 månader", "Net months on a higher step, 24 months"), Question: pick(l, "Kom deltagarna närmare arbete, även om de inte fick jobb?", "Did the participants come closer to work, even without a job?"),
				Comparison: "participants", Kind: Effect, Headline: true, Unit: Months, Good: Up, Relevance: 0.5,
				Estimate: released(t, wald("att", estimate.NetMonths, 2.14, 0.41), 985, 985), Truth: &Truth{2.4}, Figures: []Figure{statesFig},
				Method: &Method{pick(l, "Nettotid på högre trappsteg", "Net time on a higher step"), "Aalen–Johansen", pick(l, "influensfunktion per person", "influence function by person")}},
			{Address: "income/att/mean-difference", Outcome: pick(l, "Arbetsinkomst år 2", "Earnings in year 2"), Comparison: "participants", Kind: Effect, Headline: true, Unit: Kronor, Good: Up, Relevance: 10000,
				Estimate: released(t, wald("att", estimate.MeanDifference, 9180, 6010), 985, 985), Truth: &Truth{11000}, Means: &Means{mean(74310, 985), mean(65130, 985)}},
			{Address: "doctor/att/mean-difference", Outcome: pick(l, "Vårdbesök år 2", "Health-care visits in year 2"), Comparison: "participants", Kind: Effect, Headline: true, Unit: Plain, Good: Neutral,
				Estimate: released(t, wald("att", estimate.MeanDifference, 1.42, 0.38), 985, 985), Notes: []table.Note{{Code: "no-such-code", Text: "Visits abroad are not in the data."}}},
			{Address: "municipal/overall/mean-difference", Outcome: pick(l, "Egen försörjning i hela kommunen", "Own income in the whole municipality"), Comparison: "municipalities", Kind: Effect, Headline: true, Unit: PercentagePoints, Good: Up, Relevance: 0.005,
				Estimate: released(t, wald("overall", estimate.MeanDifference, 0.0004, 0.0018), 210, 80), Figures: []Figure{esFig}},
			{Address: "sub/att/risk-difference", Outcome: pick(l, "Egen försörjning, deltagare under 20 år", "Own income, participants under 20"), Comparison: "participants", Kind: Effect, Unit: PercentagePoints, Good: Up,
				Estimate: released(t, wald("att", estimate.RiskDifference, 0.2, 0.1), 7, 7)},
			{Address: "raw/difference/risk-difference", Outcome: pick(l, "Egen försörjning, alla i data utan matchning", "Own income, all in the data without matching"), Comparison: "participants", Kind: Association, Unit: PercentagePoints, Good: Up,
				Estimate: released(t, wald("difference", estimate.RiskDifference, -0.31, 0.012), 1440, 42560)},
			{Address: "health/mean/mean", Outcome: pick(l, "Självskattad hälsa vid slutet (1–5)", "Self-rated health at the end (1–5)"), Comparison: "participants", Kind: Description, Unit: Plain, Good: Up,
				Estimate: single(wald("mean", estimate.Mean, 3.21, 0.05), 640)},
			{Address: "life/att/refused", Outcome: pick(l, "Bättre liv enligt personen själv", "A better life by the person's own account"), Kind: Refused,
				Why: pick(l, "Enkäten besvarades av 31 procent och bara av deltagare.", "The questionnaire was answered by 31 percent, and by participants only."), Fix: pick(l, "Samma enkät till en jämförelsegrupp, och svar från minst 60 procent.", "The same questionnaire to a comparison group, and answers from at least 60 percent.")},
		},
		Destinations: []Destination{{Label: pick(l, "24 månader efter start", "24 months after the start"), Names: stateNames,
			Treated: distribution([]int{262, 118, 52, 4, 504, 45}), Control: distribution([]int{198, 90, 52, 7, 590, 48})}},
		Notes:     []table.Note{{Code: "no-other-code", Text: "The register ends in December 2019."}},
		CannotSay: []string{pick(l, "Om insatsen lönar sig ekonomiskt.", "Whether the programme pays for itself."), pick(l, "Vad som händer efter tre år.", "What happens after three years.")},
		Protocol:  p.Protocol(w1, w2, []release.Withheld{{Place: "sub", Why: release.BelowMinimum, Cells: 1}}),
		Reproduction: Reproduction{Version: "0.1.0", Seed: 1, Command: "utfall run study.yaml --data data",
			Hashes: []Hash{{"study.resolved.yaml", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, {"people.csv", "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"}}},
	}
}

// UTFALL_REPORT_DIR keeps the pages, to look at them in a browser.
func TestWriteSample(t *testing.T) {
	for _, l := range lang.All() {
		var b bytes.Buffer
		require.NoError(t, Write(&b, sampleInput(t, l)))
		if dir := os.Getenv("UTFALL_REPORT_DIR"); dir != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "report-"+string(l)+".html"), b.Bytes(), 0o644))
		}
	}
}
