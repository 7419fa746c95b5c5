package missing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
)

// Predictions 0, 1, 1, 1, 5 and a target of .9: the two nearest are two of the three ones,
// at random; the four nearest are all but the last, each in a quarter of the draws.
func TestDonorsByHand(t *testing.T) {
	p := []float64{1, 5, 1, 0, 1}
	d := newDonors(len(p), func(i int) float64 { return p[i] })
	count := func(target float64, k int) []float64 {
		out := make([]float64, len(p))
		for i := range 6000 {
			out[d.pick(target, k, num.NewStream(1, "donors", uint64(i)))] += 1. / 6000
		}
		return out
	}
	third, quarter := 1./3, .25
	for _, c := range []struct {
		target float64
		k      int
		want   []float64
	}{
		{.9, 2, []float64{third, 0, third, 0, third}},
		{.9, 1, []float64{third, 0, third, 0, third}},
		{.9, 4, []float64{quarter, 0, quarter, quarter, quarter}},
		{.9, 9, []float64{.2, .2, .2, .2, .2}},
		{9, 1, []float64{0, 1, 0, 0, 0}},
		{-9, 1, []float64{0, 0, 0, 1, 0}},
		{3, 2, []float64{.25, .25, .25, 0, .25}}, // 1 and 5 are at the same distance
	} {
		got := count(c.target, c.k)
		for i := range got {
			require.InDelta(t, c.want[i], got[i], .03, "%v", c)
		}
	}
}

func TestRhatByHand(t *testing.T) {
	// Chains 1, 3 and 5, 7: W = 2, means 2 and 6 with variance 8, T = 2: √((1/2·2 + 8)/2).
	near(t, math.Sqrt(4.5), rhat([][]float64{{1, 3}, {5, 7}}), 14)
	require.True(t, math.IsNaN(rhat([][]float64{{1, 3}})))
	require.True(t, math.IsNaN(rhat([][]float64{{1}, {2}})))
	require.True(t, math.IsNaN(rhat([][]float64{{1, 1}, {2, 2}})))
}

// people are n units: x complete, y = 1 + x + e, b and c categories that depend on both;
// at random y is missing where x is high, b and c where y is.
func people(n int, seed uint64) Data {
	d := Data{Unit: names(n)}
	mk := func(name string, k Kind, levels ...string) Variable {
		return Variable{Name: name, Kind: k, Levels: levels, Values: make([]float64, n), Missing: make([]bool, n)}
	}
	y, x, b, c, o := mk("y", Number), mk("x", Number), mk("b", Binary), mk("c", Nominal, "p", "q", "r"), mk("o", Ordered, "low", "mid", "high")
	for i := range n {
		s := num.NewStream(seed, "people", uint64(i))
		x.Values[i] = s.Normal()
		y.Values[i] = 1 + x.Values[i] + s.Normal()
		if s.Bernoulli(logistic(x.Values[i])) {
			b.Values[i] = 1
		}
		c.Values[i] = float64(s.Intn(3))
		o.Values[i] = math.Max(0, math.Min(2, math.Round(1+.5*y.Values[i]+.5*s.Normal())))
		y.Missing[i] = s.Bernoulli(logistic(1.5*x.Values[i] - .5))
		b.Missing[i], c.Missing[i], o.Missing[i] = s.Bernoulli(.2), s.Bernoulli(.2), s.Bernoulli(.2)
	}
	x.Missing = nil
	d.Variables = []Variable{y, x, b, c, o}
	return d
}

