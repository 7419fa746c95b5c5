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

// parted is units with an eligible and another part: cohorts 3, 5 and never, growth that differs by cohort and by part, and an effect on the eligible.
func parted(seed uint64, units int, effect float64) (*Frame, []bool) {
	f, e := &Frame{Level: 0.95}, []bool(nil)
	for u := range units {
		r := num.NewStream(seed, "triple", uint64(u))
		g := []int{3, 5, 0}[u%3]
		common := r.Normal()
		for part := range 2 {
			level := 2 * r.Normal()
			for t := 1; t <= 6; t++ {
				y := level + common*float64(t%2) + 0.3*float64(t*g)/3 + 0.4*float64(t*part) + r.Normal()
				if part == 1 && g > 0 && t >= g {
					y += effect * float64(t-g+1)
				}
				f.Unit, f.Time, f.Cohort, f.Y = append(f.Unit, fmt.Sprintf("u%03d", u)), append(f.Time, t), append(f.Cohort, g), append(f.Y, y)
				e = append(e, part == 1)
			}
		}
	}
	return f, e
}

// By hand, two periods, two units a group: eligible of the cohort change by 10 and 8, its others by 3 and 5, eligible of the never treated by 2 and 4, their others by 1 and 1.
// (9 - 4) - (3 - 1) = 3; error: variances 1, 1, 1, 0 of four means of two: (1 + 1 + 1)/2 (divisor n). Units are parts of their own here.
func TestTripleByHand(t *testing.T) {
	f := rect([]int{2, 2, 2, 2, 0, 0, 0, 0}, [][]float64{{0, 10}, {1, 9}, {2, 5}, {0, 5}, {1, 3}, {1, 5}, {3, 4}, {0, 1}})
	e := []bool{true, true, true, true, false, false, false, false, true, true, true, true, false, false, false, false}
	r, err := Triple{Eligible: e}.Fit(t.Context(), f)
	require.NoError(t, err)
	res := mustAggregate(t, r, Simple, AggregateOptions{})
	reftest.Agree(t, "value", res.Estimates[0].Value, 3, 13)
	reftest.Agree(t, "error", res.Estimates[0].SE, math.Sqrt(1.5), 12)
	require.Equal(t, 2, res.N.Treated)
	// The same units as parts of four: the covariance of the parts counts.
	for i := range f.Unit {
		f.Unit[i] = []string{"a", "b", "a", "b", "c", "d", "c", "d"}[i/2]
	}
	r, err = Triple{Eligible: e}.Fit(t.Context(), f)
	require.NoError(t, err)
	res = mustAggregate(t, r, Simple, AggregateOptions{})
	// Within a: 10 - 9 less 3 - 4: 2; b -2; c 2 - 3 less 0: -1, d 1: (4 + 4 + 1 + 1)/4.
	reftest.Agree(t, "error of units", res.Estimates[0].SE, math.Sqrt(10.0/4), 12)
}

// A unit with both its parts is one unit, in the counts and by cohort; a cell's smallest comparison group is told; methods that reassign units refuse.
func TestTripleCountsUnits(t *testing.T) {
	f, e := parted(3, 30, 1)
	var keep []int // one never-treated unit loses its other part
	var left []bool
	for i := range f.Y {
		if f.Unit[i] != "u002" || e[i] {
			keep, left = append(keep, i), append(left, e[i])
		}
	}
	r, err := Triple{Eligible: left, GroupTime: GroupTime{Control: NeverTreated}}.Fit(t.Context(), f.rows(keep))
	require.NoError(t, err)
	require.Equal(t, []PartCount{{3, 10, 10, 10}, {5, 10, 10, 10}, {0, 10, 10, 9}}, r.Parts())
	res := mustAggregate(t, r, Simple, AggregateOptions{})
	require.Equal(t, estimate.Counts{Units: 30, Treated: 20, Clusters: 30}, res.N)
	for i := range r.Cells {
		if c := &r.Cells[i]; !c.Reference {
			require.Equal(t, 9, c.Fewest())
			require.Equal(t, 29, c.Control)
		}
	}
	_, err = r.Infer(t.Context(), Simple, FewOptions{})
	require.ErrorIs(t, err, ErrOption)
}

