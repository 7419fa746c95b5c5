//go:build reference

package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// NIST StRD through the command line: means and standard deviations of the univariate sets (describe), R² and residual SD of
// the one-way analyses of variance (ols on the group). Each reaches the smaller of R's and the ceiling of binary64 input, less 0.3.
func TestReferenceNISTUnivariateAndAnova(t *testing.T) {
	var ref struct {
		Datasets map[string]struct {
			Family    string
			Certified map[string]any
		}
	}
	reftest.ReadJSON(t, &ref, "nist", "expected.json")
	rows := reftest.ReadCSV(t, "nist", "attainable_lre.csv")
	best, ceiling := rows.Floats(t, "r_default"), rows.Floats(t, "ceiling")
	got := map[string]map[string]float64{}
	for name, set := range ref.Datasets {
		path := filepath.Join(reftest.ReferenceDir(t), "nist", set.Family, name+".csv")
		switch set.Family {
		case "univariate":
			a := fitted(t, "describe", "--data", path, "--columns", "y")
			got[name] = map[string]float64{"mean": *a.get(t, "y", "mean").Estimate, "sd": *a.get(t, "y", "sd").Estimate}
		case "anova":
			a := fitted(t, "ols", "--data", path, "--outcome", "y", "--covariates", "group", "--categorical", "group")
			var r2, sigma float64
			require.NoError(t, json.Unmarshal(a.Details["r_squared"], &r2))
			require.NoError(t, json.Unmarshal(a.Details["sigma"], &sigma))
			got[name] = map[string]float64{"r_squared": r2, "residual_sd": sigma}
		}
	}
	checked := 0
	for i, name := range rows["dataset"] {
		v, ok := got[name][rows["quantity"][i]]
		if !ok {
			continue
		}
		text, _ := ref.Datasets[name].Certified[rows["quantity"][i]].(string)
		want, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err, name)
		need := math.Min(best[i], ceiling[i])
		digits := float64(reftest.LRE(v, want))
		t.Logf("%s %s: %.2f (R %.2f, ceiling %.2f)", name, rows["quantity"][i], digits, best[i], ceiling[i])
		if digits < need-0.3 {
			t.Errorf("%s %s: %.2f digits, %.2f needed", name, rows["quantity"][i], digits, need-0.3)
		}
		checked++
	}
	require.Equal(t, 2*9+2*11, checked)
}
