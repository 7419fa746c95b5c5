package progress

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// An interval of .02 to .10, and a forecast for the older cohort that was .01 too high: once as wrong .01 to .11, twice 0 to .12; so twice
// is what it takes.
func TestBenchmarkByHand(t *testing.T) {
	e := estimate.Estimate{Value: .06, CI: estimate.Interval{Lo: .02, Hi: .10, Level: .95}}
	b := benchmark(e, SurrogateTruth{Sample: "older", Difference: -.01})
	require.InDeltaSlice(t, []float64{.01, .11}, b.Once[:], 1e-15)
	require.InDeltaSlice(t, []float64{0, .12}, b.Twice[:], 1e-15)
	require.InDelta(t, 2, *b.Breakdown, 1e-12)
	e.CI.Lo, e.CI.Hi = -.10, -.02
	require.InDelta(t, 2, *benchmark(e, SurrogateTruth{Difference: .01}).Breakdown, 1e-12)
	require.Nil(t, benchmark(e, SurrogateTruth{}).Breakdown)
	e.CI.Hi = .02
	require.Zero(t, *benchmark(e, SurrogateTruth{Difference: .01}).Breakdown)

	// In a fit: of the older cohort, of the index.
	r, err := Surrogate{}.Fit(t.Context(), d5(5, 1, 1000, 0, false))
	require.NoError(t, err)
	got := r.Details["benchmark"].(SurrogateBenchmark)
	require.Equal(t, "older", got.Sample)
	for _, row := range r.Details["truth"].([]SurrogateTruth) {
		if row.Sample == "older" {
			require.Equal(t, benchmark(r.Estimates[0], row), got)
		}
	}
	r, err = Surrogate{MinPerArm: 1}.Fit(t.Context(), byHand(-1, -1, -1, -1, -1, -1, -1, -1))
	require.NoError(t, err)
	require.NotContains(t, r.Details, "benchmark")
}
