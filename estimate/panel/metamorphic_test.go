package panel

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// same compares two results term by term: values by map, standard errors by scale.
func same(t *testing.T, what string, got, want *estimate.Result, value func(float64) float64, scale float64, tol float64) {
	t.Helper()
	require.Len(t, got.Estimates, len(want.Estimates), what)
	for i, w := range want.Estimates {
		g := got.Estimates[i]
		require.Equal(t, w.Term, g.Term, what)
		reftest.Near(t, what+" "+w.Term, g.Value, value(w.Value), tol)
		require.Equal(t, w.HasSE(), g.HasSE(), what)
		if w.HasSE() {
			reftest.Near(t, what+" se of "+w.Term, g.SE, scale*w.SE, tol)
		}
	}
}

func identity(v float64) float64 { return v }

func fitBoth(t *testing.T, g GroupTime, f *Frame) (cells, dynamic *estimate.Result) {
	r := mustFit(t, g, f)
	cells, err := r.Result()
	require.NoError(t, err)
	checkResult(t, cells)
	return cells, mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise})
}

// M24 – M27 on every method and data shape.
func TestOutcomeTransformations(t *testing.T) {
	f := small.draw(11)
	unit := func(i int, y float64) float64 { return y + 10*float64(num.KeyedHash(7, f.Unit[i])%100)/100 }
	period := func(i int, y float64) float64 { return y + float64(f.Time[i]*f.Time[i]) }
	for name, g := range variants() {
		cells, dynamic := fitBoth(t, g, f)
		check := func(what string, to func(int, float64) float64, scale, tol float64) {
			c, d := fitBoth(t, g, mapY(f, to))
			by := func(v float64) float64 { return scale * v }
			same(t, name+" "+what, c, cells, by, math.Abs(scale), tol)
			same(t, name+" "+what, d, dynamic, by, math.Abs(scale), tol)
		}
		check("M24 constant", func(_ int, y float64) float64 { return y + 1000 }, 1, 1e-9)
		if !g.RepeatedCrossSection { // rows of a cross-section have no unit
			check("M25 unit constant", unit, 1, 1e-10)
		}
		check("M26 period constant", period, 1, 1e-10)
		check("M27 scale", func(_ int, y float64) float64 { return -3 * y }, -3, 1e-10)
		check("M27 power of two", func(_ int, y float64) float64 { return 8 * y }, 8, 0)
	}
}

// M28: nothing changes, so no effect and no uncertainty.
func TestNoChange(t *testing.T) {
	f := small.draw(12)
	f = mapY(f, func(i int, _ float64) float64 { return float64(num.KeyedHash(1, f.Unit[i]) % 50) })
	for _, m := range []string{DoublyRobust, Weighting, Regression} {
		r := mustFit(t, GroupTime{Method: m}, f)
		res := mustAggregate(t, r, Dynamic, AggregateOptions{})
		for _, e := range res.Estimates {
			require.Zero(t, e.Value)
			if e.Term != "event=-1" {
				require.Zero(t, e.SE)
			}
		}
		require.Nil(t, res.Details["pretest"].(map[string]any)["statistic"])
	}
}

// M29: balanced two-by-two: four means = the coefficient of treatment in a regression
// on unit and period dummies = ATT(g,t).
func TestTwoByTwoIsTwoWayFixedEffects(t *testing.T) {
	f := staggered{units: 40, periods: 2, cohorts: []int{2, 0}, noise: 1, balanced: true, effect: func(int, int) float64 { return 2 }}.draw(4)
	e := mustAggregate(t, mustFit(t, GroupTime{}, f), Simple, AggregateOptions{}).Estimates[0]
	reftest.Agree(t, "twfe", twoWay(f), e.Value, 12)
}

// twoWay is the two-way fixed-effects coefficient of a balanced panel (rows unit by
// unit): the regression of the double-demeaned outcome on the double-demeaned treatment.
func twoWay(f *Frame) float64 {
	demean := func(v []float64) []float64 {
		unit, time := map[string]float64{}, map[int]float64{}
		nu, nt := map[string]float64{}, map[int]float64{}
		total := 0.0
		for i, x := range v {
			unit[f.Unit[i]] += x
			nu[f.Unit[i]]++
			time[f.Time[i]] += x
			nt[f.Time[i]]++
			total += x
		}
		out := make([]float64, len(v))
		for i, x := range v {
			out[i] = x - unit[f.Unit[i]]/nu[f.Unit[i]] - time[f.Time[i]]/nt[f.Time[i]] + total/float64(len(v))
		}
		return out
	}
	d := make([]float64, len(f.Y))
	for i := range d {
		if f.Cohort[i] != 0 && f.Time[i] >= f.Cohort[i] {
			d[i] = 1
		}
	}
	y, d := demean(f.Y), demean(d)
	return num.Dot(y, d) / num.Dot(d, d)
}

