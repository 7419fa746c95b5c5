package num

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// NormalTail returns P(|Z| > |z|) for a standard normal Z, from the near tail, so
// that it keeps its digits down to the smallest float. NaN gives NaN.
func NormalTail(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// NormalQuantile returns z with P(Z ≤ z) = p for 0 < p < 1, -Inf at 0 and +Inf at 1.
// Wichura's AS 241 gives a start that one Newton step on the near tail polishes.
func NormalQuantile(p float64) float64 {
	switch {
	case math.IsNaN(p) || p < 0 || p > 1:
		panic("num: NormalQuantile of a number outside [0, 1]")
	case p == 0:
		return math.Inf(-1)
	case p == 1:
		return math.Inf(1)
	case p > 0.5:
		return -lowerNormalQuantile(1 - p)
	}
	return lowerNormalQuantile(p)
}

func lowerNormalQuantile(p float64) float64 {
	z := -math.Sqrt2 * math.Erfcinv(2*p)
	// One Halley step: Erfcinv loses digits in the far tail.
	e := 0.5*math.Erfc(-z/math.Sqrt2) - p
	d := math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
	if d == 0 {
		return z
	}
	u := e / d
	return z - u/(1+z*u/2)
}

// StudentTail returns P(|T| > |t|) for Student's t with df > 0 degrees of freedom,
// by the regularised incomplete beta function of the near tail; df = +Inf is the
// normal distribution.
func StudentTail(t, df float64) float64 {
	switch {
	case math.IsInf(df, 1):
		return NormalTail(t)
	case math.IsNaN(t) || math.IsNaN(df) || df <= 0:
		return math.NaN()
	case math.IsInf(t, 0):
		return 0
	}
	t2 := t * t
	if t2 > min(df, 9) { // 1 less a number near 1 has no digits left of a small tail
		return mathext.RegIncBeta(df/2, 0.5, df/(df+t2))
	}
	return 1 - mathext.RegIncBeta(0.5, df/2, t2/(df+t2))
}

// StudentQuantile returns the t with P(|T| > t) = 1-level: the half-width factor of
// a two-sided interval at the level (0.95, say) on df degrees of freedom.
func StudentQuantile(level, df float64) float64 {
	if math.IsInf(df, 1) {
		return NormalQuantile(0.5 + level/2)
	}
	if math.IsNaN(df) || df <= 0 || !(level > 0 && level < 1) {
		return math.NaN()
	}
	alpha := 1 - level
	lo, hi := 0.0, 1.0
	for StudentTail(hi, df) > alpha {
		lo, hi = hi, 2*hi
		if hi > 1e300 {
			return math.Inf(1)
		}
	}
	// Bisection to the last bit: about 60 steps, once per interval, and no start to get wrong.
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if StudentTail(mid, df) > alpha {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// ChiSquareTail returns P(X > x) for a chi-square variable on df > 0 degrees of freedom.
func ChiSquareTail(x, df float64) float64 {
	switch {
	case math.IsNaN(x) || !(df > 0):
		return math.NaN()
	case x <= 0:
		return 1
	}
	return mathext.GammaIncRegComp(df/2, x/2)
}
