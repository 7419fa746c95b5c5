package progress

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// answersOf makes answers from rows; nan is a missing one.
func answersOf(rows ...[]float64) *Answers {
	a := &Answers{X: mat.NewDense(len(rows), len(rows[0]), nil), Level: 0.95}
	for i, r := range rows {
		a.Unit = append(a.Unit, fmt.Sprintf("u%04d", i))
		a.X.SetRow(i, r)
	}
	for j := range rows[0] {
		a.Names = append(a.Names, fmt.Sprint("q", j+1))
	}
	return a
}

// copies repeats a row.
func copies(n int, row ...float64) (out [][]float64) {
	for range n {
		out = append(out, row)
	}
	return out
}

func value(t *testing.T, r *estimate.Result, term string) float64 { return named(t, r, term).Value }

// One graded item with slope 2 and intercepts log 3 and −log 3 at θ = 0: P(Y ≥ 1) = 3/4 and
// P(Y ≥ 2) = 1/4, so that the categories have 1/4, 1/2, 1/4; its thresholds are ∓log(3)/2. The derivative of the
// log probabilities by a·θ is σ(−x) − σ(y): −3/4, 0, 3/4, and the information 4·(2·9/64) = 9/8.
// The partial credit item with d = (log 2, 0) has odds 1 : 2 : 1, the mean 1 and the variance 1/2.
func TestItemsByHand(t *testing.T) {
	prob := func(it *irtItem) (out []float64) {
		p := make([][]float64, it.cats)
		for k := range p {
			p[k] = make([]float64, 1)
		}
		it.probabilities([]float64{0}, p)
		for k := range p {
			out = append(out, p[k][0])
		}
		return out
	}
	g := &irtItem{graded: true, cats: 3, a: 2, d: []float64{math.Log(3), -math.Log(3)}}
	for k, want := range []float64{0.25, 0.5, 0.25} {
		reftest.Agree(t, "graded", prob(g)[k], want, 15)
	}
	b, _ := g.thresholds()
	reftest.Agree(t, "b1", b[0], -math.Log(3)/2, 15)
	reftest.Agree(t, "b2", b[1], math.Log(3)/2, 15)
	reftest.Agree(t, "information", g.information(0), 9.0/8, 14)
	c := &irtItem{cats: 3, a: 2, d: []float64{math.Log(2), 0}}
	for k, want := range []float64{0.25, 0.5, 0.25} {
		reftest.Agree(t, "credit", prob(c)[k], want, 15)
	}
	b, _ = c.thresholds()
	reftest.Agree(t, "b1", b[0], -math.Log(2)/2, 15)
	reftest.Agree(t, "b2", b[1], math.Log(2)/2, 15)
	reftest.Agree(t, "information", c.information(0), 2, 14)
}

// Scores, gradient and Hessian are the derivatives of log P.
func TestItemDerivatives(t *testing.T) {
	theta := []float64{-2.3, -0.4, 0.1, 1.7}
	for _, it := range []*irtItem{
		{graded: true, cats: 4, a: 1.3, d: []float64{1.5, 0.2, -1.1}}, {graded: true, cats: 2, a: -0.7, d: []float64{0.3}},
		{cats: 4, a: 0.8, d: []float64{0.5, 1.2, -0.3}}, {graded: true, fixed: true, cats: 3, a: 1, d: []float64{1, -1}}, {fixed: true, cats: 3, a: 1, d: []float64{1, -1}},
	} {
		logp := func(k, q int) float64 {
			p := make([][]float64, it.cats)
			for k := range p {
				p[k] = make([]float64, len(theta))
			}
			it.probabilities(theta, p)
			return math.Log(p[k][q])
		}
		point := make([]float64, it.parameters())
		it.set(point)
		counts := make([][]float64, it.cats)
		for k := range counts {
			for q := range theta {
				counts[k] = append(counts[k], float64(1+k+2*q))
			}
		}
		sc := it.scores(theta)
		_, grad, hess := it.complete(theta, counts)
		off := it.cats - it.parameters()
		const h = 1e-5
		for a := range point {
			moved := func(by float64, f func() float64) float64 {
				p := slices.Clone(point)
				p[a] += by
				it.get(p)
				defer it.get(point)
				return f()
			}
			for k := range it.cats {
				for q := range theta {
					want := (moved(h, func() float64 { return logp(k, q) }) - moved(-h, func() float64 { return logp(k, q) })) / (2 * h)
					got := 0.0
					for _, s := range sc[k] {
						if s.par == a {
							got = s.by[q]
						}
					}
					require.InDelta(t, want, got, 1e-8)
				}
			}
			val := func() float64 { v, _, _ := it.complete(theta, counts); return v }
			require.InDelta(t, (moved(h, val)-moved(-h, val))/(2*h), grad[a+off], 1e-6)
			for b := range point {
				g := func() float64 { _, g, _ := it.complete(theta, counts); return g[b+off] }
				require.InDelta(t, (moved(h, g)-moved(-h, g))/(2*h), hess.At(a+off, b+off), 1e-6)
			}
		}
	}
}

