package progress

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// waveModel is two waves of the same items: (θ1, θ2) normal with θ1 ~ N(μ1_g, 1), μ1 = 0 in
// group 0, and
//
//	log p(θ2 | θ1, g) = γ_g·θ2 + κ·θ1·θ2 + ω·θ2² − log Z(θ1, g)
//
// which is the normal regression of θ2 on θ1 with one slope β = κ·τ² and residual variance
// τ² = −1/(2ω) for all groups, and intercepts α_g = γ_g·τ². Density over the nodes normed to 1.
//
// items holds an item for each wave, and one for participants after where their shift may
// differ; their parameters are linear in the free ones: par = link·free.
type waveModel struct {
	items []*irtItem
	link  *mat.Dense // (item parameters + latent) × free
	own   int        // item parameters
	theta []float64
	step  float64 // distance of the nodes of the answer

	mean1        []float64 // μ1 by group
	gamma        []float64 // by group
	kappa, omega float64
}

func (m *waveModel) groups() int { return len(m.gamma) }

// latent is the number of latent parameters: μ1 of groups 1 …, γ of all groups, κ, ω.
func (m *waveModel) latent() int { return 2*m.groups() + 1 }

func (m *waveModel) tau2() float64 { return -1 / (2 * m.omega) }

// local writes the parameters of the items and the latent ones.
func (m *waveModel) local() []float64 {
	p := make([]float64, m.own+m.latent())
	for _, it := range m.items {
		it.set(p)
	}
	at := m.own
	for _, v := range m.mean1[1:] {
		p[at], at = v, at+1
	}
	for _, v := range m.gamma {
		p[at], at = v, at+1
	}
	p[at], p[at+1] = m.kappa, m.omega
	return p
}

func (m *waveModel) get(free []float64) {
	var p mat.VecDense
	p.MulVec(m.link, mat.NewVecDense(len(free), free))
	v := p.RawVector().Data
	for _, it := range m.items {
		it.get(v)
	}
	at := m.own
	for g := range m.mean1[1:] {
		m.mean1[g+1], at = v[at], at+1
	}
	for g := range m.gamma {
		m.gamma[g], at = v[at], at+1
	}
	m.kappa, m.omega = v[at], v[at+1]
}

func (m *waveModel) valid() bool {
	for _, it := range m.items {
		if !it.valid() {
			return false
		}
	}
	sum := m.kappa
	for g := range m.gamma {
		sum += m.gamma[g] + m.mean1[g]
	}
	return m.omega < 0 && !math.IsInf(m.omega, 0) && !math.IsNaN(sum) && !math.IsInf(sum, 0)
}

// moments of the second wave in a group: mean and standard deviation.
func (m *waveModel) second(g int) (mean, sd float64) {
	beta := m.kappa * m.tau2()
	return float64(m.gamma[g]*m.tau2()) + float64(beta*m.mean1[g]), math.Sqrt(float64(beta*beta) + m.tau2())
}

// nodes covers both waves of every group to five and a half standard deviations.
func (m *waveModel) nodes(step float64) {
	limit := baseLimit
	for g := range m.gamma {
		mean, sd := m.second(g)
		far := max(math.Abs(mean)+5.5*sd, math.Abs(m.mean1[g])+5.5)
		if far > limit {
			limit = math.Ceil(far + 0.5*sd)
		}
	}
	m.theta = num.SymmetricNodes(limit, step)
}

// waveTables are the model at the nodes.
type waveTables struct {
	nq    int
	prob  [][]float64  // cell → node
	first [][]float64  // group → node of wave 1
	next  []*mat.Dense // group → p(node of wave 2 | node of wave 1)
	m1    [][]float64  // group → E(θ2 | node of wave 1)
	m2    [][]float64  // group → E(θ2² | node of wave 1)
	dev   [][]float64  // group → θ1 − E θ1
}

func (m *waveModel) tables() *waveTables {
	t := &waveTables{nq: len(m.theta)}
	cells := 0
	for _, it := range m.items {
		cells = max(cells, it.cell+it.cats)
	}
	_, t.prob = flat(cells, t.nq)
	for _, it := range m.items {
		it.probabilities(m.theta, t.prob[it.cell:it.cell+it.cats])
	}
	sd := math.Sqrt(m.tau2())
	for g := range m.gamma {
		first := num.NormalWeights(m.theta, m.mean1[g], 1)
		t.first = append(t.first, first)
		next := mat.NewDense(t.nq, t.nq, nil)
		m1, m2, dev := make([]float64, t.nq), make([]float64, t.nq), make([]float64, t.nq)
		center := num.Dot(first, m.theta)
		for q, v := range m.theta {
			w := num.NormalWeights(m.theta, (m.gamma[g]+float64(m.kappa*v))*m.tau2(), sd)
			next.SetRow(q, w)
			for r, x := range m.theta {
				m1[q] += float64(w[r] * x)
				m2[q] += float64(w[r] * x * x)
			}
			dev[q] = v - center
		}
		t.next, t.m1, t.m2, t.dev = append(t.next, next), append(t.m1, m1), append(t.m2, m2), append(t.dev, dev)
	}
	return t
}

