package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two groups of counts, 1 and 3 in one, 2, 4 and 6 in the other: means 2 and 4.
const countTable = "id,y,x,g,w,t,lat,lon\n1,1,0,a,1,2,59.0,18.0\n2,3,0,b,1,4,59.1,18.0\n3,2,1,a,2,2,60.0,18.0\n4,4,1,b,1,8,60.1,18.0\n5,6,1,c,1,9,62.0,18.0\n"

// The numbers of the two groups through the command line; every family and option
// reaches the estimator.
func TestFitGLM(t *testing.T) {
	path := writeTestFile(t, "d.csv", countTable)
	base := []string{"glm", "--data", path, "--outcome", "y", "--covariates", "x", "--family"}
	a := fitted(t, append(base, "poisson")...)
	require.Equal(t, []string{"(intercept)", "x"}, []string{a.Estimates[0].Term, a.Estimates[1].Term})
	requireNear(t, math.Ln2, a.get(t, "x", "coefficient").Estimate, "slope")
	requireNear(t, math.Sqrt(1.0/3), a.get(t, "x", "").StdError, "se")
	require.Nil(t, a.Estimates[1].DF)
	require.Equal(t, "normal", *a.Estimates[1].ConfMethod)
	for vcov, want := range map[string]float64{"hc0": 13.0 / 72, "hc1": 13.0 / 72 * 5 / 3, "hc3": 5.0 / 8} {
		requireNear(t, math.Sqrt(want), fitted(t, append(base, "poisson", "--vcov", vcov)...).get(t, "x", "").StdError, vcov)
	}
	se := func(args ...string) float64 {
		return *fitted(t, append(append([]string{}, base...), args...)...).get(t, "x", "").StdError
	}
	seen := map[float64]string{se("poisson"): "plain"}
	for name, args := range map[string][]string{
		"hc4": {"poisson", "--vcov", "hc4"}, "cr0": {"poisson", "--vcov", "cr0", "--cluster", "g"}, "cr1": {"poisson", "--cluster", "g"},
		"cr2": {"poisson", "--vcov", "cr2", "--cluster", "g"}, "offset": {"poisson", "--offset", "t"}, "weights": {"poisson", "--weights", "w"},
		"copies": {"poisson", "--weights", "w", "--vcov", "iid"}, "conley": {"poisson", "--conley", "lat,lon", "--cutoff", "30"},
		"bartlett": {"poisson", "--conley", "lat,lon", "--cutoff", "30", "--kernel", "bartlett"}, "gaussian": {"gaussian"},
		"log": {"gaussian", "--link", "log"}, "trials": {"binomial", "--trials", "t"}, "probit": {"binomial", "--trials", "t", "--link", "probit"},
		"no intercept": {"poisson", "--no-intercept"}, "absorbed": {"gaussian", "--absorb", "g"},
	} {
		v := se(args...)
		require.NotContains(t, seen, v, "%s gives the error of %s", name, seen[v])
		seen[v] = name
	}
	// Pearson's χ² is 3 on 3 degrees of freedom: the error stays, the distribution is t.
	q := fitted(t, append(base, "poisson", "--dispersion", "pearson")...)
	requireNear(t, math.Sqrt(1.0/3), q.get(t, "x", "").StdError, "quasi")
	require.Equal(t, 3.0, *q.get(t, "x", "").DF)
	require.Contains(t, q.codes(), "no-likelihood")
	code, out, _ := runFit(t, append(base, "poisson", "--cluster", "g")...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Leverage")
	require.NotContains(t, out, "NaN")
}

// The other methods by hand: pairs of a matched set, thresholds of shares, a balanced
// layout, the moments of two rows a cluster.
func TestFitLikelihoods(t *testing.T) {
	var pairs strings.Builder
	pairs.WriteString("y,x,s\n")
	for i := range 17 {
		x := "1"
		if i >= 12 {
			x = "0"
		}
		s := string(rune('a' + i))
		pairs.WriteString("1," + x + "," + s + "\n0," + string('1'-x[0]+'0') + "," + s + "\n")
	}
	c := fitted(t, "clogit", "--data", writeTestFile(t, "p.csv", pairs.String()), "--outcome", "y", "--covariates", "x", "--sets", "s")
	requireNear(t, math.Log(12.0/5), c.get(t, "x", "log-odds-ratio").Estimate, "pairs")
	requireNear(t, math.Sqrt(1.0/12+1.0/5), c.get(t, "x", "").StdError, "pairs se")
	require.Equal(t, map[string]int{"units": 34, "sets": 17, "events": 17}, c.N)

	words := writeTestFile(t, "o.csv", "y,x\nlow,0\nlow,1\nmiddle,0\nhigh,1\nhigh,0\nmiddle,1\nhigh,1\nlow,0\n")
	o := fitted(t, "ordinal", "--data", words, "--outcome", "y", "--covariates", "x", "--order", "low,middle,high")
	require.Equal(t, []string{"x", "low|middle", "middle|high"}, []string{o.Estimates[0].Term, o.Estimates[1].Term, o.Estimates[2].Term})
	probit := fitted(t, "ordinal", "--data", words, "--outcome", "y", "--covariates", "x", "--order", "low,middle,high", "--link", "probit")
	require.NotEqual(t, *o.Estimates[0].Estimate, *probit.Estimates[0].Estimate)

	layout := writeTestFile(t, "m.csv", "y,g\n1,a\n3,a\n5,b\n9,b\n6,c\n12,c\n")
	m := fitted(t, "mixed", "--data", layout, "--outcome", "y", "--group", "g")
	requireNear(t, 6, m.get(t, "(intercept)", "coefficient").Estimate, "mean")
	requireNear(t, math.Sqrt(26.0/6), m.get(t, "(intercept)", "").StdError, "se")
	random := map[string]float64{}
	m.detail(t, "random", &random)
	require.InDelta(t, -4*(1-28.0/3/26), random["a"], 1e-9)
	ml := fitted(t, "mixed", "--data", layout, "--outcome", "y", "--group", "g", "--method", "ml")
	requireNear(t, math.Sqrt(52.0/18), ml.get(t, "(intercept)", "").StdError, "ml")
	code, out, _ := runFit(t, "mixed", "--data", layout, "--outcome", "y", "--group", "g")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Between and within groups")

	times := writeTestFile(t, "g.csv", "y,x,g,t\n1,0,a,1\n3,1,a,2\n5,0,b,1\n9,1,b,2\n6,1,c,1\n12,0,c,2\n7,1,c,3\n")
	g := []string{"gee", "--data", times, "--outcome", "y", "--covariates", "x", "--cluster", "g"}
	seen := map[float64]bool{}
	for _, more := range [][]string{nil, {"--correlation", "independence"}, {"--correlation", "ar1", "--time", "t"}, {"--family", "poisson"}, {"--vcov", "cr0"}, {"--vcov", "jackknife"}} {
		v := *fitted(t, append(append([]string{}, g...), more...)...).get(t, "x", "").StdError
		require.False(t, seen[v], "%v changes nothing", more)
		seen[v] = true
	}
}

// All that the methods cannot use is said, with the exit code of the command line or of
// the data.
func TestFitRegressionsBad(t *testing.T) {
	path := writeTestFile(t, "d.csv", countTable)
	for _, c := range []struct {
		code int
		args []string
		want []string
	}{
		{exitUsage, []string{"glm", "--outcome", "y", "--covariates", "x", "--family", "poisson", "--absorb", "g"}, []string{"--absorb goes with --family gaussian"}},
		{exitUsage, []string{"glm", "--outcome", "y", "--covariates", "x", "--dispersion", "pearson", "--vcov", "hc1", "--family", "poisson"}, []string{"--dispersion pearson goes with --vcov iid"}},
		{exitUsage, []string{"glm", "--outcome", "y", "--covariates", "x", "--family", "poisson", "--weights", "w", "--weight-kind", "sampling", "--vcov", "iid"}, []string{"no meaning with sampling weights"}},
		{exitUsage, []string{"glm", "--outcome", "y", "--covariates", "x", "--family", "poisson", "--replicates", "99"}, []string{"does not use --replicates"}},
		{exitUsage, []string{"ols", "--outcome", "y", "--covariates", "x", "--cutoff", "3", "--seed", "1"}, []string{"--cutoff goes with --conley", "--seed goes with --vcov wild"}},
		{exitUsage, []string{"ols", "--outcome", "y", "--covariates", "x", "--conley", "lat"}, []string{"needs two columns"}},
		{exitUsage, []string{"ols", "--outcome", "y", "--covariates", "x", "--cluster", "g,w", "--vcov", "cr2"}, []string{"goes with --vcov cr0 or cr1"}},
		{exitUsage, []string{"ols", "--outcome", "y", "--covariates", "x", "--absorb", "g,w", "--vcov", "hc3"}, []string{"leverages"}},
		{exitUsage, []string{"ordinal", "--outcome", "g", "--covariates", "x"}, []string{"--order low,…,high is needed"}},
		{exitUsage, []string{"ordinal", "--outcome", "y", "--covariates", "x", "--link", "log", "--vcov", "cr1"}, []string{`"log" is not one of`, "--vcov cr1 needs --cluster"}},
		{exitUsage, []string{"mixed", "--outcome", "y", "--group", "g", "--quadrature", "5", "--family", "gaussian"}, []string{"--quadrature goes with --family binomial"}},
		{exitUsage, []string{"gee", "--outcome", "y", "--covariates", "x", "--cluster", "g", "--correlation", "ar1"}, []string{"needs it"}},
		{exitUsage, []string{"clogit", "--outcome", "x", "--covariates", "t", "--sets", "g", "--vcov", "hc1"}, []string{`"hc1" is not one of`}},
		{exitInput, []string{"glm", "--outcome", "y", "--covariates", "x"}, []string{"d.csv:3", "other than 0 and 1"}},
		{exitInput, []string{"glm", "--outcome", "t", "--trials", "y", "--covariates", "x"}, []string{"d.csv:2", "number of successes"}},
		{exitInput, []string{"glm", "--outcome", "x", "--covariates", "id"}, []string{"perfectly predicted along id"}},
		{exitInput, []string{"ordinal", "--outcome", "g", "--covariates", "x", "--order", "a,b"}, []string{"d.csv:6", "does not name"}},
		{exitInput, []string{"mixed", "--outcome", "y", "--group", "x"}, []string{"2 groups"}},
		{exitInput, []string{"clogit", "--outcome", "x", "--covariates", "t", "--sets", "id"}, []string{"no set has rows with and without the event"}},
		{exitInput, []string{"ols", "--outcome", "y", "--covariates", "t", "--cluster", "x", "--where", "x == 1"}, []string{"at least 2 clusters"}},
	} {
		code, out, errOut := runFit(t, append(append([]string{}, c.args...), "--data", path)...)
		require.Equal(t, c.code, code, "%v: %s%s", c.args, out, errOut)
		for _, w := range c.want {
			require.Contains(t, errOut, w, "%v", c.args)
		}
	}
}
