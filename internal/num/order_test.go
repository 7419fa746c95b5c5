package num

import (
	"math"
	"slices"
	"testing"
)

// The stable order by a comparison sort is the same order, ties included.
func TestOrderKeysIsTheStableOrder(t *testing.T) {
	s := NewStream(1, "order-keys", 0)
	for _, n := range []int{0, 1, 2, 17, 5000} {
		keys := make([]uint64, n)
		for i := range keys {
			keys[i] = s.Uint64()
			if s.Bernoulli(0.5) {
				keys[i] = uint64(s.Intn(4)) << 60 // ties, and digits that all share
			}
		}
		want := make([]int32, n)
		for i := range want {
			want[i] = int32(i)
		}
		slices.SortStableFunc(want, func(a, b int32) int {
			switch {
			case keys[a] < keys[b]:
				return -1
			case keys[a] > keys[b]:
				return 1
			}
			return 0
		})
		if !slices.Equal(OrderKeys(keys), want) {
			t.Errorf("order of %d keys is not the stable one", n)
		}
	}
}

// leastDigitFirst is a radix sort from the other end.
func leastDigitFirst(keys []uint64) []int32 {
	n := len(keys)
	type rec struct {
		key uint64
		idx int32
	}
	const bits, buckets = 11, 1 << 11
	const passes = (64 + bits - 1) / bits
	a := make([]rec, n)
	var counts [passes][buckets]int32
	for i, k := range keys {
		a[i] = rec{k, int32(i)}
		for p := range passes {
			counts[p][k>>(p*bits)&(buckets-1)]++
		}
	}
	var b []rec
	for p := range passes {
		c := &counts[p]
		shift := p * bits
		if n == 0 || c[a[0].key>>shift&(buckets-1)] == int32(n) {
			continue
		}
		if b == nil {
			b = make([]rec, n)
		}
		var sum int32
		for d := range c {
			c[d], sum = sum, sum+c[d]
		}
		for _, r := range a {
			d := r.key >> shift & (buckets - 1)
			b[c[d]] = r
			c[d]++
		}
		a, b = b, a
	}
	order := make([]int32, n)
	for i, r := range a {
		order[i] = r.idx
	}
	return order
}

// The order of the radix sort from the other end, for keys that spread, that crowd in
// a corner beside outliers, that tie, and for any number of workers.
func TestSortKeysIsTheStableOrder(t *testing.T) {
	s := NewStream(1, "sort-keys", 0)
	draw := map[string]func() uint64{
		"hashes":   s.Uint64,
		"ties":     func() uint64 { return uint64(s.Intn(40)) << 57 },
		"outliers": func() uint64 { return uint64(s.Intn(1000)) + uint64(s.Intn(50))/49<<62 },
		"floats":   func() uint64 { return floatKey(s.Normal()) },
		"constant": func() uint64 { return 7 },
		"extremes": func() uint64 { return uint64(s.Intn(2)) * math.MaxUint64 },
	}
	for name, next := range draw {
		for _, n := range []int{0, 1, 2, 33, 500, 40_000} {
			keys := make([]uint64, n)
			for i := range keys {
				keys[i] = next()
			}
			want := leastDigitFirst(keys)
			var twins []int32
			for i := 1; i < n; i++ {
				if keys[want[i]] == keys[want[i-1]] {
					twins = append(twins, int32(i))
				}
			}
			for _, workers := range []int{1, 2, 7} {
				sorted := slices.Clone(keys)
				got, equal := SortKeys(sorted, workers)
				if !slices.Equal(got, want) || !slices.Equal(equal, twins) || !slices.IsSorted(sorted) {
					t.Errorf("%s: order of %d keys with %d workers differs", name, n, workers)
				}
			}
		}
	}
	x := []float64{0, -1, math.Copysign(0, -1), 3, -1, 1e-310}
	want := OrderFloats(x)
	got, equal := SortFloats(x, 2)
	if !slices.Equal(got, want) || !slices.Equal(equal, []int32{1, 3}) || !slices.Equal(x, []float64{-1, -1, 0, 0, 1e-310, 3}) {
		t.Errorf("order of floats is %v, equal %v", got, equal)
	}
	defer func() {
		if recover() == nil {
			t.Error("a value that is not finite has no place")
		}
	}()
	SortFloats([]float64{1, math.NaN()}, 1)
}

func BenchmarkOrder(b *testing.B) {
	s := NewStream(2, "order", 0)
	keys, scores := make([]uint64, 1_000_000), make([]float64, 1_000_000)
	for i := range keys {
		keys[i], scores[i] = s.Uint64(), LogitLink.Mean(s.Normal()-4)
	}
	b.Run("workers", func(b *testing.B) {
		for b.Loop() {
			SortKeys(slices.Clone(keys), 0)
		}
	})
	b.Run("one-worker", func(b *testing.B) {
		for b.Loop() {
			OrderKeys(keys)
		}
	})
	b.Run("scores", func(b *testing.B) {
		for b.Loop() {
			SortFloats(slices.Clone(scores), 0)
		}
	})
}
