package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every option reaches its method: with it the answer is another, and the right one where that is easily said.
func TestFitOptionsMatter(t *testing.T) {
	sim := writeTestFile(t, "sim.csv", simulated(nil, simulatedHeader, ",", func(s string) string { return s }))
	se := func(e fitEstimateJSON) float64 { return *e.StdError }

	// The first level in byte order is the reference: three regions, two dummies.
	ols := fitted(t, "ols", "--data", sim, "--outcome", "y", "--covariates", "region,year", "--categorical", "year")
	var terms []string
	for _, e := range ols.Estimates {
		terms = append(terms, e.Term)
	}
	require.Equal(t, []string{"(intercept)", "region[å]", "region[öst]", "year[2001]", "year[2002]"}, terms)

	// Precision weights of 1 and 3 are one row and three copies of it, but for the degrees of freedom.
	weighted := writeTestFile(t, "w.csv", "x,y,w\n0,1,1\n1,2,3\n2,2,1\n3,4,3\n4,4,1\n")
	copies := writeTestFile(t, "c.csv", "x,y\n0,1\n1,2\n1,2\n1,2\n2,2\n3,4\n3,4\n3,4\n4,4\n")
	p := fitted(t, "ols", "--data", weighted, "--outcome", "y", "--covariates", "x", "--weights", "w", "--vcov", "iid")
	c := fitted(t, "ols", "--data", copies, "--outcome", "y", "--covariates", "x", "--vcov", "iid")
	requireNear(t, *c.get(t, "x", "").Estimate, p.get(t, "x", "").Estimate, "slope")
	requireNear(t, se(c.get(t, "x", ""))*math.Sqrt(7.0/3), p.get(t, "x", "").StdError, "se on 3 instead of 7 df")
	var r2, want, adjusted float64
	p.detail(t, "r_squared", &r2)
	c.detail(t, "r_squared", &want)
	require.InDelta(t, want, r2, 1e-12)
	p.detail(t, "adj_r_squared", &adjusted)
	require.InDelta(t, 1-(1-want)*4/3, adjusted, 1e-12)
	require.Contains(t, p.codes(), "precision-weights")
	f := fitted(t, "ols", "--data", weighted, "--outcome", "y", "--covariates", "x", "--weights", "w", "--vcov", "iid", "--weight-kind", "frequency")
	requireNear(t, se(c.get(t, "x", "")), f.get(t, "x", "").StdError, "copies")

	effect := []string{"effect", "--data", sim, "--treatment", "treat", "--outcome", "y", "--method", "regression", "--covariates", "x"}
	require.NotEqual(t, *fitted(t, effect...).get(t, "att", "").Estimate, *fitted(t, append(effect, "--interactions")...).get(t, "att", "").Estimate)
	require.Equal(t, "ate", fitted(t, append(effect, "--estimand", "ate")...).Estimates[0].Term)

	match := []string{"match", "--data", sim, "--id", "id", "--treatment", "treat", "--covariates", "x,age", "--distance", "mahalanobis"}
	require.NotContains(t, fitted(t, match...).Details, "caliper_used_raw")
	var width, sd float64
	m := fitted(t, append(match, "--caliper-score", "0.1")...)
	m.detail(t, "caliper_used_raw", &width)
	m.detail(t, "score_sd", &sd)
	require.InDelta(t, 0.1*sd, width, 1e-15)

	km := []string{"km", "--data", sim, "--time", "time", "--event", "event", "--at", "1"}
	low := map[float64]string{}
	for _, conf := range []string{"log", "loglog", "plain"} {
		e := fitted(t, append(km, "--conf", conf)...).Estimates[0]
		require.Equal(t, conf, *e.ConfMethod)
		require.NotContains(t, low, *e.ConfLow)
		low[*e.ConfLow] = conf
	}

	// Sets of one treated and two others: each of them weighs a half, scaled to their number.
	sets := writeTestFile(t, "s.csv", "t,s,x\n1,1,4\n0,1,1\n0,1,2\n1,2,6\n0,2,9\n")
	b := fitted(t, "balance", "--data", sets, "--treatment", "t", "--covariates", "x", "--sets", "s")
	var rows []map[string]any
	b.detail(t, "balance", &rows)
	require.InDelta(t, (0.5*1+0.5*2+9)/2, rows[0]["mean_control_after"], 1e-12)
	// Pairs are 3, 2 and 3 apart, over the treated's SD of √2.
	require.InDelta(t, 8.0/3/math.Sqrt2, rows[0]["pair_distance_after"], 1e-12)
	pooled := fitted(t, "balance", "--data", sets, "--treatment", "t", "--covariates", "x", "--denominator", "pooled")
	pooled.detail(t, "balance", &rows)
	require.InDelta(t, 1/math.Sqrt((2+19)/2.0), rows[0]["smd_before"], 1e-12)
	require.Contains(t, pooled.codes(), "before-only")
	require.Nil(t, rows[0]["smd_after"])

	did := []string{"did", "--data", sim, "--panel=false", "--time", "year", "--cohort", "g", "--outcome", "y", "--covariates", "x"}
	method := func(more ...string) string {
		return *fitted(t, append(append([]string{}, did...), more...)...).Estimates[0].ConfMethod
	}
	require.Equal(t, "normal", method("--aggregate", "simple"))
	require.Equal(t, "uniform-band", method("--aggregate", "calendar"))
	require.Equal(t, "normal", method("--aggregate", "calendar", "--bands", "pointwise"))
	as, derived := fitted(t, append(did, "--aggregate", "group")...), fitted(t, append(did, "--aggregate", "group", "--errors", "derived")...)
	require.Contains(t, as.codes(), "errors-as-did")
	require.NotContains(t, derived.codes(), "errors-as-did")
	require.NotEqual(t, se(as.get(t, "overall", "")), se(derived.get(t, "overall", "")))

	spells := writeTestFile(t, "sp.csv", "p,from,to,start,stop,arm\n1,A,B,0,2,0\n1,B,,2,4,0\n2,A,cens,0,4,0\n3,B,,0,4,1\n4,B,,0,4,1\n")
	states := []string{"states", "--data", spells, "--id", "p", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--tau", "4", "--by", "arm", "--ladder", "A=1,B=2"}
	requireNear(t, -3, fitted(t, append(states, "--participants", "0")...).get(t, "net-months", "").Estimate, "the other group's net months")

	// What has no statistic has no degrees of freedom either.
	flat := writeTestFile(t, "f.csv", "x,y\n0,2\n1,2\n2,2\n")
	for _, e := range fitted(t, "ols", "--data", flat, "--outcome", "y", "--covariates", "x").Estimates {
		if e.Statistic == nil {
			require.Nil(t, e.DF)
			require.Nil(t, e.PValue)
		}
	}
}
