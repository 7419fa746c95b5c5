package survive

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// coxModel holds the rows with a weight in the order in which the likelihood visits them:
// stratum by stratum, from the last time to the first, units in byte order within a time.
type coxModel struct {
	f        *Covaried
	k        int
	efron    bool
	row      []int32 // of the frame
	z        []float64
	w        []float64
	mean, sd []float64 // of the columns; z is (x − mean)/sd
	strata   []coxStratum
	events   int
}

type coxStratum struct {
	lo, hi int
	in     []int32 // rows of the model from the last entry to the first; nil without entry times
}

func newCoxModel(f *Covaried, order []int32, efron bool) (*coxModel, error) {
	_, k := f.X.Dims()
	m := &coxModel{f: f, k: k, efron: efron}
	n := len(order)
	for _, rows := range strata(f.Stratum, order) {
		lo := len(m.row)
		sorted := byTime(f.Time, rows)
		slices.Reverse(sorted)
		for from := 0; from < len(sorted); { // reversing turned the units of one time around
			to := from
			for to < len(sorted) && f.Time[sorted[to]] == f.Time[sorted[from]] {
				to++
			}
			slices.Reverse(sorted[from:to])
			from = to
		}
		m.row = append(m.row, sorted...)
		s := coxStratum{lo: lo, hi: len(m.row)}
		if f.Entry != nil {
			at := make([]float64, s.hi-s.lo)
			for i := range at {
				at[i] = -f.Entry[m.row[lo+i]]
			}
			for _, i := range num.OrderFloats(at) {
				s.in = append(s.in, int32(lo)+i)
			}
		}
		m.strata = append(m.strata, s)
	}
	m.w = make([]float64, n)
	for i, r := range m.row {
		m.w[i] = f.weight(r)
		if f.Event[r] {
			m.events++
		}
	}
	if m.events == 0 {
		return nil, fmt.Errorf("%w: no event among %d units", estimate.ErrTooFew, n)
	}
	var err error
	if m.mean, m.sd, err = columnScale(f.X, f.XNames, f.Weight.Values, order); err != nil {
		return nil, err
	}
	m.z = make([]float64, n*k)
	for i, r := range m.row {
		for j, x := range f.X.RawRowView(int(r)) {
			m.z[i*k+j] = (x - m.mean[j]) / m.sd[j]
		}
	}
	return m, nil
}

// columnScale returns the weighted mean and standard deviation of each column over rows in the given order.
func columnScale(x *mat.Dense, names []string, weight []float64, order []int32) (mean, sd []float64, err error) {
	k := len(names)
	w := func(r int32) float64 {
		if weight == nil {
			return 1
		}
		return weight[r]
	}
	sums := num.SumChunks(len(order), 1+k, 0, func(lo, hi int, acc []float64) {
		for _, r := range order[lo:hi] {
			acc[0] += w(r)
			for j, v := range x.RawRowView(int(r)) {
				acc[1+j] += float64(w(r) * v)
			}
		}
	})
	mean = sums[1:]
	for j := range mean {
		mean[j] /= sums[0]
	}
	sd = num.SumChunks(len(order), k, 0, func(lo, hi int, acc []float64) {
		for _, r := range order[lo:hi] {
			for j, v := range x.RawRowView(int(r)) {
				acc[j] += float64(w(r) * (v - mean[j]) * (v - mean[j]))
			}
		}
	})
	for j := range sd {
		sd[j] = math.Sqrt(sd[j] / sums[0])
		if !(sd[j] > 1e-12*math.Abs(mean[j])) {
			return nil, nil, fmt.Errorf("%w: %q has one value only", estimate.ErrCollinear, names[j])
		}
	}
	return mean, sd, nil
}

// coxPoint is the likelihood at b, in the scale of z.
type coxPoint struct {
	b          []float64
	eta, r     []float64 // linear predictor, e^η
	ll         float64
	u          []float64 // score
	info       *mat.SymDense
	chol       []float64
	iterations int
	tolerance  float64

	null, loglik, score float64
}

