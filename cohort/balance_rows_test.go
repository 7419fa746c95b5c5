package cohort

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

var balanceSpec = Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1", "x2", "group", "score"}}

// mixed is a data set with a number of few whole values, one continuous, one of 0 and
// 1, one of halves, a category, and weights of which some are 0.
func mixed(seed uint64, n int) (plain, []float64) {
	s := num.NewStream(seed, "mixed", 0)
	p := smooth(s, n)
	w := make([]float64, n)
	for i := range w {
		p.x[0][i] = math.Round(4 * p.x[0][i])
		p.x[2][i] = float64(arm(p.x[2][i] > 0.4))
		p.score[i] = math.Round(6*p.score[i]) / 2
		p.group[i] = string(rune('a' + s.Intn(3)))
		if s.Bernoulli(0.7) {
			w[i] = 0.2 + s.Float()
		}
	}
	return p, w
}

func mustCompare(t *testing.T, tab *table.Table, d Spec, o BalanceOptions) Balance {
	t.Helper()
	b, _, err := Compare(t.Context(), tab, d, o)
	require.NoError(t, err)
	return b
}

// exactly is every number of a table, to the last bit.
func exactly(b Balance) string { return strings.ReplaceAll(fmt.Sprintf("%+v", b), "} ", "}\n") }

func rowOf(t *testing.T, b Balance, name string) BalanceRow {
	t.Helper()
	i := slices.IndexFunc(b.Rows, func(r BalanceRow) bool { return r.Variable == name })
	require.GreaterOrEqual(t, i, 0, name)
	return b.Rows[i]
}

// naive distances of the distribution functions, value by value.
func naiveECDF(x, w []float64, treated []bool) (mean, top float64) {
	values := slices.Compact(slices.Sorted(slices.Values(x)))
	for _, v := range values {
		var below, all [2]float64
		for i := range x {
			all[arm(treated[i])] += w[i]
			if x[i] <= v {
				below[arm(treated[i])] += w[i]
			}
		}
		gap := math.Abs(below[1]/all[1] - below[0]/all[0])
		mean += gap / float64(len(values))
		top = max(top, gap)
	}
	return mean, top
}

func TestBalanceDistributionFunctionsAgainstNaive(t *testing.T) {
	for rep := range 20 {
		p, w := mixed(uint64(40+rep), 90)
		ones := slices.Repeat([]float64{1}, 90)
		if rep%2 == 0 { // whole numbers too far apart to count, an outlier, values below 0
			p.x[0][3], p.x[1][5] = 1e7, -1e12
		}
		b := mustCompare(t, p.table(t), balanceSpec, BalanceOptions{Weight: w})
		for name, x := range map[string][]float64{"x0": p.x[0], "x1": p.x[1], "score": p.score} {
			r := rowOf(t, b, name)
			for _, side := range []struct {
				s BalanceStat
				w []float64
			}{{r.Before, ones}, {r.After, w}} {
				mean, top := naiveECDF(x, side.w, p.treat)
				reftest.Near(t, name+" eCDF mean", side.s.ECDFMean, mean, 1e-13)
				reftest.Near(t, name+" eCDF max", side.s.ECDFMax, top, 1e-13)
			}
		}
	}
}

