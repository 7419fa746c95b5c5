package num

import (
	"math"
	"sort"
)

// A RatioTest is a test by resampling of the value that a linear estimate has, in a
// form that serves every value at once. With δ the estimate less the tested value,
// draw b has the statistic
//
//	t_b² = (n₀ + δ·n₁)²/(q₀₀ + 2δ·q₀₁ + δ²·q₁₁)
//
// and the data δ²/Variance. A test without a variance of its own has q₀₀ = Variance = 1
// and the rest 0.
type RatioTest struct {
	Sums     []float64 // n₀, n₁, q₀₀, q₀₁, q₁₁ of each draw
	Variance float64   // above 0
	// Exact says that the draws are all there are, the data's own among them: p is their
	// share. Otherwise p = (1 + count)/(1 + draws).
	Exact bool
}

// Draws returns their number.
func (r *RatioTest) Draws() int { return len(r.Sums) / 5 }

// P is the two-sided p-value of the value that lies δ below the estimate: the share of
// draws with |t_b| ≥ |t|. Draws within 1e-9 of the statistic tie with it, for the
// pattern of the data themselves is one of them.
func (r *RatioTest) P(delta float64) float64 {
	count := 0
	d2 := delta * delta * (1 - 2e-9)
	for at := 0; at+5 <= len(r.Sums); at += 5 {
		s := r.Sums[at : at+5]
		n := s[0] + float64(delta*s[1])
		q := s[2] + float64(delta*(2*s[3]+float64(delta*s[4])))
		if float64(n*n)*r.Variance >= d2*q {
			count++
		}
	}
	if r.Exact {
		return float64(count) / float64(r.Draws())
	}
	return float64(count+1) / float64(r.Draws()+1)
}

// Bounds are the ends of the values with p ≥ alpha around the estimate, NaN where no
// value is rejected on that side. step, above 0, is a length on which p changes little:
// a quarter of a standard error. The tested value 0 is looked at in any case, so that
// the interval and the test of 0 agree.
func (r *RatioTest) Bounds(estimate, step, alpha float64) (lo, hi float64) {
	return estimate - r.bound(1, step, alpha, estimate), estimate - r.bound(-1, step, alpha, estimate)
}

// bound is the first δ = sign·m·step at which p < alpha, refined by halving.
func (r *RatioTest) bound(sign, step, alpha, zero float64) float64 {
	inside := 0.0
	try := []float64{}
	for m := 1.0; m < 1e7; {
		try = append(try, m*step)
		if m < 64 {
			m++
		} else {
			m *= 1.1
		}
	}
	if sign*zero > 0 {
		try = append(try, sign*zero)
		sort.Float64s(try)
	}
	for _, d := range try {
		if r.P(sign*d) >= alpha {
			inside = d
			continue
		}
		lo, hi := inside, d
		for range 200 {
			mid := lo + (hi-lo)/2
			if mid == lo || mid == hi {
				break
			}
			if r.P(sign*mid) >= alpha {
				lo = mid
			} else {
				hi = mid
			}
		}
		return sign * lo
	}
	return math.NaN()
}
