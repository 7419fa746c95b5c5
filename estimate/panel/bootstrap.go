package panel

import (
	"math"
	"slices"

	"utfall/internal/num"
)

// supremum is the simulated critical value of a uniform band.
type supremum struct{ critical, mcError float64 }

// supremumQuantile draws B times max over k of |Σ v[c]·sums[k][c]|, v[c] = ±1, and
// returns the level-quantile (the ⌈B·level⌉-th smallest) with its Monte Carlo error:
// half the distance of the order statistics one binomial standard deviation away.
// Draw b has its own stream, so that workers change nothing. sums are cluster sums
// divided by the standard error, all of one length.
func supremumQuantile(sums [][]float64, level float64, b int, seed uint64, workers int) supremum {
	const batch = 16 // draws that share one buffer of signs
	n := len(sums[0])
	t := make([]float64, b)
	num.ForEach((b+batch-1)/batch, workers, func(i int) {
		sign := make([]float64, n)
		for draw := i * batch; draw < min((i+1)*batch, b); draw++ {
			rademacher(num.NewStream(seed, "did-bootstrap", uint64(draw)), sign)
			t[draw] = largest(sums, sign)
		}
	})
	slices.Sort(t)
	rank := int(math.Ceil(float64(b)*level)) - 1
	spread := int(math.Ceil(math.Sqrt(float64(b) * level * (1 - level))))
	lo, hi := max(0, rank-spread), min(b-1, rank+spread)
	return supremum{critical: t[min(rank, b-1)], mcError: (t[hi] - t[lo]) / 2}
}

// rademacher fills v with ±1, 64 to a draw of the stream.
func rademacher(s *num.Stream, v []float64) {
	one := math.Float64bits(1)
	for at := 0; at < len(v); at += 64 {
		bits := s.Uint64()
		for i := range v[at:min(at+64, len(v))] {
			v[at+i] = math.Float64frombits(one | bits<<63)
			bits >>= 1
		}
	}
}

// largest returns max |Σ v·s| over the columns, four columns to a pass so that their
// sums do not wait for each other.
func largest(sums [][]float64, v []float64) float64 {
	var m float64
	for len(sums) >= 4 {
		s0, s1, s2, s3 := sums[0][:len(v)], sums[1][:len(v)], sums[2][:len(v)], sums[3][:len(v)]
		var a, b, c, d float64
		for i, x := range v {
			a += float64(x * s0[i])
			b += float64(x * s1[i])
			c += float64(x * s2[i])
			d += float64(x * s3[i])
		}
		m = max(m, math.Abs(a), math.Abs(b), math.Abs(c), math.Abs(d))
		sums = sums[4:]
	}
	for _, s := range sums {
		m = max(m, math.Abs(num.Dot(s, v)))
	}
	return m
}
