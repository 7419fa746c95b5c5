package study

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Balance within the levels of a column: levels with few people have no name and no number.
func TestBalanceWithinStrata(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	text := strings.Replace(designStudy("propensity: {covariates: [x, z]}; balance_by: [g]; match: {ratio: 1}"), "min_count: 3", "min_count: 10", 1)
	run := func(text string) string {
		spec, err := Parse("study.yaml", strings.NewReader(text))
		require.NoError(t, err)
		out := filepath.Join(t.TempDir(), "bundle")
		_, err = Run(t.Context(), spec, Options{DataDir: dir, OutDir: out, Workers: 2})
		require.NoError(t, err)
		v, err := Verify(t.Context(), out, dir, Options{})
		require.NoError(t, err)
		require.NoError(t, v.Err())
		b, err := os.ReadFile(filepath.Join(out, strataCSV))
		require.NoError(t, err)
		return string(b)
	}
	lines := strings.Split(strings.TrimSpace(run(text)), "\n")
	require.Len(t, lines, 3)
	require.True(t, strings.HasPrefix(lines[1], "all,g,a,2,0."), lines[1])
	require.True(t, strings.HasPrefix(lines[2], "all,g,b,2,0."), lines[2])
	few := run(strings.Replace(text, "min_count: 10", "min_count: 70", 1))
	require.Equal(t, 2, strings.Count(few, "all,g,..,..,..,..,..,..,.."), few)
	for _, bad := range []string{"propensity: {covariates: [x, z]}; balance_by: [y]; match: {ratio: 1}", "propensity: {covariates: [x, z]}; balance_by: [nobody]; match: {ratio: 1}", "balance_by: [g]"} {
		spec, err := Parse("study.yaml", strings.NewReader(designStudy(bad)))
		if err == nil {
			_, err = Run(t.Context(), spec, Options{DataDir: dir, OutDir: filepath.Join(t.TempDir(), "b")})
		}
		require.ErrorIs(t, err, ErrSpec, bad)
	}
}
