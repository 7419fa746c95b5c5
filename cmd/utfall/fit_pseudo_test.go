package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Eight people followed to the end, so that a pseudo-value is a person's own state or months. At 3 two of the four with x = 1 are in b (1 and 3; 2 has
// gone back), and one of the others (6). Months in b up to 5: 3, 4, 2 and 0 with x = 1, of the others 3 of one.
const pseudoSpells = `id,from,to,start,stop,x,c
1,a,b,0,2,1,u
1,b,cens,2,5,1,u
2,b,a,0,3,1,u
2,a,b,3,4,1,u
2,b,cens,4,5,1,u
3,a,b,0,3,1,v
3,b,cens,3,5,1,v
4,a,cens,0,5,1,v
5,a,cens,0,5,0,u
6,a,b,0,2,0,u
6,b,cens,2,5,0,u
7,a,cens,0,5,0,v
8,a,cens,0,5,0,v
`

func TestFitPseudoByHand(t *testing.T) {
	path := writeTestFile(t, "s.csv", pseudoSpells)
	base := []string{"pseudo", "--data", path, "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--covariates", "x"}
	with := func(more ...string) *fitAnswer { return fitted(t, append(append([]string{}, base...), more...)...) }
	a := with("--state", "b", "--at", "3")
	e := a.get(t, "x", "coefficient")
	requireNear(t, 2.0/4-1.0/4, e.Estimate, "difference of shares")
	requireNear(t, math.Sqrt(.25/4+.1875/4), e.StdError, "error")
	require.Contains(t, a.codes(), "pseudo-rare")
	e = with("--state", "b", "--at", "3", "--link", "logit").get(t, "x", "log-odds-ratio")
	requireNear(t, math.Log(3), e.Estimate, "log odds ratio")
	requireNear(t, math.Sqrt(1.0/2+1.0/2+1+1.0/3), e.StdError, "error")
	e = with("--state", "b", "--at", "3", "--link", "cloglog").get(t, "x", "log-hazard-ratio")
	requireNear(t, math.Log(math.Log(.5)/math.Log(.75)), e.Estimate, "log ratio of cumulative hazards")
	months := with("--state", "b", "--tau", "5").get(t, "x", "coefficient")
	requireNear(t, 9.0/4-3.0/4, months.Estimate, "months")
	requireNear(t, math.Log(3), with("--state", "b", "--tau", "5", "--link", "log").get(t, "x", "coefficient").Estimate, "log ratio of months")
	// Cluster u has persons 1, 2, 5 and 6. A slope is the difference of means: the influence of a residual is ±1/4 of it.
	clustered := with("--state", "b", "--tau", "5", "--cluster", "c").get(t, "x", "coefficient")
	one, none := []float64{3 - 2.25 + 4 - 2.25, 2 - 2.25 + 0 - 2.25}, []float64{0 - .75 + 3 - .75, -.75 - .75}
	sum := 0.0
	for g := range 2 {
		d := one[g]/4 - none[g]/4
		sum += d * d
	}
	requireNear(t, math.Sqrt(2*sum), clustered.StdError, "by cluster, G/(G − 1)")
}

