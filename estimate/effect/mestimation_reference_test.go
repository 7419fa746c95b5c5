//go:build reference

package effect

import (
	"testing"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// lalonde reads a lalonde case with the eight covariates of its propensity model.
func lalonde(t *testing.T, name string) *estimate.Frame {
	t.Helper()
	data := reftest.ReadCSV(t, name, "data.csv")
	race := func(level string) []float64 {
		c := make([]float64, len(data["race"]))
		for i, r := range data["race"] {
			if r == level {
				c[i] = 1
			}
		}
		return c
	}
	f := columns(data.Floats(t, "re78"), []string{"age", "educ", "black", "hispan", "married", "nodegree", "re74", "re75"},
		data.Floats(t, "age"), data.Floats(t, "educ"), race("black"), race("hispan"), data.Floats(t, "married"), data.Floats(t, "nodegree"), data.Floats(t, "re74"), data.Floats(t, "re75"))
	f.Unit = data["id"]
	for _, v := range data["treat"] {
		f.Treated = append(f.Treated, v == "1")
	}
	return f
}

// Case 01j: stacked equations and influence functions by hand in R 4.2.2.
func TestReferenceWeighting(t *testing.T) {
	f := lalonde(t, "01j_lalonde_weighting")
	type block struct {
		Estimate  float64
		SE        float64 `json:"se_M_estimation"`
		Influence float64 `json:"se_influence_function_divisor_n"`
		Treated   float64 `json:"ess_treated"`
		Control   float64 `json:"ess_control"`
	}
	var ref struct {
		ATE   block `json:"ipw_ATE"`
		ATT   block `json:"ipw_ATT"`
		ATC   block `json:"ipw_ATC"`
		ATO   block `json:"ipw_ATO"`
		AATE  block `json:"aipw_ATE"`
		AATT  block `json:"aipw_ATT"`
		GComp map[string]float64
	}
	reftest.ReadJSON(t, &ref, "01j_lalonde_weighting", "expected.json")
	for estimand, want := range map[string]block{"ate": ref.ATE, "att": ref.ATT, "atc": ref.ATC, "ato": ref.ATO} {
		res := mustFit(t, IPW{Estimand: estimand}, f)
		reftest.Agree(t, "ipw "+estimand, res.Estimates[0].Value, want.Estimate, 9)
		reftest.Agree(t, "ipw se "+estimand, res.Estimates[0].SE, want.SE, 10)
		ess := res.Details["ess"].(map[string]any)
		reftest.Agree(t, "ess treated "+estimand, ess["treated"].(float64), want.Treated, 10)
		reftest.Agree(t, "ess control "+estimand, ess["control"].(float64), want.Control, 10)
	}
	for estimand, want := range map[string]block{"ate": ref.AATE, "att": ref.AATT} {
		res := mustFit(t, AIPW{Estimand: estimand}, f)
		reftest.Agree(t, "aipw "+estimand, res.Estimates[0].Value, want.Estimate, 9)
		reftest.Agree(t, "aipw se "+estimand, res.Estimates[0].SE, want.Influence, 10)
	}
	for estimand, want := range map[string]string{"ate": "ATE", "att": "ATT", "atc": "ATC"} {
		reftest.Agree(t, "g-computation "+estimand, mustFit(t, GComputation{Estimand: estimand}, f).Estimates[0].Value, ref.GComp[want], 10)
	}
}
