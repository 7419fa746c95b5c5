package survive

import (
	"sort"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

// clock is g by slot: the time, or 1 less the Kaplan–Meier curve of all rows, unweighted, before it.
func (m *coxModel) clock(identity bool) []float64 {
	if identity {
		return m.time
	}
	n := len(m.row)
	times, order := make([]float64, n), make([]int32, n)
	if len(m.strata) == 1 {
		for i, t := range m.at {
			times[n-1-i], order[n-1-i] = t, int32(i)
		}
	} else {
		copy(times, m.at)
		order, _ = num.SortFloats(times, m.workers)
	}
	var entries []float64
	if m.f.Entry != nil {
		for _, r := range m.row {
			entries = append(entries, m.f.Entry[r])
		}
		num.SortFloats(entries, m.workers)
	}
	var at, before []float64
	surv := 1.0
	for lo := 0; lo < n; {
		t, hi, died := times[lo], lo, 0
		for ; hi < n && times[hi] == t; hi++ {
			if m.event[order[hi]] {
				died++
			}
		}
		if died > 0 {
			risk := n - lo - (len(entries) - sort.SearchFloat64s(entries, t))
			at, before = append(at, t), append(before, 1-surv)
			surv *= float64(risk-died) / float64(risk)
		}
		lo = hi
	}
	g := make([]float64, len(m.time))
	if len(m.strata) == 1 {
		for q := range at {
			g[q] = before[len(at)-1-q]
		}
		return g
	}
	for q, t := range m.time {
		if m.ties[q] > 0 {
			g[q] = before[sort.SearchFloat64s(at, t)]
		}
	}
	return g
}

// zph tests for each column that β does not change with g(t), by the score test of β·g(t) at
// the estimate: with V the information of an event time and u its score,
// U = Σ g·u and (Σ g²V) − (Σ gV)(ΣV)⁻¹(Σ gV) for its variance. It is nil where that is singular: too few event times.
func (m *coxModel) zph(p *coxPoint, identity bool) []ZPHRow {
	k, slots := m.k, len(m.time)
	g := append([]float64(nil), m.clock(identity)...)
	// A constant in g changes nothing; its mean over events keeps the digits.
	mean, weight := 0.0, 0.0
	for q, w := range m.wd {
		mean += float64(w * g[q])
		weight += w
	}
	mean /= weight
	for q := range g {
		g[q] -= mean
	}
	var h, own [2][]float64
	var panels [2][]*panel
	for b := range 2 {
		h[b], own[b], panels[b] = make([]float64, slots), make([]float64, slots), make([]*panel, len(m.chunks)-1)
	}
	scores := make([]float64, (len(m.chunks)-1)*k)
	m.sweep(func(c int) func(*coxStep) {
		u := scores[c*k : c*k+k]
		one, two := newPanel(k), newPanel(k)
		panels[0][c], panels[1][c] = one, two
		return func(s *coxStep) {
			g := g[s.slot]
			x := float64(g * (s.each / s.den))
			h[0][s.slot] += x
			own[0][s.slot] += float64((1 - s.share) * x)
			h[1][s.slot] += float64(g * x)
			own[1][s.slot] += float64((1 - s.share) * g * x)
			for a, e := range s.e {
				u[a] -= float64(g * s.each * e)
			}
			one.add(-g*s.each, s.e)
			two.add(-g*g*s.each, s.e)
			if !s.last {
				return
			}
			for i := int(m.own[s.slot]); i < int(m.start[s.slot+1]); i++ {
				if m.event[i] {
					for a, z := range m.z[i*k : i*k+k] {
						u[a] += float64(g * m.w[i] * z)
					}
				}
			}
		}
	})
	u := make([]float64, k)
	for c := range m.chunks[1:] {
		for a := range u {
			u[a] += scores[c*k+a]
		}
	}
	var v [2]*mat.SymDense
	for b := range 2 {
		total := gather(panels[b])
		m.exposure(h[b], own[b])
		m.crossRows(h[b], own[b], total)
		v[b] = mat.NewSymDense(k, nil)
		total.into(v[b])
	}
	return zphRows(m.f.XNames, p.chol, u, v[0], v[1])
}

// zphRows are the tests from U, Σ gV and Σ g²V, chol the factor of ΣV.
func zphRows(names []string, chol, u []float64, cross, square *mat.SymDense) []ZPHRow {
	k := len(u)
	// L⁻¹·cross, so that the correction is its own square.
	solved := mat.NewDense(k, k, nil)
	for c := range k {
		col := make([]float64, k)
		for a := range k {
			col[a] = cross.At(a, c)
		}
		forwardSolve(chol, k, col)
		solved.SetCol(c, col)
	}
	var rows []ZPHRow
	for a := range k {
		for c := a; c < k; c++ {
			x := square.At(a, c)
			for q := range k {
				x -= float64(solved.At(q, a) * solved.At(q, c))
			}
			if a == c && !(x > zphFloor*square.At(a, a)) {
				return nil
			}
			square.SetSym(a, c, x)
		}
	}
	for a, name := range names {
		rows = append(rows, zphRow(name, u[a]*u[a]/square.At(a, a), 1))
	}
	if q, ok := quadratic(square, u); ok {
		return append(rows, zphRow("GLOBAL", q, k))
	}
	return nil
}

// zphFloor is the share of a variance below which what is left of it is rounding.
const zphFloor = 1e-11
