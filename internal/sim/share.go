package sim

import (
	"math"
	"testing"
)

// Share logs in what share of the replicates something held, an interval the truth say, as a line
// that .ci/nightly puts into its table.
func Share(t testing.TB, what string, share float64, replicates int) {
	t.Helper()
	t.Logf("sim | %s | %.4f | %d", what, share, replicates)
}

// Band is how far a share of 95 % or 5 % may be off in so many replicates: 3.09 binomial standard
// deviations (99.8 %), and never under a point, since what is left then is the method's own error in
// small samples.
func Band(replicates int) float64 {
	return max(3.09*math.Sqrt(0.95*0.05/float64(replicates)), 0.01)
}
