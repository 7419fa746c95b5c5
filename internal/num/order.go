package num

import "math"

// OrderKeys returns the stable ascending order of keys: order[r] is the index of the
// r-th smallest key, equal keys in index order. Least-significant-digit radix sort,
// with digits that all keys share left out, so that whole months and days cost a few
// passes over the data.
func OrderKeys(keys []uint64) []int32 {
	n := len(keys)
	if n > math.MaxInt32 {
		panic("num: OrderKeys of more than 2^31-1 keys")
	}
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
