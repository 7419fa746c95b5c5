package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// One goal one better: 50 + 10/√(.7 + .3) = 60. Three: 50 + 30/√(2.1 + 2.7). Weights 3, 2, 1, levels 1, 0, −1:
// 50 + 20/√(.7·14 + .3·36). As expected: 50.
func TestGoalAttainmentByHand(t *testing.T) {
	for _, c := range []struct {
		x, w []float64
		want float64
	}{
		{[]float64{1}, nil, 60},
		{[]float64{1, 1, 1}, nil, 50 + 30/math.Sqrt(4.8)},
		{[]float64{1, 0, -1}, []float64{3, 2, 1}, 50 + 20/math.Sqrt(20.6)},
		{[]float64{0, 0}, []float64{5, 1}, 50},
		{[]float64{-2}, []float64{7}, 30},
	} {
		got, err := GoalAttainment(c.x, c.w)
		require.NoError(t, err)
		require.InDelta(t, c.want, got, 1e-12)
	}
	for _, c := range [][2][]float64{{nil, nil}, {{3}, nil}, {{.5}, nil}, {{math.NaN()}, nil}, {{1}, {0}}, {{1}, {1, 2}}, {{1}, {math.NaN()}}} {
		_, err := GoalAttainment(c[0], c[1])
		require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	}
	f := CompareGoals()
	require.Equal(t, Refused, f.Kind)
	require.NotEmpty(t, f.Fix.Text)
}