// Without covariates and with never-treated units it is difference-in-differences of the differences between the parts, cell by cell, with the same errors.
func TestTripleIsADifferenceOfParts(t *testing.T) {
	f, e := parted(3, 60, 1)
	r, err := Triple{Eligible: e, GroupTime: GroupTime{Control: NeverTreated}}.Fit(t.Context(), f)
	require.NoError(t, err)
	diff := &Frame{Level: 0.95}
	other := map[string]float64{}
	key := func(i int) string { return fmt.Sprint(f.Unit[i], f.Time[i]) }
	for i := range f.Y {
		if !e[i] {
			other[key(i)] = f.Y[i]
		}
	}
	for i := range f.Y {
		if e[i] {
			diff.Unit, diff.Time, diff.Cohort, diff.Y = append(diff.Unit, f.Unit[i]), append(diff.Time, f.Time[i]), append(diff.Cohort, f.Cohort[i]), append(diff.Y, f.Y[i]-other[key(i)])
		}
	}
	s := mustFit(t, GroupTime{Control: NeverTreated}, diff)
	for _, kind := range kinds {
		got, want := mustAggregate(t, r, kind, AggregateOptions{Bands: Pointwise}), mustAggregate(t, s, kind, AggregateOptions{Bands: Pointwise})
		for i, e := range want.Estimates {
			require.Equal(t, e.Term, got.Estimates[i].Term)
			reftest.Near(t, e.Term, got.Estimates[i].Value, e.Value, 1e-11)
			if e.HasSE() {
				reftest.Agree(t, e.Term+" se", got.Estimates[i].SE, e.SE, 9)
			}
		}
	}
}

// Growth that differs by cohort and by part: differences of eligible units between cohorts miss the effect, and those between parts of a cohort do; triple differences cover, also with
// each later cohort as comparison.
func TestTripleCovers(t *testing.T) {
	got := simulate(t, func(seed uint64) map[string]bool {
		f, e := parted(seed, 120, 1)
		out := map[string]bool{}
		for _, control := range []string{NeverTreated, NotYetTreated} {
			r, err := Triple{Eligible: e, GroupTime: GroupTime{Control: control, Workers: 1}}.Fit(t.Context(), f)
			if err != nil {
				panic(err)
			}
			res, err := r.Aggregate(Simple, AggregateOptions{})
			if err != nil {
				panic(err)
			}
			x := res.Estimates[0]
			// Events 0 to 3 of cohort 3 and 0 to 1 of cohort 5: (1 + 2 + 3 + 4 + 1 + 2)/6.
			out[control] = x.CI.Lo <= 13.0/6 && 13.0/6 <= x.CI.Hi
		}
		only := f.where(func(i int) bool { return e[i] })
		x := mustAggregate(t, mustFit(t, GroupTime{Workers: 1}, only), Simple, AggregateOptions{}).Estimates[0]
		out["eligible only"] = x.CI.Lo <= 13.0/6 && 13.0/6 <= x.CI.Hi
		return out
	})
	for name, share := range got {
		if name == "eligible only" {
			require.Less(t, share, 0.5)
		} else if math.Abs(share-0.95) > band {
			t.Errorf("%s covers in %.4f", name, share)
		}
	}
	t.Log(fmt.Sprint(got))
}

func TestTripleRefuses(t *testing.T) {
	f, e := parted(3, 12, 1)
	_, err := Triple{Eligible: e[1:]}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = Triple{Eligible: e, GroupTime: GroupTime{RepeatedCrossSection: true}}.Fit(t.Context(), f)
	require.ErrorIs(t, err, ErrOption)
	_, err = Triple{Eligible: e, GroupTime: GroupTime{Method: "magic"}}.Fit(t.Context(), f)
	require.ErrorIs(t, err, ErrOption)
	all := make([]bool, len(e))
	for i := range all {
		all[i] = true
	}
	_, err = Triple{Eligible: all}.Fit(t.Context(), f.where(func(i int) bool { return e[i] }))
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = Triple{Eligible: all[:len(f.Y)/2]}.Fit(t.Context(), f.where(func(i int) bool { return e[i] }))
	require.ErrorIs(t, err, estimate.ErrNoControls)
	g := f.clone()
	g.Cohort[8] = 4
	_, err = Triple{Eligible: e}.Fit(t.Context(), g)
	require.ErrorIs(t, err, ErrCohortChanges)
	treated := f.where(func(i int) bool { return f.Cohort[i] != 0 })
	var marks []bool
	for i := range f.Y {
		if f.Cohort[i] != 0 {
			marks = append(marks, e[i])
		}
	}
	r, err := Triple{Eligible: marks}.Fit(t.Context(), treated) // the later cohort serves until it enters
	require.NoError(t, err)
	require.True(t, hasNote(mustAggregate(t, r, Simple, AggregateOptions{}), "cells-not-identified"))
	_, err = Triple{Eligible: marks, GroupTime: GroupTime{Control: NeverTreated}}.Fit(t.Context(), treated)
	require.ErrorIs(t, err, estimate.ErrNoControls)
}
