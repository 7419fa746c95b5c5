package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
)

// answers draws scores before and after; who answers hangs on the score before and on the arm.
func answers(seed, rep uint64, n int, weighted bool) *FollowUpScores {
	s := &FollowUpScores{Persons: Persons{Level: .95}}
	for i := range n {
		st := num.NewStream(seed, "answers", rep<<32|uint64(i))
		w := st.Bernoulli(.5)
		x := st.Normal() + .3*float64(arm(w))
		y := .6*x + .4*float64(arm(w)) + .8*st.Normal()
		if st.Bernoulli(logistic(-1.2 - .7*x + .5*float64(arm(w)))) {
			y = math.NaN()
		}
		s.Unit, s.Treated, s.Before, s.After = append(s.Unit, fmt.Sprintf("p%05d", i)), append(s.Treated, w), append(s.Before, x), append(s.After, y)
		if weighted {
			s.Weight.Kind = estimate.Matching
			s.Weight.Values = append(s.Weight.Values, .5+st.Float())
		}
	}
	return s
}

// Scores before of 0 and 1, so that everything is a mean of a cell. Comparison: 0: 1, 3; 1: 4, 6. Participants: 0: 4, and one who did not answer; 1: 9,
// 11. The regressions go through the means: comparison 2 and 5, participants 4 and 10. mar fills in 4, jump-to-reference 2. Both arms have two of
// each score before: the coefficient is the mean difference: (4 + 4 + 9 + 11)/4 − 14/4 = 3.5; with 2 instead 3; a shift of 1 adds ¼.
func TestFollowUpMissingByHand(t *testing.T) {
	s := &FollowUpScores{Persons: Persons{Level: .95, Unit: []string{"a", "b", "c", "d", "e", "f", "g", "h"}, Treated: []bool{false, false, false, false, true, true, true, true}},
		Before: []float64{0, 0, 1, 1, 0, 0, 1, 1}, After: []float64{1, 3, 4, 6, 4, math.NaN(), 9, 11}}
	e := FollowUpMissing{MIC: 2, Delta: []float64{-4}, MinPerArm: 3}
	r, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, 3.5, r.Estimates[0].Value, 1e-12)
	require.InDelta(t, 3, r.Estimates[1].Value, 1e-12)
	require.InDelta(t, 2.5, find(t, r, "delta=-4").Value, 1e-12)
	require.Equal(t, r.Estimates[0].SE, r.Estimates[1].SE, "information-anchored")
	require.InDelta(t, .75, find(t, r, "response,group=1").Value, 1e-12)
	require.InDelta(t, 1, find(t, r, "response,group=0").Value, 1e-12)
	require.Equal(t, map[string]int{"0": 0, "1": 1}, r.Details["missing"])
	require.InDelta(t, -.25, r.Details["response_gap"], 1e-12)
	// At the tipping point the interval touches 0.
	tip := r.Details["tipping_shift"].(float64)
	require.InDelta(t, tip/2, find(t, r, "tipping").Value, 1e-12)
	require.Negative(t, tip)
	e.Delta = []float64{tip}
	at, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, 0, at.Estimates[2].CI.Lo, 1e-9)
}

// Jump to reference is ANCOVA of the scores filled in by hand, and its error under repetition, as that of mar and delta, is from the derivative
// by the persons' weights.
func TestFollowUpMissingIsLinear(t *testing.T) {
	s := answers(1, 0, 60, true)
	e := FollowUpMissing{MIC: 1, Delta: []float64{-.7}, MinPerArm: 5}
	r, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	f, err := func() (*followUp, error) {
		f := &followUp{s: s, workers: 1}
		for _, i := range byUnit(s.Unit) {
			a := arm(s.Treated[i])
			f.order, f.w, f.arm, f.x, f.y = append(f.order, int32(i)), append(f.w, s.Weight.Values[i]), append(f.arm, a), append(f.x, s.Before[i]), append(f.y, s.After[i])
		}
		return f, f.models()
	}()
	require.NoError(t, err)
	whole := &FollowUpScores{Persons: s.Persons, Before: s.Before, After: f.completed([2]int{0, 0}, 0)}
	full, err := e.Fit(t.Context(), whole)
	require.NoError(t, err)
	require.InDelta(t, full.Estimates[0].Value, r.Estimates[1].Value, 1e-12)
	require.Contains(t, noteCodes(full.Notes), "nothing-missing")
	require.True(t, math.IsNaN(find(t, full, "tipping").Value) || find(t, full, "tipping").Value == 0)

	squares := [3]float64{}
	for i := range s.Unit {
		const h = 1e-6
		w := s.Weight.Values[i]
		at := func(v float64) []float64 {
			s.Weight.Values[i] = v
			x, err := e.Fit(t.Context(), s)
			require.NoError(t, err)
			return []float64{x.Estimates[0].Value, x.Estimates[1].Value, x.Estimates[2].Value}
		}
		up, down := at(w+h), at(w-h)
		s.Weight.Values[i] = w
		for k := range squares {
			d := (up[k] - down[k]) / (2 * h) * w
			squares[k] += d * d
		}
	}
	require.InDelta(t, math.Sqrt(squares[0]), r.Estimates[0].SE, 1e-7)
	require.InDelta(t, math.Sqrt(squares[1]), r.Details["repeated_std_error"], 1e-7)
	require.InDelta(t, math.Sqrt(squares[2]), r.Estimates[2].SE, 1e-7)
}

