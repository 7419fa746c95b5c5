package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// imputable is a file of 60 people: y = x + noise, y missing for every fourth, the group
// for every fifth, the answer for every sixth.
func imputable(order func(i int) int) string {
	b := strings.Builder{}
	b.WriteString("id,x,y,group,ok,arm\n")
	for k := range 60 {
		i := order(k)
		x := float64(i*37%61) / 10
		y, g, ok := fmt.Sprint(x+float64(i*53%17)/10), []string{"low", "mid", "top"}[i*29%61/21], fmt.Sprint(i*31%61/31)
		if i%4 == 0 {
			y = ""
		}
		if i%5 == 0 {
			g = ""
		}
		if i%6 == 0 {
			ok = "NA"
		}
		fmt.Fprintf(&b, "p%02d,%v,%s,%s,%s,%d\n", i, x, y, g, ok, i%2)
	}
	return b.String()
}

func same(i int) int { return i }

// The loop closes: impute, a regression on each completed file, pool. The pooled numbers
// are those of Rubin's rules on what the regressions printed.
func TestFitImputeThenPool(t *testing.T) {
	data := writeTestFile(t, "d.csv", imputable(same))
	dir := t.TempDir()
	r := fitted(t, "impute", "--data", data, "--id", "id", "--columns", "x,y,group,ok", "--m", "3", "--iterations", "4", "--seed", "7", "--out", filepath.Join(dir, "imputed-%d.csv"))
	require.Equal(t, map[string]int{"units": 60, "complete": 32, "imputations": 3}, r.N)
	var imputed []struct {
		Column, Method string
		Missing        int
	}
	r.detail(t, "imputed", &imputed)
	require.Equal(t, "ok", imputed[0].Column)
	require.Equal(t, "logit", imputed[0].Method)
	require.Equal(t, 10, imputed[0].Missing)
	require.Equal(t, "pmm", imputed[2].Method)
	require.Equal(t, 15, imputed[2].Missing)
	require.InDelta(t, 1, *r.get(t, "group[low]", "mean").Estimate+*r.get(t, "group[mid]", "mean").Estimate+*r.get(t, "group[top]", "mean").Estimate, 1e-12)

	var args []string
	var slopes []float64
	for k := 1; k <= 3; k++ {
		file := filepath.Join(dir, fmt.Sprintf("imputed-%d.csv", k))
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		require.Len(t, lines, 61)
		require.Equal(t, "id,x,y,group,ok,arm", lines[0])
		require.True(t, strings.HasPrefix(lines[2], "p01,3.7,3.9"), lines[2])
		require.NotContains(t, string(b), ",,")
		require.NotContains(t, string(b), "NA")
		code, out, errOut := runFit(t, "ols", "--data", file, "--outcome", "y", "--covariates", "x,group,ok", "--format", "csv")
		require.Zero(t, code, errOut)
		est := filepath.Join(dir, fmt.Sprintf("est-%d.csv", k))
		require.NoError(t, os.WriteFile(est, []byte(out), 0o600))
		args = append(args, "--data", est)
		slopes = append(slopes, *fitted(t, "ols", "--data", file, "--outcome", "y", "--covariates", "x,group,ok").get(t, "x", "").Estimate)
	}
	p := fitted(t, append([]string{"pool"}, args...)...)
	require.InDelta(t, (slopes[0]+slopes[1]+slopes[2])/3, *p.get(t, "x", "").Estimate, 1e-13)
	require.Less(t, *p.get(t, "x", "").DF, 56.)
}

// With ids the order of rows and the workers change no number; options do.
func TestFitImputeOptions(t *testing.T) {
	data := writeTestFile(t, "d.csv", imputable(same))
	turned := writeTestFile(t, "e.csv", imputable(func(i int) int { return 59 - i }))
	base := []string{"impute", "--id", "id", "--columns", "x,y,group,ok", "--m", "3", "--iterations", "3"}
	run := func(file string, more ...string) []fitEstimateJSON {
		return fitted(t, append(append(append([]string{}, base...), "--data", file), more...)...).Estimates
	}
	want := run(data)
	require.Equal(t, want, run(turned, "--workers", "3"))
	for _, more := range [][]string{
		{"--seed", "2"}, {"--donors", "1"}, {"--method", "y=linear"}, {"--ordered", "group=low:mid:top"}, {"--by", "arm"}, {"--level", "0.5"},
	} {
		require.NotEqual(t, want, run(data, more...), "%v", more)
	}
	require.NotEqual(t, want, fitted(t, "impute", "--id", "id", "--columns", "x,y,group,ok", "--m", "4", "--iterations", "3", "--data", data).Estimates)
	require.NotEqual(t, want, fitted(t, "impute", "--id", "id", "--columns", "x,y,group,ok", "--m", "3", "--iterations", "4", "--data", data).Estimates)
	code, out, errOut := runFit(t, append(base, "--data", data)...)
	require.Zero(t, code, errOut)
	require.NotContains(t, out, "NaN")
}

