package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// A: cause x at 1 and 3; B: cause y at 2, one censored at 5. Gray's test of x: 1568/629
// (derivation in the tests of package survive).
func TestFitCIF(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e,arm,w,c\n1,x,A,1,p\n3,x,A,1,q\n2,y,B,1,p\n5,0,B,3,q\n")
	base := []string{"cif", "--data", path, "--time", "time", "--event", "e", "--at", "2,4"}
	a := fitted(t, append(base, "--by", "arm")...)
	e := a.get(t, "time=2,cause=x,group=A", "cumulative-incidence")
	requireNear(t, 0.5, e.Estimate, "x of A")
	requireNear(t, math.Sqrt(0.125), e.StdError, "√(1/2·1/2/2)")
	require.Equal(t, "logit", *e.ConfMethod)
	requireNear(t, 1, a.get(t, "time=4,cause=x,group=A", "").Estimate, "x of A in the end")
	requireNear(t, 0.5, a.get(t, "time=4,cause=y,group=B", "").Estimate, "y of B")
	g := a.get(t, "gray,cause=x", "chi-square")
	requireNear(t, 1568.0/629, g.Statistic, "Gray")
	requireNear(t, 1, g.DF, "df")
	require.Len(t, a.Estimates, 2*2*2+2)
	var rows []struct {
		Cause     string
		Events    int
		Statistic float64
		DF        int
		P         float64 `json:"p_value"`
	}
	a.detail(t, "gray", &rows)
	require.Equal(t, *g.PValue, rows[0].P)
	// All in one group: two of four have had x by 4, one y.
	one := fitted(t, base...)
	requireNear(t, 0.5, one.get(t, "time=4,cause=x", "").Estimate, "x")
	require.NotContains(t, one.codes(), "gray-omitted")
	require.NotContains(t, one.Details, "gray")
	w := fitted(t, append(base, "--by", "arm", "--weights", "w")...)
	requireNear(t, 0.25, w.get(t, "time=4,cause=y,group=B", "").Estimate, "weighted")
	require.Equal(t, `"influence"`, string(w.Details["gray_vcov"]))
	require.NotEqual(t, *g.Statistic, *w.get(t, "gray,cause=x", "").Statistic)
	c := fitted(t, append(base, "--by", "arm", "--cluster", "c")...)
	require.Equal(t, 2, c.N["clusters"])
	require.Equal(t, `"influence, clustered, no factor"`, string(c.Details["gray_vcov"]))
	copies := fitted(t, append(base, "--by", "arm", "--weights", "w", "--weight-kind", "frequency")...)
	require.Equal(t, `"gray"`, string(copies.Details["gray_vcov"]))
	// Nobody of A has y: its incidence there is 0, and the test of it stands on B's.
	requireNear(t, 0, a.get(t, "time=4,cause=y,group=A", "").Estimate, "y of A")
	code, _, _ := runFit(t, append(base, "--tau", "3")...)
	require.Equal(t, exitUsage, code)
	none := writeTestFile(t, "n.csv", "time,e\n1,0\n3,0\n")
	code, _, errOut := runFit(t, "cif", "--data", none, "--time", "time", "--event", "e")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "no event of any cause")
}

// Who is censored is said by 0 only: a word for it would be one more cause, in silence.
func TestFitNobodyCensored(t *testing.T) {
	words := writeTestFile(t, "w.csv", "t,e,x,k\n1,dead,1,a\n2,lost,3,a\n3,dead,2,a\n4,lost,5,a\n5,dead,1,a\n")
	zeros := writeTestFile(t, "z.csv", "t,e,x,k\n1,dead,1,a\n2,0,3,a\n3,dead,2,a\n4,0,5,a\n5,dead,1,a\n")
	for _, args := range [][]string{{"cif", "--at", "2"}, {"fine-gray", "--cause", "dead", "--covariates", "x,k"}} {
		args = append(args, "--time", "t", "--event", "e", "--format", "json", "--data")
		code, out, errOut := runFit(t, append(args, words)...)
		require.Zero(t, code, errOut)
		require.Contains(t, out, `"nobody-censored"`)
		code, out, errOut = runFit(t, append(args, zeros)...)
		require.Zero(t, code, errOut)
		require.NotContains(t, out, `"nobody-censored"`)
		if args[0] == "fine-gray" { // a category of one level has no column that could be null
			require.Contains(t, out, `"one-valued-covariate"`)
		}
	}
}
