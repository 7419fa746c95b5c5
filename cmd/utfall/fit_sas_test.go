package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The same table, plain and compressed, 32 and 64 bit, gives the same answer: of the
// 60 observations that testdata/sas.c writes, 24 have no x.
func TestFitSAS(t *testing.T) {
	first := ""
	for _, name := range []string{"sas00", "sas01", "sas10", "sas11"} {
		body, err := os.ReadFile(filepath.Join("..", "..", "ingest", "testdata", name+".sas7bdat"))
		require.NoError(t, err)
		path := writeTestFile(t, "d.sas7bdat", string(body))
		code, out, errOut := runFit(t, "describe", "--data", path, "--columns", "x,id", "--format", "json")
		require.Equal(t, exitOK, code, errOut)
		if first == "" {
			first = out
		}
		require.Equal(t, first, out, name)
		a := fitted(t, "describe", "--data", path, "--columns", "x")
		requireNear(t, 24, a.get(t, "x", "missing").Estimate, "missing")
		requireNear(t, -3.0/7, a.get(t, "x", "min").Estimate, "min")
	}
}
