package progress

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// Everybody a cluster: G/(G−1) of the variance. Everybody there twice, the two as one cluster: the same.
func TestMeanCountClusters(t *testing.T) {
	for _, death := range []float64{0, .2} {
		r := randomEvents(5, 80, death)
		at := []float64{1, 2}
		plain := mcf(t, r, at...)
		number := map[string]int{}
		for _, p := range r.Person {
			if _, ok := number[p]; !ok {
				number[p] = len(number)
			}
			r.Cluster = append(r.Cluster, number[p])
		}
		own := mcf(t, r, at...)
		n := float64(len(number))
		require.Equal(t, len(number), own.N.Clusters)
		twice := *r
		require.Nil(t, r.Start)
		twice.Weight.Values = slices.Clone(r.Weight.Values)
		for i := range r.Person {
			twice.Person = append(twice.Person, r.Person[i]+" again")
			twice.Time, twice.Event, twice.Cluster = append(twice.Time, r.Time[i]), append(twice.Event, r.Event[i]), append(twice.Cluster, r.Cluster[i])
			twice.Group = append(twice.Group, r.Group[i])
			twice.Weight.Values = append(twice.Weight.Values, r.Weight.Values[i])
		}
		pairs := mcf(t, &twice, at...)
		for k, e := range plain.Estimates {
			require.InEpsilon(t, e.SE*math.Sqrt(n/(n-1)), own.Estimates[k].SE, 1e-10, e.Term)
			require.InEpsilon(t, own.Cov.At(k, k), own.Estimates[k].SE*own.Estimates[k].SE, 1e-10, e.Term)
			if e.Measure != LogRateRatio { // Efron's ties see twice as many
				require.InEpsilon(t, own.Estimates[k].SE, pairs.Estimates[k].SE, 1e-10, e.Term)
			}
		}
	}
	r := randomEvents(5, 20, 0)
	r.Cluster = make([]int, len(r.Person))
	r.Cluster[0] = -1
	_, err := MeanCumulative{At: []float64{1}}.Fit(t.Context(), r)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	r.Cluster[0] = 1
	r.Person[1] = r.Person[0]
	_, err = MeanCumulative{At: []float64{1}}.Fit(t.Context(), r)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
