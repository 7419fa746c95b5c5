//go:build reference

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Cases 03d and 03d2: R's bacondecomp 0.1.1 (99999 = never treated).
func TestReferenceFitBacon(t *testing.T) {
	for name, flags := range map[string][]string{
		"03d_divorce_bacon":     {"--unit", "st", "--time", "year", "--treatment", "unilateral", "--outcome", "suiciderate_elast_jag"},
		"03d2_mathreform_bacon": {"--unit", "state", "--time", "class", "--treatment", "reform_math", "--outcome", "incearn_ln"},
	} {
		var ref struct {
			Components struct {
				Treated, Untreated []int
				Type               []string
				Estimate, Weight   []float64
			}
			TWFE float64 `json:"twfe_coefficient"`
		}
		reftest.ReadJSON(t, &ref, name, "expected.json")
		a := fitted(t, append([]string{"bacon", "--data", casePath(t, name)}, flags...)...)
		var rows []baconRow
		a.detail(t, "components", &rows)
		require.Len(t, rows, len(ref.Components.Treated))
		got := map[[2]int]baconRow{}
		for _, r := range rows {
			got[[2]int{r.Treated, r.Comparison}] = r
		}
		var worst float64
		near(t, &worst, "overall", a.get(t, "overall", "").Estimate, ref.TWFE, 1e-8)
		for i, g := range ref.Components.Treated {
			c := ref.Components.Untreated[i]
			if c == 99999 {
				c = 0
			}
			r, ok := got[[2]int{g, c}]
			require.True(t, ok)
			require.Equal(t, ref.Components.Type[i], r.Type)
			near(t, &worst, "estimate", &r.Estimate, ref.Components.Estimate[i], 1e-8)
			near(t, &worst, "weight", &r.Weight, ref.Components.Weight[i], 1e-8)
		}
		digits(t, name, worst)
	}
}
