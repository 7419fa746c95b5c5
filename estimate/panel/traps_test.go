package panel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/internal/reftest"
)

// Mistakes that recur in software for these estimators, and the tests that would see them here:
//
//	 1 aggregates without the error of the estimated cohort shares   TestSimpleAggregateByHand, TestInfluenceIsTheDerivative
//	 2 influence without the propensity step, or not centred         TestPropensityStepCounts, TestInfluenceIsTheDerivative
//	 3 means of clusters in the bootstrap instead of sums            TestBootstrapUsesClusterSums, TestEventStudiesBandOfClusters
//	 4 weights accepted and ignored                                  TestWeightsShiftShares, TestWeightsAreCopies, TestFitEventStudyTakesDidFlags (cmd/utfall)
//	 5 own cohort or treated units as controls, anticipation         TestComparisonGroups, TestAnticipation, TestEventStudiesNoTreatedRow
//	 6 2n for n in repeated cross-sections                           TestFourMeansByHand, TestInfluenceIsTheDerivative
//	 7 treated that nothing compares with dropped in silence         TestCellsLeftOut, TestEventStudiesNeverAbsent, TestOutsideTheWindow
//	 8 another method in the place of one that fails                 TestNothingTakesTheFailedMethodsPlace
//	 9 "converged" with the equations unmet                          TestPropensitiesSolveTheirEquations
//	10 options swallowed                                             TestBadOptions, TestOptionsMatter, TestFitEventStudyTakesDidFlags (cmd/utfall)
//	11 random numbers that hang on the workers                       TestDeterminism
//	12 sums that hang on the workers or the order of rows            TestDeterminism, TestEventStudiesInvariants

// The influence function is the derivative of the estimate in the weight of one
// unit: ψ[i] = ∂θ/∂log w[i]. Central differences (h = 1e-4, error of order h²) check
// every term of every influence function: propensity (trap 2), regressions, estimated
// shares (trap 1) and the normaliser of cross-sections (trap 6).
func TestInfluenceIsTheDerivative(t *testing.T) {
	s := small
	s.weights, s.units, s.covariates = true, 48, 2
	f := s.draw(31)
	const h = 1e-4
	for name, g := range variants() {
		r := mustFit(t, g, f)
		ref := map[Aggregation]*mat.Dense{}
		terms := map[Aggregation][]string{}
		for _, kind := range kinds {
			res := mustAggregate(t, r, kind, AggregateOptions{Bands: Pointwise})
			ref[kind] = res.Influence
			for _, e := range res.Estimates {
				terms[kind] = append(terms[kind], e.Term)
			}
		}
		for _, pos := range []int{0, r.Units() / 4, r.Units() / 2, r.Units() - 3} {
			up, down := f.clone(), f.clone()
			matched := 0
			for i := range f.Y {
				hit := f.Unit[i] == r.Unit(pos)
				if g.RepeatedCrossSection { // the row, found by its outcome
					hit = f.Y[i] == r.layout.y[0][pos]
				}
				if hit {
					matched++
					up.Weight[i] *= math.Exp(h)
					down.Weight[i] *= math.Exp(-h)
				}
			}
			require.Contains(t, []int{1, s.periods}, matched)
			ru, rd := mustFit(t, g, up), mustFit(t, g, down)
			for _, kind := range kinds {
				a := mustAggregate(t, ru, kind, AggregateOptions{Bands: Pointwise})
				b := mustAggregate(t, rd, kind, AggregateOptions{Bands: Pointwise})
				for j, term := range terms[kind] {
					slope := (a.Estimates[j].Value - b.Estimates[j].Value) / (2 * h)
					reftest.Near(t, fmt.Sprintf("%s %s %s, position %d", name, kind, term, pos), ref[kind].At(pos, j), slope, 2e-8)
				}
			}
		}
	}
}

