package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/sensitivity"
)

// Of RR 2 the E-value is 2 + √2, and no file is read.
func TestFitEValue(t *testing.T) {
	a := fitted(t, "sensitivity", "--kind", "evalue", "--measure", "rr", "--estimate", "2", "--conf-low", "1.5", "--conf-high", "4", "--level", "0.9")
	require.InDelta(t, 2+math.Sqrt2, *a.get(t, "point", "e-value").Estimate, 1e-14)
	require.InDelta(t, (3+math.Sqrt(3))/2, *a.get(t, "interval", "e-value").Estimate, 1e-14)
	require.Equal(t, .9, *a.get(t, "rr", "risk-ratio").ConfLevel)
	rare := fitted(t, "sensitivity", "--kind", "evalue", "--measure", "or", "--estimate", "4", "--rare")
	common := fitted(t, "sensitivity", "--kind", "evalue", "--measure", "or", "--estimate", "4")
	require.Equal(t, 4., *rare.get(t, "rr", "").Estimate)
	require.Equal(t, 2., *common.get(t, "rr", "").Estimate)
	smd := fitted(t, "sensitivity", "--kind", "evalue", "--measure", "smd", "--estimate", "-0.5", "--std-error", "0.1")
	require.InDelta(t, math.Exp(-.455+.178), *smd.get(t, "rr", "").ConfHigh, 1e-14)
	null := fitted(t, "sensitivity", "--kind", "evalue", "--measure", "rr", "--estimate", "4", "--null", "2")
	require.InDelta(t, 2+math.Sqrt2, *null.get(t, "point", "").Estimate, 1e-14)
}

// pairTable has the differences 0, 3, -1, 2 in pairs a to d and a row in no pair.
func pairTable() string {
	var b strings.Builder
	b.WriteString("y,t,set,one\n")
	for i, d := range []int{0, 3, -1, 2} {
		fmt.Fprintf(&b, "1,0,%c,0\n%d,1,%c,%d\n", 'a'+i, 1+d, 'a'+i, i%2)
	}
	return b.String() + "5,1,,1\n"
}

func TestFitRosenbaum(t *testing.T) {
	base := []string{"sensitivity", "--kind", "rosenbaum", "--data", writeTestFile(t, "p.csv", pairTable()), "--treatment", "t", "--outcome", "y", "--sets", "set"}
	a := fitted(t, append(base, "--gamma", "1,2")...)
	require.InDelta(t, math.Erfc(3/math.Sqrt(28)/math.Sqrt2)/2, *a.get(t, "gamma=2", "p-upper").Estimate, 1e-15)
	var rows []sensitivity.SignedRankBound
	a.detail(t, "signed_rank", &rows)
	require.Equal(t, 5., rows[1].W)
	require.Equal(t, 4, a.N["sets"])
	require.Subset(t, a.codes(), []string{"units-in-no-pair", "few-pairs"})
	require.Nil(t, a.get(t, "sensitivity-value", "gamma").Estimate)
	require.Contains(t, a.codes(), "no-estimate")
	less := fitted(t, append(base, "--gamma", "1,2", "--alternative", "less")...)
	require.Greater(t, *less.get(t, "gamma=2", "p-upper").Estimate, .5)
	wide := fitted(t, append(base, "--level", "0.8")...)
	require.NotNil(t, wide.get(t, "sensitivity-value", "gamma").Estimate)
	binary := fitted(t, "sensitivity", "--kind", "rosenbaum", "--data", writeTestFile(t, "p.csv", pairTable()), "--treatment", "t", "--outcome", "one", "--sets", "set")
	require.Equal(t, .25, *binary.get(t, "gamma=1", "p-upper").Estimate) // two of two discordant pairs
}

func TestFitOmittedVariable(t *testing.T) {
	var b strings.Builder
	b.WriteString("y,d,x,g\n")
	for i := range 40 {
		d, x := float64(i*7%11)/10, float64(i*5%13)
		fmt.Fprintf(&b, "%v,%v,%v,%c\n", 2*d+.3*x+float64(i*i%17)/4, d+x/60, x, 'a'+i%3)
	}
	path := writeTestFile(t, "o.csv", b.String())
	base := []string{"sensitivity", "--kind", "omitted-variable", "--data", path, "--outcome", "y", "--treatment", "d", "--covariates", "x,g"}
	a := fitted(t, append(base, "--benchmark", "x,g", "--kd", "1,2")...)
	ols := fitted(t, "ols", "--data", path, "--outcome", "y", "--covariates", "d,x,g")
	require.InDelta(t, *ols.get(t, "d", "").StdError, *a.get(t, "d", "coefficient").StdError, 1e-14)
	require.NotNil(t, a.get(t, "2x g", "coefficient").ConfLow)
	one := *fitted(t, base...).get(t, "rv_q", "").Estimate
	require.Less(t, *fitted(t, append(base, "--q", "0.5")...).get(t, "rv_q", "").Estimate, one)
	loose := *fitted(t, append(base, "--alpha", "0.5")...).get(t, "rv_qa", "").Estimate
	require.Greater(t, loose, *fitted(t, base...).get(t, "rv_qa", "").Estimate)
	require.Equal(t, loose, *fitted(t, append(base, "--level", "0.5")...).get(t, "rv_qa", "").Estimate)
}

func TestFitSensitivityUsage(t *testing.T) {
	path := writeTestFile(t, "p.csv", pairTable())
	for _, c := range []struct {
		args []string
		says []string
	}{
		{nil, []string{"--kind is needed", "--data is needed"}},
		{[]string{"--kind", "nope", "--data", path}, []string{`"nope" is not one of`}},
		{[]string{"--kind", "evalue", "--data", path, "--gamma", "2", "--where", "y > 1"}, []string{"needs --measure", "needs --estimate", "does not use --data", "does not use --where", "does not use --gamma"}},
		{[]string{"--kind", "evalue", "--measure", "rr", "--estimate", "2", "--rare", "--level", "0.9"}, []string{"--level is that of the interval"}},
		{[]string{"--kind", "evalue", "--measure", "rr", "--estimate", "2", "--rare"}, []string{"rare"}},
		{[]string{"--kind", "evalue", "--measure", "rr", "--estimate", "-2"}, []string{"above 0"}},
		{[]string{"--kind", "rosenbaum", "--data", path, "--gamma", "0.5,x", "--q", "2", "--alternative", "both"}, []string{"needs --outcome", "needs --sets", "0.5 is too small", `"x" is not a number`, "does not use --q", "both"}},
		{[]string{"--kind", "omitted-variable", "--data", path, "--outcome", "y", "--treatment", "t", "--covariates", "one", "--benchmark", "z", "--sets", "set", "--q", "-1", "--alpha", "3", "--kd", "0"},
			[]string{`"z" is not among`, "does not use --sets", "--q must", "--alpha must", "0 is too small"}},
	} {
		code, out, errOut := runFit(t, append([]string{"sensitivity"}, c.args...)...)
		require.Equal(t, exitUsage, code, "%v: %s", c.args, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
	triple := writeTestFile(t, "t.csv", "y,t,s\n1,0,1\n2,1,1\n3,0,1\n")
	code, _, errOut := runFit(t, "sensitivity", "--kind", "rosenbaum", "--data", triple, "--treatment", "t", "--outcome", "y", "--sets", "s")
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "more than two units")
}
