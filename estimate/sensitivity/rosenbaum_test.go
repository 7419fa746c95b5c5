package sensitivity

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
)

// withDifferences is pairs whose comparison unit has 0.
func withDifferences(d ...float64) *estimate.Frame {
	f := &estimate.Frame{Level: .95}
	for i, v := range d {
		for arm, y := range []float64{0, v} {
			f.Unit = append(f.Unit, strconv.Itoa(2*i+arm))
			f.Y, f.Treated, f.Set = append(f.Y, y), append(f.Treated, arm == 1), append(f.Set, i)
		}
	}
	return f
}

func bounds(t *testing.T, o Rosenbaum, f *estimate.Frame) map[string]float64 {
	t.Helper()
	r, err := o.Fit(t.Context(), f)
	require.NoError(t, err)
	out := map[string]float64{}
	for _, e := range r.Estimates {
		out[e.Term+" "+string(e.Measure)] = e.Value
	}
	return out
}

// Differences -1, 2, 3 (and 0, which the test drops): ranks 1, 2, 3, W = 5, Σr = 6,
// Σr² = 14. z(½) = (5-3)/√3.5; z(⅔) = (5-4)/√(28/9); z(⅓) = (5-2)/√(28/9).
func TestSignedRankByHand(t *testing.T) {
	b := bounds(t, Rosenbaum{Gamma: []float64{1, 2}}, withDifferences(0, 3, -1, 2))
	upper := func(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }
	close14(t, upper(2/math.Sqrt(3.5)), b["gamma=1 p-upper"])
	close14(t, upper(2/math.Sqrt(3.5)), b["gamma=1 p-lower"])
	close14(t, upper(3/math.Sqrt(28)), b["gamma=2 p-upper"])
	close14(t, upper(9/math.Sqrt(28)), b["gamma=2 p-lower"])
	// The other side: W = 1, z(½) = -2/√3.5, z(⅔) = (1-4)/√(28/9).
	b = bounds(t, Rosenbaum{Gamma: []float64{1, 2}, Alternative: "less"}, withDifferences(0, 3, -1, 2))
	close14(t, 1-upper(2/math.Sqrt(3.5)), b["gamma=1 p-upper"])
	close14(t, 1-upper(9/math.Sqrt(28)), b["gamma=2 p-upper"])
}

// Ties: |d| = 1, 1, 2 have ranks 1.5, 1.5, 3; W = 4.5, Σr² = 13.5, z(½) = 1.5/√(13.5/4).
func TestSignedRankTies(t *testing.T) {
	b := bounds(t, Rosenbaum{Gamma: []float64{1}}, withDifferences(1, -1, 2))
	close14(t, math.Erfc(1.5/math.Sqrt(13.5/4)/math.Sqrt2)/2, b["gamma=1 p-upper"])
}

// Means of two of -1, 2, 3: 3, 2.5, 2, 1, .5, -1. Γ 1: c = 3, between 2 and 1. Γ 2: c = 4
// between 1 and .5, c = 2 between 2.5 and 2. Γ 3: c = 4.5, the fifth; 1.5, the second.
func TestHodgesLehmannByHand(t *testing.T) {
	b := bounds(t, Rosenbaum{Gamma: []float64{1, 2, 3}}, withDifferences(3, -1, 2))
	for term, want := range map[string]float64{"gamma=1 hl-min": 1.5, "gamma=1 hl-max": 1.5, "gamma=2 hl-min": .75, "gamma=2 hl-max": 2.25, "gamma=3 hl-min": .5, "gamma=3 hl-max": 2.5} {
		require.Equal(t, want, b[term], term)
	}
	less := bounds(t, Rosenbaum{Gamma: []float64{2}, Alternative: "less"}, withDifferences(3, -1, 2))
	require.Equal(t, .75, less["gamma=2 hl-min"])
}

