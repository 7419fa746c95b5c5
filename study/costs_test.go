package study

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/ingest"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/table"
)

const costsAnalysis = `  - name: costs
    outcome_label: {sv: Kostnader, en: Costs}
    unit: kronor
    good: down
    costs:
      cohort: deltagare
      months: 24
      payers: [state, region, municipality]
      amount: amount
      states: {sickness-benefit: {state: 1}, disability-benefit: {state: 1}, activity-compensation: {state: 1}, unemployment-programme: {state: 1}, subsidised-work: {state: 0.8}, rehab: {region: 1}, work-training: {municipality: 1}, social-assistance: {municipality: 1}, work: {municipality: -0.3, state: -0.1}}
      programme: {state: 12000, region: 6000, municipality: 6000}
      discount: 0.03
      price_year: 2015
      price_factors: {2013: 1.01, 2014: 1.005, 2016: 0.99, 2017: 0.98, 2018: 0.97}
      effect: progress
      willingness: [2000, 10000]
`

func costsStudy(t *testing.T) string {
	t.Helper()
	text := progressStudy(t)
	at := strings.Index(text, "known_truth:")
	text = text[:at] + costsAnalysis + text[at:]
	// Of the three answers net months alone.
	from, to := strings.Index(text, "      forecast: {older_to"), strings.Index(text, "  - name: costs")
	text = text[:from] + text[to:]
	text = strings.Replace(text, ", forecast: study_population.overall.versus_wait.stable_36, life: study_population.overall.life_12.versus_wait.net_share", "", 1)
	return strings.Replace(text, "relevant: {months: 0.5, forecast: 0.02, life: 0.05}", "relevant: {months: 0.5}", 1)
}

// days is the first day of month m of byHand's time zero.
func days(m int) int64 { return time.Date(50, time.Month(1+m), 1, 0, 0, 0, 0, time.UTC).Unix() / 86400 }

// costsByHand is 20 participants who are in a and then in b, and 20 comparison people who stay in a. A month in a costs 10, in b 40; a
// region pays 7 for each other participant in the second month, and 1000 long before and after for all.
func costsByHand(t *testing.T) *state {
	s := byHand(t, handPath{true, 20, "abb", 0}, handPath{false, 20, "aaa", 0})
	var id, state, payer []string
	var from, to, month []int64
	var amount, paid []float64
	spell := func(i int, name string, start, stop int, v float64) {
		id, state, from, to, amount = append(id, unitName(i)), append(state, name), append(from, days(start)), append(to, days(stop)), append(amount, v)
	}
	var person []string
	pay := func(i, m int, v float64) {
		person, payer, month, paid = append(person, unitName(i)), append(payer, "region"), append(month, days(m)), append(paid, v)
	}
	for i := range 40 {
		if i < 20 {
			spell(i, "a", -5, 1, 10)
			spell(i, "b", 1, 9, 40)
		} else {
			spell(i, "a", -5, 9, 10)
		}
		if i < 20 && i%2 == 0 {
			pay(i, 1, 7)
		}
		pay(i, -1, 1000)
		pay(i, 2, 1000)
	}
	spells, err := table.New(table.NewText(table.Field{Name: "person"}, id, nil), categories(t, "state", state), table.NewInteger(table.Field{Name: "from"}, from, nil),
		table.NewInteger(table.Field{Name: "to"}, to, nil), table.NewFloat(table.Field{Name: "amount"}, amount, nil))
	require.NoError(t, err)
	rows, err := table.New(table.NewText(table.Field{Name: "person"}, person, nil), categories(t, "payer", payer), table.NewInteger(table.Field{Name: "month"}, month, nil),
		table.NewFloat(table.Field{Name: "amount"}, paid, nil))
	require.NoError(t, err)
	s.cohorts["c"].spec.TimeZero.Spells = "spells"
	at := func(int) int { return 7 }
	s.data = map[string]*dataset{"spells": {name: "spells", table: spells, line: at, result: &ingest.Result{}}, "paid": {name: "paid", table: rows, line: at, result: &ingest.Result{}}}
	return s
}

func unitName(i int) string {
	return "p" + string([]byte{byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)})
}

func categories(t *testing.T, name string, values []string) table.Column {
	t.Helper()
	levels := slices.Compact(slices.Sorted(slices.Values(values)))
	codes := make([]int32, len(values))
	for i, v := range values {
		k, _ := slices.BinarySearch(levels, v)
		codes[i] = int32(k)
	}
	c, err := table.NewCategory(table.Field{Name: name}, codes, levels, nil)
	require.NoError(t, err)
	return c
}

