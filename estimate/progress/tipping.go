package progress

import (
	"math"

	"utfall/estimate"
)

// TippingCurve is a difference in mean change as it would be if participants who did not answer again had changed less than those who
// did, given what is known of them, by δ important changes (delta adjustment):
//
//	Δ(δ) = Δ̂ ∓ m·δ·MIC,  V(δ) = V(Δ̂) ∓ 2δ·MIC·Cov(Δ̂, m̂) + (δ·MIC)²·V(m̂),  m the share of the participants who did not answer again
//
// towards 0. Point is the smallest δ at which the interval touches 0, the smaller root of
//
//	(|Δ̂| − m·δ·MIC)² = z²·V(δ)
//
// 0 where it covers 0 already, +Inf where everybody answered, NaN without a standard error; no points are given in the last two cases.
//
// Carpenter and Kenward (2013), chapter 10; Cro, Morris, Kenward and Carpenter (2020).
type TippingCurve struct {
	Delta, Value, Lo, Hi []float64 // 25 places from 0 to beyond Point, at least 3 and at most 12 important changes
	Point                float64
}

// Unanswered is the share of the participants who did not answer again, with its variance and its covariance with the difference
// that is shifted: both 0 hold the standard error as it is at δ = 0.
type Unanswered struct{ Share, Variance, Covariance float64 }

// tippingPlaces is the number of places of a curve.
const tippingPlaces = 25

// NewTippingCurve shifts a difference in mean change, with its interval; mic is the important change in the unit of the estimate.
func NewTippingCurve(e estimate.Estimate, missing Unanswered, mic float64) *TippingCurve {
	c := &TippingCurve{Point: math.Inf(1)}
	m, sign := missing.Share, 1.0
	if e.Value < 0 {
		sign = -1
	}
	joint := float64(missing.Covariance * missing.Covariance)
	switch {
	case !e.HasSE() || !(m >= 0 && m <= 1) || !(mic > 0) || !(missing.Variance >= 0) || !(joint <= (1+1e-9)*missing.Variance*e.SE*e.SE):
		c.Point = math.NaN()
		return c
	case m == 0:
		return c
	}
	z := (e.CI.Hi - e.CI.Lo) / 2 / e.SE
	variance := func(x float64) float64 {
		return max(float64(e.SE*e.SE)-float64(2*sign*x*missing.Covariance)+float64(x*x*missing.Variance), 0)
	}
	if e.CI.Lo <= 0 && e.CI.Hi >= 0 {
		c.Point = 0
	} else {
		// a·x² − 2b·x + d with d > 0 and at most 0 at x = |Δ̂|/m: its smaller positive root.
		a, b := float64(m*m)-float64(z*z*missing.Variance), float64(m*math.Abs(e.Value))-float64(z*z*sign*missing.Covariance)
		d := float64(e.Value*e.Value) - float64(z*z*e.SE*e.SE)
		c.Point = d / (b + math.Sqrt(max(float64(b*b)-float64(a*d), 0))) / mic
	}
	far := 3.0
	if c.Point > 2 {
		far = math.Min(math.Ceil(c.Point+1), 12)
	}
	for k := range tippingPlaces {
		d := far * float64(k) / (tippingPlaces - 1)
		value, half := e.Value-float64(sign*m*mic*d), z*math.Sqrt(variance(mic*d))
		c.Delta, c.Value = append(c.Delta, d), append(c.Value, value)
		c.Lo, c.Hi = append(c.Lo, value-half), append(c.Hi, value+half)
	}
	return c
}