// Two items of the Rasch model have as many parameters as free cells, so that the fit is the table
// itself: log likelihood Σ n·log(n/N), and from P(10)/P(01) = exp(b2 − b1), whatever the trait's
// distribution, b2 − b1 = log(30/15). The conditional likelihood says the same.
func TestRaschTwoItemsByHand(t *testing.T) {
	rows := slices.Concat(copies(40, 1, 1), copies(30, 1, 0), copies(15, 0, 1), copies(25, 0, 0))
	r, err := Rasch{}.Fit(t.Context(), answersOf(rows...))
	require.NoError(t, err)
	reftest.Agree(t, "b2 - b1", value(t, r, "q2/b1")-value(t, r, "q1/b1"), math.Log(2), 9)
	want := 0.0
	for _, n := range []float64{40, 30, 15, 25} {
		want += n * math.Log(n/110)
	}
	reftest.Agree(t, "loglik", r.Details["loglik"].(float64), want, 13)
	require.Equal(t, 3, r.Details["parameters"])
	// Var(b2 − b1) is that of the log ratio of two counts: 1/30 + 1/15.
	i, j := index(t, r, "q1/b1"), index(t, r, "q2/b1")
	reftest.Agree(t, "variance", r.Cov.At(i, i)+r.Cov.At(j, j)-2*r.Cov.At(i, j), 1.0/30+1.0/15, 7)
	require.Contains(t, codes(r), "slopes-fixed")
}

func index(t *testing.T, r *estimate.Result, term string) int {
	t.Helper()
	return slices.IndexFunc(r.Estimates, func(e estimate.Estimate) bool { return e.Term == term })
}

// The sum of the answers says all there is about a person in the Rasch model, and not in the two-parameter model.
func TestRaschSumIsSufficient(t *testing.T) {
	a := gradedAnswers(3, 400, 5, 2)
	spread := func(r *estimate.Result) float64 {
		s := r.Details["scores"].(TraitScores)
		at := map[float64]float64{}
		worst := 0.0
		for i, v := range s.EAP {
			sum := mat.Sum(a.X.RowView(i))
			if first, seen := at[sum]; seen {
				worst = max(worst, math.Abs(v-first))
			} else {
				at[sum] = v
			}
		}
		return worst
	}
	r, err := Rasch{}.Fit(t.Context(), a)
	require.NoError(t, err)
	require.Less(t, spread(r), 1e-9)
	two, err := TwoParameter{}.Fit(t.Context(), a)
	require.NoError(t, err)
	require.Greater(t, spread(two), 0.05)
	pcm, err := PartialCredit{}.Fit(t.Context(), a) // with two categories it is the Rasch model
	require.NoError(t, err)
	for i, e := range r.Estimates {
		reftest.Near(t, e.Term, pcm.Estimates[i].Value, e.Value, 1e-7)
	}
	grm := graded(t, a) // and the graded model the two-parameter model
	for i, e := range two.Estimates {
		require.Equal(t, e, grm.Estimates[i])
	}
}

// Posterior mean, spread and likelihood of a pattern, against a quadrature of its own.
func TestScoresByQuadrature(t *testing.T) {
	a := gradedAnswers(4, 300, 4, 3)
	a.X.Set(7, 2, math.NaN())
	r := graded(t, a)
	s := r.Details["scores"].(TraitScores)
	for _, i := range []int{0, 7} {
		var c, m1, m2 float64
		for x := -8.0; x <= 8; x += 0.01 {
			w := math.Exp(-x * x / 2)
			for j, name := range a.Names {
				y := a.X.At(i, j)
				if math.IsNaN(y) {
					continue
				}
				above := func(k int) float64 {
					switch k {
					case 0:
						return 1
					case 3:
						return 0
					}
					return logistic(value(t, r, name+"/a") * (x - value(t, r, fmt.Sprintf("%s/b%d", name, k))))
				}
				w *= above(int(y)) - above(int(y)+1)
			}
			c, m1, m2 = c+w, m1+w*x, m2+w*x*x
		}
		reftest.Near(t, "eap", s.EAP[i], m1/c, 1e-9)
		reftest.Near(t, "se", s.SE[i], math.Sqrt(m2/c-m1*m1/c/c), 1e-9)
	}
	require.Contains(t, codes(r), "answers-missing")
}