func handCosts() *Costs {
	return &Costs{Cohort: "c", Months: 2, Payers: []string{"state", "region", "municipality"}, Data: "paid", Amount: "amount",
		States: map[string]map[string]float64{"a": {"state": 1}, "b": {"municipality": .5, "state": -.25}}, Programme: map[string]float64{"state": 100}, Errors: "influence"}
}

// By hand: of participants the state pays 100 at the start, 10 in a and takes in 10 in b: 100; the municipality pays 20, the region 3.50.
// Of comparison people the state pays 20. So 80, 3.50 and 20, in total 103.50. With twice the money of that year the programme stays 100.
func TestCostsAnalysisByHand(t *testing.T) {
	s := costsByHand(t)
	ask := func(q *Costs) (analysisResult, error) { return s.costs(&Analysis{Name: "costs", Costs: q}) }
	r, err := ask(handCosts())
	require.NoError(t, err)
	require.Equal(t, "association", r.kind)
	require.Equal(t, "total", r.numbers[0].term)
	for address, want := range map[string]float64{"total/mean-difference": 103.5, "payer=state/mean-difference": 80, "payer=region/mean-difference": 3.5, "payer=municipality/mean-difference": 20,
		"total,group=treated/mean": 123.5, "payer=state,group=control/mean": 20} {
		require.InDelta(t, want, numberOf(t, r, address).e.Value, 1e-12, address)
	}
	require.Equal(t, release.Arms{Treated: 10}, numberOf(t, r, "payer=region/mean-difference").basis.Money.Contributors)
	own := r.own.(*costsResult)
	require.InDelta(t, 100, own.curve[0].value, 1e-12)
	require.InDelta(t, 103.5, own.curve[1].value, 1e-12)
	q := handCosts()
	q.PriceYear, q.PriceFactors = 2015, map[string]float64{"50": 2}
	r, err = ask(q)
	require.NoError(t, err)
	require.InDelta(t, 100+2*3.5, numberOf(t, r, "total/mean-difference").e.Value, 1e-12) // 2·(10 − 10 + 20) − 2·20
	q.PriceFactors = map[string]float64{"2014": 2}
	_, err = ask(q)
	require.ErrorIs(t, err, ErrSpec)
	require.ErrorContains(t, err, "no factor")
	// 100 % a year, two months: the second counts 2^(−1/12).
	q = handCosts()
	q.Discount = .9999999999
	r, err = ask(q)
	require.NoError(t, err)
	require.InDelta(t, 100+(3.5+10-10)*math.Pow(2, -1./12), numberOf(t, r, "total/mean-difference").e.Value, 1e-6)
	// With the third month 1000 for all are in it; who is not followed then is paid for by nobody, and said.
	q = handCosts()
	q.Months = 3
	s.cohorts["c"].paths.Code[2] = -1
	r, err = ask(q)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(r.notes, func(n table.Note) bool { return n.Code == "payments-after-follow-up" && n.Args["rows"] == 1 }))
	require.InDelta(t, 1000, numberOf(t, r, "payer=region,group=control/mean").e.Value, 1e-12)
	for text, bad := range map[string]func(q *Costs){
		"no spell has the state": func(q *Costs) { q.States["x"] = map[string]float64{"state": 1} },
		"payers does not name":   func(q *Costs) { q.Payers = []string{"state", "municipality"} },
	} {
		q := handCosts()
		bad(q)
		_, err := ask(q)
		require.ErrorContains(t, err, text)
	}
}

// Costs that are not known are not 0.
func TestCostsUnknownAreRefused(t *testing.T) {
	s := costsByHand(t)
	spells := s.data["spells"].table
	amount, err := spells.Float("amount")
	require.NoError(t, err)
	known := make([]bool, len(amount.Values))
	for i := range known {
		known[i] = i != 3
	}
	cols := []table.Column{}
	for _, name := range []string{"person", "state", "from", "to"} {
		c, err := spells.Column(name)
		require.NoError(t, err)
		cols = append(cols, c)
	}
	s.data["spells"].table, err = table.New(append(cols, table.NewFloat(table.Field{Name: "amount"}, amount.Values, known))...)
	require.NoError(t, err)
	_, err = s.costs(&Analysis{Name: "costs", Costs: handCosts()})
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, "not 0")
}

