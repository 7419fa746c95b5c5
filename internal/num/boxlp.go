package num

import (
	"math"
	"slices"
)

// BoxLP is a linear programme whose variables have finite bounds:
//
//	maximise c'x subject to RowLower ≤ Ax ≤ RowUpper, Lower ≤ x ≤ Upper,
//
// with few rows and any number of variables. Bounds of rows may be infinite on one side.
type BoxLP struct {
	Rows               int
	A                  []float64 // by variable: Rows numbers each
	C                  []float64
	Lower, Upper       []float64
	RowLower, RowUpper []float64
}

// BoxSolution is what [BoxLP.Maximize] found.
type BoxSolution struct {
	X     []float64
	Price []float64 // of the rows
	// Bound is above c'x for every feasible x, whatever became of the search: see [BoxLP.Bound].
	Bound      float64
	Feasible   bool // false = no x keeps the rows
	Done       bool // the search ended; else it was stopped after its last iteration
	Iterations int
}

// Bound is Σ_j max over the box of (c - A'y)_j x_j + Σ_i max over the row's bounds of y_i r_i, which by
// weak duality no feasible c'x exceeds, for any prices y; a price for a bound that is infinite counts as 0.
func (p *BoxLP) Bound(y []float64) float64 {
	terms := make([]float64, 0, len(p.C)+p.Rows)
	clean := slices.Clone(y)
	for i, v := range y {
		if v > 0 && math.IsInf(p.RowUpper[i], 1) || v < 0 && math.IsInf(p.RowLower[i], -1) {
			clean[i] = 0
			continue
		}
		switch {
		case v > 0:
			terms = append(terms, v*p.RowUpper[i])
		case v < 0:
			terms = append(terms, v*p.RowLower[i])
		}
	}
	for j, c := range p.C {
		for i, a := range p.A[j*p.Rows : (j+1)*p.Rows] {
			c -= float64(clean[i] * a)
		}
		terms = append(terms, max(c*p.Lower[j], c*p.Upper[j]))
	}
	return Sum(terms)
}

// Maximize is the dual simplex method with bound flipping (Maros 2003, ch. 10) from the basis of
// the rows. Costs are moved by less than 1e-7 apart, so that ties do not make it circle; Bound does not see that.
func (p *BoxLP) Maximize(iterations int) BoxSolution {
	s := newBoxSimplex(p)
	for s.iterations < iterations {
		if s.iterations%50 == 49 {
			s.refactor()
		}
		r, sigma, gap := s.leaving()
		if r < 0 {
			s.done = true
			break
		}
		if !s.step(r, sigma, gap) {
			return BoxSolution{Done: true, Iterations: s.iterations, Bound: math.Inf(-1)}
		}
		s.iterations++
	}
	out := BoxSolution{X: make([]float64, len(p.C)), Price: s.prices(), Feasible: true, Done: s.done, Iterations: s.iterations}
	copy(out.X, s.x)
	for r, j := range s.head {
		if j < len(p.C) {
			out.X[j] = min(max(s.basic[r], p.Lower[j]), p.Upper[j])
		}
	}
	out.Bound = p.Bound(out.Price)
	return out
}

// boxSimplex has the rows' activities as variables n … n+m-1 with columns -e.
type boxSimplex struct {
	*BoxLP
	n, m         int
	cost         []float64
	lower, upper []float64
	x            []float64 // of nonbasic variables: at a bound
	d            []float64 // reduced costs
	head         []int     // variable of each place in the basis
	place        []int     // -1 = nonbasic
	basic        []float64 // values of the basis
	inverse      []float64 // m×m by rows
	alpha        []float64
	breaks       []boxBreak
	iterations   int
	done         bool
}

type boxBreak struct {
	t, size float64
	j       int
}

func newBoxSimplex(p *BoxLP) *boxSimplex {
	n, m := len(p.C), p.Rows
	s := &boxSimplex{
		BoxLP: p, n: n, m: m, cost: make([]float64, n+m), x: make([]float64, n+m), d: make([]float64, n+m), place: make([]int, n+m),
		head: make([]int, m), basic: make([]float64, m), inverse: make([]float64, m*m), alpha: make([]float64, n+m),
		lower: slices.Concat(p.Lower, p.RowLower), upper: slices.Concat(p.Upper, p.RowUpper),
	}
	for j := range n {
		_, share := math.Modf(float64(j+1) * 0.6180339887498949)
		s.cost[j] = p.C[j] + 1e-7*(share-0.5)
		s.place[j] = -1
		s.x[j] = p.Lower[j]
		if s.cost[j] > 0 {
			s.x[j] = p.Upper[j]
		}
	}
	for i := range m {
		s.head[i], s.place[n+i] = n+i, i
	}
	s.refactor()
	return s
}

// column writes the column of a variable.
func (s *boxSimplex) column(j int, out []float64) {
	if j < s.n {
		copy(out, s.A[j*s.m:(j+1)*s.m])
		return
	}
	clear(out)
	out[j-s.n] = -1
}

// times is y'a_j.
func (s *boxSimplex) times(y []float64, j int) float64 {
	if j >= s.n {
		return -y[j-s.n]
	}
	sum := 0.0
	for i, a := range s.A[j*s.m : (j+1)*s.m] {
		sum += float64(y[i] * a)
	}
	return sum
}

