package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Treated have x = 1, 1, 0, untreated 1, 0, 0, 0. One of two at 1 … are treated: 2/3 at
// x = 1, 1/4 at 0. att: the untreated at 1 weighs 2, the others 1/3 each.
const weightTable = `id,t,x,p
a,1,1,0.8
b,1,1,0.5
c,1,0,0.4
d,0,1,0.5
e,0,0,0.2
f,0,0,0.2
g,0,0,0.2
`

func TestFitWeight(t *testing.T) {
	path := writeTestFile(t, "d.csv", weightTable)
	base := []string{"weight", "--data", path, "--id", "id", "--treatment", "t", "--covariates", "x"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(base[:len(base):len(base)], more...)...) }
	weights := func(a *fitAnswer) (out map[string]float64) { a.detail(t, "weights", &out); return out }
	near := func(want, got map[string]float64) {
		t.Helper()
		require.Len(t, got, len(want))
		for id, w := range want {
			require.InDelta(t, w, got[id], 1e-9, id)
		}
	}
	third := 1.0 / 3
	att := map[string]float64{"a": 1, "b": 1, "c": 1, "d": 2, "e": third, "f": third, "g": third}
	out := filepath.Join(filepath.Dir(path), "w.csv")
	a := with("--out", out)
	near(att, weights(a))
	require.Equal(t, map[string]int{"units": 7, "treated": 3}, a.N)
	var ess map[string]float64
	a.detail(t, "ess", &ess)
	require.InDelta(t, 9/(4+third), ess["control"], 1e-9)
	require.InDelta(t, 3, ess["treated"], 1e-12)
	require.Contains(t, a.Details, "propensity")
	require.NotContains(t, a.Details, "imbalance")
	file, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Contains(t, string(file), "weight,score\n")
	var rows []map[string]any
	a.detail(t, "balance", &rows)
	require.Equal(t, "x", rows[1]["variable"])
	require.InDelta(t, 0, rows[1]["smd_after"], 1e-9)
	require.NotContains(t, rows[1], "pair_distance_after")
	// One 0/1 column: balancing logit and entropy give the same, the latter with mean 1.
	near(att, weights(with("--method", "cbps")))
	near(map[string]float64{"a": 1, "b": 1, "c": 1, "d": 8.0 / 3, "e": 4.0 / 9, "f": 4.0 / 9, "g": 4.0 / 9}, weights(with("--method", "entropy")))
	e := with("--method", "entropy", "--estimand", "ate")
	require.Contains(t, e.Details, "imbalance")
	require.NotContains(t, e.Details, "scores")
	near(map[string]float64{"a": 1.5, "b": 1.5, "c": 4, "d": 3, "e": 4 * third, "f": 4 * third, "g": 4 * third}, weights(with("--estimand", "ate")))
	near(map[string]float64{"a": 0.5, "b": 0.5, "c": 3, "d": 1, "e": 1, "f": 1, "g": 1}, weights(with("--estimand", "atc")))
	near(map[string]float64{"a": third, "b": third, "c": 0.75, "d": 2 * third, "e": 0.25, "f": 0.25, "g": 0.25}, weights(with("--method", "overlap")))
	near(map[string]float64{"a": 0.5, "b": 0.5, "c": 1, "d": 1, "e": third, "f": third, "g": third}, weights(with("--method", "matching-weights", "--estimand", "atm")))
	near(map[string]float64{"a": 1, "b": 1, "c": 1, "d": 1, "e": 0.25, "f": 0.25, "g": 0.25}, weights(with("--score", "p")))
	code, text, _ := runFit(t, base...)
	require.Equal(t, exitOK, code)
	require.Contains(t, text, "weighted, effective")
}

func TestFitWeightBadInput(t *testing.T) {
	path := writeTestFile(t, "d.csv", weightTable)
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--covariates", "x", "--method", "kernel", "--ratio", "2"}, exitUsage, []string{"kernel", "does not use --ratio"}},
		{[]string{"--covariates", "x", "--method", "overlap", "--estimand", "att"}, exitUsage, []string{"ato"}},
		{[]string{"--covariates", "x", "--method", "cbps", "--score", "p"}, exitUsage, []string{"does not use --score"}},
		{nil, exitUsage, []string{"--covariates is needed"}},
		{[]string{"--covariates", "p", "--score", "x"}, exitInput, []string{`"x"`, "between 0 and 1"}},
		{[]string{"--covariates", "x", "--where", "id != \"d\""}, exitInput, []string{"separated", `"x"`}},
		{[]string{"--covariates", "x", "--method", "entropy", "--where", "id != \"d\""}, exitInput, []string{"no common support", `"x"`}},
	} {
		code, out, errOut := runFit(t, append([]string{"weight", "--data", path, "--id", "id", "--treatment", "t"}, c.args...)...)
		require.Equal(t, c.code, code, "%v: %s", c.args, errOut)
		require.Empty(t, out)
		for _, w := range c.want {
			require.Contains(t, errOut, w, "%v", c.args)
		}
	}
}
