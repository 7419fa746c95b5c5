package cohort

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

// Treated 1, 3; untreated 1, 2, 6 with weights 1, 2, 0 and pairs (1,1), (3,2).
//
//	before: means 2 and 3; treated variance 2, SD √2; SMD -1/√2. Untreated variance
//	        (4+1+9)/2 = 7, ratio 2/7. Distribution functions at 1, 2, 3, 6: treated ½ ½ 1 1,
//	        untreated ⅓ ⅔ ⅔ 1: distances 1/6, 1/6, 1/3, 0: mean 1/6, largest 1/3.
//	after:  untreated weights ⅓, ⅔: mean 5/3; SMD (2-5/3)/√2. Variance [⅓(2/3)² + ⅔(1/3)²]
//	        / (1-5/9) = (2/9)/(4/9) = ½; ratio 4. Functions ½ ½ 1 1 and ⅓ 1 1 1: distances
//	        1/6, ½, 0, 0: mean 1/6, largest ½. Pairs: (0+1)/2 over √2.
//	ESS of the untreated: 9/5.
func TestBalanceByHand(t *testing.T) {
	tab, err := table.New(
		table.NewBoolean(table.Field{Name: "treated"}, []bool{true, false, true, false, false}, nil),
		table.NewFloat(table.Field{Name: "x"}, []float64{1, 1, 3, 2, 6}, nil),
		table.NewText(table.Field{Name: "g"}, []string{"a", "a", "b", "c", "c"}, nil),
		table.NewInteger(table.Field{Name: "b"}, []int64{0, 1, 1, 1, 0}, nil),
	)
	require.NoError(t, err)
	d := Spec{Treatment: "treated", Covariates: []string{"x", "g", "b"}}
	o := BalanceOptions{Weight: []float64{1, 1, 1, 2, 0}, Pairs: [][2]int{{0, 1}, {2, 3}}}
	b, notes, err := Compare(t.Context(), tab, d, o)
	require.NoError(t, err)
	check := func(what string, got BalanceStat, want BalanceStat) {
		t.Helper()
		for name, v := range map[string][2]float64{
			"mean treated": {got.MeanTreated, want.MeanTreated}, "mean control": {got.MeanControl, want.MeanControl}, "SMD": {got.SMD, want.SMD},
			"ratio": {got.VarianceRatio, want.VarianceRatio}, "eCDF mean": {got.ECDFMean, want.ECDFMean}, "eCDF max": {got.ECDFMax, want.ECDFMax},
			"pairs": {got.PairDistance, want.PairDistance},
		} {
			if math.IsNaN(v[0]) && math.IsNaN(v[1]) {
				continue
			}
			reftest.Agree(t, what+" "+name, v[0], v[1], 13)
		}
	}
	nan, r2 := math.NaN(), math.Sqrt2
	require.Equal(t, "x", b.Rows[0].Variable)
	check("x before", b.Rows[0].Before, stat7(2, 3, -1/r2, 2.0/7, 1.0/6, 1.0/3, nan))
	check("x after", b.Rows[0].After, stat7(2, 5.0/3, (2-5.0/3)/r2, 4, 1.0/6, 0.5, 0.5/r2))
	// Levels: a ½ of the treated and ⅓ of the untreated before, weights ⅓ after; SD ½. Pair 2 is b with c.
	require.Equal(t, "g[a]", b.Rows[1].Variable)
	check("a before", b.Rows[1].Before, stat7(0.5, 1.0/3, 1.0/3, nan, 1.0/6, 1.0/6, nan))
	check("a after", b.Rows[1].After, stat7(0.5, 1.0/3, 1.0/3, nan, 1.0/6, 1.0/6, 0))
	check("b after", b.Rows[2].After, stat7(0.5, 0, 1, nan, 0.5, 0.5, 1))
	// No treated unit has level c: the treated SD is 0 and nothing divides by it.
	require.Equal(t, "g[c]", b.Rows[3].Variable)
	check("c after", b.Rows[3].After, stat7(0, 2.0/3, nan, nan, 2.0/3, 2.0/3, nan))
	require.Equal(t, []string{"no-denominator"}, codes(notes))
	require.Equal(t, []string{"g[c]"}, notes[0].Args["columns"])
	require.Contains(t, notes[0].Text, "1 columns (g[c])")
	// A number column of 0 and 1 is binary: SD √(½·½); pairs (0,1) and (1,1).
	check("0/1 before", b.Rows[4].Before, stat7(0.5, 2.0/3, -1.0/3, nan, 1.0/6, 1.0/6, nan))
	check("0/1 after", b.Rows[4].After, stat7(0.5, 1, -1, nan, 0.5, 0.5, 1))
	reftest.Agree(t, "ESS", b.ESSControl, 9.0/5, 14)
	reftest.Agree(t, "ESS treated", b.ESSTreated, 2, 14)
	require.Equal(t, "treated", b.Denominator)

	o.Denominator = ControlSD
	b, _, err = Compare(t.Context(), tab, d, o)
	require.NoError(t, err)
	reftest.Agree(t, "SMD over the untreated SD", b.Rows[0].Before.SMD, -1/math.Sqrt(7), 13)
	reftest.Agree(t, "0/1 over the untreated SD", b.Rows[4].Before.SMD, (0.5-2.0/3)/math.Sqrt(2.0/9), 13)
	o.Denominator = PooledSD
	b, notes, err = Compare(t.Context(), tab, d, o)
	require.NoError(t, err)
	require.Empty(t, notes)
	reftest.Agree(t, "SMD over the pooled SD", b.Rows[0].Before.SMD, -1/math.Sqrt(4.5), 13)
}