// coxVisit is called at each event time, events of a stratum from the last to the first.
// For each l the weight h = w̄/S(l), the share l/m and the mean e of z; then once with the
// covariance V of z in the risk set, added up over l.
type coxVisit struct {
	tie  func(h, share float64, e []float64)
	time func(t float64, wz []float64, wd float64, info []float64)
	row  func(i, seen int) // row i comes in; seen event times of the stratum before
	out  func(i, seen int) // row i has not yet entered
	next func(stratum int)
}

func (m *coxModel) point(b []float64) *coxPoint {
	p := &coxPoint{b: b, eta: make([]float64, len(m.row)), r: make([]float64, len(m.row)), u: make([]float64, m.k), info: mat.NewSymDense(m.k, nil)}
	for i := range p.eta {
		for j, bj := range b {
			p.eta[i] += float64(bj * m.z[i*m.k+j])
		}
		p.r[i] = math.Exp(p.eta[i])
	}
	k := m.k
	m.sweep(p, coxVisit{time: func(_ float64, wz []float64, _ float64, info []float64) {
		at := 0
		for a := range k {
			p.u[a] += wz[a]
			for c := a; c < k; c++ {
				p.info.SetSym(a, c, p.info.At(a, c)+info[at])
				at++
			}
		}
	}})
	return p
}

// sweep visits all event times at p and adds up its likelihood. wz is the score of an
// event time, Σ_D w z − w̄ Σ_l e, and info its information.
func (m *coxModel) sweep(p *coxPoint, v coxVisit) {
	k, f := m.k, m.f
	tri := k * (k + 1) / 2
	s := make([]float64, 1+k+tri) // of the risk set: Σ w r (1, z, z z')
	d := make([]float64, 1+k+tri) // of the events
	wz, e, info := make([]float64, k), make([]float64, k), make([]float64, tri)
	add := func(to []float64, i int, wr float64) {
		z := m.z[i*k : i*k+k]
		to[0] += wr
		at := 1 + k
		for a, za := range z {
			x := wr * za
			to[1+a] += x
			for _, zc := range z[a:] {
				to[at] += float64(x * zc)
				at++
			}
		}
	}
	p.ll = 0
	for q, st := range m.strata {
		if v.next != nil {
			v.next(q)
		}
		clear(s)
		seen, entering := 0, 0
		for lo := st.lo; lo < st.hi; {
			t := f.Time[m.row[lo]]
			for ; entering < len(st.in) && f.Entry[m.row[st.in[entering]]] >= t; entering++ {
				i := int(st.in[entering])
				add(s, i, -m.w[i]*p.r[i])
				if v.out != nil {
					v.out(i, seen)
				}
			}
			hi, ties, wd, weta := lo, 0, 0.0, 0.0
			for ; hi < st.hi && f.Time[m.row[hi]] == t; hi++ {
				add(s, hi, m.w[hi]*p.r[hi])
				if v.row != nil {
					v.row(hi, seen)
				}
				if !f.Event[m.row[hi]] {
					continue
				}
				if ties == 0 {
					clear(d)
					clear(wz)
					clear(info)
				}
				ties++
				add(d, hi, m.w[hi]*p.r[hi])
				wd += m.w[hi]
				weta += float64(m.w[hi] * p.eta[hi])
				for a := range wz {
					wz[a] += float64(m.w[hi] * m.z[hi*k+a])
				}
			}
			lo = hi
			if ties == 0 {
				continue
			}
			seen++
			p.ll += weta
			steps, each := ties, wd/float64(ties)
			if !m.efron {
				steps, each = 1, wd
			}
			for l := range steps {
				share := float64(l) / float64(ties)
				den := s[0] - float64(share*d[0])
				p.ll -= float64(each * math.Log(den))
				for a := range e {
					e[a] = (s[1+a] - float64(share*d[1+a])) / den
					wz[a] -= float64(each * e[a])
				}
				at := 0
				for a := range k {
					for c := a; c < k; c++ {
						info[at] += float64(each * ((s[1+k+at]-float64(share*d[1+k+at]))/den - float64(e[a]*e[c])))
						at++
					}
				}
				if v.tie != nil {
					v.tie(each/den, share, e)
				}
			}
			if v.time != nil {
				v.time(t, wz, wd, info)
			}
		}
	}
}

// coxIterations is enough for any likelihood with a maximum: Newton's method converges in
// under ten steps, while without one the linear predictor grows by about 1 a step.
const coxIterations = 60

