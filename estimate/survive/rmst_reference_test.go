//go:build reference

package survive

import (
	"testing"

	"utfall/internal/reftest"
)

// Reference: survival 3.5-3 (print.survfit rmean) and survRM2 1.0-4 (rmst2), case 05a.
func TestVeteranRMST(t *testing.T) {
	var ref struct {
		Tau      float64                       `json:"rmst_tau"`
		Survival map[string]map[string]float64 `json:"rmst"`
		Contrast map[string]map[string]float64 `json:"survRM2_unadjusted"`
		Arm0     map[string]map[string]float64 `json:"survRM2_rmst_arm0"`
		Arm1     map[string]map[string]float64 `json:"survRM2_rmst_arm1"`
	}
	reftest.ReadJSON(t, &ref, "05a_veteran_km", "expected.json")
	f, _ := veteran(t, "trt")
	res := mustRMST(t, ref.Tau, &f.Times)
	for g, arm := range []map[string]map[string]float64{ref.Arm0, ref.Arm1} {
		e := res.Estimates[g]
		want := ref.Survival["trt="+f.GroupNames[g]]
		reftest.Agree(t, "mean", e.Value, want["rmean"], 12)
		reftest.Agree(t, "se", e.SE, want["se(rmean)"], 12)
		reftest.Agree(t, "se of survRM2", e.SE, arm["RMST"]["se"], 12)
		reftest.Agree(t, "lower", e.CI.Lo, arm["RMST"]["lower .95"], 12)
		reftest.Agree(t, "upper", e.CI.Hi, arm["RMST"]["upper .95"], 12)
		reftest.Agree(t, "lost", res.Details["groups"].([]RMSTGroup)[g].Lost, arm["RMTL"]["Est."], 12)
	}
	for q, name := range []string{"RMST (arm=1)-(arm=0)", "RMST (arm=1)/(arm=0)", "RMTL (arm=1)/(arm=0)"} {
		e, want := res.Estimates[2+q], ref.Contrast[name]
		reftest.Agree(t, name, e.Value, want["Est."], 11)
		reftest.Agree(t, name+" lower", e.CI.Lo, want["lower .95"], 11)
		reftest.Agree(t, name+" upper", e.CI.Hi, want["upper .95"], 11)
		reftest.Agree(t, name+" p", e.Test.P, want["p"], 11)
	}
}