// The information is minus the derivative of the gradient, and the gradient that of the likelihood; the
// pattern scores add up to it.
func TestObservedInformation(t *testing.T) {
	a := gradedAnswers(5, 150, 4, 3)
	a.Group, a.GroupNames = make([]int, 150), []string{"x", "y"}
	for i := range a.Group {
		a.Group[i] = i % 2
		if i%7 == 0 {
			a.X.Set(i, i%4, math.NaN())
		}
	}
	a.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, 150)}
	for i := range a.Weight.Values {
		a.Weight.Values[i] = float64(1 + i%3)
	}
	for _, model := range []ItemModel{Graded, GeneralisedPartialCredit, PartialCreditModel} {
		d, kind, err := a.data(model)
		require.NoError(t, err)
		d.start()
		m, p := newIRTModel(d, kind.fixedSlope), d.patterns()
		m.nodes(fineStep)
		m.latent[1] = irtTrait{e1: 0.3, e2: -0.4, par: m.latent[1].par, freeMean: true, freeSpan: true}
		at := m.point()
		post := m.posterior(p, true, 1)
		grad := func() []float64 {
			_, cell, group := m.expect(p, 1)
			g, _ := m.complete(cell, group)
			return g
		}
		g0 := grad()
		const h = 1e-5
		for b := range at {
			sum := 0.0
			for i := range p.n {
				sum += p.weight[i] * post.score.At(i, b)
			}
			require.InDelta(t, g0[b], sum, 1e-9)
			require.InDelta(t, g0[b], post.grad[b], 1e-9)
			move := func(by float64) (float64, []float64) {
				q := slices.Clone(at)
				q[b] += by
				m.get(q)
				defer m.get(at)
				ll, _, _ := m.expect(p, 1)
				return ll, grad()
			}
			up, gu := move(h)
			down, gd := move(-h)
			require.InDelta(t, g0[b], (up-down)/(2*h), 1e-5, "%s %d", model, b)
			for c := range at {
				require.InDelta(t, -post.info.At(b, c), (gu[c]-gd[c])/(2*h), 1e-4, "%s %d %d", model, b, c)
			}
		}
	}
}

// longTest draws n persons who answer J items of slope 2.
func longTest(n, J int) *Answers {
	a := &Answers{Level: 0.95, X: mat.NewDense(n, J, nil)}
	for j := range J {
		a.Names = append(a.Names, fmt.Sprint("q", j))
	}
	for i := range n {
		st := num.NewStream(9, "many", uint64(i))
		a.Unit = append(a.Unit, fmt.Sprintf("u%03d", i))
		theta := st.Normal()
		for j := range J {
			a.X.Set(i, j, grade(st, 2, theta, []float64{float64(j%9)/4 - 1}))
		}
	}
	return a
}

// Products of probabilities that no float holds: the likelihood of so many answers is below the smallest float.
func TestLikelihoodBelowTheSmallestFloat(t *testing.T) {
	d, _, err := longTest(100, 3000).data(TwoParameterLogistic)
	require.NoError(t, err)
	m, p := newIRTModel(d, false), d.patterns()
	m.nodes(fineStep)
	ll, cell, _ := m.expect(p, 1)
	require.Less(t, ll, -100*750.0) // exp(−745) is the smallest float
	require.False(t, math.IsInf(ll, 0))
	require.InDelta(t, 100, num.Sum(cell[0])+num.Sum(cell[1]), 1e-9)
}

// Posteriors that are narrower than the usual nodes are apart get finer ones, and the slopes are found.
func TestNarrowPosteriors(t *testing.T) {
	a := &Answers{Level: 0.95, X: mat.NewDense(200, 4, nil), Names: []string{"v", "w", "x", "y"}}
	var b []float64
	for k := range 6 {
		b = append(b, float64(k)/2-1.3)
	}
	for i := range 200 {
		st := num.NewStream(9, "narrow", uint64(i))
		a.Unit = append(a.Unit, fmt.Sprintf("u%03d", i))
		theta := st.Normal()
		for j := range 4 {
			a.X.Set(i, j, grade(st, 18, theta, b))
		}
	}
	r := graded(t, a)
	require.Greater(t, r.Details["nodes"].(int), 200)
	for _, name := range a.Names {
		e := named(t, r, name+"/a")
		require.InDelta(t, 18, e.Value, 4*e.SE)
	}
}

// With too many answers for a table of pairs the information is summed person by person: the same.
func TestInformationWithoutPairs(t *testing.T) {
	d, _, err := gradedAnswers(12, 100, 5, 3).data(Graded)
	require.NoError(t, err)
	d.start()
	m, p := newIRTModel(d, false), d.patterns()
	m.theta = num.SymmetricNodes(6, 6.0/40000) // so many nodes that the table would be too large
	direct := m.posterior(p, true, 1).info
	m.theta = num.SymmetricNodes(6, 0.05)
	require.True(t, mat.EqualApprox(direct, m.posterior(p, true, 1).info, 1e-7))
}

func TestIRTCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := GradedResponse{}.Fit(ctx, gradedAnswers(1, 200, 4, 3))
	require.ErrorIs(t, err, context.Canceled)
	_, err = LatentChange{}.Fit(ctx, simWaves(1, 1, 200, d10()))
	require.ErrorIs(t, err, context.Canceled)
}
