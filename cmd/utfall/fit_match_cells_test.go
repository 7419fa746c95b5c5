package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const cellsTable = `id,t,sex,age,s
a,1,f,20,0.2
b,1,m,30,0.4
c,1,m,31,0.6
g,1,x,90,0.8
d,0,f,21,0.1
e,0,f,29,0.3
f,0,m,39,0.5
`

// Cells of sex: f has a with d and e (1/2 each), m has b and c with f (2/1): they add
// up to the 3 untreated. g is alone.
func TestFitMatchCells(t *testing.T) {
	path := writeTestFile(t, "d.csv", cellsTable)
	base := []string{"match", "--data", path, "--id", "id", "--treatment", "t"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(base[:len(base):len(base)], more...)...) }
	type numbers = map[string]float64
	get := func(a *fitAnswer, key string) (out numbers) { a.detail(t, key, &out); return out }

	out := filepath.Join(filepath.Dir(path), "m.csv")
	a := with("--covariates", "sex", "--method", "exact", "--out", out)
	require.Equal(t, numbers{"a": 1, "d": 1, "e": 1, "b": 2, "c": 2, "f": 2}, get(a, "sets"))
	require.Equal(t, numbers{"a": 1, "b": 1, "c": 1, "d": 0.5, "e": 0.5, "f": 2, "g": 0}, get(a, "weights"))
	require.NotContains(t, a.Details, "pairs")
	require.NotContains(t, a.Details, "cutpoints")
	require.Contains(t, a.codes(), "no-pairs")
	require.Contains(t, a.codes(), "estimand-changed")
	require.Equal(t, 2, a.N["sets"])
	counts := get(a, "counts")
	require.Equal(t, []float64{3, 3, 3}, []float64{counts["cells"], counts["matched_treated"], counts["matched_control"]})
	file, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Contains(t, string(file), "set,weight\n")
	require.NotContains(t, string(file), "g,1,x")
	// Exact on one column, balance on another.
	b := with("--covariates", "age", "--exact", "sex", "--method", "exact")
	require.JSONEq(t, string(a.Details["weights"]), string(b.Details["weights"]))
	require.NotEqual(t, string(a.Details["weights"]), string(with("--covariates", "sex", "--method", "exact", "--estimand", "ate").Details["weights"]))

	// [20,30) a d e; [30,40) b c f; above g alone.
	cem := with("--covariates", "age", "--method", "cem", "--cutpoints", "age=30:40")
	require.Equal(t, numbers{"a": 1, "d": 1, "e": 1, "b": 2, "c": 2, "f": 2}, get(cem, "sets"))
	require.JSONEq(t, `{"age":[30,40]}`, string(cem.Details["cutpoints"]))
	require.JSONEq(t, `{"age":[25,30,35]}`, string(with("--covariates", "age", "--method", "cem", "--cutpoints", "age=q4").Details["cutpoints"]))
	require.JSONEq(t, `{"age":[55]}`, string(with("--covariates", "age", "--method", "cem", "--cutpoints", "age=n2").Details["cutpoints"]))
	// 7 rows: ⌈log₂ 7⌉ + 1 = 4 bins of 17.5.
	require.JSONEq(t, `{"age":[37.5,55,72.5]}`, string(with("--covariates", "age", "--method", "cem").Details["cutpoints"]))
	pairs := with("--covariates", "age", "--method", "cem", "--cutpoints", "age=30:40", "--pair-within", "--seed", "3")
	require.JSONEq(t, `[["a","d"],["c","f"]]`, string(pairs.Details["pairs"]))

	// Treated 0.2 0.4 0.6 0.8: the median is 0.5, and 0.5 is above it.
	sub := with("--covariates", "age", "--score", "s", "--method", "subclass", "--subclasses", "2")
	require.JSONEq(t, `{"distance":[0.5]}`, string(sub.Details["cutpoints"]))
	require.Equal(t, numbers{"a": 1, "b": 1, "d": 1, "e": 1, "c": 2, "g": 2, "f": 2}, get(sub, "sets"))
	require.NotContains(t, sub.codes(), "estimand-changed")
	// For people it is a table.
	code, text, _ := runFit(t, append(base[:len(base):len(base)], "--covariates", "sex", "--method", "exact")...)
	require.Equal(t, exitOK, code)
	require.Contains(t, text, "Balance")
}

// A flag that a method does not use, and a value out of range, are named all at once.
func TestFitMatchCellsUsage(t *testing.T) {
	path := writeTestFile(t, "d.csv", cellsTable)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--method", "exact", "--ratio", "1", "--caliper", "0.2", "--seed", "0"}, []string{"exact does not use --ratio", "does not use --caliper", "does not use --seed", "--covariates is needed"}},
		{[]string{"--method", "cem", "--covariates", "age", "--distance", "logit", "--cutpoints", "age=1:x", "--cutpoints", "sex=2"}, []string{"does not use --distance", `"age=1:x"`, "sex"}},
		{[]string{"--method", "cem", "--covariates", "age", "--cutpoints", "age=1,age=2", "--seed", "1"}, []string{"twice", "--seed is not used without --pair-within"}},
		{[]string{"--method", "subclass", "--covariates", "age", "--exact", "sex", "--subclasses", "1", "--order", "data"}, []string{"does not use --exact", "at least 2", "does not use --order"}},
		{[]string{"--method", "subclass", "--covariates", "age", "--score", "s", "--distance", "logit"}, []string{"leave --distance logit out"}},
		{[]string{"--covariates", "age", "--subclasses", "3", "--pair-within", "--cutpoints", "age=3"}, []string{"nearest does not use --subclasses", "--pair-within", "--cutpoints"}},
		{[]string{"--covariates", "age", "--estimand", "ate"}, []string{"ate"}},
		{[]string{"--covariates", "age", "--method", "full", "--ratio", "0"}, []string{"full does not use --ratio"}},
	} {
		code, out, errOut := runFit(t, append([]string{"match", "--data", path, "--treatment", "t"}, c.args...)...)
		require.Equal(t, exitUsage, code, "%v", c.args)
		require.Empty(t, out)
		for _, w := range c.want {
			require.Contains(t, errOut, w, "%v", c.args)
		}
	}
	code, _, errOut := runFit(t, "match", "--data", path, "--treatment", "t", "--covariates", "age", "--method", "exact")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "no common support")
}
