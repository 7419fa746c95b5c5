//go:build reference

package main

import (
	"testing"

	"utfall/internal/reftest"
)

// Case 05d: cmprsk's crr, whose Newton stops at a gradient of 1e-6. The rows are those with hgb.
func TestReferenceFitFineGray(t *testing.T) {
	type crr struct {
		Coef map[string]float64 `json:"coefficients"`
		SE   map[string]float64 `json:"se"`
	}
	var ref struct {
		PCM   crr `json:"fine_gray_crr_pcm"`
		Death crr `json:"fine_gray_crr_death"`
	}
	reftest.ReadJSON(t, &ref, "05d_mgus2_competing", "expected.json")
	var worst float64
	for cause, want := range map[string]crr{"1": ref.PCM, "2": ref.Death} {
		a := fitted(t, "fine-gray", "--data", casePath(t, "05d_mgus2_competing"), "--id", "id", "--time", "etime", "--event", "event", "--cause", cause,
			"--covariates", "age,sex,mspike", "--where", "hgb > 0")
		for term, name := range map[string]string{"age": "age", "sex[M]": "male", "mspike": "mspike"} {
			e := a.get(t, term, "log-subdistribution-hazard-ratio")
			near(t, &worst, cause+" "+term, e.Estimate, want.Coef[name], 1e-6)
			near(t, &worst, cause+" se "+term, e.StdError, want.SE[name], 1e-6)
		}
	}
	digits(t, "05d fine-gray", worst)
}
