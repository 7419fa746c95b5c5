//go:build reference

package progress

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Reference: survival 3.5-3 (survfit, coxph with cluster) and base R, case progress/cgd-mcf.
func TestCgdAgainstR(t *testing.T) {
	type point struct{ MCF, SE float64 }
	var ref struct {
		By         map[string]map[string]point `json:"by_arm"`
		Difference struct{ Est, SE float64 }   `json:"difference365"`
		Efron      struct {
			Coef   float64
			Robust float64 `json:"robust_se"`
			Naive  float64 `json:"naive_se"`
		} `json:"LWYY_efron"`
		Breslow struct {
			Coef   float64
			Robust float64 `json:"robust_se"`
		} `json:"LWYY_breslow"`
		Rate map[string]float64 `json:"rate_per_year"`
	}
	reftest.ReadJSON(t, &ref, "progress", "cgd-mcf", "expected.json")
	d := reftest.ReadCSV(t, "progress", "cgd-mcf", "data.csv")
	r := &Recurrent{Person: d["id"], Start: d.Floats(t, "tstart"), Time: d.Floats(t, "tstop"), GroupNames: []string{"placebo", "rIFN"}, Level: 0.95}
	for i, s := range d.Floats(t, "status") {
		r.Event = append(r.Event, Occurrence(s))
		r.Group = append(r.Group, map[string]int{"placebo": 0, "rIFN-g": 1}[d["treat"][i]])
	}
	res, err := MeanCumulative{At: []float64{100, 200, 300, 365}}.Fit(t.Context(), r)
	require.NoError(t, err)
	for g, arm := range r.GroupNames {
		for k, at := range []string{"t100", "t200", "t300", "t365"} {
			reftest.Agree(t, arm+at, res.Estimates[4*g+k].Value, ref.By[arm][at].MCF, 9)
			reftest.Agree(t, arm+at+" se", res.Estimates[4*g+k].SE, ref.By[arm][at].SE, 9)
		}
		reftest.Agree(t, "rate", 365.25*res.Details["groups"].([]EventGroup)[g].Rate, ref.Rate[arm], 8)
	}
	reftest.Agree(t, "difference", res.Estimates[14].Value, ref.Difference.Est, 9)
	reftest.Agree(t, "difference se", res.Estimates[14].SE, ref.Difference.SE, 9)
	reftest.Agree(t, "LWYY", res.Estimates[16].Value, ref.Efron.Coef, 9)
	reftest.Agree(t, "LWYY se", res.Estimates[16].SE, ref.Efron.Robust, 9)
	reftest.Agree(t, "LWYY naive", res.Details["naive_std_error"].(float64), ref.Efron.Naive, 9)
	b, err := MeanCumulative{At: []float64{365}, Ties: "breslow"}.Fit(t.Context(), r)
	require.NoError(t, err)
	reftest.Agree(t, "Breslow", b.Estimates[4].Value, ref.Breslow.Coef, 9)
	reftest.Agree(t, "Breslow se", b.Estimates[4].SE, ref.Breslow.Robust, 9)
}
