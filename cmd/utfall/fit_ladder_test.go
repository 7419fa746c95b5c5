package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Participants at work and sick, comparison people sick and training: won 2 of 4 pairs, lost
// 1, so WP .625, odds 5/3, benefit ¼, ratio 2 and (METHODS.md) an error of √.15625.
func TestFitLadder(t *testing.T) {
	path := writeTestFile(t, "d.csv", "id,t,step\na,1,work\nb,1,sick\nc,0,sick\nd,0,training\n")
	args := []string{"ladder", "--data", path, "--id", "id", "--treatment", "t", "--outcome", "step", "--order", "dead,sick,training,work"}
	a := fitted(t, args...)
	for measure, want := range map[string]float64{"win-probability": 0.625, "win-odds": 5.0 / 3, "net-benefit": 0.25, "win-ratio": 2} {
		requireNear(t, want, a.get(t, "overall", measure).Estimate, measure)
	}
	requireNear(t, math.Sqrt(0.15625), a.get(t, "overall", "win-probability").StdError, "se")
	require.Equal(t, "logit", *a.Estimates[0].ConfMethod)
	var tie float64
	a.detail(t, "tie_share", &tie)
	require.InDelta(t, 0.25, tie, 1e-15)
	var shares []map[string]any
	a.detail(t, "step_table", &shares)
	require.Len(t, shares, 3)
	require.Equal(t, map[string]any{"step": "training", "share_treated": 0.0, "share_control": 0.5}, shares[1])
	require.Equal(t, map[string]int{"units": 4, "treated": 2}, a.N)
	require.Contains(t, a.codes(), "few-persons")
	// Two names on one step tie; the order decides who wins.
	requireNear(t, 0.75, fitted(t, append(args[:len(args)-1:len(args)-1], "sick=training,work")...).get(t, "overall", "win-probability").Estimate, "one step")
}

// Both arms are small: what is said of them comes in one order, participants first, however often it is asked.
func TestFitSmallArmsInOneOrder(t *testing.T) {
	path := writeTestFile(t, "d.csv", "id,t,y,z,i,j,k\na,1,3,1,1,1,1\nb,1,1,2,0,0,1\nc,1,2,2,1,1,0\nd,0,1,1,0,0,0\ne,0,2,3,1,1,1\nf,0,2,2,0,0,0\ng,0,1,2,1,0,0\n")
	for _, args := range [][]string{
		{"ladder", "--outcome", "y"}, {"pairs", "--outcomes", "y,z"}, {"rasch", "--items", "i,j,k"},
	} {
		args = append(args, "--data", path, "--id", "id", "--treatment", "t")
		var groups []any
		a := fitted(t, args...)
		for _, n := range a.Notes {
			if n.Code == "few-persons" && n.Args["group"] != nil {
				groups = append(groups, n.Args["group"])
			}
		}
		if args[0] == "pairs" { // sorted by what they say
			require.ElementsMatch(t, []any{"treated", "control"}, groups)
		} else {
			require.Equal(t, []any{"treated", "control"}, groups, args[0])
		}
		for range 12 {
			require.Equal(t, a.Notes, fitted(t, args...).Notes)
		}
	}
}

// Odds ratios of the 2×2 tables at each step (package progress, by hand): 3 at b, 18/22·35/5 at c.
func TestFitLadderOdds(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,t,step\n")
	n := 0
	for arm, steps := range [][]int{{20, 15, 5}, {10, 12, 18}} {
		for k, count := range steps {
			for range count {
				fmt.Fprintf(&b, "p%03d,%d,%s\n", n, arm, string("abc"[k]))
				n++
			}
		}
	}
	path := writeTestFile(t, "d.csv", b.String())
	args := []string{"ladder", "--data", path, "--id", "id", "--treatment", "t", "--outcome", "step", "--order", "a,b,c"}
	a := fitted(t, append(args, "--odds")...)
	requireNear(t, math.Log(3), a.get(t, "odds,step>=b", "log-odds-ratio").Estimate, "b")
	requireNear(t, math.Log(18.0/22*7), a.get(t, "odds,step>=c", "log-odds-ratio").Estimate, "c")
	var h map[string]float64
	a.detail(t, "odds_proportional_odds", &h)
	require.Equal(t, 1.0, h["df"])
	require.Len(t, fitted(t, args...).Estimates, 4)
	for _, bad := range [][]string{{"--strata", "step"}, {"--weights", "t", "--weight-kind", "frequency"}} {
		code, _, errOut := runFit(t, append(append(args, "--odds"), bad...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "--odds")
	}
}

func TestFitLadderOptionsMatter(t *testing.T) {
	header := "id,treat,x,region,y,age,cl,time,event,year,g"
	file := writeTestFile(t, "data.csv", simulated(nil, header, ",", func(s string) string { return s }))
	args := []string{"ladder", "--id", "id", "--treatment", "treat", "--outcome", "cl"}
	base := jsonOf(t, file, args)
	for _, more := range [][]string{{"--weights", "age"}, {"--strata", "region"}, {"--cluster", "year"}, {"--level", "0.9"}} {
		got := jsonOf(t, file, args, more...)
		require.NotEqual(t, base, got, more)
		require.Equal(t, got, jsonOf(t, file, args, append(more, "--workers", "7")...))
		mixed := writeTestFile(t, "data.csv", simulated(rand.New(rand.NewPCG(5, 6)), header, ",", func(s string) string { return s }))
		require.Equal(t, got, jsonOf(t, mixed, args, more...))
	}
}

func TestFitLadderBad(t *testing.T) {
	path := writeTestFile(t, "d.csv", "t,step,w\n1,work,1\n1,sick,1.5\n0,sick,1\n0,training,2\n")
	base := []string{"ladder", "--data", path, "--treatment", "t", "--outcome", "step"}
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, nil, []string{"--order low,…,high is needed"}},
		{exitUsage, []string{"--order", "work,work", "--covariates", "w", "--weight-kind", "sampling"}, []string{"twice", "does not use --covariates", "goes with --weights"}},
		{exitUsage, []string{"--order", "work"}, []string{"two steps"}},
		{exitInput, []string{"--order", "sick,work"}, []string{"d.csv:5", `"step"`, "does not name"}},
		{exitInput, []string{"--order", "sick,training,work", "--weights", "w", "--weight-kind", "frequency"}, []string{"d.csv:3", "whole"}},
		{exitInput, []string{"--order", "sick,training,work", "--strata", "w"}, []string{"one person", "1"}},
	} {
		code, out, errOut := runFit(t, append(base, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
}
