package num

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Rank against the obvious way, on values with ties, zeros of both signs, outliers that
// leave the map no digits, ranges that overflow and ranges that vanish.
func TestRankAgainstSort(t *testing.T) {
	s := NewStream(1, "rank", 0)
	var k Ranker
	for rep := range 60 {
		n := 1 + s.Intn(400)
		if rep%10 == 0 {
			n = 5000
		}
		x, tag := make([]float64, n), make([]uint8, n)
		for i := range x {
			x[i], tag[i] = s.Normal(), uint8(s.Intn(4))
			switch rep % 6 {
			case 1:
				x[i] = math.Trunc(3*x[i]) / 2 // ties, -0 too
			case 2:
				x[i] = 1e-9 * x[i]
			case 3:
				x[i] = math.Ldexp(x[i], s.Intn(600)-300)
			case 4:
				x[i] = 4
			}
		}
		if rep%6 == 2 {
			x[0] = 1e12
		}
		if rep%6 == 3 && n > 2 {
			x[0], x[1] = math.MaxFloat64, -math.MaxFloat64
		}
		if rep%6 == 5 && n > 1 {
			x[0], x[1] = math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64
		}
		want := make([]int, n)
		for i := range want {
			want[i] = i
		}
		slices.SortStableFunc(want, func(a, b int) int {
			switch {
			case x[a] < x[b]:
				return -1
			case x[a] > x[b]:
				return 1
			}
			return 0
		})
		rank := uint64(0)
		for i, r := range k.Rank(x, tag) {
			at := int(r & RankedIndex)
			require.Equal(t, want[i], at)
			require.Equal(t, tag[at], uint8(r>>30&3))
			if i > 0 && x[at] != x[want[i-1]] {
				rank++
			}
			require.Equal(t, rank, r>>32)
		}
	}
	require.Empty(t, k.Rank(nil, nil))
	require.Panics(t, func() { k.Rank([]float64{1, math.NaN()}, make([]uint8, 2)) })
	require.Panics(t, func() { k.Rank([]float64{math.Inf(1)}, make([]uint8, 1)) })
	require.Panics(t, func() { k.Rank([]float64{1}, nil) })
}

func BenchmarkRank(b *testing.B) {
	s := NewStream(2, "rank", 0)
	x, tag := make([]float64, 1_000_000), make([]uint8, 1_000_000)
	for i := range x {
		x[i] = s.Normal()
	}
	var k Ranker
	b.ReportAllocs()
	for b.Loop() {
		k.Rank(x, tag)
	}
}
