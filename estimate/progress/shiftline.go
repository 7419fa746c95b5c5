package progress

import (
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// ShiftLine is an effect as a function of the shift δ of the scores that participants did not give, from the event on:
//
//	τ(δ) = Value + δ·Slope,  V(δ) = Var + 2δ·Cov + δ²·SlopeVar
//
// The error is that of the two steps at each δ anew. With Cov and SlopeVar 0 it is held as it is without a shift.
type ShiftLine struct {
	Value    float64 `json:"value"`
	Slope    float64 `json:"slope"`
	Var      float64 `json:"variance"`
	Cov      float64 `json:"covariance"`
	SlopeVar float64 `json:"slope_variance"`
}

// Held is the line with its error held at that without a shift.
func (l ShiftLine) Held() ShiftLine {
	l.Cov, l.SlopeVar = 0, 0
	return l
}

// At is the effect at a shift.
func (l ShiftLine) At(d float64) (value, se float64) {
	return l.Value + float64(d*l.Slope), math.Sqrt(l.Var + float64(2*d*l.Cov) + float64(d*d*l.SlopeVar))
}

// Tips is the shift nearest 0 at which the interval touches 0, |τ(δ)| = q√V(δ): 0 where it covers 0 without one, NaN where no shift does it.
func (l ShiftLine) Tips(level float64) float64 {
	q := num.StudentQuantile(level, math.Inf(1))
	// (s² − q²t)δ² + 2(τs − q²u)δ + τ² − q²v = 0, the last term above 0.
	a, b, c := l.Slope*l.Slope-q*q*l.SlopeVar, l.Value*l.Slope-q*q*l.Cov, l.Value*l.Value-q*q*l.Var
	if c <= 0 {
		return 0
	}
	best := math.NaN()
	take := func(d float64) {
		if !math.IsNaN(d) && !math.IsInf(d, 0) && !(math.Abs(d) >= math.Abs(best)) {
			best = d
		}
	}
	disc := b*b - a*c
	if disc < 0 || l.Slope == 0 {
		return math.NaN()
	}
	root := -(b + math.Copysign(math.Sqrt(disc), b))
	take(c / root)
	if a != 0 {
		take(root / a)
	}
	return best
}

// Curve gives the effect over shifts from 0 to beyond the tipping point, against the sign of the effect, in units of mic.
func (l ShiftLine) Curve(level, mic float64) *TippingCurve {
	c := &TippingCurve{Point: math.NaN()}
	if !(l.Var > 0) || !(mic > 0) {
		return c
	}
	if l.Slope == 0 {
		c.Point = math.Inf(1)
		return c
	}
	far, point := 3.0, math.Abs(l.Tips(level))/mic
	c.Point = point
	if math.IsNaN(point) {
		c.Point = math.Inf(1)
	} else if point > 2 {
		far = math.Min(math.Ceil(point+1), 12)
	}
	direction := -1.0
	if (l.Value < 0) != (l.Slope < 0) {
		direction = 1
	}
	for k := range tippingPlaces {
		d := far * float64(k) / (tippingPlaces - 1)
		v, se := l.At(direction * d * mic)
		e := estimate.Wald("", estimate.MeanDifference, v, se, math.Inf(1), level)
		c.Delta, c.Value, c.Lo, c.Hi = append(c.Delta, d), append(c.Value, v), append(c.Lo, e.CI.Lo), append(c.Hi, e.CI.Hi)
	}
	return c
}