// newton maximises the likelihood. A pivot of the information that falls to 1e-9 of what it is
// at β = 0 says that the likelihood has no maximum in that direction.
func newton(ctx context.Context, names []string, point func(b []float64) *coxPoint) (*coxPoint, error) {
	k := len(names)
	p := point(make([]float64, k))
	start := mat.NewSymDense(k, nil)
	start.CopySym(p.info)
	p.chol = make([]float64, k*k)
	if j := cholesky(p.info, p.chol, 1e-10); j >= 0 {
		return nil, fmt.Errorf("%w: %q is constant or follows from the columns before it among those at risk", estimate.ErrCollinear, names[j])
	}
	pivots := make([]float64, k)
	for j := range k {
		pivots[j] = p.chol[j*k+j] * p.chol[j*k+j]
	}
	null, score, last := p.ll, 0.0, math.Inf(1)
	for it := 1; it <= coxIterations; it++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		step := slices.Clone(p.u)
		forwardSolve(p.chol, k, step)
		gain := 0.0 // twice what a quadratic likelihood would still gain
		for _, x := range step {
			gain += float64(x * x)
		}
		if it == 1 {
			score = gain
		}
		backSolve(p.chol, k, step)
		// A step of 1e-13 standard errors, or the floor of rounding on the way to it.
		if gain <= 1e-26 || gain <= 1e-13 && gain > last/4 {
			p.iterations, p.tolerance, p.null, p.loglik, p.score = it-1, gain, null, p.ll, score
			return p, nil
		}
		last = gain
		b, at := make([]float64, k), p
		for half := 1.0; ; half /= 2 {
			for j := range b {
				b[j] = at.b[j] + float64(half*step[j])
			}
			p = point(b)
			// Rounding of a sum of this size may hide the last gains.
			if p.ll >= at.ll-1e-12*(1+math.Abs(at.ll)) {
				break
			}
			if half < 1e-6 {
				return nil, fmt.Errorf("%w: no step of Newton's method raises the likelihood", estimate.ErrNotConverged)
			}
		}
		p.chol = make([]float64, k*k)
		bad := cholesky(p.info, p.chol, 0)
		for j := 0; j < k && bad < 0; j++ {
			if p.chol[j*k+j]*p.chol[j*k+j] < 1e-9*pivots[j] {
				bad = j
			}
		}
		if bad >= 0 {
			return nil, separated(names, p.b)
		}
	}
	return nil, fmt.Errorf("%w: Newton's method took %d steps", estimate.ErrNotConverged, coxIterations)
}

// separated names the column whose effect has run furthest.
func separated(names []string, b []float64) error {
	far := 0
	for j := range b {
		if math.Abs(b[j]) > math.Abs(b[far]) {
			far = j
		}
	}
	return fmt.Errorf("%w: the likelihood has no maximum; %q, alone or with others, decides who has the event; leave it out or merge categories", estimate.ErrSeparated, names[far])
}

// cholesky factors v = L·L' into l, row-major. It returns the first column whose pivot is not above tol
// times its diagonal, or -1.
func cholesky(v *mat.SymDense, l []float64, tol float64) int {
	k, _ := v.Dims()
	for j := range k {
		for i := j; i < k; i++ {
			x := v.At(i, j)
			for c := range j {
				x -= float64(l[i*k+c] * l[j*k+c])
			}
			if i == j {
				if !(x > tol*v.At(j, j)) || math.IsInf(x, 0) {
					return j
				}
				l[j*k+j] = math.Sqrt(x)
				continue
			}
			l[i*k+j] = x / l[j*k+j]
		}
	}
	return -1
}

// forwardSolve solves L·y = b in place, backSolve L'·x = b.
func forwardSolve(l []float64, k int, b []float64) {
	for i := range k {
		for c := range i {
			b[i] -= float64(l[i*k+c] * b[c])
		}
		b[i] /= l[i*k+i]
	}
}

func backSolve(l []float64, k int, b []float64) {
	for i := k - 1; i >= 0; i-- {
		for c := i + 1; c < k; c++ {
			b[i] -= float64(l[c*k+i] * b[c])
		}
		b[i] /= l[i*k+i]
	}
}
