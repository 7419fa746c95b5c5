package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// 40 people, all in a until 2; every second one goes to b at 2 and stays; of those one half comes back at 5; of the others one in four goes to b at 6.
func afterSpells() string {
	var b strings.Builder
	b.WriteString("id,from,to,start,stop,arm\n")
	for i := range 40 {
		arm := i % 4 / 2
		row := func(from, to string, start, stop int) {
			fmt.Fprintf(&b, "p%02d,%s,%s,%d,%d,%d\n", i, from, to, start, stop, arm)
		}
		switch {
		case i%2 == 0 && i%4 == 0:
			row("a", "b", 0, 2)
			row("b", "a", 2, 5)
			row("a", "cens", 5, 9)
		case i%2 == 0:
			row("a", "b", 0, 2)
			row("b", "cens", 2, 9)
		case i%8 == 1:
			row("a", "b", 0, 6)
			row("b", "cens", 6, 9)
		default:
			row("a", "cens", 0, 9)
		}
	}
	return b.String()
}

func TestFitStatesLandmark(t *testing.T) {
	path := writeTestFile(t, "s.csv", afterSpells())
	base := []string{"states", "--data", path, "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop"}
	a := fitted(t, append(base, "--landmark", "b@3", "--at", "7", "--tau", "9")...)
	requireNear(t, .5, a.get(t, "from=b@3,time=7,state=b", "occupation-probability").Estimate, "half stays")
	requireNear(t, 2+4*.5, a.get(t, "from=b@3,state=b", "restricted-mean-time").Estimate, "two months, and four for half")
	requireNear(t, .25+5.0/40, a.get(t, "time=7,state=b", "occupation-probability").Estimate, "everybody")
	var l map[string]any
	a.detail(t, "landmark", &l)
	require.Equal(t, map[string]any{"": 20.0}, l["persons"])
	require.Contains(t, fitted(t, append(base, "--by", "arm", "--landmark", "b@3", "--at", "7")...).codes(), "landmark-selected")

	m := fitted(t, append(base, "--at", "7", "--markov-test", "3", "--draws", "199", "--seed", "4")...)
	e := m.get(t, "markov,move=a->b", "mean-abs-z")
	require.Nil(t, e.StdError)
	require.NotNil(t, e.PValue)
	require.Contains(t, m.codes(), "markov-no-licence")
	again := fitted(t, append(base, "--at", "7", "--markov-test", "3", "--draws", "199", "--seed", "4", "--workers", "5")...)
	require.Equal(t, m.Estimates, again.Estimates)
}