// The draws of the linear method have the posterior's mean and variance: over many
// imputations the mean of a missing y is x'β̂ and its variance
// s²·df/(df-2)·(1 + x'(X'X)⁻¹x).
func TestLinearDrawsAreThePosterior(t *testing.T) {
	n := 12
	d := Data{Unit: names(n), Variables: []Variable{
		{Name: "y", Kind: Number, Method: Linear, Values: []float64{1, 3, 2, 5, 4, 6, 8, 7, 9, 9, 11, 0}, Missing: append(make([]bool, 11), true)},
		{Name: "x", Kind: Number, Values: []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14}},
	}}
	im, err := Impute{M: 4000, Iterations: 1, Seed: 3}.Run(t.Context(), d)
	require.NoError(t, err)
	var got []float64
	for k := range im.M {
		got = append(got, im.Completed(k)[0].Values[11])
	}
	mean, variance := meanVar(got)
	var x, y []float64
	for i := range 11 {
		x, y = append(x, 1, d.Variables[1].Values[i]), append(y, d.Variables[0].Values[i])
	}
	fit, err := num.LeastSquares(num.LsqData{N: 11, K: 2, X: x, Y: y})
	require.NoError(t, err)
	v := fit.Inverse
	h := v.At(0, 0) + 28*v.At(0, 1) + 196*v.At(1, 1)
	want := fit.RSS / 9 * 9 / 7 * (1 + h)
	require.InDelta(t, fit.Coef[0]+14*fit.Coef[1], mean, 4*math.Sqrt(want/4000))
	require.InDelta(t, 1, variance/want, .12)
}

// A logistic imputation of a share: with no covariates but a constant one its mean is the
// observed share, and its spread over imputations that of share and draw.
func TestLogitDrawsAreThePosterior(t *testing.T) {
	n := 60
	b := Variable{Name: "b", Kind: Binary, Values: make([]float64, n), Missing: make([]bool, n)}
	x := Variable{Name: "x", Kind: Number, Values: make([]float64, n)}
	for i := range n {
		x.Values[i] = float64(i % 2)
		b.Missing[i] = i >= 40
		if i < 40 && (i%2 == 0 && i%10 < 8 || i%2 == 1 && i%10 < 4) { // 16 of 20 at x = 0, 8 of 20 at x = 1
			b.Values[i] = 1
		}
	}
	im, err := Impute{M: 2000, Iterations: 1, Seed: 5}.Run(t.Context(), Data{Unit: names(n), Variables: []Variable{b, x}})
	require.NoError(t, err)
	var sums [2]float64
	var shares []float64
	for k := range im.M {
		share := 0.0
		for i := 40; i < n; i++ {
			v := im.Completed(k)[0].Values[i] / 10
			sums[i%2] += v / 2000
			share += v * float64(i%2)
		}
		shares = append(shares, share)
	}
	// The share drawn at x = 1 varies by that of 20 observed and of 10 drawn people.
	_, v := meanVar(shares)
	require.InDelta(t, 1, v/(.24*(1./20+1./10)), .15)
	require.InDelta(t, .8, sums[0], .03)
	require.InDelta(t, .4, sums[1], .02)
}

