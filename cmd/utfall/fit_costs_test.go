package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// costsTable is a pattern of 24 people in 12 sets.
func costsTable() string {
	var b strings.Builder
	b.WriteString("id,t,state,region,eff,w,set\n")
	for i := range 24 {
		t := i % 2
		fmt.Fprintf(&b, "p%02d,%d,%d,%d,%d,%d,%d\n", i, t, (7*i)%11+3*t, (5*i)%7-t, (3*i)%5+2*t, 1+i%3, i/2)
	}
	return b.String()
}

// Numbers of R 4.2: weighted least squares on the arm, its influence summed by set (factor 12/11), Fieller's limits by uniroot.
func TestFitCostsAgainstR(t *testing.T) {
	path := writeTestFile(t, "d.csv", costsTable())
	args := []string{"costs", "--data", path, "--id", "id", "--treatment", "t", "--costs", "state,region", "--effect", "eff", "--willingness", "3"}
	for _, c := range []struct {
		more                                                []string
		cost, costSE, effect, effectSE, correlation         float64
		ratio, low, high, benefit, benefitSE, acceptability float64
	}{
		{nil, 2.33333333333334, 1.31937134300421, 2.5, 0.580349511549338, 0.199527848033352, 0.933333333333, -0.112445121308, 2.22957917906, 5.16666666667, 1.96349791802, 0.99574778462},
		{[]string{"--weights", "w", "--cluster", "set"}, 2.16666666666666, 1.53546904677453, 2.5, 0.791217974921187, 0.158621949931679, 0.866666666667, -0.400490500593, 2.83284750453, 5.33333333333, 2.61450724768, 0.979319856594},
	} {
		a := fitted(t, append(args, c.more...)...)
		near := func(want float64, got *float64, what string) {
			t.Helper()
			require.NotNil(t, got, what)
			require.InEpsilon(t, want, *got, 1e-11, what)
		}
		total, ratio := a.get(t, "total", ""), a.get(t, "ratio", "")
		near(c.cost, total.Estimate, "total")
		near(c.costSE, total.StdError, "its error")
		near(c.effect, a.get(t, "effect", "").Estimate, "effect")
		near(c.effectSE, a.get(t, "effect", "").StdError, "its error")
		near(c.ratio, ratio.Estimate, "ratio")
		near(c.low, ratio.ConfLow, "low")
		near(c.high, ratio.ConfHigh, "high")
		require.Nil(t, ratio.StdError)
		b := a.get(t, "willingness=3", "incremental-net-benefit")
		near(c.benefit, b.Estimate, "benefit")
		near(c.benefitSE, b.StdError, "its error")
		near(c.acceptability, a.get(t, "willingness=3", "acceptability").Estimate, "acceptability")
		var r float64
		a.detail(t, "correlation", &r)
		require.InEpsilon(t, c.correlation, r, 1e-11)
		var words string
		a.detail(t, "words", &words)
		require.Equal(t, "either", words)
		require.Equal(t, *total.Estimate, *a.get(t, "payer=state", "").Estimate+*a.get(t, "payer=region", "").Estimate, "payers make the total")
	}
	// One payer is the total; no effect, no ratio.
	a := fitted(t, "costs", "--data", path, "--treatment", "t", "--costs", "state")
	require.Len(t, a.Estimates, 3)
	drawn := fitted(t, "costs", "--data", path, "--id", "id", "--treatment", "t", "--costs", "state", "--errors", "bootstrap", "--replicates", "199", "--seed", "3")
	require.Equal(t, "bootstrap-t", *drawn.get(t, "total", "").ConfMethod)
	require.NotEqual(t, *drawn.get(t, "total", "").ConfLow, *fitted(t, "costs", "--data", path, "--id", "id", "--treatment", "t", "--costs", "state", "--errors", "bootstrap", "--replicates", "199", "--seed", "4").get(t, "total", "").ConfLow)
	// An effect that cannot be told from 0 has no interval of its price.
	open := fitted(t, "costs", "--data", path, "--treatment", "t", "--costs", "state", "--effect", "region")
	require.Nil(t, open.get(t, "ratio", "").ConfLow)
	require.Contains(t, open.codes(), "no-ratio-interval")
	require.Contains(t, open.codes(), "ratio-of-loss")
}

func TestFitCostsBad(t *testing.T) {
	path := writeTestFile(t, "d.csv", costsTable())
	base := []string{"costs", "--data", path, "--treatment", "t"}
	for _, c := range []struct {
		code int
		args []string
		says []string
	}{
		{exitUsage, nil, []string{"--costs is needed"}},
		{exitUsage, []string{"--costs", "state,state", "--willingness", "0,x", "--seed", "3", "--weights", "w", "--weight-kind", "frequency"}, []string{`"state" twice`, `"0" is not a number above 0`, `"x"`, "--effect, which is not given", "--seed is used with --errors bootstrap", "frequency is not used"}},
		{exitUsage, []string{"--costs", "state", "--errors", "delta"}, []string{"delta"}},
		{exitUsage, []string{"--costs", "state", "--errors", "bootstrap", "--replicates", "9"}, []string{"between 99"}},
		{exitUsage, []string{"--costs", "state", "--effect", "eff", "--willingness", "3,3"}, []string{"asked for twice"}},
		{exitInput, []string{"--costs", "id"}, []string{"d.csv", `"id"`}},
		{exitInput, []string{"--costs", "state", "--where", "t == 1"}, []string{"no comparison"}},
		{exitInput, []string{"--costs", "state", "--effect", "w", "--where", "w == 1"}, []string{"no cost per unit"}},
	} {
		code, out, errOut := runFit(t, append(base, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Empty(t, out)
		for _, s := range c.says {
			require.Contains(t, errOut, s)
		}
	}
}