// M30: weight w = w copies in one cluster. M31: all weights × c.
func TestWeightsAreCopies(t *testing.T) {
	f := small.draw(13)
	f.Weight, f.Cluster = make([]float64, len(f.Y)), slices.Clone(f.Unit)
	var list, copyNo []int
	for i := range f.Y {
		w := int(num.KeyedHash(3, f.Unit[i])%3) + 1
		f.Weight[i] = float64(w)
		for c := range w {
			list, copyNo = append(list, i), append(copyNo, c)
		}
	}
	copies := f.rows(list)
	copies.Weight = nil
	for i := range copies.Unit {
		copies.Unit[i] = fmt.Sprintf("%s-%d", copies.Unit[i], copyNo[i])
	}
	tripled := f.clone()
	for i := range tripled.Weight {
		tripled.Weight[i] *= 3
	}
	for name, g := range variants() {
		cells, dynamic := fitBoth(t, g, f)
		c, d := fitBoth(t, g, copies)
		same(t, name+" M30", c, cells, identity, 1, 1e-9)
		same(t, name+" M30", d, dynamic, identity, 1, 1e-9)
		c, d = fitBoth(t, g, tripled)
		same(t, name+" M31", c, cells, identity, 1, 1e-9)
		same(t, name+" M31", d, dynamic, identity, 1, 1e-9)
		unweighted := f.clone()
		unweighted.Weight = nil
		_, d = fitBoth(t, g, unweighted)
		require.NotEqual(t, dynamic.Estimates[len(dynamic.Estimates)-1].Value, d.Estimates[len(d.Estimates)-1].Value, name)
	}
}

// M32: periods relabelled 1, 2, 3 → 10, 20, 30: the same bits.
func TestRelabelledPeriods(t *testing.T) {
	f := small.draw(14)
	g := f.clone()
	for i := range g.Time {
		g.Time[i], g.Cohort[i] = 10*g.Time[i], 10*g.Cohort[i]
	}
	for name, v := range variants() {
		a, b := mustFit(t, v, f), mustFit(t, v, g)
		for i := range a.Cells {
			require.Equal(t, a.Cells[i].ATT, b.Cells[i].ATT, name)
			require.Equal(t, math.Float64bits(a.Cells[i].SE), math.Float64bits(b.Cells[i].SE), name)
		}
	}
}

// M33: units treated from the start are left out and counted; nothing else moves.
func TestAlwaysTreated(t *testing.T) {
	f := small.draw(15)
	more := f.clone()
	for u := range 7 {
		for p := 1; p <= small.periods; p++ {
			more.Unit, more.Time = append(more.Unit, fmt.Sprintf("always%d", u)), append(more.Time, p)
			more.Cohort, more.Y = append(more.Cohort, 1-u%2), append(more.Y, 1e6)
		}
	}
	for i := len(f.Y); i < len(more.Y); i++ {
		more.Cohort[i] = 1
	}
	x := mat.NewDense(len(more.Y), 1, nil)
	x.Slice(0, len(f.Y), 0, 1).(*mat.Dense).Copy(f.X)
	more.X = x
	for name, v := range variants() {
		a, b := mustFit(t, v, f), mustFit(t, v, more)
		for i := range a.Cells {
			require.Equal(t, a.Cells[i].ATT, b.Cells[i].ATT, name)
		}
		res := mustAggregate(t, b, Simple, AggregateOptions{})
		require.True(t, hasNote(res, "always-treated-dropped"))
	}
	r := mustFit(t, GroupTime{}, more)
	require.Equal(t, 7, r.notes[0].Args["units"])
	require.Equal(t, 60, r.Units())
}

// M34: with never-treated controls a cohort does not see the others.
func TestDroppedCohort(t *testing.T) {
	f := small.draw(16)
	without := f.where(func(i int) bool { return f.Cohort[i] != 4 })
	for _, rc := range []bool{false, true} {
		g := GroupTime{Control: NeverTreated, RepeatedCrossSection: rc}
		full, _ := fitBoth(t, g, f)
		part, _ := fitBoth(t, g, without)
		terms := byTerm(full)
		for _, e := range part.Estimates {
			reftest.Near(t, e.Term, e.Value, terms[e.Term].Value, 1e-12)
			if e.HasSE() {
				reftest.Near(t, e.Term, e.SE, terms[e.Term].SE, 1e-12)
			}
		}
	}
}

