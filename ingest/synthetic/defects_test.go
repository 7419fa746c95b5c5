package synthetic

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each defect that truth.json counts is in the files that often, and none is in a
// clean register; the truth itself is that of the clean register.
func TestDefectsAreCounted(t *testing.T) {
	o := Options{People: 20_000, Seed: 1, Dirty: true}
	dir, dirty := write(t, o)
	cleanDir, cleanTruth := register(t)
	require.Equal(t, cleanTruth.Participants.Overall.VersusNever.Work24, dirty.Participants.Overall.VersusNever.Work24)
	require.Equal(t, cleanTruth.Counts, dirty.Counts)
	for name, folder := range map[string]string{"dirty": dir, "clean": cleanDir} {
		found := countDefects(t, folder)
		for kind, n := range dirty.Dirty {
			if name == "clean" {
				require.Zero(t, found[kind], kind)
				require.Zero(t, cleanTruth.Dirty[kind], kind)
				continue
			}
			require.Positive(t, n, kind)
			require.Equal(t, n, found[kind], kind)
		}
		require.Len(t, dirty.Dirty, nDefects-1)
	}
	for _, name := range []string{"municipalities.csv", "assessments.csv", "participations.csv", "costs.csv"} {
		a, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(cleanDir, name))
		require.NoError(t, err)
		require.Equal(t, string(b), string(a), name)
	}
}

func countDefects(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	add := func(kind string, yes bool) {
		if yes {
			found[kind]++
		}
	}
	seen := map[string]bool{}
	end := map[string]string{}
	for _, row := range rows(t, dir, "people.csv") {
		add("duplicated-person", seen[row[0]])
		seen[row[0]] = true
		add("age-109", row[1] == "1901")
		add("missing-word", row[4] == "uppgift saknas")
		add("municipality-without-zero", len(row[5]) == 3 && row[6][0] == '0')
		if row[9] == "death" {
			end[row[0]] = row[8]
		}
	}
	started := map[string]bool{}
	for _, row := range rows(t, dir, "participations.csv") {
		if !started[row[0]] {
			started[row[0]] = true
			add("death-before-start", end[row[0]] != "" && end[row[0]] < row[3])
		}
	}
	type interval struct{ person, from, to string }
	intervals := map[interval]bool{}
	for _, row := range rows(t, dir, "spells.csv") {
		add("ragged-row", len(row) == 6)
		add("broken-date", strings.HasSuffix(row[3], "-02-30"))
		if len(row) == 7 {
			add("decimal-point", strings.Contains(row[6], "."))
		}
		k := interval{row[0], row[3], row[4]}
		add("overlapping-spells", intervals[k])
		intervals[k] = true
	}
	return found
}
