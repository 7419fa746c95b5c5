package cohort

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

func weighSpec(t testing.TB, tab *table.Table, s WeightSpec, d Spec) *Weighted {
	t.Helper()
	got, err := s.Weigh(t.Context(), tab, d)
	require.NoError(t, err, "%+v", s)
	return got
}

// Untreated at x = 0, 1, 3 are to have the treated's mean 1.5 and mean square 3.25 (treated
// at 0, 1, 2, 3 have mean 14/4 = 3.5; here 0.5, 1, 2, 2.5: mean 1.5, square (0.25+1+4+6.25)/4
// = 2.875). Shares a, b, c: a+b+c = 1, b+3c = 1.5, b+9c = 2.875: c = 1.375/6 = 11/48,
// b = 1.5-33/48 = 39/48, a = -2/48: none. With treated 0.5, 1, 1, 2.5 + 0: five of mean 1 and
// square (0.25+1+1+6.25+0)/5 = 1.7: c = 0.7/6 = 7/60, b = 39/60, a = 14/60.
func TestEntropyToSecondMomentsByHand(t *testing.T) {
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"score"}}
	tab := scored(t, []int64{1, 1, 1, 1, 1, 0, 0, 0}, []float64{0.5, 1, 1, 2.5, 0, 0, 1, 3})
	for _, method := range []string{EntropyMethod, CBPSMethod} {
		got := weighSpec(t, tab, WeightSpec{Method: method, Moments: 2}, d)
		total := got.Weight[5] + got.Weight[6] + got.Weight[7]
		for i, share := range []float64{14.0 / 60, 39.0 / 60, 7.0 / 60} {
			require.InDelta(t, share, got.Weight[5+i]/total, 1e-9, method)
		}
	}
	_, err := WeightSpec{Method: EntropyMethod, Moments: 2}.Weigh(t.Context(), scored(t, []int64{1, 1, 1, 1, 0, 0, 0}, []float64{0.5, 1, 2, 2.5, 0, 1, 3}), d)
	require.ErrorIs(t, err, ErrNoSupport)
	require.ErrorContains(t, err, "score^2")
}

// The moments that are asked for are equal after weighting, those that are not are not.
func TestMomentsAndInteractionsBalance(t *testing.T) {
	p, d := weightData(51, 900)
	d.Covariates = []string{"x0", "x1", "group"}
	tab := p.table(t)
	moment := func(w *Weighted, f func(i int) float64) float64 {
		var sum, weight [2]float64
		for i := range p.id {
			a := arm(p.treat[i])
			sum[a] += w.Weight[i] * f(i)
			weight[a] += w.Weight[i]
		}
		return math.Abs(sum[1]/weight[1] - sum[0]/weight[0])
	}
	x := func(j, power int) func(int) float64 {
		return func(i int) float64 { return math.Pow(p.x[j][i], float64(power)) }
	}
	product := func(i int) float64 { return p.x[0][i] * p.x[1][i] }
	cell := func(i int) float64 { return p.x[1][i] * float64(arm(p.group[i] == p.group[0])) }
	for _, method := range []string{EntropyMethod, CBPSMethod} {
		for _, estimand := range []string{ATT, ATC, ATE} {
			for power := 1; power <= 3; power++ {
				got := weighSpec(t, tab, WeightSpec{Method: method, Estimand: estimand, Moments: power}, d)
				for q := 1; q <= 3; q++ {
					if q <= power {
						require.Less(t, moment(got, x(0, q)), 1e-8, "%s %s %d %d", method, estimand, power, q)
					} else {
						require.Greater(t, moment(got, x(0, q)), 1e-4)
					}
				}
				require.Greater(t, moment(got, product), 1e-4)
			}
			got := weighSpec(t, tab, WeightSpec{Method: method, Estimand: estimand, Interactions: true}, d)
			require.Less(t, moment(got, product), 1e-8)
			require.Less(t, moment(got, cell), 1e-8)
			require.NotContains(t, codes(got.Notes), "moments-implied", "levels of one category have no products")
			require.Greater(t, moment(got, x(0, 2)), 1e-4)
		}
	}
	// A product that is no new column is balanced with the others and named.
	half := make([]float64, len(p.id))
	for i := range half {
		half[i] = float64(arm(p.x[0][i] > 0))
	}
	with, err := tab.With(table.NewFloat(table.Field{Name: "half"}, half, nil))
	require.NoError(t, err)
	other := make([]float64, len(p.id))
	for i := range other {
		other[i] = float64(arm(p.x[0][i] > 1)) // only where half is 1: the product is the column itself
	}
	with, err = with.With(table.NewFloat(table.Field{Name: "other"}, other, nil))
	require.NoError(t, err)
	d.Covariates = []string{"half", "other"}
	got := weighSpec(t, with, WeightSpec{Method: EntropyMethod, Moments: 3, Interactions: true}, d)
	require.Equal(t, "moments-implied", got.Notes[0].Code)
	require.Equal(t, []string{"half:other"}, got.Notes[0].Args["columns"])
}

