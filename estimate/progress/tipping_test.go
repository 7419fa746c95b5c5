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
	c := NewTippingCurve(e, .25, .4)
	require.InDelta(t, 3, c.Point, 1e-12)
	require.Len(t, c.Delta, 25)
	require.Equal(t, 0.0, c.Delta[0])
	require.Equal(t, 4.0, c.Delta[24])
	require.Equal(t, .5, c.Value[0])
	require.InDelta(t, .5-.4, c.Value[24], 1e-12)
	require.InDelta(t, 0, c.Lo[18], 1e-12) // at 3
	require.InDelta(t, .7-.3, c.Hi[18], 1e-12)
	// The other way round, towards 0 from below.
	down := NewTippingCurve(estimate.Estimate{Value: -.5, SE: .1, CI: estimate.Interval{Lo: -.7, Hi: -.3, Level: .95}}, .25, .4)
	require.InDelta(t, 3, down.Point, 1e-12)
	require.InDelta(t, 0, down.Hi[18], 1e-12)
	// Twice as many without an answer tip it at half of it.
	require.InDelta(t, 1.5, NewTippingCurve(e, .5, .4).Point, 1e-12)
	require.Equal(t, 12.0, NewTippingCurve(e, .01, .4).Delta[24])
}

func TestTippingCurveEdges(t *testing.T) {
	e := estimate.Estimate{Value: .1, SE: .1, CI: estimate.Interval{Lo: -.1, Hi: .3, Level: .95}}
	c := NewTippingCurve(e, .2, .4)
	require.Zero(t, c.Point)
	require.Equal(t, 3.0, c.Delta[24])
	c = NewTippingCurve(e, 0, .4)
	require.True(t, math.IsInf(c.Point, 1))
	require.Empty(t, c.Delta)
	for _, bad := range []*TippingCurve{NewTippingCurve(estimate.Estimate{Value: .1, SE: math.NaN()}, .2, .4), NewTippingCurve(e, 1.2, .4), NewTippingCurve(e, .2, 0)} {
		require.True(t, math.IsNaN(bad.Point))
		require.Empty(t, bad.Delta)
	}
}
