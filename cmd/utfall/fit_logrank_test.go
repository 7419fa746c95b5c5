package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Events of A at 1 and 3, of B at 2; the other of B is censored at 3: χ² = 8/13, with ρ = 1
// 4/7 (derivation in the tests of package survive); the same in two strata doubles it.
func TestFitLogRank(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e,arm,s,k,w\n1,1,A,1,x,1\n3,1,A,1,x,1\n2,1,B,1,x,1\n3,0,B,1,x,1\n1,1,A,2,x,1\n3,1,A,2,x,1\n2,1,B,2,x,1\n3,0,B,2,x,1\n")
	base := []string{"logrank", "--data", path, "--time", "time", "--event", "e", "--by", "arm"}
	a := fitted(t, append(base, "--where", "s == 1")...)
	require.Len(t, a.Estimates, 1)
	e := a.get(t, "logrank", "chi-square")
	requireNear(t, 8.0/13, e.Estimate, "chi-square")
	requireNear(t, 8.0/13, e.Statistic, "statistic")
	requireNear(t, 1, e.DF, "df")
	requireNear(t, 0.43276758066778465, e.PValue, "p = erfc(√(4/13))")
	require.Nil(t, e.StdError)
	require.Contains(t, a.codes(), "test-only")
	require.NotContains(t, a.codes(), "no-standard-error")
	requireNear(t, 4.0/7, fitted(t, append(base, "--where", "s == 1", "--rho", "1")...).get(t, "logrank", "").Estimate, "rho 1")
	a = fitted(t, append(base, "--strata", "s,k", "--weights", "w", "--weight-kind", "frequency")...)
	requireNear(t, 16.0/13, a.get(t, "logrank", "").Estimate, "strata")
	var strata int
	a.detail(t, "strata", &strata)
	require.Equal(t, 2, strata)
	var groups []struct {
		Group                string
		Observed, Expected   float64
		UnitCount, EventsAll int
	}
	a.detail(t, "groups", &groups)
	require.Equal(t, 2.0*4/3, groups[0].Expected)
	code, out, _ := runFit(t, base...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Events by group")
	for _, bad := range [][]string{{"--rho", "-1"}, {"--tau", "2"}, {"--weight-kind", "sampling"}, {"--weights", "w", "--weight-kind", "odd"}} {
		code, _, _ = runFit(t, append(base, bad...)...)
		require.Equal(t, exitUsage, code)
	}
	// Sampling weights and clusters: 64/57 of the first four with weights of 1 (derivation in package survive).
	r := fitted(t, append(base, "--where", "s == 1", "--weights", "w")...)
	requireNear(t, 64.0/57, r.get(t, "logrank", "").Estimate, "robust")
	require.Equal(t, `"influence"`, string(r.Details["vcov"]))
	r = fitted(t, append(base, "--cluster", "s", "--rho", "1")...)
	require.Equal(t, 2, r.N["clusters"])
	require.Contains(t, r.codes(), "few-clusters")
	code, _, errOut := runFit(t, append(base, "--strata", "arm")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "never at risk together")
}