// The overlap coefficient against the integral of the smaller of two sums of normal
// densities, without grid or cut kernel, on values of every kind.
func TestOverlapAgainstIntegral(t *testing.T) {
	p, w := mixed(70, 120)
	b := mustCompare(t, p.table(t), balanceSpec, BalanceOptions{Weight: w})
	for name, x := range map[string][]float64{"x0": p.x[0], "x1": p.x[1], "score": p.score} {
		var groups [2][]float64
		for i, v := range x {
			groups[arm(p.treat[i])] = append(groups[arm(p.treat[i])], v)
		}
		small := groups[1]
		if len(groups[0]) < len(small) {
			small = groups[0]
		}
		small = slices.Sorted(slices.Values(small))
		mean, ss := num.Sum(small)/float64(len(small)), 0.0
		for _, v := range small {
			ss += (v - mean) * (v - mean)
		}
		sd := math.Sqrt(ss / float64(len(small)-1))
		h := 1.06 * min(sd, (quantile7(small, 3, 4)-quantile7(small, 1, 4))/1.34) * math.Pow(float64(len(small)), -0.2)
		integral := func(w []float64) (sum float64) {
			var all [2]float64
			for i := range x {
				all[arm(p.treat[i])] += w[i]
			}
			lo, hi := slices.Min(x)-6*h, slices.Max(x)+6*h
			const steps = 20000
			for k := range steps {
				at := lo + (hi-lo)*(float64(k)+0.5)/steps
				var f [2]float64
				for i, v := range x {
					z := (at - v) / h
					f[arm(p.treat[i])] += w[i] / all[arm(p.treat[i])] * math.Exp(-z*z/2) / h / math.Sqrt(2*math.Pi)
				}
				sum += min(f[0], f[1]) * (hi - lo) / steps
			}
			return sum
		}
		r := rowOf(t, b, name)
		reftest.Near(t, name+" before", r.Before.Overlap, integral(slices.Repeat([]float64{1}, 120)), 1.5e-3)
		reftest.Near(t, name+" after", r.After.Overlap, integral(w), 1.5e-3)
	}
	x2 := rowOf(t, b, "x2")
	require.Equal(t, 1-x2.Before.ECDFMax, x2.Before.Overlap)
}

// Overlap where it is known: the same values twice, ranges that do not meet, one group
// of one value, and values so far apart that the bandwidth has a floor.
func TestOverlapKnown(t *testing.T) {
	overlap := func(treated, control []float64) float64 {
		flags := append(slices.Repeat([]bool{true}, len(treated)), slices.Repeat([]bool{false}, len(control))...)
		tab, err := table.New(table.NewBoolean(table.Field{Name: "t"}, flags, nil), table.NewFloat(table.Field{Name: "x"}, append(slices.Clone(treated), control...), nil))
		require.NoError(t, err)
		b := mustCompare(t, tab, Spec{Treatment: "t", Covariates: []string{"x"}}, BalanceOptions{})
		return b.Rows[0].Before.Overlap
	}
	reftest.Near(t, "same", overlap([]float64{1.5, 2, 7}, []float64{2, 7, 1.5}), 1, 1e-12)
	require.Equal(t, 0.0, overlap([]float64{1, 2.5}, []float64{2.6, 9}))
	require.Equal(t, 1.0, overlap([]float64{0.1, 0.1}, []float64{0.1, 0.1, 0.1}))
	require.Equal(t, 0.0, overlap([]float64{0.1}, []float64{0.2, 0.2}))
	// One treated at 5, the SD of the untreated gives the width: 1.06·SD·3^(-1/5), SD of
	// 4, 5, 6 is 1, so h = 0.8509. f₁ is one normal, f₀ the mean of three at -δ, 0, δ with
	// δ = 1/h = 1.1752; they cross at ±z where e^(-z²/2)·(1 - 1/3) = (1/3)(e^(-(z-δ)²/2) + e^(-(z+δ)²/2)), that is
	// cosh(zδ) = e^(δ²/2), z = 1.1114. Overlap 1 - ∫|f₁-f₀|/2 = 1 - [Φ₁ - Φ₀] over (-z, z).
	d := math.Pow(3, 0.2) / 1.06
	z := math.Acosh(math.Exp(d*d/2)) / d
	in := func(mean float64) float64 { return (math.Erf((z-mean)/math.Sqrt2) + math.Erf((z+mean)/math.Sqrt2)) / 2 }
	reftest.Near(t, "one against three", overlap([]float64{5}, []float64{4, 5, 6}), 1-2*(in(0)-in(d))/3, 2e-3)
	v := overlap([]float64{0, 1, 1e9}, []float64{0, 1, 2, 1e9})
	require.True(t, v > 0.9 && v <= 1, v)
	require.True(t, math.IsNaN(overlap([]float64{-math.MaxFloat64, 1}, []float64{0, math.MaxFloat64})))
}