func TestFitStatesLandmarkBad(t *testing.T) {
	path := writeTestFile(t, "s.csv", afterSpells())
	base := []string{"states", "--data", path, "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop"}
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, []string{"--landmark", "b"}, []string{"STATE@TIME"}},
		{exitUsage, []string{"--landmark", "b@-1"}, []string{"STATE@TIME"}},
		{exitUsage, []string{"--landmark", "b@3", "--at", "3,7"}, []string{"--at"}},
		{exitUsage, []string{"--landmark", "b@3", "--tau", "2"}, []string{"--tau"}},
		{exitUsage, []string{"--draws", "199", "--seed", "1"}, []string{"--draws goes with", "--seed goes with"}},
		{exitUsage, []string{"--markov-test", "3", "--draws", "9"}, []string{"at least 99"}},
		{exitInput, []string{"--landmark", "x@3"}, []string{`no state "x"`}},
		{exitInput, []string{"--landmark", "b@1"}, []string{"at least"}},
	} {
		code, out, errOut := runFit(t, append(base, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
	code, _, errOut := runFit(t, "states", "--data", path, "--id", "id", "--state", "from", "--time", "start", "--panel-observed", "--landmark", "b@3")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "does not use --landmark")
}

// A ladder is declared before the data are seen: a step for a state that nobody is in changes no number and is said.
func TestFitStatesLadderOfStatesThatDoNotOccur(t *testing.T) {
	path := writeTestFile(t, "s.csv", "p,from,to,start,stop,g\n1,A,B,0,2,x\n1,B,,2,4,x\n2,A,,0,4,y\n3,A,,0,4,x\n")
	args := []string{"states", "--data", path, "--id", "p", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--by", "g", "--tau", "4"}
	want, got := fitted(t, append(args, "--ladder", "A=1,B=2")...), fitted(t, append(args, "--ladder", "A=1,B=2,dead=0,left=0")...)
	require.Equal(t, want.Estimates, got.Estimates)
	require.NotContains(t, want.codes(), "ladder-states-absent")
	require.Contains(t, got.codes(), "ladder-states-absent")
}

// Ten moves are enough to be left alone, nine are named; by group where there are groups.
func TestFitStatesFewTransitions(t *testing.T) {
	spells := func(toB, toC int) string {
		var b strings.Builder
		b.WriteString("p,from,to,start,stop,g\n")
		for i := range 30 {
			to := "a"
			switch {
			case i < toB:
				to = "b"
			case i < toB+toC:
				to = "c"
			}
			if to == "a" {
				fmt.Fprintf(&b, "p%02d,a,,0,4,%d\n", i, i%2)
				continue
			}
			fmt.Fprintf(&b, "p%02d,a,%s,0,%d,%d\np%02d,%s,,%d,4,%d\n", i, to, 1+i%3, i%2, i, to, 1+i%3, i%2)
		}
		return writeTestFile(t, "s.csv", b.String())
	}
	args := []string{"--id", "p", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--at", "2"}
	require.NotContains(t, fitted(t, append([]string{"states", "--data", spells(10, 10)}, args...)...).codes(), "few-transitions")
	path := spells(10, 9)
	for want, more := range map[string][]string{"1 of 2 transitions are made fewer than 10 times (a->c)": nil, "a->b in 0, a->c in 0, a->b in 1, a->c in 1": {"--by", "g"}} {
		a := fitted(t, append(append([]string{"states", "--data", path}, args...), more...)...)
		require.Contains(t, a.codes(), "few-transitions")
		require.Contains(t, fmt.Sprint(a.Notes), want)
	}
	var b strings.Builder
	b.WriteString("p,s,t\n")
	for i := range 30 {
		fmt.Fprintf(&b, "p%02d,a,0\np%02d,%s,1\n", i, i, map[bool]string{true: "b", false: "a"}[i < 9])
	}
	require.Contains(t, fitted(t, "states", "--data", writeTestFile(t, "v.csv", b.String()), "--panel-observed", "--id", "p", "--state", "s", "--time", "t").codes(), "few-transitions")
}

// Under 15 persons are said, in a group, in all and at a landmark, with or without a ladder.
func TestFitStatesFewPersons(t *testing.T) {
	spells := func(n int) string {
		var b strings.Builder
		b.WriteString("p,from,to,start,stop,g\n")
		for i := range n {
			fmt.Fprintf(&b, "p%02d,a,b,0,%d,%d\np%02d,b,,%d,4,%d\n", i, 1+i%3, i%2, i, 1+i%3, i%2)
		}
		return writeTestFile(t, "s.csv", b.String())
	}
	args := []string{"--id", "p", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--at", "3"}
	said := func(path string, more ...string) (n int) {
		for _, c := range fitted(t, append(append([]string{"states", "--data", path}, args...), more...)...).codes() {
			if c == "few-persons" {
				n++
			}
		}
		return n
	}
	few, enough := spells(14), spells(30)
	require.Equal(t, 1, said(few))
	require.Equal(t, 2, said(few, "--by", "g"))
	require.Equal(t, 2, said(few, "--by", "g", "--ladder", "a=1,b=2"))
	require.Zero(t, said(enough))
	require.Zero(t, said(enough, "--by", "g"))
	require.Equal(t, 1, said(enough, "--landmark", "b@1"), "10 of 30")
}
