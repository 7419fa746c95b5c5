package survive

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// exactWork bounds the operations of one evaluation of the exact likelihood: some seconds.
const exactWork = 5e9

// coxExact is the conditional likelihood of tied events: at an event time with the m events D among the risk set R,
//
//	ℓ = Σ_D x'β − log Σ_{A ⊂ R, |A| = m} e^{Σ_A x'β}
//
// The sum over all subsets of j rows is n!/(j!(n−j)!)·P_j, P_j the mean of the products of e^{x'β}; a row more gives
// P_j(n) = (1 − j/n)·P_j(n−1) + (j/n)·e^{x'β}·P_{j−1}(n−1), and the same recursion for its first and second derivatives.
// Means do not overflow where sums of products do.
type coxExact struct {
	*coxModel
	steps []exactTime // at the last b: every event time, in the order of the slots
}

// exactTime is what one event time adds to the score and the information.
type exactTime struct {
	ll   float64
	u, v []float64 // k; k(k+1)/2 by rows of the upper triangle
}

func newCoxExact(m *coxModel) (*coxExact, error) {
	work, width := 0.0, float64(1+m.k+m.k*(m.k+1)/2)
	for _, s := range m.strata {
		most := 0
		for q := s.from; q < s.to-1; q++ {
			most = max(most, int(m.ties[q]))
			if m.last != nil {
				work += float64(int(m.start[q+1])-s.lo) * float64(m.ties[q]) * width
			}
		}
		if m.last == nil {
			work += float64(s.hi-s.lo) * float64(most) * width
		}
	}
	if work > exactWork {
		return nil, fmt.Errorf("%w: exact ties would take %.0g operations for each evaluation; use efron", estimate.ErrNotConverged, work)
	}
	return &coxExact{coxModel: m, steps: make([]exactTime, len(m.time))}, nil
}

// subsetMeans are P_0 … P_m with their derivatives.
type subsetMeans struct {
	k, width, n int
	p           []float64 // (m+1)×width
}

func newSubsetMeans(m, k int) *subsetMeans {
	s := &subsetMeans{k: k, width: 1 + k + k*(k+1)/2}
	s.p = make([]float64, (m+1)*s.width)
	s.p[0] = 1
	return s
}

// add takes in a row with r = e^{x'β}.
func (s *subsetMeans) add(r float64, z []float64) {
	s.n++
	for j := min(len(s.p)/s.width-1, s.n); j >= 1; j-- {
		now, before := s.p[j*s.width:(j+1)*s.width], s.p[(j-1)*s.width:j*s.width]
		in := float64(j) / float64(s.n)
		stay, x, b0 := 1-in, in*r, before[0]
		now[0] = float64(stay*now[0]) + float64(x*b0)
		for c, zc := range z {
			now[1+c] = float64(stay*now[1+c]) + float64(x*(before[1+c]+float64(zc*b0)))
		}
		at := 1 + s.k
		for c, zc := range z {
			for d := c; d < s.k; d++ {
				now[at] = float64(stay*now[at]) + float64(x*(before[at]+float64(zc*before[1+d])+float64(z[d]*(before[1+c]+float64(zc*b0)))))
				at++
			}
		}
	}
}

// point is the exact likelihood at b.
func (m *coxExact) point(b []float64) *coxPoint {
	k := m.k
	num.ForChunks(len(m.row), m.workers, func(_, lo, hi int) { m.predict(b, lo, hi) })
	num.ForEach(len(m.strata), m.workers, func(s int) { m.stratum(b, m.strata[s]) })
	p := &coxPoint{b: b, eta: m.eta, r: m.r, u: make([]float64, k), info: mat.NewSymDense(k, nil), centre: make([]float64, k)}
	for a := range k {
		p.ll += float64(b[a] * m.wz[a])
		p.u[a] = m.wz[a]
	}
	v := make([]float64, k*(k+1)/2)
	for q, t := range m.steps {
		if m.ties[q] == 0 {
			continue
		}
		p.ll -= t.ll
		for a := range k {
			p.u[a] -= t.u[a]
			p.centre[a] += float64(t.u[a] * t.u[a])
		}
		for a, x := range t.v {
			v[a] += x
		}
	}
	if math.IsNaN(p.ll) || math.IsInf(p.ll, 0) {
		p.ll = math.Inf(-1)
	}
	setTriangle(p.info, v)
	return p
}

