package num

import (
	"math"
	"math/big"
	"testing"
)

// Against exact rationals: numbers of every size and sign, that cancel, and subnormal ones.
func TestExactSumIsTheNearestFloat(t *testing.T) {
	s := NewStream(1, "exact-sum", 0)
	for rep := range 300 {
		want := new(big.Rat)
		var a, b ExactSum
		for range 1 + s.Intn(40) {
			x := math.Ldexp(s.Normal(), s.Intn(60)-30)
			switch s.Intn(6) {
			case 0:
				x = math.Ldexp(s.Normal(), s.Intn(1900)-1000)
			case 1:
				x = math.Float64frombits(s.Uint64() >> 12) // subnormal
			case 2:
				x = math.Copysign(math.MaxFloat64, x)
			}
			want.Add(want, new(big.Rat).SetFloat64(x))
			if s.Bernoulli(0.5) {
				a.Add(x)
			} else {
				b.Add(x)
			}
		}
		a.Merge(&b)
		near, _ := want.Float64()
		if got := a.Value(); got != near {
			t.Fatalf("rep %d: %v, want %v", rep, got, near)
		}
		if a.Value() != near {
			t.Fatal("reading the sum changed it")
		}
	}
}

// 1 + 2^60 - 2^60 loses the 1 where sums round, in whatever order.
func TestExactSumOverChunks(t *testing.T) {
	x := make([]float64, 3*Chunk)
	for i := range x {
		x[i] = []float64{1, 0x1p60, -0x1p60}[i%3]
	}
	for _, workers := range []int{1, 5} {
		got := SumExact(len(x), 2, workers, func(lo, hi int, sums []ExactSum) {
			for _, v := range x[lo:hi] {
				sums[0].Add(v)
				sums[1].Add(-v)
			}
		})
		if got[0] != Chunk || got[1] != -Chunk {
			t.Errorf("%d workers: %v", workers, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("NaN has no sum")
		}
	}()
	new(ExactSum).Add(math.NaN())
}
