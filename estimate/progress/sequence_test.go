package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// ssff: two states half the time each of six: entropy log 2/log 6; one change; the states passed through are s, f: 4
// subsequences (none, s, f, sf); two spells of 2: variance 0, largest (2 − 1)·1 = 1: turbulence log2(4·2) = 3; complexity
// √(1/3·log 2/log 6). sfs: s, f, s: 7 subsequences; three spells of 1: log2(7).
func TestSequenceDescriptionByHand(t *testing.T) {
	rows, err := DescribeSequences(inMonths("ssff", "sfs", "ssss", "s"))
	require.NoError(t, err)
	h := math.Log(2) / math.Log(6)
	require.Equal(t, 1, rows[0].Transitions)
	require.InDelta(t, h, rows[0].Entropy, 1e-14)
	require.InDelta(t, 4, rows[0].Distinct, 0)
	require.InDelta(t, 3, rows[0].Turbulence, 1e-14)
	require.InDelta(t, math.Sqrt(h/3), rows[0].Complexity, 1e-14)
	require.InDelta(t, 7, rows[1].Distinct, 0)
	require.InDelta(t, math.Log2(7), rows[1].Turbulence, 1e-14)
	// Parked: everything is at its lowest, which is no success.
	require.Zero(t, rows[2].Entropy)
	require.Zero(t, rows[2].Complexity)
	require.InDelta(t, 1, rows[2].Turbulence, 1e-14)
	require.True(t, math.IsNaN(rows[3].Complexity))
	// Up and down score the same: nothing here has a direction.
	both, err := DescribeSequences(inMonths("nnsw", "wsnn"))
	require.NoError(t, err)
	require.Equal(t, both[0], both[1])
	m := inMonths("ss", ".")
	m.Code[2], m.Code[3] = -1, -1
	rows, err = DescribeSequences(m)
	require.NoError(t, err)
	require.True(t, math.IsNaN(rows[1].Entropy))
}

// sfe against fen: shifted by one month: two letters in common, so that 1 is deleted and 1 put in: 2; no month alike: 3.
// ss against ff: 4 by deletions and insertions, or 2 substitutions at 2.
func TestSequenceDistancesByHand(t *testing.T) {
	m := inMonths("sfe", "fen", "sss", "fff")
	d := func(metric SequenceMetric, a, b int) float64 {
		x, err := SequenceDistances(m, metric, []int{a, b}, 1)
		require.NoError(t, err)
		require.Equal(t, x[1], x[2])
		require.Zero(t, x[0])
		return x[1]
	}
	require.Equal(t, 2.0, d(OptimalMatching, 0, 1))
	require.Equal(t, 2.0, d(LongestCommon, 0, 1))
	require.Equal(t, 3.0, d(Hamming, 0, 1))
	require.Equal(t, 6.0, d(OptimalMatching, 2, 3))
	// Rates over everybody: s→f 1 of 3, s→s 2 of 3, f→e 2 of 4, f→f 2 of 4: putting f for s costs 2 − 1/3.
	require.InDelta(t, 5, d(OptimalMatchingRates, 2, 3), 1e-12)
	// By month: s→f 1 of 2 then 0 of 1; month 1 twice the rate of the first step, month 3 twice that of the last.
	require.InDelta(t, (4-1)+(4-.5)+4, d(DynamicHamming, 2, 3), 1e-12)
	_, err := SequenceDistances(m, "euclid", []int{0}, 1)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = SequenceDistances(m, Hamming, []int{7}, 1)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = SequenceDistances(inMonths("ss", "s"), Hamming, []int{0, 1}, 1)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}

