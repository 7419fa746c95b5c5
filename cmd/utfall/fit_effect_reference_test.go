//go:build reference

package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 01j: weighting with the propensity step in the errors, AIPW, g-computation.
func TestReferenceFitEffectWeighting(t *testing.T) {
	const name = "01j_lalonde_weighting"
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, name, "expected.json")
	type block struct {
		Estimate  float64
		SE        float64 `json:"se_M_estimation"`
		Influence float64 `json:"se_influence_function_divisor_n"`
	}
	var worst float64
	run := func(method, estimand string) fitEstimateJSON {
		return fitted(t, "effect", "--data", casePath(t, name), "--id", "id", "--treatment", "treat", "--outcome", "re78", "--covariates", lalondeNames, "--method", method, "--estimand", estimand).get(t, estimand, "mean-difference")
	}
	for key, c := range map[string][2]string{"ipw_ATE": {"ipw", "ate"}, "ipw_ATT": {"ipw", "att"}, "ipw_ATC": {"ipw", "atc"}, "ipw_ATO": {"ipw", "ato"}, "aipw_ATE": {"aipw", "ate"}, "aipw_ATT": {"aipw", "att"}} {
		var want block
		require.NoError(t, json.Unmarshal(ref[key], &want))
		e := run(c[0], c[1])
		near(t, &worst, key, e.Estimate, want.Estimate, 1e-9)
		near(t, &worst, key+" error", e.StdError, want.SE+want.Influence, 1e-9)
	}
	var g map[string]float64
	require.NoError(t, json.Unmarshal(ref["gcomp"], &g))
	for estimand, key := range map[string]string{"att": "ATT", "atc": "ATC", "ate": "ATE"} {
		near(t, &worst, "g-computation", run("g-computation", estimand).Estimate, g[key], 1e-9)
	}
	digits(t, "effects and errors", worst)
}

// Case 01k: Matching 4.10-8.
func TestReferenceFitAbadieImbens(t *testing.T) {
	const name = "01k_lalonde_abadie_imbens"
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, name, "expected.json")
	var worst float64
	for estimand, upper := range map[string]string{"att": "ATT", "ate": "ATE", "atc": "ATC"} {
		for _, ratio := range []string{"1", "4"} {
			for _, c := range []struct {
				key  string
				more []string
			}{
				{"invvar_noadj_Var0", []string{"--bias-correction=false"}}, {"invvar_biasadj_Var0", nil}, {"invvar_noadj_Var4", []string{"--bias-correction=false", "--variance", "4"}},
				{"mahalanobis_noadj_Var0", []string{"--metric", "mahalanobis", "--bias-correction=false"}}, {"mahalanobis_biasadj_Var0", []string{"--metric", "mahalanobis", "--variance", "homoscedastic"}},
			} {
				key := fmt.Sprintf("cov_%s_M%s_%s", upper, ratio, c.key)
				var want struct {
					Est float64
					SE  float64 `json:"se_AI"`
				}
				require.NoError(t, json.Unmarshal(ref[key], &want), key)
				e := fitted(t, append([]string{"effect", "--data", casePath(t, name), "--id", "id", "--treatment", "treat", "--outcome", "re78", "--covariates", "age,educ,black,hispan,married,nodegree,re74,re75",
					"--method", "bias-corrected-matching", "--estimand", estimand, "--ratio", ratio}, c.more...)...).get(t, estimand, "mean-difference")
				near(t, &worst, key, e.Estimate, want.Est, 1e-9)
				near(t, &worst, key+" error", e.StdError, want.SE, 1e-9)
			}
		}
	}
	digits(t, "effects and errors", worst)
}
