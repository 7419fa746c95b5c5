package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// As TestRubinByHand in estimate/combine: q̄ 2, T 10/3, df 56.25/17.
func TestFitPool(t *testing.T) {
	a := writeTestFile(t, "a.csv", "term,estimate,std_error,df\nx,1,1,9\nz,1,1,\n")
	b := writeTestFile(t, "b.csv", "term,estimate,std_error,df\nz,2,1,\nx,2,1.4142135623730951,9\n")
	c := writeTestFile(t, "c.csv", "term,estimate,std_error,df\nx,3,1.7320508075688772,9\nz,4,1,\n")
	r := fitted(t, "pool", "--data", a, "--data", b, "--data", c)
	require.Equal(t, 3, r.N["imputations"])
	x := r.get(t, "x", "coefficient")
	require.InDelta(t, 2, *x.Estimate, 1e-14)
	require.InDelta(t, 56.25/17, *x.DF, 1e-13)
	var fmi map[string]float64
	r.detail(t, "fmi", &fmi)
	require.InDelta(t, (2./3+2/(56.25/17+3))*.6, fmi["x"], 1e-13)
	require.Equal(t, "z", r.Estimates[1].Term)
	wide := fitted(t, "pool", "--data", a, "--data", b, "--data", c, "--level", "0.5")
	require.Greater(t, *wide.Estimates[0].ConfLow, *x.ConfLow)
	kept := fitted(t, "pool", "--data", a, "--data", b, "--data", c, "--where", `term == "x"`)
	require.Len(t, kept.Estimates, 1)
}

// The output of a method is its input; several measures of a term stay apart.
func TestFitPoolOfFit(t *testing.T) {
	a := writeTestFile(t, "a.csv", "term,measure,estimate,std_error,df\nx,risk-ratio,1,1,9\nx,mean,1,1,9\n")
	b := writeTestFile(t, "b.csv", "term,measure,estimate,std_error,df\nx,risk-ratio,2,1,9\nx,mean,3,1,9\n")
	r := fitted(t, "pool", "--data", a, "--data", b)
	require.Equal(t, 2., *r.get(t, "x", "mean").Estimate)
	require.Contains(t, r.codes(), "ratios-pooled")
	var fmi map[string]float64
	r.detail(t, "fmi", &fmi)
	require.Contains(t, fmi, "x,mean")
}

func TestFitPoolUsage(t *testing.T) {
	a := writeTestFile(t, "a.csv", "term,estimate,std_error\nx,1,1\n")
	b := writeTestFile(t, "b.csv", "term,estimate,std_error\ny,1,1\n")
	c := writeTestFile(t, "c.csv", "term,estimate,std_error,df\nx,1,-1,-3\n")
	d := writeTestFile(t, "d.csv", "term,estimate\nx,1\n")
	for _, x := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "--data is needed"},
		{[]string{"--data", a}, exitUsage, "at least twice"},
		{[]string{"--data", a, "--data", a}, exitUsage, "twice"},
		{[]string{"--data", a, "--data", b, "--id", "term"}, exitUsage, "does not use --id"},
		{[]string{"--data", a, "--data", b}, exitInput, `no term "x"`},
		{[]string{"--data", a, "--data", c}, exitInput, "below 0"},
		{[]string{"--data", a, "--data", d}, exitInput, "std_error"},
	} {
		code, out, errOut := runFit(t, append([]string{"pool"}, x.args...)...)
		require.Equal(t, x.code, code, "%v: %s", x.args, errOut)
		require.Contains(t, errOut, x.says)
		require.Empty(t, out)
	}
}
