package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// A: events at 1 and 2, one censored at 4; B: an event at 2, two censored at 3. To 3 the means
// are 2 and 8/3 (derivation in the tests of package survive).
func TestFitRMST(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e,arm,w,c\n1,1,A,1,p\n2,1,A,1,q\n4,0,A,1,r\n2,1,B,1,p\n3,0,B,1,q\n3,0,B,2,r\n")
	base := []string{"rmst", "--data", path, "--time", "time", "--event", "e"}
	a := fitted(t, append(base, "--by", "arm", "--tau", "3")...)
	require.Len(t, a.Estimates, 5)
	requireNear(t, 2, a.get(t, "group=A", "restricted-mean-time").Estimate, "A")
	requireNear(t, math.Sqrt(2.0/27), a.get(t, "group=B", "restricted-mean-time").StdError, "se of B")
	requireNear(t, 2.0/3, a.get(t, "contrast=B-A", "restricted-mean-time-difference").Estimate, "difference")
	requireNear(t, 4.0/3, a.get(t, "contrast=B/A", "restricted-mean-time-ratio").Estimate, "ratio")
	lost := a.get(t, "contrast=B/A", "time-lost-ratio")
	requireNear(t, 1.0/3, lost.Estimate, "ratio of time lost")
	require.Equal(t, "log", *lost.ConfMethod)
	def := fitted(t, append(base, "--by", "arm")...)
	require.Contains(t, def.codes(), "tau-default")
	require.Equal(t, a.Estimates, def.Estimates)
	one := fitted(t, base...)
	require.Len(t, one.Estimates, 1)
	require.Equal(t, "overall", one.Estimates[0].Term)
	// Two of weight 2 among four in B: S = 3/4 from 2.
	requireNear(t, 2.75, fitted(t, append(base, "--by", "arm", "--tau", "3", "--weights", "w")...).get(t, "group=B", "").Estimate, "weighted")
	c := fitted(t, append(base, "--by", "arm", "--tau", "3", "--cluster", "c")...)
	require.Equal(t, 3, c.N["clusters"])
	require.NotEqual(t, *a.get(t, "contrast=B-A", "").StdError, *c.get(t, "contrast=B-A", "").StdError)
	code, _, _ := runFit(t, append(base, "--tau", "-3")...)
	require.Equal(t, exitUsage, code)
	code, _, errOut := runFit(t, append(base, "--by", "arm", "--tau", "9")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "choose tau of at most")
}
