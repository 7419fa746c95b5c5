//go:build reference

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// BuyseTest 3.3.3, Péron scoring: digits as package progress says, one difference is equal to the threshold.
func TestFitPairsReference(t *testing.T) {
	data, err := os.ReadFile(casePath(t, "progress/prioritised-gpc"))
	require.NoError(t, err)
	path := writeTestFile(t, "d.csv", strings.NewReplacer(",C,", ",0,", ",T,", ",1,").Replace(string(data)))
	a := fitted(t, "pairs", "--data", path, "--id", "id", "--treatment", "treatment", "--outcomes", "OS:event=statusOS:threshold=0.5,toxicity:threshold=2:lower", "--horizon", "inf")
	reftest.Agree(t, "benefit", *a.get(t, "overall", "net-benefit").Estimate, 0.099143893411, 4.8)
	reftest.Agree(t, "error", *a.get(t, "overall", "net-benefit").StdError, 0.04363755457, 3.1)
	reftest.Agree(t, "ratio", *a.get(t, "overall", "win-ratio").Estimate, 1.2420047694, 5)
}

// survival 3.5-3, landmark Aalen–Johansen from training at month 24.
func TestFitLandmarkReference(t *testing.T) {
	a := fitted(t, "states", "--data", casePath(t, "progress/mvad-censored-aj"), "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop",
		"--landmark", "TR@24", "--at", "36,69", "--tau", "69")
	reftest.Agree(t, "EM", *a.get(t, "from=TR@24,time=69,state=EM", "occupation-probability").Estimate, 0.8223432769, 9)
	reftest.Agree(t, "EM error", *a.get(t, "from=TR@24,time=36,state=EM", "occupation-probability").StdError, 0.06033062553, 9)
}
