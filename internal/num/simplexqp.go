package num

import "math"

// SimplexQP is the least-squares problem of weights that are not negative and add up to 1:
//
//	minimise |Aw - b|² + Ridge·|w|² over w ≥ 0, Σw = 1,
//
// the point nearest to b in the hull of the columns of A, with Rows rows.
type SimplexQP struct {
	Rows  int
	A     []float64 // by column: Rows numbers each
	B     []float64 // Rows
	Ridge float64   // ≥ 0
}

// SimplexWeights is the solution of a [SimplexQP].
type SimplexWeights struct {
	W []float64
	// KKT is how far the solution is from optimal: with g half the gradient, the largest g
	// among weights above 0 less the smallest of all, over the largest |a_i - b|² + Ridge. A
	// solution without error has 0.
	KKT        float64
	Iterations int
}

// Solved is the largest KKT that [SimplexQP.Solve] should leave; what it stops at is rounding.
const Solved = 1e-10

// Solve finds the weights by two exact methods. Where the ridge is not small beside the columns, the dual in
// Rows + 1 unknowns is solved by Newton's method (it is piecewise quadratic, so that it ends). Else, or if that
// leaves more than rounding, Wolfe's (1976) active-set method starts from the nearest column; each of its affine
// problems is solved by Householder reflections of differences of columns, so that condition numbers are not squared.
// Without ridge the weights need not be unique; their fit is. If all columns equal b and there is no ridge, weights are equal.
func (p *SimplexQP) Solve() SimplexWeights {
	s := newSimplexQP(p)
	if s.scale == 0 {
		out := SimplexWeights{W: make([]float64, s.n)}
		for i := range out.W {
			out.W[i] = 1 / float64(s.n)
		}
		return out
	}
	steps := 0
	if s.ridge > 1e-7*s.scale {
		w, iterations := s.dual()
		steps = iterations
		if k := s.kkt(w); k <= 1e-13 {
			return SimplexWeights{W: w, KKT: k, Iterations: steps}
		}
	}
	w, iterations := s.wolfe()
	return SimplexWeights{W: w, KKT: s.kkt(w), Iterations: steps + iterations}
}

// simplexQP has the columns less b: as the weights add up to 1, Aw - b = Pw.
type simplexQP struct {
	m, n  int
	p     []float64
	ridge float64
	scale float64
	x, g  []float64 // scratch: Pw and half the gradient
}

func newSimplexQP(q *SimplexQP) *simplexQP {
	if q.Rows < 1 || len(q.B) != q.Rows || len(q.A) == 0 || len(q.A)%q.Rows != 0 || !(q.Ridge >= 0) {
		panic("num: SimplexQP of impossible shape")
	}
	s := &simplexQP{m: q.Rows, n: len(q.A) / q.Rows, ridge: q.Ridge, p: make([]float64, len(q.A))}
	for i := range s.n {
		for r, b := range q.B {
			s.p[i*s.m+r] = q.A[i*s.m+r] - b
		}
	}
	if s.m > s.n { // the triangle of P has the same P'P
		householder(s.p, s.m, s.m, s.n, DotFast)
		r := make([]float64, s.n*s.n)
		for j := range s.n {
			copy(r[j*s.n:j*s.n+j+1], s.p[j*s.m:j*s.m+j+1])
		}
		s.p, s.m = r, s.n
	}
	for i := range s.n {
		s.scale = max(s.scale, DotFast(s.column(i), s.column(i)))
	}
	s.scale += s.ridge
	s.x, s.g = make([]float64, s.m), make([]float64, s.n)
	return s
}

func (s *simplexQP) column(i int) []float64 { return s.p[i*s.m : (i+1)*s.m] }

// gradient fills x = Pw and g = P'x + ridge·w.
func (s *simplexQP) gradient(w []float64) {
	clear(s.x)
	for i, v := range w {
		if v != 0 {
			for r, c := range s.column(i) {
				s.x[r] += float64(v * c)
			}
		}
	}
	for i, v := range w {
		s.g[i] = DotFast(s.column(i), s.x) + float64(s.ridge*v)
	}
}

func (s *simplexQP) kkt(w []float64) float64 {
	s.gradient(w)
	low, high, sum := math.Inf(1), math.Inf(-1), 0.0
	for i, g := range s.g {
		low = min(low, g)
		if w[i] > 0 {
			high = max(high, g)
		}
		if w[i] < 0 || math.IsNaN(g) {
			return math.Inf(1)
		}
		sum += w[i]
	}
	return max((high-low)/s.scale, math.Abs(sum-1))
}

// dual maximises -|y|²/2 + μ - Σ max(0, μ - p_i'y)²/(2·ridge); then w_i = max(0, μ - p_i'y)/ridge.
func (s *simplexQP) dual() (w []float64, steps int) {
	k := s.m + 1
	w = make([]float64, s.n)
	u, trial := make([]float64, k), make([]float64, k) // y, μ
	for i := range s.n {
		for r, c := range s.column(i) {
			u[r] += c / float64(s.n)
		}
	}
	for i := range s.n {
		u[s.m] = max(u[s.m], DotFast(s.column(i), u[:s.m]))
	}
	u[s.m] += s.ridge / float64(s.n)
	value := func(u []float64) float64 {
		sum := 0.0
		for i := range s.n {
			w[i] = max(0, u[s.m]-DotFast(s.column(i), u[:s.m])) / s.ridge
			sum += float64(w[i] * w[i])
		}
		return u[s.m] - (DotFast(u[:s.m], u[:s.m])+float64(s.ridge*sum))/2
	}
	best := value(u)
	h, grad := make([]float64, k*k), make([]float64, k)
	for ; steps < 200; steps++ {
		clear(h)
		for r := range s.m {
			h[r*k+r], grad[r] = 1, -u[r]
		}
		grad[s.m] = 1
		active := 0.0
		for i, v := range w {
			if v == 0 {
				continue
			}
			active++
			grad[s.m] -= v
			c := s.column(i)
			for r, x := range c {
				grad[r] += float64(v * x)
				h[s.m*k+r] -= x / s.ridge
				for q := 0; q <= r; q++ {
					h[r*k+q] += x * c[q] / s.ridge
				}
			}
		}
		h[s.m*k+s.m] = max(active, 1) / s.ridge
		if !choleskyLower(h, k) {
			return w, steps
		}
		step := append([]float64(nil), grad...)
		forwardSolve(h, k, step)
		backSolve(h, k, step)
		slope := DotFast(step, grad)
		if !(slope > 1e-30*s.scale) {
			break
		}
		t, ok := 1.0, false
		for ; t > 1e-9; t /= 2 {
			for r := range trial {
				trial[r] = u[r] + float64(t*step[r])
			}
			if v := value(trial); v >= best+float64(1e-4*t*slope) || v >= best && t == 1 && slope < 1e-12*math.Abs(best) {
				best, ok = v, true
				break
			}
		}
		if !ok {
			value(u)
			break
		}
		copy(u, trial)
	}
	sum := Sum(w)
	for i := range w {
		w[i] /= sum
	}
	return w, steps
}

// choleskyLower overwrites the lower triangle of h (k×k by rows) with its factor.
func choleskyLower(h []float64, k int) bool {
	for j := range k {
		for i := j; i < k; i++ {
			v := h[i*k+j] - DotFast(h[i*k:i*k+j], h[j*k:j*k+j])
			if i == j {
				if !(v > 0) {
					return false
				}
				h[j*k+j] = math.Sqrt(v)
				continue
			}
			h[i*k+j] = v / h[j*k+j]
		}
	}
	return true
}
