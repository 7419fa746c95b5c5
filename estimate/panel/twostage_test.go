package panel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/internal/reftest"
)

// By hand, on the panel of TestEventStudiesByHand with what it derives of imputation:
// λ2 = 2/3, λ3 = 11/6, α1 = 0, α2 = 2/3; τ(2,2) = 4/3, τ(2,3) = 25/6, τ(3,3) = -1/2.
// Effects are those of imputation. Before treatment the means of residuals: event -2 is
// unit 2 in period 1, 1/3, and event -1 is unit 1 in 1 (0) and unit 2 in 2 (-1/3): -1/6.
// Event 1 is one row, whose residual r - θ is 0: the error is that of imputation, 42/81.
// Overall has residuals -1/3, 5/2, -13/6 with ω = 1/3: unit 1 (4/3-5/3+25/6-5/3)/3 = 13/18,
// unit 2 -13/18. First stage: θ takes off λ2/3 + 2λ3/3 + α1·2/3 + α2/3, α2 = mean - λ2/2, so
// (1/3-1/6)λ2 + 2/3·λ3 counts: A⁻¹ = [[2/3, 1/3], [1/3, 11/12]] by (1/6, 2/3) is (1/3, 2/3).
// Residuals sum to 0 in a unit, so that Σ v·ε = -(ε2/3 + 2ε3/3): unit 2, ε2 = -1/3: 1/9;
// unit 3 -(1/6 - 4/9) = 5/18; unit 4 -(-1/18 + 4/9) = -7/18. Sums over units: 13/18,
// -13/18 + 1/9 = -11/18, 5/18, -7/18: SE² = (169 + 121 + 25 + 49)/324 = 364/324.
func TestTwoStageByHand(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	got := byTerm(mustStudy(t, TwoStage{EventOptions: EventOptions{Bands: Pointwise}}, f))
	require.Len(t, got, 5)
	for term, want := range map[string]float64{"event=-2": 1.0 / 3, "event=-1": -1.0 / 6, "event=0": 5.0 / 12, "event=1": 25.0 / 6, Overall: 5.0 / 3} {
		reftest.Agree(t, term, got[term].Value, want, 13)
	}
	reftest.Agree(t, "event 1 se", got["event=1"].SE, math.Sqrt(42)/9, 12)
	reftest.Agree(t, "overall se", got[Overall].SE, math.Sqrt(364)/18, 12)
	require.True(t, math.IsInf(got[Overall].Test.DF, 1))
}

