package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// surrogateTable is 8 older people (3 of 4 with s = 1 have the outcome, 1 of 4 with s = 0) and 8
// of a programme (s = 1 for 3 of 4 treated and 1 of 4 others), 10 times over.
func surrogateTable(older string) string {
	var b strings.Builder
	b.WriteString("id,older,arm,s,y,fold,pair\n")
	for k := range 10 {
		for i, row := range []string{"1,1,1,1", "1,1,1,1", "1,0,1,1", "1,0,1,0", "1,1,0,1", "1,1,0,0", "1,0,0,0", "1,0,0,0", "0,1,1,", "0,1,1,", "0,1,1,", "0,1,0,", "0,0,1,", "0,0,0,", "0,0,0,", "0,0,0,"} {
			if older == "" && row[0] == '1' {
				row = "1," + row[3:]
			}
			fmt.Fprintf(&b, "p%d%02d,%s,%d,%d\n", k, i, row, k%2+1, (16*k+i)/2)
		}
	}
	return b.String()
}

// ν̄₁ - ν̄₀ = 5/8 - 3/8; breakdown 4/3 of it (progress, TestSurrogateByHand).
func TestFitSurrogate(t *testing.T) {
	path := writeTestFile(t, "d.csv", surrogateTable("known"))
	base := []string{"surrogate", "--data", path, "--id", "id", "--sample", "older", "--treatment", "arm", "--surrogates", "s", "--outcome", "y"}
	a := fitted(t, append(base, "--folds", "0")...)
	requireNear(t, 0.25, a.get(t, "index", "risk-difference").Estimate, "index")
	requireNear(t, 1.0/3, a.get(t, "breakdown", "risk-difference").Estimate, "breakdown")
	requireNear(t, 0.5, a.get(t, "direct", "risk-difference").Estimate, "direct")
	requireNear(t, 0.5, a.get(t, "long-term", "risk-difference").Estimate, "long-term")
	require.Equal(t, map[string]int{"units": 160, "treated": 40}, a.N)
	var truth []map[string]any
	a.detail(t, "truth", &truth)
	require.Equal(t, "older", truth[1]["sample"])
	require.Subset(t, a.codes(), []string{"surrogacy-rejected", "breakdown-within-reach"})
	first := func(more ...string) float64 {
		return *fitted(t, append(append([]string{}, base...), more...)...).get(t, "index", "").Estimate
	}
	folds := first()
	require.NotEqual(t, folds, first("--seed", "4"))
	require.NotEqual(t, folds, first("--folds", "3"))
	require.NotEqual(t, folds, first("--outcome-model", "linear", "--cluster", "pair"))
	// Each half of the copies predicts for the other, and they are alike.
	require.InDelta(t, 0.25, first("--fold", "fold"), 1e-9)
	require.InDelta(t, 0.25, first("--folds", "0", "--population", "older", "--treatment-model", "constant"), 1e-9)
	require.NotEqual(t, a.get(t, "index", "").StdError, fitted(t, append(base, "--folds", "0", "--cluster", "pair")...).get(t, "index", "").StdError)
	// Without the older cohort's treatment nothing can be tested.
	hidden := writeTestFile(t, "h.csv", surrogateTable(""))
	base[2] = hidden
	b := fitted(t, append(base, "--folds", "0")...)
	require.Equal(t, a.get(t, "index", ""), b.get(t, "index", ""))
	require.Nil(t, b.get(t, "direct", "").Estimate)
	require.Len(t, b.Estimates, 3)
	require.Subset(t, b.codes(), []string{"surrogacy-untested", "no-estimate"})
	require.Contains(t, fitted(t, append(base, "--folds", "0", "--where", "older == 1 or pair < 24")...).codes(), "few-persons")
	_, text, _ := runFit(t, append([]string{"surrogate", "--data", path}, append(base[3:], "--folds", "0")...)...)
	require.Contains(t, text, "Forecast against what came")
}

