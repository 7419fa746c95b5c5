package progress

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// visitModel is the mixed model for repeated measures of visitData: y_t = z'β_t + e_t, e of a person normal with a covariance without structure, one for all or one an arm,
// by restricted maximum likelihood. Sums of products of groups are all it reads.
type visitModel struct {
	p, T    int
	byArm   bool
	ml      bool // maximum likelihood: without the correction for the means
	before  bool // only what comes before the event
	sigma   []*mat.SymDense
	beta    *mat.Dense // p×T
	chord   *mat.Dense // inverse of the information with which a step was last made
	steps   int
	reached float64
}

const (
	visitSteps     = 200
	visitTolerance = 1e-18 // of the decrement, the square of a step in standard errors
)

// visits are those of a group that the model reads.
func (m *visitModel) visits(g *visitGroup) []int {
	seen := g.seen
	if m.before {
		seen &= 1<<g.event - 1
	}
	var out []int
	for ; seen != 0; seen &= seen - 1 {
		out = append(out, bits.TrailingZeros32(seen))
	}
	return out
}

func (m *visitModel) which(g *visitGroup) int {
	if m.byArm {
		return g.arm
	}
	return 0
}

// params is the number of (co)variances: the lower triangle of each covariance, row by row.
func (m *visitModel) params() int { return len(m.sigma) * m.T * (m.T + 1) / 2 }

// place is the number of the (co)variance of visits s ≥ t.
func (m *visitModel) place(c, s, t int) int {
	if s < t {
		s, t = t, s
	}
	return c*m.T*(m.T+1)/2 + s*(s+1)/2 + t
}

// visitEval is the restricted likelihood at a covariance.
type visitEval struct {
	deviance float64
	gradient []float64   // of the log-likelihood
	beta     []float64   // p×T
	phi      []float64   // inverse of X'V⁻¹X, visit by visit
	at       [][]int     // visits that the model reads, by group
	inverse  [][]float64 // V⁻¹ by group, nil for those without a visit
}

// evaluate gives −2 log-likelihood without constants, Σ w log|V_g| + tr V_g⁻¹R_g + log|X'V⁻¹X|, and its gradient: with R_g the sums of products of residuals and
// U_g[s, t] = tr Φ_st Z_g'Z_g what the estimated means took of them, ∂ℓ/∂Σ = ½Σ V_g⁻¹(R_g + U_g − w_g V_g)V_g⁻¹. ok is false where a covariance is not positive definite.
func (m *visitModel) evaluate(groups []visitGroup, sigma []*mat.SymDense) (e *visitEval, ok bool) {
	p, T, q := m.p, m.T, m.p*m.T
	e = &visitEval{gradient: make([]float64, m.params()), at: make([][]int, len(groups)), inverse: make([][]float64, len(groups)), phi: make([]float64, q*q), beta: make([]float64, q)}
	normal, work, right := make([]float64, q*q), make([]float64, max(q*q, T*T)), make([]float64, q)
	v := make([]float64, T*T)
	for k := range groups {
		g := &groups[k]
		at := m.visits(g)
		n := len(at)
		if n == 0 {
			continue
		}
		for a, s := range at {
			for b, t := range at[:a+1] {
				v[a*n+b] = sigma[m.which(g)].At(s, t)
			}
		}
		det, ok := choleskyOf(v[:n*n], n)
		if !ok {
			return nil, false
		}
		inv := make([]float64, n*n)
		inverseOf(v[:n*n], n, inv, work)
		e.at[k], e.inverse[k] = at, inv
		e.deviance += float64(g.w * det)
		for a, s := range at {
			for b, t := range at {
				w := inv[a*n+b]
				for i := range p {
					right[s*p+i] += float64(w * g.zy[i*T+t])
				}
				if t > s {
					continue
				}
				for i := range p {
					row := normal[(s*p+i)*q+t*p:]
					for j, z := range g.zz[i*p : (i+1)*p] {
						row[j] += float64(w * z)
					}
				}
			}
		}
	}
	det, ok := choleskyOf(normal, q)
	if !ok {
		return nil, false
	}
	if !m.ml {
		e.deviance += det
	}
	inverseOf(normal, q, e.phi, work)
	for t := range T {
		for i := range p {
			for r, x := range right {
				e.beta[i*T+t] += float64(e.phi[(t*p+i)*q+r] * x)
			}
		}
	}
	half := make([]float64, T*T)
	for k := range groups {
		g, at, inv := &groups[k], e.at[k], e.inverse[k]
		n := len(at)
		if n == 0 {
			continue
		}
		r := v[:n*n]
		for a, s := range at {
			for b, t := range at[:a+1] {
				x := m.product(g, s, t, e.beta)
				e.deviance += float64(inv[a*n+b] * x)
				if a != b {
					e.deviance += float64(inv[a*n+b] * x)
				}
				x -= float64(g.w * sigma[m.which(g)].At(s, t))
				if !m.ml {
					for i := range p {
						for j := range p {
							x += float64(e.phi[(s*p+i)*q+t*p+j] * g.zz[i*p+j])
						}
					}
				}
				r[a*n+b], r[b*n+a] = x, x
			}
		}
		for a := range n {
			for b := range n {
				x := 0.0
				for c := range n {
					x += float64(inv[a*n+c] * r[c*n+b])
				}
				half[a*n+b] = x
			}
		}
		for a, s := range at {
			for b, t := range at[:a+1] {
				x := 0.0
				for c := range n {
					x += float64(half[a*n+c] * inv[c*n+b])
				}
				if a == b {
					x /= 2
				}
				e.gradient[m.place(m.which(g), s, t)] += x
			}
		}
	}
	return e, true
}