func TestFitImputeUsage(t *testing.T) {
	data := writeTestFile(t, "d.csv", imputable(same))
	for _, x := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{}, exitUsage, "--columns is needed"},
		{[]string{"--columns", "x,y", "--m", "1"}, exitUsage, "--m 1"},
		{[]string{"--columns", "x,y", "--iterations", "0"}, exitUsage, "--iterations"},
		{[]string{"--columns", "x,y", "--donors", "0"}, exitUsage, "--donors"},
		{[]string{"--columns", "x,y", "--out", "a.csv"}, exitUsage, "%d once"},
		{[]string{"--columns", "x,y", "--out", "%s-%d.csv"}, exitUsage, "%d once"},
		{[]string{"--columns", "x,y", "--method", "z=pmm"}, exitUsage, `"z" is not among`},
		{[]string{"--columns", "x,y", "--method", "y=magic"}, exitUsage, "magic"},
		{[]string{"--columns", "x,y", "--method", "y"}, exitUsage, "COLUMN=VALUE"},
		{[]string{"--columns", "x,y", "--method", "y=pmm,y=linear"}, exitUsage, "twice"},
		{[]string{"--columns", "x,y", "--method", "y=logit"}, exitUsage, "cannot impute"},
		{[]string{"--columns", "x,y", "--method", "x=pmm"}, exitUsage, "lacks no value"},
		{[]string{"--columns", "x,ok", "--donors", "3"}, exitUsage, "donors"},
		{[]string{"--columns", "x,group", "--ordered", "group=low"}, exitUsage, "two levels"},
		{[]string{"--columns", "x,group", "--ordered", "group=low:mid"}, exitInput, "does not name"},
		{[]string{"--columns", "x,arm"}, exitInput, "nothing to impute"},
		{[]string{"--columns", "x,y", "--by", "y"}, exitUsage, `"y" is named by`},
		{[]string{"--columns", "x,nope"}, exitInput, "nope"},
	} {
		code, out, errOut := runFit(t, append([]string{"impute", "--data", data, "--id", "id"}, x.args...)...)
		require.Equal(t, x.code, code, "%v: %s", x.args, errOut)
		require.Contains(t, errOut, x.says)
		require.Empty(t, out)
	}
}

// As TestManskiByHand and TestLeeByHand in estimate/missing.
func TestFitBounds(t *testing.T) {
	data := writeTestFile(t, "d.csv", "id,t,y,w,c\na,1,1,1,1\nb,1,0,1,2\nc,1,1,1,3\nd,1,,1,4\ne,0,0,1,5\nf,0,1,1,6\ng,0,,1,7\nh,0,,1,8\n")
	r := fitted(t, "bounds", "--data", data, "--id", "id", "--kind", "manski", "--treatment", "t", "--outcome", "y")
	require.InDelta(t, -.25, *r.get(t, "lower", "risk-difference").Estimate, 1e-14)
	upper := r.get(t, "upper", "risk-difference")
	require.InDelta(t, .5, *upper.Estimate, 1e-14)
	require.InDelta(t, math.Sqrt(1./8), *upper.StdError, 1e-14)
	require.Equal(t, "imbens-manski", *upper.ConfMethod)
	require.Nil(t, upper.PValue)
	require.Equal(t, map[string]int{"units": 8, "treated": 4}, r.N)
	require.Contains(t, r.codes(), "bounds-missing")
	require.NotContains(t, r.codes(), "rows-dropped")
	base := []string{"bounds", "--data", data, "--id", "id", "--treatment", "t", "--outcome", "y"}
	wide := fitted(t, append(base, "--kind", "manski", "--range", "-1,2")...)
	require.InDelta(t, 2.25, *wide.Estimates[1].Estimate-*wide.Estimates[0].Estimate, 1e-13)
	clustered := fitted(t, append(base, "--kind", "manski", "--cluster", "t")...)
	require.InDelta(t, 0, *clustered.Estimates[0].StdError, 1e-12)

	var b strings.Builder
	b.WriteString("id,t,y,sex,w\n")
	for i, y := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "", "", "1", "1", "2", "2", "3", "3", "", "", "", ""} {
		d := 1
		if i >= 10 {
			d = 0
		}
		fmt.Fprintf(&b, "%d,%d,%s,%d,%d\n", i, d, y, i%2, 1+i%3)
	}
	lee := writeTestFile(t, "lee.csv", b.String())
	base = []string{"bounds", "--data", lee, "--id", "id", "--kind", "lee", "--treatment", "t", "--outcome", "y"}
	r = fitted(t, base...)
	require.InDelta(t, 1.5, *r.Estimates[0].Estimate, 1e-13)
	require.InDelta(t, 3.5, *r.Estimates[1].Estimate, 1e-13)
	var arm string
	r.detail(t, "trimmed_arm", &arm)
	require.Equal(t, "treated", arm)
	require.NotEqual(t, r.Estimates, fitted(t, append(base, "--cells", "sex")...).Estimates)
	require.NotEqual(t, r.Estimates, fitted(t, append(base, "--weights", "w")...).Estimates)

	for _, x := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--kind", "manski"}, exitUsage, "needs --range"},
		{[]string{"--kind", "manski", "--range", "3,2"}, exitUsage, "lower one first"},
		{[]string{"--kind", "manski", "--range", "a,2"}, exitUsage, "not a number"},
		{[]string{"--kind", "manski", "--range", "2,4"}, exitInput, "outside the range"},
		{[]string{"--kind", "manski", "--range", "0,9", "--cells", "sex"}, exitUsage, "does not use --cells"},
		{[]string{"--kind", "lee", "--range", "0,9"}, exitUsage, "does not use --range"},
		{[]string{"--kind", "lee", "--weights", "w", "--weight-kind", "frequency"}, exitUsage, "frequency"},
		{[]string{"--kind", "best"}, exitUsage, "best"},
		{[]string{"--kind", "lee", "--cells", "id"}, exitUsage, "id"},
	} {
		code, out, errOut := runFit(t, append([]string{"bounds", "--data", lee, "--id", "id", "--treatment", "t", "--outcome", "y"}, x.args...)...)
		require.Equal(t, x.code, code, "%v: %s", x.args, errOut)
		require.Contains(t, errOut, x.says)
		require.Empty(t, out)
	}
}
