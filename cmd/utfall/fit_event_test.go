package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The by-hand panel of estimate/panel: entry in 2, in 3, and two never.
const eventPanel = `unit,time,g,y
a,1,2,0
a,2,2,2
a,3,2,6
b,1,3,1
b,2,3,1
b,3,3,2
c,1,0,0
c,2,0,1
c,3,0,1
d,1,0,0
d,2,0,1
d,3,0,3
`

func eventArgs(path, estimator string, more ...string) []string {
	return append([]string{"event-study", "--data", path, "--estimator", estimator, "--unit", "unit", "--time", "time", "--cohort", "g", "--outcome", "y"}, more...)
}

func TestFitEventStudy(t *testing.T) {
	path := writeTestFile(t, "d.csv", eventPanel)
	want := map[string]map[string]float64{
		"sun-abraham": {"event=-2": 1, "event=-1": 0, "event=0": 0.5, "event=1": 4, "overall": 5.0 / 3},
		"imputation":  {"event=0": 5.0 / 12, "event=1": 25.0 / 6, "overall": 5.0 / 3},
		"stacked":     {"event=-1": 0, "event=0": 2.0 / 3, "overall": 2.0 / 3},
		"lpdid":       {"event=-1": 0, "event=0": 12.0 / 17, "overall": 12.0 / 17},
		"dcdh":        {"event=-2": 1, "event=-1": 0, "event=0": 2.0 / 3, "event=1": 4, "overall": 16.0 / 9},
		"etwfe":       {"event=0": 5.0 / 12, "event=1": 25.0 / 6, "overall": 5.0 / 3},
		"two-stage":   {"event=-2": 1.0 / 3, "event=-1": -1.0 / 6, "event=0": 5.0 / 12, "event=1": 25.0 / 6, "overall": 5.0 / 3},
	}
	for estimator, terms := range want {
		a := fitted(t, eventArgs(path, estimator)...)
		require.Len(t, a.Estimates, len(terms), estimator)
		for term, v := range terms {
			require.InDelta(t, v, *a.get(t, term, "mean-difference").Estimate, 1e-12, "%s %s", estimator, term)
		}
		require.Equal(t, "overall", a.Estimates[len(a.Estimates)-1].Term)
		require.Equal(t, map[string]int{"units": 4, "treated": 2, "clusters": 4}, a.N)
		var name string
		a.detail(t, "estimator", &name)
		require.Equal(t, estimator, name)
	}
	// Two-way fixed effects give what bacon decomposes.
	marked := writeTestFile(t, "d.csv", "unit,time,d,g,y\na,1,0,2,0\na,2,1,2,2\na,3,1,2,6\nb,1,0,3,1\nb,2,0,3,1\nb,3,1,3,2\nc,1,0,0,0\nc,2,0,0,1\nc,3,0,0,1\n")
	twfe := fitted(t, eventArgs(marked, "twfe")...).get(t, "overall", "")
	bacon := fitted(t, "bacon", "--data", marked, "--unit", "unit", "--time", "time", "--treatment", "d", "--outcome", "y").get(t, "overall", "")
	require.InDelta(t, 1, *twfe.Estimate, 1e-12)
	require.Equal(t, bacon, twfe)
}