// latentAt lists the latent parameters that a group has: index among the latent ones.
func (m *waveModel) latentAt(g int) (mu, gamma, kappa, omega int) {
	G := m.groups()
	return g - 1, G - 1 + g, 2*G - 1, 2 * G
}

// latentScores are, for a group, the derivatives of the log density with respect to the
// latent parameters it has, by node of wave 1 and of wave 2.
func (m *waveModel) latentScores(t *waveTables, g int) (which []int, by []*mat.Dense) {
	mu, ga, ka, om := m.latentAt(g)
	if g > 0 {
		which = append(which, mu)
		by = append(by, mat.NewDense(t.nq, t.nq, nil))
	}
	which = append(which, ga, ka, om)
	for range 3 {
		by = append(by, mat.NewDense(t.nq, t.nq, nil))
	}
	n := len(by)
	for q, x := range m.theta {
		for r, y := range m.theta {
			if g > 0 {
				by[0].Set(q, r, t.dev[g][q])
			}
			by[n-3].Set(q, r, y-t.m1[g][q])
			by[n-2].Set(q, r, x*(y-t.m1[g][q]))
			by[n-1].Set(q, r, float64(y*y)-t.m2[g][q])
		}
	}
	return which, by
}

// complete is the gradient and Hessian of the expected complete-data log likelihood in the
// parameters of items and latent ones, before the links.
func (m *waveModel) complete(t *waveTables, cell [][]float64, joint []*mat.Dense) ([]float64, *mat.SymDense) {
	size := m.own + m.latent()
	grad, hess := make([]float64, size), mat.NewSymDense(size, nil)
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
	for g := range m.gamma {
		which, by := m.latentScores(t, g)
		for a, s := range by {
			total := 0.0
			for q := range t.nq {
				total += num.Dot(joint[g].RawRowView(q), s.RawRowView(q))
			}
			grad[m.own+which[a]] += total
		}
		// The density is an exponential family given θ1: −Cov over p(θ2 | θ1), weighted with the persons at θ1.
		for q := range t.nq {
			n := num.Sum(joint[g].RawRowView(q))
			w := t.next[g].RawRowView(q)
			for a := range by {
				for b := a; b < len(by); b++ {
					c := 0.0
					if g > 0 && a == 0 { // the mean of wave 1: a family of its own
						continue
					}
					x, y := by[a].RawRowView(q), by[b].RawRowView(q)
					for r := range w {
						c += float64(w[r] * x[r] * y[r])
					}
					i, j := m.own+which[a], m.own+which[b]
					hess.SetSym(i, j, hess.At(i, j)-float64(n*c))
				}
			}
		}
		if g > 0 {
			v := 0.0
			for q, w := range t.first[g] {
				v += float64(w * t.dev[g][q] * t.dev[g][q])
			}
			n := 0.0
			for q := range t.nq {
				n += num.Sum(joint[g].RawRowView(q))
			}
			i := m.own + which[0]
			hess.SetSym(i, i, hess.At(i, i)-float64(n*v))
		}
	}
	return grad, hess
}

// linked is a gradient and a Hessian in the free parameters.
func (m *waveModel) linked(grad []float64, hess *mat.SymDense) ([]float64, *mat.SymDense) {
	_, free := m.link.Dims()
	var out []float64
	if grad != nil {
		var g mat.VecDense
		g.MulVec(m.link.T(), mat.NewVecDense(len(grad), grad))
		out = g.RawVector().Data
	}
	if hess == nil {
		return out, nil
	}
	var hl, lhl mat.Dense
	hl.Mul(hess, m.link)
	lhl.Mul(m.link.T(), &hl)
	sym := mat.NewSymDense(free, nil)
	for a := range free {
		for b := a; b < free; b++ {
			sym.SetSym(a, b, (lhl.At(a, b)+lhl.At(b, a))/2)
		}
	}
	return out, sym
}

// sane stops a fit that runs to the edge of the model.
func (m *waveModel) sane() error {
	one := irtModel{items: m.items}
	if err := one.sane(); err != nil {
		return err
	}
	for g := range m.gamma {
		if _, sd := m.second(g); !(sd*sd > leastSpan) || sd > 50 {
			return fmt.Errorf("%w: the variance of the trait after goes to 0 or grows without bound", estimate.ErrNotIdentified)
		}
	}
	if m.tau2() < 1e-4 {
		return fmt.Errorf("%w: the trait before decides the trait after entirely, so that no change can be told from the answers", estimate.ErrNotIdentified)
	}
	return nil
}