// Few people have anything of what one payer pays: it is withheld in the difference and in both groups, with another payer, and no total
// less the payers shown gives it. Where one person is nearly all of the total, all that is made of it goes, too.
func TestCostsOfFewAreWithheld(t *testing.T) {
	s := costsByHand(t)
	s.policy = Disclosure{MinCount: 10, RoundTo: 5}.Policy()
	shown := func(change func(q *Costs)) map[string]bool {
		q := handCosts()
		change(q)
		r, err := s.costs(&Analysis{Name: "costs", Costs: q})
		require.NoError(t, err)
		r.spec = &Analysis{Name: "costs", Costs: q, Unit: "kronor"}
		r.numbers = append(r.numbers, found{term: "ratio", e: estimate.Estimate{Term: "ratio", Measure: progress.CostPerUnit, Value: 4}, basis: release.Basis{Treated: 20, Control: 20, DF: 99}})
		out := &assembled{findings: map[string]release.Estimate{}}
		require.NoError(t, s.releaseAnalysis(out, &r, map[string]bool{}, func([]release.Withheld) {}))
		got := map[string]bool{}
		for address, re := range out.findings {
			got[strings.TrimPrefix(address, "costs/")] = re.Shown
		}
		return got
	}
	for address, ok := range shown(func(*Costs) {}) {
		require.True(t, ok, address)
	}
	s.policy = Disclosure{MinCount: 15, RoundTo: 5}.Policy() // 10 people have the region's 7
	got := shown(func(*Costs) {})
	for _, suffix := range []string{"/mean-difference", ",group=treated/mean", ",group=control/mean"} {
		require.False(t, got["payer=region"+suffix], suffix)
		withheld := 0
		for _, name := range []string{"total", "payer=state", "payer=municipality", "payer=region"} {
			if !got[name+suffix] {
				withheld++
			}
		}
		require.Equal(t, 2, withheld, "one more, so that none follows")
		require.Equal(t, got["payer=state/mean-difference"], got["payer=state"+suffix])
	}
	// What the programme costs stands in the study file: with it on top the region's few are as few.
	got = shown(func(q *Costs) { q.Programme = map[string]float64{"region": 6000} })
	require.False(t, got["payer=region/mean-difference"])
	require.False(t, got["payer=region,group=treated/mean"])
	// One participant has a spell of a million.
	s = costsByHand(t)
	s.policy = Disclosure{MinCount: 10, RoundTo: 5}.Policy()
	amount, err := s.data["spells"].table.Float("amount")
	require.NoError(t, err)
	amount.Values[1] = 1e6 // p000 in b
	for address, ok := range shown(func(q *Costs) { q.Payers, q.Data = []string{"state", "municipality", "region"}, "" }) {
		if strings.HasPrefix(address, "total") || strings.HasPrefix(address, "payer=municipality") || strings.HasPrefix(address, "ratio") {
			require.False(t, ok, address)
		}
	}
	require.Empty(t, (&costsResult{curve: []costMonth{{each: [2][]float64{{1, 1}, {9, 0}}}}}).released(s.policy))
}

// released are the months of a curve that are shown.
func (c *costsResult) released(p release.Policy) []costMonth {
	c.thin(p, "costs", func([]release.Withheld) {})
	return c.shown
}

// costsKeys are the keys of the method, each with another value.
func costsKeys() map[string][3]string {
	return map[string][3]string{
		"cohort": {"cohort: deltagare\n      months", "cohort: nobody\n      months", refused}, "months": {"months: 24\n      payers", "months: 12\n      payers", refused},
		"payers": {"payers: [state, region, municipality]", "payers: [state, region]", refused}, "data": {"amount: amount\n", "amount: amount\n      data: people\n", refused},
		"amount": {"amount: amount", "amount: extent", ""}, "states": {"subsidised-work: {state: 0.8}", "subsidised-work: {state: 0.5}", ""}, "programme": {"region: 6000, m", "region: 7000, m", ""},
		"discount": {"discount: 0.03", "discount: 0.05", ""}, "price_year": {"price_year: 2015", "price_year: 2014", refused}, "price_factors": {"2016: 0.99", "2016: 0.9", ""},
		"errors": {"discount: 0.03", "discount: 0.03\n      errors: bootstrap\n      replicates: 199", ""}, "replicates": {"discount: 0.03", "discount: 0.03\n      errors: bootstrap\n      replicates: 299", ""},
		"effect": {"effect: progress", "effect: nobody", refused}, "willingness": {"[2000, 10000]", "[2000, 20000]", ""},
	}
}

