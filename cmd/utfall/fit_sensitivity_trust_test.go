package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/sensitivity"
)

// Controls 1 to 5 with errors of 1: mean 3, τ² = 1.5; 10 ± 2 becomes 7 with variance 4 + 2 (see the library's test by hand).
func TestFitCalibration(t *testing.T) {
	path := writeTestFile(t, "c.csv", "what,b,s\nage,5,1\nsex,1,1\nborn,4,1\ncounty,2,1\nschool,3,1\n")
	a := fitted(t, "sensitivity", "--kind", "calibration", "--data", path, "--id", "what", "--effect", "b", "--se", "s", "--estimate", "10", "--std-error", "2")
	e := a.get(t, "calibrated", "coefficient")
	require.InDelta(t, 7, *e.Estimate, 1e-13)
	require.InDelta(t, math.Sqrt(6), *e.StdError, 1e-12)
	require.InDelta(t, math.Sqrt(5), *a.get(t, "plug-in", "").StdError, 1e-12)
	require.Contains(t, a.codes(), "controls-independent")
	var rows []sensitivity.CalibratedControl
	a.detail(t, "controls", &rows)
	require.Equal(t, "age", rows[0].Name, "in the order of their names")
	alone := fitted(t, "sensitivity", "--kind", "calibration", "--data", path, "--effect", "b", "--se", "s")
	require.Nil(t, alone.get(t, "calibrated", "").Estimate)
	require.NotNil(t, alone.get(t, "systematic-error", "").Estimate)
	few := fitted(t, "sensitivity", "--kind", "calibration", "--data", path, "--effect", "b", "--se", "s", "--where", "b > 1")
	require.Contains(t, few.codes(), "too-few-controls")
	require.NotEqual(t, *alone.get(t, "systematic-error", "").ConfLow, *fitted(t, "sensitivity", "--kind", "calibration", "--data", path, "--effect", "b", "--se", "s", "--level", "0.8").get(t, "systematic-error", "").ConfLow)
}

// Treated 10, 12, 14 and one without an outcome, comparison 0, 2, 4 and two without: as in the library's test by hand.
func TestFitTipping(t *testing.T) {
	path := writeTestFile(t, "t.csv", "y,t,w,g,s\n10,1,1,1,1\n12,1,2,2,2\n14,1,1,3,3\n,1,1,4,4\n0,0,1,5,1\n2,0,1,6,2\n4,0,1,7,5\n,0,1,1,3\n,0,1,2,4\n")
	base := []string{"sensitivity", "--kind", "tipping", "--data", path, "--outcome", "y", "--treatment", "t"}
	a := fitted(t, append(base, "--delta", "-8,5")...)
	require.Equal(t, 9, a.N["units"])
	require.InDelta(t, 8, *a.get(t, "path=treated,delta=-8", "mean-difference").Estimate, 1e-13)
	require.InDelta(t, 8, *a.get(t, "path=control,delta=5", "").Estimate, 1e-13)
	require.InDelta(t, .25, *a.get(t, "arm=treated", "missing-share").Estimate, 1e-15)
	require.Less(t, *a.get(t, "tipping,path=treated", "shift").Estimate, 0.)
	require.NotContains(t, a.codes(), "rows-dropped")
	weighted := fitted(t, append(base, "--weights", "w")...)
	require.InDelta(t, .2, *weighted.get(t, "arm=treated", "").Estimate, 1e-15)
	clustered := fitted(t, append(base, "--cluster", "g")...)
	require.Equal(t, 5., *clustered.get(t, "known", "").DF) // groups 1, 2, 3, 5, 6, 7 have a known outcome
	sets := fitted(t, append(base, "--sets", "s")...)
	require.Contains(t, sets.codes(), "pairs-incomplete")
}

func leaveOutTable() string {
	var b strings.Builder
	b.WriteString("y,t,x,s,w,place\n")
	for i := range 60 {
		fmt.Fprintf(&b, "%d,%d,%d,%d,%d,%s\n", i*i*7%23+5*(i%2), i%2, i*5%7, i/2, 1+i/2%2, []string{"north", "south", "west"}[i*i%3])
	}
	return b.String()
}

