package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// difAnswersOf draws two groups whose traits differ by mean; the thresholds of item 3 move by shift, and its slope
// is times steeper, in group 1.
func difAnswersOf(seed uint64, n int, mean, shift, times float64) *Answers {
	slopes, b := gradedItems(5, 4)
	a := &Answers{X: mat.NewDense(2*n, 5, nil), GroupNames: []string{"0", "1"}, Level: 0.95}
	for j := range 5 {
		a.Names = append(a.Names, fmt.Sprint("q", j+1))
	}
	for i := range 2 * n {
		st := num.NewStream(seed, "dif", uint64(i))
		g := i % 2
		a.Unit, a.Group = append(a.Unit, fmt.Sprintf("p%05d", i)), append(a.Group, g)
		theta := st.Normal() + mean*float64(g)
		for j := range 5 {
			slope, cut := slopes[j], append([]float64{}, b[j]...)
			if j == 2 && g == 1 {
				slope *= times
				for k := range cut {
					cut[k] += shift
				}
			}
			a.X.Set(i, j, grade(st, slope, theta, cut))
		}
	}
	return a
}

func difItems(r *estimate.Result) []DIFItem { return r.Details["items"].([]DIFItem) }

// The moved item is found, and only it; without it the difference of the groups is about the truth, .5, with it too small.
func TestDIFFindsTheItem(t *testing.T) {
	a := difAnswersOf(51, 500, 0.5, 1, 1)
	r, err := DIFLikelihoodRatio{}.Fit(t.Context(), a)
	require.NoError(t, err)
	l, err := DIFLogistic{}.Fit(t.Context(), a)
	require.NoError(t, err)
	for j := range 5 {
		require.Equal(t, j == 2, difItems(r)[j].Flagged, j)
		require.Equal(t, j == 2, difItems(l)[j].Flagged, j)
		require.Equal(t, 4, difItems(r)[j].DF)
	}
	require.Less(t, difItems(r)[2].Effect, -0.1) // harder: lower answers
	require.Less(t, difItems(r)[2].PBH, 1e-6)
	require.Contains(t, codes(r), "dif-found")
	require.Contains(t, codes(l), "dif-found")
	all, invariant := named(t, r, "difference,items=all"), named(t, r, "difference,items=invariant")
	require.Less(t, all.Value, invariant.Value-0.1)
	require.InDelta(t, 0.5, invariant.Value, 3*invariant.SE)
	require.Equal(t, "agree", r.Details["verdict"])
	require.Greater(t, r.Details["rounds"], 1)
	require.Equal(t, named(t, r, "q3/total").Value, difItems(r)[2].Total)
	require.Greater(t, difItems(l)[2].Uniform, 50.0)
	reftest.Agree(t, "parts", difItems(l)[2].Uniform+difItems(l)[2].NonUniform, difItems(l)[2].Total, 12)
	// What counts as large decides.
	strict, err := DIFLikelihoodRatio{MinEffect: 0.9}.Fit(t.Context(), a)
	require.NoError(t, err)
	require.False(t, difItems(strict)[2].Flagged)
	require.Equal(t, 1, strict.Details["rounds"])
	lenient, err := DIFLogistic{MinEffect: 1e-9, Alpha: 0.99}.Fit(t.Context(), a)
	require.NoError(t, err)
	require.NotEqual(t, difItems(l)[0].Flagged && difItems(l)[1].Flagged, difItems(lenient)[0].Flagged && difItems(lenient)[1].Flagged)
}

// One of four items means two steps more to one group. In the rest of the others it makes all of them stand out; the strongest leaves first,
// and they stand out no more.
func TestDIFTakesTheStrongestItemFirst(t *testing.T) {
	a := &Answers{Names: []string{"a", "b", "c", "d"}, GroupNames: []string{"0", "1"}, Level: 0.95, X: mat.NewDense(400, 4, nil)}
	for p := range 400 {
		a.Unit, a.Group = append(a.Unit, fmt.Sprintf("%03d", p)), append(a.Group, p%2)
		st := num.NewStream(61, "strong", uint64(p))
		trait := 1.2 * st.Normal()
		for j := range 4 {
			v := 1.0
			for cut := range 3 {
				if trait+st.Normal() > float64(cut-1) {
					v++
				}
			}
			if j == 2 && p%2 == 1 && st.Bernoulli(.8) {
				v = min(v+2, 4)
			}
			a.X.Set(p, j, v)
		}
	}
	r, err := DIFLogistic{}.Fit(t.Context(), a)
	require.NoError(t, err)
	for j, it := range difItems(r) {
		require.Equal(t, j == 2, it.Flagged, it.Item)
	}
	require.Equal(t, 2, r.Details["rounds"])
}

