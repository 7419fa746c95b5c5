package panel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// By hand, on the panel of TestEventStudiesByHand: without covariates and with all units
// in all periods the saturated regression leaves the treated rows no part in unit and
// period effects, which are then those of imputation: δ(2,2) = 4/3, δ(2,3) = 25/6 and
// δ(3,3) = -1/2. For event 1 the weights of the untreated rows are those of imputation
// too, Σ over units 42/81; the factor is G/(G-1)·(N-1)/(N-K) = 4/3·11/6 with 3 cells, 2
// periods and 1 for the nested unit effects in K.
func TestExtendedTwoWayByHand(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	res := mustStudy(t, ExtendedTwoWay{EventOptions: EventOptions{Bands: Pointwise}}, f)
	got := byTerm(res)
	require.Len(t, got, 3)
	for term, want := range map[string]float64{"event=0": 5.0 / 12, "event=1": 25.0 / 6, Overall: 5.0 / 3} {
		reftest.Agree(t, term, got[term].Value, want, 13)
	}
	reftest.Agree(t, "event 1 se", got["event=1"].SE, math.Sqrt(42.0/81*4/3*11/6), 12)
	require.Equal(t, 3.0, got[Overall].Test.DF)
	cells := res.Details["cells"].([]map[string]any)
	require.Len(t, cells, 3)
	for i, want := range []float64{4.0 / 3, 25.0 / 6, -0.5} {
		reftest.Agree(t, "cell", cells[i]["estimate"].(float64), want, 12)
	}
}

// Wooldridge (2021), theorem 6.1: balanced and without covariates the regression is
// imputation, with weights, several cohorts and anticipation too. Where units lack periods
// the two differ: a cell is one coefficient here, so that its rows say something about
// their units' effects.
func TestExtendedTwoWayIsImputation(t *testing.T) {
	s := staggered{units: 80, periods: 7, cohorts: []int{3, 5, 6, 0}, noise: 1, weights: true, effect: func(g, t int) float64 { return float64(t-g) / 2 }}
	for _, anticipation := range []int{0, 1} {
		f := s.draw(41)
		o := EventOptions{Bands: Pointwise, Anticipation: anticipation}
		a, b := mustStudy(t, ExtendedTwoWay{EventOptions: o}, f), mustStudy(t, Imputation{EventOptions: o}, f)
		gaps := f.where(func(i int) bool { return i%9 != 2 })
		require.NotEqual(t, byTerm(mustStudy(t, ExtendedTwoWay{EventOptions: o}, gaps))[Overall].Value, byTerm(mustStudy(t, Imputation{EventOptions: o}, gaps))[Overall].Value)
		require.Len(t, a.Estimates, len(b.Estimates))
		for i, e := range b.Estimates {
			require.Equal(t, e.Term, a.Estimates[i].Term)
			reftest.Near(t, e.Term, a.Estimates[i].Value, e.Value, 1e-10)
		}
	}
}

// A covariate by which trends and effects differ, fixed in each unit: effects are right to
// rounding without noise, at the mean of the treated. Without the covariate they are not;
// imputation refuses it, as it takes it as one column.
func TestExtendedTwoWayCovariate(t *testing.T) {
	s := staggered{units: 60, periods: 6, cohorts: []int{4, 5, 0}, covariates: 1, trend: 0.5, effect: func(g, t int) float64 { return float64(t - g + 1) }}
	f := s.draw(42)
	truth, rows := 0.0, 0.0
	for i := range f.Y {
		if g := f.Cohort[i]; g != 0 && f.Time[i] >= g {
			f.Y[i] += 2 * f.X.At(i, 0)
			truth += float64(f.Time[i]-g+1) + 2*f.X.At(i, 0)
			rows++
		}
	}
	o := EventOptions{Bands: Pointwise}
	reftest.Agree(t, "overall", byTerm(mustStudy(t, ExtendedTwoWay{EventOptions: o}, f))[Overall].Value, truth/rows, 10)
	bare := f.clone()
	bare.X, bare.XNames = nil, nil
	require.Greater(t, math.Abs(byTerm(mustStudy(t, ExtendedTwoWay{EventOptions: o}, bare))[Overall].Value-truth/rows), 0.01)
	_, err := Imputation{EventOptions: o}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	// One that varies within units: y is linear in it, and in nothing else.
	for i := range f.Y {
		x := float64(num.KeyedHash(9, f.Unit[i])%7) * float64((f.Time[i]*3)%4)
		f.X.Set(i, 0, x)
		f.Y[i] = 3*x + float64(f.Time[i])
		if g := f.Cohort[i]; g != 0 && f.Time[i] >= g {
			f.Y[i] += 2
		}
	}
	reftest.Agree(t, "varying", byTerm(mustStudy(t, ExtendedTwoWay{EventOptions: o}, f))[Overall].Value, 2, 9)
	// A level of a million costs no digits, and a second column takes part.
	n := len(f.Y)
	two := mat.NewDense(n, 2, nil)
	for i := range n {
		two.SetRow(i, []float64{f.X.At(i, 0) + 1e6, float64(num.KeyedHash(4, f.Unit[i]) % 11)})
		f.Y[i] += 0.7 * two.At(i, 1) * float64(f.Time[i])
	}
	f.X, f.XNames = two, []string{"x", "z"}
	reftest.Agree(t, "two", byTerm(mustStudy(t, ExtendedTwoWay{EventOptions: o}, f))[Overall].Value, 2, 8)
}

// Thin cells are named in a note, and those that nothing compares with in an error.
func TestExtendedTwoWayCellsAreNamed(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	res := mustStudy(t, ExtendedTwoWay{}, f)
	require.True(t, hasNote(res, "few-treated"))
	require.True(t, hasNote(res, "few-clusters"))
	// Period 3 without units that are not yet treated: the effect cannot be told.
	gone := f.where(func(i int) bool { return f.Cohort[i] != 0 || f.Time[i] < 3 })
	_, err := ExtendedTwoWay{}.Fit(t.Context(), gone)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	require.ErrorContains(t, err, "time=3")
}