// M35: weights sum to 1 in each term and overall lies among its cells.
func TestAggregationWeights(t *testing.T) {
	s := small
	s.weights = true
	r := mustFit(t, GroupTime{}, s.draw(17))
	cells := byTerm(mustAggregate(t, r, Cells, AggregateOptions{}))
	one := 1
	for _, kind := range kinds[1:] {
		for _, balance := range []*int{nil, &one} {
			if balance != nil && kind != Dynamic {
				continue
			}
			res := mustAggregate(t, r, kind, AggregateOptions{BalanceEvent: balance})
			sum := map[string]float64{}
			lo, hi := math.Inf(1), math.Inf(-1)
			for _, row := range res.Details["weights"].([]map[string]any) {
				sum[row["term"].(string)] += row["weight"].(float64)
				require.Positive(t, row["weight"])
				if g, ok := row["group"]; ok && row["time"].(int) >= g.(int) {
					v := cells[fmt.Sprintf("group=%d,time=%d", g, row["time"])].Value
					lo, hi = min(lo, v), max(hi, v)
				}
			}
			require.Len(t, sum, len(res.Estimates))
			for term, s := range sum {
				reftest.Near(t, string(kind)+" "+term, s, 1, 1e-14)
			}
			overall := res.Estimates[len(res.Estimates)-1]
			require.Equal(t, Overall, overall.Term)
			require.GreaterOrEqual(t, overall.Value, lo)
			require.LessOrEqual(t, overall.Value, hi)
		}
	}
}

// With never-treated controls and no covariates the two bases span the same
// comparisons before treatment: the pre-test is the same, and so are the effects.
func TestBasesAgree(t *testing.T) {
	f := small.draw(18)
	f.X, f.XNames = nil, nil
	a := mustFit(t, GroupTime{Control: NeverTreated}, f)
	b := mustFit(t, GroupTime{Control: NeverTreated, Base: Varying}, f)
	reftest.Agree(t, "W", a.PreTest(0).Stat, b.PreTest(0).Stat, 9)
	require.Equal(t, 6.0, a.PreTest(0).DF) // cohorts 3, 4, 5: 1 + 2 + 3 periods before the base
	require.Equal(t, 6.0, b.PreTest(0).DF)
	x, y := mustAggregate(t, a, Simple, AggregateOptions{}), mustAggregate(t, b, Simple, AggregateOptions{})
	same(t, "simple", x, y, identity, 1, 1e-13)
}

// Without covariates the three methods are one.
func TestMethodsAgreeWithoutCovariates(t *testing.T) {
	f := small.draw(19)
	f.X, f.XNames = nil, nil
	base, _ := fitBoth(t, GroupTime{}, f)
	for _, m := range []string{Weighting, Regression} {
		other, _ := fitBoth(t, GroupTime{Method: m}, f)
		same(t, m, other, base, identity, 1, 0)
	}
}

// M22 and row order: the same bits for any number of workers and any order of rows.
func TestDeterminism(t *testing.T) {
	s := small
	s.weights = true
	f := s.draw(20)
	f.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		f.Cluster[i] = fmt.Sprint(num.KeyedHash(9, u) % 23)
	}
	order := f.all()
	slices.SortFunc(order, func(a, b int) int {
		return strings.Compare(fmt.Sprint(num.KeyedHash(1, fmt.Sprint(a))), fmt.Sprint(num.KeyedHash(1, fmt.Sprint(b))))
	})
	shuffled := f.rows(order)
	before := fmt.Sprint(*f)
	for name, g := range variants() {
		for _, kind := range kinds {
			g.Workers = 1
			a := mustAggregate(t, mustFit(t, g, f), kind, AggregateOptions{Bands: Uniform, Replicates: 199, Seed: 5})
			g.Workers = 8
			b := mustAggregate(t, mustFit(t, g, shuffled), kind, AggregateOptions{Bands: Uniform, Replicates: 199, Seed: 5})
			require.Equal(t, fmt.Sprint(a.Estimates), fmt.Sprint(b.Estimates), name)
			require.Equal(t, a.Details["bands"], b.Details["bands"], name)
			require.Equal(t, a.InfluenceUnit, b.InfluenceUnit, name)
			require.True(t, mat.Equal(a.Influence, b.Influence), name)
		}
	}
	require.Equal(t, before, fmt.Sprint(*f), "the frame was changed")
}

// M37: a 90 % interval lies inside the 95 % one, pointwise inside uniform.
func TestIntervalsNest(t *testing.T) {
	r := mustFit(t, GroupTime{}, small.draw(21))
	narrow := mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise, Level: 0.9})
	wide := mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise})
	band := mustAggregate(t, r, Dynamic, AggregateOptions{Seed: 1})
	other := mustAggregate(t, r, Dynamic, AggregateOptions{Seed: 2})
	require.NotEqual(t, band.Details["bands"], other.Details["bands"])
	for i, e := range wide.Estimates {
		if !e.HasSE() {
			continue
		}
		require.Less(t, e.CI.Lo, narrow.Estimates[i].CI.Lo)
		require.Equal(t, e.Test.P < 0.05, e.CI.Lo > 0 || e.CI.Hi < 0)
		if e.Term == Overall {
			require.Equal(t, e.CI, band.Estimates[i].CI)
			continue
		}
		require.Less(t, band.Estimates[i].CI.Lo, e.CI.Lo)
		require.Equal(t, "uniform-band", band.Estimates[i].CI.Method)
		critical := band.Details["bands"].(map[string]any)["critical_value"].(float64)
		reftest.Agree(t, "band", band.Estimates[i].CI.Hi, e.Value+critical*e.SE, 14)
		require.Equal(t, "normal", e.CI.Method)
	}
}
