//go:build reference

package panel

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 03c: didimputation 0.3.0, clusters: unit.
func TestReferenceImputation(t *testing.T) {
	const name = "03c_did2s_imputation"
	c := reftest.ReadCSV(t, name, "data.csv")
	f := &Frame{Unit: c["unit"], Time: ints(t, c, "year"), Cohort: ints(t, c, "g"), Y: c.Floats(t, "dep_var"), Level: 0.95}
	var ref struct {
		Static struct {
			Estimate float64
			SE       float64 `json:"std.error"`
			Lo       float64 `json:"conf.low"`
			Hi       float64 `json:"conf.high"`
		} `json:"didimputation_static"`
		Event struct {
			Term     []string
			Estimate []float64
			SE       []float64 `json:"std.error"`
		} `json:"didimputation_event"`
	}
	reftest.ReadJSON(t, &ref, name, "expected.json")
	point := EventOptions{Bands: Pointwise}
	res, err := Imputation{EventOptions: point}.Fit(t.Context(), f)
	require.NoError(t, err)
	checkResult(t, res)
	terms := byTerm(res)
	est, se := 0.0, 0.0
	for i, e := range ref.Event.Term {
		event, err := strconv.Atoi(e)
		require.NoError(t, err)
		got := terms[eventTerm(event)]
		est = max(est, agreeTo(t, got.Term, got.Value, ref.Event.Estimate[i], 1e-8))
		se = max(se, agreeTo(t, got.Term+" se", got.SE, ref.Event.SE[i], 1e-6))
	}
	require.Len(t, res.Estimates, len(ref.Event.Term)+1)
	o := terms[Overall]
	est, se = max(est, agreeTo(t, "overall", o.Value, ref.Static.Estimate, 1e-8)), max(se, agreeTo(t, "overall se", o.SE, ref.Static.SE, 1e-6))
	agreeTo(t, "low, at 1.96", o.Value-1.96*o.SE, ref.Static.Lo, 1e-8)
	agreeTo(t, "high, at 1.96", o.Value+1.96*o.SE, ref.Static.Hi, 1e-8)
	t.Logf("imputation: estimates %.1g, standard errors %.1g", est, se)
}