// stat7 is a stat without an overlap coefficient.
func stat7(mt, mc, smd, ratio, mean, top, pairs float64) BalanceStat {
	return BalanceStat{MeanTreated: mt, MeanControl: mc, SMD: smd, VarianceRatio: ratio, ECDFMean: mean, ECDFMax: top, PairDistance: pairs}
}

func TestBalanceWithoutADesign(t *testing.T) {
	tab := byHand(t)
	b, notes, err := Compare(t.Context(), tab, Spec{Treatment: "treated", ID: "id", Covariates: []string{"age"}}, BalanceOptions{})
	require.NoError(t, err)
	require.Empty(t, notes)
	require.True(t, math.IsNaN(b.Rows[0].After.SMD) && math.IsNaN(b.Rows[0].After.MeanTreated) && math.IsNaN(b.Rows[0].After.ECDFMax))
	require.Equal(t, 3.0, b.ESSTreated)
}

func TestBalanceRefuses(t *testing.T) {
	tab := byHand(t)
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"age"}}
	for says, o := range map[string]BalanceOptions{
		"denominator":           {Denominator: "both"},
		"2 weights for 7":       {Weight: []float64{1, 1}},
		"weight of row 2":       {Weight: []float64{1, -1, 1, 1, 1, 1, 1}},
		"weight of row 3":       {Weight: []float64{1, 1, math.NaN(), 1, 1, 1, 1}},
		"no treated units":      {Weight: []float64{0, 1, 0, 1, 0, 1, 1}},
		"no comparison units":   {Weight: []float64{1, 0, 1, 0, 1, 0, 0}},
		"1 scores for 7":        {Score: []float64{1}},
		"row outside the table": {Pairs: [][2]int{{0, 9}}},
	} {
		_, _, err := Compare(t.Context(), tab, d, o)
		require.ErrorContains(t, err, says)
	}
	flat, err := tab.With(table.NewFloat(table.Field{Name: "age"}, make([]float64, 7), nil))
	require.NoError(t, err)
	b, notes, err := Compare(t.Context(), flat, d, BalanceOptions{})
	require.NoError(t, err)
	require.True(t, math.IsNaN(b.Rows[0].Before.SMD))
	require.Equal(t, []string{"constant-covariate"}, codes(notes))
}

// Whole-number weights are as many copies, except in what counts units: the variance
// of copies differs, means, SMD and distribution functions do not.
func TestBalanceWeightsAreCopies(t *testing.T) {
	s := num.NewStream(33, "copies", 0)
	p := smooth(s, 80)
	w := make([]float64, 80)
	var rows []int
	for i := range w {
		w[i] = float64(1 + s.Intn(3))
		for range int(w[i]) {
			rows = append(rows, i)
		}
	}
	d := Spec{Treatment: "treated", Covariates: append(slices.Clone(threeCovariates), "group")}
	a, _, err := Compare(t.Context(), p.table(t), d, BalanceOptions{Weight: w})
	require.NoError(t, err)
	b, _, err := Compare(t.Context(), p.take(rows).table(t), d, BalanceOptions{})
	require.NoError(t, err)
	for i := range a.Rows {
		x, y := a.Rows[i].After, b.Rows[i].Before
		name := fmt.Sprint(a.Rows[i].Variable, " ")
		reftest.Agree(t, name+"mean", x.MeanTreated, y.MeanTreated, 11)
		reftest.Agree(t, name+"mean", x.MeanControl, y.MeanControl, 11)
		reftest.Agree(t, name+"eCDF mean", x.ECDFMean, y.ECDFMean, 11)
		reftest.Agree(t, name+"eCDF max", x.ECDFMax, y.ECDFMax, 11)
	}
}

// A column made of others is named; a constant one is not called collinear.
func TestBalanceNamesCollinearColumns(t *testing.T) {
	p := smooth(num.NewStream(34, "collinear", 0), 60)
	sum := make([]float64, 60)
	for i := range sum {
		p.group[i] = string(rune('a' + i%3))
		sum[i] = 3*p.x[0][i] - p.x[2][i] + 1e4
	}
	tab, err := p.table(t).With(table.NewFloat(table.Field{Name: "sum"}, sum, nil))
	require.NoError(t, err)
	_, notes, err := Compare(t.Context(), tab, Spec{Treatment: "treated", Covariates: []string{"x0", "group", "x2", "sum", "x1"}}, BalanceOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"collinear-covariate"}, codes(notes))
	require.Equal(t, []string{"sum"}, notes[0].Args["columns"])
	require.Contains(t, notes[0].Text, "1 columns (sum)", "a reader of the text alone must see which")
	_, notes, err = Compare(t.Context(), tab, Spec{Treatment: "treated", Covariates: []string{"x0", "group", "x2", "x1"}}, BalanceOptions{})
	require.NoError(t, err)
	require.Empty(t, notes)
}
