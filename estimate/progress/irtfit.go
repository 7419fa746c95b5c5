package progress

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// irtTrait is the distribution of the trait in a group: density ∝ exp(e1·θ + e2·θ²), the
// normal distribution in its natural parameters, in which the likelihood is smooth.
type irtTrait struct {
	e1, e2             float64
	par                int // first parameter
	freeMean, freeSpan bool
}

func (g *irtTrait) mean() float64 { return -g.e1 / (2 * g.e2) }
func (g *irtTrait) sd() float64   { return math.Sqrt(-1 / (2 * g.e2)) }

func normalTrait(mean, sd float64) irtTrait {
	return irtTrait{e1: mean / (sd * sd), e2: -1 / (2 * sd * sd)}
}

func (g *irtTrait) parameters() int {
	n := 0
	if g.freeMean {
		n++
	}
	if g.freeSpan {
		n++
	}
	return n
}

// irtModel is a model at a point: items, distributions, nodes.
type irtModel struct {
	items  []*irtItem
	latent []irtTrait
	cells  int
	theta  []float64
	fine   float64 // distance of the nodes of the answer
}

func newIRTModel(d *irtData, freeSpan bool) *irtModel {
	m := &irtModel{items: d.items, fine: fineStep}
	par := 0
	for _, it := range m.items {
		m.cells += it.cats
		par += it.parameters()
	}
	for g := range d.groups {
		t := normalTrait(0, 1)
		t.freeMean, t.freeSpan, t.par = g > 0, g > 0 || freeSpan, par
		par += t.parameters()
		m.latent = append(m.latent, t)
	}
	return m
}

func (m *irtModel) parameters() int {
	last := m.latent[len(m.latent)-1]
	return last.par + last.parameters()
}

func (m *irtModel) get(p []float64) {
	for _, it := range m.items {
		it.get(p)
	}
	for g := range m.latent {
		t, at := &m.latent[g], m.latent[g].par
		if t.freeMean {
			t.e1, at = p[at], at+1
		}
		if t.freeSpan {
			t.e2 = p[at]
		}
	}
}

func (m *irtModel) point() []float64 {
	p := make([]float64, m.parameters())
	for _, it := range m.items {
		it.set(p)
	}
	for _, t := range m.latent {
		at := t.par
		if t.freeMean {
			p[at], at = t.e1, at+1
		}
		if t.freeSpan {
			p[at] = t.e2
		}
	}
	return p
}

func (m *irtModel) valid() bool {
	for _, it := range m.items {
		if !it.valid() {
			return false
		}
	}
	for _, t := range m.latent {
		if !(t.e2 < 0) || !(t.sd() > 0) || math.IsNaN(t.e1) || math.IsInf(t.e1, 0) {
			return false
		}
	}
	return true
}

// scores are the derivatives of the log probability of each cell, and of the density of each
// group, by node.
func (m *irtModel) scores() [][]irtScore {
	var out [][]irtScore
	for _, it := range m.items {
		out = append(out, it.scores(m.theta)...)
	}
	for g := range m.latent {
		e1, e2, _ := m.moments(g)
		t, at := m.latent[g], m.latent[g].par
		var rows []irtScore
		if t.freeMean {
			rows = append(rows, irtScore{at, e1})
			at++
		}
		if t.freeSpan {
			rows = append(rows, irtScore{at, e2})
		}
		out = append(out, rows)
	}
	return out
}

// moments are θ − E θ and θ² − E θ² by node and their covariance matrix, over the discrete
// distribution of a group.
func (m *irtModel) moments(g int) (e1, e2 []float64, cov [2][2]float64) {
	w := num.NormalWeights(m.theta, m.latent[g].mean(), m.latent[g].sd())
	m1, m2 := 0.0, 0.0
	for q, t := range m.theta {
		m1, m2 = m1+float64(w[q]*t), m2+float64(w[q]*t*t)
	}
	e1, e2 = make([]float64, len(w)), make([]float64, len(w))
	for q, t := range m.theta {
		a, b := t-m1, float64(t*t)-m2
		e1[q], e2[q] = a, b
		cov[0][0] += float64(w[q] * a * a)
		cov[0][1] += float64(w[q] * a * b)
		cov[1][1] += float64(w[q] * b * b)
	}
	cov[1][0] = cov[0][1]
	return e1, e2, cov
}

