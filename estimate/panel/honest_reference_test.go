//go:build reference

package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// Case 03f: R's HonestDiD 0.2.6.
func TestReferenceHonest(t *testing.T) {
	csv := reftest.ReadCSV(t, "03f_honestdid_bc", "data.csv")
	c := Coefficients{Value: csv.Floats(t, "betahat"), Pre: 4}
	c.Cov = mat.NewSymDense(8, nil)
	for j := range 8 {
		for i, v := range csv.Floats(t, fmt.Sprintf("sigma_%d", j+1)) {
			if i <= j {
				c.Cov.SetSym(i, j, v)
			}
		}
	}
	type bounds struct {
		Lb, Ub, M, Mbar []float64
	}
	var ref struct {
		Original bounds `json:"original"`
		FLCI     bounds `json:"smoothness_FLCI"`
		Average  bounds `json:"smoothness_FLCI_average_post"`
		Relative bounds `json:"relative_magnitudes_C_LF"`
	}
	reftest.ReadJSON(t, &ref, "03f_honestdid_bc", "expected.json")
	check := func(name string, h Honest, want bounds, tol float64) {
		h.Level = 0.95
		res, err := h.Fit(t.Context(), c)
		require.NoError(t, err)
		o := res.Details["original"].(map[string]float64)
		for i, e := range res.Estimates {
			t.Logf("%s %s: %.6f %.6f, HonestDiD %.6f %.6f (estimate %.5f), breakdown %.4g", name, e.Term, e.CI.Lo, e.CI.Hi, want.Lb[i], want.Ub[i], e.Value, res.Details["breakdown"])
			require.InDelta(t, want.Lb[i], e.CI.Lo, tol)
			if name == "relative" && h.M[i] == 2 { // HonestDiD's search ends at 20 standard errors of the target, 0.37946, inside the interval
				require.InDelta(t, want.Ub[i], 10*(o["conf_high"]-o["conf_low"])/math.Sqrt2/math.Erfinv(0.95), 1e-6)
				require.Greater(t, e.CI.Hi, want.Ub[i])
				continue
			}
			require.InDelta(t, want.Ub[i], e.CI.Hi, tol)
		}
		if h.Target == nil {
			reftest.Agree(t, "original low", o["conf_low"], ref.Original.Lb[0], 9)
			reftest.Agree(t, "original high", o["conf_high"], ref.Original.Ub[0], 9)
		}
	}
	check("smoothness", Honest{Type: Smoothness, M: ref.FLCI.M}, ref.FLCI, 2e-3)
	check("average", Honest{Type: Smoothness, M: ref.Average.M, Target: []float64{.25, .25, .25, .25}}, ref.Average, 2e-3)
	check("relative", Honest{Type: RelativeMagnitudes, M: ref.Relative.Mbar}, ref.Relative, 1e-2)
}