func TestFitLeaveOneOut(t *testing.T) {
	path := writeTestFile(t, "l.csv", leaveOutTable())
	base := []string{"sensitivity", "--kind", "leave-one-out", "--data", path, "--outcome", "y", "--treatment", "t", "--group", "place"}
	a := fitted(t, base...)
	want := fitted(t, "effect", "--data", path, "--outcome", "y", "--treatment", "t", "--where", `place != "north"`)
	require.InDelta(t, *want.get(t, "att", "").Estimate, *a.get(t, "without=north", "").Estimate, 1e-12)
	require.InDelta(t, *want.get(t, "att", "").StdError, *a.get(t, "without=north", "").StdError, 1e-12)
	adjusted := fitted(t, append(base, "--covariates", "x")...)
	want = fitted(t, "effect", "--data", path, "--outcome", "y", "--treatment", "t", "--covariates", "x", "--method", "regression")
	require.InDelta(t, *want.get(t, "att", "").Estimate, *adjusted.get(t, "all", "").Estimate, 1e-12)
	require.NotEqual(t, *a.get(t, "all", "").StdError, *fitted(t, append(base, "--cluster", "x")...).get(t, "all", "").StdError)
	require.NotEqual(t, *a.get(t, "all", "").Estimate, *fitted(t, append(base, "--weights", "w")...).get(t, "all", "").Estimate)
	require.NotEqual(t, *a.get(t, "without=north", "").Estimate, *fitted(t, append(base, "--sets", "s")...).get(t, "without=north", "").Estimate)
}

// Placebo 1 (2), claim -20 (3), covariance 1, share ½: t = 9/√7.25 on the narrow side.
func TestFitEquivalence(t *testing.T) {
	base := []string{"sensitivity", "--kind", "equivalence", "--estimate", "1", "--std-error", "2"}
	a := fitted(t, append(base, "--claim", "-20", "--claim-std-error", "3", "--covariance", "1", "--share", "0.5")...)
	require.InDelta(t, math.Erfc(9/math.Sqrt(7.25)/math.Sqrt2)/2, *a.get(t, "equivalence", "equivalence-test").PValue, 1e-15)
	require.InDelta(t, 1.5, *fitted(t, append(base, "--margin", "4")...).get(t, "upper", "").Statistic, 1e-15)
}

func TestFitEValueOfDifferences(t *testing.T) {
	a := fitted(t, "sensitivity", "--kind", "evalue", "--measure", "rd", "--estimate", "0.1", "--conf-low", "0.05", "--conf-high", "0.15", "--baseline", "0.2")
	require.InDelta(t, 1.5+math.Sqrt(.75), *a.get(t, "point", "").Estimate, 1e-14)
	a = fitted(t, "sensitivity", "--kind", "evalue", "--measure", "md", "--estimate", "3", "--sd", "6")
	require.InDelta(t, math.Exp(.455), *a.get(t, "rr", "").Estimate, 1e-14)
}

func TestFitSensitivityTogether(t *testing.T) {
	path := writeTestFile(t, "l.csv", leaveOutTable())
	a := fitted(t, "sensitivity", "--kind", "omitted-variable", "--data", path, "--outcome", "y", "--treatment", "t", "--covariates", "x,w", "--benchmark", "x,w", "--together")
	both := *a.get(t, "1x x+w", "r2yz.dx").Estimate
	require.Greater(t, both, *a.get(t, "1x x", "r2yz.dx").Estimate)
	require.Greater(t, both, *a.get(t, "1x w", "r2yz.dx").Estimate)
}

func TestFitTrustUsage(t *testing.T) {
	path := writeTestFile(t, "l.csv", leaveOutTable())
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--kind", "calibration", "--data", path, "--effect", "y", "--estimate", "2", "--gamma", "2"}, []string{"needs --se", "--estimate and --std-error together", "does not use --gamma"}},
		{[]string{"--kind", "tipping", "--data", path, "--group", "place", "--weights", "w", "--weight-kind", "frequency", "--delta", "1,x"}, []string{"needs --outcome", "does not use --group", "--weight-kind frequency", "--delta"}},
		{[]string{"--kind", "leave-one-out", "--data", path, "--outcome", "y", "--treatment", "t", "--delta", "1"}, []string{"needs --group", "does not use --delta"}},
		{[]string{"--kind", "equivalence", "--data", path, "--estimate", "1", "--share", "1", "--margin", "2", "--claim", "3"}, []string{"needs --std-error", "give one of --share", "--margin stands by itself", "reads no file"}},
		{[]string{"--kind", "omitted-variable", "--data", path, "--outcome", "y", "--treatment", "t", "--covariates", "x", "--benchmark", "x", "--together"}, []string{"--together goes with two"}},
		{[]string{"--kind", "evalue", "--measure", "rd", "--estimate", "0.1"}, []string{"comparison group's share"}},
	} {
		code, out, errOut := runFit(t, append([]string{"sensitivity"}, c.args...)...)
		require.Equal(t, exitUsage, code, "%v: %s", c.args, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
	code, _, errOut := runFit(t, "sensitivity", "--kind", "calibration", "--data", writeTestFile(t, "z.csv", "b,s\n1,0\n2,1\n"), "--effect", "b", "--se", "s")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "not above 0")
}