// complete is the gradient and Hessian of the expected complete-data log likelihood. By
// Fisher's identity the gradient is that of the log likelihood itself.
func (m *irtModel) complete(cell, group [][]float64) ([]float64, *mat.SymDense) {
	P := m.parameters()
	grad, hess := make([]float64, P), mat.NewSymDense(max(P, 1), nil)
	for _, it := range m.items {
		_, g, h := it.complete(m.theta, cell[it.cell:it.cell+it.cats])
		off := 0
		if it.fixed {
			off = 1
		}
		for a := off; a < it.cats; a++ {
			grad[it.par+a-off] = g[a]
			for b := a; b < it.cats; b++ {
				hess.SetSym(it.par+a-off, it.par+b-off, h.At(a, b))
			}
		}
	}
	for g, t := range m.latent {
		e1, e2, cov := m.moments(g)
		var rows [][]float64
		var which []int
		if t.freeMean {
			rows, which = append(rows, e1), append(which, 0)
		}
		if t.freeSpan {
			rows, which = append(rows, e2), append(which, 1)
		}
		all := num.Sum(group[g])
		for a := range rows {
			grad[t.par+a] = num.Dot(group[g], rows[a])
			for b := a; b < len(rows); b++ {
				hess.SetSym(t.par+a, t.par+b, -all*cov[which[a]][which[b]])
			}
		}
	}
	return grad, hess
}

// maximise moves one EM step: each item's expected complete-data likelihood is concave, and
// damped Newton steps raise it; a trait gets the moments of its group.
func (m *irtModel) maximise(cell, group [][]float64) {
	for _, it := range m.items {
		n := cell[it.cell : it.cell+it.cats]
		for range 3 {
			value, g, h := it.complete(m.theta, n)
			off := 0
			if it.fixed {
				off = 1
			}
			k := it.cats - off
			neg, b := mat.NewSymDense(k, nil), mat.NewVecDense(k, nil)
			for a := range k {
				b.SetVec(a, g[a+off])
				for c := a; c < k; c++ {
					neg.SetSym(a, c, -h.At(a+off, c+off))
				}
			}
			var chol mat.Cholesky
			step := mat.NewVecDense(k, nil)
			if !chol.Factorize(neg) || chol.SolveVecTo(step, b) != nil {
				break
			}
			a0, d0 := it.a, append([]float64{}, it.d...)
			moved := false
			for half := 1.0; half > 1e-6 && !moved; half /= 2 {
				for a := range k {
					v := half * step.AtVec(a)
					if a+off == 0 {
						it.a = a0 + v
					} else {
						it.d[a+off-1] = d0[a+off-1] + v
					}
				}
				if it.valid() {
					now, _, _ := it.complete(m.theta, n)
					moved = now >= value
				}
			}
			if !moved {
				it.a = a0
				copy(it.d, d0)
				break
			}
		}
	}
	for g := range m.latent {
		t := &m.latent[g]
		all, s1, s2 := num.Sum(group[g]), num.Dot(group[g], m.theta), 0.0
		if all == 0 {
			continue
		}
		mean := 0.0
		if t.freeMean {
			mean = s1 / all
		}
		for q, v := range m.theta {
			s2 += float64(group[g][q] * (v - mean) * (v - mean))
		}
		span := t.sd() * t.sd()
		if t.freeSpan {
			span = max(s2/all, leastSpan/100) // on one node it would be 0
		}
		n := normalTrait(mean, math.Sqrt(span))
		t.e1, t.e2 = n.e1, n.e2
	}
}

const (
	coarseStep = 0.4 // of the nodes on which EM starts
	fineStep   = 0.1 // of the nodes of the answer
	baseLimit  = 6.0
	emSteps    = 12
	newtonMax  = 60
	// coarseNewton is how many Newton steps take the information from coarse nodes: it only
	// steers, and the likelihood and its gradient are those of the fine ones.
	coarseNewton = 8
	slopeCap     = 50 // a steeper item repeats another one
	leastSpan    = 1e-4
)