// product is the sum of products of a group's residuals at two visits.
func (m *visitModel) product(g *visitGroup, s, t int, beta []float64) float64 {
	x, T := g.yy[s*m.T+t], m.T
	for i := range m.p {
		x -= float64(beta[i*T+s]*g.zy[i*T+t]) + float64(beta[i*T+t]*g.zy[i*T+s])
		for j := range m.p {
			x += float64(beta[i*T+s] * beta[j*T+t] * g.zz[i*m.p+j])
		}
	}
	return x
}

// expected is the information of the covariances without the correction for the means: ½Σ w_g tr(V_g⁻¹E_kV_g⁻¹E_l).
func (m *visitModel) expected(groups []visitGroup, e *visitEval) *mat.SymDense {
	info := mat.NewSymDense(m.params(), nil)
	for k := range groups {
		g := &groups[k]
		at, inv := e.at[k], e.inverse[k]
		n := len(at)
		for a, s := range at {
			for b, t := range at[:a+1] {
				row := m.place(m.which(g), s, t)
				for c, u := range at {
					for d, v := range at[:c+1] {
						col := m.place(m.which(g), u, v)
						if col < row {
							continue
						}
						x := float64(inv[a*n+c]*inv[b*n+d]) + float64(inv[a*n+d]*inv[b*n+c])
						if a == b {
							x /= 2
						}
						if c == d {
							x /= 2
						}
						info.SetSym(row, col, info.At(row, col)+float64(g.w*x))
					}
				}
			}
		}
	}
	return info
}

// moved gives the covariances a step further.
func (m *visitModel) moved(sigma []*mat.SymDense, step []float64, share float64) []*mat.SymDense {
	out := make([]*mat.SymDense, len(sigma))
	for c, old := range sigma {
		out[c] = mat.NewSymDense(m.T, nil)
		for s := range m.T {
			for t := range s + 1 {
				out[c].SetSym(s, t, old.At(s, t)+float64(share*step[m.place(c, s, t)]))
			}
		}
	}
	return out
}

// observed is the information by central differences of the gradient; nil where it is not positive definite.
func (m *visitModel) observed(groups []visitGroup, sigma []*mat.SymDense) *mat.Dense {
	n := m.params()
	info := mat.NewSymDense(n, nil)
	const h = 1e-5 // of scores in units of their spread
	raw := mat.NewDense(n, n, nil)
	for k := range n {
		step := make([]float64, n)
		step[k] = h
		up, ok1 := m.evaluate(groups, m.moved(sigma, step, 1))
		down, ok2 := m.evaluate(groups, m.moved(sigma, step, -1))
		if !ok1 || !ok2 {
			return nil
		}
		for l := range n {
			raw.Set(k, l, (down.gradient[l]-up.gradient[l])/(2*h))
		}
	}
	for k := range n {
		for l := range k + 1 {
			info.SetSym(k, l, (raw.At(k, l)+raw.At(l, k))/2)
		}
	}
	return inverted(info)
}

