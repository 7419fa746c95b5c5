package survive

import (
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

// covariance is the inverse of the information, in the scale of z.
func (p *coxPoint) covariance() *mat.SymDense {
	k := len(p.b)
	out := mat.NewSymDense(k, nil)
	for j := range k {
		x := make([]float64, k)
		x[j] = 1
		forwardSolve(p.chol, k, x)
		backSolve(p.chol, k, x)
		for i := 0; i <= j; i++ {
			out.SetSym(i, j, x[i])
		}
	}
	return out
}

// unscale turns a covariance in the scale of z into that of the columns.
func (m *coxModel) unscale(v *mat.SymDense) {
	for i := range m.k {
		for j := i; j < m.k; j++ {
			v.SetSym(i, j, v.At(i, j)/m.sd[i]/m.sd[j])
		}
	}
}

// influence is the n×k matrix I⁻¹·w·L of the score residuals
//
//	L_i = δ_i(z_i − ē) − e^{η_i} Σ_{entry_i < t ≤ T_i} Σ_l c·h_l(z_i − e_l)
//
// with h_l = w̄/S(l), ē the mean of the e_l at the own event time, and c = 1 − l/m there
// for those who have the event, else 1.
func (m *coxModel) influence(p *coxPoint) *mat.Dense {
	k, wide, chunks := m.k, 1+m.k, len(m.chunks)-1
	out := mat.NewDense(len(m.f.Time), k, nil)
	sums := make([]float64, len(m.time)*wide) // by slot: Σ h, Σ h·e
	ends := make([]float64, (chunks+1)*wide)  // by chunk: sums over its slots, then over those of the stratum after it
	tied := make([][]float64, chunks)         // for each slot with several steps: Σ (l/m)·h, Σ (l/m)·h·e, mean of e
	m.sweep(func(c int) func(*coxStep) {
		var own []float64
		return func(s *coxStep) {
			x := s.each / s.den
			all := sums[s.slot*wide:][:wide]
			all[0] += x
			for a, e := range s.e {
				all[1+a] += float64(x * e)
			}
			if !s.last || s.share > 0 {
				if s.share == 0 {
					own = append(own[:0], make([]float64, wide+k)...)
				}
				own[0] += float64(s.share * x)
				for a, e := range s.e {
					own[1+a] += float64(s.share * x * e)
					own[wide+a] += e / float64(m.ties[s.slot])
				}
				if s.last {
					tied[c] = append(tied[c], own...)
				}
			}
		}
	})
	for c := chunks - 1; c >= 0; c-- {
		end, q := ends[c*wide:][:wide], m.chunks[c]
		for ; q < m.chunks[c+1] && m.ties[q] > 0; q++ {
			for a := range end {
				end[a] += sums[q*wide+a]
			}
		}
		if q == m.chunks[c+1] {
			for a := range end {
				end[a] += ends[(c+1)*wide+a]
			}
		}
	}
	there := m.fromSlot(sums)
	m.each(func(c, from, to int) {
		b, l := newSolver(p.chol, k), make([]float64, k)
		here, own, none := make([]float64, wide), tied[c], make([]float64, wide+k)
		if m.ties[to-1] > 0 {
			copy(here, ends[(c+1)*wide:])
		}
		for q := to - 1; q >= from; q-- {
			if m.ties[q] == 0 {
				clear(here)
			}
			at := sums[q*wide:][:wide]
			for a, x := range at {
				here[a] += x
			}
			less := none
			switch {
			case m.efron && m.ties[q] > 1:
				less, own = own[len(own)-wide-k:], own[:len(own)-wide-k]
			case m.ties[q] > 0:
				for a := range k {
					none[wide+a] = at[1+a] / at[0]
				}
			}
			for i := int(m.start[q]); i < int(m.start[q+1]); i++ {
				r, h, z := m.r[i], here[0], m.z[i*k:i*k+k]
				for a, x := range z {
					l[a] = -float64(r * (float64(x*h) - here[1+a]))
				}
				if there != nil {
					gone := there[int(m.last[i])*wide:][:wide]
					for a, x := range z {
						l[a] += float64(r * (float64(x*gone[0]) - gone[1+a]))
					}
				}
				if m.event[i] {
					for a, x := range z {
						l[a] += x - less[wide+a] + float64(r*(float64(x*less[0])-less[1+a]))
					}
				}
				if b.put(i, l) {
					m.store(b, out)
				}
			}
		}
		m.store(b, out)
	})
	return out
}

// fromSlot are the sums of the slots of the stratum from each slot on; nil without entry times, where nobody needs them.
func (m *coxModel) fromSlot(sums []float64) []float64 {
	if m.last == nil {
		return nil
	}
	wide := 1 + m.k
	out := append([]float64(nil), sums...)
	for _, s := range m.strata {
		for at := (s.to-1)*wide - 1; at >= s.from*wide; at-- {
			out[at] += out[at+wide]
		}
	}
	return out
}

// store solves what a solver holds and writes it to the rows of the frame.
func (m *coxModel) store(b *solver, out *mat.Dense) {
	b.solve()
	for at, i := range b.rows {
		dst := out.RawRowView(int(m.row[i]))
		for a := range dst {
			dst[a] = m.w[i] * b.x[a*panelRows+at] / m.sd[a]
		}
	}
	b.rows = b.rows[:0]
}

// solver solves L·L'·x = b for several b at once, side by side.
type solver struct {
	chol []float64
	k    int
	x    []float64 // k×panelRows
	rows []int
}

func newSolver(chol []float64, k int) *solver {
	return &solver{chol: chol, k: k, x: make([]float64, k*panelRows), rows: make([]int, 0, panelRows)}
}

// put adds the b of a row, and says whether there is no more room.
func (s *solver) put(row int, b []float64) bool {
	at := len(s.rows)
	for _, v := range b {
		s.x[at] = v
		at += panelRows
	}
	s.rows = append(s.rows, row)
	return len(s.rows) == panelRows
}

func (s *solver) solve() {
	k, n := s.k, len(s.rows)
	line := func(i int) []float64 { return s.x[i*panelRows:][:n] }
	take := func(i, c int, f float64) {
		x, y := line(i), line(c)
		for b, v := range y {
			x[b] -= float64(f * v)
		}
	}
	divide := func(i int) {
		d := s.chol[i*k+i]
		for b, v := range line(i) {
			s.x[i*panelRows+b] = v / d
		}
	}
	for i := range k {
		for c := range i {
			take(i, c, s.chol[i*k+c])
		}
		divide(i)
	}
	for i := k - 1; i >= 0; i-- {
		for c := i + 1; c < k; c++ {
			take(i, c, s.chol[c*k+i])
		}
		divide(i)
	}
}

// concordance is the share of comparable pairs in which who has the event first has the larger
// linear predictor, ties in it counted half. A pair is comparable within a stratum if one has
// the event while the other is at risk and has not the event at the same time.
func (m *coxModel) concordance(p *coxPoint) float64 {
	if m.f.Weight.Values == nil {
		return concordance(m, p, func(int) int32 { return 1 })
	}
	return concordance(m, p, func(i int) float64 { return m.w[i] })
}

// concordance counts with whole numbers or with weights.
func concordance[T int32 | float64](m *coxModel, p *coxPoint, weight func(i int) T) float64 {
	distinctEta, rank := num.Ranks(p.eta)
	tree, same := make([]T, len(distinctEta)+1), make([]T, len(distinctEta)) // weights at risk below a rank, and at it
	var total T
	add := func(i int, w T) {
		same[rank[i]] += w
		total += w
		for a := int(rank[i]) + 1; a < len(tree); a += a & -a {
			tree[a] += w
		}
	}
	var agree, tied, pairs float64
	for _, s := range m.strata {
		total = 0
		for q := s.from; q < s.to-1; q++ {
			if m.last != nil {
				for _, i := range m.out[m.outAt[q]:m.outAt[q+1]] {
					add(int(i), -weight(int(i)))
				}
			}
			own := int(m.own[q])
			for i := int(m.start[q]); i < int(m.start[q+1]); i++ {
				if !(m.event[i] && i >= own) && (m.last == nil || int(m.last[i]) != q) {
					add(i, weight(i))
				}
			}
			for i := own; i < int(m.start[q+1]); i++ {
				if m.event[i] {
					var less T
					for a := int(rank[i]); a > 0; a -= a & -a {
						less += tree[a]
					}
					w := float64(weight(i))
					agree += float64(w * float64(less))
					tied += float64(w * float64(same[rank[i]]))
					pairs += float64(w * float64(total))
				}
			}
			for i := own; i < int(m.start[q+1]); i++ {
				if m.event[i] {
					add(i, weight(i))
				}
			}
		}
		for i := s.lo; i < s.hi; i++ { // only what the stratum has touched, as there may be as many strata as rows
			same[rank[i]] = 0
			for a := int(rank[i]) + 1; a < len(tree); a += a & -a {
				tree[a] = 0
			}
		}
	}
	return (agree + tied/2) / pairs
}
