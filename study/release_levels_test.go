package study

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A level that the study file does not name and that few have is not named in any file
// of the bundle; one that many have is, and so is a declared one.
func TestUndeclaredLevelsAreNotNamed(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("id,t,x,place,unit,y\n")
	for i := range 600 {
		place, unit := []string{"north", "south"}[i/2%2], []string{"one", "two"}[i/4%2]
		if i%200 < 2 {
			place, unit = "Ann Svensson", "rareunit"
		}
		if i%300 == 0 { // in one group only, so that no standardised difference exists and a note says so
			place = "Bo Svensson"
		}
		fmt.Fprintf(&b, "%d,%d,%d,%s,%s,%d\n", i+1, i%2, i*37%101, place, unit, i%7)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "flat.csv"), []byte(b.String()), 0o600))
	spec, err := Parse("study.yaml", strings.NewReader(`utfall: 1
name: names
title: {en: Names}
question: {en: Which names are printed?}
language: en
seed: 1
data:
  flat: {kind: flat, path: flat.csv, key: [id], columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: x, type: number}, {name: place, type: text}, {name: unit, type: category, levels: [one, two, rareunit]}, {name: y, type: number, role: outcome}]}
cohorts:
  - name: all
    base: flat
    id: id
    treatment: t
    propensity: {covariates: [x]}
    match: {method: nearest, replace: true}
    balance: [x, place, unit]
analyses:
  - name: effect
    effect: {cohort: all, outcome: y, method: difference}
`))
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "bundle")
	_, err = Run(t.Context(), spec, Options{DataDir: dir, OutDir: out, Workers: 1})
	require.NoError(t, err)
	balance, err := os.ReadFile(filepath.Join(out, balanceCSV))
	require.NoError(t, err)
	for _, name := range []string{"place[north]", "place[..]", "unit[one]", "unit[rareunit]"} {
		require.Contains(t, string(balance), name)
	}
	require.NoError(t, filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NotContains(t, string(content), "Svensson", path)
		return err
	}))
}
