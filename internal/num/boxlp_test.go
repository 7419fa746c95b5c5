package num

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// By hand: maximise 3x + 2y, x + y ≤ 4, x + 3y ≤ 7, 0 ≤ x ≤ 3, 0 ≤ y ≤ 5: x = 3, y = 1, 11; the row x + y has
// the price 2 (one more of it is one more y), the other none.
func TestBoxLPByHand(t *testing.T) {
	inf := math.Inf(1)
	p := &BoxLP{Rows: 2, A: []float64{1, 1, 1, 3}, C: []float64{3, 2}, Lower: []float64{0, 0}, Upper: []float64{3, 5}, RowLower: []float64{-inf, -inf}, RowUpper: []float64{4, 7}}
	s := p.Maximize(100)
	require.True(t, s.Done && s.Feasible)
	reftest.Near(t, "x", s.X[0], 3, 1e-9)
	reftest.Near(t, "y", s.X[1], 1, 1e-9)
	reftest.Near(t, "bound", s.Bound, 11, 1e-5)
	reftest.Near(t, "price", s.Price[0], 2, 1e-6)
	require.GreaterOrEqual(t, p.Bound([]float64{0, 0}), 11.0)
	require.Equal(t, 19.0, p.Bound([]float64{-1, 0}), "a price of a bound that does not exist counts as 0")
	// x + y ≥ 20 is impossible.
	p.RowLower[0], p.RowUpper[0] = 20, inf
	require.False(t, p.Maximize(100).Feasible)
}

// The bound is never below what a feasible point has, and where the search ends the point has it.
func TestBoxLPDuality(t *testing.T) {
	ended := 0
	for rep := range 200 {
		s := NewStream(5, "boxlp", uint64(rep))
		n, m := 1+s.Intn(40), 1+s.Intn(8)
		p := &BoxLP{Rows: m}
		for range n {
			p.C = append(p.C, float64(s.Intn(3)))
			p.Lower, p.Upper = append(p.Lower, 0), append(p.Upper, float64(s.Intn(4)))
			for range m {
				p.A = append(p.A, float64(s.Intn(5)-2))
			}
		}
		for range m {
			lo, hi := -float64(s.Intn(3)), float64(s.Intn(3))
			if s.Bernoulli(0.3) {
				lo = math.Inf(-1)
			}
			p.RowLower, p.RowUpper = append(p.RowLower, lo), append(p.RowUpper, hi)
		}
		got := p.Maximize(1000)
		require.True(t, got.Feasible, "0 is feasible")
		value := 0.0
		for j, x := range got.X {
			value += x * p.C[j]
		}
		require.True(t, got.Done, "rep %d", rep)
		ended++
		for i := range m {
			r := 0.0
			for j, x := range got.X {
				r += x * p.A[j*m+i]
			}
			require.True(t, r >= p.RowLower[i]-1e-6 && r <= p.RowUpper[i]+1e-6, "rep %d row %d: %g", rep, i, r)
		}
		reftest.Near(t, "value and bound", value, got.Bound, 1e-4)
		require.GreaterOrEqual(t, got.Bound, value-1e-9)
		require.GreaterOrEqual(t, p.Maximize(3).Bound, value-1e-9, "a search that was stopped has a bound too")
	}
	require.Equal(t, 200, ended)
}
