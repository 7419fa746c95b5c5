package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
)

// Predictions .1, .4, .4, .8 with outcomes 0, 0, 1, 1: the pairs are won, won, half, won: 3.5/4. Of those with the outcome .8 beats both
// others and .4 one and a half: parts 1 and ¾; of those without .1 is beaten by both, .4 by one and a half: 1 and ¾. DeLong: each
// variance of parts 1/32 over 2, together 1/32.
func TestROCByHand(t *testing.T) {
	r := newROC([]float64{.1, .4, .4, .8}, []float64{0, 0, 1, 1})
	require.InDelta(t, .875, r.auc, 1e-15)
	require.InDeltaSlice(t, []float64{1, .75}, r.part[0], 1e-15)
	require.InDeltaSlice(t, []float64{.75, 1}, r.part[1], 1e-15)
	require.InDelta(t, math.Sqrt(1.0/32), r.against(nil), 1e-15)
	require.Zero(t, r.against(r))
	require.InDeltaSlice(t, []float64{1, 3.5, 3.5, 2, 5}, midranks([]float64{1, 7, 7, 3, 9}), 0)
}

func distances(seed uint64, n int, signal float64) *DistanceSample {
	s := &DistanceSample{SNames: []string{"s", "noise"}, XNames: []string{"x"}, Level: .95, Groups: map[string][]bool{"women": make([]bool, n)}}
	for i := range n {
		st := num.NewStream(seed, "distance", uint64(i))
		x, a := st.Normal(), st.Normal()
		y := 0.0
		if st.Bernoulli(logistic(-.5 + .5*x + signal*a)) {
			y = 1
		}
		s.Unit, s.Y, s.X, s.S = append(s.Unit, fmt.Sprintf("p%05d", i)), append(s.Y, y), append(s.X, x), append(s.S, a, st.Normal())
		s.Groups["women"][i] = i%2 == 0
	}
	return s
}

// The area of a logistic model by simulation of its own truth is between .70 and .80 with the signal; without it the gain covers 0 and the
// penalty keeps the slope from falling far.
func TestDistanceIndexKnownTruth(t *testing.T) {
	r, err := DistanceIndex{Folds: 5}.Fit(t.Context(), distances(1, 1200, 1))
	require.NoError(t, err)
	gain := find(t, r, "auc,gain")
	require.Positive(t, gain.CI.Lo)
	require.InDelta(t, .76, find(t, r, "auc,index").Value, .03)
	require.Equal(t, Met, CalibrationSlope(find(t, r, "slope").Value).Status)
	require.Equal(t, Met, InTheLarge(find(t, r, "off").Value).Status)
	require.InDelta(t, 0, r.Details["groups"].(map[string]float64)["women"], .03)
	n := 0
	for _, b := range r.Details["quintiles"].([]DistanceBin) {
		n += b.Persons
		require.InDelta(t, b.Predicted, b.Observed, .08)
	}
	require.Equal(t, 1200, n)
	require.Contains(t, noteCodes(r.Notes), "index-of-groups")
	none, err := DistanceIndex{Folds: 5}.Fit(t.Context(), distances(2, 1200, 0))
	require.NoError(t, err)
	g := find(t, none, "auc,gain")
	require.LessOrEqual(t, g.CI.Lo, 0.0)
}

// A column that tells the outcome for certain has no maximum without a penalty; with one it has.
func TestDistanceIndexSeparation(t *testing.T) {
	s := distances(3, 300, 1)
	for i, y := range s.Y {
		s.S[2*i+1] = 0
		if i%40 == 0 && y == 1 {
			s.S[2*i+1] = 1
		}
	}
	r, err := DistanceIndex{Folds: 3}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.False(t, math.IsNaN(find(t, r, "slope").Value))
}

func TestDistanceIndexRelationsAndRefusals(t *testing.T) {
	s := distances(4, 300, 1)
	e := DistanceIndex{Folds: 4, Seed: 2, Lambda: .01, Workers: 1}
	base, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	turned := &DistanceSample{SNames: s.SNames, XNames: s.XNames, Level: s.Level}
	for i := range s.Unit {
		k := (i*7 + 3) % len(s.Unit)
		turned.Unit, turned.Y, turned.X, turned.S = append(turned.Unit, s.Unit[k]), append(turned.Y, s.Y[k]), append(turned.X, s.X[k]), append(turned.S, s.S[2*k], s.S[2*k+1])
	}
	e.Workers = 8
	again, err := e.Fit(t.Context(), turned)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(again.Estimates))
	for _, c := range []DistanceIndex{{Folds: 4, Seed: 3, Lambda: .01}, {Folds: 5, Seed: 2, Lambda: .01}, {Folds: 4, Seed: 2, Lambda: .5}} {
		other, err := c.Fit(t.Context(), s)
		require.NoError(t, err)
		require.NotEqual(t, fmt.Sprint(base.Estimates), fmt.Sprint(other.Estimates))
	}
	for what, change := range map[string]func(s *DistanceSample, e *DistanceIndex){
		"folds":   func(_ *DistanceSample, e *DistanceIndex) { e.Folds = 1 },
		"both":    func(s *DistanceSample, _ *DistanceIndex) { s.Fold = make([]int, len(s.Unit)) },
		"outcome": func(s *DistanceSample, _ *DistanceIndex) { s.Y[3] = 2 },
		"missing": func(s *DistanceSample, _ *DistanceIndex) { s.S[3] = math.NaN() },
		"lambda":  func(_ *DistanceSample, e *DistanceIndex) { e.Lambda = -1 },
		"columns": func(s *DistanceSample, _ *DistanceIndex) { s.SNames = nil },
		"groups":  func(s *DistanceSample, _ *DistanceIndex) { s.Groups["women"] = nil },
		"twice":   func(s *DistanceSample, _ *DistanceIndex) { s.Unit[1] = s.Unit[0] },
		"one fold": func(s *DistanceSample, e *DistanceIndex) {
			e.Folds, e.Seed, s.Fold = 0, 0, make([]int, len(s.Unit))
		},
	} {
		s, e := distances(4, 300, 1), DistanceIndex{Folds: 4, Seed: 2}
		change(s, &e)
		_, err := e.Fit(t.Context(), s)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame, what)
	}
	few := distances(5, 30, 1)
	for i := range few.Y {
		few.Y[i] = 0
	}
	_, err = DistanceIndex{Folds: 2}.Fit(t.Context(), few)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}

// Prediction less outcome .1 and .3 in year 3, .2 and .6 in year 4: .2 and .4, slope .2, residuals ±.1 and ±.2 at ±½ from the middle, Σ of squares 1.
func TestDistanceDriftByHand(t *testing.T) {
	s := &DistanceSample{Year: []int{3, 4, 3, 4}}
	slope, se := drift(s, []int{0, 2, 1, 3}, []float64{.1, .3, .2, .6}, make([]float64, 4))
	require.InDelta(t, .2, slope, 1e-15)
	require.InDelta(t, math.Sqrt(.25*(.01+.01+.04+.04)), se, 1e-15)
	years := byYear(s, []int{0, 2, 1, 3}, []float64{.1, .3, .2, .6}, []float64{0, 0, 1, 1})
	require.Equal(t, 4, years[1].Year)
	require.InDelta(t, .4, years[1].Predicted, 1e-15)
	require.Equal(t, DistanceYear{Year: 3, Persons: 2, Predicted: .2, Observed: 0}, years[0])
	s.Year = []int{3, 3, 3, 3}
	slope, _ = drift(s, []int{0, 1, 2, 3}, make([]float64, 4), make([]float64, 4))
	require.True(t, math.IsNaN(slope))
}
