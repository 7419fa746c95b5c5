package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The by-hand panels of estimate/panel.
func TestFitDidTriple(t *testing.T) {
	text := "u,t,g,e,y\n"
	for i, y := range [][]int{{0, 10}, {1, 9}, {2, 5}, {0, 5}, {1, 3}, {1, 5}, {3, 4}, {0, 1}} {
		g := 2
		if i > 3 {
			g = 0
		}
		for p, v := range y {
			text += fmt.Sprintf("%c,%d,%d,%d,%d\n", 'a'+i%2+i/4*2, p+1, g, (i/2+1)%2, v)
		}
	}
	path := writeTestFile(t, "d.csv", text)
	args := func(more ...string) []string {
		return append([]string{"did", "--data", path, "--unit", "u", "--time", "t", "--cohort", "g", "--outcome", "y"}, more...)
	}
	a := fitted(t, args("--triple", "e", "--aggregate", "simple")...)
	require.InDelta(t, 3, *a.get(t, "overall", "mean-difference").Estimate, 1e-12)
	require.InDelta(t, 10.0/4, *a.get(t, "overall", "").StdError**a.get(t, "overall", "").StdError, 1e-12)
	require.Equal(t, 4, a.N["clusters"])
	require.Equal(t, 4, a.N["units"])
	code, _, errOut := runFit(t, args("--triple", "e", "--panel=false", "--errors", "did-2.1.2", "--degree", "2")...)
	require.Equal(t, exitUsage, code)
	for _, s := range []string{"--panel=false does not go with", "--errors did-2.1.2 does not go with", "--degree goes with --dose"} {
		require.Contains(t, errOut, s)
	}
	// Without --triple the unit is there twice in a period.
	code, _, errOut = runFit(t, args()...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "d.csv:")
}

func TestFitDidDose(t *testing.T) {
	text := "u,t,g,d,y\n"
	dose := []int{1, 2, 3, 1, 2, 3, 0, 0}
	for i, y := range [][]int{{0, 3}, {1, 5}, {0, 8}, {2, 7}, {0, 6}, {0, 10}, {4, 4}, {1, 3}} {
		g := 2
		if dose[i] == 0 {
			g = 0
		}
		for p, v := range y {
			text += fmt.Sprintf("%c,%d,%d,%d,%d\n", 'a'+i, p+1, g, dose[i], v)
		}
	}
	path := writeTestFile(t, "d.csv", text)
	args := func(more ...string) []string {
		return append([]string{"did", "--data", path, "--unit", "u", "--time", "t", "--cohort", "g", "--outcome", "y", "--dose", "d"}, more...)
	}
	a := fitted(t, args("--degree", "1", "--dose-at", "1,3")...)
	for term, v := range map[string]float64{"dose=1": 2.5, "dose=3": 7.5, "overall": 5} {
		require.InDelta(t, v, *a.get(t, term, "mean-difference").Estimate, 1e-12)
	}
	require.InDelta(t, 2.5, *a.get(t, "overall-acrt", "coefficient").Estimate, 1e-12)
	require.Contains(t, a.codes(), "strong-parallel-trends")
	code, _, errOut := runFit(t, args("--method", "reg", "--aggregate", "simple", "--degree", "9", "--dose-at", "x", "--triple", "u")...)
	require.Equal(t, exitUsage, code)
	for _, s := range []string{"--method does not go with --dose", "--aggregate does not go", "--degree must be", `"x" is not a number`, "exclude each other"} {
		require.Contains(t, errOut, s)
	}
	code, _, errOut = runFit(t, args("--degree", "3")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "lower the degree")
}
