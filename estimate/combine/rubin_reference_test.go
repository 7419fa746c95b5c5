//go:build reference

package combine

import (
	"math"
	"sort"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

func agree(t *testing.T, what string, got, want float64, digits reftest.Digits) {
	t.Helper()
	if d := reftest.LRE(got, want); d < digits {
		t.Errorf("%s: got %.16g, want %.16g (%.1f digits, %v wanted)", what, got, want, float64(d), float64(digits))
	}
}

// Case 09a: mice 3.15.0.
func TestReferenceRubin(t *testing.T) {
	type row struct {
		Q      float64 `json:"qbar"`
		U      float64 `json:"ubar"`
		B, T   float64
		SE     float64
		Dfcom  float64
		DF     float64 `json:"df_barnard_rubin"`
		Riv    float64
		Lambda float64
		Fmi    float64
		Old    float64 `json:"df_rubin1987"`
		Stat   float64 `json:"statistic"`
		P      float64
		Lo     float64 `json:"ci_lb"`
		Hi     float64 `json:"ci_ub"`
	}
	type model struct {
		Per []struct {
			Estimate, SE map[string]float64
		} `json:"per_imputation"`
		Pooled map[string]row
	}
	var ref struct {
		LM    model          `json:"lm_chl"`
		Logit model          `json:"logistic_hyp"`
		Large map[string]row `json:"large_dfcom"`
	}
	reftest.ReadJSON(t, &ref, "09a_nhanes_pool", "expected.json")
	check := func(m model, want map[string]row) {
		var tables []Imputed
		var terms []string
		for term := range want {
			terms = append(terms, term)
		}
		sort.Strings(terms)
		for i, p := range m.Per {
			tab := Imputed{Name: strconv.Itoa(i)}
			for _, term := range terms {
				tab.Estimates = append(tab.Estimates, estimate.Estimate{Term: term, Measure: estimate.Coefficient, Value: p.Estimate[term], SE: p.SE[term]})
				tab.DF = append(tab.DF, want[term].Dfcom)
			}
			tables = append(tables, tab)
		}
		r, err := Rubin{Level: .95}.Pool(tables)
		require.NoError(t, err)
		for _, e := range r.Estimates {
			w := want[e.Term]
			d := func(name string) float64 { return r.Details[name].(map[string]float64)[e.Term] }
			for name, v := range map[string][2]float64{"qbar": {e.Value, w.Q}, "se": {e.SE, w.SE}, "df": {e.Test.DF, w.DF}, "statistic": {e.Test.Stat, w.Stat}, "p": {e.Test.P, w.P}, "lo": {e.CI.Lo, w.Lo}, "hi": {e.CI.Hi, w.Hi},
				"ubar": {d("ubar"), w.U}, "b": {d("b"), w.B}, "t": {d("t"), w.T}, "riv": {d("riv"), w.Riv}, "lambda": {d("lambda"), w.Lambda}, "fmi": {d("fmi"), w.Fmi}} {
				agree(t, e.Term+" "+name, v[0], v[1], 11)
			}
			if !math.IsNaN(w.Old) && w.Old > 0 {
				agree(t, e.Term+" old df", d("df_rubin1987"), w.Old, 11)
			}
		}
	}
	check(ref.LM, ref.LM.Pooled)
	check(ref.Logit, ref.Logit.Pooled)
	check(ref.LM, ref.Large)
}