// A square, a product and the product with a level are what a column made by hand is.
func TestBalanceSquaresAndInteractions(t *testing.T) {
	p, w := mixed(71, 100)
	tab := p.table(t)
	o := BalanceOptions{Weight: w, Pairs: [][2]int{}, Squares: true, Interactions: true, Denominator: PooledSD}
	var treated, control []int
	for i := range p.id {
		if p.treat[i] {
			treated = append(treated, i)
		} else {
			control = append(control, i)
		}
	}
	for k := range min(len(treated), len(control)) {
		o.Pairs = append(o.Pairs, [2]int{treated[k], control[k]})
	}
	b := mustCompare(t, tab, balanceSpec, o)
	// 4 numbers and 3 levels; squares of the three that are not 0/1; 21 pairs less 3 of levels.
	require.Len(t, b.Rows, 7+3+21-3)
	made := map[string][]float64{"x0^2": nil, "x0*x1": nil, "x1*group[b]": nil, "group[c]*score": nil, "x1*x2": nil, "score^2": nil, "x2*group[a]": nil}
	is := func(i int, level string) float64 { return float64(arm(p.group[i] == level)) }
	for i := range p.id {
		for name, v := range map[string]float64{"x0^2": p.x[0][i] * p.x[0][i], "x0*x1": p.x[0][i] * p.x[1][i], "x1*group[b]": p.x[1][i] * is(i, "b"),
			"group[c]*score": is(i, "c") * p.score[i], "x1*x2": p.x[1][i] * p.x[2][i], "score^2": p.score[i] * p.score[i], "x2*group[a]": p.x[2][i] * is(i, "a")} {
			made[name] = append(made[name], v)
		}
	}
	for name, v := range made {
		got := rowOf(t, b, name)
		with, err := tab.With(table.NewFloat(table.Field{Name: "made"}, v, nil))
		require.NoError(t, err)
		plainOptions := o
		plainOptions.Squares, plainOptions.Interactions = false, false
		d := balanceSpec
		d.Covariates = []string{"made"}
		want := mustCompare(t, with, d, plainOptions).Rows[0]
		require.Equal(t, fmt.Sprint(want.Before, want.After, want.Binary, want.Treated), fmt.Sprint(got.Before, got.After, got.Binary, got.Treated), name)
	}
	r := rowOf(t, b, "x1*group[b]")
	require.Equal(t, []string{string(InteractionRow), "x1", "", "group", "b"}, []string{string(r.Kind), r.Column, r.Level, r.Column2, r.Level2})
	require.True(t, rowOf(t, b, "x2*group[a]").Binary)

	big, err := tab.With(table.NewFloat(table.Field{Name: "x1"}, slices.Repeat([]float64{1e160, 2}, 50), nil))
	require.NoError(t, err)
	_, _, err = Compare(t.Context(), big, balanceSpec, BalanceOptions{Squares: true})
	require.ErrorIs(t, err, ErrCovariate)
	require.ErrorContains(t, err, "x1")
}

// Missing values: without the option an error with the count; with it the rows of the
// column are those of the rows that have a value, and [missing] is the 0/1 column.
func TestBalanceMissing(t *testing.T) {
	p, w := mixed(72, 100)
	s := num.NewStream(73, "missing", 0)
	has, gone := make([]bool, 100), make([]float64, 100)
	var kept []int
	for i := range has {
		has[i] = s.Bernoulli(0.8)
		if gone[i] = float64(arm(!has[i])); has[i] {
			kept = append(kept, i)
		}
	}
	tab := p.table(t)
	for _, c := range []table.Column{
		table.NewFloat(table.Field{Name: "x1"}, p.x[1], has), table.NewText(table.Field{Name: "group"}, p.group, has),
		table.NewFloat(table.Field{Name: "gone"}, gone, nil),
	} {
		var err error
		tab, err = tab.With(c)
		require.NoError(t, err)
	}
	_, _, err := Compare(t.Context(), tab, balanceSpec, BalanceOptions{Weight: w})
	require.ErrorIs(t, err, ErrCovariate)
	o := BalanceOptions{Weight: w, Missing: true, Interactions: true}
	b := mustCompare(t, tab, balanceSpec, o)
	var wk []float64
	for _, i := range kept {
		wk = append(wk, w[i])
	}
	part := mustCompare(t, p.take(kept).table(t), balanceSpec, BalanceOptions{Weight: wk, Interactions: true})
	for _, name := range []string{"x1", "group[a]", "group[b]", "group[c]", "x0*x1", "x1*group[a]"} {
		got, want := rowOf(t, b, name), rowOf(t, part, name)
		require.Equal(t, want.Treated, got.Treated)
		for _, s := range [][2]BalanceStat{{got.Before, want.Before}, {got.After, want.After}} {
			require.Equal(t, fmt.Sprint(s[1]), fmt.Sprint(s[0]), name)
		}
	}
	d := balanceSpec
	d.Covariates = []string{"gone"}
	want := mustCompare(t, tab, d, BalanceOptions{Weight: w}).Rows[0]
	for _, name := range []string{"x1[missing]", "group[missing]"} {
		got := rowOf(t, b, name)
		require.Equal(t, MissingRow, got.Kind)
		require.Equal(t, "", got.Level)
		require.Equal(t, fmt.Sprint(want.Before, want.After), fmt.Sprint(got.Before, got.After))
	}
	// Nobody among the treated has a value: no number, and a note.
	none := slices.Clone(has)
	for i := range none {
		none[i] = !p.treat[i]
	}
	tab, err = tab.With(table.NewFloat(table.Field{Name: "x1"}, p.x[1], none))
	require.NoError(t, err)
	b, notes, err := Compare(t.Context(), tab, balanceSpec, BalanceOptions{Weight: w, Missing: true})
	require.NoError(t, err)
	require.Contains(t, codes(notes), "unobserved-covariate")
	r := rowOf(t, b, "x1")
	require.True(t, math.IsNaN(r.Before.SMD) && math.IsNaN(r.Before.ECDFMax) && math.IsNaN(r.After.Overlap))
	require.Equal(t, 2, b.SummaryBefore(0.1).Undefined) // nor have the treated a spread in x1[missing]
}

