package survive

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

// coxStep is one term of the likelihood: the l-th of an event time (slot).
type coxStep struct {
	slot  int
	each  float64   // w̄; the weight of all events with Breslow's ties
	den   float64   // S(l)
	share float64   // l/m
	e     []float64 // mean of z in the risk set
	last  bool      // of its event time
}

// each calls f for each piece of work: the slots of a chunk.
func (m *coxModel) each(f func(chunk, from, to int)) {
	num.ForEach(len(m.chunks)-1, m.workers, func(c int) { f(c, m.chunks[c], m.chunks[c+1]) })
}

// predict sets the linear predictor and e^η of rows.
func (m *coxModel) predict(b []float64, lo, hi int) {
	k := m.k
	if largest(b) == 0 {
		for i := lo; i < hi; i++ {
			m.eta[i], m.r[i] = 0, 1
		}
		return
	}
	for i := lo; i < hi; i++ {
		eta := 0.0
		for j, z := range m.z[i*k : i*k+k] {
			eta += float64(b[j] * z)
		}
		m.eta[i], m.r[i] = eta, math.Exp(eta)
	}
}

// join takes the sums s of the risk set, w r (1, z), from slot q−1 to slot q.
func (m *coxModel) join(s []float64, q int) {
	k := m.k
	if q == 0 || m.ties[q-1] == 0 {
		clear(s)
	}
	add := func(i int, x float64) {
		s[0] += x
		sum := s[1:]
		for a, z := range m.z[i*k : i*k+k] {
			sum[a] += float64(x * z)
		}
	}
	if m.last == nil {
		for i := int(m.start[q]); i < int(m.start[q+1]); i++ {
			add(i, m.w[i]*m.r[i])
		}
		return
	}
	for _, i := range m.out[m.outAt[q]:m.outAt[q+1]] {
		add(int(i), -m.w[i]*m.r[i])
	}
	for i := int(m.start[q]); i < int(m.start[q+1]); i++ {
		if int(m.last[i]) != q { // else it is in no risk set
			add(i, m.w[i]*m.r[i])
		}
	}
}

// prepare sets the linear predictors at b and the sums with which each chunk begins. A chunk
// knows what it adds; their running sum over chunks, in order, is the same for any number of workers.
func (m *coxModel) prepare(b []float64) {
	k := m.k
	if m.last != nil {
		num.ForChunks(len(m.row), m.workers, func(_, lo, hi int) { m.predict(b, lo, hi) })
	}
	m.each(func(c, from, to int) {
		if m.last == nil {
			m.predict(b, int(m.start[from]), int(m.start[to]))
		}
		s := m.state[(c+1)*(1+k):][:1+k]
		clear(s)
		for q := from; q < to; q++ {
			m.join(s, q)
		}
	})
	for c := 1; c < len(m.chunks)-1; c++ {
		if m.fresh(c) {
			continue
		}
		for a := range 1 + k {
			m.state[(c+1)*(1+k)+a] += m.state[c*(1+k)+a]
		}
	}
}

// fresh says whether a stratum begins in a chunk, so that its last sums owe nothing to the chunks before.
func (m *coxModel) fresh(c int) bool {
	for q := m.chunks[c]; q < m.chunks[c+1]; q++ {
		if q == 0 || m.ties[q-1] == 0 {
			return true
		}
	}
	return false
}

