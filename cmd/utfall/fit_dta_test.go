package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Stata file and the CSV file of the same table give the same answer byte for byte:
// only the notes say what was read.
func TestFitDTAEqualsCSV(t *testing.T) {
	for _, args := range [][]string{
		{"ols", "--outcome", "real", "--covariates", "whole,sex", "--id", "id"},
		{"describe"},
	} {
		var out []string
		for _, name := range []string{"dta.csv", "r113.dta", "r115.dta", "r117.dta", "haven118.dta", "r119.dta"} {
			body, err := os.ReadFile(filepath.Join("..", "..", "ingest", "testdata", name))
			require.NoError(t, err)
			path := writeTestFile(t, "d"+filepath.Ext(name), string(body))
			code, got, errOut := runFit(t, append(args, "--data", path, "--format", "json")...)
			require.Equal(t, exitOK, code, errOut)
			head, notes, found := strings.Cut(got, `"notes":`)
			require.True(t, found)
			if strings.HasSuffix(name, ".dta") {
				require.Contains(t, notes, `"labels-used"`)
				require.Contains(t, notes, `"encoding":"`)
			}
			out = append(out, head)
		}
		for _, o := range out[1:] {
			require.Equal(t, out[0], o)
		}
	}
}

func TestFitDTABad(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("..", "..", "ingest", "testdata", "r118.dta"))
	require.NoError(t, err)
	for name, c := range map[string]struct{ body, want string }{
		"cut":    {string(body[:len(body)-300]), "d.dta: the file ends before what it announces"},
		"no dta": {"id,real\na,1\n", "d.dta: this is not a Stata file"},
	} {
		code, out, errOut := runFit(t, "describe", "--data", writeTestFile(t, "d.dta", c.body))
		require.Equal(t, exitInput, code, name)
		require.Empty(t, out, name)
		require.Contains(t, errOut, c.want, name)
	}
}
