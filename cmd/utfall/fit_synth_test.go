package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The by-hand panel of estimate/panel: the treated lie a quarter of the way from the first control to the second.
const synthTable = `place,year,d,y,p,q
a,1,0,0,0,
a,2,0,0,,0
a,3,0,2,,
b,1,0,4,4,
b,2,0,8,,4
b,3,0,10,,
c,1,0,1,1,
c,2,0,2,,3
c,3,1,7,,
`

func synthArgs(path string, more ...string) []string {
	return append([]string{"synth", "--data", path, "--unit", "place", "--time", "year", "--treated", "d", "--outcome", "y"}, more...)
}

func TestFitSynth(t *testing.T) {
	path := writeTestFile(t, "s.csv", synthTable)
	a := fitted(t, synthArgs(path)...)
	require.InDelta(t, 3, *a.get(t, "overall", "mean-difference").Estimate, 1e-9)
	require.NotNil(t, a.get(t, "overall", "").StdError)
	var units, times map[string]float64
	a.detail(t, "unit_weights", &units)
	a.detail(t, "time_weights", &times)
	require.InDelta(t, 0.25, units["b"], 1e-9)
	require.Len(t, units, 2)
	require.Equal(t, map[string]float64{"1": 0, "2": 0}, times)
	var path2 []struct {
		Time                    int
		Treated, Synthetic, Gap float64
	}
	a.detail(t, "path", &path2)
	require.Len(t, path2, 3)
	require.InDelta(t, 4, path2[2].Synthetic, 1e-9)
	require.Equal(t, map[string]int{"units": 3, "treated": 1}, a.N)
	require.Contains(t, a.codes(), "few-placebos")

	a = fitted(t, synthArgs(path, "--se", "none", "--predictors", "p:1-1,q:2-2", "--predictor-weights", "3,1")...)
	a.detail(t, "unit_weights", &units)
	require.InDelta(t, 0.375, units["b"], 1e-8)
	require.Nil(t, a.get(t, "overall", "").StdError)
	code, out, _ := runFit(t, synthArgs(path, "--method", "did")...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Weights of units")
}

func TestFitSynthOptionsMatter(t *testing.T) {
	var b strings.Builder
	b.WriteString("place,year,d,y\n")
	for u := range 9 {
		for y := range 8 {
			d := 0
			if u > 6 && y > 4 {
				d = 1
			}
			fmt.Fprintf(&b, "m%d,%d,%d,%d\n", u, y, d, (u*u*7+y*y*3+u*y*(u+2)*(y+1)*13)%41+3*d)
		}
	}
	path := writeTestFile(t, "s.csv", b.String())
	value := func(more ...string) [2]float64 {
		e := fitted(t, synthArgs(path, more...)...).get(t, "overall", "")
		return [2]float64{*e.Estimate, *e.StdError}
	}
	seen := map[[2]float64]string{}
	for _, more := range []string{"--method sc", "--method sdid", "--method did", "--method augmented", "--method augmented --lambda 50",
		"--method sdid --se jackknife", "--method sdid --se bootstrap", "--method sdid --se bootstrap --seed 3", "--method sdid --se bootstrap --replicates 50",
		"--method sdid --replicates 10", "--method sdid --replicates 10 --seed 4"} {
		v := value(strings.Fields(more)...)
		require.NotContains(t, seen, v, "%s and %s", more, seen[v])
		seen[v] = more
	}
	require.Equal(t, value("--method", "sdid"), value("--method", "sdid", "--workers", "1"))
}

func TestFitSynthBadInput(t *testing.T) {
	path := writeTestFile(t, "s.csv", synthTable)
	code, out, errOut := runFit(t, synthArgs(path, "--method", "scm", "--se", "none", "--seed", "4", "--lambda", "-1", "--predictors", "p:x-2", "--predictor-weights", "1,a")...)
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	for _, s := range []string{`--method "scm" is not one of sc, sdid`, "--seed is for --se placebo", "--lambda is for --method augmented", "not a number above 0", "is not column or column:from-to", "2 numbers for 1 predictors", `"a" is not a number`} {
		require.Contains(t, errOut, s)
	}
	code, _, errOut = runFit(t, synthArgs(path, "--predictors", "p:1-3")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "does not lie within the periods before treatment, 1-2")
	code, _, errOut = runFit(t, synthArgs(path, "--se", "jackknife")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "use placebo errors")
	code, _, errOut = runFit(t, synthArgs(writeTestFile(t, "t.csv", strings.Replace(synthTable, "b,3,0", "b,3,1", 1)+"e,1,0,1,1,\ne,2,1,1,,\ne,3,1,1,,\n"))...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "placebo errors need more controls")
}

// Several starting periods, conformal intervals and factor models: the by-hand panels of estimate/panel.
func TestFitSynthStaggered(t *testing.T) {
	path := writeTestFile(t, "d.csv", "u,t,d,y\na,1,0,0\na,2,0,0\na,3,0,0\na,4,0,0\nb,1,0,0\nb,2,0,0\nb,3,0,2\nb,4,0,2\nc,1,0,1\nc,2,0,1\nc,3,1,5\nc,4,1,5\nd,1,0,0\nd,2,0,0\nd,3,0,3\nd,4,1,9\n")
	args := func(more ...string) []string {
		return append([]string{"synth", "--data", path, "--unit", "u", "--time", "t", "--treated", "d", "--outcome", "y"}, more...)
	}
	a := fitted(t, args("--method", "did", "--se", "jackknife")...)
	require.InDelta(t, 3, *a.get(t, "group=3", "mean-difference").Estimate, 1e-12)
	require.InDelta(t, 22.0/3, *a.get(t, "group=4", "").Estimate, 1e-12)
	require.InDelta(t, 40.0/9, *a.get(t, "overall", "").Estimate, 1e-12)
	require.Nil(t, a.get(t, "overall", "").StdError, "cohorts of one unit each")
	b := fitted(t, args("--method", "ife", "--factors", "0", "--se", "none")...)
	require.InDelta(t, 40.0/9, *b.get(t, "overall", "").Estimate, 1e-12)
	require.InDelta(t, (3.0+22.0/3)/2, *b.get(t, "event=0", "").Estimate, 1e-12)
	c := fitted(t, args("--method", "mc", "--lambda", "1000", "--se", "jackknife")...)
	require.NotNil(t, c.get(t, "overall", "").StdError)
	code, _, errOut := runFit(t, args("--method", "mc", "--se", "conformal", "--factors", "2")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--se conformal is for")
	require.Contains(t, errOut, "--factors is for --method ife")
	code, _, errOut = runFit(t, args("--method", "ife", "--lambda", "2", "--factors", "x")...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--lambda is for")
	require.Contains(t, errOut, "not a whole number")
	code, _, errOut = runFit(t, args("--method", "did", "--se", "conformal")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "different periods")

	path = writeTestFile(t, "d.csv", "u,t,d,y\na,1,0,0\na,2,0,0\na,3,0,0\na,4,0,0\nb,1,0,1\nb,2,0,-1\nb,3,0,1\nb,4,1,5\n")
	e := fitted(t, args("--method", "did", "--se", "conformal", "--level", "0.7")...).get(t, "overall", "")
	require.InDelta(t, 2, *e.ConfLow, 1e-6)
	require.InDelta(t, 6, *e.ConfHigh, 1e-6)
	require.Equal(t, 0.25, *e.PValue)
	require.Nil(t, e.StdError)
}
