package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// twoGroups is a panel of two periods with the given changes, entry in 2.
func twoGroups(treated, control []float64) *Frame {
	f := &Frame{Level: 0.95}
	add := func(name string, g int, d float64) {
		for t := 1; t <= 2; t++ {
			f.Unit = append(f.Unit, name)
			f.Time = append(f.Time, t)
			f.Cohort = append(f.Cohort, g)
			f.Y = append(f.Y, 7+d*float64(t-1))
		}
	}
	for i, d := range control {
		add(fmt.Sprintf("c%02d", i), 0, d)
	}
	for i, d := range treated {
		add(fmt.Sprintf("t%02d", i), 2, d)
	}
	return f
}

func mustInfer(t testing.TB, f *Frame, g GroupTime, kind Aggregation, o FewOptions) *FewResult {
	t.Helper()
	res, err := mustFit(t, g, f).Infer(t.Context(), kind, o)
	require.NoError(t, err)
	checkResult(t, withoutErrors(res.Result()))
	return res
}

// withoutErrors keeps what holds for every result: the errors here are the method's own.
func withoutErrors(r *estimate.Result) *estimate.Result {
	for j := range r.Estimates {
		r.Estimates[j].SE = math.Sqrt(r.Cov.At(j, j))
		r.Estimates[j].CI.Lo, r.Estimates[j].CI.Hi = r.Estimates[j].Value, r.Estimates[j].Value
	}
	return r
}

func answer(t testing.TB, r *FewResult, term int, m FewMethod) FewAnswer {
	t.Helper()
	for _, a := range r.Terms[term].Answers {
		if a.Method == m {
			require.True(t, a.Computed, "%s: %s", m, a.Why.Text)
			return a
		}
	}
	t.Fatalf("no answer by %s", m)
	return FewAnswer{}
}

// Changes 3 and 5 of the treated, 0, 1 and 2 of the others: θ = 4 - 1 = 3.
//
// cr2 is Welch's error, V = 2/2 + 1/3 = 4/3, with Bell and McCaffrey's degrees of freedom
// (1/2 + 1/3)²/(1/(4·1) + 1/(9·2)) = 25/11. cr3: e/(1-h) = ±2 of the treated (h = 1/2),
// ±3/2 and 0 of the others (h = 1/3): V = 2·(2/2)² + 2·(3/2/3)² = 5/2.
//
// Randomisation: a pair with sum S in place of the treated gives 5S/6 - 11/3. Of the ten
// pairs only the true one reaches 3 (S = 1 gives -17/6): p = 1/10. Sign changes: own
// effects 2 and 4, 3 and 1 in absolute mean: p = 1/2. Equal effects of 1 from entry on
// are not rejected either: changes 2, 4, 0, 1, 2.
func TestFewByHand(t *testing.T) {
	f := twoGroups([]float64{3, 5}, []float64{0, 1, 2})
	r := mustInfer(t, f, GroupTime{}, Simple, FewOptions{Alternatives: true, Draws: 99, Statistic: Difference})
	term := r.Terms[0]
	require.Equal(t, Overall, term.Estimate.Term)
	cr2, cr3 := answer(t, r, 0, FewCR2).Estimate, answer(t, r, 0, FewCR3).Estimate
	reftest.Agree(t, "estimate", cr2.Value, 3, 14)
	reftest.Agree(t, "cr2", cr2.SE*cr2.SE, 4.0/3, 14)
	reftest.Agree(t, "df", cr2.Test.DF, 25.0/11, 14)
	reftest.Agree(t, "cr3", cr3.SE*cr3.SE, 2.5, 14)
	reftest.Agree(t, "effective clusters", term.Design.Effective, (25.0/36)/(1.0/8+1.0/27), 14)
	reftest.Agree(t, "largest share", term.Design.Largest, (1.0/4)/(5.0/6), 14)
	ri := answer(t, r, 0, FewRandomisation)
	reftest.Agree(t, "randomisation", ri.Estimate.Test.P, 0.1, 14)
	require.True(t, ri.All)
	require.Equal(t, 10, ri.Draws)
	reftest.Agree(t, "sign changes", answer(t, r, 0, FewSignChanges).Estimate.Test.P, 0.5, 14)
	require.Empty(t, term.Chosen)
	require.True(t, math.IsNaN(term.Estimate.SE))
	require.Equal(t, "inference-refused", term.Why.Code)
	require.EqualValues(t, 7, term.Why.Args["units"], "C(6,2) = 15 < 20 <= C(7,2) = 21")
}

