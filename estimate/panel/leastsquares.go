package panel

import (
	"math"

	"utfall/internal/num"
)

// leastSquares is the thin QR factorisation √w·X = Q·R of a design whose first
// column is the intercept, by Gram–Schmidt with every column projected twice: Q is
// then orthogonal to rounding, whatever the condition of X.
type leastSquares struct {
	n, k int
	root []float64   // √w; nil = 1
	q    [][]float64 // k columns of n
	r    []float64   // k×k upper triangle by rows
}

// A column of which less than dependent is left, relative to its spread around its
// mean, after projection on those before it is a linear combination of them. Spread
// below constant of its size is rounding of a constant column.
const (
	dependent = 1e-8
	constant  = 1e-12
)

// newLeastSquares factorises the design of n rows of k columns (by rows). It
// returns the first dependent column, or -1.
func newLeastSquares(x []float64, n, k int, w []float64) (*leastSquares, int) {
	s := &leastSquares{n: n, k: k, q: make([][]float64, k), r: make([]float64, k*k)}
	if w != nil {
		s.root = make([]float64, n)
		for i, v := range w {
			s.root[i] = math.Sqrt(v)
		}
	}
	buf := make([]float64, n*k)
	for j := range k {
		col := buf[j*n : (j+1)*n]
		for i := range col {
			col[i] = x[i*k+j]
		}
		if s.root != nil {
			for i := range col {
				col[i] *= s.root[i]
			}
		}
		s.q[j] = col
		size := math.Sqrt(num.Dot(col, col))
		spread := size
		for pass := range 2 {
			for h := range j {
				c := num.Dot(s.q[h], col)
				s.r[h*k+j] += c
				qh := s.q[h]
				for i := range col {
					col[i] -= float64(c * qh[i])
				}
				if h == 0 && pass == 0 {
					spread = math.Sqrt(num.Dot(col, col))
				}
			}
		}
		own := math.Sqrt(num.Dot(col, col))
		if !(spread > constant*size) || !(own > dependent*spread) {
			return nil, j
		}
		s.r[j*k+j] = own
		for i := range col {
			col[i] /= own
		}
	}
	return s, -1
}

// coef returns the weighted least-squares coefficients of y (n).
func (s *leastSquares) coef(y, scratch []float64) []float64 {
	if s.root != nil {
		for i, v := range y {
			scratch[i] = v * s.root[i]
		}
		y = scratch[:len(y)]
	}
	b := make([]float64, s.k)
	for j := range b {
		b[j] = num.Dot(s.q[j], y)
	}
	s.back(b)
	return b
}

// back overwrites b with R⁻¹b.
func (s *leastSquares) back(b []float64) {
	for i := s.k - 1; i >= 0; i-- {
		v := b[i]
		for j := i + 1; j < s.k; j++ {
			v -= float64(s.r[i*s.k+j] * b[j])
		}
		b[i] = v / s.r[i*s.k+i]
	}
}

// solveGram returns (X'WX)⁻¹m by two triangular solves.
func (s *leastSquares) solveGram(m []float64) []float64 {
	b := append([]float64(nil), m...)
	for i := range s.k {
		v := b[i]
		for j := range i {
			v -= float64(s.r[j*s.k+i] * b[j])
		}
		b[i] = v / s.r[i*s.k+i]
	}
	s.back(b)
	return b
}
