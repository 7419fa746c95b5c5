package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fewTable is a panel of two periods: changes 3 and 5 of the units that enter in 2, 0, 1
// and 2 of the others, as in estimate/panel's test by hand.
func fewTable(header string, extra func(unit, time int) string) string {
	var b strings.Builder
	b.WriteString("unit,time,g,d,y" + header + "\n")
	for u, change := range []int{3, 5, 0, 1, 2} {
		for t := 1; t <= 2; t++ {
			g, d := 0, 0
			if u < 2 {
				g, d = 2, t-1
			}
			fmt.Fprintf(&b, "u%d,%d,%d,%d,%d", u, t, g, d, 10+u+change*(t-1))
			if extra != nil {
				b.WriteString(extra(u, t))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

type inferenceRow struct {
	Term, Chosen string
	Design       map[string]float64
	Alternatives []struct {
		Method   string
		Valid    bool
		Computed bool
		PValue   *float64 `json:"p_value"`
	}
}

func TestFitInference(t *testing.T) {
	path := writeTestFile(t, "d.csv", fewTable("", nil))
	args := []string{"inference", "--data", path, "--unit", "unit", "--time", "time", "--outcome", "y"}
	a := fitted(t, append(args, "--cohort", "g", "--statistic", "difference")...)
	e := a.get(t, "overall", "mean-difference")
	require.InDelta(t, 3, *e.Estimate, 1e-13)
	require.Nil(t, e.StdError)
	require.Contains(t, a.codes(), "inference-refused")
	var rows []inferenceRow
	a.detail(t, "inference", &rows)
	require.Equal(t, "overall", rows[0].Term)
	require.Empty(t, rows[0].Chosen)
	require.InDelta(t, 25.0/11, rows[0].Design["df"], 1e-12)
	p := map[string]float64{}
	for _, r := range rows[0].Alternatives {
		require.False(t, r.Valid, r.Method)
		if r.PValue != nil {
			p[r.Method] = *r.PValue
		}
	}
	require.InDelta(t, 0.1, p["randomisation"], 1e-12)
	require.InDelta(t, 0.5, p["sign-changes"], 1e-12)
	// With 80 % intervals ten assignments are enough; --treated says the same as --cohort.
	b := fitted(t, append(args, "--treated", "d", "--level", "0.8")...)
	e = b.get(t, "overall", "mean-difference")
	require.Equal(t, "randomisation", *e.ConfMethod)
	require.InDelta(t, 0.1, *e.PValue, 1e-12)
	require.Greater(t, *e.ConfLow, 0.0)
	// A method that is named is used, and says what it lacks.
	c := fitted(t, append(args, "--cohort", "g", "--method", "cr2")...)
	e = c.get(t, "overall", "mean-difference")
	require.InDelta(t, 4.0/3, *e.StdError**e.StdError, 1e-12)
	require.InDelta(t, 25.0/11, *e.DF, 1e-12)
	require.Contains(t, c.codes(), "inference-few-df")
}

// Every option changes an answer or is refused.
func TestFitInferenceOptionsMatter(t *testing.T) {
	var b strings.Builder
	b.WriteString("unit,time,g,y,x,w,c,pop\n")
	for u := range 60 {
		g := []int{0, 0, 0, 0, 5, 6}[u%6]
		for time := 1; time <= 8; time++ {
			h := float64((u*u*31+time*time*17+u*time*7)%101) / 50
			y := h * (1 + float64(u%5)/4)
			if g > 0 && time >= g {
				y += float64(time - g + 1)
			}
			fmt.Fprintf(&b, "u%02d,%d,%d,%v,%d,%d,c%d,%d\n", u, time, g, y+float64(u%4*time)/3, u%4, 1+u%3, u%20, 100*(1+(u*7)%11))
		}
	}
	path := writeTestFile(t, "d.csv", b.String())
	base := []string{"inference", "--data", path, "--unit", "unit", "--time", "time", "--cohort", "g", "--outcome", "y", "--format", "json"}
	run := func(more ...string) string {
		t.Helper()
		args := append([]string{}, base...)
		for i := 0; i+1 < len(more); i += 2 {
			args = append(args, more[i], more[i+1])
		}
		code, out, errOut := runFit(t, args...)
		require.Equal(t, exitOK, code, errOut)
		return out
	}
	plain := run()
	for _, more := range [][]string{{"--covariates", "x"}, {"--control", "never"}, {"--anticipation", "1"}, {"--aggregate", "dynamic"}, {"--weights", "w"}, {"--cluster", "c"},
		{"--size", "pop"}, {"--method", "wild"}, {"--draws", "199"}, {"--seed", "4"}, {"--level", "0.9"}, {"--statistic", "difference"}} {
		require.NotEqual(t, plain, run(more...), "%v", more)
	}
	require.NotEqual(t, run("--covariates", "x"), run("--covariates", "x", "--comparison", "dr"))
	require.NotEqual(t, run("--aggregate", "dynamic"), run("--aggregate", "dynamic", "--base", "varying"))
	require.NotEqual(t, run("--aggregate", "dynamic"), run("--aggregate", "dynamic", "--balance-event", "1"))
}

func TestFitInferenceBadInput(t *testing.T) {
	path := writeTestFile(t, "d.csv", fewTable(",pop", func(u, _ int) string { return fmt.Sprintf(",%d", u) }))
	code, _, errOut := runFit(t, "inference", "--data", path, "--unit", "unit", "--time", "time", "--outcome", "y", "--method", "best", "--draws", "9",
		"--comparison", "dr", "--balance-event", "1", "--bands", "uniform")
	require.Equal(t, exitUsage, code)
	for _, s := range []string{"give one of --cohort and --treated", `"best" is not one of`, "--draws must be between 99", "--comparison goes with --covariates",
		"--balance-event goes with --aggregate dynamic", "does not use --bands"} {
		require.Contains(t, errOut, s)
	}
	code, _, errOut = runFit(t, "inference", "--data", path, "--unit", "unit", "--time", "time", "--outcome", "y", "--cohort", "g", "--size", "pop")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "a size must be above 0")
	ends := writeTestFile(t, "e.csv", "unit,time,d,y\na,1,0,1\na,2,1,2\na,3,0,1\nb,1,0,1\nb,2,0,1\nb,3,0,2\n")
	code, _, errOut = runFit(t, "inference", "--data", ends, "--unit", "unit", "--time", "time", "--outcome", "y", "--treated", "d")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "e.csv:4")
	require.Contains(t, errOut, "the treatment of a unit ends")
	code, _, errOut = runFit(t, "inference", "--data", writeTestFile(t, "f.csv", fewTable("", nil)), "--unit", "unit", "--time", "time", "--outcome", "y", "--cohort", "g", "--method", "placebo", "--level", "0.5")
	require.Equal(t, exitOK, code, errOut)
}
