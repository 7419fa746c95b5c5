package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// propensityTable is 240 people of 8 sites, two rows a person.
func propensityTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("id,t,x,z,kind,site,person\n")
	state := uint64(3)
	draw := func() float64 { // even between 0 and 1
		state = state*6364136223846793005 + 1442695040888963407
		return float64(state>>11) / (1 << 53)
	}
	for i := range 240 {
		x, z := 4*draw()-2, 4*draw()-2
		kind, site := []string{"a", "b", "c"}[int(3*draw())], i%8
		eta := -0.5 + 0.8*x + 0.3*float64(site%3)
		if kind == "b" {
			eta++
		}
		v := 0
		if draw() < 1/(1+math.Exp(-eta)) {
			v = 1
		}
		fmt.Fprintf(&b, "u%d,%d,%.6f,%.6f,%s,s%d,p%d\n", i, v, x, z, kind, site, i/2)
	}
	return writeTestFile(t, "d.csv", b.String())
}

func TestFitPropensityModels(t *testing.T) {
	path := propensityTable(t)
	base := []string{"propensity", "--data", path, "--id", "id", "--treatment", "t", "--covariates", "x,z,kind"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(base[:len(base):len(base)], more...)...) }
	number := func(a *fitAnswer, key string) (v float64) { a.detail(t, key, &v); return v }
	scores := func(a *fitAnswer) (v map[string]float64) { a.detail(t, "scores", &v); return v }
	text := func(a *fitAnswer, key string) (v string) { a.detail(t, key, &v); return v }

	lasso := with("--model", "lasso", "--folds", "5", "--cluster", "person")
	require.Equal(t, "lasso", text(lasso, "model"))
	require.Equal(t, "min", text(lasso, "lambda_rule"))
	require.Equal(t, number(lasso, "lambda_min"), number(lasso, "lambda"))
	require.Less(t, number(lasso, "kkt_gap"), 1e-9)
	require.Len(t, scores(lasso), 240)
	require.Nil(t, lasso.get(t, "x", "").StdError)
	require.NotNil(t, lasso.get(t, "kind[b]", "").Estimate)
	require.Subset(t, lasso.codes(), []string{"penalised-no-errors", "no-standard-error"})
	var path1 []map[string]float64
	lasso.detail(t, "path", &path1)
	require.Greater(t, len(path1), 20)
	require.Contains(t, path1[0], "cv_deviance")
	require.Zero(t, path1[0]["nonzero"])
	one := with("--model", "lasso", "--folds", "5", "--cluster", "person", "--lambda-rule", "1se")
	require.Equal(t, number(lasso, "lambda_1se"), number(one, "lambda"))
	require.NotEqual(t, scores(lasso), scores(with("--model", "lasso", "--folds", "5", "--cluster", "person", "--seed", "9", "--cross-fit")))
	given := with("--model", "ridge", "--lambda", "0.5")
	require.Equal(t, 0.5, number(given, "lambda"))
	require.NotContains(t, given.Details, "lambda_min")
	require.NotContains(t, given.Details, "aic")

	trees := with("--model", "boosted", "--stop", "none", "--rounds", "10", "--depth", "2", "--min-leaf", "15", "--shrinkage", "0.2")
	require.Equal(t, 10.0, number(trees, "trees"))
	require.Empty(t, trees.Estimates)
	var influence map[string]float64
	trees.detail(t, "influence", &influence)
	require.Len(t, influence, 4)
	trees.detail(t, "path", &path1)
	require.Len(t, path1, 11)
	balance := with("--model", "boosted", "--stop", "balance", "--estimand", "ate")
	require.Contains(t, string(balance.Details["path"]), "mean_abs_smd")
	code, out, _ := runFit(t, append(base, "--model", "boosted", "--stop", "none", "--rounds", "3")...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Share of what the trees explain")

	random := with("--model", "multilevel", "--site", "site")
	require.InDelta(t, number(random, "site_sd")*number(random, "site_sd"), number(random, "site_variance"), 1e-15)
	var effects map[string]float64
	random.detail(t, "site_effects", &effects)
	require.Len(t, effects, 8)
	require.NotNil(t, random.get(t, "x", "").StdError)
	require.InDelta(t, 2*6-2*number(random, "logLik"), number(random, "aic"), 1e-9)
	require.NotEqual(t, scores(random), scores(with("--model", "multilevel", "--site", "site", "--nodes", "9")))
	fixed := with("--model", "multilevel", "--site", "site", "--site-effect", "fixed")
	require.NotNil(t, fixed.get(t, "site[s3]", "").Estimate)
	plain := with("--covariates", "site") // repeated, a list flag adds
	require.Equal(t, scores(fixed), scores(plain))
	require.Equal(t, "logit", text(plain, "model"))
	require.Equal(t, 4.0, number(with("--cross-fit", "--folds", "4"), "cross_fit_folds"))
	for _, v := range scores(random) {
		require.True(t, v > 0 && v < 1 && !math.IsNaN(v))
	}
}

