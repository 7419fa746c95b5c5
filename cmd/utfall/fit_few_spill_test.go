package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// spillTable is the test by hand of estimate/panel: treated change by 5 and 7, exposed by
// 2, 3 and 4, clean ones by 0, 1 and 2.
func spillTable() string {
	var b strings.Builder
	b.WriteString("unit,time,g,d,y,share,area\n")
	change := []int{5, 7, 2, 3, 4, 0, 1, 2}
	share := []float64{0, 0, 0.5, 0.5, 1, 0, 0, 0}
	area := []string{"n", "n", "n", "n", "n", "s", "s", "s"}
	for u := range change {
		for t := 1; t <= 2; t++ {
			g, d := 0, 0
			if u < 2 {
				g, d = 2, t-1
			}
			fmt.Fprintf(&b, "u%d,%d,%d,%d,%d,%g,%s\n", u, t, g, d, 3+u+change[u]*(t-1), share[u]*float64(t-1), area[u])
		}
	}
	return b.String()
}

func TestFitSpillover(t *testing.T) {
	path := writeTestFile(t, "d.csv", spillTable())
	args := []string{"spillover", "--data", path, "--unit", "unit", "--time", "time", "--outcome", "y"}
	a := fitted(t, append(args, "--cohort", "g", "--exposure", "share", "--borders", "0.5", "--by-event")...)
	for term, want := range map[string]float64{"treated": 5, "exposed": 2, "exposed,above=0": 1.5, "exposed,above=0.5": 3, "treated,event=0": 5, "exposed,event=0": 2} {
		require.InDelta(t, want, *a.get(t, term, "mean-difference").Estimate, 1e-12, term)
	}
	var naive map[string]float64
	a.detail(t, "naive", &naive)
	require.InDelta(t, 4, naive["estimate"], 1e-12)
	require.Contains(t, a.codes(), "spillover-clusters")
	// All of area n but the treated are exposed, so that regions give the same effects.
	b := fitted(t, append(args, "--treated", "d", "--region", "area")...)
	require.InDelta(t, 5, *b.get(t, "treated", "mean-difference").Estimate, 1e-12)
	require.InDelta(t, 2, *b.get(t, "exposed", "mean-difference").Estimate, 1e-12)
	edges := writeTestFile(t, "edges.csv", "unit,neighbour,weight\nu2,u0,1\nu2,u5,1\nu3,u1,2\nu3,u6,2\nu4,u0,1\nu5,gone,1\n")
	c := fitted(t, append(args, "--cohort", "g", "--neighbours", edges, "--borders", "0.5")...)
	require.InDelta(t, 3, *c.get(t, "exposed,above=0.5", "mean-difference").Estimate, 1e-12)
	require.Contains(t, c.codes(), "neighbours-missing")
	// Options that change an answer.
	plain := *a.get(t, "exposed", "mean-difference").Estimate
	d := fitted(t, append(args, "--cohort", "g", "--exposure", "share", "--threshold", "0.5")...)
	require.NotEqual(t, plain, *d.get(t, "exposed", "mean-difference").Estimate)
	e := fitted(t, append(args, "--cohort", "g", "--exposure", "share", "--cluster", "area")...)
	require.NotContains(t, e.codes(), "spillover-clusters")
	code, out, errOut := runFit(t, append(args, "--cohort", "g", "--exposure", "share")...)
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, "exposed or not")
}

func TestFitSpilloverBadInput(t *testing.T) {
	path := writeTestFile(t, "d.csv", spillTable())
	code, _, errOut := runFit(t, "spillover", "--data", path, "--unit", "unit", "--time", "time", "--outcome", "y", "--exposure", "share", "--region", "area",
		"--threshold", "-1", "--borders", "0.5,0.2,x", "--anticipation", "-1", "--method", "cr2")
	require.Equal(t, exitUsage, code)
	for _, s := range []string{"give one of --cohort and --treated", "give one of --exposure, --region and --neighbours", "--threshold must", "0.2 must be above 0.5", `"x" is not a number`, "--anticipation", "does not use --method"} {
		require.Contains(t, errOut, s)
	}
	edges := writeTestFile(t, "edges.csv", "unit,neighbour\nu2,u0\nu2,u2\n")
	code, _, errOut = runFit(t, "spillover", "--data", path, "--unit", "unit", "--time", "time", "--outcome", "y", "--cohort", "g", "--neighbours", edges)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "edges.csv:3")
	require.Contains(t, errOut, "its own neighbour")
}

func TestFitDisplacement(t *testing.T) {
	var b strings.Builder
	b.WriteString("person,place,part,y,share,x,w\n")
	n := 0
	for p, list := range [][2][]float64{{nil, {9, 11, 10, 10}}, {nil, {8, 12}}, {{13}, {9, 8, 10}}, {{12, 12}, {7, 7}}, {{14}, {9, 9, 9}}, {{12}, {9, 9, 9}}, {{11, 13}, {8, 6}}} {
		share := float64(len(list[0])) / float64(len(list[0])+len(list[1]))
		for kind, ys := range list {
			for _, y := range ys {
				n++
				fmt.Fprintf(&b, "p%d,m%d,%d,%g,%g,%d,%d\n", n, p, 1-kind, y, share, n*n%7, 1+n%3)
			}
		}
	}
	path := writeTestFile(t, "d.csv", b.String())
	args := []string{"displacement", "--data", path, "--outcome", "y", "--treatment", "part", "--place", "place"}
	a := fitted(t, append(args, "--borders", "0.3")...)
	for term, want := range map[string]float64{"participants,above=0": 3, "non-participants,above=0": -1, "within,above=0": 4, "net,above=0": 0, "non-participants,above=0.3": -3, "net,above=0.3": -0.5} {
		require.InDelta(t, want, *a.get(t, term, "mean-difference").Estimate, 1e-12, term)
	}
	same := fitted(t, append(args, "--borders", "0.3", "--intensity", "share")...)
	require.Equal(t, a.get(t, "within,above=0", "mean-difference"), same.get(t, "within,above=0", "mean-difference"))
	for _, more := range [][]string{{"--covariates", "x"}, {"--weights", "w"}, {"--level", "0.9"}} {
		other := fitted(t, append(append(args, "--borders", "0.3"), more...)...)
		require.NotEqual(t, a.get(t, "net,above=0.3", "mean-difference"), other.get(t, "net,above=0.3", "mean-difference"), more)
	}
	code, _, errOut := runFit(t, append(args, "--intensity", "x")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "the same place")
	code, _, errOut = runFit(t, "displacement", "--data", path, "--outcome", "y", "--borders", "0", "--cohort", "part")
	require.Equal(t, exitUsage, code)
	for _, s := range []string{"--treatment is needed", "--place is needed", "must be above 0", "does not use --cohort"} {
		require.Contains(t, errOut, s)
	}
}