// Learnt apart: both treated with s = 1 have the outcome and one of two with s = 0, one of two others and neither. A logistic model of that has no
// maximum, a linear one does: μ₁ = 1, ½ and μ₀ = ½, 0, μ̄₁ = 7/8, μ̄₀ = 1/8.
func TestFitSurrogateAssumesLatentUnconfoundedness(t *testing.T) {
	path := writeTestFile(t, "d.csv", surrogateTable("known"))
	base := []string{"surrogate", "--data", path, "--id", "id", "--sample", "older", "--treatment", "arm", "--surrogates", "s", "--outcome", "y", "--folds", "0"}
	a := fitted(t, append(base, "--assume", "latent-unconfoundedness", "--outcome-model", "linear")...)
	requireNear(t, 0.75, a.get(t, "bridge", "risk-difference").Estimate, "bridge")
	requireNear(t, 0.25, a.get(t, "index", "risk-difference").Estimate, "index")
	requireNear(t, 0.5, a.get(t, "difference", "risk-difference").Estimate, "difference")
	require.Contains(t, a.codes(), "index-differs")
	code, _, errOut := runFit(t, append(base, "--assume", "latent-unconfoundedness")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "decided by")
	// Tilts, by hand in progress (TestTiltByHand): odds from the older cohort's ¼ and ¾ to ½ and 9/10 with thrice the odds, 1/10 and ½ with a third.
	// low: (¾·½ + ¼·1/10) − (¼·9/10 + ¾·½) = −.2, high: (¾·9/10 + ¼·½) − (¼·½ + ¾·1/10) = .6.
	b := fitted(t, append(base, "--tilt", "1.0986122886681098")...)
	for term, want := range map[string]float64{"": .2, "-": .2, "low": -.2, "high": .6} {
		name := "index,tilt=" + term + "1.0986122886681098"
		if len(term) > 1 {
			name = "index,tilt=1.0986122886681098,bound=" + term
		}
		requireNear(t, want, b.get(t, name, "").Estimate, name)
	}
	var point float64
	b.detail(t, "tilt_breakdown", &point)
	require.Greater(t, point, 0.0)
	var bench map[string]any
	b.detail(t, "benchmark", &bench)
	require.Equal(t, "older", bench["sample"])
	_, text, _ := runFit(t, append([]string{"surrogate", "--data", path}, base[3:]...)...)
	require.Contains(t, text, benchmarkTitle)
	// A weight of 2 for some moves the forecast, and the same weight for all does not.
	for weight, same := range map[string]bool{"3": true, "$": false} {
		lines := strings.Split(strings.TrimSpace(surrogateTable("known")), "\n")
		for i := range lines {
			switch v := weight; {
			case i == 0:
				lines[i] += ",w"
			case v == "$":
				lines[i] += fmt.Sprintf(",%d", 1+i%3)
			default:
				lines[i] += "," + v
			}
		}
		heavy := writeTestFile(t, "w.csv", strings.Join(lines, "\n")+"\n")
		w := fitted(t, append([]string{"surrogate", "--data", heavy, "--weights", "w"}, append(base[3:], "--assume", "latent-unconfoundedness", "--outcome-model", "linear")...)...)
		require.Equal(t, same, *a.get(t, "bridge", "").Estimate == *w.get(t, "bridge", "").Estimate)
	}
}

func TestFitSurrogateBad(t *testing.T) {
	path := writeTestFile(t, "d.csv", surrogateTable("known"))
	base := []string{"surrogate", "--data", path, "--sample", "older", "--treatment", "arm", "--outcome", "y"}
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, nil, []string{"--surrogates is needed"}},
		{exitUsage, []string{"--surrogates", "s", "--folds", "1", "--outcome-model", "forest", "--treatment-model", "x", "--population", "all", "--tau", "3"},
			[]string{"at least 2", "forest", `"x"`, `"all"`, "does not use --tau"}},
		{exitUsage, []string{"--surrogates", "s", "--fold", "fold", "--seed", "3"}, []string{"leave --folds and --seed out"}},
		{exitUsage, []string{"--surrogates", "s", "--folds", "0", "--seed", "3"}, []string{"--seed goes with"}},
		{exitUsage, []string{"--surrogates", "s,y"}, []string{`"y"`}},
		{exitUsage, []string{"--surrogates", "s", "--assume", "nothing", "--tilt", "0,.1,.1,a", "--weights", "pair", "--weight-kind", "frequency"}, []string{"nothing", "above 0", ".1 twice", `"a"`, "one person a row"}},
		{exitInput, []string{"--surrogates", "s", "--assume", "latent-unconfoundedness", "--where", "older == 0 or arm == 1"}, []string{"older cohort"}},
		{exitInput, []string{"--surrogates", "s", "--tilt", ".1", "--outcome-model", "linear"}, []string{"logistic"}},
		{exitInput, []string{"--surrogates", "s", "--where", "older == 0"}, []string{"older cohort"}},
		{exitInput, []string{"--surrogates", "s", "--where", "older == 1 or arm == 1"}, []string{"no comparison units"}},
		{exitInput, []string{"--surrogates", "s", "--folds", "60"}, []string{"60 folds"}},
		{exitInput, []string{"--surrogates", "s", "--covariates", "older2"}, []string{"older2"}},
	} {
		code, out, errOut := runFit(t, append(base, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
	for content, says := range map[string]string{
		"g,w,s,y\n1,1,1,1\n0,,1,\n0,0,1,\n": "d.csv:3",
		"g,w,s,y\n1,1,1,1\n0,2,1,\n":        "d.csv:3",
		"g,w,s,y\n2,1,1,1\n0,1,1,\n":        "d.csv:2",
		"g,w,s,y\n1,1,1,a\n0,1,1,b\n":       `"y"`,
	} {
		code, out, errOut := runFit(t, "surrogate", "--data", writeTestFile(t, "d.csv", content), "--sample", "g", "--treatment", "w", "--surrogates", "s", "--outcome", "y")
		require.Equal(t, exitInput, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, says)
	}
}
