package panel

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// panelOf builds a frame from one row of outcomes for each unit, periods from 1.
func panelOf(names []string, cohorts []int, y [][]float64) *Frame {
	f := &Frame{Level: 0.95}
	for u := range names {
		for p, v := range y[u] {
			f.Unit = append(f.Unit, names[u])
			f.Time = append(f.Time, p+1)
			f.Cohort = append(f.Cohort, cohorts[u])
			f.Y = append(f.Y, v)
		}
	}
	return f
}

func twoByTwo() *Frame {
	return panelOf([]string{"a", "b", "c", "d", "e"}, []int{2, 2, 0, 0, 0},
		[][]float64{{1, 4}, {2, 7}, {0, 1}, {3, 4}, {1, 5}})
}

// By hand: changes 3, 5 of the treated (mean 4) and 1, 1, 4 of the others (mean 2):
// ATT = 2. ψ = (∓1/2) and (1/3, 1/3, -2/3): SE² = 1/2 + 6/9 = 7/6.
func TestTwoByTwoByHand(t *testing.T) {
	for name, g := range variants() {
		if g.RepeatedCrossSection {
			continue
		}
		r := mustFit(t, g, twoByTwo())
		res := mustAggregate(t, r, Simple, AggregateOptions{})
		reftest.Agree(t, name, res.Estimates[0].Value, 2, 14)
		reftest.Agree(t, name+" se", res.Estimates[0].SE, math.Sqrt(7.0/6), 14)
		require.Equal(t, estimate.Counts{Units: 5, Treated: 2, Clusters: 5}, res.N)
	}
}

// M29, by hand on cross-sections: means 11/2, 3/2, 10/3, 4/3 give 4 - 2 = 2 as in the
// panel, but now the levels vary: SE² adds, for each of the four groups, the squared
// deviations from its mean over the square of its size. Trap 6: neither the number of
// all rows nor twice that of units enters.
func TestFourMeansByHand(t *testing.T) {
	f := twoByTwo()
	r := mustFit(t, GroupTime{RepeatedCrossSection: true}, f)
	e := mustAggregate(t, r, Simple, AggregateOptions{}).Estimates[0]
	reftest.Agree(t, "att", e.Value, 2, 14)
	group := func(v ...float64) float64 { // Σ(v-mean)²/n²
		m, s := 0.0, 0.0
		for _, x := range v {
			m += x / float64(len(v))
		}
		for _, x := range v {
			s += (x - m) * (x - m)
		}
		return s / float64(len(v)*len(v))
	}
	want := group(1, 2) + group(4, 7) + group(0, 3, 1) + group(1, 4, 5)
	reftest.Agree(t, "se", e.SE, math.Sqrt(want), 13)
	require.Equal(t, 10, r.Units())
	require.True(t, hasNote(mustAggregate(t, r, Simple, AggregateOptions{}), "repeated-units-as-independent"))
}

func handPanel() *Frame {
	return panelOf([]string{"a", "b", "c", "d", "e"}, []int{2, 2, 3, 0, 0},
		[][]float64{{0, 2, 4}, {0, 4, 4}, {0, 0, 1}, {0, 1, 1}, {0, -1, 1}})
}

// Trap 1, by hand with never-treated controls: ATT(2,2) = 3 - 0, ATT(2,3) = 4 - 1,
// ATT(3,3) = 1 - 1. Shares 2:2:1 give θ = 12/5. Cell influence: (2,2) ∓1/2 for a, b
// and ∓1/2 for d, e; (2,3) none; (3,3) ±1/2 for d, e. The estimated shares add
// (3-θ+3-θ)/5 = 6/25 for a, b and (0-θ)/5 = -12/25 for c. Altogether
// ψ = (1/25, 11/25, -12/25, -1/10, 1/10), SE² = 266/625 + 2/100 = 557/1250.
func TestSimpleAggregateByHand(t *testing.T) {
	r := mustFit(t, GroupTime{Control: NeverTreated}, handPanel())
	res := mustAggregate(t, r, Simple, AggregateOptions{})
	e := res.Estimates[0]
	reftest.Agree(t, "overall", e.Value, 12.0/5, 14)
	reftest.Agree(t, "se", e.SE, math.Sqrt(557.0/1250), 14)
	want := map[string]float64{"a": 1.0 / 25, "b": 11.0 / 25, "c": -12.0 / 25, "d": -0.1, "e": 0.1}
	for i, u := range res.InfluenceUnit {
		reftest.Near(t, "influence of "+u, res.Influence.At(i, 0), want[u], 1e-15)
	}
}

