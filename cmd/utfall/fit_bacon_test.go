package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The by-hand panel of estimate/panel: entry in 2, in 3 and never.
const baconTable = `unit,time,d,y
a,1,0,0
a,2,1,2
a,3,1,6
b,1,0,1
b,2,0,1
b,3,1,2
c,1,0,0
c,2,0,1
c,3,0,1
`

type baconRow struct {
	Treated, Comparison int
	Type                string
	Estimate, Weight    float64
}

func TestFitBacon(t *testing.T) {
	path := writeTestFile(t, "d.csv", baconTable)
	a := fitted(t, "bacon", "--data", path, "--unit", "unit", "--time", "time", "--treatment", "d", "--outcome", "y")
	require.InDelta(t, 1, *a.get(t, "overall", "mean-difference").Estimate, 1e-13)
	var rows []baconRow
	a.detail(t, "components", &rows)
	require.Len(t, rows, 4)
	sum := 0.0
	for _, r := range rows {
		sum += r.Weight
	}
	require.InDelta(t, 1, sum, 1e-13)
	require.Equal(t, []int{2, 3}, []int{rows[0].Treated, rows[0].Comparison})
	require.Equal(t, "Earlier vs Later Treated", rows[0].Type)
	require.InDelta(t, 2, rows[0].Estimate, 1e-13)
	require.Zero(t, rows[1].Comparison)
	require.Equal(t, map[string]int{"units": 3, "treated": 2, "clusters": 3}, a.N)
	require.Contains(t, a.codes(), "already-treated-as-comparison")
	code, out, _ := runFit(t, "bacon", "--data", path, "--unit", "unit", "--time", "time", "--treatment", "d", "--outcome", "y")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Treated vs Untreated")
}

func TestFitBaconBadInput(t *testing.T) {
	path := writeTestFile(t, "d.csv", baconTable+"d,1,1,1\nd,2,0,1\nd,3,0,1\n")
	code, out, errOut := runFit(t, "bacon", "--data", path, "--unit", "unit", "--time", "time", "--treatment", "d", "--outcome", "y")
	require.Equal(t, exitInput, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "d.csv:12")
	require.Contains(t, errOut, "the treatment of a unit ends")
	code, _, errOut = runFit(t, "bacon", "--data", path, "--unit", "unit", "--cohort", "d", "--covariates", "y")
	require.Equal(t, exitUsage, code)
	for _, s := range []string{"--time is needed", "--treatment is needed", "does not use --cohort", "does not use --covariates"} {
		require.Contains(t, errOut, s)
	}
}
