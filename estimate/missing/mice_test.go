package missing

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// mice 3.15.0 on R 4.2.2, m = 600, maxit = 5, seed 1, on the data below: means over the
// imputations of the mean of y, the share of b, the shares of the lowest and the highest g
// and the slopes of y on x and b, and their standard deviations between imputations. The
// draws are others, so that agreement is within Monte Carlo error: 5 of it for the means,
// 15 % for the deviations (mice does not draw the parameters of polyreg and polr, we do:
// those of g may be larger).
func TestImputeAgainstMice(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const n = 120
	b, g, x, y := Variable{Name: "b", Kind: Binary}, Variable{Name: "g", Levels: []string{"0", "1", "2"}}, Variable{Name: "x", Kind: Number}, Variable{Name: "y", Kind: Number}
	for i := 1; i <= n; i++ {
		at := func(a, m int, half float64) float64 { return float64(i*a%m)/half - 1 }
		xi := float64(i*37%101)/25 - 2
		yi := 1 + xi + 1.5*at(57, 103, 51.5)
		f := at(71, 97, 48.5)
		gi := 2.0
		if yi+2*f <= 0 {
			gi = 0
		} else if yi+2*f <= 2 {
			gi = 1
		}
		bi := 0.0
		if xi+3*f > 0 {
			bi = 1
		}
		x.Values, y.Values, b.Values, g.Values = append(x.Values, xi), append(y.Values, yi), append(b.Values, bi), append(g.Values, gi)
		y.Missing, b.Missing, g.Missing = append(y.Missing, i*29%10 < 3 && xi > -1), append(b.Missing, i*41%10 < 3), append(g.Missing, i*13%10 < 3)
	}
	for _, c := range []struct {
		y, g     Method
		kind     Kind
		mean, sd []float64
	}{
		{Linear, Multinomial, Nominal, []float64{1.0448270, 0.5101528, 0.2658056, 0.3433889, 1.0141337, 0.0868974}, []float64{0.051847, 0.022489, 0.015757, 0.017101, 0.081267, 0.203189}},
		{PMM, Multinomial, Nominal, []float64{1.0296887, 0.5078333, 0.2648333, 0.3415972, 0.9918949, 0.1133468}, []float64{0.044936, 0.022218, 0.015828, 0.015307, 0.069457, 0.196705}},
		{Linear, OrderedLog, Ordered, []float64{1.04427842, 0.51240278, 0.26891667, 0.34726389, 1.01777669, 0.06106752}, []float64{0.053215, 0.022306, 0.015730, 0.016458, 0.083000, 0.212079}},
	} {
		y.Method, g.Method, g.Kind = c.y, c.g, c.kind
		im, err := Impute{M: 200, Iterations: 5, Seed: 2}.Run(t.Context(), Data{Unit: names(n), Variables: []Variable{b, g, x, y}})
		require.NoError(t, err)
		require.Empty(t, im.Notes)
		got := make([][]float64, 6)
		for k := range im.M {
			v := im.Completed(k)
			low, high := 0.0, 0.0
			for _, l := range v[1].Values {
				if l == 0 {
					low += 1. / n
				} else if l == 2 {
					high += 1. / n
				}
			}
			ym, _ := meanVar(v[3].Values)
			bm, _ := meanVar(v[0].Values)
			r, err := slopes(t.Context(), nil, []Variable{v[3], v[2], v[0]})
			require.NoError(t, err)
			for j, q := range []float64{ym, bm, low, high, r.Estimates[0].Value, r.Estimates[1].Value} {
				got[j] = append(got[j], q)
			}
		}
		for j, want := range c.mean {
			mean, v := meanVar(got[j])
			require.InDelta(t, want, mean, 5*c.sd[j]*math.Sqrt(1./600+1./200), "%v %d", c, j)
			more := .15
			if j == 2 || j == 3 {
				more = .5
			}
			t.Logf("%s %s %d: %.4f %.4f; %.4f %.4f", c.y, c.g, j, mean, want, math.Sqrt(v), c.sd[j])
			ratio := math.Sqrt(v) / c.sd[j]
			require.Greater(t, ratio, .85)
			require.Less(t, ratio, 1+more)
		}
	}
}
