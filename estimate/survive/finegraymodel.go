package survive

import (
	"fmt"
	"math"
	"sort"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// fineGrayModel holds the rows with a weight stratum by stratum, times ascending, units in
// byte order within a time.
type fineGrayModel struct {
	f        *CompetingCovaried
	k        int
	efron    bool
	row      []int32 // of the frame
	z, w     []float64
	mean, sd []float64 // of the columns; z is (x − mean)/sd
	kind     []fgKind
	upto     []int32   // event times (places in time) of the stratum up to the own time, counted from the first of all strata
	group    []int32   // censoring stratum
	share    []float64 // of rows with another cause: 1/(G(T_i−)·H(T_i−))
	in, late []int32   // with entry times: event times up to the entry as upto; rows by them, from the last, stratum by stratum

	strata    []fgStratum
	time      []float64   // event times of the cause, stratum by stratum, ascending
	left      [][]float64 // by censoring stratum and event time: G(t−)·H(t−)
	censoring []censoring
	entry     []entering // with entry times

	events, competing int
}

type fgKind uint8

const (
	fgCensored fgKind = iota
	fgEvent
	fgOther
)

// fgStratum are the rows lo ≤ i < hi and the event times from ≤ q < to.
type fgStratum struct{ lo, hi, from, to int }

// censoring is Kaplan–Meier's curve of the time to censoring in one censoring stratum.
// At a time shared with events, those who have the event count as at risk of censoring.
type censoring struct {
	time     []float64
	die, out []float64 // by time: weight of those at risk, of those censored
	surv     []float64 // after each time; index 0 before the first
}

// before returns the number of censoring times before t.
func (c *censoring) before(t float64) int { return sort.SearchFloat64s(c.time, t) }

func newFineGrayModel(f *CompetingCovaried, order []int32, cause int, efron bool) (*fineGrayModel, error) {
	_, k := f.X.Dims()
	m := &fineGrayModel{f: f, k: k, efron: efron}
	var err error
	if m.mean, m.sd, err = columnScale(f.X, f.XNames, f.Weight.Values, order, 0); err != nil {
		return nil, err
	}
	group := make([]int32, len(f.Time))
	for g, rows := range strata(f.CensoringStratum, order) {
		m.censoring = append(m.censoring, m.curve(rows))
		if f.Entry != nil {
			m.entry = append(m.entry, m.entries(rows))
		}
		for _, r := range rows {
			group[r] = int32(g)
		}
	}
	for _, rows := range strata(f.Stratum, order) {
		s := fgStratum{lo: len(m.row), from: len(m.time)}
		m.row = append(m.row, byTime(f.Time, rows)...)
		for _, r := range m.row[s.lo:] {
			kind := fgCensored
			switch t := f.Time[r]; f.Cause[r] {
			case Censored:
			case cause:
				kind = fgEvent
				m.events++
				if q := len(m.time); q == s.from || m.time[q-1] != t {
					m.time = append(m.time, t)
				}
			default:
				kind = fgOther
				m.competing++
			}
			m.kind = append(m.kind, kind)
		}
		s.hi, s.to = len(m.row), len(m.time)
		m.strata = append(m.strata, s)
	}
	if m.events == 0 {
		return nil, fmt.Errorf("%w: no event of the cause among %d units", estimate.ErrTooFew, len(order))
	}
	n := len(m.row)
	m.z, m.w = make([]float64, n*k), make([]float64, n)
	m.upto, m.group, m.share = make([]int32, n), make([]int32, n), make([]float64, n)
	for _, s := range m.strata {
		q := s.from
		for i := s.lo; i < s.hi; i++ {
			r := m.row[i]
			t := f.Time[r]
			for q < s.to && m.time[q] <= t {
				q++
			}
			m.w[i], m.upto[i], m.group[i] = f.weight(r), int32(q), group[r]
			m.share[i] = 1 / m.seen(group[r], t)
			for j, x := range f.X.RawRowView(int(r)) {
				m.z[i*k+j] = (x - m.mean[j]) / m.sd[j]
			}
		}
	}
	for g := range m.censoring {
		left := make([]float64, len(m.time))
		for q, t := range m.time {
			left[q] = m.seen(int32(g), t)
		}
		m.left = append(m.left, left)
	}
	if f.Entry == nil {
		return m, nil
	}
	m.enters()
	return m, m.bridged()
}

// seen is G(t−), with entry times G(t−)·H(t−): the units of a censoring stratum that are uncensored and have entered before t.
// Only its ratios have a meaning.
func (m *fineGrayModel) seen(g int32, t float64) float64 {
	c := &m.censoring[g]
	x := c.surv[c.before(t)]
	if m.entry != nil {
		e := &m.entry[g]
		x *= e.surv[e.from(t)]
	}
	return x
}

func (m *fineGrayModel) curve(rows []int32) censoring {
	f := m.f
	sorted := byTime(f.Time, rows)
	var c censoring
	risk, late := 0.0, m.lateRisk(rows)
	for hi := len(sorted); hi > 0; { // from the last time, so that weights at risk are sums and not differences
		lo, out, t := hi, 0.0, f.Time[sorted[hi-1]]
		for ; lo > 0 && f.Time[sorted[lo-1]] == t; lo-- {
			r := sorted[lo-1]
			risk += f.weight(r)
			if f.Cause[r] == Censored {
				out += f.weight(r)
			}
		}
		hi = lo
		if out > 0 {
			c.time, c.die, c.out = append(c.time, t), append(c.die, max(out, risk-late(t))), append(c.out, out)
		}
	}
	for _, x := range [][]float64{c.time, c.die, c.out} {
		for a, b := 0, len(x)-1; a < b; a, b = a+1, b-1 {
			x[a], x[b] = x[b], x[a]
		}
	}
	c.surv = append(c.surv, 1)
	for u := range c.time {
		x := (c.die[u] - c.out[u]) / c.die[u]
		if x == 0 && f.Entry != nil {
			x = 1 // belongs to no weight: checked by bridged
		}
		c.surv = append(c.surv, c.surv[u]*x)
	}
	return c
}

// fgHazards are sums over the steps l of each event time q, of h = v̄/S(l) and the mean e of z.
type fgHazards struct {
	all  []float64 // (1+k) a time: Σ h, Σ h·e
	own  []float64 // the same with the share 1 − l/m, for those who have the event
	mean []float64 // k a time: mean of e
}

// point is the pseudo likelihood at b.
func (m *fineGrayModel) point(b []float64) *coxPoint {
	p, _ := m.evaluate(b)
	return p
}

func (m *fineGrayModel) evaluate(b []float64) (*coxPoint, fgHazards) {
	k, n, E := m.k, len(m.row), len(m.time)
	p := &coxPoint{b: b, eta: make([]float64, n), r: make([]float64, n), u: make([]float64, k), info: mat.NewSymDense(k, nil)}
	for i := range n {
		for j, bj := range b {
			p.eta[i] += float64(bj * m.z[i*k+j])
		}
		p.r[i] = math.Exp(p.eta[i])
	}
	risk := m.risk(p)
	h := fgHazards{make([]float64, E*(1+k)), make([]float64, E*(1+k)), make([]float64, E*k)}
	tri := make([]float64, k*(k+1)/2)
	e, d := make([]float64, k), make([]float64, 1+k)
	for _, s := range m.strata {
		for i := s.lo; i < s.hi; {
			if m.kind[i] != fgEvent {
				i++
				continue
			}
			q, ties, wd := int(m.upto[i])-1, 0, 0.0
			clear(d)
			for ; i < s.hi && int(m.upto[i]) == q+1 && m.f.Time[m.row[i]] == m.time[q]; i++ {
				if m.kind[i] != fgEvent {
					continue
				}
				ties++
				wd += m.w[i]
				p.ll += float64(m.w[i] * p.eta[i])
				wr := m.w[i] * p.r[i]
				d[0] += wr
				for a, x := range m.z[i*k : i*k+k] {
					d[1+a] += float64(wr * x)
					p.u[a] += float64(m.w[i] * x)
				}
			}
			steps, each := ties, wd/float64(ties)
			if !m.efron {
				steps, each = 1, wd
			}
			all, own, mean, set := h.all[q*(1+k):][:1+k], h.own[q*(1+k):][:1+k], h.mean[q*k:][:k], risk[q*(1+k):][:1+k]
			for l := range steps {
				share := float64(l) / float64(ties)
				den := set[0] - float64(share*d[0])
				p.ll -= float64(each * math.Log(den))
				x := each / den
				all[0] += x
				own[0] += float64((1 - share) * x)
				for a := range e {
					e[a] = (set[1+a] - float64(share*d[1+a])) / den
					all[1+a] += float64(x * e[a])
					own[1+a] += float64((1 - share) * x * e[a])
					mean[a] += e[a] / float64(steps)
					p.u[a] -= float64(each * e[a])
				}
				at := 0
				for a := range e {
					for _, ec := range e[a:] {
						tri[at] -= float64(each * e[a] * ec)
						at++
					}
				}
			}
		}
	}
	p.centre = make([]float64, k)
	for a, at := 0, 0; a < k; a, at = a+1, at+k-a {
		p.centre[a] = -tri[at]
	}
	// Σ_t h·Σ_i v w_i(t) e^η z z' is a sum over rows with what each meets of h.
	for i, x := range m.exposure(h.all, h.own, 1+k) {
		x *= m.w[i] * p.r[i]
		at, z := 0, m.z[i*k:i*k+k]
		for a, za := range z {
			for _, zc := range z[a:] {
				tri[at] += float64(x * za * zc)
				at++
			}
		}
	}
	at := 0
	for a := range k {
		for c := a; c < k; c++ {
			p.info.SetSym(a, c, tri[at])
			at++
		}
	}
	return p, h
}

// risk is (1+k) numbers an event time: Σ_i v w_i(t) e^η (1, z).
func (m *fineGrayModel) risk(p *coxPoint) []float64 {
	k := m.k
	out := make([]float64, len(m.time)*(1+k))
	sum := make([]float64, 1+k)
	stay := make([]float64, len(m.censoring)*(1+k))
	add := func(to []float64, i int, x float64) {
		to[0] += x
		for a, z := range m.z[i*k : i*k+k] {
			to[1+a] += float64(x * z)
		}
	}
	for _, s := range m.strata {
		clear(sum)
		i, gone := s.hi-1, s.lo
		for q := s.to - 1; q >= s.from; q-- {
			for ; i >= s.lo && int(m.upto[i]) > q; i-- {
				if m.in == nil || m.in[i] < m.upto[i] { // else it is in no risk set
					add(sum, i, m.w[i]*p.r[i])
				}
			}
			for ; m.in != nil && gone < s.hi && int(m.in[m.late[gone]]) > q; gone++ {
				if j := int(m.late[gone]); m.in[j] < m.upto[j] {
					add(sum, j, -m.w[j]*p.r[j])
				}
			}
			copy(out[q*(1+k):], sum)
		}
		clear(stay)
		i = s.lo
		for q := s.from; q < s.to; q++ {
			for ; i < s.hi && int(m.upto[i]) <= q; i++ {
				if m.kind[i] == fgOther {
					add(stay[int(m.group[i])*(1+k):][:1+k], i, m.w[i]*p.r[i]*m.share[i])
				}
			}
			set := out[q*(1+k):][:1+k]
			for g := range m.censoring {
				for a, x := range stay[g*(1+k):][:1+k] {
					set[a] += float64(m.left[g][q] * x)
				}
			}
		}
	}
	return out
}

// exposure is Σ_t w_i(t)·h(t) by row, where all and own hold h in the first of width numbers a time.
func (m *fineGrayModel) exposure(all, own []float64, width int) []float64 {
	out := make([]float64, len(m.row))
	for _, s := range m.strata {
		E := s.to - s.from
		cum := make([]float64, E+1)
		tail := make([][]float64, len(m.censoring)) // Σ of G(t−)h(t) from a time on
		for q := range E {
			cum[q+1] = cum[q] + all[(s.from+q)*width]
		}
		for g := range tail {
			tail[g] = make([]float64, E+1)
			for q := E - 1; q >= 0; q-- {
				tail[g][q] = tail[g][q+1] + float64(m.left[g][s.from+q]*all[(s.from+q)*width])
			}
		}
		for i := s.lo; i < s.hi; i++ {
			q := int(m.upto[i]) - s.from
			switch m.kind[i] {
			case fgCensored:
				out[i] = cum[q]
			case fgEvent:
				out[i] = cum[q-1] + own[(s.from+q-1)*width]
			case fgOther:
				out[i] = cum[q] + float64(m.share[i]*tail[m.group[i]][q])
			}
			if m.in != nil {
				out[i] -= cum[int(m.in[i])-s.from]
			}
		}
	}
	return out
}
