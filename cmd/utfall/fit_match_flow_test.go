package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const flowTable = `id,t,s,g
a,1,10,x
b,1,8,x
c,0,8.5,x
d,0,0,x
e,0,13,y
`

// Greedy pairs cost 1.5 + 5 (a-c, b-e), the best 3 + 0.5 (a-e, b-c).
func TestFitMatchFlow(t *testing.T) {
	path := writeTestFile(t, "d.csv", flowTable)
	base := []string{"match", "--data", path, "--id", "id", "--treatment", "t", "--score", "s"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(base[:len(base):len(base)], more...)...) }
	require.JSONEq(t, `[["a","c"],["b","e"]]`, string(with().Details["pairs"]))
	a := with("--method", "optimal")
	require.JSONEq(t, `[["a","e"],["b","c"]]`, string(a.Details["pairs"]))
	require.JSONEq(t, `3.5`, string(a.Details["sum_distance"]))
	var o map[string]float64
	a.detail(t, "optimum", &o)
	require.Equal(t, []float64{3.5, 6, 6}, []float64{o["total"], o["pairs"], o["pairs_within_calipers"]})
	b := with("--method", "optimal", "--exact", "g")
	require.JSONEq(t, `[["a","c"],["b","d"]]`, string(b.Details["pairs"]))
	c := with("--method", "optimal", "--caliper-raw", "2")
	require.Contains(t, c.codes(), "caliper-excluded")
	require.Contains(t, c.codes(), "estimand-changed")

	// c is with b (0.5), e with a (3), d with b (8).
	full := with("--method", "full")
	var sets, weights map[string]float64
	full.detail(t, "sets", &sets)
	require.Equal(t, map[string]float64{"a": 1, "e": 1, "b": 2, "c": 2, "d": 2}, sets)
	full.detail(t, "weights", &weights)
	require.Equal(t, map[string]float64{"a": 1, "b": 1, "e": 1.5, "c": 0.75, "d": 0.75}, weights)
	require.JSONEq(t, `11.5`, string(full.Details["sum_distance"]))
	require.JSONEq(t, `"att"`, string(full.Details["estimand"]))
	one := with("--method", "full", "--max-controls", "1")
	require.Equal(t, 2, one.N["sets"])
	two := with("--method", "full", "--min-controls", "1", "--estimand", "ate")
	require.JSONEq(t, `11.5`, string(two.Details["sum_distance"]))
	require.NotEqual(t, string(full.Details["weights"]), string(two.Details["weights"]))
}

func TestFitMatchFlowUsage(t *testing.T) {
	path := writeTestFile(t, "d.csv", flowTable)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--method", "optimal", "--replace", "--order", "data", "--min-controls", "2", "--ratio", "0"}, []string{"optimal does not use --replace", "does not use --order", "does not use --min-controls", "--ratio must be"}},
		{[]string{"--method", "full", "--ratio", "2", "--ties", "hash", "--min-controls", "0", "--max-controls", "0.7"}, []string{"full does not use --ratio", "does not use --ties", "--min-controls must be", "max-controls"}},
		{[]string{"--method", "optimal", "--estimand", "ate"}, []string{"ate"}},
		{[]string{"--method", "full", "--estimand", "atm"}, []string{"atm"}},
		{[]string{"--method", "other"}, []string{"does not exist", "optimal", "full"}},
		{[]string{"--method", "optimal", "--distance", "logit"}, []string{"leave --distance logit out"}},
		{[]string{"--max-controls", "3"}, []string{"nearest does not use --max-controls"}},
	} {
		code, out, errOut := runFit(t, append([]string{"match", "--data", path, "--treatment", "t", "--score", "s"}, c.args...)...)
		require.Equal(t, exitUsage, code, "%v", c.args)
		require.Empty(t, out)
		for _, w := range c.want {
			require.Contains(t, errOut, w, "%v", c.args)
		}
	}
	code, _, errOut := runFit(t, "match", "--data", path, "--treatment", "t", "--score", "s", "--method", "full", "--max-controls", "0.5")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "max-controls")
}

// Equal sums of two: 0 + 2 = 1 + 1 (see TestCardinalityByHand of package cohort).
func TestFitMatchCardinality(t *testing.T) {
	path := writeTestFile(t, "d.csv", "id,t,x\na,1,0\nb,1,2\nc,1,10\nd,0,1\ne,0,1\nf,0,3\ng,0,20\n")
	base := []string{"match", "--data", path, "--id", "id", "--treatment", "t", "--covariates", "x", "--method", "cardinality"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(base[:len(base):len(base)], more...)...) }
	a := with("--tolerance", "0")
	var sets map[string]float64
	a.detail(t, "sets", &sets)
	require.Equal(t, map[string]float64{"a": 1, "b": 1, "d": 1, "e": 1}, sets)
	require.JSONEq(t, `0`, string(a.Details["gap"]))
	require.JSONEq(t, `true`, string(a.Details["optimal"]))
	require.JSONEq(t, `"atm"`, string(a.Details["estimand"]))
	require.Contains(t, a.codes(), "estimand-changed")
	require.NotContains(t, a.Details, "pairs")
	var c struct {
		Kept, Bound int
		Tolerances  []struct {
			Column            string
			Width, Difference float64
		}
	}
	a.detail(t, "cardinality", &c)
	require.Equal(t, []int{2, 2}, []int{c.Kept, c.Bound})
	require.Equal(t, "x", c.Tolerances[0].Column)
	require.InDelta(t, 0, c.Tolerances[0].Difference, 1e-14)
	require.Equal(t, 3, with("--tolerance-on", "x=1").N["sets"]+2, "all are one set")
	pairs := with("--tolerance", "0", "--pair-within")
	require.Equal(t, 2, pairs.N["sets"])
	require.Contains(t, pairs.Details, "pairs")
	two := with("--tolerance", "0", "--ratio", "2")
	sets = nil
	two.detail(t, "sets", &sets)
	require.Len(t, sets, 3)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--tolerance", "-1", "--caliper", "0.2", "--ratio", "0"}, []string{"tolerance must be", "cardinality does not use --caliper", "--ratio must be"}},
		{[]string{"--tolerance-on", "y=1", "--tolerance-on", "x=no", "--estimand", "ate"}, []string{`"y"`, "x=no", "ate"}},
	} {
		code, _, errOut := runFit(t, append(base[:len(base):len(base)], c.args...)...)
		require.Equal(t, exitUsage, code)
		for _, w := range c.want {
			require.Contains(t, errOut, w)
		}
	}
	code, _, errOut := runFit(t, append(base[:len(base):len(base)], "--tolerance", "0", "--ratio", "3")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "widen")
	code, text, _ := runFit(t, append(base[:len(base):len(base)], "--tolerance", "0")[:len(base)+2]...)
	require.Equal(t, exitOK, code)
	require.Contains(t, text, "Balance")
}
