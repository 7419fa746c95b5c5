package effect

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// incomes makes a year's income in kronor by two covariates, in clusters of five.
func incomes(n int) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95, XNames: []string{"x", "z"}, X: mat.NewDense(n, 2, nil), Cluster: make([]int, n)}
	for i := range n {
		s := num.NewStream(11, "incomes", uint64(i))
		x, z := s.Normal(), s.Normal()
		f.Unit = append(f.Unit, strconv.Itoa(i+1))
		f.X.SetRow(i, []float64{x, z})
		f.Y = append(f.Y, math.Round(271_000+30_000*x-9_000*z+60_000*s.Normal()))
		f.Cluster[i] = i / 5
	}
	return f
}

// The unit of the outcome may not decide whether a fit converges: kronor, millions of
// them and millionths give the same numbers in their unit, and those of least squares.
func TestOutcomeUnitChangesNothing(t *testing.T) {
	base := incomes(200)
	for name, e := range map[string]estimate.Estimator{
		"glm": GLM{Family: num.Gaussian}, "gee": GEE{Family: num.Gaussian, Correlation: "exchangeable"}, "independent": GEE{Family: num.Gaussian, Correlation: "independence"},
		"mixed": Mixed{Family: num.Gaussian},
	} {
		f := *base
		if name == "glm" {
			f.Cluster = nil
		}
		want := mustFit(t, e, &f)
		for _, unit := range []float64{1e-6, 1e-3, 1e6, 1e12} {
			g := f
			g.Y = slices.Clone(f.Y)
			for i := range g.Y {
				g.Y[i] *= unit
			}
			got := mustFit(t, e, &g)
			for j, w := range want.Estimates {
				reftest.Agree(t, name+" "+w.Term, got.Estimates[j].Value/unit, w.Value, 10)
				reftest.Agree(t, name+" error of "+w.Term, got.Estimates[j].SE/unit, w.SE, 10)
			}
		}
	}
	plain := *base
	plain.Cluster = nil
	want, got := mustFit(t, OLS{}, &plain), mustFit(t, GLM{Family: num.Gaussian}, &plain)
	for j, w := range want.Estimates {
		reftest.Agree(t, "least squares "+w.Term, got.Estimates[j].Value, w.Value, 13)
		reftest.Agree(t, "error of "+w.Term, got.Estimates[j].SE, w.SE, 12)
	}
	// An offset is outcome that is known beforehand, and without a constant nothing is centred.
	plain.X = mat.NewDense(200, 2, nil)
	offset, less := make([]float64, 200), plain
	less.Y = slices.Clone(plain.Y)
	for i := range offset {
		plain.X.SetRow(i, []float64{1 + base.X.At(i, 0), base.X.At(i, 1)})
		offset[i] = 1e4 * base.X.At(i, 1)
		less.Y[i] -= offset[i]
	}
	less.X = plain.X
	for _, none := range []bool{false, true} {
		want, got := mustFit(t, OLS{NoIntercept: none}, &less), mustFit(t, GLM{Family: num.Gaussian, NoIntercept: none, Offset: offset}, &plain)
		for j, w := range want.Estimates {
			reftest.Agree(t, "offset "+w.Term, got.Estimates[j].Value, w.Value, 12)
			reftest.Agree(t, "offset, error of "+w.Term, got.Estimates[j].SE, w.SE, 12)
		}
	}
}
