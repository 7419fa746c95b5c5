package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Notes of fit are in the language of --lang where the catalogue has the code; LANG alone changes no byte.
func TestFitNotesInSwedish(t *testing.T) {
	file := writeTestFile(t, "d.csv", "y,x\n1,1\n2,2\n4,3\n3,\n5,5\n")
	args := []string{"ols", "--data", file, "--outcome", "y", "--covariates", "x"}
	t.Setenv("LANG", "sv_SE.UTF-8")
	_, plain, _ := runFit(t, args...)
	require.NotContains(t, plain, "rad saknar")
	require.Contains(t, plain, "note: ")
	for _, more := range [][]string{{"--lang", "sv"}, {"--lang", "sv", "--format", "json"}} {
		code, out, errOut := runFit(t, append(args, more...)...)
		require.Equal(t, exitOK, code, errOut)
		require.Contains(t, out, "1 rad saknar värde i en kolumn som används och räknades inte med.")
		require.NotContains(t, out, "note: ")
		require.NotContains(t, out+errOut, "rows read")
	}
	_, english, _ := runFit(t, append(args, "--lang", "en")...)
	require.Equal(t, plain, english)
}
