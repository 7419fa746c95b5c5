package study

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// Of 100 comparison people in b in month 2, 80 come to work for good; of 100 in a, 20. The index ranks the two halves: area ½(1 + .8 − .2) = .8;
// there is no background, whose area is ½. Those who worked from the start have no distance; participants and those not followed take no part.
func TestDistanceByHand(t *testing.T) {
	s := byHand(t, handPath{false, 80, "abbwwww", 0}, handPath{false, 20, "abbbbbb", 0}, handPath{false, 20, "aaawwww", 0}, handPath{false, 80, "aaaaaaa", 0},
		handPath{false, 30, "wwwwwww", 0}, handPath{false, 10, "abb....", 0}, handPath{true, 50, "abbwwww", 0})
	s.policy = release.Policy{MinCount: 10, RoundTo: 5}
	q := &Distance{Cohort: "c", SelfSupport: []string{"w"}, At: 2, Within: 7, Run: 3, Folds: 4}
	ask := func() analysisResult {
		r, err := s.distance(&Analysis{Name: "d", Distance: q})
		require.NoError(t, err)
		require.Equal(t, "description", r.kind)
		return r
	}
	r := ask()
	value := func(address string) float64 { return numberOf(t, r, address).e.Value }
	n := numberOf(t, r, "part=index,group=control/auc")
	require.InDelta(t, .8, n.e.Value, .03) // the folds' chances of one state differ a little, which unties some pairs
	require.Equal(t, 200, n.basis.Treated)
	require.Equal(t, 100, n.basis.Events.Treated)
	require.Equal(t, "logit", n.e.CI.Method)
	require.Equal(t, "part=gain,group=control", r.numbers[0].term)
	require.InDelta(t, value("part=index,group=control/auc")-value("part=background,group=control/auc"), r.numbers[0].e.Value, 1e-12)
	require.InDelta(t, .2, value("fifth=1,part=observed,group=control/share-of-fifth"), .05)
	require.True(t, slices.ContainsFunc(r.notes, func(n table.Note) bool { return n.Code == "distance-there" && n.Args["people"] == 30 }))
	for _, n := range r.numbers {
		require.NotContains(t, n.term, "year=", "people of one year have no drift")
		require.NotContains(t, n.term, "drift")
	}

	// All fifths or none: the ones in which everybody came, or nobody, give nothing away of others.
	s = byHand(t, handPath{false, 95, "abbwwww", 0}, handPath{false, 5, "abbbbbb", 0}, handPath{false, 20, "aaawwww", 0}, handPath{false, 80, "aaaaaaa", 0})
	r, err := s.distance(&Analysis{Name: "d", Distance: &Distance{Cohort: "c", SelfSupport: []string{"w"}, At: 2, Within: 7, Run: 3, Folds: 4}})
	require.NoError(t, err)
	require.Nil(t, r.numbers[0].not)
	fifths := 0
	for _, n := range r.numbers {
		if n.e.Measure == fifthShare {
			out, _ := release.Policy{}.Estimate("d", n.e, n.basis)
			require.False(t, out.Shown)
			fifths++
		}
	}
	require.Equal(t, 10, fifths)
	// Few with the outcome: no index.
	s = byHand(t, handPath{false, 9, "abbwwww", 0}, handPath{false, 80, "aaaaaaa", 0}, handPath{false, 40, "abbbbbb", 0})
	r, err = s.distance(&Analysis{Name: "d", Distance: &Distance{Cohort: "c", SelfSupport: []string{"w"}, At: 2, Within: 7, Run: 3, Folds: 4}})
	require.NoError(t, err)
	require.NotNil(t, r.numbers[0].not)
	require.Equal(t, progress.AUCDifference, r.numbers[0].e.Measure)
}