// Every key changes a number or is an error; what is asked in vain is an error that names it; the report has every text in both languages, and the price beside the net months.
func TestEveryCostsKeyMatters(t *testing.T) {
	if testing.Short() {
		t.Skip("estimates once a key")
	}
	cases := costsKeys()
	for key := range keysOf(reflect.TypeFor[Costs](), "") {
		require.Contains(t, cases, key)
	}
	text := costsStudy(t)
	s := opened(t, progressData(t), text)
	base, err := s.ask(t, text)
	require.NoError(t, err)
	seen := map[string]string{base: ""}
	for _, key := range slices.Sorted(maps.Keys(cases)) {
		c := cases[key]
		require.Contains(t, text, c[0], key)
		now, err := s.ask(t, strings.Replace(text, c[0], c[1], 1))
		if c[2] == refused {
			require.ErrorIs(t, err, ErrSpec, key)
			continue
		}
		require.NoError(t, err, key)
		require.NotContains(t, seen, now, "%s has no effect", key)
		seen[now] = key
	}
	for says, c := range map[string][2]string{
		"go together":                   {"      price_year: 2015\n", ""},
		"replicates are of":             {"discount: 0.03", "discount: 0.03\n      replicates: 199"},
		"rate a year":                   {"discount: 0.03", "discount: 3"},
		"is not among the payers":       {"rehab: {region: 1}", "rehab: {forbund: 1}"},
		"a number other than 0":         {"rehab: {region: 1}", "rehab: {region: 0}"},
		"they must be the same":         {"tau: 24", "tau: 30"},
		"prices lie above 0":            {"[2000, 10000]", "[2000, 2000]"},
		"relevant is in kronor":         {"unit: kronor\n    good: down\n", "relevant: 5\n"},
		"is a price of a net month":     {"      effect: progress\n", ""},
		"nothing says what \"forbund\"": {"payers: [state,", "payers: [forbund, state,"},
		"is not a year":                 {"2016: 0.99", "then: 0.99"},
	} {
		require.Contains(t, text, c[0])
		_, err := Parse("study.yaml", strings.NewReader(strings.Replace(text, c[0], c[1], 1)))
		require.ErrorContains(t, err, says)
	}
	for language, says := range map[string][]string{
		"en": {"Who paid more, and who less?", "Is it worth the money?", "month by month", "Cost of a net month on a higher step", "if a net month is worth 2,000 kronor", "Amounts are in the prices of 2015"},
		"sv": {"Vem betalade mer och vem mindre?", "Är det värt pengarna?", "Kostnad per nettomånad på ett högre trappsteg", "Beloppen är i 2015 års priser"},
	} {
		page := s.page(t, strings.Replace(text, "language: sv", "language: "+language, 1))
		for _, want := range says {
			require.Contains(t, page, want)
		}
		ratio := lang.Lang(language).Text("study.costs-ratio")
		require.GreaterOrEqual(t, strings.Count(page, ratio), 2, "beside the net months, too")
	}
}

// What may be said of a cost by its interval, and that no price is named where the net months cannot be told from zero.
func TestCostsSay(t *testing.T) {
	q := &Costs{Cohort: "c", Months: 24, Payers: []string{"state"}, Willingness: []float64{5000}}
	for _, l := range []lang.Lang{lang.SV, lang.EN} {
		for _, words := range []progress.CostWords{progress.CostsDearer, progress.CostsCheaper, progress.CostsEither, progress.CostsLoss, progress.CostsUnbounded} {
			for _, total := range []float64{-90, 0, 90} {
				s := &state{lang: l, spec: &Spec{Level: .95, Cohorts: []Cohort{{Name: "c"}}}, bundle: &assembled{findings: map[string]release.Estimate{}}}
				r := &analysisResult{spec: &Analysis{Name: "costs", Costs: q}, kind: "effect", own: &costsResult{words: words}}
				put := func(term string, m estimate.Measure, v float64) {
					e := estimate.Wald(term, m, v, 20, math.Inf(1), .95)
					s.bundle.findings["costs/"+term+"/"+string(m)] = release.Estimate{Number: e, Shown: true}
				}
				put("total", estimate.MeanDifference, total)
				put("payer=state", estimate.MeanDifference, total)
				put("ratio", progress.CostPerUnit, 71)
				put("break-even", breakEvenMonth, 14)
				for _, sure := range []struct {
					p    float64
					want string
				}{{.4, "40"}, {.0004, "1"}, {.9996, "99"}} { // never quite sure, either way
					put("willingness=5000", progress.Acceptability, sure.p)
					text := strings.Join(q.say(s, r), " ")
					require.NotContains(t, text, "[[")
					require.NotRegexp(t, `\b(0|100)[\s\p{Zs}]?%`, text)
					if words == progress.CostsDearer {
						require.Regexp(t, `\b`+sure.want+`[\s\p{Zs}]?%`, text)
					}
				}
				text := strings.Join(q.say(s, r), " ")
				if words == progress.CostsUnbounded || words == progress.CostsLoss || words == progress.CostsCheaper {
					require.NotContains(t, text, "71", "no price")
				}
			}
		}
	}
}