// Groups that differ in the trait only: nothing is found; a comparison that hangs on the moved item is named.
func TestDIFVerdicts(t *testing.T) {
	r, err := DIFLikelihoodRatio{}.Fit(t.Context(), difAnswersOf(52, 300, 0.5, 0, 1))
	require.NoError(t, err)
	for _, it := range difItems(r) {
		require.False(t, it.Flagged)
	}
	require.Equal(t, named(t, r, "difference,items=all").Value, named(t, r, "difference,items=invariant").Value)
	r, err = DIFLikelihoodRatio{}.Fit(t.Context(), difAnswersOf(53, 600, 0, 1.8, 1))
	require.NoError(t, err)
	require.Equal(t, "disagree", r.Details["verdict"])
	require.Contains(t, codes(r), "dif-changes-comparison")
	// Another slope is non-uniform.
	l, err := DIFLogistic{MinEffect: 0.001}.Fit(t.Context(), difAnswersOf(54, 600, 0, 0, 0.3))
	require.NoError(t, err)
	require.Greater(t, difItems(l)[2].NonUniform, 3*difItems(l)[2].Uniform)
	require.True(t, difItems(l)[2].Flagged)
}

func TestDIFBad(t *testing.T) {
	fresh := func() *Answers { return difAnswersOf(55, 60, 0, 0, 1) }
	for name, change := range map[string]func(a *Answers){
		"no groups": func(a *Answers) { a.Group = nil },
		"few items": func(a *Answers) { g := a.Group; *a = *a.pick(upTo(120), upTo(2)); a.Group = g },
		"weights":   func(a *Answers) { a.Weight = estimate.Weights{Kind: estimate.Sampling, Values: make([]float64, 120)} },
		"few":       func(a *Answers) { *a = *difAnswersOf(55, 40, 0, 0, 1) },
		"nothing":   func(a *Answers) { a.X = nil },
	} {
		a := fresh()
		change(a)
		_, err := DIFLogistic{}.Fit(t.Context(), a)
		require.Error(t, err, name)
		_, err = DIFLikelihoodRatio{}.Fit(t.Context(), a)
		require.Error(t, err, name)
	}
	_, err := DIFLogistic{Alpha: 2}.Fit(t.Context(), fresh())
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = DIFLikelihoodRatio{MinEffect: -1}.Fit(t.Context(), fresh())
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	a := difAnswersOf(55, 100, 0, 0, 1)
	for i := range 200 { // an easy item: in group 1 nobody fails it
		a.X.Set(i, 3, 1)
		if i%16 == 0 {
			a.X.Set(i, 3, 0)
		}
	}
	a.X.Set(1, 0, math.NaN())
	r, err := DIFLikelihoodRatio{}.Fit(t.Context(), a)
	require.NoError(t, err)
	require.Contains(t, codes(r), "dif-not-tested")
	require.False(t, difItems(r)[3].Tested)
	l, err := DIFLogistic{}.Fit(t.Context(), fresh())
	require.NoError(t, err)
	require.NotContains(t, codes(l), "rows-incomplete")
}

// p = .01, .02, .04 of three: .03, .03, .04, and .03, .031, .04: all .04, since none may be above a larger p; an
// item that was not tested takes no part.
func TestBenjaminiHochbergByHand(t *testing.T) {
	even := []DIFItem{{P: 0.031, Tested: true}, {P: 0.03, Tested: true}, {P: 0.04, Tested: true}}
	benjaminiHochberg(even)
	for _, it := range even {
		reftest.Agree(t, "p", it.PBH, 0.04, 14)
	}
	items := []DIFItem{{P: 0.04, Tested: true}, {P: 0.01, Tested: true}, {P: math.NaN()}, {P: 0.02, Tested: true}}
	benjaminiHochberg(items)
	for j, want := range []float64{0.04, 0.03, math.NaN(), 0.03} {
		if math.IsNaN(want) {
			require.True(t, math.IsNaN(items[j].PBH))
			continue
		}
		reftest.Agree(t, "p", items[j].PBH, want, 14)
	}
}
