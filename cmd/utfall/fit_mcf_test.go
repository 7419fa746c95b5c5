package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const eventTable = "id,time,what,g\np,1,1,a\np,2,dead,a\nq,1,1,a\nq,3,1,a\nq,4,0,a\ns,4,,a\nu,2,1,b\nu,4,0,b\nv,4,0,b\n"

// S(3−) = 2/3 in group a, so μ(3) = 2/3 + 2/3·1/2 = 1; group b has 1/2 (METHODS.md).
func TestFitMCF(t *testing.T) {
	path := writeTestFile(t, "d.csv", eventTable)
	args := []string{"mcf", "--data", path, "--id", "id", "--time", "time", "--event", "what", "--by", "g", "--at", "1,3", "--terminal", "dead"}
	a := fitted(t, args...)
	requireNear(t, 2.0/3, a.get(t, "time=1,group=a", "mean-cumulative-count").Estimate, "μ(1)")
	requireNear(t, 1, a.get(t, "time=3,group=a", "").Estimate, "μ(3)")
	requireNear(t, -0.5, a.get(t, "time=3,contrast=b-a", "mean-cumulative-count-difference").Estimate, "difference")
	requireNear(t, 0.5, a.get(t, "time=3,contrast=b/a", "mean-cumulative-count-ratio").Estimate, "ratio")
	require.Equal(t, map[string]int{"units": 5, "events": 4}, a.N)
	require.Contains(t, a.codes(), "few-persons")
	// Nobody dies: the plain count, and the rate ratio.
	living := writeTestFile(t, "l.csv", "id,time,what,g,from\np,1,1,a,0\np,2,0,a,1\nq,1,1,a,0\nq,3,1,a,1\nq,4,0,a,3\ns,4,0,a,0\nu,2,1,b,0\nu,4,0,b,2\nv,4,0,b,0\n")
	code, text, _ := runFit(t, "mcf", "--data", living, "--id", "id", "--time", "time", "--event", "what", "--at", "3,8,9")
	require.Zero(t, code)
	require.Equal(t, 1, strings.Count(text, "Nobody of the group"), "two times, one sentence")
	args = []string{"mcf", "--data", living, "--id", "id", "--time", "time", "--event", "what", "--by", "g", "--at", "3"}
	b := fitted(t, args...)
	requireNear(t, 7.0/6, b.get(t, "time=3,group=a", "").Estimate, "death as end of observation")
	efron := b.get(t, "contrast=b/a", "log-rate-ratio")
	require.Equal(t, b.Estimates, fitted(t, append(args, "--start", "from")...).Estimates)
	breslow := fitted(t, append(args, "--ties", "breslow")...).get(t, "contrast=b/a", "log-rate-ratio")
	require.NotEqual(t, *efron.Estimate, *breslow.Estimate)
	// Breslow: 2·x̄(1) + x̄(2) + x̄(3) = 1 with x̄ = 2r/(3+2r), 2r/(2+2r) twice after p's end.
	r := math.Exp(*breslow.Estimate)
	require.InDelta(t, 1, 2*2*r/(3+2*r)+2*r/(3+2*r)+2*r/(2+2*r), 1e-10)
}

func TestFitMCFBad(t *testing.T) {
	path := writeTestFile(t, "d.csv", eventTable)
	base := []string{"mcf", "--data", path, "--id", "id", "--time", "time", "--event", "what"}
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, nil, []string{"--at is needed"}},
		{exitUsage, []string{"--at", "0,3", "--ties", "exact", "--terminal", "1", "--tau", "3"}, []string{"time 0", "exact", "other than 0 and 1", "does not use --tau"}},
		{exitUsage, []string{"--at", "3", "--weights", "time", "--weight-kind", "frequency"}, []string{"frequency is not used"}},
		{exitInput, []string{"--at", "3"}, []string{"d.csv:3", `"what"`, "--terminal"}},
		{exitInput, []string{"--at", "3", "--terminal", "dead", "--by", "time"}, []string{"d.csv:3", "group changes"}},
		{exitInput, []string{"--at", "3", "--terminal", "dead", "--where", "id != 's' and id != 'q'", "--by", "g"}, []string{"too few", "1 persons"}},
	} {
		code, out, errOut := runFit(t, append(base, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
}
