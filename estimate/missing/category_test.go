package missing

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"
)

// Without covariates the multinomial model's maximum is the log ratio of the counts and
// its information n(δp - pp'); the ordered model's thresholds are the logits of the
// cumulative shares.
func TestCategoricalByHand(t *testing.T) {
	m := &categorical{x: slices.Repeat([]float64{1}, 10), k: 1, n: 10, levels: 3, y: []int{0, 0, 0, 0, 0, 1, 1, 1, 2, 2}, w: slices.Repeat([]float64{2}, 10)}
	theta, u, err := m.maximise(nil)
	require.NoError(t, err)
	near(t, math.Log(3./5), theta[0], 9)
	near(t, math.Log(2./5), theta[1], 9)
	var info mat.Dense
	info.Mul(u.T(), u)
	near(t, 20*.3*.7, info.At(0, 0), 7)
	near(t, -20*.3*.2, info.At(0, 1), 7)
	m.ordered = true
	theta, _, err = m.maximise(nil)
	require.NoError(t, err)
	near(t, 0, theta[0]+1-1, 9)
	near(t, math.Log(math.Log(.8/.2)), theta[1], 8)
}

// R 4.2.2: x = ((i·7) mod 11)/3, y = (i·i + i + ⌊i/7⌋) mod 3 of i = 1 … 40;
// nnet 7.3-18 multinom(y ~ x, reltol 1e-14), MASS 7.3-58.2 polr(factor(y) ~ x, reltol 1e-14).
func TestCategoricalAgainstR(t *testing.T) {
	m := &categorical{k: 2, n: 40, levels: 3}
	for i := 1; i <= 40; i++ {
		x := float64(i*7%11) / 3
		m.x, m.y, m.w = append(m.x, 1, x), append(m.y, (i*i+i+i/7)%3), append(m.w, 1)
	}
	theta, u, err := m.maximise(nil)
	require.NoError(t, err)
	for j, want := range rMultinom.theta {
		near(t, want, theta[j], 6)
	}
	var inv mat.TriDense
	require.NoError(t, inv.InverseTri(u))
	for j, want := range rMultinom.se {
		s := 0.0
		for c := range 4 {
			s += inv.At(j, c) * inv.At(j, c)
		}
		near(t, want, math.Sqrt(s), 5)
	}
	m.ordered = true
	theta, _, err = m.maximise(nil)
	require.NoError(t, err)
	near(t, rPolr[0], theta[0], 5)
	near(t, rPolr[1], theta[0]+math.Exp(theta[1]), 5)
	near(t, rPolr[2], theta[2], 5)
}

var rMultinom = struct{ theta, se []float64 }{
	[]float64{0.882193179482, -0.759720448626, -0.907972097559, 0.381565348737},
	[]float64{0.731588415933, 0.432085512730, 0.896901316033, 0.400112648772},
}
var rPolr = []float64{-0.1783096162, 1.0783402885, 0.2136119556}
