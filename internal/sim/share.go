package sim

import "testing"

// Share logs in what share of the replicates something held, an interval the truth say, as a line
// that .ci/nightly puts into its table.
func Share(t testing.TB, what string, share float64, replicates int) {
	t.Helper()
	t.Logf("sim | %s | %.4f | %d", what, share, replicates)
}
