package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"utfall/internal/reftest"
)

// τ = 3 − (a shift of −1 takes .5), V = 1 held: |3 + .5δ| = 1.96 at δ = −2.08. With V(δ) = 1 + .25δ² the interval touches 0 where (3 + .5δ)² = q²(1 + .25δ²).
func TestShiftLineByHand(t *testing.T) {
	const q = 1.959963984540054
	held := ShiftLine{Value: 3, Slope: .5, Var: 1}
	reftest.Near(t, "held", held.Tips(.95), -(3-q)/.5, 1e-12)
	anew := ShiftLine{Value: 3, Slope: .5, Var: 1, SlopeVar: .25}
	d := anew.Tips(.95)
	v, se := anew.At(d)
	reftest.Near(t, "touches 0", math.Abs(v), q*se, 1e-12)
	require.Greater(t, d, held.Tips(.95), "errors that grow tip earlier")
	reftest.Near(t, "held", anew.Held().Tips(.95), held.Tips(.95), 1e-14)
	require.Zero(t, ShiftLine{Value: 1, Slope: .5, Var: 1}.Tips(.95))
	require.True(t, math.IsNaN(ShiftLine{Value: 3, Var: 1}.Tips(.95)))

	_, se = ShiftLine{Var: 1, Cov: .1, SlopeVar: .25}.At(-2)
	reftest.Near(t, "1 − 4·.1 + 4·.25", se, math.Sqrt(1.6), 1e-14)
	turned := ShiftLine{Value: 3, Slope: .5, Var: 1, Cov: .1, SlopeVar: .25}
	v, se = turned.At(turned.Tips(.95))
	reftest.Near(t, "touches 0", math.Abs(v), q*se, 1e-12)

	c := held.Curve(.95, .5)
	reftest.Near(t, "point", c.Point, (3-q)/.5/.5, 1e-12)
	require.Len(t, c.Delta, 25)
	require.Equal(t, 6.0, c.Delta[24])
	reftest.Near(t, "end", c.Value[24], 3-.5*6*.5, 1e-12)
	reftest.Near(t, "low", c.Lo[0], 3-q, 1e-12)
	down := ShiftLine{Value: -3, Slope: .5, Var: 1}.Curve(.95, .5)
	reftest.Near(t, "against the sign", down.Value[24], -3+.5*6*.5, 1e-12)
	require.True(t, math.IsInf(ShiftLine{Value: 3, Var: 1}.Curve(.95, .5).Point, 1))
	require.True(t, math.IsNaN(ShiftLine{Value: 3, Slope: 1}.Curve(.95, .5).Point))
}