// Trap 2: the influence function is centred, and knowing the propensity is not the
// same as estimating it: without its term the standard error is another.
func TestPropensityStepCounts(t *testing.T) {
	r := mustFit(t, GroupTime{Method: Weighting}, small.draw(32))
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Reference {
			continue
		}
		reftest.Near(t, "sum of influence", num.Sum(c.inf), 0, 1e-12)
	}
	d, err := newPanelDesign(r.layout, r.Cells[2].spans, r.Cells[2].Treated, 0, 0, Weighting)
	require.NoError(t, err)
	dy, inf, scratch := make([]float64, d.n), make([]float64, d.n), make([]float64, d.n)
	x := r.index[2]
	r.layout.change(r.Cells[2].spans, x.base, x.period, dy)
	clear(d.cov) // as if the propensity were known
	d.estimate(dy, inf, scratch)
	require.Greater(t, math.Abs(math.Sqrt(sumSquares(inf))/r.Cells[2].SE-1), 0.005)
}

// Trap 3: cluster sums, not means. Clusters of 1, 2 and 3 copies of a unit know as
// much as the unit with weight 1, 2 and 3; the band is then the same to rounding.
func TestBootstrapUsesClusterSums(t *testing.T) {
	f := small.draw(33)
	f.Cluster, f.Weight = slices.Clone(f.Unit), ones(len(f.Y))
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
	a := mustAggregate(t, mustFit(t, GroupTime{}, f), Dynamic, AggregateOptions{Seed: 3})
	b := mustAggregate(t, mustFit(t, GroupTime{}, copies), Dynamic, AggregateOptions{Seed: 3})
	for i, e := range a.Estimates {
		if e.HasSE() {
			reftest.Agree(t, e.Term, b.Estimates[i].CI.Hi, e.CI.Hi, 9)
		}
	}
	independent := f.clone()
	independent.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		independent.Cluster[i] = fmt.Sprint(num.KeyedHash(5, u) % 10)
	}
	c := mustAggregate(t, mustFit(t, GroupTime{}, independent), Dynamic, AggregateOptions{Seed: 3})
	require.Equal(t, 10, c.N.Clusters)
	require.NotEqual(t, a.Estimates[0].SE, c.Estimates[0].SE)
	require.Equal(t, a.Estimates[0].Value, c.Estimates[0].Value)
}

// The bootstrap's draws have the analytic variance: the 0.6827 quantile of |Σ vψ|/SE
// of one term is 1, the 0.95 quantile 1.96 (Monte Carlo error at 19,999 draws: 0.01).
func TestBootstrapVariance(t *testing.T) {
	r := mustFit(t, GroupTime{}, staggered{units: 400, periods: 3, cohorts: []int{2, 0}, noise: 1}.draw(6))
	c := r.Cells[1]
	scaled := make([]float64, len(c.inf))
	for i, v := range c.inf {
		scaled[i] = v / c.SE
	}
	reftest.Near(t, "one SE", supremumQuantile([][]float64{scaled}, 0.6826894921370859, 19999, 1, 2).critical, 1, 0.04)
	reftest.Near(t, "95 %", supremumQuantile([][]float64{scaled}, 0.95, 19999, 1, 2).critical, 1.959964, 0.06)
	// Five independent terms: 0.95 = (2Φ(c)-1)^5 gives c = 2.5688.
	var five [][]float64
	for k := range 5 {
		col := make([]float64, 1000)
		for i := range col {
			col[i] = num.NewStream(8, "five", uint64(1000*k+i)).Normal() / math.Sqrt(1000)
		}
		five = append(five, col)
	}
	reftest.Near(t, "five terms", supremumQuantile(five, 0.95, 19999, 1, 2).critical, 2.5688, 0.12)
}

// Trap 5, a property of every cell of every design: nobody in a comparison group is
// of the cell's own cohort, or treated (or within the anticipation of treatment) in
// either of the two periods; and everyone else who may be there is.
func TestComparisonGroups(t *testing.T) {
	f := staggered{units: 90, periods: 8, cohorts: []int{2, 3, 5, 6, 8, 0}, noise: 1, balanced: true}.draw(7)
	for name, g := range variants() {
		for k := range 3 {
			g.Anticipation = k
			r := mustFit(t, g, f)
			for i := range r.Cells {
				c := &r.Cells[i]
				if c.Post || g.Base == Universal {
					require.Less(t, c.Base+k, c.Group, name)
				}
				in := map[int]bool{}
				for _, x := range r.controls(r.index[i]) {
					cohort := r.layout.cohorts[x]
					in[cohort] = true
					require.NotEqual(t, c.Group, cohort, name)
					if cohort != never {
						require.Greater(t, cohort, c.Time+k, name)
						require.Greater(t, cohort, c.Base+k, name)
						require.Equal(t, NotYetTreated, g.Control)
					}
				}
				for _, cohort := range []int{2, 3, 5, 6, 8} {
					if g.Control == NotYetTreated && cohort != c.Group && cohort > max(c.Time, c.Base)+k {
						require.True(t, in[cohort], "%s: cohort %d is missing from %s", name, cohort, c.term())
					}
				}
				require.True(t, in[never])
			}
		}
	}
}