func TestFitEventStudyUsage(t *testing.T) {
	path := writeTestFile(t, "d.csv", eventPanel)
	code, _, errOut := runFit(t, eventArgs(path, "magic", "--anticipation", "-1", "--bands", "pointwise", "--replicates", "9", "--errors", "derived")...)
	require.Equal(t, exitUsage, code)
	for _, s := range []string{`"magic" is not one of`, "--anticipation", "--replicates must be", "--replicates goes with", "does not use --errors"} {
		require.Contains(t, errOut, s)
	}
	code, _, errOut = runFit(t, eventArgs(path, "imputation", "--before", "2", "--after", "1")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--before goes with --estimator stacked, lpdid or dcdh")
	require.Contains(t, errOut, "--after goes with --estimator stacked, lpdid or dcdh")
	code, _, errOut = runFit(t, eventArgs(path, "stacked", "--before", "1", "--after", "-1", "--anticipation", "1", "--covariates", "y")...)
	require.Equal(t, exitUsage, code)
	for _, s := range []string{"--before must be", "--after must be", "takes no --covariates"} {
		require.Contains(t, errOut, s)
	}
	code, _, errOut = runFit(t, eventArgs(path, "stacked", "--reweight")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--reweight goes with --estimator lpdid")
	require.InDelta(t, 2.0/3, *fitted(t, eventArgs(path, "lpdid", "--reweight")...).get(t, "overall", "").Estimate, 1e-12)
	require.InDelta(t, 4, *fitted(t, eventArgs(path, "lpdid", "--after", "1")...).get(t, "event=1", "").Estimate, 1e-12)
	late := fitted(t, eventArgs(path, "stacked", "--before", "1", "--after", "1")...)
	require.InDelta(t, 4, *late.get(t, "event=1", "").Estimate, 1e-12)
	code, _, errOut = runFit(t, "event-study", "--data", path)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--estimator is needed")
	twice := writeTestFile(t, "d.csv", eventPanel+"a,1,2,7\n")
	code, _, errOut = runFit(t, eventArgs(twice, "imputation")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "d.csv:14")
	covariate := writeTestFile(t, "d.csv", "unit,time,g,x,y\na,1,2,5,0\na,2,2,5,2\nb,1,0,6,1\nb,2,0,6,1\nc,1,0,1,1\nc,2,0,1,2\n")
	code, _, errOut = runFit(t, eventArgs(covariate, "imputation", "--covariates", "x")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, `covariate "x" does not vary within units`)
}

// Treatment that goes on and off, by a column of its own: the by-hand panel of estimate/panel.
func TestFitEventStudyTreatment(t *testing.T) {
	d := [][]int{{1, 1, 0, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {0, 0, 1, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}}
	y := [][]int{{8, 9, 4, 10}, {5, 5, 6, 7}, {5, 6, 9, 10}, {1, 0, 4, 1}, {2, 2, 2, 2}, {7, 7, 7, 7}}
	text := "unit,time,d,y\n"
	for u := range d {
		for p := range d[u] {
			text += fmt.Sprintf("%c,%d,%d,%d\n", 'a'+u, p+1, d[u][p], y[u][p])
		}
	}
	path := writeTestFile(t, "d.csv", text)
	args := func(more ...string) []string {
		return append([]string{"event-study", "--data", path, "--estimator", "dcdh", "--unit", "unit", "--time", "time", "--outcome", "y"}, more...)
	}
	a := fitted(t, args("--treatment", "d")...)
	for term, v := range map[string]float64{"event=0": 5.5, "event=1": 1.5, "overall": 7} {
		require.InDelta(t, v, *a.get(t, term, "mean-difference").Estimate, 1e-12, term)
	}
	var m struct {
		Estimate float64 `json:"estimate"`
	}
	a.detail(t, "did_m", &m)
	require.InDelta(t, 5.25, m.Estimate, 1e-12)
	b := fitted(t, args("--treatment", "d", "--se", "bootstrap", "--replicates", "99", "--seed", "3")...)
	require.Equal(t, *a.get(t, "overall", "").Estimate, *b.get(t, "overall", "").Estimate)
	require.NotEqual(t, *a.get(t, "overall", "").StdError, *b.get(t, "overall", "").StdError)
	code, _, errOut := runFit(t, args()...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--cohort is needed, or --treatment")
	code, _, errOut = runFit(t, args("--treatment", "d", "--cohort", "d", "--se", "magic")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "exclude each other")
	require.Contains(t, errOut, "magic")
	code, _, errOut = runFit(t, eventArgs(path, "twfe", "--treatment", "d", "--se", "bootstrap")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--treatment goes with --estimator dcdh")
	require.Contains(t, errOut, "--se goes with")
}