// Several designs beside each other are the designs one by one.
func TestBalanceOthers(t *testing.T) {
	p, w := mixed(74, 100)
	tab, other := p.table(t), slices.Repeat([]float64{1, 0.5}, 50)
	b := mustCompare(t, tab, balanceSpec, BalanceOptions{Weight: w, Others: []NamedWeight{{"second", other}, {"first again", w}}})
	alone := mustCompare(t, tab, balanceSpec, BalanceOptions{Weight: other})
	only := mustCompare(t, tab, balanceSpec, BalanceOptions{Others: []NamedWeight{{"second", other}}})
	for i, r := range b.Rows {
		require.Equal(t, fmt.Sprint(alone.Rows[i].After), fmt.Sprint(r.Others[0]))
		require.Equal(t, fmt.Sprint(r.After), fmt.Sprint(r.Others[1]))
		require.Equal(t, fmt.Sprint(r.Others[0]), fmt.Sprint(only.Rows[i].Others[0]))
		require.True(t, math.IsNaN(only.Rows[i].After.SMD))
	}
	require.Equal(t, DesignSize{"second", alone.ESSTreated, alone.ESSControl}, b.Others[0])
	require.Equal(t, fmt.Sprint(alone.SummaryAfter(0.1)), fmt.Sprint(b.SummaryOther(0, 0.1)))
	for says, o := range map[string][]NamedWeight{"names": {{"", w}}, "of their own": {{"a", w}, {"a", w}}, "a: 1 weights": {{"a", w[:1]}}} {
		_, _, err := Compare(t.Context(), tab, balanceSpec, BalanceOptions{Others: o})
		require.ErrorContains(t, err, says)
	}
}