// By hand, same data: by cohort θ(2) = 3, θ(3) = 0, shares 2:1, overall 2; the
// shares' part is w·(θ(g)-2)/3: 1/3 for a, b and -2/3 for c. Event 0: (2·3 + 0)/3;
// event 1: 3; overall 5/2. Period 2: 3, period 3: (2·3+0)/3 = 2, overall 5/2.
func TestOtherAggregatesByHand(t *testing.T) {
	r := mustFit(t, GroupTime{Control: NeverTreated}, handPanel())
	group := mustAggregate(t, r, Group, AggregateOptions{Bands: Pointwise})
	reftest.Agree(t, "group=2", group.Estimates[0].Value, 3, 14)
	reftest.Near(t, "group=3", group.Estimates[1].Value, 0, 1e-15)
	reftest.Agree(t, "overall", group.Estimates[2].Value, 2, 14)
	// ψ overall: a -1/6+1/3, b 1/6+1/3, c -2/3, d -1/6+1/6, e 0.
	reftest.Agree(t, "overall se", group.Estimates[2].SE, math.Sqrt(1.0/36+0.25+4.0/9), 14)

	dynamic := byTerm(mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise}))
	reftest.Agree(t, "event=0", dynamic["event=0"].Value, 2, 14)
	reftest.Agree(t, "event=1", dynamic["event=1"].Value, 3, 14)
	reftest.Agree(t, "overall", dynamic[Overall].Value, 2.5, 14)
	require.False(t, dynamic["event=-1"].HasSE())
	require.Contains(t, dynamic, "event=-2")

	calendar := byTerm(mustAggregate(t, r, Calendar, AggregateOptions{Bands: Pointwise}))
	reftest.Agree(t, "time=2", calendar["time=2"].Value, 3, 14)
	reftest.Agree(t, "time=3", calendar["time=3"].Value, 2, 14)
	reftest.Agree(t, "overall", calendar[Overall].Value, 2.5, 14)

	one := 1
	balanced := byTerm(mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise, BalanceEvent: &one}))
	require.NotContains(t, balanced, "event=-2")
	require.Contains(t, balanced, "event=-1")                              // 1 - (3-1), seen for every balanced cohort
	reftest.Agree(t, "balanced event=0", balanced["event=0"].Value, 3, 14) // cohort 3 is not seen at 1
}

// mpdta of did 2.1.2 is not shipped; its key numbers are compared in the reference
// suite. Here: which cells exist, in which order, and what they rest on.
func TestCells(t *testing.T) {
	r := mustFit(t, GroupTime{}, handPanel())
	type key struct{ g, t, base, control int }
	var got []key
	for _, c := range r.Cells {
		got = append(got, key{c.Group, c.Time, c.Base, c.Control})
	}
	require.Equal(t, []key{{2, 1, 1, 0}, {2, 2, 1, 3}, {2, 3, 1, 2}, {3, 1, 2, 2}, {3, 2, 2, 0}, {3, 3, 2, 2}}, got)
	require.True(t, r.Cells[0].Reference)
	require.True(t, math.IsNaN(r.Cells[0].SE))
	varying := mustFit(t, GroupTime{Base: Varying}, handPanel())
	require.Len(t, varying.Cells, 4)
	require.Equal(t, 1, varying.Cells[2].Base) // cohort 3 in period 2
	require.Equal(t, 2, varying.Cells[2].Time)
	require.Equal(t, []CohortWeight{{2, 2, 2}, {3, 1, 1}, {0, 2, 2}}, r.Cohorts())
}