// g = 1/(p(1-p)) of p = 1/2 is 4 (four units), of 1/10 100/9, of 1/100 10000/99. All: mean
// (16+100/9+10000/99)/6 ≈ 21.36, twice 42.7 < 101. Without the last: (16+100/9)/5 = 5.42,
// twice 10.84 < 11.1. Without both 8: four stay, γ = 8, α = ½-√(¼-⅛) = ½-√⅛.
func TestTrimmingByHand(t *testing.T) {
	tab := scored(t, []int64{1, 1, 0, 0, 0, 1}, []float64{0.5, 0.5, 0.5, 0.5, 0.1, 0.01})
	got := weighSpec(t, tab, WeightSpec{Estimand: ATE, Trim: &TrimSpec{Rule: CrumpRule}}, scoreSpec)
	require.Equal(t, []float64{2, 2, 2, 2, 0, 0}, got.Weight)
	require.Equal(t, "ate-trimmed", got.Estimand)
	require.Equal(t, []float64{0.5, 0.5, 0.5, 0.5, 0.1, 0.01}, got.Score)
	alpha := 0.5 - math.Sqrt(0.125)
	require.InDelta(t, alpha, got.Trim.Low, 1e-14)
	require.InDelta(t, 1-alpha, got.Trim.High, 1e-14)
	want := Trimmed{Rule: CrumpRule, Low: got.Trim.Low, High: got.Trim.High, TreatedBelow: 1, ControlBelow: 1, TreatedBefore: 3, TreatedAfter: 2, ControlBefore: 3, ControlAfter: 2}
	require.Equal(t, want, *got.Trim)
	require.Equal(t, "trimmed", got.Notes[0].Code)
	require.Equal(t, 2, got.Notes[0].Args["n"])
	// Scores that are all near to ½ stay, and the name of the estimand.
	got = weighSpec(t, scored(t, []int64{1, 0, 1, 0}, []float64{0.4, 0.4, 0.6, 0.6}), WeightSpec{Trim: &TrimSpec{Rule: CrumpRule}}, scoreSpec)
	require.Equal(t, ATT, got.Estimand)
	require.Equal(t, []string{"trim-unused"}, codes(got.Notes))
	require.Zero(t, got.Trim.Low)
	// Treated 0.2 0.4 0.6 0.8: the quantile ¼ is 0.35; untreated 0.1 0.3 0.5 0.9: ¾ is 0.6.
	tab = scored(t, []int64{1, 1, 1, 1, 0, 0, 0, 0}, []float64{0.2, 0.4, 0.6, 0.8, 0.1, 0.3, 0.5, 0.9})
	got = weighSpec(t, tab, WeightSpec{Trim: &TrimSpec{Rule: SturmerRule, Percentile: 25}}, scoreSpec)
	require.InDelta(t, 0.35, got.Trim.Low, 1e-14)
	require.InDelta(t, 0.6, got.Trim.High, 1e-14)
	for i, w := range []float64{0, 1, 1, 0, 0, 0, 1, 0} {
		require.InDelta(t, w, got.Weight[i], 1e-14)
	}
	require.Equal(t, [4]int{1, 1, 2, 1}, [4]int{got.Trim.TreatedBelow, got.Trim.TreatedAbove, got.Trim.ControlBelow, got.Trim.ControlAbove})
	require.Equal(t, "att-trimmed", got.Estimand)
	// A score that is equal to a bound stays.
	got = weighSpec(t, tab, WeightSpec{Method: OverlapMethod, Trim: &TrimSpec{Rule: FixedRule, Low: 0.2, High: 0.5}}, scoreSpec)
	require.Equal(t, "ato-trimmed", got.Estimand)
	for i, w := range []float64{0.8, 0.6, 0, 0, 0, 0.3, 0.5, 0} {
		require.InDelta(t, w, got.Weight[i], 1e-14)
	}
	require.InDelta(t, (0.8+0.6)*(0.8+0.6)/(0.64+0.36), got.ESSTreated, 1e-12, "units left out have no part in it")
	_, err := WeightSpec{Trim: &TrimSpec{Rule: FixedRule, Low: 0.85, High: 1}}.Weigh(t.Context(), tab, scoreSpec)
	require.ErrorIs(t, err, ErrNoSupport)
}

