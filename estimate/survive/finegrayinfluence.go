package survive

import (
	"cmp"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// influence is the n×k matrix I⁻¹·v·(L + ψ), with h the weight v̄/S(l) summed over the steps of an event time:
//
//	L_i = δ_i(z_i − ē) − e^{η_i} Σ_t w_i(t)·h(t)(z_i − e(t))
//	ψ_i = 1{i censored}·q(T_i)/π(T_i) − Σ_{u ≤ T_i} q(u)·c(u)/π(u)²
//	q(u) = Σ_{j of another cause, T_j < u} v_j e^{η_j} Σ_{t ≥ u} w_j(t)·h(t)(z_j − e(t))
//
// over the censoring times u of the censoring stratum, c the weight censored and π the weight at risk.
func (m *fineGrayModel) influence(p *coxPoint) *mat.Dense {
	k := m.k
	_, h := m.evaluate(p.b)
	total := make([][]float64, 1+k)
	for a := range total {
		total[a] = m.exposure(h.all[a:], h.own[a:], 1+k)
	}
	// Σ_{u ≤ T} and the value at T of q/π, by censoring stratum.
	type drift struct{ at, sum []float64 }
	drifts := make([]drift, len(m.censoring))
	for g := range m.censoring {
		c := &m.censoring[g]
		x := drift{m.censoringScore(p, h, g), make([]float64, (len(c.time)+1)*k)}
		for u := range c.time {
			for a := range k {
				x.at[u*k+a] /= c.die[u]
				x.sum[(u+1)*k+a] = x.sum[u*k+a] + float64(x.at[u*k+a]*(c.out[u]/c.die[u]))
			}
		}
		drifts[g] = x
	}
	out := mat.NewDense(len(m.f.Time), k, nil)
	l := make([]float64, k)
	for i, r := range m.row {
		c, x := &m.censoring[m.group[i]], drifts[m.group[i]]
		u := c.before(m.f.Time[r])
		passed := u
		if u < len(c.time) && c.time[u] == m.f.Time[r] {
			passed++
		}
		for a := range l {
			z := m.z[i*k+a]
			l[a] = -float64(p.r[i]*(float64(z*total[0][i])-total[1+a][i])) - x.sum[passed*k+a]
			switch m.kind[i] {
			case fgEvent:
				l[a] += z - h.mean[(int(m.upto[i])-1)*k+a]
			case fgCensored:
				l[a] += x.at[u*k+a]
			}
		}
		forwardSolve(p.chol, k, l)
		backSolve(p.chol, k, l)
		dst := out.RawRowView(int(r))
		for a := range l {
			dst[a] = m.w[i] * l[a] / m.sd[a]
		}
	}
	return out
}

// censoringScore is q at the censoring times of one censoring stratum, k numbers a time. It
// changes with each row that leaves for another cause, and with each event time that is passed.
func (m *fineGrayModel) censoringScore(p *coxPoint, h fgHazards, g int) []float64 {
	k := m.k
	type change struct {
		time    float64
		stratum int
		row, q  int // of one the place, of the other -1
	}
	var changes []change
	ahead := make([]float64, len(m.strata)*(1+k)) // Σ_t G(t−)·(h, h·e) not yet passed
	left := make([]float64, len(m.strata)*(1+k))  // Σ_j v e^η/G(T_j−)·(1, z) of those who left
	for s, st := range m.strata {
		for q := st.from; q < st.to; q++ {
			for a := range 1 + k {
				ahead[s*(1+k)+a] += float64(m.left[g][q] * h.all[q*(1+k)+a])
			}
			changes = append(changes, change{m.time[q], s, -1, q})
		}
		for i := st.lo; i < st.hi; i++ {
			if m.kind[i] == fgOther && int(m.group[i]) == g {
				changes = append(changes, change{m.f.Time[m.row[i]], s, i, -1})
			}
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.time, b.time) })
	c := &m.censoring[g]
	out, now := make([]float64, len(c.time)*k), make([]float64, k)
	next := 0
	for u, t := range c.time {
		for ; next < len(changes) && changes[next].time < t; next++ {
			x := changes[next]
			b, d := ahead[x.stratum*(1+k):][:1+k], left[x.stratum*(1+k):][:1+k]
			if x.row >= 0 {
				v := m.w[x.row] * p.r[x.row] * m.share[x.row]
				d[0] += v
				for a := range k {
					vz := v * m.z[x.row*k+a]
					d[1+a] += vz
					now[a] += float64(vz*b[0]) - float64(v*b[1+a])
				}
				continue
			}
			s0 := m.left[g][x.q] * h.all[x.q*(1+k)]
			b[0] -= s0
			for a := range k {
				s1 := m.left[g][x.q] * h.all[x.q*(1+k)+1+a]
				b[1+a] -= s1
				now[a] -= float64(d[1+a]*s0) - float64(d[0]*s1)
			}
		}
		copy(out[u*k:], now)
	}
	return out
}
