package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// traitFile writes answers of 160 persons to four items with the categories 1, 2, 3, in a group, twice.
func traitFile(t *testing.T, header string, row func(id, wave int, q [4]int) string) string {
	var b strings.Builder
	b.WriteString(header + "\n")
	for i := range 160 {
		for wave := 1; wave <= 2; wave++ {
			level := float64((i*37)%160)/40 - 2 + 0.4*float64(wave-1)*float64(i%2)
			var q [4]int
			for j := range q {
				noise := float64((i*(53+14*j)+wave*71+j*31)%97)/30 - 1.6
				q[j] = 2
				if v := level + noise + 0.3*float64(j); v < -0.7 {
					q[j] = 1
				} else if v > 0.9 {
					q[j] = 3
				}
			}
			b.WriteString(row(i, wave, q))
		}
	}
	return writeTestFile(t, "d.csv", b.String())
}

func oneWave(t *testing.T) string {
	return traitFile(t, "person,arm,a,b,c,d,n", func(id, wave int, q [4]int) string {
		if wave == 2 {
			return ""
		}
		a := fmt.Sprint(q[0])
		if id == 3 {
			a = ""
		}
		return fmt.Sprintf("p%d,%d,%s,%d,%d,%d,%d\n", id, id%2, a, q[1], q[2], q[3], 1+id%2)
	})
}

func TestFitTrait(t *testing.T) {
	path := oneWave(t)
	a := fitted(t, "grm", "--data", path, "--id", "person", "--items", "a,b,c,d")
	require.Equal(t, 160, a.N["units"])
	require.Equal(t, "a/a", a.Estimates[0].Term)
	for _, item := range []string{"a", "b", "c", "d"} {
		slope := a.get(t, item+"/a", "slope")
		require.Positive(t, *slope.Estimate)
		require.Positive(t, *slope.StdError)
		require.Less(t, *a.get(t, item+"/b1", "threshold").Estimate, *a.get(t, item+"/b2", "threshold").Estimate)
	}
	require.Contains(t, a.codes(), "answers-missing")
	var scores map[string]struct{ EAP, SE *float64 }
	a.detail(t, "scores", &scores)
	require.Len(t, scores, 160)
	require.NotNil(t, scores["p3"].EAP)
	var information map[string]float64
	a.detail(t, "information", &information)
	require.Len(t, information, 7)
	require.Greater(t, information["0"], information["3"])
	var number float64
	a.detail(t, "loglik", &number)
	require.Negative(t, number)
	a.detail(t, "reliability", &number)
	require.InDelta(t, 0.5, number, 0.5)
	// A row number names the person where --id does not.
	b := fitted(t, "grm", "--data", path, "--items", "a,b,c,d")
	var byRow map[string]struct{ EAP, SE *float64 }
	b.detail(t, "scores", &byRow)
	require.Equal(t, *scores["p7"].EAP, *byRow["8"].EAP)
	g := fitted(t, "pcm", "--data", path, "--items", "a,b,c,d", "--treatment", "arm")
	require.NotNil(t, g.get(t, "trait/mean,group=1", "trait-mean").StdError)
	require.Equal(t, 80, g.N["treated"])
	require.NotNil(t, g.get(t, "trait/variance,group=0", "").Estimate)
	require.Nil(t, g.get(t, "a/a", "slope").StdError)
	require.Contains(t, g.codes(), "slopes-fixed")
	w := fitted(t, "gpcm", "--data", path, "--items", "a,b,c,d", "--weights", "n", "--weight-kind", "frequency")
	require.NotEqual(t, *fitted(t, "gpcm", "--data", path, "--items", "a,b,c,d").Estimates[0].Estimate, *w.Estimates[0].Estimate)
}