// One treated with a change of 5 among 0, 1, 2 and 5: θ = 3.
//
// Conley-Taber: errors -2, -1, 0, 3 of the donors over √(3/4) (their mean takes a quarter
// of each) times √(5/4) (the mean has an error too): times √(5/3) that is 2.58, 1.29, 0,
// 3.87, one of which reaches 3: p = 2/5. Placebo: each donor less the mean of the three
// others, -8/3, -4/3, 0, 4: p = 2/5. With level 0.6 the interval of the placebo holds
// what is nearer than 8/3, for p = 3/5 from there on and 2/5 beyond.
// Randomisation: 5v/4 - 13/4 for v = 5, 0, 1, 2, 5 reaches 3 three times: p = 3/5.
func TestFewOneTreatedByHand(t *testing.T) {
	f := twoGroups([]float64{5}, []float64{0, 1, 2, 5})
	f.Level = 0.55
	r := mustInfer(t, f, GroupTime{}, Simple, FewOptions{Alternatives: true})
	reftest.Agree(t, "estimate", r.Terms[0].Estimate.Value, 3, 14)
	ct := answer(t, r, 0, FewConleyTaber).Estimate
	reftest.Agree(t, "conley-taber", ct.Test.P, 0.4, 14)
	reftest.Agree(t, "spread", ct.SE, math.Sqrt(14.0/4*5/3), 14)
	pl := answer(t, r, 0, FewPlacebo).Estimate
	reftest.Agree(t, "placebo", pl.Test.P, 0.4, 14)
	reftest.Agree(t, "lower", pl.CI.Lo, 3-8.0/3, 8)
	reftest.Agree(t, "upper", pl.CI.Hi, 3+8.0/3, 8)
	reftest.Agree(t, "randomisation", answer(t, r, 0, FewRandomisation).Estimate.Test.P, 0.6, 14)
}

// Donors of size 1 with changes ±2 and of size 4 with ±1: e² = 4/size, so a = 0 and the
// variance of a treated unit of size 4 is that of the size-4 donors: all draws are
// ±√(5/3) = ±1.291. An estimate of 1.29 is reached by all (p = 1), of 1.3 by none (1/5).
// Without sizes half the draws are twice as large: p = 3/5.
func TestFewFermanPintoByHand(t *testing.T) {
	size := map[string]float64{"c00": 1, "c01": 1, "c02": 4, "c03": 4, "t00": 4}
	for _, c := range [][3]float64{{1.29, 1, 1}, {1.3, 0.2, 0.6}} {
		w, err := mustFit(t, GroupTime{}, twoGroups([]float64{c[0]}, []float64{2, -2, 1, -1})).prepareFew(FewOptions{Size: size, Draws: 99}, 0.95)
		require.NoError(t, err)
		term := w.terms(Simple, nil)[0]
		reftest.Near(t, "rescaled", term.donors(true).P(c[0]), c[1], 1e-15)
		reftest.Near(t, "as they are", term.donors(false).P(c[0]), c[2], 1e-15)
	}
}

// In one cell the wild bootstrap is that of the regression of changes on treatment:
// package effect's, all 2^8 sign patterns.
func TestFewWildIsThatOfTheRegression(t *testing.T) {
	treated, control := []float64{3, 5, 2.5}, []float64{0, 1, 2, -1.5, 0.3}
	r := mustInfer(t, twoGroups(treated, control), GroupTime{}, Simple, FewOptions{Method: FewWild})
	f := &estimate.Frame{Level: 0.95, XNames: []string{"d"}, X: mat.NewDense(8, 1, nil)}
	for i, v := range append(append([]float64{}, control...), treated...) {
		f.Unit, f.Y, f.Cluster = append(f.Unit, fmt.Sprint(i)), append(f.Y, v), append(f.Cluster, i)
		if i >= len(control) {
			f.X.Set(i, 0, 1)
		}
	}
	want, err := effect.OLS{Vcov: effect.Wild}.Fit(t.Context(), f)
	require.NoError(t, err)
	got, ref := r.Terms[0].Estimate, want.Estimates[1]
	reftest.Agree(t, "estimate", got.Value, ref.Value, 14)
	reftest.Agree(t, "p", got.Test.P, ref.Test.P, 14)
	reftest.Agree(t, "lower", got.CI.Lo, ref.CI.Lo, 8)
	reftest.Agree(t, "upper", got.CI.Hi, ref.CI.Hi, 8)
}

// A staggered panel small enough for brute force.
var fewStaggered = staggered{units: 26, periods: 6, cohorts: []int{3, 5, 0, 0}, noise: 1, balanced: true, weights: true,
	effect: func(g, t int) float64 { return float64(t - g + 1) }}

