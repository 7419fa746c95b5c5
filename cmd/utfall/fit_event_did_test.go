package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

// staggeredFile is a panel with entry in 4, 5 and 7 of eight periods, never treated, sampling weights, clusters of units and a covariate.
func staggeredFile(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("unit,time,g,d,x,w,place,y\n")
	for u := range 48 {
		r := num.NewStream(4, "event-flags", uint64(u))
		g := []int{4, 5, 7, 0}[u%4]
		for p := 1; p <= 8; p++ {
			d := 0
			if g > 0 && p >= g {
				d = 1
			}
			x := r.Normal()
			fmt.Fprintf(&b, "u%02d,%d,%d,%d,%.4f,%.3f,p%d,%.4f\n", u, p, g, d, x, 0.5+float64(u%5), u%16, 0.3*float64(p)+float64(d*(p-g+1)*g)/5+x+r.Normal())
		}
	}
	return writeTestFile(t, "staggered.csv", b.String())
}

// Every flag of did with every estimator of event-study, as the interface says they go together: the answer is another number, or the flag says what
// the estimator does anyway, or it is an error that names the estimator and what to use instead. None is passed over.
func TestFitEventStudyTakesDidFlags(t *testing.T) {
	path := staggeredFile(t)
	const differs, same = "differs", "same" // anything else is what the error says
	cells := []string{"sun-abraham", "imputation", "two-stage", "etwfe"}
	windows := []string{"stacked", "lpdid", "dcdh"}
	all := append(append(slices.Clone(cells), windows...), "twfe")
	want := map[string]func(estimator string) string{
		"--covariates x": func(e string) string {
			if e != "dcdh" && slices.Contains(windows, e) {
				return "takes no --covariates"
			}
			return differs
		},
		"--control never": func(e string) string {
			switch e {
			case "etwfe", "stacked", "lpdid":
				return differs
			case "sun-abraham":
				return same
			}
			return "compares with"
		},
		"--control not-yet": func(e string) string {
			if e == "sun-abraham" || e == "twfe" {
				return "compares with"
			}
			return same
		},
		"--base universal": func(e string) string {
			if e == "imputation" || e == "two-stage" || e == "etwfe" {
				return "no base period"
			}
			return same
		},
		"--base varying":      func(string) string { return "use fit did" },
		"--method reg":        func(string) string { return "use fit did" },
		"--panel=false":       func(string) string { return "for fit did" },
		"--anticipation 1":    func(string) string { return differs },
		"--weights w":         func(string) string { return differs },
		"--cluster place":     func(string) string { return differs },
		"--bands pointwise":   func(string) string { return differs },
		"--bands uniform":     func(string) string { return same },
		"--replicates 99":     func(string) string { return differs },
		"--seed 5":            func(string) string { return differs },
		"--aggregate dynamic": func(string) string { return same },
		"--balance-event 2": func(e string) string {
			switch {
			case slices.Contains(cells, e):
				return differs
			case e == "twfe":
				return "use another estimator"
			}
			return "use --before and --after"
		},
	}
	for _, kind := range []string{"none", "simple", "group", "calendar"} {
		want["--aggregate "+kind] = func(e string) string {
			if slices.Contains(cells, e) {
				return differs
			}
			return "effects by event only"
		}
	}
	answer := func(a *fitAnswer) string {
		text, err := json.Marshal(a.Estimates)
		require.NoError(t, err)
		return string(text)
	}
	for _, e := range all {
		plain := answer(fitted(t, eventArgs(path, e)...))
		for flag, says := range want {
			args := eventArgs(path, e, strings.Fields(flag)...)
			switch expected := says(e); expected {
			case differs:
				require.NotEqual(t, plain, answer(fitted(t, args...)), "%s %s", e, flag)
			case same:
				require.Equal(t, plain, answer(fitted(t, args...)), "%s %s", e, flag)
			default:
				code, _, errOut := runFit(t, args...)
				require.Equal(t, exitUsage, code, "%s %s", e, flag)
				require.Contains(t, errOut, expected, "%s %s", e, flag)
				require.Contains(t, errOut, "--estimator "+e, "%s %s", e, flag)
			}
		}
	}
	// Extended two-way effects have a base period when it is against never-treated units; never is an error where there is nobody.
	require.Contains(t, answer(fitted(t, eventArgs(path, "etwfe", "--control", "never", "--base", "universal")...)), `"event=-1"`)
	code, _, errOut := runFit(t, append(eventArgs(path, "sun-abraham", "--control", "never"), "--where", "g > 0")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "no unit is never treated")
	// The static effect is the same beside every aggregate, and balanced events have the terms that they say.
	overall := *fitted(t, eventArgs(path, "sun-abraham")...).get(t, "overall", "").Estimate
	for _, kind := range []string{"none", "simple", "group", "calendar"} {
		a := fitted(t, eventArgs(path, "sun-abraham", "--aggregate", kind)...)
		require.Equal(t, overall, *a.get(t, "overall", "").Estimate)
	}
	var terms []string
	for _, e := range fitted(t, eventArgs(path, "imputation", "--balance-event", "3")...).Estimates {
		terms = append(terms, e.Term)
	}
	require.Equal(t, []string{"event=0", "event=1", "event=2", "event=3", "overall"}, terms)
	code, _, errOut = runFit(t, eventArgs(path, "etwfe", "--aggregate", "magic", "--balance-event", "-1", "--control", "some", "--base", "none")...)
	require.Equal(t, exitUsage, code)
	for _, s := range []string{`"magic" is not one of`, "--balance-event must be", "--balance-event goes with", `--control "some"`, `--base "none"`} {
		require.Contains(t, errOut, s)
	}
	code, _, errOut = runFit(t, eventArgs(path, "etwfe", "--aggregate", "simple", "--replicates", "199")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--replicates goes with --bands uniform")
}

// Normal intervals are too narrow where few units are left to compare with: fit did names the estimates. With 45 never treated none is.
func TestFitDidNamesFewComparison(t *testing.T) {
	args := []string{"did", "--data", staggeredFile(t), "--unit", "unit", "--time", "time", "--cohort", "g", "--outcome", "y", "--aggregate", "dynamic"}
	require.Contains(t, fitted(t, args...).codes(), "few-comparison-terms")
	var b strings.Builder
	b.WriteString("unit,time,g,y\n")
	for u := range 60 {
		for p := 1; p <= 3; p++ {
			fmt.Fprintf(&b, "u%02d,%d,%d,%d\n", u, p, []int{3, 0, 0, 0}[u%4], (u*7919+p*31)%17)
		}
	}
	args[2] = writeTestFile(t, "many.csv", b.String())
	require.NotContains(t, fitted(t, args...).codes(), "few-comparison-terms")
}
