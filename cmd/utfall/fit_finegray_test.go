package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// a has the other event at 1, b is censored at 2, c and d have the event at 3 and 4, e is censored at 5: e^β = 7/(4√2)
// (derivation in the tests of package survive).
func TestFitFineGray(t *testing.T) {
	path := writeTestFile(t, "d.csv", "id,time,e,x,z,w,s\na,1,dead,0,p,1,0\nb,2,0,1,q,1,1\nc,3,job,1,q,1,0\nd,4,job,0,p,1,1\ne,5,0,1,q,1,0\n")
	base := []string{"fine-gray", "--cause", "job", "--data", path, "--id", "id", "--time", "time", "--event", "e", "--covariates"}
	a := fitted(t, append(base, "x")...)
	e := a.get(t, "x", "log-subdistribution-hazard-ratio")
	requireNear(t, math.Log(7/(4*math.Sqrt2)), e.Estimate, "beta")
	require.Equal(t, 2, a.N["events"])
	require.Equal(t, 5, a.N["units"])
	var loglik []float64
	a.detail(t, "loglik", &loglik)
	require.InDelta(t, -math.Log(165.0/16), loglik[0], 1e-14)
	var wald struct {
		Statistic float64
		DF        int
	}
	a.detail(t, "wald", &wald)
	require.Equal(t, 1, wald.DF)
	require.InDelta(t, math.Pow(*e.Estimate / *e.StdError, 2), wald.Statistic, 1e-12)
	requireNear(t, *e.Estimate, fitted(t, append(base, "z")...).get(t, "z[q]", "").Estimate, "category")
	requireNear(t, *e.StdError, fitted(t, append(base, "x", "--robust")...).get(t, "x", "").StdError, "robust is how it is")
	requireNear(t, *e.Estimate, fitted(t, append(base, "x", "--weights", "w")...).get(t, "x", "").Estimate, "weights of 1")
	require.NotEqual(t, *e.Estimate, *fitted(t, append(base, "x", "--censoring-strata", "s")...).get(t, "x", "").Estimate)
	// b and d enter at 1, of four at risk just after it: a, who left at 1, counts 2·3/4 once b is censored.
	fitted(t, append(base, "x", "--entry", "s")...).detail(t, "loglik", &loglik)
	require.InDelta(t, -math.Log(4.5*3.5), loglik[0], 1e-14)
	code, out, _ := runFit(t, append(base, "x")...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "All terms at once")
	for _, bad := range [][]string{
		{"--ties", "exact"}, {"--ties", "x"}, {"--robust=false"}, {"--by", "z"}, {"--zph", "km"}, {"--weight-kind", "sampling"},
		{"--weights", "w", "--weight-kind", "frequency"},
	} {
		code, _, _ := runFit(t, append(append(base, "x"), bad...)...)
		require.Equal(t, exitUsage, code, bad)
	}
	for cause, want := range map[string]struct {
		code int
		text string
	}{"dead": {exitInput, "perfect separation"}, "work": {exitInput, "no unit has an event of cause"}, "0": {exitUsage, "censoring"}} {
		args := append(append([]string(nil), base...), "x")
		args[2] = cause
		code, _, errOut := runFit(t, args...)
		require.Equal(t, want.code, code, cause)
		require.Contains(t, errOut, want.text)
	}
}

// Ties of the cause at one time are what --ties is about.
func TestFitFineGrayTies(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e,x\n1,1,1\n1,1,0\n1,2,1\n2,0,1\n2,1,0\n3,1,1\n3,0,0\n")
	base := []string{"fine-gray", "--data", path, "--time", "time", "--event", "e", "--cause", "1", "--covariates", "x"}
	a, b := fitted(t, base...).get(t, "x", ""), fitted(t, append(base, "--ties", "efron")...).get(t, "x", "")
	require.NotEqual(t, *a.Estimate, *b.Estimate)
	require.Equal(t, *a.Estimate, *fitted(t, append(base, "--ties", "breslow")...).get(t, "x", "").Estimate)
}

// Rows of one unit are refused with the reason and what to use; a time that cannot be names its line and the rule.
func TestFitFineGrayRefuses(t *testing.T) {
	for text, rows := range map[string]string{
		"d.csv:3: column \"id\": the row has the id of line 2; one row per unit is needed; covariates that change from row to row": "a,0,2,0,1\na,2,5,1,2\nb,0,3,2,1\n",
		"d.csv:3: times no unit can have: the time is not after the entry time":                                                    "a,0,2,1,1\nb,5,5,1,2\nc,0,3,2,1\n",
	} {
		path := writeTestFile(t, "d.csv", "id,start,stop,e,x\n"+rows)
		code, out, errOut := runFit(t, "fine-gray", "--data", path, "--id", "id", "--entry", "start", "--time", "stop", "--event", "e", "--cause", "1", "--covariates", "x")
		require.Equal(t, exitInput, code)
		require.Contains(t, errOut, text)
		require.Empty(t, out)
	}
}
