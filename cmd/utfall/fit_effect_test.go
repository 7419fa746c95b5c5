package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// effectRuns are runs of every method that makes its own comparison.
var effectRuns = [][]string{
	{"g-computation", "--estimand", "ate", "--cluster", "cl"},
	{"ipw", "--estimand", "ato", "--quantiles", "0.25,0.5"},
	{"ipw", "--weights", "age", "--weight-kind", "sampling", "--vcov", "hc1"},
	{"aipw", "--errors", "stacked", "--estimand", "atc"},
	{"aipw", "--folds", "3", "--repeats", "3", "--seed", "4", "--id", "id"},
	{"aipw", "--nuisance", "boosted", "--folds", "2", "--repeats", "1", "--id", "id"},
	{"dml", "--nuisance", "lasso", "--estimand", "ate", "--bound", "0.3", "--folds", "2", "--repeats", "1", "--id", "id"},
	{"dml", "--score", "partially-linear", "--nuisance", "ridge", "--repeats", "3", "--seed", "4", "--id", "id"},
	{"cate", "--nuisance", "ridge", "--groups", "3", "--folds", "2", "--repeats", "1", "--id", "id"},
	{"tmle", "--weights", "age", "--weight-kind", "frequency"},
	{"bias-corrected-matching", "--ratio", "2", "--metric", "mahalanobis", "--variance", "4"},
}

func effectArgs(run []string) []string {
	return append([]string{"effect", "--treatment", "treat", "--outcome", "y", "--covariates", "x,region", "--method"}, run...)
}

// The order of the rows and the number of workers change no byte, and every option changes one.
func TestFitEffectMethods(t *testing.T) {
	plainly := func(s string) string { return s }
	base := writeTestFile(t, "data.csv", simulated(nil, simulatedHeader, ",", plainly))
	shuffled := writeTestFile(t, "data.csv", simulated(rand.New(rand.NewPCG(3, 4)), simulatedHeader, ",", plainly))
	for _, run := range effectRuns {
		t.Run(strings.Join(run, " "), func(t *testing.T) {
			want := jsonOf(t, base, effectArgs(run), "--workers", "1")
			require.Equal(t, want, jsonOf(t, base, effectArgs(run), "--workers", "8"))
			require.Equal(t, want, jsonOf(t, shuffled, effectArgs(run)))
			for i := 1; i+1 < len(run); i += 2 {
				if run[i] == "--weights" || run[i] == "--id" || run[i] == "--repeats" || run[i] == "--folds" {
					continue // cannot be left out alone, or changes names only
				}
				fewer := append(append([]string{}, run[:i]...), run[i+2:]...)
				if run[i] == "--weight-kind" {
					continue
				}
				require.NotEqual(t, want, jsonOf(t, base, effectArgs(fewer)), run[i])
			}
		})
	}
	sampling := jsonOf(t, base, effectArgs([]string{"ipw", "--weights", "age", "--weight-kind", "sampling"}))
	require.NotEqual(t, sampling, jsonOf(t, base, effectArgs([]string{"ipw", "--weights", "age", "--weight-kind", "frequency"})))

	binary := []string{"effect", "--data", base, "--treatment", "treat", "--outcome", "event", "--covariates", "x,region"}
	for _, method := range []string{"g-computation", "ipw", "aipw", "tmle"} {
		a := fitted(t, append(binary, "--method", method, "--ratios")...)
		require.Len(t, a.Estimates, 3)
		var m1, m0 float64
		a.detail(t, "mean_treated", &m1)
		a.detail(t, "mean_control", &m0)
		require.InDelta(t, m1-m0, *a.get(t, "att", "risk-difference").Estimate, 1e-12)
		require.InDelta(t, m1/m0, *a.get(t, "att", "risk-ratio").Estimate, 1e-12)
		require.InDelta(t, m1/(1-m1)/(m0/(1-m0)), *a.get(t, "att", "odds-ratio").Estimate, 1e-12)
		require.Equal(t, "log", *a.get(t, "att", "odds-ratio").ConfMethod)
	}
	linear := fitted(t, append(binary, "--method", "g-computation", "--outcome-model", "linear")...)
	require.NotEqual(t, *linear.get(t, "att", "").Estimate, *fitted(t, append(binary, "--method", "g-computation")...).get(t, "att", "").Estimate)
	a := fitted(t, append(binary, "--method", "tmle", "--folds", "4")...)
	var repeats []map[string]float64
	a.detail(t, "repeats", &repeats)
	require.Len(t, repeats, 5)
	_, text, _ := runFit(t, append(binary, "--method", "tmle", "--folds", "4")...)
	require.Contains(t, text, "Splits of the units")
}

// Several outcomes: each has its own estimate and a band that is wider than its interval.
func TestFitEffectOutcomes(t *testing.T) {
	base := writeTestFile(t, "data.csv", simulated(nil, simulatedHeader, ",", func(s string) string { return s }))
	run := []string{"effect", "--data", base, "--treatment", "treat", "--covariates", "x", "--method", "aipw"}
	alone := fitted(t, append(run, "--outcome", "y")...).get(t, "att", "mean-difference")
	point := fitted(t, append(run, "--outcome", "y,time,event", "--bands", "pointwise")...)
	require.Equal(t, []string{"att,outcome=y", "att,outcome=time", "att,outcome=event"}, []string{point.Estimates[0].Term, point.Estimates[1].Term, point.Estimates[2].Term})
	require.Equal(t, *alone.ConfLow, *point.Estimates[0].ConfLow)
	require.Equal(t, "risk-difference", point.Estimates[2].Measure)
	band := fitted(t, append(run, "--outcome", "y,time,event")...)
	require.Equal(t, *alone.Estimate, *band.Estimates[0].Estimate)
	require.Less(t, *band.Estimates[0].ConfLow, *alone.ConfLow)
	require.Equal(t, "uniform-band", *band.Estimates[0].ConfMethod)
	require.NotEqual(t, *band.Estimates[0].ConfLow, *fitted(t, append(run, "--outcome", "y,time,event", "--seed", "5")...).Estimates[0].ConfLow)
	require.NotEqual(t, *band.Estimates[0].ConfLow, *fitted(t, append(run, "--outcome", "y,time,event", "--replicates", "499")...).Estimates[0].ConfLow)
}

