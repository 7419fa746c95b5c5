package effect

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// By hand: z(.975) + z(.8) = 1.959963985 + 0.841621234 = 2.801585218. With 100 in each
// group and a share of one half, sd = .5 and √(2/100) = .1414213562, so that
// MDE = 2.801585218·.5·.1414213562 = .1981019.
func TestMinimumDetectableByHand(t *testing.T) {
	got, err := MinimumDetectable(100, 100, 0.5, 0.95, 0.8)
	require.NoError(t, err)
	require.InDelta(t, 0.19810198, got, 5e-8)
}

// Four times the units find half the difference; a power of one half leaves the second quantile out.
func TestMinimumDetectableRelations(t *testing.T) {
	a, _ := MinimumDetectable(50, 80, 3, 0.9, 0.8)
	b, _ := MinimumDetectable(200, 320, 3, 0.9, 0.8)
	require.InEpsilon(t, a/2, b, 1e-14)
	c, _ := MinimumDetectable(50, 50, 1, 0.95, 0.5)
	require.InEpsilon(t, 1.959963984540054*math.Sqrt(2.0/50), c, 1e-12)
}

func TestMinimumDetectableRefuses(t *testing.T) {
	for _, bad := range [][5]float64{{1, 50, 1, 0.95, 0.8}, {50, math.NaN(), 1, 0.95, 0.8}, {50, 50, 0, 0.95, 0.8}, {50, 50, math.Inf(1), 0.95, 0.8}, {50, 50, 1, 1, 0.8}, {50, 50, 1, 0.95, 0}} {
		_, err := MinimumDetectable(bad[0], bad[1], bad[2], bad[3], bad[4])
		require.ErrorIs(t, err, ErrOption)
	}
}
