//go:build reference

package combine

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

type rma struct {
	Estimate map[string]float64
	SE       map[string]float64
	Stat     map[string]float64 `json:"test_stat"`
	P        map[string]float64
	Lo       map[string]float64 `json:"ci_lb"`
	Hi       map[string]float64 `json:"ci_ub"`
	Tau2, I2 float64
	H2, QE   float64
	QEp      float64 `json:"QE_p"`
	QM       float64
	QMp      float64 `json:"QM_p"`
	LogLik   float64 `json:"logLik"`
	SETau2   float64 `json:"se_tau2"`
}

func terms(t *testing.T, r *estimate.Result) map[string]estimate.Estimate {
	t.Helper()
	out := map[string]estimate.Estimate{}
	for _, e := range r.Estimates {
		out[e.Term] = e
	}
	return out
}

func checkRMA(t *testing.T, what string, o Meta, f *Effects, w rma, digits reftest.Digits) *estimate.Result {
	t.Helper()
	r, err := o.Fit(t.Context(), f)
	require.NoError(t, err, what)
	got := terms(t, r)
	for name := range w.Estimate {
		term := name
		switch {
		case name == "intrcpt" && len(w.Estimate) == 1:
			term = "pooled"
		case name == "intrcpt":
			term = "(intercept)"
		}
		e, ok := got[term]
		require.True(t, ok, term)
		for k, v := range map[string][2]float64{"estimate": {e.Value, w.Estimate[name]}, "se": {e.SE, w.SE[name]}, "stat": {e.Test.Stat, w.Stat[name]}, "lo": {e.CI.Lo, w.Lo[name]}, "hi": {e.CI.Hi, w.Hi[name]}, "p": {e.Test.P, w.P[name]}} {
			agree(t, what+" "+term+" "+k, v[0], v[1], digits)
		}
	}
	agree(t, what+" tau2", r.Details["tau2"].(float64), w.Tau2, digits)
	if o.Method != "fixed" {
		agree(t, what+" error of tau2", got["tau2"].SE, w.SETau2, digits)
	}
	agree(t, what+" I2", got["I2"].Value, w.I2, digits)
	agree(t, what+" H2", got["H2"].Value, w.H2, digits)
	q := reftest.Digits(12)
	if len(w.Estimate) > 1 {
		q = 10 // metafor forms X'WX of an uncentred year
	}
	agree(t, what+" Q", got["Q"].Value, w.QE, q)
	agree(t, what+" Q p", got["Q"].Test.P, w.QEp, q-2)
	agree(t, what+" logLik", r.Details["log_likelihood"].(float64), w.LogLik, digits)
	if len(w.Estimate) > 1 {
		agree(t, what+" QM", got["QM"].Value, w.QM, digits)
		agree(t, what+" QM p", got["QM"].Test.P, w.QMp, digits-1)
	}
	return r
}

