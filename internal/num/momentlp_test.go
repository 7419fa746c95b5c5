package num

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// By hand: one nuisance parameter with sign +1 and -1 in two rows of scale 1 and 3, and a third row without it of scale 2.
// γ is either (3/4·…): weights (a, a, 0) with a + 3a = 1, or (0, 0, 1/2): η = max((y1 + y2)/4, y3/2).
func TestMomentLPByHand(t *testing.T) {
	w := []float64{1, 1, 3, -1, 2, 0}
	p := NewMomentLP(3, 2, w, []int{2})
	require.NotNil(t, p)
	for _, y := range [][]float64{{1, 2, 1}, {1, 2, 3}, {-5, 1, -1}, {-5, 1, -3}, {0, 0, 0}} {
		eta, ok := p.Solve(y)
		require.True(t, ok)
		require.InDelta(t, max((y[0]+y[1])/4, y[2]/2), eta, 1e-14)
		require.InDelta(t, eta, Dot(p.Weights(), y), 1e-14)
	}
	require.Nil(t, NewMomentLP(3, 2, []float64{1, 1, 3, 1, 2, 1}, []int{0}), "no feasible point")
	require.Nil(t, NewMomentLP(2, 2, []float64{1, 1, 2, 2}, []int{0}), "columns that depend on each other")
}

// Every basis is tried: η is the largest γ'y over those with γ ≥ 0.
func TestMomentLPAgainstEveryBasis(t *testing.T) {
	const n, q = 8, 4
	for trial := range 60 {
		r := NewStream(5, "moment", uint64(trial))
		w := make([]float64, n*q)
		for t := range n / 2 { // as in the tests: rows in pairs whose nuisance parts are opposite
			for k := range q {
				v := r.Normal()
				w[t*q+k], w[(t+n/2)*q+k] = v, -v
			}
			w[t*q], w[(t+n/2)*q] = 0.5+r.Float(), 0.5+r.Float()
		}
		p := NewMomentLP(n, q, w, []int{0, n / 2})
		require.NotNil(t, p)
		for range 20 {
			y := make([]float64, n)
			for i := range y {
				y[i] = r.Normal()
			}
			best := math.Inf(-1)
			for a := range n {
				for b := a + 1; b < n; b++ {
					for c := b + 1; c < n; c++ {
						for d := c + 1; d < n; d++ {
							s := &MomentLP{n: n, q: q, w: w, basis: []int{a, b, c, d}, inverse: make([]float64, q*q), gamma: make([]float64, q)}
							if s.refactor() && min(s.gamma[0], s.gamma[1], s.gamma[2], s.gamma[3]) >= -1e-12 && math.Abs(s.gamma[0])+math.Abs(s.gamma[1]) < 1e6 {
								best = max(best, s.gamma[0]*y[a]+s.gamma[1]*y[b]+s.gamma[2]*y[c]+s.gamma[3]*y[d])
							}
						}
					}
				}
			}
			eta, ok := p.Solve(y)
			require.True(t, ok)
			require.InDelta(t, best, eta, 1e-9)
			again := NewMomentLP(n, q, w, []int{0, n / 2})
			fresh, _ := again.Solve(y)
			require.InDelta(t, fresh, eta, 1e-10)
			sum := 0.0
			for i, g := range p.Weights() {
				require.GreaterOrEqual(t, g, 0.0)
				sum += g * w[i*q]
			}
			require.InDelta(t, 1, sum, 1e-10)
		}
	}
}
