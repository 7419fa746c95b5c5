package panel

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// fits is an estimator as a function.
type fits func(ctx context.Context, f *Frame) error

// everyEstimator is every estimator of a staggered panel, without covariates.
func everyEstimator() map[string]fits {
	out := map[string]fits{}
	for name, e := range eventMethods(EventOptions{}) {
		out[name] = func(ctx context.Context, f *Frame) error { _, err := e.Fit(ctx, f); return err }
	}
	for name, e := range map[string]eventEstimator{
		"stacked": Stacked{}, "lpdid": LocalProjections{}, "dcdh": Intertemporal{},
		"etwfe never": ExtendedTwoWay{Control: NeverTreated}, "lpdid never": LocalProjections{Control: NeverTreated},
	} {
		out[name] = func(ctx context.Context, f *Frame) error { _, err := e.Fit(ctx, f); return err }
	}
	for name, g := range variants() {
		if !g.RepeatedCrossSection {
			out["att-gt "+name] = func(ctx context.Context, f *Frame) error { _, err := g.Fit(ctx, f); return err }
		}
	}
	return out
}

// The list of bad input, for every estimator: the error is the one that says what is wrong, with the row where there is one, and none of them gives
// a number. What is no error, because the rest can be estimated, is named and counted: gaps (TestNotes, TestEventStudiesInvariants), cells without
// controls and singular covariates (TestCellsLeftOut, TestCollinearCovariatesAreNamed), cohorts outside the window (TestNotes, TestLateCohort,
// TestAlwaysTreated, TestOutsideTheWindow).
func TestBadInputOfEveryEstimator(t *testing.T) {
	const noRow, anyRow = -1, -2 // of two rows that disagree either may be named
	s := small
	s.covariates = 0
	f := s.draw(71)
	at := func(i int, change func(g *Frame, i int)) *Frame {
		g := f.clone()
		g.Weight, g.Cluster = ones(len(f.Y)), make([]string, len(f.Y))
		change(g, i)
		return g
	}
	for name, c := range map[string]struct {
		frame *Frame
		want  error
		row   int
	}{
		"unit changes cohort": {at(1, func(g *Frame, i int) { g.Cohort[i] = 2 }), ErrCohortChanges, anyRow},
		"unit-period twice":   {f.rows(append(f.all(), 7)), ErrDuplicate, len(f.Y)},
		"one period":          {f.where(func(i int) bool { return f.Time[i] == 2 }), ErrOnePeriod, noRow},
		"weight zero":         {at(3, func(g *Frame, i int) { g.Weight[i] = 0 }), estimate.ErrWeights, 3},
		"weight below zero":   {at(3, func(g *Frame, i int) { g.Weight[i] = -1 }), estimate.ErrWeights, 3},
		"weight missing":      {at(3, func(g *Frame, i int) { g.Weight[i] = math.NaN() }), estimate.ErrWeights, 3},
		"outcome missing":     {at(4, func(g *Frame, i int) { g.Y[i] = math.NaN() }), estimate.ErrInvalidFrame, 4},
		"cluster changes":     {at(6, func(g *Frame, i int) { g.Cluster[i] = "b" }), ErrNotNested, 6},
		"nobody treated":      {f.where(func(i int) bool { return f.Cohort[i] == 0 }), estimate.ErrNoTreated, noRow},
		"nobody to compare":   {f.where(func(i int) bool { return f.Cohort[i] == 4 }), estimate.ErrNoControls, noRow},
		"treated afterwards":  {at(0, func(g *Frame, _ int) { shift(g, 100) }), estimate.ErrNoTreated, noRow},
	} {
		for estimator, fit := range everyEstimator() {
			err := fit(t.Context(), c.frame)
			require.ErrorIs(t, err, c.want, "%s: %s", estimator, name)
			var at *estimate.RowError
			if c.row != noRow {
				require.ErrorAs(t, err, &at, "%s: %s", estimator, name)
			}
			if c.row >= 0 {
				require.Equal(t, c.row, at.Row, "%s: %s", estimator, name)
			}
		}
	}
}

// shift moves every cohort that is treated.
func shift(f *Frame, by int) {
	for i, g := range f.Cohort {
		if g != 0 {
			f.Cohort[i] = g + by
		}
	}
}

// Units treated before the first period are left out, those treated after the last are compared with; both are counted, and the numbers are those
// without the first and with the second never treated.
func TestOutsideTheWindow(t *testing.T) {
	s := small
	s.covariates, s.cohorts = 0, []int{3, 4, 0, 5, -2, 9}
	f := s.draw(72)
	inside := f.where(func(i int) bool { return f.Cohort[i] != -2 })
	for i, g := range inside.Cohort {
		if g == 9 {
			inside.Cohort[i] = 0
		}
	}
	point := EventOptions{Bands: Pointwise}
	methods := eventMethods(point)
	delete(methods, "twfe") // compares with units treated throughout
	methods["stacked"], methods["lpdid"], methods["dcdh"] = Stacked{EventOptions: point}, LocalProjections{EventOptions: point}, Intertemporal{EventOptions: point}
	for name, e := range methods {
		got, want := mustStudy(t, e, f), mustStudy(t, e, inside)
		require.Equal(t, fmt.Sprint(want.Estimates), fmt.Sprint(got.Estimates), name)
		require.True(t, hasNote(got, "always-treated-dropped"), name)
		require.True(t, hasNote(got, "cohort-after-window"), name)
	}
}