// The limits are where the test of a shift turns: just inside it is not rejected, just outside it is.
func TestShiftLimitsInvertTheTest(t *testing.T) {
	s := num.NewStream(8, "limits", 0)
	var d []float64
	for range 40 {
		d = append(d, .4+s.Normal())
	}
	slices.Sort(d)
	n := 40.
	for _, level := range []float64{.8, .95} {
		for _, gamma := range []float64{1, 1.5, 3} {
			p := gamma / (1 + gamma)
			z := func(tau, p float64) float64 { // W(d-τ) as Σ ranks of |d-τ| with d > τ
				moved := make([]float64, len(d))
				for i, v := range d {
					moved[i] = v - tau
				}
				w, _, _, _ := signedRanks(moved, 1)
				return (w - p*n*(n+1)/2) / math.Sqrt(p*(1-p)*n*(n+1)*(2*n+1)/6)
			}
			crit := num.NormalQuantile((1 + level) / 2)
			lo, hi := shiftLimits(d, p, level)
			const step = 1e-9
			require.Greater(t, z(lo-step, p), crit)
			require.LessOrEqual(t, z(lo+step, p), crit)
			require.Less(t, z(hi+step, 1-p), -crit)
			require.GreaterOrEqual(t, z(hi-step, 1-p), -crit)
			require.Less(t, lo, shift(d, p))
			require.Greater(t, hi, shift(d, 1-p))
		}
	}
	// R 4.2.2: wilcox.test(d, conf.int = TRUE, exact = FALSE, correct = FALSE): 0.49999999999936695 3.15625000000035838.
	some := []float64{-1.25, -.625, .3125, .5, 1.1875, 1.375, 2.0625, 2.75, 3, 3.5625, 4.125, 5.5}
	lo, hi := shiftLimits(some, .5, .95)
	require.Equal(t, []float64{.5, 3.15625}, []float64{lo, hi})
	lo, hi = shiftLimits([]float64{-1, 2, 3}, .5, .95)
	require.True(t, math.IsNaN(lo) && math.IsNaN(hi))
	b := bounds(t, Rosenbaum{Gamma: []float64{1}}, withDifferences(3, -1, 2))
	require.True(t, math.IsNaN(b["gamma=1 interval-min"]))
}

// The order statistics against all means sorted, ties and zeros among them.
func TestShiftAgainstAllMeans(t *testing.T) {
	s := num.NewStream(7, "shift", 0)
	for n := 1; n <= 40; n++ {
		d := make([]float64, n)
		for i := range d {
			d[i] = math.Round(4*s.Normal()) / 4
		}
		slices.Sort(d)
		var means []float64
		for i := range d {
			for j := i; j < n; j++ {
				means = append(means, (d[i]+d[j])/2)
			}
		}
		slices.Sort(means)
		slices.Reverse(means)
		for k := 1; k <= len(means); k++ {
			require.Equal(t, means[k-1], largest(d, float64(k)))
		}
	}
}

// 3 pairs in favour, 1 against: P(Bin(4,½)≥3) = 5/16, P(Bin(4,⅔)≥3) = 48/81, P(Bin(4,⅓)≥3) = 9/81.
func TestMcNemarByHand(t *testing.T) {
	f := withDifferences(1, 1, 1, 0)
	f.Unit = append(f.Unit, "a", "b")
	f.Y, f.Treated, f.Set = append(f.Y, 1, 0), append(f.Treated, false, true), append(f.Set, 9, 9)
	b := bounds(t, Rosenbaum{Gamma: []float64{1, 2}, Binary: true}, f)
	close14(t, 5./16, b["gamma=1 p-upper"])
	close14(t, 48./81, b["gamma=2 p-upper"])
	close14(t, 9./81, b["gamma=2 p-lower"])
	require.NotContains(t, b, "gamma=1 hl-min")
	b = bounds(t, Rosenbaum{Gamma: []float64{1}, Binary: true, Alternative: "less"}, f)
	close14(t, 15./16, b["gamma=1 p-upper"]) // P(Bin(4,½)≥1)
}

