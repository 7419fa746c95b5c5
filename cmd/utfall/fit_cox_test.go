package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Events of x = 1 at 1 and of x = 0 at 2; one of x = 1 censored at 3: β = −ln2/2, information
// 6√2 − 8 (derivation in the tests of package survive).
func TestFitCox(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e,x,z,w,s,from\n1,1,1,a,1,0,0\n2,1,0,b,1,0,0\n3,0,1,a,1,0,1\n")
	base := []string{"cox", "--data", path, "--time", "time", "--event", "e", "--covariates"}
	a := fitted(t, append(base, "x")...)
	require.Len(t, a.Estimates, 1)
	e := a.get(t, "x", "log-hazard-ratio")
	requireNear(t, -math.Ln2/2, e.Estimate, "beta")
	requireNear(t, 1/math.Sqrt(6*math.Sqrt2-8), e.StdError, "se")
	require.Equal(t, 2, a.N["events"])
	var loglik []float64
	a.detail(t, "loglik", &loglik)
	require.InDelta(t, -math.Log(6), loglik[0], 1e-14)
	require.InDelta(t, -2*math.Log(1+math.Sqrt2), loglik[1], 1e-14)
	var score struct {
		Statistic float64
		DF        int
		P         float64 `json:"p_value"`
	}
	a.detail(t, "score", &score)
	require.InDelta(t, 1.0/17, score.Statistic, 1e-13)
	var c float64
	a.detail(t, "concordance", &c)
	require.Equal(t, 0.5, c)
	// As a category the reference is a, so that the sign turns.
	requireNear(t, math.Ln2/2, fitted(t, append(base, "z")...).get(t, "z[b]", "").Estimate, "category")
	// The third enters at 1: β = 0.
	require.InDelta(t, 0, *fitted(t, append(base, "x", "--entry", "from")...).get(t, "x", "").Estimate, 1e-12)
	for _, more := range [][]string{{"--robust"}, {"--weights", "w"}} {
		r := fitted(t, append(append(base, "x"), more...)...).get(t, "x", "")
		requireNear(t, -math.Ln2/2, r.Estimate, "beta")
		require.NotEqual(t, *e.StdError, *r.StdError)
	}
	code, out, _ := runFit(t, append(base, "x", "--strata", "s")...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Proportional hazards")
	tied := writeTestFile(t, "t.csv", "time,e,x\n1,1,1\n1,1,0\n2,0,1\n")
	ties := []string{"cox", "--data", tied, "--time", "time", "--event", "e", "--covariates", "x"}
	requireNear(t, -math.Log(6)/2, fitted(t, ties...).get(t, "x", "").Estimate, "efron")
	b := fitted(t, append(ties, "--ties", "breslow")...)
	requireNear(t, -math.Ln2, b.get(t, "x", "").Estimate, "breslow")
	require.Contains(t, b.codes(), "no-zph") // one event time
	// Of four, two at 1 and the third at 2: θ = 1 + √2 (derivation in package survive).
	exact := writeTestFile(t, "x.csv", "time,e,x\n1,1,1\n1,1,0\n2,1,1\n3,0,0\n")
	requireNear(t, math.Log(1+math.Sqrt2), fitted(t, "cox", "--data", exact, "--time", "time", "--event", "e", "--covariates", "x", "--ties", "exact").get(t, "x", "").Estimate, "exact")
	for _, bad := range [][]string{{"--ties", "exact", "--robust"}, {"--ties", "exact", "--weights", "w"}, {"--ties", "exact", "--cluster", "z"}, {"--ties", "x"}, {"--zph", "rank"}, {"--by", "z"}, {"--weight-kind", "sampling"}, {"--weights", "w", "--weight-kind", "frequency"}} {
		code, _, _ := runFit(t, append(append(base, "x"), bad...)...)
		require.Equal(t, exitUsage, code, bad)
	}
	apart := writeTestFile(t, "a.csv", "time,e,x\n1,1,1\n2,1,1\n3,0,0\n4,0,0\n")
	code, _, errOut := runFit(t, "cox", "--data", apart, "--time", "time", "--event", "e", "--covariates", "x")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "perfect separation")
	none := writeTestFile(t, "n.csv", "time,e,x\n1,0,1\n2,0,0\n")
	code, _, errOut = runFit(t, "cox", "--data", none, "--time", "time", "--event", "e", "--covariates", "x")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "no event")
}

// The rows of one unit are intervals of its time: cut at 1, they give the number of the rows uncut.
func TestFitCoxIntervals(t *testing.T) {
	const head = "id,from,to,e,x\n"
	args := func(rows string) []string {
		return []string{"cox", "--data", writeTestFile(t, "d.csv", head+rows), "--id", "id", "--time", "to", "--event", "e", "--entry", "from", "--covariates", "x"}
	}
	a := fitted(t, args("a,0,1,1,1\nb,0,1,0,0\nb,1,2,1,0\nc,0,2,0,1\nc,2,3,0,1\n")...)
	requireNear(t, -math.Ln2/2, a.get(t, "x", "").Estimate, "beta")
	require.Equal(t, 3, a.N["units"])
	require.Contains(t, a.codes(), "rows-of-one-unit")
	// The covariate of c turns 0 at 1: L = θ/(2θ+1)·1/2 has no maximum, of b turns 1 at 1: θ/(2θ+1)·1/2, too.
	code, _, errOut := runFit(t, args("a,0,1,1,1\nb,0,1,0,0\nb,1,2,1,0\nc,0,1,0,1\nc,1,3,0,0\n")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "perfect separation")
	again := fitted(t, args("a,0,1,1,1\na,1,2,0,1\nb,0,2,1,0\nc,0,3,0,1\n")...)
	require.Contains(t, again.codes(), "recurrent-events")
	code, _, errOut = runFit(t, args("a,0,1,1,1\nb,0,1.5,0,0\nb,1,2,1,0\nc,0,3,0,1\n")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "d.csv:4")
	require.Contains(t, errOut, "overlaps")
	code, _, errOut = runFit(t, "cox", "--data", writeTestFile(t, "d.csv", head+"a,0,1,1,1\na,1,2,0,1\n"), "--id", "id", "--time", "to", "--event", "e", "--covariates", "x")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "one row per unit")
}