// What a method does not use is said, all of it at once.
func TestFitEffectUsage(t *testing.T) {
	path := writeTestFile(t, "d.csv", "id,t,x,y,w,s\n1,0,1,1,1,1\n2,1,2,2,1,1\n3,0,2,3,1,2\n4,1,1,5,1,2\n")
	for _, c := range []struct {
		args string
		says []string
	}{
		{"--method ipw --covariates x --weights w", []string{"makes its own weights", "--weight-kind sampling"}},
		{"--method aipw --covariates x --sets s --ratio 2", []string{"does not use --sets", "does not use --ratio"}},
		{"--method ipw --covariates x --folds 3 --errors stacked", []string{"ipw does not use --folds", "ipw does not use --errors"}},
		{"--method tmle --covariates x --outcome-model linear --estimand ato", []string{"does not use --outcome-model", "no --estimand ato"}},
		{"--method bias-corrected-matching --covariates x --vcov hc1 --cluster s --weights w", []string{"does not use --vcov", "does not use --cluster", "does not use --weights"}},
		{"--method bias-corrected-matching --covariates x --variance robust --ratio 0 --metric cityblock", []string{`"robust"`, "--ratio must be at least 1", `"cityblock"`}},
		{"--method aipw --covariates x --folds 1 --repeats 2", []string{"--folds must be at least 2"}},
		{"--method aipw --covariates x --folds 2 --repeats 2", []string{"odd"}},
		{"--method aipw --covariates x --repeats 3", []string{"--repeats goes with --folds"}},
		{"--method aipw --covariates x --seed 3", []string{"--seed goes with --folds"}},
		{"--method aipw --covariates x --folds 2 --errors stacked", []string{"--errors stacked does not go with --folds"}},
		{"--method aipw --covariates x --nuisance lasso", []string{"--nuisance lasso needs --folds"}},
		{"--method dml --covariates x --nuisance forest --score both --bound 0.6", []string{`"forest"`, `"both"`, "--bound must lie"}},
		{"--method dml --covariates x --score partially-linear --ratios --estimand att", []string{"does not use --ratios", "att"}},
		{"--method dml --covariates x --nuisance ridge --vcov hc1 --weights w --weight-kind sampling", []string{"does not use --weights"}},
		{"--method dml --covariates x --estimand ato --bound 0.1 --interactions", []string{"does not use --bound", "does not use --interactions"}},
		{"--method tmle --covariates x --score interactive --bound 0.1", []string{"does not use --score", "does not use --bound"}},
		{"--method cate --covariates x --estimand att --groups 11 --vcov hc1 --bound 0.1", []string{"att", "--groups must be", "hc0 and cr0", "does not use --bound"}},
		{"--method dml --covariates x --groups 3", []string{"does not use --groups"}},
		{"--method g-computation --covariates x --vcov hc3", []string{`"hc3" is not one of hc0, hc1, cr0, cr1`}},
		{"--method ipw --covariates x --vcov cr1", []string{"--vcov cr1 needs --cluster"}},
		{"--method ipw --covariates x --quantiles 0.5,1,a,0.5", []string{`"1"`, `"a"`, "given twice"}},
		{"--method ipw --covariates x --bands uniform --replicates 99", []string{"--bands goes with several", "--replicates goes with several"}},
		{"--method difference --ratios --interactions", []string{"does not use --ratios", "does not use --interactions"}},
		{"--method doubly-robust", []string{`"doubly-robust" is not one of`}},
		{"--method ipw --covariates x,y", []string{`"y"`}},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, out, errOut := runFit(t, append([]string{"effect", "--data", path, "--treatment", "t", "--outcome", "y"}, strings.Fields(c.args)...)...)
			require.Equal(t, exitUsage, code, errOut)
			require.Empty(t, out)
			for _, s := range c.says {
				require.Contains(t, errOut, s)
			}
		})
	}
	// Data that cannot carry the method: exit code 3.
	for args, says := range map[string]string{
		"--method ipw --covariates t2":              "tells its 0 and 1 apart",
		"--method g-computation --covariates t2":    "combination of the columns before it",
		"--method aipw --covariates x --ratios":     "outcome of 0 and 1",
		"--method ipw --covariates x --cluster one": "at least 2 clusters",
	} {
		more := writeTestFile(t, "e.csv", "t,x,y,t2,one\n0,1,1,0,1\n1,2,2,1,1\n0,2,3,0,1\n1,1,5,1,1\n0,3,3,0,1\n1,3,6,1,1\n")
		code, _, errOut := runFit(t, append([]string{"effect", "--data", more, "--treatment", "t", "--outcome", "y"}, strings.Fields(args)...)...)
		require.Contains(t, []int{exitInput, exitUsage}, code, errOut)
		require.Contains(t, errOut, says)
	}
}