// Two answers: Rasch with two items is the table itself, so that b2 − b1 = log(n10/n01) = log 2.
func TestFitRasch(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("x,y,z\n")
	for row, n := range map[string]int{"1,1,0": 40, "1,0,1": 30, "0,1,1": 15, "0,0,0": 25} {
		rows.WriteString(strings.Repeat(row+"\n", n))
	}
	path := writeTestFile(t, "d.csv", rows.String())
	a := fitted(t, "rasch", "--data", path, "--items", "x,y")
	require.InDelta(t, math.Log(2), *a.get(t, "y/b1", "").Estimate-*a.get(t, "x/b1", "").Estimate, 1e-8)
	require.Equal(t, 1.0, *a.get(t, "x/a", "").Estimate)
	require.NotNil(t, a.get(t, "trait/variance", "trait-variance").StdError)
	_, text, _ := runFit(t, "rasch", "--data", path, "--items", "x,y")
	require.Contains(t, text, "Information of the test")
}

func TestFitWaves(t *testing.T) {
	row := func(id, wave int, q [4]int) string {
		return fmt.Sprintf("p%d,%d,%d,%d,%d,%d,%d\n", id, id%2, 9+wave-1, q[0], q[1], q[2], q[3])
	}
	path := traitFile(t, "person,arm,month,a,b,c,d", row)
	args := []string{"grm", "--data", path, "--id", "person", "--items", "a,b,c,d", "--wave", "month", "--treatment", "arm"}
	a := fitted(t, args...)
	require.Equal(t, 160, a.N["units"])
	require.Equal(t, 80, a.N["treated"])
	var waves []string
	a.detail(t, "waves", &waves)
	require.Equal(t, []string{"9", "10"}, waves) // as numbers, not as text
	d := a.get(t, "difference", "trait-change-difference")
	require.InDelta(t, *a.get(t, "change,group=1", "").Estimate-*a.get(t, "change,group=0", "").Estimate, *d.Estimate, 1e-12)
	require.Positive(t, *d.Estimate)
	s := fitted(t, append(args, "--shift", "d", "--free", "a")...)
	require.NotNil(t, s.get(t, "d/shift", "threshold-shift").StdError)
	require.NotNil(t, s.get(t, "a/b1,wave=2", "threshold").StdError)
}

func TestFitTraitBad(t *testing.T) {
	path := oneWave(t)
	words := writeTestFile(t, "w.csv", "a,b,c\nno,1,1\nyes,2,2\n,2,1\n")
	full := writeTestFile(t, "f.csv", "id,w,arm,a,b,c\n1,1,0,1,2,3\n1,2,0,1,1,2\n2,1,0,1,3,1\n2,2,1,1,2,2\n3,1,1,1,1,2\n3,1,1,1,1,1\n")
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, []string{"grm", "--data", path}, []string{"--items is needed"}},
		{exitUsage, []string{"grm", "--data", path, "--items", "a", "--free", "b", "--wave", "arm"}, []string{"two columns", "--wave needs --id", `"b"`}},
		{exitUsage, []string{"grm", "--data", path, "--items", "a,b,c", "--shift", "a"}, []string{"--shift goes with --wave"}},
		{exitUsage, []string{"grm", "--data", path, "--items", "a,b,a"}, []string{`names "a" twice`}},
		{exitInput, []string{"grm", "--data", full, "--items", "a,b,c"}, []string{`"a"`, "ceiling"}},
		{exitInput, []string{"grm", "--data", words, "--items", "a,b,c"}, []string{`"a"`, "numbers"}},
		{exitInput, []string{"rasch", "--data", path, "--items", "a,b,c"}, []string{`"a"`, "pcm"}},
		{exitInput, []string{"grm", "--data", full, "--id", "id", "--wave", "w", "--items", "b,c", "--treatment", "arm", "--where", "id == 2"}, []string{"f.csv:5", "other group"}},
		{exitInput, []string{"grm", "--data", full, "--id", "id", "--wave", "w", "--items", "b,c", "--where", "id != 2"}, []string{"two rows"}},
		{exitInput, []string{"grm", "--data", full, "--id", "id", "--wave", "b", "--items", "a,c"}, []string{"two waves"}},
	} {
		code, out, errOut := runFit(t, c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
}
