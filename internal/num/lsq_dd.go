package num

import "math"

// dd is an unevaluated sum of two floats, hi = fl(hi+lo): about 106 bits (Dekker
// 1971). Products come from [math.FMA], which rounds once on every platform, so
// that the bits are the same everywhere.
type dd struct{ hi, lo float64 }

// add returns a+b.
func (a dd) add(b dd) dd {
	s := a.hi + b.hi
	t := s - a.hi
	e := (a.hi - (s - t)) + (b.hi - t) + a.lo + b.lo
	h := s + e
	return dd{h, e - (h - s)}
}

// addProduct returns a + x·y with the product exact.
func (a dd) addProduct(x, y float64) dd {
	p := float64(x * y)
	q := math.FMA(x, y, -p)
	s := a.hi + p
	t := s - a.hi
	e := (a.hi - (s - t)) + (p - t) + a.lo + q
	h := s + e
	return dd{h, e - (h - s)}
}

// times returns a·x.
func (a dd) times(x float64) dd {
	p := float64(a.hi * x)
	q := math.FMA(a.hi, x, -p) + float64(a.lo*x)
	h := p + q
	return dd{h, q - (h - p)}
}

// sumChunksDD is [SumChunks] for double-double accumulators.
func sumChunksDD(n, k, workers int, f func(lo, hi int, acc []dd)) []dd {
	chunks := (n + Chunk - 1) / Chunk
	if chunks == 0 {
		return make([]dd, k)
	}
	parts := make([][]dd, chunks)
	ForChunks(n, workers, func(c, lo, hi int) {
		acc := make([]dd, k)
		f(lo, hi, acc)
		parts[c] = acc
	})
	for m := chunks; m > 1; m = (m + 1) / 2 {
		for i := 0; i < m/2; i++ {
			a, b := parts[2*i], parts[2*i+1]
			for j := range a {
				a[j] = a[j].add(b[j])
			}
			parts[i] = a
		}
		if m%2 == 1 {
			parts[m/2] = parts[m-1]
		}
	}
	return parts[0]
}

// dotDD returns Σ a[i]·b[i] rounded once from double-double.
func dotDD(a, b []float64) float64 {
	b = b[:len(a)]
	var s dd
	for i, v := range a {
		s = s.addProduct(v, b[i])
	}
	return s.hi
}

// DotFast returns Σ a[i]·b[i] with four running sums.
func DotFast(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float64(a[i] * b[i])
		s1 += float64(a[i+1] * b[i+1])
		s2 += float64(a[i+2] * b[i+2])
		s3 += float64(a[i+3] * b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}
