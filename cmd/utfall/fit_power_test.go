package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// z = 1.9600 + 0.8416 = 2.80158521: 2·z·√(1/50 + 1/150), as in estimate/effect.
func TestFitPowerWithoutData(t *testing.T) {
	base := []string{"power", "--sd", "2", "--treated", "50", "--control", "150"}
	r := fitted(t, base...)
	require.InDelta(t, 2*2.8015852181*math.Sqrt(1./50+1./150), *r.get(t, "minimum-detectable", "mean-difference").Estimate, 1e-9)
	require.InDelta(t, .8*2*2.8015852181*math.Sqrt(1./50+1./150), *fitted(t, append(base, "--set-correlation", "0.36")...).Estimates[0].Estimate, 1e-9)
	c := fitted(t, append(base, "--cluster-correlation", "0.04", "--cluster-size", "10", "--cluster-cv", "0.5", "--effect", "-1,1")...)
	require.InDelta(t, math.Sqrt(1+11.5*.04)*2*2.8015852181*math.Sqrt(1./50+1./150), *c.Estimates[0].Estimate, 1e-9)
	require.Equal(t, *c.get(t, "effect=1", "power").Estimate, *c.get(t, "effect=-1", "power").Estimate)
	up := fitted(t, "power", "--share", "0.3", "--treated", "100", "--control", "100")
	down := fitted(t, "power", "--share", "0.3", "--treated", "100", "--control", "100", "--lower")
	require.Greater(t, *up.get(t, "minimum-detectable", "risk-difference").Estimate, -*down.Estimates[0].Estimate)
	require.Less(t, *r.Estimates[0].Estimate, *fitted(t, append(base, "--power", "0.9")...).Estimates[0].Estimate)
	require.Less(t, *r.Estimates[0].Estimate, *fitted(t, append(base, "--level", "0.99")...).Estimates[0].Estimate)
}

func TestFitPowerOfACohort(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,t,s,w,c\n")
	for s := range 60 {
		fmt.Fprintf(&b, "a%d,1,%d,1,%d\n", s, s, s/2)
		for j := range 1 + s%2 {
			fmt.Fprintf(&b, "b%d-%d,0,%d,%v,%d\n", s, j, s, 1/float64(1+s%2), s/2)
		}
	}
	data := writeTestFile(t, "c.csv", b.String())
	base := []string{"power", "--data", data, "--id", "id", "--treatment", "t", "--sets", "s", "--weights", "w", "--sd", "3"}
	r := fitted(t, base...)
	// Σa² = (60 + 30 + 60/4)/60² = 105/3600.
	require.InDelta(t, 3*2.8015852181*math.Sqrt(105./3600), *r.Estimates[0].Estimate, 1e-9)
	require.Equal(t, map[string]int{"units": 150, "treated": 60}, r.N)
	s := fitted(t, append(base, "--simulate", "400", "--seed", "3", "--effect", "1.4")...)
	near := *s.get(t, "simulated", "mean-difference").Estimate
	require.InDelta(t, 1, near / *r.Estimates[0].Estimate, .12)
	p := s.get(t, "simulated,effect=1.4", "power")
	require.InDelta(t, math.Sqrt(*p.Estimate*(1-*p.Estimate)/400), *p.StdError, 1e-12)
	require.InDelta(t, *s.get(t, "effect=1.4", "power").Estimate, *p.Estimate, .07)
	require.NotEqual(t, near, *fitted(t, append(base, "--simulate", "400", "--seed", "4")...).get(t, "simulated", "").Estimate)
	require.Equal(t, s.Estimates, fitted(t, append(base, "--simulate", "400", "--seed", "3", "--effect", "1.4", "--workers", "3")...).Estimates)
	for _, more := range [][]string{{"--set-correlation", "0.3"}, {"--cluster", "c", "--cluster-correlation", "0.2"}} {
		require.Less(t, *fitted(t, append(base, more...)...).Estimates[0].Estimate, *r.Estimates[0].Estimate)
	}
	code, out, _ := runFit(t, append(base, "--simulate", "100")...)
	require.Zero(t, code)
	require.NotContains(t, out, "NaN")
}

func TestFitPowerUsage(t *testing.T) {
	data := writeTestFile(t, "c.csv", "id,t,s,w\na,1,1,1\nb,0,1,1\nc,1,2,1\nd,0,2,1\n")
	no := []string{"--treated", "50", "--control", "50"}
	of := []string{"--data", data, "--treatment", "t"}
	for _, x := range []struct {
		args []string
		code int
		says string
	}{
		{no, exitUsage, "--sd"},
		{append(no, "--sd", "1", "--share", "0.2"), exitUsage, "one of them"},
		{[]string{"--sd", "1"}, exitUsage, "--treated is needed"},
		{append(no, "--sd", "1", "--sets", "s"), exitUsage, "does not use --sets"},
		{append(no, "--sd", "1", "--simulate", "200"), exitUsage, "does not use --simulate"},
		{append(no, "--sd", "-1"), exitUsage, "above 0"},
		{append(no, "--sd", "1", "--lower"), exitUsage, "decrease"},
		{append(no, "--sd", "1", "--effect", "0"), exitUsage, "no effect"},
		{append(no, "--sd", "1", "--cluster-size", "4"), exitUsage, "cluster correlation"},
		{[]string{"--treated", "5000", "--control", "5000", "--share", "0.9", "--effect", "0.3"}, exitUsage, "range"},
		{append(of, "--sd", "1", "--treated", "4"), exitUsage, "does not use --treated"},
		{append(of, "--sd", "1", "--seed", "4"), exitUsage, "--simulate"},
		{append(of, "--sd", "1", "--simulate", "4"), exitUsage, "at least 100"},
		{append(of, "--sd", "1", "--set-correlation", "0.2"), exitUsage, "matched sets"},
		{append(of, "--sd", "1", "--weights", "w", "--weight-kind", "frequency"), exitUsage, "frequency"},
		{append(of, "--share", "0.5"), exitInput, "no effect on this share"},
	} {
		code, out, errOut := runFit(t, append([]string{"power"}, x.args...)...)
		require.Equal(t, x.code, code, "%v: %s", x.args, errOut)
		require.Contains(t, errOut, x.says)
		require.Empty(t, out)
	}
}

// A cohort that is too small is the data's fault, not the command line's.
func TestFitPowerOfTooFew(t *testing.T) {
	code, out, errOut := runFit(t, "power", "--data", writeTestFile(t, "d.csv", "t\n1\n0\n0\n"), "--treatment", "t", "--sd", "1")
	require.Equal(t, exitInput, code, errOut)
	require.Contains(t, errOut, "two units in each group")
	require.Empty(t, out)
}
