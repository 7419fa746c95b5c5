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
// over the censoring times u of the censoring stratum, c the weight censored and π the weight at risk. With entry times the sum is over entry_i < u ≤ T_i, and H adds, with
// the signs turned, the same of the entry times l at which i is at risk just after, entry_i ≤ l < T_i: −q(entry_i)/π(entry_i) + Σ_l q(l)c(l)/π(l)², where c is the weight that enters
// and q(l) has T_j ≤ l < t.
func (m *fineGrayModel) influence(p *coxPoint) *mat.Dense {
	k := m.k
	_, h := m.evaluate(p.b)
	total := make([][]float64, 1+k)
	for a := range total {
		total[a] = m.exposure(h.all[a:], h.own[a:], 1+k)
	}
	// Σ_{u ≤ T} and the value at T of q/π, by censoring stratum.
	type drift struct{ at, sum []float64 }
	drifted := func(at, die, out []float64) drift {
		x := drift{at, make([]float64, (len(die)+1)*k)}
		for u := range die {
			for a := range k {
				x.at[u*k+a] /= die[u]
				x.sum[(u+1)*k+a] = x.sum[u*k+a] + float64(x.at[u*k+a]*(out[u]/die[u]))
			}
		}
		return x
	}
	drifts, entries := make([]drift, len(m.censoring)), make([]drift, len(m.entry))
	for g := range m.censoring {
		c := &m.censoring[g]
		drifts[g] = drifted(m.censoringScore(p, h, g, c.time, false), c.die, c.out)
		if m.entry != nil {
			e := &m.entry[g]
			entries[g] = drifted(m.censoringScore(p, h, g, e.time, true), e.die, e.in)
		}
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
		entered := 0 // censoring times up to the entry
		if m.entry != nil {
			at := m.f.Entry[r]
			if entered = c.before(at); entered < len(c.time) && c.time[entered] == at {
				entered++
			}
		}
		for a := range l {
			z := m.z[i*k+a]
			l[a] = x.sum[entered*k+a] - float64(p.r[i]*(float64(z*total[0][i])-total[1+a][i])) - x.sum[passed*k+a]
			switch m.kind[i] {
			case fgEvent:
				l[a] += z - h.mean[(int(m.upto[i])-1)*k+a]
			case fgCensored:
				l[a] += x.at[u*k+a]
			}
		}
		if m.entry != nil {
			e, x := &m.entry[m.group[i]], entries[m.group[i]]
			in, out := e.from(m.f.Entry[r]), e.from(m.f.Time[r])
			for a := range l {
				l[a] += x.sum[out*k+a] - x.sum[in*k+a] - x.at[in*k+a]
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

// censoringScore is q at the times of one censoring stratum, k numbers a time. It
// changes with each row that leaves for another cause, and with each event time that is passed: before the time, or up to it where after is true.
func (m *fineGrayModel) censoringScore(p *coxPoint, h fgHazards, g int, times []float64, after bool) []float64 {
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
	out, now := make([]float64, len(times)*k), make([]float64, k)
	next := 0
	for u, t := range times {
		for ; next < len(changes) && (changes[next].time < t || after && changes[next].time == t); next++ {
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
