//go:build reference

package effect

import (
	"encoding/json"
	"fmt"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// Case 01k: Matching 4.10-8, Match(version = "standard").
func TestReferenceAbadieImbens(t *testing.T) {
	const name = "01k_lalonde_abadie_imbens"
	f := lalonde(t, name)
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, name, "expected.json")
	type block struct {
		Est   float64
		Plain float64 `json:"est_noadj"`
		SE    float64 `json:"se_AI"`
		Pairs int     `json:"n_pairs_rows"`
	}
	check := func(key string, b BiasCorrectedMatching) {
		t.Helper()
		var want block
		if err := json.Unmarshal(ref[key], &want); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		res := mustFit(t, b, f)
		reftest.Agree(t, key, res.Estimates[0].Value, want.Est, 9)
		reftest.Agree(t, key+" se", res.Estimates[0].SE, want.SE, 9)
		reftest.Agree(t, key+" unadjusted", res.Details["estimate_unadjusted"].(float64), want.Plain, 10)
		if got := res.Details["pairs"].(int); got != want.Pairs {
			t.Errorf("%s: %d pairs, want %d", key, got, want.Pairs)
		}
	}
	for estimand, upper := range map[string]string{"att": "ATT", "ate": "ATE", "atc": "ATC"} {
		for _, ratio := range []int{1, 4} {
			for metric, short := range map[string]string{InverseVarianceMetric: "invvar", MahalanobisMetric: "mahalanobis"} {
				check(fmt.Sprintf("cov_%s_M%d_%s_noadj_Var0", upper, ratio, short), BiasCorrectedMatching{Estimand: estimand, Ratio: ratio, Metric: metric, Unadjusted: true})
				check(fmt.Sprintf("cov_%s_M%d_%s_biasadj_Var0", upper, ratio, short), BiasCorrectedMatching{Estimand: estimand, Ratio: ratio, Metric: metric})
			}
			check(fmt.Sprintf("cov_%s_M%d_invvar_noadj_Var4", upper, ratio), BiasCorrectedMatching{Estimand: estimand, Ratio: ratio, Unadjusted: true, Variance: 4})
		}
	}
	var score map[string]float64
	if err := json.Unmarshal(ref["propensity"], &score); err != nil {
		t.Fatal(err)
	}
	f.XNames, f.X = []string{"score"}, mat.NewDense(len(f.Y), 1, nil)
	for i, u := range f.Unit {
		f.X.Set(i, 0, score[u])
	}
	check("ps_M1_ATT", BiasCorrectedMatching{Unadjusted: true})
}
