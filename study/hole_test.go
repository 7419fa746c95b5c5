package study

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A month that no spell covers ends what is seen of a person, in every question alike: what comes after it is not counted, and nothing fails.
func TestAHoleInAHistoryEndsIt(t *testing.T) {
	months := func(paths ...handPath) []int8 {
		s := byHand(t, paths...)
		m, err := s.monthsOf(s.cohorts["c"])
		require.NoError(t, err)
		return m.Code
	}
	whole, other := handPath{true, 20, "aabww", 0}, handPath{false, 20, "aaabb", 0}
	ended := months(whole, other, handPath{true, 5, "aa...", 0})
	require.Equal(t, ended, months(whole, other, handPath{true, 5, "aa.ww", 0}))
	require.NotEqual(t, ended, months(whole, other, handPath{true, 5, "aabww", 0}))

	// A register of which some spells cannot be read has such months.
	dir := copied(t, progressData(t))
	edit(t, dir, "spells.csv", func(s string) string {
		lines := strings.SplitAfter(s, "\n")
		for i := 5; i < len(lines)-1; i += 90 {
			f := strings.Split(lines[i], ";")
			f[3], f[4] = f[4], f[3] // ends before it starts
			lines[i] = strings.Join(f, ";")
		}
		return strings.Join(lines, "")
	})
	for what, text := range map[string]string{"headlines": monthsOnly(t), "changes": underStudy(t, underChanges)} {
		s := opened(t, dir, text)
		b := s.cohorts["deltagare"]
		holes := 0
		for i := range b.treated {
			seen := slices.Index(pathOf(b, i), -1)
			if seen >= 0 && slices.ContainsFunc(pathOf(b, i)[seen:], func(c int8) bool { return c >= 0 }) {
				holes++
			}
		}
		require.Positive(t, holes, what)
		require.NoError(t, s.estimate(), what)
	}
}

// pathOf are the months of a unit from time zero on.
func pathOf(b *built, unit int) []int8 {
	out := make([]int8, b.paths.After)
	for m := range out {
		out[m] = b.paths.At(unit, m)
	}
	return out
}
