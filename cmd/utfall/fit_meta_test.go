package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// As TestMetaByHand in estimate/combine: τ² 7, shrunken effect 3.75.
func TestFitMeta(t *testing.T) {
	path := writeTestFile(t, "m.csv", "place,y,se,v,late\nb,4,1,1,1\na,0,1,1,0\nc,,1,1,0\n")
	base := []string{"meta", "--data", path, "--id", "place", "--effect", "y"}
	a := fitted(t, append(base, "--se", "se")...)
	require.InDelta(t, 7, *a.get(t, "tau2", "variance").Estimate, 1e-12)
	require.InDelta(t, 3.75, *a.get(t, "unit=b", "shrunken-effect").Estimate, 1e-12)
	require.InDelta(t, 2-1.959963984540054*math.Sqrt(11), *a.get(t, "prediction", "").ConfLow, 1e-12)
	require.Contains(t, a.codes(), "rows-dropped")
	require.Equal(t, "unit=b", a.Estimates[len(a.Estimates)-2].Term, "the order of the file")
	require.Equal(t, a.Estimates, fitted(t, append(base, "--variance", "v")...).Estimates)
	require.InDelta(t, 3, *fitted(t, append(base, "--se", "se", "--method", "ml")...).get(t, "tau2", "").Estimate, 1e-12)
	require.Equal(t, 1., *fitted(t, append(base, "--se", "se", "--test", "knapp-hartung")...).get(t, "pooled", "").DF)
	fixed := fitted(t, append(base, "--se", "se", "--method", "fixed", "--level", "0.5")...)
	require.Len(t, fixed.Estimates, 4)
	require.Equal(t, .5, *fixed.Estimates[0].ConfLevel)

	groups := writeTestFile(t, "g.csv", "y,v,g\n0,1,x\n2,1,x\n4,1,y\n10,1,y\n")
	g := fitted(t, "meta", "--data", groups, "--effect", "y", "--variance", "v", "--moderators", "g")
	require.InDelta(t, 6, *g.get(t, "g[y]", "coefficient").Estimate, 1e-12)
	require.InDelta(t, 3.6, *g.get(t, "QM", "").Statistic, 1e-12)
	require.InDelta(t, 9.7, *g.get(t, "unit=4", "").Estimate, 1e-12)
}

func TestFitMetaUsage(t *testing.T) {
	path := writeTestFile(t, "m.csv", "y,se\n4,1\n0,0\n")
	for _, x := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "--effect is needed"},
		{[]string{"--effect", "y"}, exitUsage, "one of --se and --variance"},
		{[]string{"--effect", "y", "--se", "se", "--variance", "se"}, exitUsage, "one of --se and --variance"},
		{[]string{"--effect", "y", "--se", "se", "--method", "hs"}, exitUsage, `"hs" is not one of`},
		{[]string{"--effect", "y", "--se", "se", "--method", "fixed", "--test", "knapp-hartung"}, exitUsage, "random-effects"},
		{[]string{"--effect", "y", "--se", "se"}, exitInput, "m.csv:3"},
		{[]string{"--effect", "y", "--se", "se", "--where", "se > 0"}, exitInput, "1 effects for 1 coefficients"},
	} {
		code, out, errOut := runFit(t, append([]string{"meta", "--data", path}, x.args...)...)
		require.Equal(t, x.code, code, "%v: %s", x.args, errOut)
		require.Contains(t, errOut, x.says)
		require.Empty(t, out)
	}
}