// A stratum's balance is that of its rows alone.
func TestBalanceByStratum(t *testing.T) {
	p, w := mixed(75, 160)
	for i := range p.id {
		if p.group[i] == "c" {
			p.treat[i] = false
		}
	}
	tab := p.table(t)
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1", "score"}}
	o := BalanceOptions{Weight: w, Score: p.score}
	for i := 1; i < len(p.id); i++ { // pairs within strata and across
		if p.treat[i] && !p.treat[i-1] {
			o.Pairs = append(o.Pairs, [2]int{i, i - 1})
		}
	}
	strata, notes, err := CompareBy(t.Context(), tab, d, o, []string{"group", "x2"})
	require.NoError(t, err)
	require.Equal(t, []string{"stratum-one-group"}, codes(notes))
	require.Equal(t, 2, notes[0].Args["n"])
	require.Len(t, strata, 6)
	units, within := 0, 0
	for _, s := range strata {
		var rows []int
		var ws []float64
		for i := range p.id {
			if p.group[i] == s.Levels[0] && fmt.Sprint(p.x[2][i]) == s.Levels[1] {
				rows, ws = append(rows, i), append(ws, w[i])
			}
		}
		require.Len(t, rows, s.Units)
		units += s.Units
		if s.Levels[0] == "c" {
			require.ErrorIs(t, s.Gone, ErrNoTreated)
			require.Empty(t, s.Balance.Rows)
			continue
		}
		part := p.take(rows)
		inside := BalanceOptions{Weight: ws, Score: part.score}
		for _, pair := range o.Pairs {
			if a, b := slices.Index(rows, pair[0]), slices.Index(rows, pair[1]); a >= 0 && b >= 0 {
				inside.Pairs = append(inside.Pairs, [2]int{a, b})
			}
		}
		within += len(inside.Pairs)
		want := mustCompare(t, part.table(t), d, inside)
		require.Equal(t, exactly(want), exactly(s.Balance))
	}
	require.Equal(t, 160, units)
	require.True(t, within > 0 && within < len(o.Pairs))
	_, _, err = CompareBy(t.Context(), tab, d, o, nil)
	require.ErrorIs(t, err, ErrOption)
	_, _, err = CompareBy(t.Context(), tab, d, o, []string{"nowhere"})
	require.ErrorIs(t, err, ErrCovariate)
}

// The denominator "all" is the SD of everybody; a constant column whose mean rounds has none.
func TestBalanceDenominatorAll(t *testing.T) {
	p, w := mixed(76, 80)
	b := mustCompare(t, p.table(t), balanceSpec, BalanceOptions{Weight: w, Denominator: AllSD})
	for name, x := range map[string][]float64{"x1": p.x[1], "x2": p.x[2]} {
		mean, ss := num.Sum(x)/80, 0.0
		for _, v := range x {
			ss += (v - mean) * (v - mean)
		}
		divisor := 79.0
		if name == "x2" {
			divisor = 80
		}
		r := rowOf(t, b, name)
		reftest.Agree(t, name, r.Before.SMD, (r.Before.MeanTreated-r.Before.MeanControl)/math.Sqrt(ss/divisor), 12)
		reftest.Agree(t, name, r.After.SMD, (r.After.MeanTreated-r.After.MeanControl)/math.Sqrt(ss/divisor), 12)
	}
	tab, err := p.table(t).With(table.NewFloat(table.Field{Name: "x1"}, slices.Repeat([]float64{0.1}, 80), nil))
	require.NoError(t, err)
	for _, den := range []string{TreatedSD, ControlSD, PooledSD, AllSD} {
		r := rowOf(t, mustCompare(t, tab, balanceSpec, BalanceOptions{Weight: w, Denominator: den}), "x1")
		require.True(t, math.IsNaN(r.Before.SMD) && math.IsNaN(r.After.SMD) && math.IsNaN(r.After.VarianceRatio), den)
	}
}

// The summary is what a reader would count.
func TestBalanceSummary(t *testing.T) {
	nan := math.NaN()
	row := func(name string, smd, ks, mt, mc float64) BalanceRow {
		return BalanceRow{Variable: name, After: BalanceStat{SMD: smd, ECDFMax: ks, MeanTreated: mt, MeanControl: mc}}
	}
	b := Balance{Rows: []BalanceRow{row("distance", 9, 0.9, 1, 0), row("a", -0.3, 0.1, 1, 2), row("b", 0.1, 0.25, 2, 1), row("c", nan, nan, 1, 1), row("d", nan, 0.2, 1, 0), row("e", 0.2, 0, 1, 1)}}
	b.Rows[0].Kind = ScoreRow
	s := b.SummaryAfter(0.1)
	reftest.Agree(t, "mean", s.MeanSMD, 0.2, 14)
	require.Equal(t, BalanceSummary{Rows: 3, Threshold: 0.1, Above: 2, MaxSMD: 0.3, MaxSMDRow: 1, MeanSMD: s.MeanSMD, MaxKS: 0.25, MaxKSRow: 2, Undefined: 1}, s)
	none := Balance{Rows: []BalanceRow{{Before: missingStat(), After: missingStat()}}}.SummaryAfter(0.1)
	require.Equal(t, []any{0, 1, -1}, []any{none.Rows, none.Undefined, none.MaxSMDRow})
	require.True(t, math.IsNaN(none.MaxSMD))
}