// The sandwich of the two stages by dense algebra with every dummy written out, on an
// unbalanced panel with weights, a covariate and clusters:
//
//	(D'WD)⁻¹ Σ_c (Σ w·d·e - (D'WX)(X0'WX0)⁻¹ Σ w·x0·u)²,   x0 = x in untreated rows, else 0
func TestTwoStageDense(t *testing.T) {
	s := staggered{units: 40, periods: 6, cohorts: []int{3, 5, 0}, covariates: 1, noise: 1, weights: true, effect: func(g, t int) float64 { return float64(t - g + 1) }}
	f := s.draw(31)
	for i := range f.Y {
		f.X.Set(i, 0, f.X.At(i, 0)+float64((i*i)%7))
	}
	f = f.where(func(i int) bool { return i%11 != 4 })
	f.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		f.Cluster[i] = string(rune('a' + num.KeyedHash(2, u)%13))
	}
	got := byTerm(mustStudy(t, TwoStage{EventOptions: EventOptions{Bands: Pointwise}}, f))
	n := len(f.Y)
	units := map[string]int{}
	for _, u := range f.Unit {
		if _, ok := units[u]; !ok {
			units[u] = len(units)
		}
	}
	k := len(units) + s.periods // all units, periods but the first, the covariate
	x, x0, y0 := mat.NewDense(n, k, nil), mat.NewDense(n, k, nil), mat.NewVecDense(n, nil)
	for i := range n {
		root := math.Sqrt(f.Weight[i])
		x.Set(i, units[f.Unit[i]], root)
		if f.Time[i] > 1 {
			x.Set(i, len(units)+f.Time[i]-2, root)
		}
		x.Set(i, k-1, root*f.X.At(i, 0))
		if f.Cohort[i] == 0 || f.Time[i] < f.Cohort[i] {
			x0.SetRow(i, x.RawRowView(i))
			y0.SetVec(i, root*f.Y[i])
		}
	}
	var b, r mat.VecDense
	require.NoError(t, b.SolveVec(x0, y0))
	r.MulVec(x, &b)
	var gram mat.Dense
	gram.Mul(x0.T(), x0)
	check := func(term string, in func(i int) bool) {
		d, total, theta := mat.NewVecDense(n, nil), 0.0, 0.0
		for i := range n {
			if in(i) {
				root := math.Sqrt(f.Weight[i])
				d.SetVec(i, root)
				total += f.Weight[i]
				theta += f.Weight[i] * (f.Y[i] - r.AtVec(i)/root)
			}
		}
		theta /= total
		var xd, gamma, first mat.VecDense
		xd.MulVec(x.T(), d)
		require.NoError(t, gamma.SolveVec(&gram, &xd))
		first.MulVec(x0, &gamma)
		sums := map[string]float64{}
		for i := range n {
			root := math.Sqrt(f.Weight[i])
			u := root*f.Y[i] - r.AtVec(i)
			sums[f.Cluster[i]] += (d.AtVec(i)*(u-theta*d.AtVec(i)) - first.AtVec(i)*u) / total
		}
		v := 0.0
		for _, q := range sums {
			v += q * q
		}
		reftest.Agree(t, term, got[term].Value, theta, 9)
		reftest.Agree(t, term+" se", got[term].SE, math.Sqrt(v), 9)
	}
	for e := -4; e <= 3; e++ {
		check(eventTerm(e), func(i int) bool { return f.Cohort[i] != 0 && f.Time[i]-f.Cohort[i] == e })
	}
	check(Overall, func(i int) bool { return f.Cohort[i] != 0 && f.Time[i] >= f.Cohort[i] })
}

// What did2s 1.0.1 does in case 03c, but for two rows (TestReferenceTwoStageRowsLeftOut): the same sandwich with
// treated rows in the first stage's Gram matrix. Where most rows are treated it covers too seldom;
// TestEventStudiesCover shows that the sandwich itself covers. In a balanced panel the
// projection of the dummy d on both effects is its unit mean plus period mean less mean.
func TestTwoStageGramOfUntreatedRows(t *testing.T) {
	s := staggered{units: 90, periods: 8, cohorts: []int{3, 4, 4, 0}, noise: 1, balanced: true, effect: func(g, t int) float64 { return 2 }}
	got := simulate(t, func(seed uint64) map[string]bool {
		f := s.draw(seed)
		m, err := newUntreated(t.Context(), f, EventOptions{Bands: Pointwise, Workers: 1})
		require.NoError(t, err)
		l := m.l
		in := func(i int) bool { return l.treated(i, 0) }
		own := m.secondStage(average{Overall, func(g, t int) bool { return g != never && t >= g }})
		treated, periods := make([]float64, len(l.names)), make([]float64, len(l.periods))
		total := 0.0
		for i, u := range l.unit {
			if in(i) {
				treated[u]++
				periods[l.period[i]]++
				total++
			}
		}
		wrong := make([]float64, len(l.names))
		for i, u := range l.unit {
			if in(i) {
				wrong[u] += (m.tau[i] - own.value) / total
				continue
			}
			p := treated[u]/float64(len(l.periods)) + periods[l.period[i]]/float64(len(l.names)) - total/float64(len(l.y))
			wrong[u] -= p * m.tau[i] / total
		}
		covers := func(inf []float64) bool {
			return math.Abs(own.value-2) <= 1.959964*math.Sqrt(num.Dot(inf, inf))
		}
		return map[string]bool{"own": covers(own.inf), "gram of all rows": covers(wrong)}
	})
	if share := got["own"]; math.Abs(share-0.95) > band {
		t.Errorf("covers in %.4f, want 0.95 ± %.4f", share, band)
	}
	if share := got["gram of all rows"]; share > 0.9 {
		t.Errorf("with treated rows in the Gram matrix it covers in %.4f: no longer too seldom", share)
	}
	t.Log(got)
}
