package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const flowTable = `id,t,s,g
a,1,10,x
b,1,8,x
c,0,9,x
d,0,0,x
e,0,13,y
`

// Greedy pairs cost 6 (a-c, b-e), the best 4 (a-e, b-c): see TestOptimalByHand of package cohort.
func TestFitMatchFlow(t *testing.T) {
	path := writeTestFile(t, "d.csv", flowTable)
	base := []string{"match", "--data", path, "--id", "id", "--treatment", "t", "--score", "s"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(base[:len(base):len(base)], more...)...) }
	require.JSONEq(t, `[["a","c"],["b","e"]]`, string(with().Details["pairs"]))
	a := with("--method", "optimal")
	require.JSONEq(t, `[["a","e"],["b","c"]]`, string(a.Details["pairs"]))
	require.JSONEq(t, `4`, string(a.Details["sum_distance"]))
	var o map[string]float64
	a.detail(t, "optimum", &o)
	require.Equal(t, []float64{4, 6, 6}, []float64{o["total"], o["pairs"], o["pairs_within_calipers"]})
	b := with("--method", "optimal", "--exact", "g")
	require.JSONEq(t, `[["a","c"],["b","d"]]`, string(b.Details["pairs"]))
	c := with("--method", "optimal", "--caliper-raw", "2")
	require.Contains(t, c.codes(), "caliper-excluded")
	require.Contains(t, c.codes(), "estimand-changed")

	// c is with b (1), e with a (3), d with b (8).
	full := with("--method", "full")
	var sets, weights map[string]float64
	full.detail(t, "sets", &sets)
	require.Equal(t, map[string]float64{"a": 1, "e": 1, "b": 2, "c": 2, "d": 2}, sets)
	full.detail(t, "weights", &weights)
	require.Equal(t, map[string]float64{"a": 1, "b": 1, "e": 1.5, "c": 0.75, "d": 0.75}, weights)
	require.JSONEq(t, `12`, string(full.Details["sum_distance"]))
	require.JSONEq(t, `"att"`, string(full.Details["estimand"]))
	one := with("--method", "full", "--max-controls", "1")
	require.Equal(t, 2, one.N["sets"])
	// c for a, e for a and d for b cost more than that.
	two := with("--method", "full", "--min-controls", "1", "--estimand", "ate")
	require.JSONEq(t, `12`, string(two.Details["sum_distance"]))
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
