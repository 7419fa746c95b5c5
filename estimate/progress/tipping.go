package progress

import (
	"math"

	"utfall/estimate"
)

// TippingCurve is a difference in mean change as it would be if participants who did not answer again had changed less than those who
// did, given what is known of them, by δ important changes (delta adjustment):
//
//	Δ(δ) = Δ̂ ∓ m·δ·MIC,  m the share of the participants who did not answer again
//
// towards 0, with the standard error held as it is (information anchored, which is conservative). Point is the smallest δ at which the
// interval touches 0:
//
//	δ* = min(|lo|, |hi|)/(m·MIC)
//
// 0 where it covers 0 already, +Inf where everybody answered, NaN without a standard error; no points are given in the last two cases.
//
// Carpenter and Kenward (2013), chapter 10; Cro, Morris, Kenward and Carpenter (2020).
type TippingCurve struct {
	Delta, Value, Lo, Hi []float64 // 25 places from 0 to beyond Point, at least 3 and at most 12 important changes
	Point                float64
}

// tippingPlaces is the number of places of a curve.
const tippingPlaces = 25

// NewTippingCurve shifts a difference in mean change, with its interval; missing is the share of the participants who did not
// answer again and mic the important change in the unit of the estimate.
func NewTippingCurve(e estimate.Estimate, missing, mic float64) *TippingCurve {
	c := &TippingCurve{Point: math.Inf(1)}
	switch {
	case !e.HasSE() || !(missing >= 0 && missing <= 1) || !(mic > 0):
		c.Point = math.NaN()
		return c
	case missing == 0:
		return c
	case e.CI.Lo <= 0 && e.CI.Hi >= 0:
		c.Point = 0
	default:
		c.Point = math.Min(math.Abs(e.CI.Lo), math.Abs(e.CI.Hi)) / missing / mic
	}
	far := 3.0
	if c.Point > 2 {
		far = math.Min(math.Ceil(c.Point+1), 12)
	}
	step := missing * mic
	if e.Value < 0 {
		step = -step
	}
	for k := range tippingPlaces {
		d := far * float64(k) / (tippingPlaces - 1)
		off := float64(step * d)
		c.Delta, c.Value = append(c.Delta, d), append(c.Value, e.Value-off)
		c.Lo, c.Hi = append(c.Lo, e.CI.Lo-off), append(c.Hi, e.CI.Hi-off)
	}
	return c
}
