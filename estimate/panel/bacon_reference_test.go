//go:build reference

package panel

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Cases 03d and 03d2: R's bacondecomp 0.1.1, whose code of never treated is 99999.
func TestReferenceBacon(t *testing.T) {
	for _, c := range []struct{ name, unit, time, treatment, outcome string }{
		{"03d_divorce_bacon", "st", "year", "unilateral", "suiciderate_elast_jag"},
		{"03d2_mathreform_bacon", "state", "class", "reform_math", "incearn_ln"},
	} {
		csv := reftest.ReadCSV(t, c.name, "data.csv")
		f := &Frame{Unit: csv[c.unit], Time: ints(t, csv, c.time), Y: csv.Floats(t, c.outcome), Level: 0.95}
		d := make([]bool, len(f.Y))
		for i, v := range csv.Floats(t, c.treatment) {
			d[i] = v == 1
		}
		var ref struct {
			Components struct {
				Treated, Untreated []int
				Type               []string
				Estimate, Weight   []float64
			}
			ByType struct {
				Type   []string
				Weight []float64
				Avg    []float64 `json:"weighted_avg"`
			} `json:"by_type"`
			TWFE float64 `json:"twfe_coefficient"`
		}
		reftest.ReadJSON(t, &ref, c.name, "expected.json")
		res, err := Bacon{}.Fit(t.Context(), f, d)
		require.NoError(t, err)
		got := res.Details["components"].([]BaconComponent)
		require.Len(t, got, len(ref.Components.Treated))
		byPair := map[[2]int]BaconComponent{}
		for _, g := range got {
			byPair[[2]int{g.Treated, g.Comparison}] = g
		}
		worst := 0.0
		for i, treated := range ref.Components.Treated {
			comparison := ref.Components.Untreated[i]
			if comparison == 99999 {
				comparison = 0
			}
			g, ok := byPair[[2]int{treated, comparison}]
			require.True(t, ok)
			require.Equal(t, ref.Components.Type[i], g.Type)
			worst = max(worst, agreeTo(t, "estimate", g.Estimate, ref.Components.Estimate[i], 1e-8), agreeTo(t, "weight", g.Weight, ref.Components.Weight[i], 1e-8))
		}
		for i, row := range res.Details["by_type"].([]map[string]any) {
			require.Equal(t, ref.ByType.Type[i], row["type"])
			worst = max(worst, agreeTo(t, "type weight", row["weight"].(float64), ref.ByType.Weight[i], 1e-8), agreeTo(t, "type average", row["average"].(float64), ref.ByType.Avg[i], 1e-8))
		}
		worst = max(worst, agreeTo(t, "overall", res.Estimates[0].Value, ref.TWFE, 1e-8))
		t.Logf("%s: worst relative difference %.1g", c.name, worst)
	}
}