// With Refit the weights are those of the table without the others; without it the scores
// stay, and those who weigh by balance are weighted among themselves either way.
func TestTrimmingAndRefit(t *testing.T) {
	p, d := weightData(51, 500)
	tab := p.table(t)
	trim := TrimSpec{Rule: FixedRule, Low: 0.2, High: 0.6}
	for _, method := range []string{IPWMethod, EntropyMethod} {
		s := WeightSpec{Method: method, Trim: &trim}
		plain := weighSpec(t, tab, s, d)
		trim.Refit = true
		again := weighSpec(t, tab, s, d)
		trim.Refit = false
		var rows []int
		for i, w := range plain.Weight {
			if w > 0 {
				rows = append(rows, i)
				require.True(t, plain.Score[i] >= 0.2 && plain.Score[i] <= 0.6)
			}
		}
		require.Less(t, len(rows), 500)
		require.Equal(t, 500, plain.Trim.TreatedBefore+plain.Trim.ControlBefore)
		require.Equal(t, len(rows), plain.Trim.TreatedAfter+plain.Trim.ControlAfter)
		sub := p.take(rows)
		left := weighSpec(t, sub.table(t), WeightSpec{Method: method}, d)
		full := weighSpec(t, tab, WeightSpec{Trim: nil}, d)
		for i, r := range rows {
			require.InEpsilon(t, left.Weight[i], again.Weight[r], 1e-9)
			if method == IPWMethod {
				require.Equal(t, full.Weight[r], plain.Weight[r])
			} else {
				require.InEpsilon(t, left.Weight[i], plain.Weight[r], 1e-9)
			}
		}
		b, _, err := again.Balance(t.Context(), tab, d)
		require.NoError(t, err)
		require.Equal(t, TreatedSD, b.Denominator)
	}
}

// Weights 1, 2, 3, 10 of the untreated: the quantile 0.9 is 3 + 0.7·7 = 7.9.
func TestTruncationByHand(t *testing.T) {
	tab := scored(t, []int64{1, 0, 0, 0, 0}, []float64{0.5, 1.0 / 2, 2.0 / 3, 3.0 / 4, 10.0 / 11})
	got := weighSpec(t, tab, WeightSpec{Truncate: 0.9}, scoreSpec)
	for i, w := range []float64{1, 1, 2, 3, 7.9} {
		require.InDelta(t, w, got.Weight[i], 1e-12)
	}
	require.Equal(t, 1, got.Truncated)
	require.Equal(t, ATT, got.Estimand)
	require.Contains(t, codes(got.Notes), "weights-truncated")
	require.InDelta(t, 13.9*13.9/(1+4+9+7.9*7.9), got.ESSControl, 1e-12)
}

func TestExtremeWeightsAreSaid(t *testing.T) {
	treated, score := []int64{1}, []float64{0.5}
	for range 60 {
		treated, score = append(treated, 0), append(score, 0.05)
	}
	treated, score = append(treated, 0), append(score, 0.99)
	got := weighSpec(t, scored(t, treated, score), WeightSpec{}, scoreSpec)
	for _, n := range got.Notes {
		if n.Code == "extreme-weights" {
			require.Equal(t, 1, n.Args["n"])
			require.Equal(t, 61, n.Args["all"])
			mean := (99 + 60.0/19) / 61
			require.InDelta(t, 99/mean, n.Args["largest"], 1e-9)
			return
		}
	}
	t.Fatalf("notes %v", codes(got.Notes))
}

