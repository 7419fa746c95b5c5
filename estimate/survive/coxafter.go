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
	k, n := m.k, len(m.row)
	out := mat.NewDense(len(m.f.Time), k, nil)
	first, last := make([]int, n), make([]int, n) // event times of the stratum before the row comes in, and before its entry is passed
	// One row an event time: all Σh, Σh·e; those of the events; Σe/m.
	width := 2 + 3*k
	var sums []float64
	var now []float64
	reset := func() { now = make([]float64, width+1) }
	reset()
	flush := func(st coxStratum) {
		times := len(sums) / width
		cum := make([]float64, (times+1)*(1+k))
		for q := times - 1; q >= 0; q-- {
			for a := range 1 + k {
				cum[q*(1+k)+a] = cum[(q+1)*(1+k)+a] + sums[q*width+a]
			}
		}
		for i := st.lo; i < st.hi; i++ {
			from := cum[first[i]*(1+k):][:1+k]
			to := cum[times*(1+k):][:1+k]
			if last[i] >= 0 { // else it entered before every event time
				to = cum[last[i]*(1+k):][:1+k]
			}
			event := m.f.Event[m.row[i]]
			var own []float64
			if event {
				own = sums[first[i]*width:][:width]
			}
			l := make([]float64, k)
			h := from[0] - to[0]
			if event {
				h += own[1+k] - own[0]
			}
			for a := range l {
				z, he := m.z[i*k+a], from[1+a]-to[1+a]
				if event {
					he += own[2+k+a] - own[1+a]
					l[a] = z - own[2+2*k+a]
				}
				l[a] -= float64(p.r[i] * (float64(z*h) - he))
			}
			forwardSolve(p.chol, k, l)
			backSolve(p.chol, k, l)
			dst := out.RawRowView(int(m.row[i]))
			for a := range l {
				dst[a] = m.w[i] * l[a] / m.sd[a]
			}
		}
		sums = sums[:0]
	}
	at := -1
	m.sweep(p, coxVisit{
		next: func(s int) {
			if at >= 0 {
				flush(m.strata[at])
			}
			at = s
		},
		row: func(i, seen int) { first[i], last[i] = seen, -1 },
		out: func(i, seen int) { last[i] = seen },
		tie: func(h, share float64, e []float64) {
			now[0] += h
			now[1+k] += float64((1 - share) * h)
			now[width]++
			for a, x := range e {
				now[1+a] += float64(h * x)
				now[2+k+a] += float64((1 - share) * h * x)
				now[2+2*k+a] += x
			}
		},
		time: func(float64, []float64, float64, []float64) {
			for a := range k {
				now[2+2*k+a] /= now[width]
			}
			sums = append(sums, now[:width]...)
			reset()
		},
	})
	flush(m.strata[at])
	return out
}

// concordance is the share of comparable pairs in which who has the event first has the larger
// linear predictor, ties in it counted half. A pair is comparable within a stratum if one has
// the event while the other is at risk and has not the event at the same time.
func (m *coxModel) concordance(p *coxPoint) float64 {
	distinctEta, rank := num.Ranks(p.eta)
	tree := make([]float64, len(distinctEta)+1) // weights at risk by rank
	add := func(r int32, w float64) {
		for i := int(r) + 1; i < len(tree); i += i & -i {
			tree[i] += w
		}
	}
	below := func(r int32) (s float64) { // weight of ranks under r
		for i := int(r); i > 0; i -= i & -i {
			s += tree[i]
		}
		return s
	}
	var agree, tied, pairs float64
	for _, st := range m.strata {
		clear(tree)
		total, entering := 0.0, 0
		for lo := st.lo; lo < st.hi; {
			t := m.f.Time[m.row[lo]]
			for ; entering < len(st.in) && m.f.Entry[m.row[st.in[entering]]] >= t; entering++ {
				i := st.in[entering]
				add(rank[i], -m.w[i])
				total -= m.w[i]
			}
			hi := lo
			for ; hi < st.hi && m.f.Time[m.row[hi]] == t; hi++ {
				if !m.f.Event[m.row[hi]] {
					add(rank[hi], m.w[hi])
					total += m.w[hi]
				}
			}
			for i := lo; i < hi; i++ {
				if m.f.Event[m.row[i]] {
					less := below(rank[i])
					agree += float64(m.w[i] * less)
					tied += float64(m.w[i] * (below(rank[i]+1) - less))
					pairs += float64(m.w[i] * total)
				}
			}
			for i := lo; i < hi; i++ {
				if m.f.Event[m.row[i]] {
					add(rank[i], m.w[i])
					total += m.w[i]
				}
			}
			lo = hi
		}
	}
	return (agree + tied/2) / pairs
}

// zph tests for each column that β does not change with g(t), by the score test of β·g(t) at
// the estimate: with V the information of an event time and u its score,
// U = Σ g·u and (Σ g²V) − (Σ gV)(ΣV)⁻¹(Σ gV) for its variance. It is nil where that is singular: too few event times.
func (m *coxModel) zph(p *coxPoint, identity bool) ([]ZPHRow, error) {
	k := m.k
	g := func(t float64) float64 { return t }
	if !identity {
		f := &Times{Level: m.f.Level}
		for _, r := range m.row {
			f.Unit, f.Time, f.Event = append(f.Unit, m.f.Unit[r]), append(f.Time, m.f.Time[r]), append(f.Event, m.f.Event[r])
			if m.f.Entry != nil {
				f.Entry = append(f.Entry, m.f.Entry[r])
			}
		}
		c, err := f.curves()
		if err != nil {
			return nil, err
		}
		at := make(map[float64]float64, len(c[0].time))
		for s, t := range c[0].time {
			at[t] = 1 - c[0].surv[s]
		}
		g = func(t float64) float64 { return at[t] }
	}
	// A constant in g changes nothing; its mean over events keeps the digits.
	mean, events := 0.0, 0.0
	m.sweep(p, coxVisit{time: func(t float64, _ []float64, wd float64, _ []float64) {
		mean += float64(wd * g(t))
		events += wd
	}})
	mean /= events
	u := make([]float64, k)
	cross, square := mat.NewSymDense(k, nil), mat.NewSymDense(k, nil)
	m.sweep(p, coxVisit{time: func(t float64, wz []float64, _ float64, info []float64) {
		x := g(t) - mean
		at := 0
		for a := range k {
			u[a] += float64(x * wz[a])
			for c := a; c < k; c++ {
				cross.SetSym(a, c, cross.At(a, c)+float64(x*info[at]))
				square.SetSym(a, c, square.At(a, c)+float64(x*x*info[at]))
				at++
			}
		}
	}})
	// L⁻¹·cross, so that the correction is its own square.
	solved := mat.NewDense(k, k, nil)
	for c := range k {
		col := make([]float64, k)
		for a := range k {
			col[a] = cross.At(a, c)
		}
		forwardSolve(p.chol, k, col)
		solved.SetCol(c, col)
	}
	for a := range k {
		for c := a; c < k; c++ {
			x := square.At(a, c)
			for q := range k {
				x -= float64(solved.At(q, a) * solved.At(q, c))
			}
			square.SetSym(a, c, x)
		}
	}
	var rows []ZPHRow
	for a, name := range m.f.XNames {
		if !(square.At(a, a) > 0) {
			return nil, nil
		}
		rows = append(rows, zphRow(name, u[a]*u[a]/square.At(a, a), 1))
	}
	if q, ok := quadratic(square, u); ok {
		return append(rows, zphRow("GLOBAL", q, k)), nil
	}
	return nil, nil
}
