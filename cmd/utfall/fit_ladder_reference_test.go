//go:build reference

package main

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case progress/covid19-ladder (hce 0.9.4, base R); our error is the unbiased one.
func TestFitLadderReference(t *testing.T) {
	data := filepath.Join(reftest.ReferenceDir(t), "progress", "covid19-ladder", "data.csv")
	args := []string{"ladder", "--data", data, "--treatment", "treat", "--outcome", "y", "--weights", "count", "--weight-kind", "frequency"}
	a := fitted(t, append(args, "--where", "trial == 'ACTT1'")...)
	near := func(what string, got *float64, want float64) { reftest.Agree(t, what, *got, want, 9) }
	near("WP", a.get(t, "overall", "win-probability").Estimate, 0.56847524134)
	near("se", a.get(t, "overall", "win-probability").StdError, 0.017223966571)
	near("WO", a.get(t, "overall", "win-odds").Estimate, 1.3173641371)
	near("NB", a.get(t, "overall", "net-benefit").Estimate, 0.13695048268)
	near("WR", a.get(t, "overall", "win-ratio").Estimate, 1.3973626509)
	require.Equal(t, map[string]int{"units": 1062, "treated": 541}, a.N)
	a = fitted(t, append(args, "--where", "trial == 'ACTT2'", "--strata", "base", "--order", "1,2,3,4,5,6,7,8")...)
	near("stratified WO", a.get(t, "overall", "win-odds").Estimate, 1.1636257152)
	var se float64
	a.detail(t, "std_error_divisor_n", &se)
	near("se of hce", &se, 0.016660811744)
	require.False(t, math.IsNaN(se))
	require.Contains(t, a.codes(), "strata-disagree")
}
