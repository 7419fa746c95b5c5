package study

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A row that an estimator names is a line of the file, also where rows before it were left out for want of a value.
func TestPanelErrorNamesTheLineOfTheFile(t *testing.T) {
	dir := t.TempDir()
	file := "unit,year,first,y,x\n" +
		"a,2001,0,,0\na,2002,0,1,0\na,2003,0,2,0\n" + // line 2 has no outcome
		"b,2001,2002,1,0\nb,2002,2003,2,0\nb,2003,2003,4,0\n" + // b's first year changes in line 6
		"c,2001,2003,1,0\nc,2002,2003,2,0\nc,2003,2003,4,0\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p.csv"), []byte(file), 0o600))
	for name, question := range map[string]string{
		"did":       "did: {data: p, unit: unit, time: year, cohort: first, outcome: y}",
		"spillover": "spillover: {data: p, unit: unit, time: year, cohort: first, outcome: y, exposure: x}",
	} {
		spec, err := Parse("study.yaml", strings.NewReader(`utfall: 1
name: lines
data:
  p: {kind: flat, path: p.csv, columns: [{name: unit, type: text}, {name: year, type: integer}, {name: first, type: integer}, {name: y, type: number}, {name: x, type: number}]}
analyses:
  - {name: n, question: {en: "Q?", sv: "F?"}, outcome_label: {en: Y, sv: Y}, `+question+`}
`))
		require.NoError(t, err, name)
		_, err = Run(context.Background(), spec, Options{DataDir: dir, OutDir: filepath.Join(t.TempDir(), "b"), Lang: "en", Workers: 1})
		require.ErrorIs(t, err, ErrInput, name)
		require.ErrorContains(t, err, "p.csv:6", name)
	}
}