func TestOptionsMatter(t *testing.T) {
	f := small.draw(3)
	overall := func(g GroupTime) string {
		return fmt.Sprint(mustAggregate(t, mustFit(t, g, f), Dynamic, AggregateOptions{Bands: Pointwise}).Estimates)
	}
	base := overall(GroupTime{})
	require.Equal(t, base, overall(GroupTime{Method: DoublyRobust, Control: NotYetTreated, Base: Universal}))
	for name, g := range map[string]GroupTime{"ipw": {Method: Weighting}, "reg": {Method: Regression}, "never": {Control: NeverTreated},
		"varying": {Base: Varying}, "anticipation": {Anticipation: 1}, "cross": {RepeatedCrossSection: true}} {
		require.NotEqual(t, base, overall(g), name)
	}
}

func TestBadOptions(t *testing.T) {
	f := twoByTwo()
	for _, g := range []GroupTime{{Method: "drr"}, {Control: "nevertreated"}, {Base: "u"}, {Anticipation: -1}, {Reproduce: "did"}} {
		_, err := g.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption)
	}
	_, err := GroupTime{Method: "drr"}.Fit(t.Context(), f)
	require.ErrorContains(t, err, "dr, ipw, reg")
	r := mustFit(t, GroupTime{}, f)
	one, minus := 1, -1
	for kind, o := range map[Aggregation]AggregateOptions{"": {}, "event": {}, Simple: {BalanceEvent: &one}, Dynamic: {BalanceEvent: &minus},
		Group: {Bands: "both"}, Calendar: {Bands: Pointwise, Replicates: 999}, Cells: {Replicates: 10}} {
		_, err := r.Aggregate(kind, o)
		require.ErrorIs(t, err, ErrOption, kind)
	}
	_, err = r.Aggregate(Dynamic, AggregateOptions{Level: 95})
	require.ErrorIs(t, err, ErrOption)
}

