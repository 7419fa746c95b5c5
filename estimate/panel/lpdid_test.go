package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// By hand, on the panel of TestEventStudiesByHand: a and b enter in 2 and 3, c and d never,
// y = (0,2,6), (1,1,2), (0,1,1), (0,1,3). At horizon 0, period 2: a changes by 2, its clean
// controls b, c, d by 0, 1, 1; period 3: b by 1, c and d by 0, 2. Differences 4/3 and 0,
// weights by variance 1·3/4 and 1·2/3: β = 1/(17/12) = 12/17; by treated 2/3.
// Reweighted: cells count 4/3 and 3/2, D̃ = 3/4 and -1/4, 2/3 and -1/3, Σ = 1 + 1. Residuals
// 1/2, -5/6, 1/6, 1/6 and -4/9, -7/9, 11/9: a 9/36, b 5/36 - 8/36, c -1/36 + 7/36,
// d -1/36 - 11/36. SE² = (81 + 9 + 36 + 144)/36² times 4/3·6/4: 7 rows, 3 coefficients.
func TestLocalProjectionsByHand(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	got := byTerm(mustStudy(t, LocalProjections{}, f))
	require.Len(t, got, 3)
	require.False(t, got["event=-1"].HasSE())
	reftest.Agree(t, "event 0", got["event=0"].Value, 12.0/17, 13)
	reftest.Agree(t, "overall", got[Overall].Value, 12.0/17, 13)
	got = byTerm(mustStudy(t, LocalProjections{Reweight: true}, f))
	reftest.Agree(t, "event 0, reweighted", got["event=0"].Value, 2.0/3, 13)
	reftest.Agree(t, "se", got["event=0"].SE, math.Sqrt(270.0/1296*2), 13)
	require.Equal(t, 3.0, got[Overall].Test.DF)
	// One horizon more: a alone, 6 against 1 and 3; b is treated by then. Two before: b alone,
	// 1 - 1 against c and d, 0 - 1. Overall: (2 + 6)/2 against (1 + 1)/2 and (1 + 3)/2.
	res := mustStudy(t, LocalProjections{Before: pointer(2), After: pointer(1)}, f)
	got = byTerm(res)
	reftest.Agree(t, "event 1", got["event=1"].Value, 6-2.0, 13)
	reftest.Agree(t, "event -2", got["event=-2"].Value, 0-(-1.0), 13)
	reftest.Agree(t, "overall", got[Overall].Value, 4-1.5, 13)
	require.InDelta(t, 1, res.Details["pooled_pre"].(map[string]any)["estimate"], 1e-13)
	require.True(t, hasNote(res, "cells-not-compared"))
}

// Two-by-two: the difference of differences, with the error of the regression of the change on
// entering: Σψ² = 5/8, factor 4/3·3/2.
func TestLocalProjectionsTwoByTwo(t *testing.T) {
	f := rect([]int{2, 2, 0, 0}, [][]float64{{7, 10}, {1, 6}, {2, 3}, {0, 2}})
	for _, reweight := range []bool{false, true} {
		e := byTerm(mustStudy(t, LocalProjections{Reweight: reweight}, f))[Overall]
		reftest.Agree(t, "value", e.Value, 2.5, 13)
		reftest.Agree(t, "se", e.SE, math.Sqrt(5.0/8*4/3*3/2), 13)
	}
}

// Reweighted, horizons from 0 are ATT(g,t) against those not yet treated, by event; weights and
// anticipation too. By variance they are not, where cohorts differ.
func TestLocalProjectionsAreGroupTime(t *testing.T) {
	s := staggered{units: 90, periods: 8, cohorts: []int{4, 5, 6, 0}, noise: 1, weights: true, effect: func(g, t int) float64 { return float64((t - g) * g) }}
	f := s.draw(61)
	for _, anticipation := range []int{0, 1} {
		o := EventOptions{Bands: Pointwise, Anticipation: anticipation}
		got := byTerm(mustStudy(t, LocalProjections{EventOptions: o, After: pointer(4), Reweight: true}, f))
		variance := byTerm(mustStudy(t, LocalProjections{EventOptions: o, After: pointer(4)}, f))
		r := mustFit(t, GroupTime{Control: NotYetTreated, Base: Universal, Anticipation: anticipation}, f)
		want := byTerm(mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise}))
		for h := range 5 {
			reftest.Near(t, eventTerm(h), got[eventTerm(h)].Value, want[eventTerm(h)].Value, 1e-11)
		}
		require.Greater(t, math.Abs(variance["event=2"].Value-want["event=2"].Value), 1e-3)
	}
}