// A row of a person says the same as a spell; and the order of rows and the number of workers say nothing.
func TestFitPseudoRowsOfPeople(t *testing.T) {
	people := "id,t,e,x,h\n1,3,1,1,a\n2,5,0,0,b\n3,2,2,1,a\n4,4,1,0,b\n5,6,0,1,a\n6,1,0,0,b\n7,4,1,1,b\n8,6,1,0,a\n9,6,0,1,\n"
	spells := "id,from,to,start,stop,x,h\n1,event-free,1,0,3,1,a\n2,event-free,,0,5,0,b\n3,event-free,2,0,2,1,a\n4,event-free,1,0,4,0,b\n5,event-free,,0,6,1,a\n6,event-free,,0,1,0,b\n7,event-free,1,0,4,1,b\n8,event-free,1,0,6,0,a\n9,event-free,,0,6,1,\n"
	lines := strings.Split(strings.TrimSpace(people), "\n")
	turned := lines[0]
	for i := len(lines) - 1; i > 0; i-- {
		turned += "\n" + lines[i]
	}
	for _, what := range [][]string{{"--state", "1", "--at", "5"}, {"--state", "event-free", "--at", "5"}, {"--state", "event-free", "--tau", "5"}} {
		what = append(what, "--id", "id", "--covariates", "x,h")
		a := fitted(t, append([]string{"pseudo", "--data", writeTestFile(t, "p.csv", people), "--time", "t", "--event", "e"}, what...)...)
		b := fitted(t, append([]string{"pseudo", "--data", writeTestFile(t, "s.csv", spells), "--from", "from", "--to", "to", "--start", "start", "--stop", "stop"}, what...)...)
		c := fitted(t, append([]string{"pseudo", "--data", writeTestFile(t, "t.csv", turned), "--time", "t", "--event", "e", "--workers", "3"}, what...)...)
		require.Equal(t, a.Estimates, b.Estimates)
		require.Equal(t, a.Estimates, c.Estimates)
		require.Contains(t, a.codes(), "rows-missing")
		require.Equal(t, 8, a.N["units"])
		var persons int
		a.detail(t, "persons", &persons)
		require.Equal(t, 9, persons, "one without a covariate has a part in the pseudo-values")
		var theta, mean float64
		a.detail(t, "estimate", &theta)
		a.detail(t, "mean", &mean)
		require.InDelta(t, theta, mean, 1e-12)
	}
}

func TestFitPseudoBad(t *testing.T) {
	path := writeTestFile(t, "s.csv", pseudoSpells)
	late := writeTestFile(t, "l.csv", strings.Replace(pseudoSpells, "8,a,cens,0,5", "8,a,cens,1,5", 1))
	spells := []string{"--data", path, "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop"}
	for _, c := range []struct {
		code int
		args []string
		says string
	}{
		{exitUsage, append(spells, "--covariates", "x", "--state", "b"), "one of --at"},
		{exitUsage, append(spells, "--covariates", "x", "--state", "b", "--at", "3", "--tau", "3"), "one of --at"},
		{exitUsage, append(spells, "--covariates", "x", "--state", "b", "--at", "-3"), "above 0"},
		{exitUsage, append(spells, "--covariates", "x", "--state", "b", "--at", "3", "--link", "log"), "--link"},
		{exitUsage, append(spells, "--covariates", "x", "--state", "b", "--tau", "3", "--link", "logit"), "--link"},
		{exitUsage, append(spells, "--covariates", "x", "--state", "work", "--at", "3"), "there are: a, b"},
		{exitUsage, append(spells, "--covariates", "x", "--state", "b", "--at", "3", "--time", "x"), "goes with rows of spells"},
		{exitUsage, append(spells[:4:4], "--covariates", "x", "--state", "b", "--at", "3"), "--from is needed"},
		{exitUsage, append(spells, "--state", "b", "--at", "3"), "--covariates is needed"},
		{exitInput, append(spells, "--covariates", "start", "--state", "b", "--at", "3"), ""},
		{exitInput, append(spells, "--covariates", "x", "--state", "b", "--at", "30"), ""},
		{exitInput, append([]string{"--data", writeTestFile(t, "h.csv", strings.Replace(pseudoSpells, "8,a,cens,0,5", "8,a,cens,0,", 1))}, append(spells[2:], "--covariates", "x", "--state", "b", "--at", "3")...), "the row has no value"},
		{exitInput, append([]string{"--data", late}, append(spells[2:], "--covariates", "x", "--state", "b", "--at", "3")...), "from later than 0"},
		{exitInput, []string{"--data", writeTestFile(t, "c.csv", strings.Replace(pseudoSpells, "3,5,1,v", "3,5,0,v", 1)), "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop",
			"--covariates", "x", "--state", "b", "--at", "3"}, "same person"},
		{exitInput, []string{"--data", writeTestFile(t, "e.csv", "t,e,x\n1,event-free,0\n2,0,1\n3,1,1\n4,1,0\n"), "--time", "t", "--event", "e", "--covariates", "x", "--state", "event-free", "--at", "2"}, "a cause may not"},
	} {
		code, out, errOut := runFit(t, append([]string{"pseudo"}, c.args...)...)
		require.NotEqual(t, exitOK, code, "%v", c.args)
		if c.says != "" {
			require.Equal(t, c.code, code, errOut)
		}
		require.Empty(t, out)
		require.Contains(t, errOut, c.says)
	}
}
