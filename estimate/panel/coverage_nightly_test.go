//go:build nightly

package panel

import (
	"testing"

	"utfall/internal/sim"
)

// The table of METHODS.md#coverage: every estimator with every option, 1,000 data sets of each design.
func TestCoverageOfEveryOptionNightly(t *testing.T) {
	t.Log("\n" + coverTable(t, 40*sim.Factor, func(coverCase) bool { return true }))
}
