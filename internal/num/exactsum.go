package num

import (
	"math"
	"math/big"
)

// ExactSum is a sum of finite numbers without rounding, so that neither their order
// nor the way in which parts are merged can change it: what [SumChunks] is for rows in
// an order that matters, this is for rows in any. The zero value is 0.
//
// The sum is a fixed-point number in steps of 2^-1074, in digits of 32 bits whose
// carries wait until [ExactSum.Value], after at most 2^31 additions. Source: Neal (2015),
// Fast Exact Summation Using Small and Large Superaccumulators, arXiv:1505.05571.
type ExactSum struct{ digit [67]int64 }

// Add adds a finite number.
func (s *ExactSum) Add(x float64) {
	b := math.Float64bits(x)
	e, m := b>>52&0x7ff, b&(1<<52-1)
	switch e {
	case 0x7ff:
		panic("num: ExactSum of a value that is not finite")
	case 0:
		e = 1 // subnormal
	default:
		m |= 1 << 52
	}
	at, shift := (e-1)>>5, (e-1)&31
	d := s.digit[at : at+3 : at+3]
	low, mid, high := int64(m<<shift&math.MaxUint32), int64(m>>(32-shift)&math.MaxUint32), int64(m>>(64-shift))
	if b>>63 == 1 {
		low, mid, high = -low, -mid, -high
	}
	d[0] += low
	d[1] += mid
	d[2] += high
}

// Merge adds another sum.
func (s *ExactSum) Merge(o *ExactSum) {
	for i, d := range o.digit {
		s.digit[i] += d
	}
}

// Value is the float nearest to the sum; the sum itself stays as it is.
func (s *ExactSum) Value() float64 {
	total, step := new(big.Int), new(big.Int)
	for i := len(s.digit) - 1; i >= 0; i-- {
		total.Add(total.Lsh(total, 32), step.SetInt64(s.digit[i]))
	}
	f := new(big.Float).SetInt(total) // as precise as the number is long
	v, _ := f.SetMantExp(f, -1074).Float64()
	return v
}

// SumExact returns the k sums over the rows of n that f adds up in chunks, exactly.
func SumExact(n, k, workers int, f func(lo, hi int, sums []ExactSum)) []float64 {
	parts := make([][]ExactSum, (n+Chunk-1)/Chunk)
	ForChunks(n, workers, func(c, lo, hi int) {
		parts[c] = make([]ExactSum, k)
		f(lo, hi, parts[c])
	})
	out := make([]float64, k)
	for j := range out {
		var total ExactSum
		for _, p := range parts {
			total.Merge(&p[j])
		}
		out[j] = total.Value()
	}
	return out
}
