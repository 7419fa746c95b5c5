package panel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// By hand: one cohort of two units entering in 4, two never treated. One period earlier: the change from 2 to 3 of a and b, 4 and 2, less that of c and d,
// 1 and 0: 2.5, with the error of four means: (1 + 1)/4 + (0.25 + 0.25)/4 = 0.625. Two earlier: mean of 2 and 3 less 1: a (3 + 7)/2 - 1 = 4, b (1 + 3)/2 - 0 = 2, c 1/2, d 1: 3 - 0.75.
func TestPlaceboDateByHand(t *testing.T) {
	f := rect([]int{4, 4, 0, 0}, [][]float64{{1, 3, 7, 90}, {0, 1, 3, 70}, {0, 0, 1, 5}, {2, 3, 3, 6}})
	r := mustFit(t, GroupTime{}, f)
	e, n, err := r.PlaceboDate(1)
	require.NoError(t, err)
	require.Equal(t, "placebo-date=1", e.Term)
	require.Equal(t, estimate.Counts{Units: 4, Treated: 2, Clusters: 4}, n)
	reftest.Agree(t, "one", e.Value, 2.5, 13)
	reftest.Agree(t, "error", e.SE, math.Sqrt(0.625), 13)
	e, _, err = r.PlaceboDate(2)
	require.NoError(t, err)
	reftest.Agree(t, "two", e.Value, 3-0.75, 13)
	_, _, err = r.PlaceboDate(3)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	_, _, err = r.PlaceboDate(0)
	require.ErrorIs(t, err, ErrOption)
	_, _, err = mustFit(t, GroupTime{Base: Varying}, f).PlaceboDate(1)
	require.ErrorIs(t, err, ErrNoReference)
}

// It is the overall effect by cohort of the data that end before treatment, with entry moved: cohorts 5 and 7, against the never treated.
func TestPlaceboDateIsAnEarlierEntry(t *testing.T) {
	f := staggered{units: 120, periods: 8, cohorts: []int{5, 7, 0}, noise: 1, weights: true}.draw(3)
	f.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		f.Cluster[i] = u[:4]
	}
	e, _, err := mustFit(t, GroupTime{Control: NeverTreated}, f).PlaceboDate(2)
	require.NoError(t, err)
	want, weights := 0.0, 0.0
	for _, g := range []int{5, 7} {
		part := f.where(func(i int) bool { return f.Time[i] < g && (f.Cohort[i] == g || f.Cohort[i] == 0) })
		w := 0.0
		for i := range part.Cohort {
			if part.Cohort[i] == g {
				part.Cohort[i] = g - 2
				if part.Time[i] == 1 {
					w += part.Weight[i]
				}
			}
		}
		res := mustAggregate(t, mustFit(t, GroupTime{Control: NeverTreated}, part), Group, AggregateOptions{})
		want += w * res.Estimates[0].Value
		weights += w
	}
	reftest.Agree(t, "value", e.Value, want/weights, 12)
	require.Greater(t, e.SE, 0.0)
}

// The error is that of the derivative in the weight of each unit, the shares of the cohorts among them: SE² = Σ (∂θ/∂log w)².
func TestPlaceboDateErrorIsTheDerivative(t *testing.T) {
	f := staggered{units: 24, periods: 7, cohorts: []int{4, 6, 0}, noise: 1, weights: true, balanced: true}.draw(9)
	e, _, err := mustFit(t, GroupTime{}, f).PlaceboDate(2)
	require.NoError(t, err)
	const h = 1e-4
	sum := 0.0
	for u := range 24 {
		var values [2]float64
		for side, factor := range []float64{math.Exp(h), math.Exp(-h)} {
			g := f.clone()
			for i := range g.Unit {
				if g.Unit[i] == f.Unit[u*7] {
					g.Weight[i] *= factor
				}
			}
			moved, _, err := mustFit(t, GroupTime{}, g).PlaceboDate(2)
			require.NoError(t, err)
			values[side] = moved.Value
		}
		d := (values[0] - values[1]) / (2 * h)
		sum += d * d
	}
	reftest.Agree(t, "error", e.SE, math.Sqrt(sum), 6)
}
