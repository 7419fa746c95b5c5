//go:build reference

package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

type fixestModel struct {
	Coefficients, Estimate, SE map[string]float64
}

// compareEvents checks every event that the model names with the pattern, and returns
// the largest relative differences.
func compareEvents(t *testing.T, res *estimate.Result, m fixestModel, pattern string, shift, count int, tol, tolSE float64) (est, se float64) {
	t.Helper()
	terms, found := byTerm(res), 0
	for e := -30; e <= 30; e++ {
		want, ok := m.Coefficients[fmt.Sprintf(pattern, e+shift)]
		if !ok {
			want, ok = m.Estimate[fmt.Sprintf(pattern, e+shift)]
		}
		if !ok {
			continue
		}
		found++
		got, has := terms[eventTerm(e)]
		require.True(t, has, "event %d", e)
		est = max(est, agreeTo(t, eventTerm(e), got.Value, want, tol))
		se = max(se, agreeTo(t, eventTerm(e)+" se", got.SE, m.SE[fmt.Sprintf(pattern, e+shift)], tolSE))
	}
	require.Equal(t, count, found)
	return est, se
}

// Case 03b: fixest 0.12.1, sunab and two-way fixed effects on base_stagg.
func TestReferenceSunAbraham(t *testing.T) {
	const name = "03b_base_stagg_sunab"
	c := reftest.ReadCSV(t, name, "data.csv")
	frame := func(covariates ...string) *Frame {
		f := &Frame{Unit: c["id"], Time: ints(t, c, "year"), Cohort: ints(t, c, "year_treated"), Y: c.Floats(t, "y"), Level: 0.95}
		f.X, f.XNames = columns(t, c, covariates)
		return f
	}
	var ref struct {
		Event        fixestModel `json:"sunab_event_time"`
		ATT          fixestModel `json:"sunab_att"`
		Cells        fixestModel `json:"sunab_all_cohort_event"`
		NoX          fixestModel `json:"no_covariate_event_time"`
		NoXATT       fixestModel `json:"no_covariate_att"`
		TwoWay       fixestModel `json:"twfe_cluster_id"`
		TwoWayEvents fixestModel `json:"twfe_event_study"`
	}
	reftest.ReadJSON(t, &ref, name, "expected.json")
	point := EventOptions{Bands: Pointwise}
	var est, se float64
	overall := func(res *estimate.Result, m fixestModel, key string) {
		e := byTerm(res)[Overall]
		est, se = max(est, agreeTo(t, key, e.Value, m.Estimate[key], 1e-9)), max(se, agreeTo(t, key+" se", e.SE, m.SE[key], 1e-9))
		require.Equal(t, 94.0, e.Test.DF)
	}
	events := func(res *estimate.Result, m fixestModel, pattern string, count int) {
		a, b := compareEvents(t, res, m, pattern, 0, count, 1e-9, 1e-9)
		est, se = max(est, a), max(se, b)
	}
	res, err := SunAbraham{EventOptions: point}.Fit(t.Context(), frame("x1"))
	require.NoError(t, err)
	checkResult(t, res)
	events(res, ref.Event, "year::%d", 17)
	overall(res, ref.ATT, "ATT")
	for _, row := range res.Details["cells"].([]map[string]any) {
		if row["reference"] == true {
			continue
		}
		key := fmt.Sprintf("year::%d:cohort::%d", row["time"].(int)-row["group"].(int), row["group"])
		est = max(est, agreeTo(t, key, row["estimate"].(float64), ref.Cells.Estimate[key], 1e-9))
		se = max(se, agreeTo(t, key+" se", row["std_error"].(float64), ref.Cells.SE[key], 1e-9))
	}
	res, err = SunAbraham{EventOptions: point}.Fit(t.Context(), frame())
	require.NoError(t, err)
	events(res, ref.NoX, "year::%d", 17)
	overall(res, ref.NoXATT, "ATT")
	res, err = TwoWay{point}.Fit(t.Context(), frame("x1"))
	require.NoError(t, err)
	checkResult(t, res)
	events(res, ref.TwoWayEvents, "rel::%d", 17)
	overall(res, ref.TwoWay, "D")
	t.Logf("03b: estimates %.1g, standard errors %.1g", est, se)
}

// Case 03e: fixest 0.12.1 on base_did, treated units all from period 6, so that the
// interaction-weighted and the two-way event study are the same regression.
func TestReferenceTwoWay(t *testing.T) {
	const name = "03e_base_did_twfe"
	c := reftest.ReadCSV(t, name, "data.csv")
	f := &Frame{Unit: c["id"], Time: ints(t, c, "period"), Cohort: ints(t, c, "treat"), Y: c.Floats(t, "y"), Level: 0.95}
	for i := range f.Cohort {
		f.Cohort[i] *= 6
	}
	f.X, f.XNames = columns(t, c, []string{"x1"})
	var ref struct {
		Event struct {
			fixestModel
			Vcov map[string]map[string]float64
		} `json:"event_study"`
		TwoWay fixestModel        `json:"twfe"`
		Conf   map[string]float64 `json:"twfe_confint95"`
	}
	reftest.ReadJSON(t, &ref, name, "expected.json")
	res, err := TwoWay{EventOptions{Bands: Pointwise}}.Fit(t.Context(), f)
	require.NoError(t, err)
	est, se := compareEvents(t, res, ref.Event.fixestModel, "period::%d:treat", 6, 9, 1e-9, 1e-9)
	overall := byTerm(res)[Overall]
	est = max(est, agreeTo(t, "overall", overall.Value, ref.TwoWay.Coefficients["treat:post"], 1e-9))
	se = max(se, agreeTo(t, "overall se", overall.SE, ref.TwoWay.SE["treat:post"], 1e-9))
	for i, a := range res.Estimates {
		for j, b := range res.Estimates {
			want, ok := ref.Event.Vcov[fmt.Sprintf("period::%d:treat", i+1)][fmt.Sprintf("period::%d:treat", j+1)]
			if ok && a.HasSE() && b.HasSE() {
				require.InDelta(t, want, res.Cov.At(i, j), 1e-9*math.Abs(want)+1e-12)
			}
		}
	}
	for _, v := range ref.Conf {
		require.Less(t, min(math.Abs(overall.CI.Lo/v-1), math.Abs(overall.CI.Hi/v-1)), 1e-7)
	}
	same, err := SunAbraham{EventOptions: EventOptions{Bands: Pointwise}}.Fit(t.Context(), f)
	require.NoError(t, err)
	for i, e := range res.Estimates[:10] {
		if e.HasSE() {
			reftest.Agree(t, e.Term, same.Estimates[i].Value, e.Value, 10)
			reftest.Agree(t, e.Term+" se", same.Estimates[i].SE, e.SE, 10)
		}
	}
	t.Logf("03e: estimates %.1g, standard errors %.1g", est, se)
}