// Trap 5: effects that start one period early bias the placebo before treatment and
// the base period; anticipation 1 moves the base and is right again.
func TestAnticipation(t *testing.T) {
	f := staggered{units: 4000, periods: 6, cohorts: []int{4, 5, 0}, noise: 0.3, balanced: true,
		effect: func(int, int) float64 { return 2 }}.draw(8)
	f = mapY(f, func(i int, y float64) float64 {
		if f.Cohort[i] != 0 && f.Time[i] == f.Cohort[i]-1 {
			return y + 1
		}
		return y
	})
	overall := func(k int) (estimate, placebo float64) {
		terms := byTerm(mustAggregate(t, mustFit(t, GroupTime{Control: NeverTreated, Anticipation: k}, f), Dynamic, AggregateOptions{Bands: Pointwise}))
		return terms[Overall].Value, terms["event=-3"].Value
	}
	biased, placebo := overall(0)
	reftest.Near(t, "base within the anticipation", biased, 1, 0.05)
	reftest.Near(t, "placebo", placebo, -1, 0.05)
	right, placebo := overall(1)
	reftest.Near(t, "base before the anticipation", right, 2, 0.05)
	reftest.Near(t, "placebo", placebo, 0, 0.05)
	r := mustFit(t, GroupTime{Anticipation: 1}, f)
	require.Less(t, r.PreTest(0).P, 1e-10) // the anticipation period itself
	require.Greater(t, r.PreTest(1).P, 0.001)
}

// Trap 4 beyond M30: sampling weights shift the cohort shares of the aggregates too.
func TestWeightsShiftShares(t *testing.T) {
	f := handPanel()
	f.Weight = ones(len(f.Y))
	for i, g := range f.Cohort {
		if g == 3 {
			f.Weight[i] = 2
		}
	}
	e := mustAggregate(t, mustFit(t, GroupTime{Control: NeverTreated}, f), Simple, AggregateOptions{}).Estimates[0]
	reftest.Agree(t, "shares 2:2:2", e.Value, 2, 14)
}

// Covariates and weights of a cell are those of the earlier of its two periods; what
// happens to them after treatment changes nothing.
func TestCovariatesAreBaseline(t *testing.T) {
	s := small
	s.cohorts, s.periods, s.weights = []int{3, 0}, 3, true
	f := s.draw(41)
	later := f.clone()
	for i, p := range f.Time {
		if p == 3 { // base 2: cells (3,1) uses period 1, (3,3) period 2
			later.X.Set(i, 0, 100*f.Y[i])
			later.Weight[i] *= 1 + f.Y[i]*f.Y[i]
		}
	}
	first := f.clone()
	for i, p := range f.Time {
		if p == 1 {
			first.X.Set(i, 0, f.Y[i])
		}
	}
	second := f.clone()
	for i, p := range f.Time {
		if p == 2 {
			second.Weight[i] *= 1 + f.Y[i]*f.Y[i]
		}
	}
	a, b := mustFit(t, GroupTime{}, f), mustFit(t, GroupTime{}, second)
	for i := range a.Cells {
		require.Equal(t, a.Cells[i].Time == 3, a.Cells[i].ATT != b.Cells[i].ATT)
	}
	for _, m := range []string{DoublyRobust, Weighting, Regression} {
		a, b, c := mustFit(t, GroupTime{Method: m}, f), mustFit(t, GroupTime{Method: m}, later), mustFit(t, GroupTime{Method: m}, first)
		for i := range a.Cells {
			require.Equal(t, a.Cells[i].ATT, b.Cells[i].ATT)
			require.Equal(t, a.Cells[i].Time == 1, a.Cells[i].ATT != c.Cells[i].ATT)
		}
	}
}