func TestFitPropensityBadInput(t *testing.T) {
	path := propensityTable(t)
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--model", "forest"}, exitUsage, []string{"forest"}},
		{[]string{"--model", "ridge", "--link", "probit", "--depth", "0"}, exitUsage, []string{"does not use link", "--depth must be at least 1"}},
		{[]string{"--lambda", "1"}, exitUsage, []string{"does not use lambda"}},
		{[]string{"--model", "lasso", "--lambda", "0"}, exitUsage, []string{"above 0"}},
		{[]string{"--folds", "4"}, exitUsage, []string{"nothing is cross-validated"}},
		{[]string{"--model", "boosted", "--shrinkage", "0", "--estimand", "att"}, exitUsage, []string{"--shrinkage", "stop balance"}},
		{[]string{"--model", "multilevel"}, exitUsage, []string{"needs site"}},
		{[]string{"--model", "multilevel", "--site", "x"}, exitUsage, []string{`"x"`}},
		{[]string{"--model", "multilevel", "--site", "nowhere"}, exitInput, []string{"nowhere"}},
		{[]string{"--model", "ridge", "--folds", "200"}, exitUsage, []string{"fewer folds"}},
		{[]string{"--model", "multilevel", "--site", "person", "--site-effect", "fixed"}, exitInput, []string{"all units are in one group"}},
	} {
		code, out, errOut := runFit(t, append([]string{"propensity", "--data", path, "--id", "id", "--treatment", "t", "--covariates", "x,z"}, c.args...)...)
		require.Equal(t, c.code, code, "%v: %s", c.args, errOut)
		require.Empty(t, out)
		for _, w := range c.want {
			require.Contains(t, errOut, w, "%v", c.args)
		}
	}
}

func TestFitWeightDesigns(t *testing.T) {
	path := propensityTable(t)
	base := []string{"weight", "--data", path, "--id", "id", "--treatment", "t", "--covariates", "x,z,kind"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(base[:len(base):len(base)], more...)...) }
	weights := func(a *fitAnswer) (v map[string]float64) { a.detail(t, "weights", &v); return v }
	zeros := func(a *fitAnswer) (n int) {
		for _, w := range weights(a) {
			if w == 0 {
				n++
			}
		}
		return n
	}
	trimmed := with("--estimand", "ate", "--trim", "fixed", "--trim-low", "0.2", "--trim-high", "0.8")
	var estimand string
	trimmed.detail(t, "estimand", &estimand)
	require.Equal(t, "ate-trimmed", estimand)
	require.Contains(t, trimmed.codes(), "trimmed")
	var trim struct {
		Low, High        float64
		Treated, Control map[string]int
	}
	trimmed.detail(t, "trim", &trim)
	require.Equal(t, 240, trim.Treated["before"]+trim.Control["before"])
	require.Equal(t, trim.Treated["before"]-trim.Treated["after"]+trim.Control["before"]-trim.Control["after"], zeros(trimmed))
	require.Positive(t, zeros(trimmed))
	require.NotEqual(t, weights(trimmed), weights(with("--estimand", "ate", "--trim", "fixed", "--trim-low", "0.2", "--trim-high", "0.8", "--trim-refit")))
	require.Positive(t, zeros(with("--trim", "sturmer", "--trim-percentile", "10")))
	require.Contains(t, with("--trim", "crump").Details, "trim")
	cut := with("--estimand", "ate", "--truncate", "0.9")
	require.Contains(t, cut.codes(), "weights-truncated")
	require.Contains(t, cut.Details, "truncated")
	plain := weights(with("--method", "entropy"))
	require.NotEqual(t, plain, weights(with("--method", "entropy", "--moments", "2")))
	require.NotEqual(t, plain, weights(with("--method", "entropy", "--interactions")))
	require.NotEqual(t, plain, weights(with("--method", "entropy", "--trim", "fixed", "--trim-low", "0.3", "--trim-high", "0.7", "--model", "ridge", "--lambda", "0.1")))
	for _, model := range [][]string{{"--model", "lasso", "--folds", "4"}, {"--model", "boosted", "--stop", "balance"}, {"--model", "multilevel", "--site", "site"}, {"--link", "probit"}, {"--cross-fit", "--cluster", "person"}} {
		a := with(model...)
		require.NotEqual(t, weights(with()), weights(a), "%v", model)
		require.Contains(t, a.Details, "propensity")
	}
	code, out, _ := runFit(t, append(base, "--trim", "crump")...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "trimmed")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--trim-low", "0.1"}, "--trim-low is used with --trim alone"},
		{[]string{"--moments", "2"}, "does not use moments"},
		{[]string{"--method", "entropy", "--moments", "0"}, "--moments must be above 0"},
		{[]string{"--method", "entropy", "--model", "ridge"}, "except to trim"},
		{[]string{"--truncate", "2"}, "quantile"},
		{[]string{"--score", "z", "--model", "ridge"}, "--score is a score made elsewhere"},
		{[]string{"--score", "z", "--trim", "crump", "--trim-refit"}, "--score has none"},
		{[]string{"--trim", "most"}, "most"},
		{[]string{"--trim", ""}, "--trim is empty"},
	} {
		code, out, errOut := runFit(t, append(base[:len(base):len(base)], c.args...)...)
		require.Equal(t, exitUsage, code, "%v: %s", c.args, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, c.want, "%v", c.args)
	}
}