func TestWeightSpecBadInput(t *testing.T) {
	p, d := weightData(53, 200)
	tab := p.table(t)
	for name, c := range map[string]struct {
		s    WeightSpec
		d    Spec
		text string
	}{
		"moments":               {WeightSpec{Method: EntropyMethod, Moments: 4}, d, "1, 2 or 3"},
		"moments of ipw":        {WeightSpec{Moments: 2}, d, "does not use moments"},
		"interactions of ipw":   {WeightSpec{Interactions: true}, d, "does not use interactions"},
		"truncate":              {WeightSpec{Truncate: 1}, d, "quantile"},
		"truncate entropy":      {WeightSpec{Method: EntropyMethod, Truncate: 0.99}, d, "undo"},
		"truncate overlap":      {WeightSpec{Method: OverlapMethod, Truncate: 0.99}, d, "never above 1"},
		"trim":                  {WeightSpec{Trim: &TrimSpec{Rule: "some"}}, d, "some"},
		"trim without a rule":   {WeightSpec{Trim: &TrimSpec{}}, d, "trimming rule"},
		"bounds":                {WeightSpec{Trim: &TrimSpec{Rule: FixedRule, Low: 0.6, High: 0.3}}, d, "low < high"},
		"bounds of crump":       {WeightSpec{Trim: &TrimSpec{Rule: CrumpRule, Low: 0.1}}, d, "does not use low"},
		"percentile of fixed":   {WeightSpec{Trim: &TrimSpec{Rule: FixedRule, High: 1, Percentile: 5}}, d, "does not use percentile"},
		"percentile":            {WeightSpec{Trim: &TrimSpec{Rule: SturmerRule, Percentile: 50}}, d, "below 50"},
		"refit a column":        {WeightSpec{Trim: &TrimSpec{Rule: CrumpRule, Refit: true}}, scoreSpec, "cannot be fitted"},
		"two scores":            {WeightSpec{Propensity: &PropensitySpec{}}, scoreSpec, "two scores"},
		"model of entropy":      {WeightSpec{Method: EntropyMethod, Propensity: &PropensitySpec{}}, d, "except to trim"},
		"model":                 {WeightSpec{Propensity: &PropensitySpec{Model: "forest"}}, d, "forest"},
		"balance stop for ato":  {WeightSpec{Method: OverlapMethod, Propensity: &PropensitySpec{Model: BoostedModel, Stop: BalanceStop}}, d, "does not give"},
		"score without columns": {WeightSpec{Method: EntropyMethod, Trim: &TrimSpec{Rule: CrumpRule}}, scoreSpec, "needs covariates"},
	} {
		_, err := c.s.Weigh(t.Context(), tab, c.d)
		require.ErrorIs(t, err, ErrOption, name)
		require.ErrorContains(t, err, c.text, name)
	}
	require.Len(t, WeightSpec{Moments: 2, Interactions: true, Truncate: 2, Trim: &TrimSpec{Rule: "x"}}.Check(), 4)
}

// Row order changes no bit, whatever the model and the trimming.
func TestWeighInvariances(t *testing.T) {
	p, site, person, _ := sited(54, 330)
	perm := indices(330)
	s := num.NewStream(55, "order", 0)
	for i := range perm {
		j := s.Intn(i + 1)
		perm[i], perm[j] = perm[j], perm[i]
	}
	var sites, persons []string
	for _, r := range perm {
		sites, persons = append(sites, site[r]), append(persons, person[r])
	}
	tab, shuffled := sitedTable(t, p, site, person), sitedTable(t, p.take(perm), sites, persons)
	for name, w := range map[string]WeightSpec{
		"ridge, crump":    {Estimand: ATE, Propensity: &PropensitySpec{Model: RidgeModel, Folds: 3, Person: "person", CrossFit: true}, Trim: &TrimSpec{Rule: CrumpRule}},
		"trees, sturmer":  {Method: OverlapMethod, Propensity: &PropensitySpec{Model: BoostedModel, Stop: NoStop, Rounds: 20}, Trim: &TrimSpec{Rule: SturmerRule, Refit: true}},
		"sites, truncate": {Estimand: ATC, Propensity: &PropensitySpec{Model: MultilevelModel, Site: "site"}, Truncate: 0.9},
		"moments":         {Method: EntropyMethod, Moments: 2, Interactions: true, Trim: &TrimSpec{Rule: FixedRule, Low: 0.1, High: 0.8}},
		"cbps":            {Method: CBPSMethod, Estimand: ATE, Moments: 2},
		"cloglog":         {Estimand: ATE, Propensity: &PropensitySpec{Link: "cloglog"}},
	} {
		d := sitedSpec
		d.Workers = 1
		got := weighSpec(t, tab, w, d)
		d.Workers = 3
		other := weighSpec(t, shuffled, w, d)
		for i, k := range perm {
			require.Equal(t, math.Float64bits(got.Weight[k]), math.Float64bits(other.Weight[i]), name)
		}
		require.Equal(t, got.Estimand, other.Estimand)
		require.Equal(t, codes(got.Notes), codes(other.Notes))
	}
}
