package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Comparison people sfsf and ssss: 3 changes in 8 months, 4.5 a year; participants ssff and ss: 1 in 6, 2 a year (package progress, by hand).
func TestFitSequences(t *testing.T) {
	path := writeTestFile(t, "m.csv", "id,arm,m1,m2,m3,m4\na,0,s,f,s,f\nb,0,s,s,s,s\nc,1,s,s,f,f\nd,1,s,s,,\n")
	args := []string{"sequences", "--data", path, "--id", "id", "--months", "m1,m2,m3,m4"}
	a := fitted(t, append(args, "--treatment", "arm", "--authority", "s=social,f=insurance")...)
	requireNear(t, 4.5, a.get(t, "authority-changes,group=0", "per-person-year").Estimate, "comparison people")
	requireNear(t, 2, a.get(t, "authority-changes,group=1", "per-person-year").Estimate, "participants")
	requireNear(t, -2.5, a.get(t, "authority-changes,difference", "per-person-year-difference").Estimate, "difference")
	require.Contains(t, a.codes(), "process-measure")
	var means map[string]map[string]float64
	a.detail(t, "sequences", &means)
	require.InDelta(t, 1, means["transitions"]["mean"], 1e-12)
	require.Empty(t, fitted(t, args...).Estimates, "without authorities it only describes")
	up := fitted(t, append(args, "--authority", "s=social,f=own", "--ladder", "s=1,f=2")...)
	requireNear(t, 3*12.0/14, up.get(t, "steps-up,overall", "per-person-year").Estimate, "up")
	// A state that is declared and that nobody is in is in the alphabet: the entropy of half s and half f is log 2 over log 3.
	three := fitted(t, append(args, "--authority", "s=social,f=own,x=left", "--ladder", "s=1,f=2,x=0")...)
	three.detail(t, "sequences", &means)
	require.InDelta(t, math.Log(2)/math.Log(3), means["entropy"]["largest"], 1e-12)
	require.Equal(t, up.Estimates, three.Estimates)
}

func TestFitSequencesExits(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,m1,m2,m3,m4,m5,m6\n")
	for i := range 40 {
		fmt.Fprintf(&b, "p%02d,%s\n", i, []string{"s,w,w,w,w,w", "s,s,w,s,w,w", "s,s,s,s,s,s", "w,w,w,s,s,x"}[i%4])
	}
	path := writeTestFile(t, "m.csv", b.String())
	args := []string{"sequences", "--data", path, "--id", "id", "--months", "m1,m2,m3,m4,m5,m6", "--authority", "s=social,w=own,x=left", "--at", "1,2"}
	a := fitted(t, append(args, "--run", "3", "--benefit", "0")...)
	requireNear(t, .5, a.get(t, "stable-exit,time=1,cause=stable", "cumulative-incidence").Estimate, "begun by month 1: the first and the last kind")
	requireNear(t, .5, a.get(t, "return,time=1,cause=return", "cumulative-incidence").Estimate, "the second kind is back after a month")
	b2 := fitted(t, append(args, "--run", "3", "--benefit", "1")...)
	requireNear(t, .75, b2.get(t, "stable-exit,time=2,cause=stable", "cumulative-incidence").Estimate, "with a month of benefit in it")
	none := fitted(t, append(args, "--run", "6")...)
	require.Nil(t, none.get(t, "stable-exit,time=1,cause=stable", "cumulative-incidence").Estimate, "nobody has begun six months")
	requireNear(t, .5, none.get(t, "return,time=1,cause=return", "cumulative-incidence").Estimate, "returns do not need them")
	for _, c := range []struct {
		code int
		args []string
		says string
	}{
		{exitUsage, []string{"--authority", "s"}, "STATE=NAME"},
		{exitUsage, []string{"--ping-pong", "0"}, "at least 1"},
		{exitUsage, []string{"--run", "3", "--benefit", "3"}, "below --run"},
	} {
		code, out, errOut := runFit(t, append(args, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, c.says)
	}
	code, _, errOut := runFit(t, "sequences", "--data", path, "--id", "id", "--months", "m1,m2", "--run", "3", "--ladder", "s=1")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--run goes with --authority")
	gap := writeTestFile(t, "g.csv", "id,m1,m2,m3\na,s,,s\n")
	code, _, errOut = runFit(t, "sequences", "--data", gap, "--id", "id", "--months", "m1,m2,m3")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "g.csv:2")
}
