package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Participants live to 3 (died) and comparison people to 2, 4, 5 (died), one followed to 1: of the last 1/3 is won and 2/3 is lost
// (package progress, by hand). Up to 3 only 2/3 is undecided, with the two who live on, and health decides those: less is better.
func TestFitPairs(t *testing.T) {
	path := writeTestFile(t, "d.csv", "id,t,life,died,health\na,1,3,1,0\nb,0,2,1,9\nc,0,4,1,9\nd,0,5,1,9\ne,0,1,0,9\n")
	args := []string{"pairs", "--data", path, "--id", "id", "--treatment", "t", "--outcomes", "life:event=died,health:lower"}
	a := fitted(t, append(args, "--horizon", "9")...)
	requireNear(t, -1.0/3, a.get(t, "overall", "net-benefit").Estimate, "benefit")
	a = fitted(t, append(args, "--horizon", "3")...)
	requireNear(t, 1, a.get(t, "overall", "net-benefit").Estimate, "benefit up to 3")
	var levels []map[string]any
	a.detail(t, "levels", &levels)
	require.InDelta(t, (1+1.0/3)/4, levels[0]["won"], 1e-12)
	require.InDelta(t, (2+2.0/3)/4, levels[1]["won"], 1e-12)
	require.Contains(t, a.codes(), "few-persons")
	require.Nil(t, a.get(t, "overall", "win-ratio").Estimate, "nothing is lost")
	// A threshold of 2: only 5 − 3 is as much, and 3 − 1 of the part that ends at 2 is not.
	a = fitted(t, "pairs", "--data", path, "--treatment", "t", "--outcomes", "life:event=died:threshold=2", "--horizon", "inf")
	requireNear(t, -(1+1.0/3)/4, a.get(t, "overall", "net-benefit").Estimate, "threshold")
	require.Contains(t, a.codes(), "horizon-open")
	require.NotContains(t, a.Details, "horizon")
}

func TestFitPairsBad(t *testing.T) {
	path := writeTestFile(t, "d.csv", "t,life,died,w\n1,3,1,1\n1,-2,1,2\n0,4,0,1\n0,5,2,1\n")
	base := []string{"pairs", "--data", path, "--treatment", "t"}
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, nil, []string{"--outcomes"}},
		{exitUsage, []string{"--outcomes", "life:event=died"}, []string{"--horizon above 0"}},
		{exitUsage, []string{"--outcomes", "life", "--horizon", "3"}, []string{"--horizon goes with"}},
		{exitUsage, []string{"--outcomes", "life:threshold=-1,w:upper,died:event="}, []string{"life:threshold=-1", "w:upper", "died:event="}},
		{exitUsage, []string{"--outcomes", "life", "--weights", "w", "--weight-kind", "frequency"}, []string{"one person a row"}},
		{exitInput, []string{"--outcomes", "life:event=died", "--horizon", "3"}, []string{"d.csv:5", "died"}},
		{exitInput, []string{"--outcomes", "life:event=t", "--horizon", "3"}, []string{}},
	} {
		code, out, errOut := runFit(t, append(base, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
}
