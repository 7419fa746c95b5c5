package synthetic

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A wave is one questionnaire: its month and the mean of the items of each rater.
type wave struct {
	month            int
	self, caseworker float64
}

// waves reads assessments.csv by person; a person's comparison waves come before the
// participant ones.
func waves(t *testing.T, dir string) map[string][]wave {
	t.Helper()
	out := map[string][]wave{}
	list := rows(t, dir, "assessments.csv")
	require.Zero(t, len(list)%len(items), "whole questionnaires only")
	for i := 0; i < len(list); i += len(items) {
		row := list[i]
		require.Equal(t, "15", row[1][8:])
		w := wave{month: monthOf(t, row[1][:8]+"01")}
		for k, item := range items {
			r := list[i+k]
			require.Equal(t, []string{row[0], row[1], instrument, instrumentVer, item.name, item.rater}, []string{r[0], r[1], r[2], r[3], r[4], r[6]})
			x, err := strconv.Atoi(r[5])
			require.NoError(t, err)
			require.True(t, x >= 1 && x <= 5)
			if item.rater == "self" {
				w.self += float64(x) / 4
			} else {
				w.caseworker += float64(x) / 2
			}
		}
		out[row[0]] = append(out[row[0]], w)
	}
	return out
}

// Drop-out is informative, and caseworkers have habits of their own.
func TestAssessments(t *testing.T) {
	dir, _ := register(t)
	o := Options{People: 20_000, Seed: 1}.withDefaults()
	s := newSimulator(o, newGeography(o.Seed))
	all := waves(t, dir)
	var stay, leave, stayN, leaveN, cov, varO, varR, everybody, asked, comparison float64
	for i := range o.People {
		list := all[string(appendPerson(nil, i))]
		s.simulate(i)
		everybody += indicator(!s.p.anonymous && s.fact.first() >= 0)
		if list == nil {
			continue
		}
		require.False(t, s.p.anonymous)
		first := s.fact.first()
		if first < 0 {
			comparison++
		}
		var mine []wave
		for _, w := range list {
			if first >= 0 && w.month >= first {
				require.Zero(t, (w.month-first)%assessEvery)
				require.LessOrEqual(t, w.month, first+assessMonths)
				mine = append(mine, w)
			} else {
				require.Equal(t, w.month >= window, true)
			}
			require.Less(t, w.month, s.p.end)
		}
		if len(mine) > 0 {
			asked++
			require.Equal(t, first, mine[0].month, "who is asked fills in the first questionnaire")
		}
		if len(mine) > 0 && first+assessMonths < s.p.end {
			if len(mine) == 9 {
				stay, stayN = stay+mine[0].self, stayN+1
			} else {
				leave, leaveN = leave+mine[0].self, leaveN+1
			}
		}
		habit, ratio := s.optimismOf(), list[0].caseworker-list[0].self
		cov, varO, varR = cov+habit*ratio, varO+habit*habit, varR+ratio*ratio
	}
	require.Greater(t, stay/stayN-leave/leaveN, 0.08, "those who drop out were worse off at the start")
	require.True(t, leaveN > stayN/2 && stayN > leaveN/4, "%g stay, %g leave", stayN, leaveN)
	require.Greater(t, cov/math.Sqrt(varO*varR), 0.05, "caseworkers differ")
	require.InDelta(t, participantShare, asked/everybody, 0.04)
	require.Greater(t, comparison, asked/4)
}

// Readiness moves the answers after the start, and only then: the same people with
// the same numbers, with and without it.
func TestReadinessMovesAnswers(t *testing.T) {
	with, _ := write(t, Options{People: 6000, Seed: 6, Scenario: "surrogacy-failure"})
	without, _ := write(t, Options{People: 6000, Seed: 6, Scenario: "null"})
	a, b := waves(t, with), waves(t, without)
	first := map[string]int{}
	for _, row := range rows(t, with, "participations.csv") {
		if _, ok := first[row[0]]; !ok {
			first[row[0]] = monthOf(t, row[3])
		}
	}
	var up, n float64
	for id, list := range a {
		other := map[int]wave{}
		for _, w := range b[id] {
			other[w.month] = w
		}
		start, participant := first[id]
		for _, w := range list {
			v, ok := other[w.month]
			if !participant || w.month <= start {
				require.True(t, ok)
				require.Equal(t, v, w)
			} else if ok && w.month == start+9 {
				up, n = up+w.self-v.self, n+1
			}
		}
	}
	require.Greater(t, n, 100.0)
	require.Greater(t, up/n, 0.15)
}
