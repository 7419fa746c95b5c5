package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// A change of .5 (.3 to .7), a quarter without an answer, MIC .4: every important change less takes .1 away, so that the interval
// touches 0 at 3; the curve goes to 4.
func TestTippingCurveByHand(t *testing.T) {
	e := estimate.Estimate{Value: .5, SE: .1, CI: estimate.Interval{Lo: .3, Hi: .7, Level: .95}}
	c := NewTippingCurve(e, Unanswered{Share: .25}, .4)
	require.InDelta(t, 3, c.Point, 1e-12)
	require.Len(t, c.Delta, 25)
	require.Equal(t, 0.0, c.Delta[0])
	require.Equal(t, 4.0, c.Delta[24])
	require.Equal(t, .5, c.Value[0])
	require.InDelta(t, .5-.4, c.Value[24], 1e-12)
	require.InDelta(t, 0, c.Lo[18], 1e-12) // at 3
	require.InDelta(t, .7-.3, c.Hi[18], 1e-12)
	// The other way round, towards 0 from below.
	down := NewTippingCurve(estimate.Estimate{Value: -.5, SE: .1, CI: estimate.Interval{Lo: -.7, Hi: -.3, Level: .95}}, Unanswered{Share: .25}, .4)
	require.InDelta(t, 3, down.Point, 1e-12)
	require.InDelta(t, 0, down.Hi[18], 1e-12)
	// Twice as many without an answer tip it at half of it.
	require.InDelta(t, 1.5, NewTippingCurve(e, Unanswered{Share: .5}, .4).Point, 1e-12)
	require.Equal(t, 12.0, NewTippingCurve(e, Unanswered{Share: .01}, .4).Delta[24])
}

// With the error of the share: .5 ± 2·.1, m = .25 of variance .0025, MIC 1. Where Cov = 0, (.5 − .25x)² = 4·(.01 + .0025x²) is
// .0525x² − .25x + .21 = 0, x = (.25 − √(.0625 − .0441))/.105 = 1.089; held it would be (.5 − .2)/.25 = 1.2. With Cov = .004, fewer answers
// where the difference is large, 4·2·.004·x less on the right: .25x becomes .218x and x = 1.519. The difference turned round, the covariance too, is the same.
func TestTippingCurveRecomputesTheError(t *testing.T) {
	e := estimate.Estimate{Value: .5, SE: .1, CI: estimate.Interval{Lo: .3, Hi: .7, Level: .95}}
	c := NewTippingCurve(e, Unanswered{Share: .25, Variance: .0025}, 1)
	require.InDelta(t, (.25-math.Sqrt(.0184))/.105, c.Point, 1e-12)
	require.InDelta(t, c.Value[24]-2*math.Sqrt(.01+.0025*c.Delta[24]*c.Delta[24]), c.Lo[24], 1e-12)
	require.InDelta(t, .3, c.Lo[0], 1e-12)
	more := NewTippingCurve(e, Unanswered{Share: .25, Variance: .0025, Covariance: .004}, 1)
	require.InDelta(t, (.218-math.Sqrt(.218*.218-.0441))/.105, more.Point, 1e-12)
	turned := estimate.Estimate{Value: -.5, SE: .1, CI: estimate.Interval{Lo: -.7, Hi: -.3, Level: .95}}
	require.InDelta(t, more.Point, NewTippingCurve(turned, Unanswered{Share: .25, Variance: .0025, Covariance: -.004}, 1).Point, 1e-12)
	// Where the interval of the share covers 0 (a < 0) the root is still between 0 and |Δ|/m.
	wild := NewTippingCurve(e, Unanswered{Share: .25, Variance: .04}, 1)
	require.Greater(t, wild.Point, 0.0)
	require.Less(t, wild.Point, 2.0)
}

func TestTippingCurveEdges(t *testing.T) {
	e := estimate.Estimate{Value: .1, SE: .1, CI: estimate.Interval{Lo: -.1, Hi: .3, Level: .95}}
	c := NewTippingCurve(e, Unanswered{Share: .2}, .4)
	require.Zero(t, c.Point)
	require.Equal(t, 3.0, c.Delta[24])
	c = NewTippingCurve(e, Unanswered{}, .4)
	require.True(t, math.IsInf(c.Point, 1))
	require.Empty(t, c.Delta)
	for _, bad := range []*TippingCurve{NewTippingCurve(estimate.Estimate{Value: .1, SE: math.NaN()}, Unanswered{Share: .2}, .4), NewTippingCurve(e, Unanswered{Share: 1.2}, .4),
		NewTippingCurve(e, Unanswered{Share: .2}, 0), NewTippingCurve(e, Unanswered{Share: .2, Variance: -1}, .4), NewTippingCurve(e, Unanswered{Share: .2, Variance: .01, Covariance: 1}, .4)} {
		require.True(t, math.IsNaN(bad.Point))
		require.Empty(t, bad.Delta)
	}
}
