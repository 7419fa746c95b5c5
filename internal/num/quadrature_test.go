package num

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// E Z² = 1, E Z⁴ = 3, E exp(Z) = √e, and by symmetry E logistic(Z) = ½; the logistic-normal mean at 1 is
// .6971 to the digits of its tables, here against the rule with half the step.
func TestNormalQuadratureByHand(t *testing.T) {
	mean := func(step, mu, sd float64, f func(float64) float64) float64 {
		x := SymmetricNodes(9, step)
		s := 0.0
		for i, w := range NormalWeights(x, mu, sd) {
			s += w * f(x[i])
		}
		return s
	}
	logistic := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	for _, step := range []float64{0.1, 0.25} {
		require.InDelta(t, 1, mean(step, 0, 1, func(v float64) float64 { return v * v }), 1e-13)
		require.InDelta(t, 3, mean(step, 0, 1, func(v float64) float64 { return v * v * v * v }), 1e-12)
		require.InDelta(t, math.Sqrt(math.E), mean(step, 0, 1, math.Exp), 1e-12)
		require.InDelta(t, 0.5, mean(step, 0, 1, logistic), 1e-14)
		require.InDelta(t, mean(0.05, 1, 1, logistic), mean(step, 1, 1, logistic), 1e-13)
	}
	require.InDelta(t, 0.25+0.04, mean(0.02, 0.5, 0.2, func(v float64) float64 { return v * v }), 1e-13)
}

func TestNormalQuadratureNodes(t *testing.T) {
	x := SymmetricNodes(6, 0.1)
	require.Len(t, x, 121)
	require.Equal(t, -6.0, x[0])
	require.Equal(t, 0.0, x[60])
	require.Equal(t, 6.0, x[120])
	require.Len(t, SymmetricNodes(1, 0.3), 9)
	require.Panics(t, func() { SymmetricNodes(0, 1) })
	require.Panics(t, func() { SymmetricNodes(1, 0) })
	require.Panics(t, func() { NormalWeights(x, 0, 0) })
	w := NormalWeights(x, 80, 1) // far away: the weight is on the last node, not lost to underflow
	require.InDelta(t, 1, w[120], 1e-3)
}
