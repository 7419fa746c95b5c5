package progress

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// Five steps, weights and three strata, against ordinal 2022.11-16 (clm, nominal = ~arm) and, for the win odds, every pair counted in R 4.2. Errors of
// the partial model are those of clm without weights: it is saturated, so that robust and model-based errors are one.
func TestStepsAgainstR(t *testing.T) {
	s := &Steps{StratumNames: []string{"0", "1", "2"}}
	s.Level = .95
	var weight []float64
	for arm, counts := range [][]int{{20, 35, 30, 25, 15}, {12, 25, 33, 30, 25}} {
		i := 0
		for k, n := range counts {
			for range n {
				s.Unit, s.Y, s.Treated = append(s.Unit, fmt.Sprintf("p%03d", len(s.Unit))), append(s.Y, float64(k+1)), append(s.Treated, arm == 1)
				s.Stratum = append(s.Stratum, i%3)
				weight = append(weight, []float64{1, .5, 2}[i*i%3]+.25*float64(i%4))
				i++
			}
		}
	}
	near := func(f *estimate.Frame, want []float64, ratio float64) *estimate.Result {
		r, err := StepOdds{}.Fit(t.Context(), f)
		require.NoError(t, err)
		for k, v := range want {
			require.InDelta(t, v, r.Estimates[k].Value, 2e-9, r.Estimates[k].Term)
		}
		like := r.Details["loglik"].([]float64)
		require.InDelta(t, ratio, 2*(like[1]-like[0]), 1e-9)
		return r
	}
	r := near(&s.Frame, []float64{.5770479367466, .58425309232081, .62525684501709, .51260974555949, .60613580357031}, .29715495589323)
	for k, se := range []float64{.38949544333569, .26619202816425, .26312019753315, .35462314611088} {
		require.InDelta(t, se, r.Estimates[1+k].SE, 1e-9)
	}
	s.Weight = estimate.Weights{Kind: estimate.Sampling, Values: weight}
	near(&s.Frame, []float64{.57489866865941, .59388424477024, .62607946737048, .51770786115998, .57104004526219}, .23365015699437)
	wins := func(s *Steps) float64 {
		res, err := Wins{}.Fit(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, WinOdds, res.Estimates[1].Measure)
		return res.Estimates[1].Value
	}
	require.InDelta(t, 1.4418703038811, wins(s), 1e-12)
	require.InDelta(t, 1.4412484313354, wins(&Steps{Frame: s.Frame}), 1e-12)
}
