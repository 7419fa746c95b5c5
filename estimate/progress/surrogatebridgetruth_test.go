package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

// The second and third of three older cohorts take the programme's place in turn: each row is the fit of a sample put together by hand, and the
// last their mean by people, with the influence functions of both fits. Who is of the programme has no part.
func TestBridgeTruthsByHand(t *testing.T) {
	s := d5(61, 0, 900, .1, true)
	cohort := make([]int, 900)
	for i := range cohort {
		if cohort[i] = i % 4; cohort[i] == 3 {
			cohort[i] = -1
			s.Y[i] = noOutcome
		}
		s.Cluster = append(s.Cluster, i/2)
	}
	b := OutcomeBridge{Folds: 2, Seed: 3}
	rows, err := b.Truths(t.Context(), s, cohort)
	require.NoError(t, err)
	require.Len(t, rows, 3)
	joint := map[string]float64{}
	cluster := map[string]int{}
	var long, index float64
	for level := 1; level < 3; level++ {
		hand := s.pick(func(i int) int { return i })
		kept := &SurrogateSample{SNames: s.SNames, XNames: s.XNames, Level: s.Level}
		for i := range hand.Unit {
			if cohort[i] >= 0 && cohort[i] <= level {
				kept.Unit, kept.Older, kept.Treated, kept.Y = append(kept.Unit, hand.Unit[i]), append(kept.Older, cohort[i] < level), append(kept.Treated, hand.Treated[i]), append(kept.Y, hand.Y[i])
				kept.Cluster = append(kept.Cluster, i/2)
				cluster[hand.Unit[i]] = i / 2
			}
		}
		kept.S, kept.X = someOf(s.S, cohort, level), someOf(s.X, cohort, level)
		r, err := b.Fit(t.Context(), kept)
		require.NoError(t, err)
		want := r.Details["truth"].([]SurrogateTruth)[0]
		require.Equal(t, "programme", want.Sample)
		require.Equal(t, 225, want.Persons)
		got := rows[level-1]
		require.Equal(t, []string{"", "1", "2"}[level], got.Sample)
		reftest.Agree(t, "difference", got.Difference, want.Difference, 12)
		reftest.Agree(t, "error", got.StdError, want.StdError, 12)
		long, index = long+got.LongTerm/2, index+got.Index/2
		for i, u := range r.InfluenceUnit {
			joint[u] += (r.Influence.At(i, 3) - r.Influence.At(i, 0)) / 2
		}
	}
	all := rows[2]
	require.Equal(t, "older", all.Sample)
	require.Equal(t, 450, all.Persons)
	reftest.Agree(t, "long-term", all.LongTerm, long, 12)
	reftest.Agree(t, "index", all.Index, index, 12)
	sums := map[int]float64{}
	for u, v := range joint {
		sums[cluster[u]] += v
	}
	older := map[int]bool{} // clusters of which somebody is of an older cohort
	for i, c := range cohort {
		if c >= 0 {
			older[i/2] = true
		}
	}
	v := 0.0
	for _, x := range sums {
		v += x * x
	}
	reftest.Agree(t, "error", all.StdError, math.Sqrt(v*float64(len(older))/float64(len(older)-1)), 10)
	reftest.Agree(t, "margin", all.Margin, math.Abs(all.LongTerm)/3, 12)

	// One cohort alone has nothing to learn from; too few are passed over.
	for i := range cohort {
		if cohort[i] > 0 {
			cohort[i] = -1
		}
	}
	rows, err = b.Truths(t.Context(), s, cohort)
	require.NoError(t, err)
	require.Empty(t, rows)
	_, err = b.Truths(t.Context(), s, cohort[1:])
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	for i := range cohort {
		cohort[i] = 1 + i%2
		if i < 12 {
			cohort[i] = 3
		}
	}
	s.Y = d5(61, 0, 900, .1, true).Y
	rows, err = b.Truths(t.Context(), s, cohort)
	require.NoError(t, err)
	require.Equal(t, []string{"2", "older"}, []string{rows[0].Sample, rows[1].Sample})
}

func someOf(m *mat.Dense, cohort []int, level int) *mat.Dense {
	n, k := m.Dims()
	var v []float64
	for i := range n {
		if cohort[i] >= 0 && cohort[i] <= level {
			v = append(v, m.RawRowView(i)...)
		}
	}
	return mat.NewDense(len(v)/k, k, v)
}

// Where treatment has an effect beside the surrogates the bridge stands its test on older cohorts, and the index does not: intervals of the
// joint difference cover 0 as they say.
func TestBridgeTruthCoverage(t *testing.T) {
	reps := 250 * sim.Factor
	if testing.Short() {
		reps = 50
	}
	covered, withdrawn, indexWithdrawn := 0, 0, 0
	var sum, square, errors float64
	for rep := range reps {
		s := d5(62, uint64(rep), 900, .2, true)
		cohort := make([]int, 900)
		for i := range cohort {
			cohort[i] = int(num.NewStream(62, "cohort", uint64(rep)<<32|uint64(i)).Uint64() % 3)
		}
		rows, err := OutcomeBridge{}.Truths(t.Context(), s, cohort)
		require.NoError(t, err)
		all := rows[len(rows)-1]
		if all.ConfLow <= 0 && all.ConfHigh >= 0 {
			covered++
		}
		if all.Verdict == "withdrawn" {
			withdrawn++
		}
		sum, square, errors = sum+all.Difference, square+all.Difference*all.Difference, errors+all.StdError
		if rep < 50 {
			r, err := Surrogate{}.Fit(t.Context(), s)
			require.NoError(t, err)
			if r.Details["truth"].([]SurrogateTruth)[0].Verdict == "withdrawn" {
				indexWithdrawn++
			}
		}
	}
	k := float64(reps)
	mean := sum / k
	sd := math.Sqrt(square/k - mean*mean)
	t.Logf("difference %.4f, SD %.4f, mean SE %.4f, coverage %.3f of .90, withdrawn %.3f; index withdrawn %.2f", mean, sd, errors/k, float64(covered)/k, float64(withdrawn)/k, float64(indexWithdrawn)/50)
	require.InDelta(t, 0, mean, 3*sd/math.Sqrt(k))
	require.InDelta(t, .9, float64(covered)/k, 1.96*math.Sqrt(.9*.1/k)+.02)
	require.Less(t, float64(withdrawn)/k, .06)
	require.Greater(t, indexWithdrawn, 25)
}
