package num

import (
	"math"
	"testing"

	"utfall/internal/reftest"
)

// Draws -3, -1, 1, 3 around an estimate, no variance of their own. Exact: the value δ
// below has p = share with |draw| ≥ |δ|: δ ≤ 1: 1, 1 < δ ≤ 3: 1/2, above: 0. At alpha
// 0.5 the interval of the estimate 2 is 2 ± 3; at alpha 0.6 it is 2 ± 1. Drawn: p is
// (1 + count)/5, never below 1/5, so that at alpha 0.2 nothing is rejected.
func TestRatioTest(t *testing.T) {
	r := RatioTest{Variance: 1, Exact: true}
	for _, v := range []float64{-3, -1, 1, 3} {
		r.Sums = append(r.Sums, v, 0, 1, 0, 0)
	}
	for _, c := range [][2]float64{{0.5, 1}, {-1, 1}, {2, 0.5}, {3, 0.5}, {-3.1, 0}} {
		reftest.Near(t, "p", r.P(c[0]), c[1], 0)
	}
	for _, c := range [][3]float64{{0.5, -1, 5}, {0.6, 1, 3}} {
		lo, hi := r.Bounds(2, 0.25, c[0])
		reftest.Near(t, "lower end", lo, c[1], 1e-8)
		reftest.Near(t, "upper end", hi, c[2], 1e-8)
	}
	r.Exact = false
	reftest.Near(t, "p of draws", r.P(2), 3.0/5, 1e-15)
	if lo, hi := r.Bounds(2, 0.25, 0.2); !math.IsNaN(lo) || !math.IsNaN(hi) {
		t.Errorf("the interval [%v, %v] must have no ends", lo, hi)
	}
}

// A statistic with variance of its own: n = δ·n₁ and q = 4 + 2δ·1 + δ²·1. At δ = 2 the
// draw has t² = (2·3)²/(4+4+4) = 3 and the data 4/Variance: 2 if Variance = 2, 4 if 1.
func TestRatioTestOwnVariance(t *testing.T) {
	r := RatioTest{Sums: []float64{0, 3, 4, 1, 1}, Exact: true, Variance: 2}
	reftest.Near(t, "p", r.P(2), 1, 0)
	r.Variance = 1
	reftest.Near(t, "p", r.P(2), 0, 0)
	reftest.Near(t, "p below", r.P(-2), 1, 0) // 36/(4-4+4) = 9 ≥ 4
}
