package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of six two are censored at 2, one of each x: who has the event at 3 counts √e (derivation in package survive).
func TestFitCensoringCovariates(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e,x,w,g,s\n1,1,0,1,a,0\n1,1,1,1,a,0\n2,0,0,1,a,0\n2,0,1,1,a,0\n3,1,0,1,a,0\n4,1,1,1,a,0\n")
	base := func(method string, more ...string) []string {
		return append([]string{method, "--data", path, "--time", "time", "--event", "e", "--censoring-covariates", "x"}, more...)
	}
	share := (2 + math.Exp(0.5)) / 6
	a := fitted(t, base("cif", "--at", "3")...)
	requireNear(t, share, a.get(t, "time=3,cause=1", "cumulative-incidence").Estimate, "cif")
	var most float64
	a.detail(t, "max_weight", &most)
	require.InDelta(t, math.Exp(0.5), most, 1e-12)
	require.Contains(t, string(a.Details["vcov"]), "censoring model included")
	k := fitted(t, base("km", "--at", "3")...).get(t, "time=3", "survival")
	requireNear(t, 1-share, k.Estimate, "km")
	requireNear(t, *a.get(t, "time=3,cause=1", "").StdError, k.StdError, "km")
	requireNear(t, 4-(6+math.Exp(0.5))/6, fitted(t, base("rmst", "--tau", "4")...).get(t, "overall", "restricted-mean-time").Estimate, "rmst")
	requireNear(t, share, fitted(t, base("cif", "--at", "3", "--weights", "w", "--by", "g")...).get(t, "time=3,cause=1,group=a", "").Estimate, "weights")
	for _, bad := range [][]string{
		base("cif"), base("km"), base("rmst"), base("km", "--at", "3", "--conf", "plain"), base("cif", "--at", "3", "--entry", "s"), base("cif", "--at", "3", "--weights", "w", "--weight-kind", "frequency"),
		{"cox", "--data", path, "--time", "time", "--event", "e", "--covariates", "x", "--censoring-covariates", "w"},
	} {
		code, _, _ := runFit(t, bad...)
		require.Equal(t, exitUsage, code, bad)
	}
	code, _, errOut := runFit(t, base("cif", "--at", "9")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "nobody is observed after time 4")
}

// Four in two clusters: S(1) = 1/2, H = 1/4. Influence −1/8 of each event and 1/8 of each other: clusters −1/4 and 1/4, error √(2·(1/16 + 1/16)).
func TestFitKMCluster(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e,c\n1,1,p\n1,1,p\n2,0,q\n2,0,q\n")
	a := fitted(t, "km", "--data", path, "--time", "time", "--event", "e", "--at", "1", "--cluster", "c")
	require.Equal(t, 2, a.N["clusters"])
	requireNear(t, 0.5, a.get(t, "time=1", "").Estimate, "share")
	requireNear(t, 0.5, a.get(t, "time=1", "").StdError, "error")
}
