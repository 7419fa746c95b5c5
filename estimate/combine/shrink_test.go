package combine

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

// Eighty places with effects N(.1, .15²) and errors from .12 to .35: the place that looks
// best is overstated by .57 when its own number is read, and not when it is shrunken; of
// the eight that look best only a third are among the eight best.
func TestShrinkageOfManyPlaces(t *testing.T) {
	const places, reps = 80, 200
	var raw, shrunken, right []float64
	covered, all := 0, 0
	for rep := range reps {
		s := num.NewStream(15, "many-places", uint64(rep))
		truth := make([]float64, places)
		f := &Effects{Level: 0.95}
		for i := range places {
			se := 0.12 + 0.23*s.Float()
			truth[i] = 0.1 + 0.15*s.Normal()
			f.Unit, f.Y, f.Variance = append(f.Unit, string(rune('A'+i/26))+string(rune('a'+i%26))), append(f.Y, truth[i]+se*s.Normal()), append(f.Variance, se*se)
		}
		res, err := Meta{Method: "reml", Test: "knapp-hartung"}.Fit(context.Background(), f)
		require.NoError(t, err)
		best := top(f.Y, 1)[0]
		raw = append(raw, f.Y[best]-truth[best])
		var value []float64
		for _, e := range res.Estimates {
			if e.Measure == Shrunken {
				i := slices.Index(f.Unit, e.Term[len("unit="):])
				value = append(value, e.Value)
				all++
				if e.CI.Lo <= truth[i] && truth[i] <= e.CI.Hi {
					covered++
				}
			}
		}
		best = top(value, 1)[0]
		shrunken = append(shrunken, value[best]-truth[best])
		right = append(right, share(top(f.Y, 8), top(truth, 8)))
	}
	mean := func(v []float64) float64 { return num.Sum(v) / float64(len(v)) }
	require.InDelta(t, 0.57, mean(raw), 0.06)
	require.InDelta(t, 0, mean(shrunken), 0.03)
	require.InDelta(t, 0.34, mean(right), 0.06)
	require.InDelta(t, 0.92, float64(covered)/float64(all), 0.03, "below .95: the variance between places counts as known, see METHODS")
	t.Logf("best raw place overstated by %.3f, best shrunken by %.3f, of the raw top eight %.2f are, covered %.3f", mean(raw), mean(shrunken), mean(right), float64(covered)/float64(all))
}

// top are the places of the n highest values.
func top(v []float64, n int) []int {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if v[a] > v[b] {
			return -1
		}
		return 1
	})
	return order[:n]
}

func share(a, b []int) float64 {
	n := 0
	for _, i := range a {
		if slices.Contains(b, i) {
			n++
		}
	}
	return float64(n) / float64(len(a))
}