// Neither the order of rows nor that of variables nor the number of workers changes a byte.
func TestImputeOrderDoesNotMatter(t *testing.T) {
	d := people(120, 1)
	o := Impute{M: 3, Iterations: 3, Seed: 9, Workers: 1}
	want, err := o.Run(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c", "o", "y"}, imputedNames(want, true))
	e := Data{}
	order := num.NewStream(4, "order", 0)
	rows := make([]int, len(d.Unit))
	for i := range rows {
		j := order.Intn(i + 1)
		rows[i], rows[j] = rows[j], i
	}
	for _, r := range rows {
		e.Unit = append(e.Unit, d.Unit[r])
	}
	for j := range d.Variables {
		v := d.Variables[len(d.Variables)-1-j]
		w := v
		w.Values, w.Missing = nil, nil
		for _, r := range rows {
			w.Values = append(w.Values, v.Values[r])
			if v.Missing != nil {
				w.Missing = append(w.Missing, v.Missing[r])
			}
		}
		e.Variables = append(e.Variables, w)
	}
	o.Workers = 7
	got, err := o.Run(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, want.Imputed, got.Imputed)
	for k := range 3 {
		a, b := want.Completed(k), got.Completed(k)
		for j := range a {
			for at, r := range rows {
				require.Equal(t, a[j].Values[r], b[len(b)-1-j].Values[at])
			}
		}
	}
}

func imputedNames(im *Imputations, sorted bool) (out []string) {
	for _, v := range im.Imputed {
		out = append(out, v.Name)
	}
	if sorted {
		slices.Sort(out)
	}
	return out
}

// Every option changes a result; what is observed stays; categories stay categories.
func TestImputeOptionsMatter(t *testing.T) {
	d := people(150, 2)
	run := func(o Impute, change func(d *Data)) [][]float64 {
		e := d
		e.Variables = slices.Clone(d.Variables)
		if change != nil {
			change(&e)
		}
		im, err := o.Run(t.Context(), e)
		require.NoError(t, err)
		var out [][]float64
		last := im.Completed(im.M - 1)
		for j, v := range last {
			require.Nil(t, v.Missing)
			for i, y := range v.Values {
				if !d.Variables[j].missing(i) {
					require.Equal(t, d.Variables[j].Values[i], y)
				}
				if v.Kind != Number {
					require.Contains(t, []float64{0, 1, 2}, y)
				}
			}
			out = append(out, v.Values)
		}
		return out
	}
	base := Impute{M: 2, Iterations: 3, Seed: 1}
	want := run(base, nil)
	require.Equal(t, want, run(base, nil))
	for name, got := range map[string][][]float64{
		"seed":        run(Impute{M: 2, Iterations: 3, Seed: 2}, nil),
		"m":           run(Impute{M: 3, Iterations: 3, Seed: 1}, nil),
		"iterations":  run(Impute{M: 2, Iterations: 4, Seed: 1}, nil),
		"donors":      run(Impute{M: 2, Iterations: 3, Seed: 1, Donors: 1}, nil),
		"linear":      run(base, func(d *Data) { d.Variables[0].Method = Linear }),
		"multinomial": run(base, func(d *Data) { d.Variables[4].Method = Multinomial }),
		"pmm":         run(base, func(d *Data) { d.Variables[2].Method = PMM }),
		"arm": run(base, func(d *Data) {
			for i := range d.Unit {
				d.Arm = append(d.Arm, i%2)
			}
		}),
	} {
		require.NotEqual(t, want, got, name)
	}
	require.Equal(t, want, run(Impute{M: 2, Iterations: 3, Seed: 1, Donors: 5}, nil))
}

// Imputed in each arm apart, a slope that differs between arms stays; together it does not.
func TestImputeByArmKeepsAnInteraction(t *testing.T) {
	n := 2000
	y, x := Variable{Name: "y", Kind: Number, Method: Linear, Values: make([]float64, n), Missing: make([]bool, n)}, Variable{Name: "x", Kind: Number, Values: make([]float64, n)}
	var a []int
	for i := range n {
		s := num.NewStream(8, "arm", uint64(i))
		a = append(a, i%2)
		x.Values[i] = s.Normal()
		y.Values[i] = float64(2*(i%2)-1)*x.Values[i] + .1*s.Normal()
		y.Missing[i] = i%4 < 2
	}
	slope := func(arm []int) float64 {
		im, err := Impute{M: 1, Iterations: 1, Seed: 1}.Run(t.Context(), Data{Unit: names(n), Variables: []Variable{y, x}, Arm: arm})
		require.NoError(t, err)
		v := im.Completed(0)[0].Values
		var xy, xx float64
		for i := range n {
			if y.Missing[i] && i%2 == 1 {
				xy += x.Values[i] * v[i]
				xx += x.Values[i] * x.Values[i]
			}
		}
		return xy / xx
	}
	require.InDelta(t, 1, slope(a), .03)
	require.InDelta(t, 0, slope(nil), .15)
}

// Data that separate, collinear and constant columns, a level nobody has: filled, or an
// error that names the column.
func TestImputeHardCases(t *testing.T) {
	n := 40
	v := func(name string, k Kind, f func(i int) float64, gone func(i int) bool) Variable {
		out := Variable{Name: name, Kind: k, Values: make([]float64, n), Missing: make([]bool, n)}
		for i := range n {
			out.Values[i], out.Missing[i] = f(i), gone != nil && gone(i)
		}
		if k == Nominal || k == Ordered {
			out.Levels = []string{"a", "b", "c", "d"}
		}
		return out
	}
	some := func(i int) bool { return i%5 == 0 }
	id := func(i int) float64 { return float64(i) }
	step := func(i int) float64 { return float64(i / 20) }
	run := func(vars ...Variable) (*Imputations, error) {
		return Impute{M: 2, Iterations: 2, Seed: 1}.Run(t.Context(), Data{Unit: names(n), Variables: vars})
	}
	im, err := run(v("b", Binary, step, some), v("x", Number, id, nil)) // separated by x
	require.NoError(t, err)
	require.Empty(t, im.Notes)
	im, err = run(v("c", Nominal, func(i int) float64 { return 2 * step(i) }, some), v("x", Number, id, nil), v("z", Number, func(i int) float64 { return 2 * id(i) }, nil))
	require.NoError(t, err)
	require.NotContains(t, im.Completed(0)[0].Values, 1.)
	im, err = run(v("k", Number, func(int) float64 { return 4 }, some), v("x", Number, id, nil))
	require.NoError(t, err)
	require.Equal(t, "impute-constant", im.Notes[0].Code)
	require.Equal(t, 4., im.Completed(1)[0].Values[0])
	im, err = run(v("x", Number, id, nil))
	require.NoError(t, err)
	require.Empty(t, im.Imputed)

	few := v("y", Number, id, func(i int) bool { return i > 1 })
	_, err = run(few, v("x", Number, id, nil))
	require.ErrorIs(t, err, estimate.ErrTooFew)
	require.ErrorContains(t, err, `"y"`)
	wide := []Variable{v("b", Binary, step, func(i int) bool { return i > 2 && i < 37 })}
	for j := range 6 {
		wide = append(wide, v(fmt.Sprint("x", j), Number, func(i int) float64 { return num.NewStream(uint64(j), "wide", uint64(i)).Normal() }, nil))
	}
	_, err = run(wide...)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}

func TestImputeErrors(t *testing.T) {
	d := people(60, 1)
	with := func(f func(d *Data)) Data {
		e := d
		e.Variables, e.Unit = slices.Clone(d.Variables), slices.Clone(d.Unit)
		f(&e)
		return e
	}
	all := slices.Repeat([]bool{true}, 60)
	for i, c := range []struct {
		o  Impute
		d  Data
		is error
	}{
		{Impute{M: -1}, d, ErrOption},
		{Impute{Iterations: -1}, d, ErrOption},
		{Impute{Donors: -1}, d, ErrOption},
		{Impute{Donors: 3}, with(func(d *Data) { d.Variables = d.Variables[1:4] }), ErrOption},
		{Impute{}, Data{}, ErrOption},
		{Impute{}, with(func(d *Data) { d.Unit[1] = d.Unit[0] }), ErrOption},
		{Impute{}, with(func(d *Data) { d.Variables[1].Name = "y" }), ErrOption},
		{Impute{}, with(func(d *Data) { d.Variables[0].Method = Logit }), ErrOption},
		{Impute{}, with(func(d *Data) { d.Variables[1].Method = PMM }), ErrOption},
		{Impute{}, with(func(d *Data) { d.Variables[0].Values = d.Variables[0].Values[1:] }), ErrOption},
		{Impute{}, with(func(d *Data) { d.Variables[0].Missing = all }), ErrConstant},
		{Impute{}, with(func(d *Data) { d.Arm = []int{1} }), ErrOption},
		{Impute{}, with(func(d *Data) {
			for i := range d.Unit {
				d.Arm = append(d.Arm, arm(d.Variables[0].Missing[i]))
			}
		}), ErrConstant},
	} {
		_, err := c.o.Run(t.Context(), c.d)
		require.ErrorIs(t, err, c.is, "%d", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Impute{}.Run(ctx, d)
	require.ErrorIs(t, err, context.Canceled)
}
