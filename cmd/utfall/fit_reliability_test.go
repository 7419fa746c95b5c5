package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Items 1, 2, 3 and 1, 3, 2 have alpha 2/3 and an error of 1 (METHODS.md); ratings of two raters
// 1, 2, 3 and 2, 3, 5 have mean squares 19/6 of persons, 8/3 of raters, 1/6 of the rest.
func TestFitReliability(t *testing.T) {
	path := writeTestFile(t, "d.csv", "a,b,x,y\n1,1,1,2\n2,3,2,3\n3,2,3,5\n")
	a := fitted(t, "reliability", "--data", path, "--items", "a,b")
	requireNear(t, 2.0/3, a.get(t, "alpha", "reliability").Estimate, "alpha")
	requireNear(t, 1, a.get(t, "sem", "standard-error-of-measurement").Estimate, "sem")
	requireNear(t, 1.959963984540054*math.Sqrt2, a.get(t, "sdc", "smallest-detectable-change").Estimate, "sdc")
	require.Nil(t, a.get(t, "omega", "").Estimate)
	require.Contains(t, a.codes(), "omega-few-items")
	b := fitted(t, "reliability", "--data", path, "--ratings", "x,y")
	requireNear(t, (19.0/6-1.0/6)/(19.0/6+1.0/6), b.get(t, "icc-3-1", "").Estimate, "consistency")
	requireNear(t, (19.0/6-1.0/6)/(19.0/6+1.0/6+2*(8.0/3-1.0/6)/3), b.get(t, "icc-2-1", "").Estimate, "agreement")
	requireNear(t, 18.0/19, b.get(t, "icc-3-k", "").Estimate, "mean of raters")
	require.Equal(t, "F", *b.get(t, "icc-1-1", "").ConfMethod)
	requireNear(t, math.Sqrt(1.0/6), b.get(t, "sem-consistency", "").Estimate, "sem")
}

// Items that are copies of each other agree without any spread: there is no error to give, and no interval of no width.
func TestFitReliabilityOfCopies(t *testing.T) {
	path := writeTestFile(t, "d.csv", "a,b,c\n0,0,0\n2,2,2\n0,0,0\n1,1,1\n")
	a := fitted(t, "reliability", "--data", path, "--items", "a,b,c")
	alpha := a.get(t, "alpha", "")
	require.Equal(t, 1.0, *alpha.Estimate)
	require.Nil(t, alpha.StdError)
	require.Nil(t, alpha.ConfHigh)
	requireNear(t, 0, a.get(t, "sem", "").Estimate, "sem")
	require.Contains(t, a.codes(), "no-standard-error")
}

func TestFitReliabilityAnchor(t *testing.T) {
	var rows []string
	for i := range 60 {
		up := 0
		if (i*7)%60+(i*13)%30 > 45 {
			up = 1
		}
		rows = append(rows, fmt.Sprintf("%d,%d,%d,%d,%d", i, 10+i%5, 10+i%5+(i*7)%60/6, (i*7)%60/6, up))
	}
	path := writeTestFile(t, "d.csv", "id,before,after,diff,better\n"+strings.Join(rows, "\n")+"\n")
	args := []string{"reliability", "--data", path, "--anchor", "better"}
	a := fitted(t, append(args, "--change", "diff")...)
	mic := a.get(t, "mic", "minimal-important-change")
	require.NotNil(t, mic.Estimate)
	require.NotNil(t, mic.StdError)
	require.NotNil(t, a.get(t, "mic-adjusted", "").Estimate)
	require.InDelta(t, *mic.StdError, *fitted(t, append(args, "--items", "diff")...).get(t, "mic", "").StdError, 1e-12)
	b := fitted(t, append(args, "--ratings", "before,after")...)
	require.InDelta(t, *mic.Estimate, *b.get(t, "mic", "").Estimate, 1e-12)
	require.Contains(t, b.codes(), "change-from-ratings")
	require.Len(t, b.Estimates, 12)
}

func TestFitReliabilityBad(t *testing.T) {
	path := writeTestFile(t, "d.csv", "a,b,c\n5,1,1\n5,2,0\n5,4,1\n5,3,2\n")
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, nil, []string{"--items, --ratings or --anchor is needed"}},
		{exitUsage, []string{"--items", "a", "--ratings", "b", "--change", "c"}, []string{"one at a time", "two columns", "goes with --anchor"}},
		{exitUsage, []string{"--items", "a,b", "--anchor", "c"}, []string{"--anchor needs --change"}},
		{exitInput, []string{"--items", "a,b"}, []string{`"a"`, "ceiling"}},
		{exitInput, []string{"--change", "b", "--anchor", "c"}, []string{"d.csv:5", `"c"`, "0 and 1"}},
	} {
		code, out, errOut := runFit(t, append([]string{"reliability", "--data", path}, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
}
