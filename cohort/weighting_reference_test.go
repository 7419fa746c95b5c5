//go:build reference

package cohort

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// 01j: own formulas on R's glm (1e-14), WeightIt 0.14.2 for entropy, nleqslv for the
// just-identified covariate balancing propensity score.
func TestReferenceWeighting(t *testing.T) {
	tab, _ := lalonde(t, "01j_lalonde_weighting")
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, "01j_lalonde_weighting", "expected.json")
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	d := Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}
	for _, c := range []struct {
		w      Weighting
		name   string
		digits reftest.Digits
	}{
		{Weighting{Estimand: ATE}, "ipw_ATE", 9},
		{Weighting{}, "ipw_ATT", 9},
		{Weighting{Estimand: ATC}, "ipw_ATC", 9},
		{Weighting{Method: OverlapMethod}, "ipw_ATO", 9},
		{Weighting{Method: MatchingWeightsMethod}, "ipw_ATM", 9},
		{Weighting{Method: EntropyMethod}, "ebal_ATT", 7},
		{Weighting{Method: EntropyMethod, Estimand: ATE}, "ebal_ATE", 6},
		{Weighting{Method: CBPSMethod}, "cbps_ATT_just_identified_exact_root", 9},
		{Weighting{Method: CBPSMethod, Estimand: ATE}, "cbps_ATE_just_identified_exact_root", 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want struct {
				Weights map[string]float64 `json:"weights"`
				Mean1   map[string]float64 `json:"weights_normalised_mean1_by_group"`
				Scores  map[string]float64 `json:"propensity"`
				Treated float64            `json:"ess_treated"`
				Control float64            `json:"ess_control"`
			}
			require.NoError(t, json.Unmarshal(ref[c.name], &want))
			got, err := c.w.Fit(t.Context(), tab, d)
			require.NoError(t, err)
			if want.Weights == nil {
				want.Weights = want.Mean1
			}
			require.True(t, len(want.Weights)+len(want.Scores) == len(ids))
			worst := 1e9
			for i, id := range ids {
				if w, ok := want.Weights[id]; ok {
					worst = min(worst, float64(reftest.LRE(got.Weight[i], w)))
					reftest.Agree(t, "weight of id "+id, got.Weight[i], w, c.digits)
				}
				if p, ok := want.Scores[id]; ok {
					worst = min(worst, float64(reftest.LRE(got.Score[i], p)))
					reftest.Agree(t, "score of id "+id, got.Score[i], p, c.digits)
				}
			}
			reftest.Agree(t, "ESS treated", got.ESSTreated, want.Treated, c.digits)
			reftest.Agree(t, "ESS control", got.ESSControl, want.Control, c.digits)
			t.Logf("%.1f digits, imbalance %.1e, %d steps, notes %v", worst, got.Imbalance, got.Iterations, got.Notes)
		})
	}
}
