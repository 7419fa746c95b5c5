package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Comparison people aa, participants ab: Hamming distance 1 between and 0 within the groups, so that all of it goes with the group: 2·2 of
// 6 pairs differ. Optimal matching puts b for a at 2. Within pairs (a, c), (b, d) half of the draws are as large.
func TestFitSequencesDistance(t *testing.T) {
	path := writeTestFile(t, "m.csv", "id,arm,pair,m1,m2\na,0,1,s,s\nb,0,2,s,s\nc,1,1,s,f\nd,1,2,s,f\ne,1,3,s,\n")
	args := []string{"sequences", "--data", path, "--id", "id", "--months", "m1,m2"}
	a := fitted(t, append(args, "--distance", "ham", "--treatment", "arm", "--permutations", "999", "--seed", "3")...)
	e := a.get(t, "discrepancy", "discrepancy-r2")
	requireNear(t, 1, e.Estimate, "R²")
	require.Nil(t, e.StdError)
	require.InDelta(t, 1.0/3, *e.PValue, .05)
	require.Contains(t, a.codes(), "distance-needs-all-months")
	var d map[string]any
	a.detail(t, "distance", &d)
	require.InDelta(t, 4.0/6, d["mean"], 1e-12)
	require.Equal(t, 4.0, d["people"])
	paired := fitted(t, append(args, "--distance", "ham", "--treatment", "arm", "--cluster", "pair", "--seed", "3")...)
	require.InDelta(t, .5, *paired.get(t, "discrepancy", "discrepancy-r2").PValue, .05)
	om := fitted(t, append(args, "--distance", "om")...)
	require.Empty(t, om.Estimates, "one group")
	om.detail(t, "distance", &d)
	require.Equal(t, 2.0, d["largest"])
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--distance", "euclid"}, "euclid"}, {[]string{"--permutations", "199"}, "goes with --distance"}, {[]string{"--distance", "ham", "--permutations", "9"}, "at least 99"},
		{[]string{"--distance", "ham", "--weights", "arm"}, "--weights is not used"},
	} {
		code, _, errOut := runFit(t, append(args, c.args...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, c.says)
	}
}

// Two exits are too few for a rate: the numbers that need them are null with a note, and the others stand.
func TestFitSequencesFewExits(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,arm,m1,m2,m3,m4\n")
	for i := range 40 {
		months := []string{"s,f,s,f", "s,s,s,s"}[i%2]
		if i < 2 {
			months = "s,w,w,w"
		}
		fmt.Fprintf(&b, "p%02d,%d,%s\n", i, i%2, months)
	}
	args := []string{"sequences", "--data", writeTestFile(t, "m.csv", b.String()), "--id", "id", "--months", "m1,m2,m3,m4", "--treatment", "arm", "--authority", "s=social,f=insurance,w=own"}
	plain := fitted(t, args...)
	a := fitted(t, append(args, "--at", "1,2", "--run", "2")...)
	require.Equal(t, plain.Estimates, a.Estimates[:len(plain.Estimates)])
	for _, term := range []string{"stable-exit,time=2,cause=stable,group=1", "return,time=1,cause=return,group=0", "return,time=2,cause=return,difference"} {
		require.Nil(t, a.get(t, term, "").Estimate, term)
	}
	require.Contains(t, a.codes(), "few-exits")
}

// Months that are all alike leave nothing to share out between groups; the distances (0) and the other numbers stand. The same where an arm has nobody who is observed in every month.
func TestFitSequencesAllAlike(t *testing.T) {
	const header = "id,arm,m1,m2,m3\n"
	for name, c := range map[string]struct{ file, says string }{
		"alike":    {header + "a,0,s,s,s\nb,0,s,s,s\nc,1,s,s,s\nd,1,s,s,s\n", "same months"},
		"no arm 1": {header + "a,0,s,s,s\nb,0,s,f,s\nc,1,s,s,\nd,1,s,s,\n", "no participant"},
		"no arm 0": {header + "a,1,s,s,s\nb,1,s,f,s\nc,0,s,s,\nd,0,s,s,\n", "no comparison person"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeTestFile(t, "m.csv", c.file)
			for _, metric := range []string{"ham", "dhd", "lcs", "om", "omtr"} {
				a := fitted(t, "sequences", "--data", path, "--id", "id", "--months", "m1,m2,m3", "--treatment", "arm", "--authority", "s=social,f=own", "--distance", metric)
				e := a.get(t, "discrepancy", "")
				require.Nil(t, e.Estimate)
				require.Nil(t, e.PValue)
				require.Contains(t, fmt.Sprint(a.Notes), c.says)
				require.NotNil(t, a.get(t, "authority-changes,difference", "").Estimate)
				require.Contains(t, a.codes(), "few-persons")
			}
		})
	}
}

// A state that a flag does not know is named by its line and column; a declared state that nobody is in changes no number.
func TestFitSequencesStatesDeclared(t *testing.T) {
	path := writeTestFile(t, "m.csv", "id,m1,m2,m3\na,s,s,s\nb,s,f,s\nc,s,w,f\nd,w,w,f\n")
	args := []string{"sequences", "--data", path, "--id", "id", "--months", "m1,m2,m3"}
	for _, c := range []struct{ args, says []string }{
		{[]string{"--authority", "s=social,f=insurance"}, []string{"m.csv:5", `"m1"`, "STATE=NAME"}},
		{[]string{"--authority", "s=social,w=own"}, []string{"m.csv:3", `"m2"`, "STATE=NAME"}},
		{[]string{"--authority", "s=social,f=insurance,w=own", "--ladder", "s=1,w=3"}, []string{"m.csv:3", `"m2"`, "STATE=STEP"}},
	} {
		code, out, errOut := runFit(t, append(args, c.args...)...)
		require.Equal(t, exitInput, code)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
	args = append(args, "--authority", "s=social,f=insurance,w=own", "--ladder")
	want := fitted(t, append(args, "s=1,f=2,w=3")...)
	got := fitted(t, append(args, "s=1,f=2,w=3,dead=0")...)
	require.Equal(t, want.Estimates, got.Estimates)
	require.Contains(t, got.codes(), "ladder-states-absent")
	args[len(args)-2] += ",dead=left" // declared by one flag alone
	require.Equal(t, want.Estimates, fitted(t, append(args, "s=1,f=2,w=3")...).Estimates)
}
