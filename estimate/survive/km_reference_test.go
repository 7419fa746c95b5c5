//go:build reference

package survive

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

type kmRef struct {
	Strata []string   `json:"strata"`
	Time   []float64  `json:"time"`
	Risk   []float64  `json:"n_risk"`
	Events []float64  `json:"n_event"`
	Surv   []float64  `json:"surv"`
	SE     []*float64 `json:"se"`
	SES    []*float64 `json:"se_of_surv"`
	Lower  []*float64 `json:"lower"`
	Upper  []*float64 `json:"upper"`
}

func number(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}

func same(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(want) && math.IsNaN(got) {
		return
	}
	reftest.Near(t, what, got, want, 1e-12)
}

// Reference: survival 3.5-3 survfit, case 05a.
func TestVeteranAgainstSurvival(t *testing.T) {
	d := reftest.ReadCSV(t, "05a_veteran_km", "data.csv")
	f := &Times{Time: d.Floats(t, "time"), Level: 0.95, GroupNames: []string{"1", "2"}}
	for i, s := range d["status"] {
		f.Unit = append(f.Unit, FormatTime(float64(i+1)))
		f.Event = append(f.Event, s == "1")
		f.Group = append(f.Group, int(d["trt"][i][0]-'1'))
	}
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "05a_veteran_km", "expected.json")
	for conf, name := range map[string]string{"plain": "plain", "": "log", "log": "log", "loglog": "log-log"} {
		var ref kmRef
		require.NoError(t, json.Unmarshal(raw["km_"+name], &ref))
		res, err := KaplanMeier{Conf: conf, At: ref.Time[:11]}.Fit(t.Context(), f)
		require.NoError(t, err)
		counts := res.Details["counts"].([]RiskCount)
		for r, e := range res.Estimates {
			require.Equal(t, "time="+FormatTime(ref.Time[r])+",group="+strings.TrimPrefix(ref.Strata[r], "trt="), e.Term)
			same(t, e.Term, e.Value, ref.Surv[r])
			same(t, e.Term+" se", e.SE, number(ref.SE[r]))
			same(t, e.Term+" lo "+name, e.CI.Lo, number(ref.Lower[r]))
			same(t, e.Term+" hi "+name, e.CI.Hi, number(ref.Upper[r]))
			require.EqualValues(t, ref.Risk[r], counts[r].AtRisk)
			require.EqualValues(t, ref.Events[r], counts[r].Events)
			same(t, "Cov diagonal", res.Cov.At(r, r), e.SE*e.SE)
		}
		var quant map[string]map[string]map[string]*float64
		require.NoError(t, json.Unmarshal(raw["quantiles_"+name], &quant))
		for _, q := range res.Details["quantiles"].([]Quantile) {
			key := FormatTime(100 * q.Q)
			g := "trt=" + q.Group
			same(t, "quantile "+key+g, number(q.Value), number(quant["quantile"][g][key]))
			same(t, "lower "+key+g+name, number(q.Lo), number(quant["lower"][g][key]))
			same(t, "upper "+key+g+name, number(q.Hi), number(quant["upper"][g][key]))
		}
	}
	var ref kmRef
	require.NoError(t, json.Unmarshal(raw["km_overall_full"], &ref))
	f.Group, f.GroupNames = nil, nil
	res, err := KaplanMeier{}.Fit(t.Context(), f)
	require.NoError(t, err)
	r := 0
	for k, time := range ref.Time {
		if ref.Events[k] == 0 {
			continue
		}
		e := res.Estimates[r]
		require.Equal(t, "time="+FormatTime(time), e.Term)
		same(t, e.Term, e.Value, ref.Surv[k])
		same(t, e.Term+" se", e.SE, number(ref.SES[k]))
		r++
	}
	require.Len(t, res.Estimates, r)
}

// Reference: survival 3.5-3 survfit with weights and id (robust), case 05c.
func TestGbsgWeightedAgainstSurvival(t *testing.T) {
	d := reftest.ReadCSV(t, "05c_gbsg_cox_weights", "data.csv")
	var ref struct {
		Weights []float64 `json:"iptw_ate_weights"`
		KM      kmRef     `json:"iptw_km"`
	}
	reftest.ReadJSON(t, &ref, "05c_gbsg_cox_weights", "expected.json")
	f := &Times{
		Unit: d["pid"], Time: d.Floats(t, "rfstime"), Level: 0.95, GroupNames: []string{"0", "1"},
		Weight: estimate.Weights{Kind: estimate.Sampling, Values: ref.Weights},
	}
	for i, s := range d["status"] {
		f.Event = append(f.Event, s == "1")
		f.Group = append(f.Group, int(d["hormon"][i][0]-'0'))
	}
	res, err := KaplanMeier{At: ref.KM.Time[:6]}.Fit(t.Context(), f)
	require.NoError(t, err)
	counts := res.Details["counts"].([]RiskCount)
	for r, e := range res.Estimates {
		reftest.Agree(t, e.Term, e.Value, ref.KM.Surv[r], 12)
		reftest.Agree(t, e.Term+" se", e.SE, number(ref.KM.SE[r]), 11)
		reftest.Agree(t, e.Term+" lo", e.CI.Lo, number(ref.KM.Lower[r]), 11)
		reftest.Agree(t, e.Term+" hi", e.CI.Hi, number(ref.KM.Upper[r]), 11)
		reftest.Agree(t, e.Term+" at risk", counts[r].Weight, ref.KM.Risk[r], 12)
		reftest.Agree(t, e.Term+" Cov", res.Cov.At(r, r), e.SE*e.SE, 11)
	}
}