// nodes covers every group to five and a half standard deviations, and at least ±6.
func (m *irtModel) nodes(step float64) {
	limit := baseLimit
	for _, t := range m.latent {
		if far := math.Abs(t.mean()) + 5.5*t.sd(); far > limit {
			limit = math.Ceil(far + 0.5*t.sd())
		}
	}
	m.theta = num.SymmetricNodes(limit, step)
}

// solve maximises the log likelihood: EM steps on coarse nodes, then Newton steps with the
// exact observed information. It ends where the Newton step is below 1e-8 standard errors.
func (m *irtModel) solve(ctx context.Context, p *irtPatterns, workers int) (estimate.Convergence, error) {
	m.nodes(coarseStep)
	before := math.Inf(-1)
	for range emSteps {
		ll, cell, group := m.expect(p, workers)
		if !(ll-before > 1e-5*math.Abs(ll)) && !math.IsInf(before, -1) {
			break
		}
		before = ll
		m.maximise(cell, group)
		if err := ctx.Err(); err != nil {
			return estimate.Convergence{}, err
		}
	}
	if m.parameters() == 0 {
		m.nodes(m.fine)
		return estimate.Convergence{Converged: true}, nil
	}
	var ll, limit float64 // at the present point, on nodes up to limit; 0 = not computed
	var cell, group [][]float64
	for iter := 1; iter <= newtonMax; iter++ {
		if err := m.sane(); err != nil {
			return estimate.Convergence{}, err
		}
		if iter <= coarseNewton {
			m.nodes(coarseStep)
		}
		step := m.posterior(p, true, workers).info
		m.nodes(m.fine)
		if top := m.theta[len(m.theta)-1]; limit != top {
			ll, cell, group = m.expect(p, workers)
			limit = top
		}
		grad, hess := m.complete(cell, group)
		delta, decrement := ascent(step, hess, grad)
		if delta == nil {
			return estimate.Convergence{}, m.unidentified()
		}
		if decrement < 1e-16 {
			return estimate.Convergence{Converged: true, Iterations: iter, Tolerance: norm(grad)}, nil
		}
		at := m.point()
		moved := false
		for half := 1.0; half > 1e-9 && !moved; half /= 2 {
			next := make([]float64, len(at))
			for a := range at {
				next[a] = at[a] + float64(half*delta[a])
			}
			if m.get(next); !m.valid() {
				continue
			}
			now, c, g := m.expect(p, workers)
			// A step below the rounding of the log likelihood cannot raise it.
			if moved = now >= ll-1e-12*math.Abs(ll) || decrement < 1e-14*math.Abs(ll); moved {
				ll, cell, group = now, c, g
			}
		}
		if !moved {
			m.get(at)
			return estimate.Convergence{}, m.stuck()
		}
		if err := ctx.Err(); err != nil {
			return estimate.Convergence{}, err
		}
	}
	return estimate.Convergence{}, m.stuck()
}

// ascent is a direction in which the likelihood rises and the size gradient·step: Newton's, or, where
// the observed information is not positive definite, a blend with that of the complete data.
func ascent(info, complete *mat.SymDense, grad []float64) ([]float64, float64) {
	P := len(grad)
	for _, t := range []float64{0, 0.25, 0.5, 1} {
		a := mat.NewSymDense(P, nil)
		for i := range P {
			for j := i; j < P; j++ {
				a.SetSym(i, j, float64((1-t)*info.At(i, j))-float64(t*complete.At(i, j)))
			}
		}
		var chol mat.Cholesky
		step := mat.NewVecDense(P, nil)
		if !chol.Factorize(a) || chol.Cond() > 1e14 || chol.SolveVecTo(step, mat.NewVecDense(P, grad)) != nil {
			continue
		}
		out := step.RawVector().Data
		return out, num.Dot(out, grad)
	}
	return nil, 0
}

func norm(v []float64) float64 {
	top := 0.0
	for _, x := range v {
		top = max(top, math.Abs(x))
	}
	return top
}
