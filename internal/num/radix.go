package num

import (
	"math"
	"slices"
)

// OrderFloats returns the stable ascending order of x: order[r] is the index of the
// r-th smallest value, equal values in index order. Values must be finite and the
// length at most 2^31-1; -0 counts as 0. The work is that of [OrderKeys] on the bits.
func OrderFloats(x []float64) []int32 {
	order, _ := SortFloats(slices.Clone(x), 1)
	return order
}

// SortFloats sorts x in place and returns what [SortKeys] does; -0 becomes 0.
func SortFloats(x []float64, workers int) (order, equal []int32) {
	keys := make([]uint64, len(x))
	ForChunks(len(x), workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			if math.IsNaN(x[i]) || math.IsInf(x[i], 0) {
				keys[i] = math.MaxUint64 // of no finite number
				continue
			}
			keys[i] = floatKey(x[i])
		}
	})
	order, equal = SortKeys(keys, workers)
	if n := len(keys); n > 0 && keys[n-1] == math.MaxUint64 {
		panic("num: order of a value that is not finite")
	}
	ForChunks(len(x), workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			if k := keys[i]; k>>63 == 1 {
				x[i] = math.Float64frombits(k &^ (1 << 63))
			} else {
				x[i] = math.Float64frombits(^k)
			}
		}
	})
	return order, equal
}

// floatKey makes the order of unsigned numbers that of floats; -0 counts as 0.
func floatKey(v float64) uint64 {
	k := math.Float64bits(v + 0) // -0 + 0 is +0
	// Flipping the sign bit of positive numbers and every bit of negative ones makes
	// the order of the bits the order of the numbers.
	if k>>63 == 1 {
		return ^k
	}
	return k | 1<<63
}

// Ranks returns the distinct values of x in ascending order and, for each value of
// x, its place among them. Whole numbers from 0 to a few times the length, the
// usual case of months and days, are placed by counting; all others by [OrderFloats].
func Ranks(x []float64) (distinct []float64, rank []int32) {
	distinct, rank, _ = RanksOrder(x, 1)
	return distinct, rank
}

// RanksOrder is [Ranks] by several workers, with the order that [SortFloats] gives: nil where the values
// were counted. workers < 1 means [runtime.GOMAXPROCS]; their number changes nothing.
func RanksOrder(x []float64, workers int) (distinct []float64, rank, order []int32) {
	if distinct, rank, ok := countedRanks(x); ok {
		return distinct, rank, nil
	}
	sorted := slices.Clone(x)
	order, equal := SortFloats(sorted, workers)
	rank = make([]int32, len(x))
	if len(equal) == 0 {
		ForChunks(len(x), workers, func(_, lo, hi int) {
			for r := lo; r < hi; r++ {
				rank[order[r]] = int32(r)
			}
		})
		return sorted, rank, order
	}
	distinct = make([]float64, 0, len(x)-len(equal))
	for r, i := range order {
		if len(equal) > 0 && int(equal[0]) == r {
			equal = equal[1:]
		} else {
			distinct = append(distinct, sorted[r])
		}
		rank[i] = int32(len(distinct) - 1)
	}
	return distinct, rank, order
}

// countedRanks ranks whole numbers from 0 to a few times their number; false if x are others.
func countedRanks(x []float64) (distinct []float64, rank []int32, ok bool) {
	limit := float64(4*len(x) + 1024)
	top := 0.0
	for _, v := range x {
		if !(v >= 0 && v < limit) || v != math.Trunc(v) {
			return nil, nil, false
		}
		top = max(top, v)
	}
	rank = make([]int32, len(x))
	seen := make([]int32, int(top)+1)
	for _, v := range x {
		seen[int(v)] = 1
	}
	for v, s := range seen {
		if s == 1 && len(x) > 0 {
			seen[v] = int32(len(distinct))
			distinct = append(distinct, float64(v))
		}
	}
	for i, v := range x {
		rank[i] = seen[int(v)]
	}
	return distinct, rank, true
}