// Missing by the score before and the arm: mar covers. Jump to reference is nearer to 0 than mar. (Missing by the score after: D9.)
func TestFollowUpMissingCoverage(t *testing.T) {
	reps := truthReps()
	var covered, mean, jump float64
	for rep := range reps {
		r, err := FollowUpMissing{MIC: 1}.Fit(t.Context(), answers(2, uint64(rep), 400, false))
		require.NoError(t, err)
		if ci := r.Estimates[0].CI; ci.Lo <= .4 && .4 <= ci.Hi {
			covered += 1 / float64(reps)
		}
		mean, jump = mean+r.Estimates[0].Value/float64(reps), jump+r.Estimates[1].Value/float64(reps)
	}
	t.Logf("mar %.3f of .4, coverage %.3f, jump to reference %.3f", mean, covered, jump)
	require.InDelta(t, .4, mean, .02)
	require.InDelta(t, .95, covered, 3.09*math.Sqrt(.95*.05/float64(reps)))
	require.Less(t, jump, mean-.05)
	require.Greater(t, jump, 0.0)
}

func TestFollowUpMissingRelationsAndRefusals(t *testing.T) {
	s := answers(4, 0, 120, false)
	e := FollowUpMissing{MIC: 1, Delta: []float64{-1, 1}, Workers: 1}
	base, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	turned := &FollowUpScores{Persons: Persons{Level: .95}}
	for i := range s.Unit {
		k := (i*7 + 3) % len(s.Unit)
		turned.Unit, turned.Treated, turned.Before, turned.After = append(turned.Unit, s.Unit[k]), append(turned.Treated, s.Treated[k]), append(turned.Before, s.Before[k]), append(turned.After, s.After[k])
	}
	e.Workers = 8
	again, err := e.Fit(t.Context(), turned)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(again.Estimates))
	// A score in other units: effects and shifts with it, tipping points and rates not.
	for i := range turned.Before {
		turned.Before[i], turned.After[i] = 10*turned.Before[i], 10*turned.After[i]
	}
	scaled, err := FollowUpMissing{MIC: 10, Delta: []float64{-10, 10}}.Fit(t.Context(), turned)
	require.NoError(t, err)
	for k, x := range base.Estimates {
		want := x.Value
		if x.Measure == estimate.MeanDifference {
			want *= 10
		}
		require.InDelta(t, want, scaled.Estimates[k].Value, 1e-9, x.Term)
	}
	s.Cluster = make([]int, len(s.Unit))
	for i := range s.Cluster {
		s.Cluster[i] = i / 3
	}
	clustered, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.NotEqual(t, base.Estimates[0].SE, clustered.Estimates[0].SE)
	require.Equal(t, base.Estimates[0].Value, clustered.Estimates[0].Value)
	s.Cluster = nil

	for what, c := range map[string]struct {
		change func(s *FollowUpScores, e *FollowUpMissing)
		want   error
	}{
		"mic":      {func(_ *FollowUpScores, e *FollowUpMissing) { e.MIC = 0 }, estimate.ErrInvalidFrame},
		"delta":    {func(_ *FollowUpScores, e *FollowUpMissing) { e.Delta = []float64{1, 1} }, estimate.ErrInvalidFrame},
		"before":   {func(s *FollowUpScores, _ *FollowUpMissing) { s.Before[0] = math.NaN() }, estimate.ErrInvalidFrame},
		"infinite": {func(s *FollowUpScores, _ *FollowUpMissing) { s.After[0] = math.Inf(1) }, estimate.ErrInvalidFrame},
		"short":    {func(s *FollowUpScores, _ *FollowUpMissing) { s.After = s.After[1:] }, estimate.ErrInvalidFrame},
		"few":      {func(_ *FollowUpScores, e *FollowUpMissing) { e.MinPerArm = 100 }, estimate.ErrTooFew},
		"one arm":  {func(s *FollowUpScores, _ *FollowUpMissing) { s.Treated = make([]bool, len(s.Unit)) }, estimate.ErrNoTreated},
		"flat":     {func(s *FollowUpScores, _ *FollowUpMissing) { s.Before = make([]float64, len(s.Unit)) }, estimate.ErrCollinear},
		"kind": {func(s *FollowUpScores, _ *FollowUpMissing) {
			s.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, len(s.Unit))}
		}, estimate.ErrWeights},
	} {
		s, e := answers(4, 0, 120, false), FollowUpMissing{MIC: 1}
		c.change(s, &e)
		_, err := e.Fit(t.Context(), s)
		require.ErrorIs(t, err, c.want, what)
	}
}