// refactor makes inverse, values and reduced costs anew from the basis.
func (s *boxSimplex) refactor() {
	m := s.m
	work, col := make([]float64, m*2*m), make([]float64, m)
	for r, j := range s.head {
		s.column(j, col)
		for i, v := range col {
			work[i*2*m+r] = v
		}
		work[r*2*m+m+r] = 1
	}
	for c := range m {
		pivot := c
		for i := c + 1; i < m; i++ {
			if math.Abs(work[i*2*m+c]) > math.Abs(work[pivot*2*m+c]) {
				pivot = i
			}
		}
		if pivot != c {
			for k := range 2 * m {
				work[c*2*m+k], work[pivot*2*m+k] = work[pivot*2*m+k], work[c*2*m+k]
			}
		}
		v := work[c*2*m+c]
		if v == 0 {
			v = 1e-30
		}
		for k := range 2 * m {
			work[c*2*m+k] /= v
		}
		for i := range m {
			if f := work[i*2*m+c]; i != c && f != 0 {
				for k := range 2 * m {
					work[i*2*m+k] -= float64(f * work[c*2*m+k])
				}
			}
		}
	}
	for r := range m {
		copy(s.inverse[r*m:(r+1)*m], work[r*2*m+m:r*2*m+2*m])
	}
	total := make([]float64, m)
	for j, at := range s.place {
		if at >= 0 || s.x[j] == 0 {
			continue
		}
		if j >= s.n {
			total[j-s.n] -= s.x[j]
			continue
		}
		for i, a := range s.A[j*m : (j+1)*m] {
			total[i] += float64(a * s.x[j])
		}
	}
	clear(s.basic)
	s.shift(total)
	y := s.prices()
	for j, at := range s.place {
		s.d[j] = 0
		if at < 0 {
			s.d[j] = s.cost[j] - s.times(y, j)
		}
	}
}

// shift takes inverse·v from the values of the basis.
func (s *boxSimplex) shift(v []float64) {
	for r := range s.m {
		sum := 0.0
		for i, x := range v {
			sum += float64(s.inverse[r*s.m+i] * x)
		}
		s.basic[r] -= sum
	}
}

func (s *boxSimplex) prices() []float64 {
	y := make([]float64, s.m)
	for r, j := range s.head {
		if s.cost[j] != 0 {
			for i := range y {
				y[i] += float64(s.cost[j] * s.inverse[r*s.m+i])
			}
		}
	}
	return y
}

// leaving is the place of the basis that is farthest outside its bounds, or -1.
func (s *boxSimplex) leaving() (place int, sigma, gap float64) {
	place, gap = -1, 1e-9
	for r, j := range s.head {
		scale := 1 + math.Abs(s.basic[r])
		if g := (s.lower[j] - s.basic[r]) / scale; g > gap {
			place, sigma, gap = r, 1, g
		}
		if g := (s.basic[r] - s.upper[j]) / scale; g > gap {
			place, sigma, gap = r, -1, g
		}
	}
	if place >= 0 {
		gap *= 1 + math.Abs(s.basic[place])
	}
	return place, sigma, gap
}

// step takes a variable out of the basis at the bound that it broke; false = no x keeps the rows.
func (s *boxSimplex) step(r int, sigma, gap float64) bool {
	rho := s.inverse[r*s.m : (r+1)*s.m]
	s.breaks = s.breaks[:0]
	for j, at := range s.place {
		if at >= 0 {
			continue
		}
		a := s.times(rho, j)
		s.alpha[j] = a
		if s.lower[j] == s.upper[j] || math.Abs(a) < 1e-11 {
			continue
		}
		if atLower := s.x[j] == s.lower[j]; atLower == (sigma*a < 0) {
			s.breaks = append(s.breaks, boxBreak{max(s.d[j]/(sigma*a), 0), math.Abs(a), j})
		}
	}
	slices.SortFunc(s.breaks, func(a, b boxBreak) int {
		switch {
		case a.t != b.t:
			if a.t < b.t {
				return -1
			}
			return 1
		case a.size != b.size:
			if a.size > b.size {
				return -1
			}
			return 1
		}
		return a.j - b.j
	})
	enter := -1
	moved := make([]float64, s.m)
	column := make([]float64, s.m)
	for k, b := range s.breaks {
		gap -= b.size * (s.upper[b.j] - s.lower[b.j])
		if gap <= 0 || math.IsInf(gap, -1) {
			enter = k
			break
		}
		to := s.lower[b.j]
		if s.x[b.j] == s.lower[b.j] {
			to = s.upper[b.j]
		}
		s.column(b.j, column)
		for i, v := range column {
			moved[i] += float64(v * (to - s.x[b.j]))
		}
		s.x[b.j] = to
	}
	if enter < 0 {
		return false
	}
	s.shift(moved)
	q, t := s.breaks[enter].j, s.breaks[enter].t
	s.column(q, column)
	w := make([]float64, s.m)
	for i := range s.m {
		for k, v := range column {
			w[i] += float64(s.inverse[i*s.m+k] * v)
		}
	}
	out := s.head[r]
	bound := s.lower[out]
	if sigma < 0 {
		bound = s.upper[out]
	}
	theta := (s.basic[r] - bound) / w[r]
	for i := range s.basic {
		s.basic[i] -= float64(theta * w[i])
	}
	for j, at := range s.place {
		if at < 0 {
			s.d[j] -= float64(t * sigma * s.alpha[j])
		}
	}
	s.d[q], s.d[out] = 0, -t*sigma
	s.basic[r], s.x[out] = s.x[q]+theta, bound
	s.head[r], s.place[q], s.place[out] = q, r, -1
	for k := range s.m {
		s.inverse[r*s.m+k] /= w[r]
	}
	for i := range s.m {
		if f := w[i]; i != r && f != 0 {
			for k := range s.m {
				s.inverse[i*s.m+k] -= float64(f * s.inverse[r*s.m+k])
			}
		}
	}
	return true
}