// sweep visits the terms of all event times, the chunks next to each other: visitor makes
// what visits those of one chunk, in order.
func (m *coxModel) sweep(visitor func(chunk int) func(*coxStep)) {
	k := m.k
	m.each(func(c, from, to int) {
		visit := visitor(c)
		s := append([]float64(nil), m.state[c*(1+k):][:1+k]...)
		d := make([]float64, 1+k)
		step := coxStep{e: make([]float64, k)}
		for q := from; q < to; q++ {
			m.join(s, q)
			ties := int(m.ties[q])
			if ties == 0 {
				continue
			}
			steps := ties
			if !m.efron {
				steps = 1
			}
			if steps > 1 {
				clear(d)
				for i := int(m.own[q]); i < int(m.start[q+1]); i++ {
					if m.event[i] {
						x := m.w[i] * m.r[i]
						d[0] += x
						for a, z := range m.z[i*k : i*k+k] {
							d[1+a] += float64(x * z)
						}
					}
				}
			}
			step.slot, step.each = q, m.wd[q]/float64(steps)
			for l := range steps {
				step.share, step.last = float64(l)/float64(ties), l == steps-1
				step.den = s[0] - float64(step.share*d[0])
				inv := 1 / step.den
				if l == 0 {
					for a, x := range s[1:] {
						step.e[a] = x * inv
					}
				} else {
					for a, x := range s[1:] {
						step.e[a] = (x - float64(step.share*d[1+a])) * inv
					}
				}
				visit(&step)
			}
		}
	})
}

// point is the likelihood at b. With h the sum of w̄/S(l) over l at an event time, its information is
// Σ_i w r z z'·(Σ h over the event times i is at risk at, less the share of the own one) − Σ w̄ e e'.
func (m *coxModel) point(b []float64) *coxPoint {
	k := m.k
	p := &coxPoint{b: b, eta: m.eta, r: m.r, u: make([]float64, k), info: mat.NewSymDense(k, nil)}
	m.prepare(b)
	h, own := m.room[0], m.room[1]
	clear(h)
	clear(own)
	sums := make([]float64, (len(m.chunks)-1)*(1+k)) // log likelihood and score by chunk
	panels := make([]*panel, len(m.chunks)-1)
	m.sweep(func(c int) func(*coxStep) {
		sum, square := sums[c*(1+k):][:1+k], newPanel(k)
		panels[c] = square
		return func(s *coxStep) {
			x := s.each / s.den
			h[s.slot] += x
			own[s.slot] += float64((1 - s.share) * x)
			sum[0] -= float64(s.each * math.Log(s.den))
			for a, e := range s.e {
				sum[1+a] -= float64(s.each * e)
			}
			square.add(-s.each, s.e)
		}
	})
	for a := range k {
		p.ll += float64(b[a] * m.wz[a])
		p.u[a] = m.wz[a]
	}
	for c := range panels {
		p.ll += sums[c*(1+k)]
		for a := range k {
			p.u[a] += sums[c*(1+k)+1+a]
		}
	}
	total := gather(panels)
	p.centre = make([]float64, k)
	for a := range k {
		p.centre[a] = -total.acc[a*total.wide+a]
	}
	m.exposure(h, own)
	m.crossRows(h, own, total)
	total.into(p.info)
	return p
}

// exposure turns sums by slot into what a row that comes in at the slot meets: h becomes the sum over the slots
// from there on, own what its own events meet less than that.
func (m *coxModel) exposure(h, own []float64) {
	for _, s := range m.strata {
		sum := 0.0
		for q := s.to - 1; q >= s.from; q-- {
			own[q] = h[q] - own[q]
			sum += h[q]
			h[q] = sum
		}
	}
}

// crossRows adds Σ_i w r x z z' over rows, x the exposure of the row.
func (m *coxModel) crossRows(h, own []float64, total *panel) {
	k := m.k
	panels := make([]*panel, len(m.chunks)-1)
	m.each(func(c, from, to int) {
		panels[c] = newPanel(k)
		for q := from; q < to; q++ {
			for i := int(m.start[q]); i < int(m.start[q+1]); i++ {
				x := h[q]
				if m.last != nil {
					x -= h[m.last[i]]
				}
				if m.event[i] {
					x -= own[q]
				}
				panels[c].add(m.w[i]*m.r[i]*x, m.z[i*k:i*k+k])
			}
		}
	})
	sum := gather(panels)
	for i, x := range sum.acc {
		total.acc[i] += x
	}
}
