package panel

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
)

// ConformalErrors asks for an interval and a p-value by permutation of periods instead of a standard error (Chernozhukov, Wüthrich and Zhu).
const ConformalErrors = "conformal"

// conformal is the test that the effect is the same number in all periods from treatment on: that number is taken off, weights are found from all periods
// as if none were treated, and with u[t] the gap that is left and T1 the periods from treatment on
//
//	S = Σ |u[t]| over those periods;   p = share of the T shifts of the periods (in a circle, none included) whose S is as large
//
// exact if u is a stationary series, whatever the weights. The interval holds the numbers with p above 1 - level, its ends found from outside.
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
	unit := c.b.noise()
	if !(unit > 0) {
		unit = math.Max(math.Abs(theta), 1)
	}
	end := func(sign float64) (float64, error) {
		var outside float64
		inside := theta
		for reach := 8.0; ; reach *= 2 {
			if reach > 1e5 {
				return math.Inf(int(sign)), nil
			}
			far := theta + float64(sign*reach*unit)
			q, err := c.p(ctx, far)
			if err != nil {
				return 0, err
			}
			if q > alpha {
				inside = far
				continue
			}
			outside = far
			break
		}
		const steps = 60 // from outside to the last number known to be in
		width := inside - outside
		for k := 1; k <= steps; k++ {
			at := outside + float64(width*float64(k)/steps)
			q, err := c.p(ctx, at)
			if err != nil {
				return 0, err
			}
			if q > alpha {
				inside = at
				outside = at - width/steps
				break
			}
		}
		if q, err := c.p(ctx, inside); err != nil || q <= alpha {
			return math.NaN(), err // the estimate itself is rejected: no constant effect fits
		}
		for range 30 {
			middle := (inside + outside) / 2
			q, err := c.p(ctx, middle)
			if err != nil {
				return 0, err
			}
			if q > alpha {
				inside = middle
			} else {
				outside = middle
			}
		}
		return inside, nil
	}
	ci = estimate.Interval{Level: c.level, Method: "conformal"}
	if ci.Lo, err = end(-1); err != nil {
		return 0, ci, err
	}
	ci.Hi, err = end(1)
	return p, ci, err
}