// Four people, 0 within the two groups of two and 1 between: total 4/4 = 1, within 0; moved one over: within groups 1 (a pair at 1, /2)…
func TestDiscrepancyByHand(t *testing.T) {
	unit := []string{"a", "b", "c", "d"}
	d := []float64{0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0}
	r, err := Discrepancies(d, []int{0, 0, 1, 1}, unit, nil, 0, 0, 0)
	require.NoError(t, err)
	require.Equal(t, 1.0, r.Total)
	require.Equal(t, 1.0, r.R2)
	require.True(t, math.IsNaN(r.P))
	// Groups {a, c} and {b, d}: each has one pair at 1 of two: within ½ + ½.
	r, err = Discrepancies(d, []int{0, 1, 0, 1}, unit, nil, 0, 0, 0)
	require.NoError(t, err)
	require.Equal(t, 0.0, r.R2)
	// {a, b, c} and {d}: within (0 + 1 + 1)/3: R² 1/3, F = (1/3)/(2/3/2) = 1.
	r, err = Discrepancies(d, []int{0, 0, 0, 1}, unit, nil, 0, 0, 0)
	require.NoError(t, err)
	require.InDelta(t, 1.0/3, r.R2, 1e-15)
	require.InDelta(t, 1, r.F, 1e-14)
	for _, g := range [][]int{{0, 0, 0}, {0, 0, 2, 2}, {0, 0, -1, 0}} {
		_, err = Discrepancies(d, g, unit, nil, 0, 0, 0)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	}
	_, err = Discrepancies(d, []int{0, 0, 0, 0}, unit, nil, 0, 0, 0)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}

// The permutation test holds its level where groups are by lot, and its value does not hang on rows or workers.
func TestDiscrepancyPermutation(t *testing.T) {
	m := randomMonths(11, 40, 12)
	for i := range m.Code {
		if m.Code[i] < 0 {
			m.Code[i] = 5
		}
	}
	rows := make([]int, 40)
	group := make([]int, 40)
	for i := range rows {
		rows[i], group[i] = i, i%2
	}
	d, err := SequenceDistances(m, OptimalMatching, rows, 0)
	require.NoError(t, err)
	a, err := Discrepancies(d, group, m.Unit, nil, 199, 3, 1)
	require.NoError(t, err)
	b, err := Discrepancies(d, group, m.Unit, nil, 199, 3, 8)
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Greater(t, a.P, .01)
	c, err := Discrepancies(d, group, m.Unit, nil, 199, 4, 8)
	require.NoError(t, err)
	require.NotEqual(t, a.P, c.P)
}

// Two blocks in which nobody differs from the other: labels that are exchanged within them change nothing, so that every draw is as
// large and p = 1. Exchanged over both, 1/3 of the draws are. Blocks of one person each: only the labels as they are.
func TestDiscrepancyExchangesWithinBlocks(t *testing.T) {
	d := []float64{
		0, 0, 4, 4,
		0, 0, 4, 4,
		4, 4, 0, 0,
		4, 4, 0, 0,
	}
	unit, group := []string{"a", "b", "c", "d"}, []int{0, 1, 0, 1}
	within, err := Discrepancies(d, group, unit, []int{5, 5, 2, 2}, 999, 1, 2)
	require.NoError(t, err)
	require.Equal(t, 1.0, within.P)
	// The sets' own courses differ between the groups: within sets half of a pair's labels turn.
	apart, err := Discrepancies(d, []int{0, 0, 1, 1}, unit, nil, 999, 1, 2)
	require.NoError(t, err)
	require.InDelta(t, 1.0/3, apart.P, .05)
	paired, err := Discrepancies(d, []int{0, 0, 1, 1}, unit, []int{0, 1, 0, 1}, 999, 1, 2)
	require.NoError(t, err)
	require.InDelta(t, .5, paired.P, .05)
	alone, err := Discrepancies(d, []int{0, 0, 1, 1}, unit, []int{0, 1, 2, 3}, 99, 1, 2)
	require.NoError(t, err)
	require.Equal(t, 1.0, alone.P)
	_, err = Discrepancies(d, group, unit, []int{0}, 9, 1, 1)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
