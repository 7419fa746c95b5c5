package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// panelTables are 40 persons in A and 50 in B, seen again after 1: 12 and 10 have changed. The
// first table has a row for each visit, the second one for each two.
func panelTables() (visits, intervals string) {
	var v, w strings.Builder
	v.WriteString("p,t,s\n")
	w.WriteString("p,from,to,start,stop,arm\n")
	for i := range 90 {
		from, to := "A", "A"
		switch {
		case i < 12:
			to = "B"
		case i >= 40 && i < 50:
			from = "B"
		case i >= 50:
			from, to = "B", "B"
		}
		fmt.Fprintf(&v, "%d,3,%s\n%d,2,%s\n", i, to, i, from)
		fmt.Fprintf(&w, "%d,%s,%s,2,3,x\n", i, from, to)
	}
	return v.String(), w.String()
}

// P_AB = 12/40 and P_BA = 10/50 over a time of 1: q_AB = .6·log 2 (survive, by hand).
func TestFitStatesPanelObserved(t *testing.T) {
	visits, intervals := panelTables()
	base := []string{"states", "--data", writeTestFile(t, "v.csv", visits), "--id", "p", "--state", "s", "--time", "t", "--panel-observed"}
	a := fitted(t, append(base, "--at", "1", "--tau", "2")...)
	requireNear(t, .6*math.Ln2, a.get(t, "from=A,to=B", "intensity").Estimate, "A to B")
	requireNear(t, .4*math.Ln2, a.get(t, "from=B,to=A", "intensity").Estimate, "B to A")
	requireNear(t, 1/(.6*math.Ln2), a.get(t, "state=A", "mean-sojourn-time").Estimate, "mean time in A")
	requireNear(t, .3, a.get(t, "time=1,from=A,state=B", "transition-probability").Estimate, "P(1)")
	require.NotNil(t, a.get(t, "from=A,state=B", "restricted-mean-time").Estimate)
	require.Equal(t, map[string]int{"units": 90, "events": 22}, a.N)
	require.Contains(t, a.codes(), "panel-markov-assumed")
	two := []string{"states", "--data", writeTestFile(t, "w.csv", intervals), "--id", "p", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--panel-observed"}
	b := fitted(t, append(two, "--at", "1", "--tau", "2")...)
	require.Equal(t, a.Estimates, b.Estimates)
	require.Equal(t, a.Details, b.Details)
	exact := fitted(t, append(two, "--exact-death", "B", "--where", "from == 'A'")...)
	requireNear(t, 12.0/40, exact.get(t, "from=A,to=B", "").Estimate, "moves over time")
	require.Len(t, fitted(t, append(two, "--transitions", "A:B,B:A")...).Estimates, 4)
	_, text, _ := runFit(t, two...)
	require.Contains(t, text, "seen one after the other")
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, append(base, "--from", "s", "--at", "0", "--transitions", "A,B:B,A:B,A:B"), []string{"--from goes with", "time 0", `"A" is not`, `"B:B" is not`, "twice"}},
		{exitUsage, append(two, "--by", "arm", "--ladder", "A=1,B=2"), []string{"does not use --by", "does not use --ladder"}},
		{exitUsage, append(two[:len(two)-1], "--exact-death", "B", "--state", "arm"), []string{"--exact-death goes with", "--state goes with"}},
		{exitUsage, []string{"states", "--data", "x.csv", "--id", "p", "--panel-observed", "--state", "s"}, []string{"--time is needed"}},
		{exitUsage, []string{"states", "--data", "x.csv", "--id", "p", "--from", "from"}, []string{"--to is needed", "--start is needed", "--stop is needed"}},
		{exitInput, append(two, "--transitions", "A:B"), []string{"w.csv", "B and next in A"}},
		{exitInput, append(two, "--exact-death", "Z"), []string{`"Z"`}},
		{exitInput, append(two, "--exact-death", "B"), []string{"w.csv:42", "seen after"}},
	} {
		code, out, errOut := runFit(t, c.args...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
	code, _, errOut := runFit(t, "states", "--data", writeTestFile(t, "d.csv", "p,t,s\n1,0,A\n1,0,B\n"), "--id", "p", "--state", "s", "--time", "t", "--panel-observed")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "d.csv:3")
}