// stratum fills in the event times of a stratum. Without entry times the risk sets only grow, so that one table serves
// all; with them each begins anew.
func (m *coxExact) stratum(b []float64, s coxStratum) {
	most := 0
	for q := s.from; q < s.to-1; q++ {
		most = max(most, int(m.ties[q]))
	}
	// e^{η} divided by its mean in the stratum keeps the means of products near 1.
	largest, sum := math.Inf(-1), 0.0
	for i := s.lo; i < s.hi; i++ {
		largest = math.Max(largest, m.eta[i])
	}
	for i := s.lo; i < s.hi; i++ {
		sum += math.Exp(m.eta[i] - largest)
	}
	centre := largest + math.Log(sum/float64(s.hi-s.lo))
	table := newSubsetMeans(most, m.k)
	for q := s.from; q < s.to-1; q++ {
		ties := int(m.ties[q])
		if m.last == nil {
			for i := int(m.start[q]); i < int(m.start[q+1]); i++ {
				table.add(math.Exp(m.eta[i]-centre), m.z[i*m.k:i*m.k+m.k])
			}
		} else {
			table = newSubsetMeans(ties, m.k)
			for i := s.lo; i < int(m.start[q+1]); i++ {
				if int(m.last[i]) > q {
					table.add(math.Exp(m.eta[i]-centre), m.z[i*m.k:i*m.k+m.k])
				}
			}
		}
		m.steps[q] = table.time(ties, centre)
	}
}

// time is the logarithm of the sum over subsets of m rows with its derivatives.
func (s *subsetMeans) time(m int, centre float64) exactTime {
	p, k := s.p[m*s.width:(m+1)*s.width], s.k
	t := exactTime{ll: math.Log(p[0]) + float64(float64(m)*centre), u: make([]float64, k), v: make([]float64, len(p)-1-k)}
	for i := range m {
		t.ll += math.Log(float64(s.n-i) / float64(m-i))
	}
	for a := range k {
		t.u[a] = p[1+a] / p[0]
	}
	at := 0
	for a := range k {
		for c := a; c < k; c++ {
			t.v[at] = p[1+k+at]/p[0] - float64(t.u[a]*t.u[c])
			at++
		}
	}
	return t
}

// zph is the test of proportional hazards from the scores and informations of the exact likelihood.
func (m *coxExact) zph(p *coxPoint, identity bool) []ZPHRow {
	k := m.k
	m.point(p.b)
	g, mean := m.clock(identity), 0.0
	for q, n := range m.ties {
		mean += float64(float64(n) * g[q])
	}
	mean /= float64(m.events)
	u, one, two := make([]float64, k), make([]float64, k*(k+1)/2), make([]float64, k*(k+1)/2)
	for q, t := range m.steps {
		if m.ties[q] == 0 {
			continue
		}
		g := g[q] - mean
		for i := int(m.own[q]); i < int(m.start[q+1]); i++ {
			if m.event[i] {
				for a, z := range m.z[i*k : i*k+k] {
					u[a] += float64(g * z)
				}
			}
		}
		for a := range u {
			u[a] -= float64(g * t.u[a])
		}
		for a, v := range t.v {
			one[a] += float64(g * v)
			two[a] += float64(g * g * v)
		}
	}
	cross, square := mat.NewSymDense(k, nil), mat.NewSymDense(k, nil)
	setTriangle(cross, one)
	setTriangle(square, two)
	return zphRows(m.f.XNames, p.chol, u, cross, square)
}

// setTriangle fills a symmetric matrix from the rows of its upper triangle.
func setTriangle(s *mat.SymDense, v []float64) {
	k, at := s.SymmetricDim(), 0
	for a := range k {
		for c := a; c < k; c++ {
			s.SetSym(a, c, v[at])
			at++
		}
	}
}
