package study

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// By hand: 24 bins over 0.13 … 9.97 would be 0.41 wide; the next round width is 0.5, so
// that edges run from 0 to 10 in steps of 0.5.
func TestNiceEdgesByHand(t *testing.T) {
	got := niceEdges(table.Floats{Values: []float64{0.13, 5, 9.97}})
	require.Len(t, got, 21)
	require.Equal(t, []float64{0, 0.5, 1}, got[:3])
	require.Equal(t, 10.0, got[20])
}

// Every value lies within the edges, edges are round, and a column of one value has none.
func TestNiceEdgesHoldEveryValue(t *testing.T) {
	for _, v := range [][]float64{{-6.2, -2.2}, {0, 1}, {1e-9, 2e-9}, {-3e7, 4e7}, {0, 0.1, 0.30000000000000004}, {20, 64}} {
		got := niceEdges(table.Floats{Values: v})
		require.LessOrEqual(t, got[0], v[0])
		require.GreaterOrEqual(t, got[len(got)-1], v[len(v)-1])
		require.Less(t, len(got), 30)
		for k := 1; k < len(got); k++ {
			require.Greater(t, got[k], got[k-1])
		}
	}
	require.Nil(t, niceEdges(table.Floats{Values: []float64{3, 3}}))
	require.Nil(t, niceEdges(table.Floats{Values: []float64{3, math.Inf(1)}, Valid: []bool{true, false}}))
}

// What is drawn of the score rests on enough people in every bin, group and stage, and
// is rounded.
func TestDrawnDistributionsAreReleased(t *testing.T) {
	o := lockOptions(t)
	s, err := newState(t.Context(), lockStudy(t), o)
	require.NoError(t, err)
	require.NoError(t, s.ingest())
	require.NoError(t, s.buildCohorts())
	a, err := s.assemble()
	require.NoError(t, err)
	d := a.scores["all"]
	require.NotNil(t, d)
	require.NotNil(t, a.covariates["all"])
	require.GreaterOrEqual(t, len(d.Edges), 3)
	for _, counts := range [][]float64{d.Before.Treated, d.Before.Control, d.After.Treated, d.After.Control} {
		for _, n := range counts {
			require.GreaterOrEqual(t, n, float64(s.policy.Threshold()))
			require.Zero(t, math.Mod(n, 5), "rounded")
		}
	}
	s.spec.Disclosure.MinCount = 150
	s.policy = s.spec.Disclosure.Policy()
	a, err = s.assemble()
	require.NoError(t, err)
	require.Empty(t, a.scores, "too few people for two bins")
}
