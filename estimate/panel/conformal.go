package panel

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
)

// ConformalErrors asks for an interval and a p-value by permutation of periods instead of a standard error (Chernozhukov, Wüthrich and Zhu).
const ConformalErrors = "conformal"

// conformal is the test that the effect is the same number in all periods from treatment on: that number is taken off, weights are found from all periods
// as if none were treated, and with u[t] the gap that is left and T1 the periods from treatment on
//
//	S = Σ |u[t]| over those periods;   p = share of the T shifts of the periods (in a circle, none included) whose S is as large
//
// exact if u is a stationary series, whatever the weights. The interval holds the numbers with p above 1 - level, its ends found from outside,
// around 0 and the estimate where they are in; it is empty only if nothing in reach is.
type conformal struct {
	s     *Synthetic
	b     *block
	level float64
}

func (c *conformal) p(ctx context.Context, effect float64) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	whole := &block{y: make([][]float64, len(c.b.y)), names: c.b.names, periods: c.b.periods, n0: c.b.n0, t0: len(c.b.periods)}
	for i, y := range c.b.y {
		whole.y[i] = y
		if i >= c.b.n0 {
			whole.y[i] = append([]float64(nil), y...)
			for t := c.b.t0; t < len(y); t++ {
				whole.y[i][t] -= effect
			}
		}
	}
	u, err := c.s.gapsUnderNull(whole)
	if err != nil {
		return 0, err
	}
	n, t0 := len(u), c.b.t0
	sum := func(shift int) float64 {
		s := 0.0
		for t := t0; t < n; t++ {
			s += math.Abs(u[(t+shift)%n])
		}
		return s
	}
	own := sum(0)
	large := 0
	for shift := range n {
		if sum(shift) >= own-float64(1e-12*math.Abs(own)) {
			large++
		}
	}
	return float64(large) / float64(n), nil
}

// gapsUnderNull are the treated mean less its synthetic control in every period, weights from all of them; with a level of its own where the method has one.
func (s *Synthetic) gapsUnderNull(b *block) ([]float64, error) {
	omega := make([]float64, b.n0)
	centred := true
	var err error
	switch s.Method {
	case DifferenceInMeans:
		for i := range omega {
			omega[i] = 1 / float64(b.n0)
		}
	case SyntheticDID:
		omega, _, err = b.unitWeights(math.Sqrt(math.Sqrt(float64(len(b.y)-b.n0)))*b.noise(), true)
	default:
		omega, _, err = b.unitWeights(flat*b.noise(), false)
		centred = false
	}
	if err != nil {
		return nil, err
	}
	u := make([]float64, len(b.periods))
	for t := range u {
		u[t] = b.treatedMean(t)
		for i, w := range omega {
			u[t] -= float64(w * b.y[i][t])
		}
	}
	if centred {
		centre(u)
	}
	return u, nil
}

// interval returns p at 0 and the interval of effects that are not rejected.
func (c *conformal) interval(ctx context.Context, theta float64) (p float64, ci estimate.Interval, err error) {
	n := len(c.b.periods)
	alpha := 1 - c.level
	if 1/float64(n) > alpha {
		return 0, ci, fmt.Errorf("%w: %d give no p-value below %.3g; at least %d are needed for a level of %v", ErrFewPeriods, n, 1/float64(n), int(math.Ceil(1/alpha)), c.level)
	}
	if p, err = c.p(ctx, 0); err != nil {
		return 0, ci, err
	}
	in := func(at float64) (bool, error) {
		q, err := c.p(ctx, at)
		return q > alpha, err
	}
	// Numbers known to be in the set, which the ends go around: 0 and the estimate need not both be.
	var known []float64
	for _, at := range []float64{0, theta} {
		ok, err := in(at)
		if err != nil {
			return 0, ci, err
		}
		if ok {
			known = append(known, at)
		}
	}
	unit := c.b.noise()
	if !(unit > 0) {
		unit = math.Max(math.Abs(theta), 1)
	}
	out := func(sign float64) (far float64, unbounded bool, err error) { // the first number out, beyond those known
		for reach := 8.0; reach <= 1e5; reach *= 2 {
			far = theta + float64(sign*reach*unit)
			ok, err := in(far)
			if err != nil {
				return 0, false, err
			}
			if ok {
				known = append(known, far)
			} else if !slices.ContainsFunc(known, func(k float64) bool { return sign*k >= sign*far }) {
				return far, false, nil
			}
		}
		return far, true, nil
	}
	low, noLow, err := out(-1)
	if err != nil {
		return 0, ci, err
	}
	high, noHigh, err := out(1)
	if err != nil {
		return 0, ci, err
	}
	if noLow { // in, as everything beyond
		low = theta - float64(8*unit)
	}
	if noHigh {
		high = theta + float64(8*unit)
	}
	end := func(from, to float64) (float64, error) { // halved between the outermost number in and its neighbour out
		outside, inside := from, math.NaN()
		const steps = 120
		width := (to - from) / steps
		for k := 1; k <= steps && math.IsNaN(inside); k++ {
			at := from + float64(width*float64(k))
			for _, x := range known {
				if (x-at)*width <= 0 && (math.IsNaN(inside) || (x-inside)*width < 0) {
					inside = x
				}
			}
			if !math.IsNaN(inside) {
				break
			}
			ok, err := in(at)
			if err != nil {
				return 0, err
			}
			if ok {
				inside = at
			} else {
				outside = at
			}
		}
		if math.IsNaN(inside) {
			return inside, nil // no constant effect fits
		}
		for range 30 {
			middle := (inside + outside) / 2
			ok, err := in(middle)
			if err != nil {
				return 0, err
			}
			if ok {
				inside = middle
			} else {
				outside = middle
			}
		}
		return inside, nil
	}
	ci = estimate.Interval{Level: c.level, Method: "conformal", Lo: math.Inf(-1), Hi: math.Inf(1)}
	if !noLow {
		if ci.Lo, err = end(low, high); err != nil {
			return 0, ci, err
		}
		known = append(known, ci.Lo)
	}
	if !noHigh {
		if ci.Hi, err = end(high, low); err != nil {
			return 0, ci, err
		}
	}
	return p, ci, nil
}
