package study

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate/survive"
	"utfall/study/release"
	"utfall/table"
)

// Six comparison people start in a. At month 1 two of the four who are observed then move to b: the
// two who are last seen in month 0 say nothing of that, so half are in b from month 1 on.
// Followed to month 1 they would count as people who stayed: 2 of 6.
func TestWhoIsNotObservedIsNotAtRisk(t *testing.T) {
	p := &cohort.Paths{States: []string{"a", "b"}, Before: 1, After: 3, Code: []int8{
		0, 0, 1, 1,
		0, 0, 1, 1,
		0, 0, 0, 0,
		0, 0, 0, 0,
		0, 0, -1, -1,
		0, 0, -1, -1,
		0, 0, 0, 0, // the only treated one
	}}
	units, err := table.New(table.NewText(table.Field{Name: cohort.UnitColumn}, []string{"1", "2", "3", "4", "5", "6", "7"}, nil))
	require.NoError(t, err)
	s := &state{spec: &Spec{Level: 0.95}}
	sp, err := s.cohortSpells(&built{table: units, paths: p, treated: []bool{6: true}}, &States{})
	require.NoError(t, err)
	occ, err := survive.Occupy(sp, 2)
	require.NoError(t, err)
	require.Equal(t, []float64{1, 0}, occ[0].At(0))
	require.InDeltaSlice(t, []float64{0.5, 0.5}, occ[0].At(1), 1e-15)
	require.InDeltaSlice(t, []float64{0.5, 0.5}, occ[0].At(2), 1e-15)
}

// With replacement: participant 0 (person p) chose rows 2 and 3, participant 1 chose row 3
// and row 4, which is person q's own earlier time. The set of participant 1 goes; row 2 and
// row 3 share participant 0's weight, times 2 comparison units over 1 set.
func TestSetsThatHoldAPersonTwiceGo(t *testing.T) {
	m := &cohort.Matched{Replaced: true, Pairs: [][2]int{{0, 2}, {0, 3}, {1, 3}, {1, 4}}, Weight: []float64{1, 1, 0.75, 1.5, 0.75}}
	pairs, gone := withoutSelf(m, []string{"p", "q", "r", "s", "q"})
	require.Equal(t, 1, gone)
	require.Equal(t, [][2]int{{0, 2}, {0, 3}}, pairs)
	require.Equal(t, []float64{1, 0, 1, 1, 0}, weightsOf(m, pairs))
	// Nothing to leave out: the weights are those of the matching.
	all, gone := withoutSelf(m, []string{"p", "q", "r", "s", "t"})
	require.Zero(t, gone)
	require.Equal(t, m.Weight, weightsOf(m, all))
}

// Of 40 comparison people 2 emigrate and 15 find work, of participants 12 do each. The months of the 2, and what takes them back
// out of the sum of months, are withheld; so are differences. With 12 of each nothing is.
func TestMonthsOfFewInAStateAreWithheld(t *testing.T) {
	ask := func(emigrants int) map[string]bool {
		s := byHand(t, handPath{true, 16, "ssssss", 0}, handPath{true, 12, "ssswww", 0}, handPath{true, 12, "sseeee", 0},
			handPath{false, 25 - emigrants, "ssssss", 0}, handPath{false, 15, "ssswww", 0}, handPath{false, emigrants, "sseeee", 0})
		r, err := s.states(&Analysis{Name: "s", States: &States{Cohort: "c", Tau: 5, At: []float64{4}}})
		require.NoError(t, err)
		shown := map[string]bool{}
		for _, n := range r.numbers {
			out, _ := release.Policy{}.Estimate("s", n.e, n.basis)
			shown[n.term] = out.Shown
		}
		return shown
	}
	shown := ask(2)
	for _, time := range []string{"", "time=4,"} {
		for state, want := range map[string]bool{"e": false, "w": false, "s": true} {
			require.Equal(t, want, shown[time+"state="+state+",group=control"], time+state)
			require.Equal(t, want, shown[time+"state="+state+",contrast=treated-control"], time+state)
			require.True(t, shown[time+"state="+state+",group=treated"], time+state)
		}
	}
	for term, yes := range ask(12) {
		require.True(t, yes, term)
	}
}
