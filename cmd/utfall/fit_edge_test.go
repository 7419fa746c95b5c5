package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Tiny data at the edge of what can be fitted, found by trying many: an answer or an error that says why, never a panic.
func TestFitAtTheEdgeOfTheData(t *testing.T) {
	scale := writeTestFile(t, "g.csv", "s1,s2,s3,b1\n1,2,3,0\n2,2,1,1\n3,0,1,0\n")
	code, _, errOut := runFit(t, "gpcm", "--data", scale, "--items", "s1,s2,s3", "--treatment", "b1")
	require.Equal(t, exitInput, code, errOut)
	require.Contains(t, errOut, "not identified by these data")
	ratings := writeTestFile(t, "r.csv", "s1,s2\n,1\n3,0\n1,3\n1,2\n1,2\n2,3\n2,1\n1,1\n")
	a := fitted(t, "reliability", "--data", ratings, "--ratings", "s1,s2")
	require.Nil(t, a.get(t, "icc-2-k", "").ConfLow, "Spearman-Brown of the lower end is past its pole")
	require.Contains(t, a.codes(), "icc-open-below")
	panel := writeTestFile(t, "e.csv", "u,t,g,n1,n2\nu0,1,0,1e8,-3\nu0,2,0,0,0\nu1,1,2,-0.47,0.11\nu2,1,2,-0.8,0.06\nu3,1,2,1,0.53\nu3,2,2,1e8,-3\nu4,1,0,0,1e8\nu5,1,0,0,1.7\nu5,2,0,1e8,0.12\nu6,1,0,2.28,0\nu6,2,0,1,1e8\nu7,1,2,1,-0.72\nu7,2,2,-0.61,0\n")
	fitted(t, "event-study", "--data", panel, "--unit", "u", "--time", "t", "--cohort", "g", "--outcome", "n1", "--estimator", "sun-abraham", "--covariates", "n2")
}
