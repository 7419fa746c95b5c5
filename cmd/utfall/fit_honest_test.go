package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func honestFiles(t *testing.T) (betas, covariance string) {
	return writeTestFile(t, "b.csv", "term,estimate\nevent=-3,1\nevent=-2,10\nevent=0,100\nevent=1,120\n"),
		writeTestFile(t, "c.csv", "event=-3,event=-2,event=0,event=1\n1,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,0,4\n")
}

// By hand as in estimate/panel: with M = 0 and unit variances v = (0.4, 0.2, 1).
func TestFitHonest(t *testing.T) {
	betas, covariance := honestFiles(t)
	args := func(more ...string) []string {
		return append([]string{"honest-did", "--betas", betas, "--covariance", covariance, "--pre", "2"}, more...)
	}
	a := fitted(t, args("--type", "smoothness", "--m", "0,1.5")...)
	e := a.get(t, "M=0", "mean-difference")
	require.InDelta(t, 102.4, *e.Estimate, 1e-9)
	require.InDelta(t, 1.0954451, *e.StdError, 1e-6)
	require.Equal(t, "fixed-length", *e.ConfMethod)
	require.Greater(t, *a.get(t, "M=1.5", "").ConfHigh, *e.ConfHigh)
	var breakdown float64
	a.detail(t, "breakdown", &breakdown)
	require.Greater(t, breakdown, 90.0)
	var original map[string]float64
	a.detail(t, "original", &original)
	require.InDelta(t, 100-1.959964, original["conf_low"], 1e-6)

	a = fitted(t, args("--type", "relative", "--m", "0.5,1")...)
	e = a.get(t, "M=1", "")
	require.Nil(t, e.Estimate)
	require.Less(t, *e.ConfLow, 100-9.0)
	require.Contains(t, a.codes(), "interval-only")

	second := fitted(t, args("--type", "smoothness", "--m", "0", "--target", "1")...).get(t, "M=0", "")
	byTerm := fitted(t, args("--type", "smoothness", "--m", "0", "--target", "event=1")...).get(t, "M=0", "")
	byWeight := fitted(t, args("--type", "smoothness", "--m", "0", "--weights", "0,1")...).get(t, "M=0", "")
	require.Equal(t, second, byTerm)
	require.Equal(t, second, byWeight)
	require.NotEqual(t, *second.Estimate, 102.4)
	one := fitted(t, args("--type", "relative", "--m", "1", "--workers", "1", "--seed", "3")...).get(t, "M=1", "")
	require.NotEqual(t, *one.ConfHigh, *e.ConfHigh)
	length := func(more ...string) float64 {
		e := fitted(t, args(append([]string{"--type", "smoothness", "--m", "1.5"}, more...)...)...).get(t, "M=1.5", "")
		return *e.ConfHigh - *e.ConfLow
	}
	require.Greater(t, length("--level", "0.99"), length())

	// A covariance in another order, with names of columns and rows; the same without names.
	want := second
	covariance = writeTestFile(t, "c2.csv", "term,event=1,event=0,event=-3,event=-2\nevent=0,0,1,0,0\nevent=1,4,0,0,0\nevent=-2,0,0,0,1\nevent=-3,0,0,1,0\n")
	require.Equal(t, want, fitted(t, args("--type", "smoothness", "--m", "0", "--target", "1")...).get(t, "M=0", ""))
	covariance = writeTestFile(t, "c3.csv", "a,b,c,d\n1,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,0,4\n")
	require.Equal(t, want, fitted(t, args("--type", "smoothness", "--m", "0", "--target", "1")...).get(t, "M=0", ""))
}

func TestFitHonestBadInput(t *testing.T) {
	betas, covariance := honestFiles(t)
	run := func(more ...string) (int, string) {
		code, out, errOut := runFit(t, append([]string{"honest-did", "--betas", betas, "--covariance", covariance}, more...)...)
		require.Empty(t, out)
		return code, errOut
	}
	code, errOut := run("--type", "sd", "--m", "-1,x,1,1", "--target", "0", "--weights", "1,2", "--data", "x.csv", "--seed", "1")
	require.Equal(t, exitUsage, code)
	for _, s := range []string{`--type "sd" is not one of`, "-1 is below 0", `"x" is not a number`, "--m names 1 twice", "exclude each other", "does not use --data", "--pre is needed", "--seed is for"} {
		require.Contains(t, errOut, s)
	}
	for _, c := range [][2]string{
		{"--pre 4 --type smoothness --m 1", "leaves no estimate after treatment"},
		{"--pre 1 --type smoothness --m 1", "one period apart"},
		{"--pre 2 --type smoothness --m 1 --target 5", "is not one of the 2 periods"},
		{"--pre 2 --type smoothness --m 1 --weights 1", "1 numbers for 2 periods"},
	} {
		code, errOut = run(strings.Fields(c[0])...)
		require.Equal(t, exitUsage, code, c[0])
		require.Contains(t, errOut, c[1])
	}
	covariance = writeTestFile(t, "n.csv", "a,b,c,d\n1,0,0,0\n0,1,0,0\n0,0,1,0.5\n0,0,0,4\n")
	code, errOut = run(strings.Fields("--pre 2 --type smoothness --m 1")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "n.csv: the covariance is not symmetric: row 3, column 4")
	covariance = writeTestFile(t, "s.csv", "a,b\n1,0\n0,1\n")
	code, errOut = run(strings.Fields("--pre 2 --type smoothness --m 1")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "4 × 4 is needed")
	covariance = writeTestFile(t, "z.csv", "a,b,c,d\n1,0,0,0\n0,0,0,0\n0,0,1,0\n0,0,0,4\n")
	code, errOut = run(strings.Fields("--pre 2 --type smoothness --m 1")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "not positive definite")
}

// The help of a method does not offer what the method refuses.
func TestFitHonestHelpOffersItsOwnFlags(t *testing.T) {
	code, out, _ := runFit(t, "honest-did", "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "--betas")
	for _, flag := range []string{"--data", "--id", "--where", "--categorical"} {
		require.NotContains(t, out, flag+" ")
	}
	_, out, _ = runFit(t, "did", "--help")
	require.Contains(t, out, "--data")
}
