package panel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
)

// Columns on a high level and nearly dependent: Q stays orthogonal to rounding and an
// exact relation y = 1 + 2a - 3b is found.
func TestLeastSquaresIllConditioned(t *testing.T) {
	const n = 50
	x, y, w := make([]float64, 3*n), make([]float64, n), make([]float64, n)
	for i := range n {
		a := float64(i%7) - 3
		b := a + float64(i*i%11)/1024
		x[3*i], x[3*i+1], x[3*i+2] = 1, 4096+a, b
		y[i], w[i] = 1+2*x[3*i+1]-3*b, 1+float64(i%4)
	}
	ls, column := newLeastSquares(x, n, 3, w)
	require.Equal(t, -1, column)
	for a := range 3 {
		for b := range a {
			reftest.Near(t, "orthogonality", num.Dot(ls.q[a], ls.q[b]), 0, 1e-15)
		}
		reftest.Near(t, "length", num.Dot(ls.q[a], ls.q[a]), 1, 1e-14)
	}
	beta := ls.coef(y, make([]float64, n))
	for j, want := range []float64{1, 2, -3} {
		reftest.Near(t, "coefficient", beta[j], want, 2e-6)
	}
	// (X'WX)⁻¹(X'WX)e = e.
	gram := make([]float64, 3)
	for i := range n {
		for j := range 3 {
			gram[j] += w[i] * x[3*i+j] * x[3*i+2]
		}
	}
	e := ls.solveGram(gram)
	for j, want := range []float64{0, 0, 1} {
		reftest.Near(t, "gram", e[j], want, 1e-5)
	}
}

// The first dependent column is named: a constant one, a copy, a sum.
func TestLeastSquaresCollinear(t *testing.T) {
	const n = 40
	for name, c := range map[string]struct {
		third func(a, b float64) float64
		want  int
	}{
		"constant": {func(_, _ float64) float64 { return 7.3 }, 3},
		"copy":     {func(a, _ float64) float64 { return a }, 3},
		"sum":      {func(a, b float64) float64 { return 5 - a + 2*b }, 3},
		"free":     {func(a, b float64) float64 { return a * b }, -1},
	} {
		x := make([]float64, 4*n)
		for i := range n {
			a, b := math.Sin(float64(i)), 2000+math.Cos(float64(3*i))
			x[4*i], x[4*i+1], x[4*i+2], x[4*i+3] = 1, a, b, c.third(a, b)
		}
		_, column := newLeastSquares(x, n, 4, nil)
		require.Equal(t, c.want, column, name)
	}
}