func TestBadInput(t *testing.T) {
	rowOf := func(err error) int {
		var re *estimate.RowError
		require.ErrorAs(t, err, &re)
		return re.Row
	}
	cases := map[string]struct {
		change func(f *Frame) *Frame
		want   error
		row    int // -1 = no row is to blame
	}{
		"duplicate":      {func(f *Frame) *Frame { f.Time[3] = 1; return f }, ErrDuplicate, 3},
		"cohort changes": {func(f *Frame) *Frame { f.Cohort[5] = 2; return f }, ErrCohortChanges, 5},
		"one period": {func(f *Frame) *Frame {
			return f.where(func(i int) bool { return f.Time[i] == 1 })
		}, ErrOnePeriod, -1},
		"no rows":         {func(f *Frame) *Frame { return &Frame{Unit: []string{}, Level: 0.95} }, estimate.ErrInvalidFrame, -1},
		"outcome missing": {func(f *Frame) *Frame { f.Y[2] = math.NaN(); return f }, estimate.ErrInvalidFrame, 2},
		"weight zero":     {func(f *Frame) *Frame { f.Weight = ones(10); f.Weight[4] = 0; return f }, estimate.ErrWeights, 4},
		"weight negative": {func(f *Frame) *Frame { f.Weight = ones(10); f.Weight[4] = -1; return f }, estimate.ErrWeights, 4},
		"weight missing":  {func(f *Frame) *Frame { f.Weight = ones(10); f.Weight[4] = math.NaN(); return f }, estimate.ErrWeights, 4},
		"nobody treated":  {func(f *Frame) *Frame { f.Cohort = make([]int, 10); return f }, estimate.ErrNoTreated, -1},
		"all treated":     {func(f *Frame) *Frame { return f.where(func(i int) bool { return f.Cohort[i] > 0 }) }, estimate.ErrNoControls, -1},
		"always treated":  {func(f *Frame) *Frame { f.Cohort = []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}; return f }, estimate.ErrTooFew, -1},
		"cluster changes": {func(f *Frame) *Frame {
			f.Cluster = []string{"p", "p", "p", "q", "p", "p", "p", "p", "p", "p"}
			return f
		}, ErrNotNested, 3},
		"level":           {func(f *Frame) *Frame { f.Level = 95; return f }, estimate.ErrInvalidFrame, -1},
		"lengths":         {func(f *Frame) *Frame { f.Time = f.Time[1:]; return f }, estimate.ErrInvalidFrame, -1},
		"no unit":         {func(f *Frame) *Frame { f.Unit = nil; return f }, estimate.ErrInvalidFrame, -1},
		"constant column": {func(f *Frame) *Frame { f.X, f.XNames = mat.NewDense(10, 1, ones(10)), []string{"konstant"}; return f }, estimate.ErrCollinear, -1},
		"covariate is inf": {func(f *Frame) *Frame {
			f.X, f.XNames = mat.NewDense(10, 1, ones(10)), []string{"x"}
			f.X.Set(7, 0, math.Inf(1))
			return f
		}, estimate.ErrInvalidFrame, 7},
		"separation": {func(f *Frame) *Frame {
			f.X, f.XNames = mat.NewDense(10, 1, []float64{5, 5, 6, 6, 1, 1, 2, 2, 3, 3}), []string{"x"}
			return f
		}, estimate.ErrSeparated, -1},
	}
	for name, c := range cases {
		_, err := GroupTime{}.Fit(t.Context(), c.change(twoByTwo()))
		require.ErrorIs(t, err, c.want, name)
		if c.row >= 0 {
			require.Equal(t, c.row, rowOf(err), name)
		}
	}
	_, err := GroupTime{}.Fit(t.Context(), cases["constant column"].change(twoByTwo()))
	require.ErrorContains(t, err, `"konstant"`)
	require.ErrorContains(t, err, "group=2,time=2")
	_, err = GroupTime{Anticipation: 1}.Fit(t.Context(), twoByTwo())
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	_, err = GroupTime{Control: NeverTreated}.Fit(t.Context(), handPanel().where(func(i int) bool { return handPanel().Cohort[i] > 0 }))
	require.ErrorIs(t, err, estimate.ErrNoControls)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = GroupTime{}.Fit(ctx, twoByTwo())
	require.ErrorIs(t, err, context.Canceled)
}

