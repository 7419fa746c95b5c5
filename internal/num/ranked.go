package num

import "math"

// Ranker orders values together with two bits of the caller's. It keeps its buffers,
// so that one that orders many columns of one length allocates once. The zero value
// is ready; it is not safe for concurrent use.
type Ranker struct{ a, b []uint64 }

// RankedIndex is the largest number of values that [Ranker.Rank] takes.
const RankedIndex = 1<<30 - 1

// Rank returns one entry for each value of x, in ascending order of the values, equal
// ones in index order. The upper 32 bits of an entry number the distinct values from
// 0; below them are two bits of tag[i] and 30 of the index i. -0 counts as 0. The
// entries are overwritten by the next call.
//
// Values are first put in order by 32 bits of a monotone map, x less the smallest over
// the range, in three passes of a radix sort over 8 bytes a value; runs that the map
// does not tell apart, few unless a value is far from all others, are then compared
// themselves. It panics for a value that is not finite and for more than
// [RankedIndex] values.
func (k *Ranker) Rank(x []float64, tag []uint8) []uint64 {
	n := len(x)
	if n > RankedIndex || len(tag) != n {
		panic("num: Rank of too many values, or of tags of another length")
	}
	if n == 0 {
		return nil
	}
	if cap(k.a) < n || cap(k.b) < n {
		k.a, k.b = make([]uint64, n), make([]uint64, n)
	}
	a, b := k.a[:n], k.b[:n]
	lo, hi := x[0], x[0]
	for _, v := range x {
		if v-v != 0 {
			panic("num: Rank of a value that is not finite")
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	const bits, buckets, passes = 11, 1 << 11, 3
	var counts [passes][buckets]int32
	scale := (1<<32 - 1) / (hi - lo)
	if hi == lo || math.IsInf(hi-lo, 0) || math.IsInf(scale, 0) {
		scale = 0 // every run is the whole: compared directly
	}
	for i, v := range x {
		key := uint64((v - lo) * scale)
		if scale == 0 {
			key = 0
		}
		a[i] = key<<32 | uint64(tag[i]&3)<<30 | uint64(i)
		counts[0][key&(buckets-1)]++
		counts[1][key>>bits&(buckets-1)]++
		counts[2][key>>(2*bits)]++
	}
	for p := range passes {
		c, shift := &counts[p], 32+p*bits
		if c[a[0]>>shift&(buckets-1)] == int32(n) {
			continue
		}
		var sum int32
		for d := range c {
			c[d], sum = sum, sum+c[d]
		}
		for _, r := range a {
			d := r >> shift & (buckets - 1)
			b[c[d]] = r
			c[d]++
		}
		a, b = b, a
	}
	rank := uint64(0)
	for i := 0; i < n; rank++ {
		j := i + 1
		for j < n && a[j]>>32 == a[i]>>32 {
			j++
		}
		if j > i+1 {
			rank = settle(a[i:j], x, rank)
		} else {
			a[i] = rank<<32 | a[i]&(1<<32-1)
		}
		i = j
	}
	return a
}

// settle puts entries that the map does not tell apart into the order of their values
// and numbers them from rank; it returns the last number.
func settle(run []uint64, x []float64, rank uint64) uint64 {
	const index = RankedIndex
	value := func(r uint64) float64 { return x[r&index] }
	first, same := value(run[0]), true
	for _, r := range run[1:] {
		same = same && value(r) == first
	}
	switch {
	case same:
	case len(run) <= 16:
		for i := range run { // insertion, stable
			r, at := run[i], i
			for ; at > 0 && value(run[at-1]) > value(r); at-- {
				run[at] = run[at-1]
			}
			run[at] = r
		}
		first = value(run[0])
	default:
		vs := make([]float64, len(run))
		for i, r := range run {
			vs[i] = value(r)
		}
		before := append([]uint64(nil), run...)
		for i, from := range OrderFloats(vs) {
			run[i] = before[from]
		}
		first = value(run[0])
	}
	for i, r := range run {
		v := value(r)
		if v != first {
			rank, first = rank+1, v
		}
		run[i] = rank<<32 | r&(1<<32-1)
	}
	return rank
}
