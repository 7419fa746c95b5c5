package panel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is left out because it cannot matter does not: values tried in any order, with the half-lines and critical values that the earlier ones left,
// are kept or not as by a tester of their own that works out every critical value first.
func TestHonestShortcutsChangeNothing(t *testing.T) {
	const pre, post = 4, 5
	value := []float64{0.3, 0.1, 0.2, -0.1, 0.5, 0.4, 0.9, 0.8, 0.7}
	h := Honest{Type: RelativeMagnitudes, M: []float64{1}, Level: 0.95, Target: []float64{0.2, 0.2, 0.2, 0.2, 0.2}}
	tr, err := h.trends(coefficients(pre, value, eventDesign(pre, post)))
	require.NoError(t, err)
	for _, m := range []float64{0, 0.5, 1.5} {
		r := &relative{trends: tr, workers: 2}
		used, err := r.tester(m, tr.beta)
		require.NoError(t, err)
		whole, err := r.tester(m, tr.beta)
		require.NoError(t, err)
		for _, p := range whole.sets {
			limit, err := r.critical(p)
			require.NoError(t, err)
			require.GreaterOrEqual(t, p.upper, limit)
			p.upper = math.Inf(1)
		}
		kept, rejected := 0, 0
		for i := range 60 {
			theta := tr.value + tr.se*(1+4*m)*(float64(i*37%60)/6-5)
			want := false
			for k, p := range whole.sets {
				y, lp := make([]float64, p.size), p.programme()
				for j := range y {
					y[j] = whole.y[k][j] - p.slope[j]*theta
				}
				eta, ok := lp.Solve(y)
				require.True(t, ok)
				in, err := r.keeps(p, lp, y, eta)
				require.NoError(t, err)
				want = want || in
			}
			got, err := used.keeps(theta)
			require.NoError(t, err)
			require.Equal(t, want, got, "M = %v, value %d", m, i)
			if got {
				kept++
			} else {
				rejected++
			}
		}
		require.Greater(t, min(kept, rejected), 5)
	}
}