// Row order and workers change no bit; level, units' levels, period effects and scale do what
// they must; raising a treated row moves its own events only; clusters of copies are their unit.
func TestLocalProjectionsInvariants(t *testing.T) {
	f := staggered{units: 60, periods: 7, cohorts: []int{3, 5, 0}, noise: 1, balanced: true}.draw(63)
	f = f.where(func(i int) bool { return i%23 != 7 })
	for _, reweight := range []bool{false, true} {
		fit := func(g *Frame, workers int) *estimate.Result {
			return mustStudy(t, LocalProjections{EventOptions: EventOptions{Seed: 1, Workers: workers}, Reweight: reweight}, g)
		}
		base := fit(f, 1)
		require.True(t, hasNote(base, "unbalanced-units-kept"))
		var shuffled []int
		for i := range f.Y {
			shuffled = append(shuffled, (i*7919+11)%len(f.Y))
		}
		require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(fit(f.rows(shuffled), 4).Estimates))
		affine := fit(mapY(f, func(i int, y float64) float64 {
			return 1e6 - 3*y + float64(num.KeyedHash(1, f.Unit[i])%1000) + 50*float64(f.Time[i]*f.Time[i])
		}), 1)
		up := fit(mapY(f, func(i int, y float64) float64 {
			if f.Cohort[i] == 3 && f.Time[i] >= 3 {
				return y + 10
			}
			return y
		}), 1)
		copies := f.rows(append(f.all(), f.all()...))
		copies.Cluster = make([]string, len(copies.Unit))
		for i := range copies.Unit {
			copies.Cluster[i] = copies.Unit[i]
			copies.Unit[i] = fmt.Sprintf("%s-%d", copies.Unit[i], i/len(f.Y))
		}
		double := fit(copies, 1)
		for i, e := range base.Estimates {
			reftest.Near(t, e.Term, affine.Estimates[i].Value, -3*e.Value, 1e-8)
			reftest.Near(t, e.Term+" copies", double.Estimates[i].Value, e.Value, 1e-10)
			moved := up.Estimates[i].Value - e.Value
			if e.Term == Overall || e.Term >= "event=0" {
				require.Greater(t, moved, 1.0, e.Term)
				require.Less(t, moved, 9.0, e.Term)
			} else {
				require.InDelta(t, 0, moved, 1e-10, e.Term)
			}
			if e.HasSE() {
				reftest.Agree(t, e.Term+" se", affine.Estimates[i].SE, 3*e.SE, 7)
				require.InDelta(t, 1, double.Estimates[i].SE/e.SE, 0.02, e.Term)
			}
		}
	}
}

func TestLocalProjectionsRefuse(t *testing.T) {
	f := staggered{units: 40, periods: 5, cohorts: []int{3, 4, 0}, noise: 1, balanced: true}.draw(65)
	for name, e := range map[string]LocalProjections{
		"anticipation": {EventOptions: EventOptions{Anticipation: -1}}, "before": {Before: pointer(0)}, "after": {After: pointer(-1)},
		"reference": {EventOptions: EventOptions{Anticipation: 2}, Before: pointer(2)}} {
		_, err := e.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption, name)
	}
	_, err := LocalProjections{}.Fit(t.Context(), small.draw(1))
	require.ErrorIs(t, err, ErrOption)
	require.ErrorContains(t, err, "covariates")
	_, err = LocalProjections{After: pointer(9)}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrNoControls)
	_, err = LocalProjections{}.Fit(t.Context(), f.where(func(i int) bool { return f.Cohort[i] == 3 }))
	require.ErrorIs(t, err, estimate.ErrNoControls)
	_, err = LocalProjections{}.Fit(t.Context(), f.where(func(i int) bool { return f.Cohort[i] == 0 }))
	require.ErrorIs(t, err, estimate.ErrNoTreated)
	_, err = LocalProjections{}.Fit(t.Context(), rect([]int{2, 0}, [][]float64{{1, 2}, {3, 5}}))
	require.ErrorIs(t, err, estimate.ErrTooFew)
	_, err = LocalProjections{}.Fit(t.Context(), f.rows(append(f.all(), 0)))
	require.ErrorIs(t, err, ErrDuplicate)
}

// Coverage in the scenario of TestEventStudiesCover: reweighted there (errors too wide where
// cohorts differ, never too narrow), and by variance where all cohorts gain alike.
func TestLocalProjectionsCover(t *testing.T) {
	s := growing
	s.units, s.balanced = 90, true
	alike := s
	alike.effect = func(g, t int) float64 { return float64(t - g + 1) }
	got := simulate(t, func(seed uint64) map[string]bool {
		out := map[string]bool{}
		count := func(name string, res *estimate.Result, truth map[string]float64) {
			for _, e := range res.Estimates {
				if want, ok := truth[e.Term]; ok {
					out[name+e.Term] = e.CI.Lo <= want && want <= e.CI.Hi
				}
			}
		}
		point := EventOptions{Bands: Pointwise}
		count("treated ", mustStudy(t, LocalProjections{EventOptions: point, Reweight: true}, s.draw(seed)), map[string]float64{"event=-2": 0, "event=0": 0.75, "event=1": 1.5, "event=2": 2.25, Overall: 1.5})
		count("variance ", mustStudy(t, LocalProjections{EventOptions: point}, alike.draw(seed)), map[string]float64{"event=-2": 0, "event=0": 1, "event=1": 2, "event=2": 3, Overall: 2})
		return out
	})
	for term, share := range got {
		if share < 0.95-band || share > 0.95+band && term[0] == 'v' {
			t.Errorf("%s covers in %.4f", term, share)
		}
	}
	t.Log(fmt.Sprint(got))
}