// Reassigned entry dates are what the fit gives when the file has them.
func TestFewReassignmentIsTheFit(t *testing.T) {
	f := fewStaggered.draw(4)
	f.Weight = nil // shares of cohorts would move with weights
	for _, g := range []GroupTime{{}, {Control: NeverTreated, Base: Varying}} {
		for _, kind := range []Aggregation{Simple, Dynamic, Group} {
			r := mustFit(t, g, f)
			w, err := r.prepareFew(FewOptions{Draws: 99}, 0.95)
			require.NoError(t, err)
			terms := w.terms(kind, nil)
			permutations(w.cohort, 2, 7, "test", 1, func(_ int, list []int) {
				other := f.clone()
				for i := range other.Y {
					for pos, u := range w.l.unit {
						if u == other.Unit[i] {
							other.Cohort[i] = w.l.cohorts[list[pos]]
							if other.Cohort[i] == never {
								other.Cohort[i] = 0
							}
						}
					}
				}
				want := byTerm(mustAggregate(t, mustFit(t, g, other), kind, AggregateOptions{Bands: Pointwise}))
				for _, term := range terms {
					term.adjust()
					theta, _ := term.assigned(list, [][][]float64{term.changes}, false)
					reftest.Near(t, string(kind)+" "+term.name, theta[0], want[term.name].Value, 1e-12)
				}
			})
		}
	}
}

// cr3 is the jackknife: taking out a unit that is in one cell's arm moves the estimate by
// its influence over 1 - h, with weights and covariates too.
func TestFewLeverageIsLeaveOneOut(t *testing.T) {
	s := staggered{units: 24, periods: 3, cohorts: []int{3, 0, 0}, covariates: 2, noise: 1, weights: true, balanced: true, trend: 0.3}
	for _, weights := range []bool{false, true} {
		f := s.draw(9)
		if !weights {
			f.Weight = nil
		}
		r := mustFit(t, GroupTime{Method: Regression}, f)
		w, err := r.prepareFew(FewOptions{Draws: 99}, 0.95)
		require.NoError(t, err)
		term := w.terms(Simple, nil)[0]
		c := term.cells[0]
		c.rows(func(row, pos int, _ bool) {
			out := f.where(func(i int) bool { return f.Unit[i] != w.l.unit[pos] })
			without := mustAggregate(t, mustFit(t, GroupTime{Method: Regression}, out), Simple, AggregateOptions{}).Estimates[0].Value
			reftest.Near(t, w.l.unit[pos], c.inf[row]/(1-c.lever[row]), term.value-without, 1e-11)
		})
		// The kernel is the derivative in the outcomes, and gives the estimate itself.
		sum := 0.0
		for pos, k := range term.kernel {
			for p, v := range k {
				sum += v * w.l.y[p][pos]
			}
		}
		reftest.Near(t, "Σ kernel·outcome", sum, term.value, 1e-12)
	}
}

// What must not matter: order of the rows, workers, unit and period levels; what must:
// scale, in proportion.
func TestFewRelations(t *testing.T) {
	f := fewStaggered.draw(5)
	o := FewOptions{Alternatives: true, Draws: 199, Seed: 3}
	want := mustInfer(t, f, GroupTime{}, Dynamic, o)
	list := f.all()
	s := num.NewStream(1, "shuffle", 0)
	for i := len(list) - 1; i > 0; i-- {
		j := s.Intn(i + 1)
		list[i], list[j] = list[j], list[i]
	}
	o.Workers = 7
	shuffled := mustInfer(t, f.rows(list), GroupTime{}, Dynamic, o)
	for i, term := range want.Terms {
		for k, a := range term.Answers {
			b := shuffled.Terms[i].Answers[k]
			require.Equal(t, a.Computed, b.Computed)
			if a.Computed {
				require.Equal(t, fmt.Sprint(a.Estimate), fmt.Sprint(b.Estimate)) // NaN
			}
		}
	}
	moved := mustInfer(t, mapY(f, func(i int, y float64) float64 {
		return 4*y + 16*float64(f.Time[i]*f.Time[i]) + float64(len(f.Unit[i])) + float64(f.Unit[i][4])
	}), GroupTime{}, Dynamic, o)
	for i, term := range want.Terms {
		require.Equal(t, term.Chosen, moved.Terms[i].Chosen)
		for k, a := range term.Answers {
			if b := moved.Terms[i].Answers[k]; a.Computed {
				reftest.Near(t, "SE by "+string(a.Method), b.Estimate.SE, 4*a.Estimate.SE, 1e-9)
				reftest.Near(t, "p by "+string(a.Method), b.Estimate.Test.P, a.Estimate.Test.P, 1e-9)
			}
		}
	}
}
