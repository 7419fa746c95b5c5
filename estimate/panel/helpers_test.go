package panel

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// design of a simulated staggered panel with known effects.
type staggered struct {
	units, periods int
	cohorts        []int // 0 = never; drawn with equal probability
	covariates     int
	effect         func(g, t int) float64
	trend          float64 // slope of the untreated outcome per period and unit of x
	noise          float64
	weights        bool
	balanced       bool // equal numbers of units in each cohort
}

// draw returns one data set; row order is unit by unit.
func (s staggered) draw(seed uint64) *Frame {
	f := &Frame{Level: 0.95}
	n := s.units * s.periods
	if s.covariates > 0 {
		f.X = mat.NewDense(n, s.covariates, nil)
		for j := range s.covariates {
			f.XNames = append(f.XNames, fmt.Sprintf("x%d", j+1))
		}
	}
	row := 0
	for u := range s.units {
		r := num.NewStream(seed, "panel-test", uint64(u))
		x := make([]float64, s.covariates)
		sum := 0.0
		for j := range x {
			x[j] = r.Normal()
			sum += x[j]
		}
		g := s.cohorts[r.Intn(len(s.cohorts))]
		if s.balanced {
			g = s.cohorts[u%len(s.cohorts)]
		} else if s.covariates > 0 && r.Float() < 0.3 && sum > 0 {
			g = s.cohorts[0] // selection on covariates
		}
		level := 3 * r.Normal()
		w := 0.5 + r.Float()
		for t := 1; t <= s.periods; t++ {
			y := level + 0.3*float64(t) + s.trend*float64(t)*sum + s.noise*r.Normal()
			if g != 0 && t >= g && s.effect != nil {
				y += s.effect(g, t)
			}
			f.Unit = append(f.Unit, fmt.Sprintf("u%04d", u))
			f.Time = append(f.Time, t)
			f.Cohort = append(f.Cohort, g)
			f.Y = append(f.Y, y)
			if s.weights {
				f.Weight = append(f.Weight, w)
			}
			if f.X != nil {
				f.X.SetRow(row, x)
			}
			row++
		}
	}
	return f
}

var small = staggered{units: 60, periods: 5, cohorts: []int{3, 4, 0, 5}, covariates: 1, trend: 0.2, noise: 1,
	effect: func(g, t int) float64 { return float64(t-g) + 0.5*float64(g) }}

func mustFit(t testing.TB, g GroupTime, f *Frame) *GroupTimeResult {
	t.Helper()
	r, err := g.Fit(t.Context(), f)
	require.NoError(t, err)
	return r
}

func mustAggregate(t testing.TB, r *GroupTimeResult, kind Aggregation, o AggregateOptions) *estimate.Result {
	t.Helper()
	res, err := r.Aggregate(kind, o)
	require.NoError(t, err)
	checkResult(t, res)
	return res
}

// checkResult holds for every result: SE² = diag(Cov) = Σ over clusters of squared
// influence, intervals around values, shapes.
func checkResult(t testing.TB, res *estimate.Result) {
	t.Helper()
	n, k := res.Influence.Dims()
	require.Equal(t, len(res.Estimates), k)
	require.Equal(t, len(res.InfluenceUnit), n)
	units := map[string]bool{} // rows of triple differences are parts of units
	for i, u := range res.InfluenceUnit {
		if res.N.Units < n {
			u, _, _ = strings.Cut(u, partMark)
		} else {
			u = fmt.Sprint(i)
		}
		units[u] = true
	}
	require.Len(t, units, res.N.Units)
	seen := map[string]bool{}
	for j, e := range res.Estimates {
		require.False(t, seen[e.Term], e.Term)
		seen[e.Term] = true
		require.False(t, math.IsNaN(e.Value), e.Term)
		if !e.HasSE() {
			require.Zero(t, e.Value, e.Term)
			continue
		}
		require.InDelta(t, e.SE*e.SE, res.Cov.At(j, j), 1e-12*(1+e.SE*e.SE), e.Term)
		require.LessOrEqual(t, e.CI.Lo, e.Value)
		require.GreaterOrEqual(t, e.CI.Hi, e.Value)
		require.Equal(t, estimate.MeanDifference, e.Measure)
	}
}

func byTerm(res *estimate.Result) map[string]estimate.Estimate {
	out := map[string]estimate.Estimate{}
	for _, e := range res.Estimates {
		out[e.Term] = e
	}
	return out
}

func hasNote(r *estimate.Result, code string) bool {
	for _, n := range r.Notes {
		if n.Code == code {
			return true
		}
	}
	return false
}

// copyFrame returns a deep copy whose rows are those of the list.
func (f *Frame) rows(list []int) *Frame {
	g := &Frame{XNames: f.XNames, Level: f.Level}
	if f.X != nil {
		_, k := f.X.Dims()
		g.X = mat.NewDense(len(list), k, nil)
	}
	for i, r := range list {
		g.Time = append(g.Time, f.Time[r])
		if f.Cohort != nil {
			g.Cohort = append(g.Cohort, f.Cohort[r])
		}
		g.Y = append(g.Y, f.Y[r])
		if f.Unit != nil {
			g.Unit = append(g.Unit, f.Unit[r])
		}
		if f.Weight != nil {
			g.Weight = append(g.Weight, f.Weight[r])
		}
		if f.Cluster != nil {
			g.Cluster = append(g.Cluster, f.Cluster[r])
		}
		if f.X != nil {
			g.X.SetRow(i, f.X.RawRowView(r))
		}
	}
	return g
}

func (f *Frame) all() []int {
	out := make([]int, len(f.Y))
	for i := range out {
		out[i] = i
	}
	return out
}

func (f *Frame) clone() *Frame { return f.rows(f.all()) }

// where returns the rows for which keep holds.
func (f *Frame) where(keep func(i int) bool) *Frame {
	var list []int
	for i := range f.Y {
		if keep(i) {
			list = append(list, i)
		}
	}
	return f.rows(list)
}

func mapY(f *Frame, to func(i int, y float64) float64) *Frame {
	g := f.clone()
	for i, y := range g.Y {
		g.Y[i] = to(i, y)
	}
	return g
}

// kinds is every aggregation.
var kinds = []Aggregation{Cells, Simple, Group, Dynamic, Calendar}

// variants is every method on every data shape.
func variants() map[string]GroupTime {
	out := map[string]GroupTime{}
	for _, m := range []string{DoublyRobust, Weighting, Regression} {
		for _, rc := range []bool{false, true} {
			for _, c := range []string{NotYetTreated, NeverTreated} {
				for _, b := range []string{Universal, Varying} {
					out[fmt.Sprintf("%s/%s/%s/cross=%v", m, c, b, rc)] = GroupTime{Method: m, Control: c, Base: b, RepeatedCrossSection: rc}
				}
			}
		}
	}
	return out
}
