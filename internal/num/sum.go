// Package num holds the numerical kernels that the statistical packages share:
// sums whose result does not depend on how the work is split, tails that keep
// their digits, solvers, and random streams keyed by what they are for.
//
// Its functions panic when a caller breaks a documented contract (lengths, for
// example); they never see a file, a name or a user's option.
package num

import (
	"runtime"
	"sync"
)

// Chunk is the number of rows added up in one go before partial sums are
// combined in a fixed tree. It is a constant so that the rounding of a sum is a
// property of the data and never of the number of workers.
const Chunk = 4096

// Sum returns Σ x[i], added in chunks of [Chunk] rows that are combined in an
// ordered pairwise tree.
func Sum(x []float64) float64 {
	if len(x) <= Chunk {
		var s float64
		for _, v := range x {
			s += v
		}
		return s
	}
	parts := make([]float64, 0, (len(x)+Chunk-1)/Chunk)
	for lo := 0; lo < len(x); lo += Chunk {
		parts = append(parts, Sum(x[lo:min(lo+Chunk, len(x))]))
	}
	return tree(parts)
}

// Dot returns Σ a[i]·b[i] in the same order as [Sum]. The slices must have one length.
func Dot(a, b []float64) float64 {
	if len(a) != len(b) {
		panic("num: Dot of slices of different length")
	}
	if len(a) <= Chunk {
		var s float64
		for i, v := range a {
			s += float64(v * b[i])
		}
		return s
	}
	parts := make([]float64, 0, (len(a)+Chunk-1)/Chunk)
	for lo := 0; lo < len(a); lo += Chunk {
		hi := min(lo+Chunk, len(a))
		parts = append(parts, Dot(a[lo:hi], b[lo:hi]))
	}
	return tree(parts)
}

// tree adds the parts pairwise, neighbours first; it overwrites parts.
func tree(parts []float64) float64 {
	for n := len(parts); n > 1; n = (n + 1) / 2 {
		for i := 0; i < n/2; i++ {
			parts[i] = parts[2*i] + parts[2*i+1]
		}
		if n%2 == 1 {
			parts[n/2] = parts[n-1]
		}
	}
	if len(parts) == 0 {
		return 0
	}
	return parts[0]
}

// ForChunks calls f once for each run of [Chunk] rows of n, at most workers at a
// time, and waits. chunk counts from 0; f owns whatever it stores under its chunk
// number, so that combining in chunk order gives one result for any number of
// workers. workers < 1 means [runtime.GOMAXPROCS].
func ForChunks(n, workers int, f func(chunk, lo, hi int)) {
	chunks := (n + Chunk - 1) / Chunk
	ForEach(chunks, workers, func(c int) {
		f(c, c*Chunk, min((c+1)*Chunk, n))
	})
}

// ForEach calls f(0) … f(n-1), at most workers at a time, and waits. workers < 1
// means [runtime.GOMAXPROCS]. f must write only to places that belong to its i.
func ForEach(n, workers int, f func(i int)) {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				f(i)
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// SumChunks adds the k-vectors that f accumulates over the rows of each chunk,
// combined in an ordered pairwise tree: the workhorse of single-pass moments and
// cross-products over many rows. f must add into acc, which starts at zero.
func SumChunks(n, k, workers int, f func(lo, hi int, acc []float64)) []float64 {
	chunks := (n + Chunk - 1) / Chunk
	if chunks == 0 {
		return make([]float64, k)
	}
	parts := make([][]float64, chunks)
	ForChunks(n, workers, func(c, lo, hi int) {
		acc := make([]float64, k)
		f(lo, hi, acc)
		parts[c] = acc
	})
	for m := chunks; m > 1; m = (m + 1) / 2 {
		for i := 0; i < m/2; i++ {
			a, b := parts[2*i], parts[2*i+1]
			for j := range a {
				a[j] += b[j]
			}
			parts[i] = a
		}
		if m%2 == 1 {
			parts[m/2] = parts[m-1]
		}
	}
	return parts[0]
}