func TestSensitivityValue(t *testing.T) {
	var d []float64
	for i := range 30 {
		d = append(d, float64(i)-4.5)
	}
	f := withDifferences(d...)
	v := bounds(t, Rosenbaum{}, f)["sensitivity-value gamma"]
	require.Greater(t, v, 1.)
	p := bounds(t, Rosenbaum{Gamma: []float64{v}}, f)
	for term, got := range p {
		if term == "gamma="+strconv.FormatFloat(v, 'g', -1, 64)+" p-upper" {
			require.InDelta(t, .05, got, 1e-10)
		}
	}
	f.Level = .99 // a stricter level breaks earlier
	require.Less(t, bounds(t, Rosenbaum{}, f)["sensitivity-value gamma"], v)
	r, err := Rosenbaum{Alternative: "less"}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.True(t, math.IsNaN(r.Estimates[len(r.Estimates)-1].Value))
	require.Equal(t, "other-direction", r.Notes[len(r.Notes)-1].Code)
}

// Order of rows, numbering of sets and a common shift of both outcomes change nothing.
func TestRosenbaumRelations(t *testing.T) {
	f := withDifferences(3, -1, 2, .5, -.25, 4)
	f.Level = .8
	want := bounds(t, Rosenbaum{Gamma: []float64{1, 2}}, f)
	g := &estimate.Frame{Level: .8}
	for i := len(f.Y) - 1; i >= 0; i-- {
		g.Unit, g.Y, g.Treated, g.Set = append(g.Unit, f.Unit[i]), append(g.Y, f.Y[i]+8), append(g.Treated, f.Treated[i]), append(g.Set, 20-f.Set[i])
	}
	require.Equal(t, want, bounds(t, Rosenbaum{Gamma: []float64{1, 2}}, g))
	for i := range g.Treated { // arms exchanged: the bounds of the shift change sign and place
		g.Treated[i] = !g.Treated[i]
	}
	swapped := bounds(t, Rosenbaum{Gamma: []float64{1, 2}, Alternative: "less"}, g)
	require.Equal(t, want["gamma=2 p-upper"], swapped["gamma=2 p-upper"])
	require.Equal(t, want["gamma=2 hl-min"], -swapped["gamma=2 hl-max"])
	require.Equal(t, want["gamma=2 interval-min"], -swapped["gamma=2 interval-max"])
}

func TestRosenbaumCountsAndRefuses(t *testing.T) {
	f := withDifferences(3, -1, 2)
	f.Unit, f.Y, f.Treated, f.Set = append(f.Unit, "x", "y"), append(f.Y, 1, 2), append(f.Treated, true, true), append(f.Set, -1, 7)
	r, err := Rosenbaum{}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, 3, r.N.Sets)
	require.Equal(t, "units-in-no-pair", r.Notes[0].Code)
	require.Equal(t, "pairs-incomplete", r.Notes[1].Code)
	require.Equal(t, "few-pairs", r.Notes[2].Code)

	large := withDifferences(3, -1, 2)
	large.Set[2], large.Set[3] = 0, 0
	_, err = Rosenbaum{}.Fit(t.Context(), large)
	require.ErrorIs(t, err, ErrNotPairs)
	_, err = Rosenbaum{}.Fit(t.Context(), withDifferences(0, 0))
	require.ErrorIs(t, err, estimate.ErrTooFew)
	for _, o := range []Rosenbaum{{Gamma: []float64{.5}}, {Gamma: []float64{1, 1}}, {Gamma: []float64{math.NaN()}}, {Alternative: "two"}, {Binary: true}} {
		_, err = o.Fit(t.Context(), withDifferences(3, -1, 2))
		require.ErrorIs(t, err, ErrOption)
	}
	weighted := withDifferences(1, 2)
	weighted.Weight = estimate.Weights{Kind: estimate.Matching, Values: []float64{1, 1, 1, 1}}
	_, err = Rosenbaum{}.Fit(t.Context(), weighted)
	require.ErrorIs(t, err, estimate.ErrWeights)
}
