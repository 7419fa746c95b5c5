package num

import (
	"math"
	"math/bits"
	"runtime"
	"slices"
)

// OrderKeys returns the stable ascending order of keys: order[r] is the index of the
// r-th smallest key, equal keys in index order.
func OrderKeys(keys []uint64) []int32 {
	order, _ := SortKeys(slices.Clone(keys), 1)
	return order
}

// SortKeys sorts keys in place and returns the stable order in which they were, found
// by several workers, and the places whose key is also that of the place before,
// ascending. There is one such order, so that the number of workers cannot change it;
// workers < 1 means [runtime.GOMAXPROCS].
//
// Most-significant-digit radix sort. The first digit is taken relative to the
// smallest key and from the highest bit in which keys differ, so that hashes, numbers
// in a narrow range and the bits of floats all spread over the buckets; a bucket is
// split further by digits of its own range.
func SortKeys(keys []uint64, workers int) (order, equal []int32) {
	n := len(keys)
	if n > math.MaxInt32 {
		panic("num: SortKeys of more than 2^31-1 keys")
	}
	if n == 0 {
		return nil, nil
	}
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	segments := min(workers, n>>14+1)
	bound := func(s int) int { return int(int64(n) * int64(s) / int64(segments)) }
	lows, highs := make([]uint64, segments), make([]uint64, segments)
	ForEach(segments, workers, func(s int) {
		lows[s], highs[s] = extremes(keys[bound(s):bound(s+1)])
	})
	low, high := lows[0], highs[0]
	for s := range segments {
		low, high = min(low, lows[s]), max(high, highs[s])
	}
	const most = 13 // digits: the places written to at once stay within the cache
	digits := min(most, max(0, bits.Len(uint(n))-6))
	shift := max(0, bits.Len64(high-low)-digits)
	buckets := int((high-low)>>shift) + 1
	at := make([][]int32, segments) // by segment and bucket: first the counts, then the next place
	ForEach(segments, workers, func(s int) {
		count := make([]int32, buckets)
		for _, k := range keys[bound(s):bound(s+1)] {
			count[(k-low)>>shift]++
		}
		at[s] = count
	})
	first := make([]int32, buckets+1)
	var sum int32
	for b := range buckets {
		first[b] = sum
		for s := range segments {
			at[s][b], sum = sum, sum+at[s][b]
		}
	}
	first[buckets] = int32(n)
	recs := make([]keyed, n)
	ForEach(segments, workers, func(s int) {
		place := at[s]
		lo := bound(s)
		for i, k := range keys[lo:bound(s+1)] {
			b := (k - low) >> shift
			recs[place[b]] = keyed{k, int32(lo + i)}
			place[b]++
		}
	})
	// Runs of buckets of some size each, which are sorted and read out on their own.
	var cuts []int
	for b, from := 0, int32(-1<<14); b < buckets; b++ {
		if first[b]-from >= 1<<14 {
			cuts, from = append(cuts, b), first[b]
		}
	}
	cuts = append(cuts, buckets)
	order = make([]int32, n)
	repeated := make([][]int32, len(cuts)-1)
	ForEach(len(cuts)-1, workers, func(c int) {
		var room []keyed
		for b := cuts[c]; b < cuts[c+1]; b++ {
			room = sortKeyed(recs[first[b]:first[b+1]], room)
			for i := first[b]; i < first[b+1]; i++ {
				order[i], keys[i] = recs[i].idx, recs[i].key
				if i > first[b] && recs[i].key == recs[i-1].key {
					repeated[c] = append(repeated[c], i)
				}
			}
		}
	})
	for _, r := range repeated {
		equal = append(equal, r...)
	}
	return order, equal
}

// keyed is a key and where it was.
type keyed struct {
	key uint64
	idx int32
}

func extremes(keys []uint64) (low, high uint64) {
	low, high = keys[0], keys[0]
	for _, k := range keys {
		low, high = min(low, k), max(high, k)
	}
	return low, high
}

// sortKeyed sorts stably by key; room is scratch that it returns, grown if need be.
func sortKeyed(a, room []keyed) []keyed {
	const small, most = 24, 8
	n := len(a)
	if n <= small {
		insertKeyed(a)
		return room
	}
	low, high := a[0].key, a[0].key
	for i := range a {
		low, high = min(low, a[i].key), max(high, a[i].key)
	}
	if low == high {
		return room
	}
	shift := max(0, bits.Len64(high-low)-min(most, bits.Len(uint(n))-2))
	buckets := int((high-low)>>shift) + 1
	var end [1<<most + 1]int32 // by bucket and one: the count, the start, then the end
	for i := range a {
		end[(a[i].key-low)>>shift+1]++
	}
	largest := int32(0)
	for b := range buckets {
		largest = max(largest, end[b+1])
		end[b+1] += end[b]
	}
	if len(room) < n {
		room = make([]keyed, n)
	}
	copy(room, a)
	for _, r := range room[:n] {
		b := (r.key - low) >> shift
		a[end[b]] = r
		end[b]++
	}
	if largest <= small {
		insertKeyed(a) // moves nothing across buckets
		return room
	}
	from := int32(0)
	for _, to := range end[:buckets] {
		room = sortKeyed(a[from:to], room)
		from = to
	}
	return room
}

func insertKeyed(a []keyed) {
	for i := 1; i < len(a); i++ {
		r := a[i]
		j := i
		for ; j > 0 && a[j-1].key > r.key; j-- {
			a[j] = a[j-1]
		}
		a[j] = r
	}
}