// Trap 8: what fails is not replaced. Comparison units whose covariate separates them from the treated of one cohort have no propensity: with dr and
// ipw the cell is left out and named, although the regression, which needs none, has a number for it.
func TestNothingTakesTheFailedMethodsPlace(t *testing.T) {
	f := small.draw(73)
	for i, g := range f.Cohort {
		if g == 3 {
			f.X.Set(i, 0, 100+f.X.At(i, 0))
		}
	}
	for _, m := range []string{DoublyRobust, Weighting} {
		r := mustFit(t, GroupTime{Method: m, Control: NeverTreated}, f)
		for i := range r.Cells {
			c := &r.Cells[i]
			if c.Group == 3 && !c.Reference {
				require.ErrorIs(t, c.Err, estimate.ErrSeparated)
				require.True(t, math.IsNaN(c.SE))
			}
		}
		res := mustAggregate(t, r, Simple, AggregateOptions{})
		require.True(t, hasNote(res, "cells-not-identified"))
	}
	require.False(t, hasNote(mustAggregate(t, mustFit(t, GroupTime{Method: Regression, Control: NeverTreated}, f), Simple, AggregateOptions{}), "cells-not-identified"))
}

// Trap 9: "converged" is what the equations say. Every propensity solves Σ w(D - p)x = 0, so that weighted by their odds the comparison units have the
// mean of the treated in every covariate that the model has, but for what the model cannot do: the score, not the step, is held to zero.
func TestPropensitiesSolveTheirEquations(t *testing.T) {
	s := small
	s.weights, s.units, s.covariates = true, 200, 3
	r := mustFit(t, GroupTime{}, s.draw(74))
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Reference {
			continue
		}
		x := r.index[i]
		earlier := min(x.base, x.period)
		d, err := newPanelDesign(r.layout, c.spans, c.Treated, sheet(r.layout.x, earlier), sheet(r.layout.w, earlier), DoublyRobust)
		require.NoError(t, err)
		for j := range d.k {
			var score, size []float64
			for u := range d.n {
				treated := 0.0
				if u < d.treated {
					treated = 1
				}
				score = append(score, d.w[u]*(treated-d.p[u])*d.x[u*d.k+j])
				size = append(size, math.Abs(d.w[u]*d.x[u*d.k+j]))
			}
			reftest.Near(t, fmt.Sprint(c.term(), " column ", j), num.Sum(score)/num.Sum(size), 0, 1e-12)
		}
	}
}

// A covariate that is a combination of others in some cells: the covariate and the cells are named, and the other cells stay.
func TestCollinearCovariatesAreNamed(t *testing.T) {
	s := small
	s.covariates = 2
	f := s.draw(75)
	for i, g := range f.Cohort {
		if g == 0 { // against the never treated both covariates are one
			f.X.Set(i, 1, 2*f.X.At(i, 0)-1)
		}
	}
	res := mustAggregate(t, mustFit(t, GroupTime{Method: Regression}, f), Cells, AggregateOptions{})
	terms := byTerm(res)
	require.Contains(t, terms, "group=3,time=4")
	require.NotContains(t, terms, "group=3,time=5")
	for _, n := range res.Notes {
		if n.Code == "cells-not-identified" {
			require.Contains(t, n.Text, `group=3,time=5 (covariate "x2" is constant or a combination of those before it`)
			require.NotContains(t, n.Text, "group=3,time=4")
			return
		}
	}
	t.Error("no cell was left out")
}

// The regressions name a covariate that unit effects and others take up, or that varies within no unit.
func TestCollinearCovariatesOfRegressionsAreNamed(t *testing.T) {
	f := gappy(76, 2)
	for i := range f.Y {
		f.X.Set(i, 1, 3-f.X.At(i, 0))
	}
	for name, e := range map[string]eventEstimator{"sun-abraham": SunAbraham{}, "twfe": TwoWay{}} {
		res, err := e.Fit(t.Context(), f)
		require.NoError(t, err, name)
		require.True(t, hasNote(res, "collinear-dropped"), name)
	}
	for name, e := range map[string]eventEstimator{"imputation": Imputation{}, "two-stage": TwoStage{}} {
		_, err := e.Fit(t.Context(), f)
		require.ErrorIs(t, err, estimate.ErrCollinear, name)
		require.ErrorContains(t, err, `"x2"`, name)
	}
	f.X, f.XNames = mat.NewDense(len(f.Y), 1, nil), []string{"konstant"}
	_, err := Imputation{}.Fit(t.Context(), f)
	require.ErrorContains(t, err, `"konstant"`)
}