// Case 08a: metafor 3.8-1.
func TestReferenceMeta(t *testing.T) {
	var ref struct {
		Y      []float64 `json:"yi"`
		V      []float64 `json:"vi"`
		EE     rma
		DL     rma
		DLKH   rma `json:"DL_knha"`
		ML     rma
		REML   rma
		REMLKH rma `json:"REML_knha"`
		EB     rma
		EBKH   rma `json:"EB_knha"`
		PM     rma
		PI     struct {
			Lo float64 `json:"lb"`
			Hi float64 `json:"ub"`
		} `json:"REML_prediction_interval"`
		Blup struct {
			Pred, SE []float64
			Lo       []float64 `json:"pi_lb"`
			Hi       []float64 `json:"pi_ub"`
		} `json:"REML_blup"`
		Tau struct {
			Lo float64 `json:"tau2_lb"`
			Hi float64 `json:"tau2_ub"`
		} `json:"REML_confint_tau2"`
		RegDL     rma `json:"metareg_DL"`
		RegREML   rma `json:"metareg_REML"`
		RegREMLKH rma `json:"metareg_REML_knha"`
		RegPM     rma `json:"metareg_PM"`
	}
	reftest.ReadJSON(t, &ref, "08a_bcg_meta", "expected.json")
	data := reftest.ReadCSV(t, "08a_bcg_meta", "data.csv")
	f := &Effects{Unit: data["trial"], Y: ref.Y, Variance: ref.V, Level: .95}
	checkRMA(t, "fixed", Meta{Method: "fixed"}, f, ref.EE, 12)
	checkRMA(t, "dl", Meta{Method: "dl"}, f, ref.DL, 12)
	checkRMA(t, "dl kh", Meta{Method: "dl", Test: "knapp-hartung"}, f, ref.DLKH, 12)
	checkRMA(t, "ml", Meta{Method: "ml"}, f, ref.ML, 8)
	r := checkRMA(t, "reml", Meta{}, f, ref.REML, 9)
	checkRMA(t, "reml kh", Meta{Test: "knapp-hartung"}, f, ref.REMLKH, 9)
	// metafor's pm stops at its default uniroot tolerance; eb is the same equation, solved to 1e-12.
	checkRMA(t, "eb", Meta{Method: "eb"}, f, ref.EB, 8)
	checkRMA(t, "pm", Meta{Method: "pm"}, f, ref.EB, 8)
	checkRMA(t, "eb kh", Meta{Method: "eb", Test: "knapp-hartung"}, f, ref.EBKH, 8)
	pm, err := Meta{Method: "pm"}.Fit(t.Context(), f)
	require.NoError(t, err)
	agree(t, "metafor's pm", pm.Details["tau2"].(float64), ref.PM.Tau2, 4)

	got := terms(t, r)
	agree(t, "prediction lower", got["prediction"].CI.Lo, ref.PI.Lo, 9)
	agree(t, "prediction upper", got["prediction"].CI.Hi, ref.PI.Hi, 9)
	agree(t, "tau2 lower", got["tau2"].CI.Lo, ref.Tau.Lo, 8)
	agree(t, "tau2 upper", got["tau2"].CI.Hi, ref.Tau.Hi, 8)
	for i, unit := range f.Unit {
		e := got["unit="+unit]
		agree(t, "blup", e.Value, ref.Blup.Pred[i], 8)
		agree(t, "blup se", e.SE, ref.Blup.SE[i], 8)
		agree(t, "blup lo", e.CI.Lo, ref.Blup.Lo[i], 8)
		agree(t, "blup hi", e.CI.Hi, ref.Blup.Hi[i], 8)
	}

	f.X, f.XNames = mat.NewDense(len(f.Y), 2, nil), []string{"ablat", "year"}
	f.X.SetCol(0, data.Floats(t, "ablat"))
	f.X.SetCol(1, data.Floats(t, "year"))
	checkRMA(t, "reg dl", Meta{Method: "dl"}, f, ref.RegDL, 7)
	checkRMA(t, "reg reml", Meta{}, f, ref.RegREML, 7)
	checkRMA(t, "reg reml kh", Meta{Test: "knapp-hartung"}, f, ref.RegREMLKH, 7)
	pm, err = Meta{Method: "pm"}.Fit(t.Context(), f)
	require.NoError(t, err)
	agree(t, "metafor's pm, moderators", pm.Details["tau2"].(float64), ref.RegPM.Tau2, 4)
}

// Case 08d: own formulas for ml and dl, metafor for reml.
func TestReferenceMunicipalEB(t *testing.T) {
	type shrunk struct {
		Mu, Tau2 float64
		Shrunk   []float64
	}
	var ref struct {
		ML, DL shrunk
		REML   struct {
			rma
			Blup []float64
			SE   []float64 `json:"blup_se"`
		}
	}
	reftest.ReadJSON(t, &ref, "08d_municipal_eb", "expected.json")
	data := reftest.ReadCSV(t, "08d_municipal_eb", "data.csv")
	f := &Effects{Unit: data["municipality"], Y: data.Floats(t, "effect"), Level: .95}
	for _, s := range data.Floats(t, "se") {
		f.Variance = append(f.Variance, s*s)
	}
	check := func(o Meta, w shrunk, se []float64, digits reftest.Digits) {
		r, err := o.Fit(t.Context(), f)
		require.NoError(t, err)
		got := terms(t, r)
		agree(t, o.Method+" mu", got["pooled"].Value, w.Mu, digits)
		agree(t, o.Method+" tau2", got["tau2"].Value, w.Tau2, digits)
		for i, u := range f.Unit {
			// Of a number near 0 the absolute difference counts.
			require.InDelta(t, w.Shrunk[i], got["unit="+u].Value, .05*math.Pow(10, -float64(digits)))
			if se != nil {
				agree(t, "se", got["unit="+u].SE, se[i], digits)
			}
		}
	}
	check(Meta{Method: "dl"}, ref.DL, nil, 12)
	check(Meta{Method: "ml"}, ref.ML, nil, 5) // the reference's one-dimensional search stops there
	check(Meta{Method: "reml"}, shrunk{ref.REML.Estimate["intrcpt"], ref.REML.Tau2, ref.REML.Blup}, ref.REML.SE, 8)
}