func ones(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

// A cell that cannot be estimated is named and left out; the others stay.
func TestCellsLeftOut(t *testing.T) {
	f := handPanel().where(func(i int) bool { return handPanel().Cohort[i] > 0 })
	r := mustFit(t, GroupTime{}, f) // without never treated: nobody to compare with in period 3
	res := mustAggregate(t, r, Simple, AggregateOptions{})
	require.True(t, hasNote(res, "cells-not-identified"))
	reftest.Agree(t, "ATT(2,2)", res.Estimates[0].Value, 3, 14)
	for _, n := range res.Notes {
		if n.Code == "cells-not-identified" {
			require.Contains(t, n.Text, "group=2,time=3")
			require.Equal(t, 3, n.Args["cells"]) // (2,3), (3,1) and (3,3)
		}
	}
	cells := byTerm(mustAggregate(t, r, Cells, AggregateOptions{}))
	require.NotContains(t, cells, "group=2,time=3")

	// A covariate that is constant among the comparison units of late cells only.
	f = small.draw(5)
	for i := range f.Y {
		if f.Cohort[i] == 0 {
			f.X.Set(i, 0, 1)
		}
	}
	res = mustAggregate(t, mustFit(t, GroupTime{Method: Regression}, f), Group, AggregateOptions{})
	require.True(t, hasNote(res, "cells-not-identified"))
	found := false
	for _, n := range res.Notes {
		if n.Code == "cells-not-identified" {
			require.Contains(t, n.Text, `group=5,time=5 (covariate "x1" is constant`)
			found = true
		}
	}
	require.True(t, found)
}

func TestNotes(t *testing.T) {
	codes := func(f *Frame, g GroupTime) []string {
		res := mustAggregate(t, mustFit(t, g, f), Dynamic, AggregateOptions{Bands: Pointwise})
		var out []string
		for _, n := range res.Notes {
			out = append(out, n.Code)
		}
		return out
	}
	require.ElementsMatch(t, []string{"reference-period", "few-treated", "few-clusters"}, codes(handPanel(), GroupTime{}))
	gap := handPanel().where(func(i int) bool { return i != 13 }) // unit e loses period 2
	r := mustFit(t, GroupTime{}, gap)
	require.Equal(t, 4, r.Units())
	require.Contains(t, codes(gap, GroupTime{}), "unbalanced-units-dropped")
	late := handPanel()
	for i := 12; i < 15; i++ {
		late.Cohort[i] = 9
	}
	require.Contains(t, codes(late, GroupTime{}), "cohort-after-window")
	require.Contains(t, codes(late, GroupTime{Control: NeverTreated}), "cohort-after-window")
	require.Equal(t, mustFit(t, GroupTime{Control: NeverTreated}, handPanel()).Cells[1].ATT, mustFit(t, GroupTime{Control: NeverTreated}, late).Cells[1].ATT)
	shifted := handPanel()
	for i := range shifted.Time {
		shifted.Time[i] -= 2
		if shifted.Cohort[i] == 3 {
			shifted.Cohort[i] = 1
		}
	}
	_, err := GroupTime{}.Fit(t.Context(), shifted) // cohort 2 is now after the window, 0 a period
	require.NoError(t, err)
	require.Contains(t, codes(shifted, GroupTime{}), "cohort-zero-is-a-period")
	require.Contains(t, codes(small.draw(1), GroupTime{Anticipation: 2}), "cohort-without-base-period")
}

// Details are JSON-ready: no NaN reaches them.
func TestDetails(t *testing.T) {
	for name, g := range variants() {
		g.Anticipation = 1
		for _, kind := range kinds {
			_, err := json.Marshal(mustAggregate(t, mustFit(t, g, small.draw(2)), kind, AggregateOptions{}).Details)
			require.NoError(t, err, name)
		}
	}
	res := mustAggregate(t, mustFit(t, GroupTime{}, twoByTwo()), Simple, AggregateOptions{})
	require.Equal(t, map[string]any{"statistic": nil, "df": nil, "p_value": nil, "reason": "no effect before treatment has a standard error"}, res.Details["pretest"])
	cells := res.Details["cells"].([]map[string]any)
	require.Equal(t, map[string]any{"group": 2, "time": 2, "base": 1, "n_treated": 2, "n_control": 3}, cells[1])
	require.Equal(t, map[string]any{"type": "pointwise"}, res.Details["bands"])
}

// By hand: 2 units enter in 2, 1 in 3, 2 never; not-yet-treated comparison. Cells (2,2): 3 units, (2,3): 2, (3,3): 2, (3,1): 2 + 2 of cohort 2 in
// periods before its entry only, that is period 1 against base 2: the two never treated. Simple: (2·3 + 2·2 + 1·2)/5 = 2.4.
func TestComparedWithByHand(t *testing.T) {
	r := mustFit(t, GroupTime{}, handPanel())
	require.Equal(t, []float64{2.4}, r.ComparedWith(Simple, AggregateOptions{}))
	got := map[string]float64{}
	for i, e := range mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise}).Estimates {
		got[e.Term] = r.ComparedWith(Dynamic, AggregateOptions{})[i]
	}
	require.Equal(t, map[string]float64{"event=-2": 2, "event=-1": math.Inf(1), "event=0": 8.0 / 3, "event=1": 2, Overall: 2.4}, got)
}
