package num

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// By hand, one row: columns 0 and 4, b = 1: the weight on 4 is 1/4, fit exact. With ridge ρ and weight v on 4,
// (4v - 1)² + ρ(v² + (1-v)²) has its minimum at v = (4 + ρ)/(16 + 2ρ): ρ = 8 gives 12/32 = 3/8; b = -1 has
// v = (-4 + 8)/32 = 1/8, and ρ = 2 there v = -2/20, so 0.
func TestSimplexQPByHand(t *testing.T) {
	for _, c := range []struct{ b, ridge, want float64 }{{1, 0, 0.25}, {1, 8, 0.375}, {-1, 8, 0.125}, {-1, 2, 0}, {9, 0, 1}} {
		q := SimplexQP{Rows: 1, A: []float64{0, 4}, B: []float64{c.b}, Ridge: c.ridge}
		got := q.Solve()
		require.InDelta(t, c.want, got.W[1], 1e-14)
		require.InDelta(t, 1, got.W[0]+got.W[1], 1e-15)
		require.LessOrEqual(t, got.KKT, 1e-14)
		s := newSimplexQP(&q)
		w, _ := s.wolfe()
		require.InDelta(t, c.want, w[1], 1e-14)
	}
	equal := SimplexQP{Rows: 2, A: []float64{1, 2, 1, 2, 1, 2}, B: []float64{1, 2}}
	require.Equal(t, []float64{1. / 3, 1. / 3, 1. / 3}, equal.Solve().W)
}

// Every support is tried: the best of those whose affine solution has no negative weight is the optimum.
func TestSimplexQPAgainstEverySupport(t *testing.T) {
	for trial := range 300 {
		r := NewStream(7, "simplex", uint64(trial))
		m, n := 1+r.Intn(6), 2+r.Intn(6)
		q := SimplexQP{Rows: m, Ridge: []float64{1e-6, 0.1, 3}[trial%3]}
		for range m * n {
			q.A = append(q.A, r.Normal())
		}
		for range m {
			q.B = append(q.B, 0.5*r.Normal())
		}
		got := q.Solve()
		require.LessOrEqual(t, got.KKT, Solved)
		s := newSimplexQP(&q)
		best, bestW := math.Inf(1), []float64(nil)
		for mask := 1; mask < 1<<n; mask++ {
			var set []int
			for i := range n {
				if mask>>i&1 == 1 {
					set = append(set, i)
				}
			}
			w := make([]float64, n)
			ok := true
			for k, v := range s.affine(set, w) {
				w[set[k]] = v
				ok = ok && v >= 0
			}
			if ok && s.value(w) < best {
				best, bestW = s.value(w), w
			}
		}
		require.InDelta(t, best, s.value(got.W), 1e-12*(1+best))
		for i, v := range bestW {
			require.InDelta(t, v, got.W[i], 1e-7, "trial %d", trial)
		}
		active, _ := s.wolfe()
		for i, v := range active {
			require.InDelta(t, v, got.W[i], 1e-8, "both methods")
		}
	}
}

// Hard sizes: many columns, few rows, a ridge of next to nothing, equal columns, a high level.
func TestSimplexQPIsOptimal(t *testing.T) {
	for trial, c := range []struct {
		m, n         int
		ridge, level float64
	}{{19, 38, 1e-10, 100}, {15, 250, 1e-9, 0}, {15, 250, 30, 0}, {250, 19, 1e-9, 50}, {10, 100, 0, 0}, {40, 40, 1e-7, 1000}, {16, 200, 1e-3, 10}, {8, 60, 1e3, 0}} {
		r := NewStream(11, "simplex-hard", uint64(trial))
		q := SimplexQP{Rows: c.m, Ridge: c.ridge}
		for i := range c.n {
			if i%17 == 16 {
				q.A = append(q.A, q.A[(i-1)*c.m:i*c.m]...)
				continue
			}
			for range c.m {
				q.A = append(q.A, c.level+3*r.Normal())
			}
		}
		for range c.m {
			q.B = append(q.B, c.level+r.Normal())
		}
		got := q.Solve()
		require.LessOrEqual(t, got.KKT, Solved, "%v", c)
		require.InDelta(t, 1, Sum(got.W), 1e-13)
	}
}

func BenchmarkSimplexQP(b *testing.B) {
	r := NewStream(11, "simplex-bench", 0)
	q := SimplexQP{Rows: 15, Ridge: 20}
	for range 15 * 250 {
		q.A = append(q.A, r.Normal())
	}
	q.B = make([]float64, 15)
	for b.Loop() {
		q.Solve()
	}
}