// By hand: one effect before treatment, so that W is its squared z.
func TestPreTestByHand(t *testing.T) {
	r := mustFit(t, GroupTime{}, staggered{units: 30, periods: 3, cohorts: []int{3, 0}, noise: 1, balanced: true}.draw(42))
	p, c := r.PreTest(0), r.Cells[0]
	z := c.ATT / c.SE
	reftest.Agree(t, "W", p.Stat, z*z, 13)
	require.Equal(t, 1.0, p.DF)
	reftest.Agree(t, "p", p.P, num.NormalTail(z), 10)
	// More effects than units: the covariance is singular and there is no test.
	few := staggered{units: 6, periods: 9, cohorts: []int{9, 0}, noise: 1, balanced: true}.draw(43)
	p = mustFit(t, GroupTime{}, few).PreTest(0)
	require.True(t, math.IsNaN(p.Stat))
	require.Contains(t, p.Reason, "singular")
}

// A cohort that starts within K after the last period is anticipating inside the
// window: with K = 2 its units are no comparison for any cell, with K = 0 for all.
func TestLateCohort(t *testing.T) {
	f := staggered{units: 60, periods: 5, cohorts: []int{4, 6, 0}, noise: 1, balanced: true}.draw(44)
	for k, want := range map[int]int{0: 40, 1: 20, 2: 20} { // K = 0: never treated; else a cohort of its own
		r := mustFit(t, GroupTime{Control: NeverTreated, Anticipation: k}, f)
		last := r.Cells[len(r.Cells)-1]
		require.Equal(t, "group=4,time=5", last.term())
		require.Equal(t, want, last.Control)
	}
	r := mustFit(t, GroupTime{Anticipation: 1}, f) // 6 > t+1 up to t = 4
	require.Equal(t, 40, r.Cells[len(r.Cells)-2].Control)
	require.Equal(t, 20, r.Cells[len(r.Cells)-1].Control)
}

// Comparison units that look treated: counted from 0.995, odds capped at those of
// 1 - 1e-6 and equal to p/(1-p) below.
func TestPoorOverlap(t *testing.T) {
	f := &Frame{Level: 0.95, XNames: []string{"x"}}
	var x []float64
	add := func(u, g int, v float64) {
		for p := 1; p <= 2; p++ {
			f.Unit, f.Time, f.Cohort = append(f.Unit, fmt.Sprintf("%05d", u)), append(f.Time, p), append(f.Cohort, g)
			f.Y, x = append(f.Y, float64(p*u%7)), append(x, v)
		}
	}
	for u := range 4000 {
		r := num.NewStream(1, "overlap", uint64(u))
		v, g := 6*r.Float()-3, 0
		if r.Float() < 1/(1+math.Exp(-6*v)) {
			g = 2
		}
		add(u, g, v)
	}
	add(4000, 0, 4)
	for i := range 9 {
		add(4001+i, 0, 0.8+0.1*float64(i)) // on both sides of 0.995
	}
	f.X = mat.NewDense(len(x), 1, x)
	r := mustFit(t, GroupTime{Method: Weighting}, f)
	require.True(t, hasNote(mustAggregate(t, r, Simple, AggregateOptions{}), "poor-overlap"))
	c := r.Cells[1]
	d, err := newPanelDesign(r.layout, c.spans, c.Treated, 0, 0, Weighting)
	require.NoError(t, err)
	capped, poor := 0, 0
	for i, o := range d.odds {
		p := d.p[d.treated+i]
		if p >= 0.995 {
			poor++
		}
		if p == 1-1e-6 {
			capped++
			reftest.Agree(t, "capped odds", o, 999999, 8)
			continue
		}
		reftest.Agree(t, "odds", o, p/(1-p), 14)
	}
	require.Equal(t, 1, capped)
	require.Equal(t, d.poor, poor)
	require.Greater(t, poor, capped)
}
