package survive

import "math"

// panelTerms ends the series of exp: ½^18/18! is below 1e-21.
const panelTerms = 18

// panelExp evaluates exp(Mt), M n×n with rates of pairs at the upper left, and its
// derivatives by the rates: order 0, 1 or 2.
type panelExp struct {
	n     int
	pairs [][2]int
	order int
	// The result: P, its first derivatives by pair and its second by pairs a ≤ b.
	p      []float64
	d, dd  [][]float64
	b      []float64
	t, nt  []float64
	td, nd [][]float64
	tt, nn [][]float64
}

func newPanelExp(n int, pairs [][2]int, order int) *panelExp {
	x := &panelExp{n: n, pairs: pairs, order: order}
	one := func() []float64 { return make([]float64, n*n) }
	many := func(k int) [][]float64 {
		out := make([][]float64, k)
		for i := range out {
			out[i] = one()
		}
		return out
	}
	x.p, x.b, x.t, x.nt = one(), one(), one(), one()
	if k := len(pairs); order > 0 {
		x.d, x.td, x.nd = many(k), many(k), many(k)
		if order > 1 {
			x.dd, x.tt, x.nn = many(k*(k+1)/2), many(k*(k+1)/2), many(k*(k+1)/2)
		}
	}
	return x
}

// times stores a·b·scale in out.
func (x *panelExp) times(out, a, b []float64, scale float64) {
	clear(out)
	x.addTimes(out, a, b, scale)
}

func (x *panelExp) addTimes(out, a, b []float64, scale float64) {
	n := x.n
	for i := range n {
		row := out[i*n : i*n+n]
		for k := range n {
			v := a[i*n+k] * scale
			if v == 0 {
				continue
			}
			for j, w := range b[k*n : k*n+n] {
				row[j] += float64(v * w)
			}
		}
	}
}

// addRate adds a·(E_rs - E_rr)·scale to out: the derivative of the generator by a rate.
func (x *panelExp) addRate(out, a []float64, pair [2]int, scale float64) {
	n := x.n
	for i := range n {
		v := float64(a[i*n+pair[0]] * scale)
		out[i*n+pair[1]] += v
		out[i*n+pair[0]] -= v
	}
}

// eval computes exp(M·t) as METHODS.md says.
func (x *panelExp) eval(m []float64, t float64) {
	n := x.n
	shift, norm := 0.0, 0.0
	for i := range n {
		shift = max(shift, -m[i*n+i])
	}
	for i := range n {
		sum := shift
		for j := range n {
			sum += m[i*n+j]
		}
		norm = max(norm, sum)
	}
	squarings, h := 0, t
	for norm*h > 0.5 {
		squarings, h = squarings+1, h/2
	}
	for i, v := range m {
		x.b[i] = v * h
		if i%(n+1) == 0 {
			x.b[i] = (v + shift) * h
		}
	}
	clear(x.p)
	clear(x.t)
	for i := range n {
		x.p[i*n+i], x.t[i*n+i] = 1, 1
	}
	for _, list := range [][][]float64{x.d, x.td, x.dd, x.tt} {
		for _, v := range list {
			clear(v)
		}
	}
	for term := 1; term <= panelTerms; term++ {
		s := 1 / float64(term)
		at := 0
		for a := range x.dd2() {
			for b := a; b < len(x.pairs); b++ {
				x.times(x.nn[at], x.tt[at], x.b, s)
				x.addRate(x.nn[at], x.td[a], x.pairs[b], s*h)
				x.addRate(x.nn[at], x.td[b], x.pairs[a], s*h)
				at++
			}
		}
		for a := range x.d {
			x.times(x.nd[a], x.td[a], x.b, s)
			x.addRate(x.nd[a], x.t, x.pairs[a], s*h)
		}
		x.times(x.nt, x.t, x.b, s)
		x.t, x.nt, x.td, x.nd, x.tt, x.nn = x.nt, x.t, x.nd, x.td, x.nn, x.tt
		plusAll(x.p, x.t)
		for a := range x.d {
			plusAll(x.d[a], x.td[a])
		}
		for a := range x.dd {
			plusAll(x.dd[a], x.tt[a])
		}
	}
	for _, list := range [][][]float64{{x.p}, x.d, x.dd} {
		for _, v := range list {
			for i := range v {
				v[i] *= math.Exp(-shift * h)
			}
		}
	}
	for range squarings {
		x.square()
	}
}

// dd2 is the pairs by which second derivatives are wanted.
func (x *panelExp) dd2() [][2]int {
	if x.order < 2 {
		return nil
	}
	return x.pairs
}

func plusAll(to, v []float64) {
	for i := range to {
		to[i] += v[i]
	}
}

// square turns exp(A) and its derivatives into those of exp(2A).
func (x *panelExp) square() {
	at := 0
	for a := range x.dd2() {
		for b := a; b < len(x.pairs); b++ {
			x.times(x.nn[at], x.dd[at], x.p, 1)
			x.addTimes(x.nn[at], x.p, x.dd[at], 1)
			x.addTimes(x.nn[at], x.d[a], x.d[b], 1)
			x.addTimes(x.nn[at], x.d[b], x.d[a], 1)
			at++
		}
	}
	for a := range x.d {
		x.times(x.nd[a], x.d[a], x.p, 1)
		x.addTimes(x.nd[a], x.p, x.d[a], 1)
	}
	x.times(x.nt, x.p, x.p, 1)
	x.p, x.nt, x.d, x.nd, x.dd, x.nn = x.nt, x.p, x.nd, x.d, x.nn, x.dd
}
