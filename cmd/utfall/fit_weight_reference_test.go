//go:build reference

package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 01j, and the effect of the weights written by --out.
func TestReferenceFitWeight(t *testing.T) {
	const name = "01j_lalonde_weighting"
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, name, "expected.json")
	path := derived(t, name, nil)
	for _, c := range []struct {
		key, method, estimand string
		tolerance             float64
	}{
		{"ipw_ATE", "ipw", "ate", 1e-7}, {"ipw_ATT", "ipw", "att", 1e-7}, {"ipw_ATC", "ipw", "atc", 1e-7},
		{"ipw_ATO", "overlap", "ato", 1e-7}, {"ipw_ATM", "matching-weights", "atm", 1e-7},
		{"ebal_ATT", "entropy", "att", 1e-6}, {"ebal_ATE", "entropy", "ate", 1e-6},
		{"cbps_ATT_just_identified_exact_root", "cbps", "att", 1e-6}, {"cbps_ATE_just_identified_exact_root", "cbps", "ate", 1e-6},
	} {
		t.Run(c.key, func(t *testing.T) {
			var want struct {
				Weights map[string]float64 `json:"weights"`
				Mean1   map[string]float64 `json:"weights_normalised_mean1_by_group"`
				Scores  map[string]float64 `json:"propensity"`
				Effect  float64            `json:"estimate"`
				SE      float64            `json:"se_HC0_weights_fixed"`
				Treated float64            `json:"ess_treated"`
				Control float64            `json:"ess_control"`
			}
			require.NoError(t, json.Unmarshal(ref[c.key], &want))
			if want.Weights == nil {
				want.Weights = want.Mean1
			}
			out := path + "." + c.key + ".csv"
			a := fitted(t, "weight", "--data", path, "--id", "id", "--treatment", "treat", "--covariates", lalondeNames, "--method", c.method, "--estimand", c.estimand, "--out", out)
			var worst float64
			compare := func(key string, want map[string]float64) {
				if want == nil {
					return
				}
				var got map[string]float64
				a.detail(t, key, &got)
				for id, w := range want {
					v := got[id]
					near(t, &worst, key+" "+id, &v, w, c.tolerance)
				}
			}
			compare("weights", want.Weights)
			compare("scores", want.Scores)
			compare("ess", map[string]float64{"treated": want.Treated, "control": want.Control})
			e := fitted(t, "ols", "--data", out, "--outcome", "re78", "--covariates", "treat", "--weights", "weight", "--vcov", "hc0").get(t, "treat", "")
			near(t, &worst, "effect", e.Estimate, want.Effect, c.tolerance)
			near(t, &worst, "error", e.StdError, want.SE, c.tolerance)
			digits(t, "weights, ESS, effect", worst)
		})
	}
}