// inverted is the inverse of a positive definite matrix; nil if it is not one.
func inverted(s *mat.SymDense) *mat.Dense {
	var ch mat.Cholesky
	if !ch.Factorize(s) || ch.Cond() > 1e13 {
		return nil
	}
	out := mat.NewSymDense(s.SymmetricDim(), nil)
	if ch.InverseTo(out) != nil {
		return nil
	}
	return mat.DenseCopyOf(out)
}

// fit maximises the likelihood from sigma: Fisher's steps, then those of Newton with one information; a step is halved until the likelihood rises.
func (m *visitModel) fit(groups []visitGroup) error {
	e, ok := m.evaluate(groups, m.sigma)
	if !ok {
		return fmt.Errorf("%w: arm, covariates and visits decide each other", estimate.ErrCollinear)
	}
	// A chord of another fit is a start only; without one the steps begin with Fisher's.
	newton, tries := m.chord != nil, 0
	for ; m.steps < visitSteps; m.steps++ {
		if !newton {
			if m.chord = inverted(m.expected(groups, e)); m.chord == nil {
				return fmt.Errorf("%w: the visits' covariance", estimate.ErrNotIdentified)
			}
		}
		var step mat.VecDense
		g := mat.NewVecDense(len(e.gradient), e.gradient)
		step.MulVec(m.chord, g)
		m.reached = mat.Dot(g, &step)
		if m.reached < 1e-2 && m.reached > visitTolerance && tries == 0 && !newton {
			tries++
			if chord := m.observed(groups, m.sigma); chord != nil {
				m.chord, newton = chord, true
				continue
			}
		}
		share := 1.0
		for ; ; share /= 2 {
			if share < 1e-10 {
				if m.reached < 1e-12 { // the likelihood has no more digits
					return m.take(e, m.sigma)
				}
				return fmt.Errorf("%w: the visits' covariance", estimate.ErrNotConverged)
			}
			sigma := m.moved(m.sigma, step.RawVector().Data, share)
			next, ok := m.evaluate(groups, sigma)
			// Close to the answer the likelihood is flat to its last digits: the step decides.
			if ok && (next.deviance <= e.deviance || m.reached < 1e-8 && share == 1) {
				m.sigma, e = sigma, next
				break
			}
		}
		if math.Abs(m.reached) < visitTolerance {
			return m.take(e, m.sigma)
		}
		if newton && m.steps%12 == 11 { // too far from where the information was taken
			newton, tries = false, 0
		}
	}
	return fmt.Errorf("%w: the visits' covariance", estimate.ErrNotConverged)
}

func (m *visitModel) take(e *visitEval, sigma []*mat.SymDense) error {
	m.sigma, m.beta = sigma, mat.NewDense(m.p, m.T, e.beta)
	return nil
}

// newVisitModel fits the whole data.
func newVisitModel(d *visitData, visits []string, byArm, ml, before bool) (*visitModel, error) {
	m := &visitModel{p: d.p, T: d.T, byArm: byArm, ml: ml, before: before}
	n := 1
	if byArm {
		n = 2
	}
	for range n {
		s := mat.NewSymDense(d.T, nil)
		for t := range d.T {
			s.SetSym(t, t, 1)
		}
		m.sigma = append(m.sigma, s)
	}
	both := make([]int, m.params())
	for k := range d.groups {
		g := &d.groups[k]
		at := m.visits(g)
		for a, s := range at {
			for _, t := range at[:a+1] {
				both[m.place(m.which(g), s, t)] += g.people
			}
		}
	}
	for c := range n {
		for s := range d.T {
			for t := range s + 1 {
				if both[m.place(c, s, t)] < 2 {
					return nil, fmt.Errorf("%w: under two persons of one covariance were seen at both visits %q and %q: leave one of them out, or let the arms share their covariance", estimate.ErrNotIdentified, visits[t], visits[s])
				}
			}
		}
	}
	return m, m.fit(d.groups)
}

// aim takes the information at the answer, for the fits that start from it.
func (m *visitModel) aim(groups []visitGroup) {
	if c := m.observed(groups, m.sigma); c != nil {
		m.chord = c
	}
}

// copy is a model that starts where m ended.
func (m *visitModel) copy() *visitModel {
	out := *m
	out.sigma, out.steps = slices.Clone(m.sigma), 0
	for c, s := range m.sigma {
		out.sigma[c] = mat.NewSymDense(m.T, nil)
		out.sigma[c].CopySym(s)
	}
	return &out
}
