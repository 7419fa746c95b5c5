//go:build reference

package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 05a: survival's survdiff.
func TestReferenceFitLogRank(t *testing.T) {
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "05a_veteran_km", "expected.json")
	var worst float64
	for key, more := range map[string][]string{
		"logrank_rho0": nil, "logrank_rho1": {"--rho", "1"}, "logrank_stratified_by_celltype": {"--strata", "celltype"},
	} {
		var want struct {
			Chisq float64
			P     *float64
		}
		require.NoError(t, json.Unmarshal(raw[key], &want))
		e := fitted(t, append([]string{"logrank", "--data", casePath(t, "05a_veteran_km"), "--time", "time", "--event", "status", "--by", "trt"}, more...)...).get(t, "logrank", "chi-square")
		near(t, &worst, key, e.Statistic, want.Chisq, 1e-8)
		if want.P != nil {
			near(t, &worst, key+" p", e.PValue, *want.P, 1e-8)
		}
	}
	digits(t, "05a log-rank", worst)
}

// Case 05a: survRM2's rmst2 and survival's print.survfit.
func TestReferenceFitRMST(t *testing.T) {
	var ref struct {
		Tau      float64                       `json:"rmst_tau"`
		Survival map[string]map[string]float64 `json:"rmst"`
		Contrast map[string]map[string]float64 `json:"survRM2_unadjusted"`
	}
	reftest.ReadJSON(t, &ref, "05a_veteran_km", "expected.json")
	a := fitted(t, "rmst", "--data", casePath(t, "05a_veteran_km"), "--time", "time", "--event", "status", "--by", "trt", "--tau", shortest(ref.Tau))
	var worst float64
	for _, g := range []string{"1", "2"} {
		e, want := a.get(t, "group="+g, ""), ref.Survival["trt="+g]
		near(t, &worst, g, e.Estimate, want["rmean"], 1e-8)
		near(t, &worst, g+" se", e.StdError, want["se(rmean)"], 1e-8)
	}
	for name, e := range map[string]fitEstimateJSON{
		"RMST (arm=1)-(arm=0)": a.get(t, "contrast=2-1", ""), "RMST (arm=1)/(arm=0)": a.get(t, "contrast=2/1", "restricted-mean-time-ratio"),
		"RMTL (arm=1)/(arm=0)": a.get(t, "contrast=2/1", "time-lost-ratio"),
	} {
		want := ref.Contrast[name]
		near(t, &worst, name, e.Estimate, want["Est."], 1e-8)
		near(t, &worst, name+" low", e.ConfLow, want["lower .95"], 1e-8)
		near(t, &worst, name+" high", e.ConfHigh, want["upper .95"], 1e-8)
		near(t, &worst, name+" p", e.PValue, want["p"], 1e-8)
	}
	digits(t, "05a rmst", worst)
}

// Case 05d: survival's survfit and cmprsk's cuminc.
func TestReferenceFitCIF(t *testing.T) {
	type aj struct {
		Time    []float64
		PPcm    []float64 `json:"p_pcm"`
		SEPcm   []float64 `json:"se_pcm"`
		PDeath  []float64 `json:"p_death"`
		SEDeath []float64 `json:"se_death"`
	}
	var ref struct {
		Overall aj `json:"aj_overall"`
		Cuminc  struct {
			Est  map[string]map[string]float64
			Gray map[string]struct{ Stat, PV, DF float64 } `json:"gray_test"`
		} `json:"cmprsk_cuminc"`
	}
	reftest.ReadJSON(t, &ref, "05d_mgus2_competing", "expected.json")
	base := []string{"cif", "--data", casePath(t, "05d_mgus2_competing"), "--id", "id", "--time", "etime", "--event", "event", "--at", "12,24,60,120,180,240,300"}
	a := fitted(t, base...)
	var worst float64
	for q, at := range ref.Overall.Time {
		term := "time=" + shortest(at) + ",cause="
		near(t, &worst, term+"1", a.get(t, term+"1", "").Estimate, ref.Overall.PPcm[q], 1e-8)
		near(t, &worst, term+"2", a.get(t, term+"2", "").Estimate, ref.Overall.PDeath[q], 1e-8)
		near(t, &worst, term+"1 se", a.get(t, term+"1", "").StdError, ref.Overall.SEPcm[q], 1e-8)
		near(t, &worst, term+"2 se", a.get(t, term+"2", "").StdError, ref.Overall.SEDeath[q], 1e-8)
	}
	a = fitted(t, append(base, "--by", "sex")...)
	for key, values := range ref.Cuminc.Est {
		for at, want := range values {
			term := "time=" + at + ",cause=" + key[2:] + ",group=" + key[:1]
			near(t, &worst, term, a.get(t, term, "").Estimate, want, 1e-8)
		}
	}
	for cause, want := range ref.Cuminc.Gray {
		e := a.get(t, "gray,cause="+cause, "chi-square")
		near(t, &worst, "gray "+cause, e.Statistic, want.Stat, 1e-8)
		near(t, &worst, "gray p "+cause, e.PValue, want.PV, 1e-8)
	}
	digits(t, "05d", worst)
}

type coxReference struct {
	Coef        map[string]float64 `json:"coefficients"`
	SE          map[string]float64 `json:"se"`
	Robust      map[string]float64 `json:"robust_se"`
	LogLik      []float64          `json:"loglik"`
	Score       float64            `json:"score_test"`
	Wald        float64            `json:"wald_test"`
	LR          float64            `json:"lr_test"`
	Concordance struct{ C float64 }
}

func (want coxReference) compare(t *testing.T, worst *float64, what string, a *fitAnswer) {
	t.Helper()
	se := want.SE
	if want.Robust != nil {
		se = want.Robust
	}
	for name, v := range want.Coef {
		e := a.get(t, name, "log-hazard-ratio")
		near(t, worst, what+" "+name, e.Estimate, v, 1e-7)
		near(t, worst, what+" se "+name, e.StdError, se[name], 1e-6)
	}
	var loglik []float64
	a.detail(t, "loglik", &loglik)
	for l := range loglik {
		near(t, worst, what+" loglik", &loglik[l], want.LogLik[l], 1e-7)
	}
	var c float64
	a.detail(t, "concordance", &c)
	near(t, worst, what+" concordance", &c, want.Concordance.C, 1e-9)
	for name, v := range map[string]float64{"score": want.Score, "wald": want.Wald, "lr": want.LR} {
		var row struct{ Statistic float64 }
		a.detail(t, name, &row)
		near(t, worst, what+" "+name, &row.Statistic, v, 1e-7)
	}
}

// Cases 05b and 05c: survival's coxph and cox.zph.
func TestReferenceFitCox(t *testing.T) {
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "05b_veteran_cox", "expected.json")
	var worst float64
	base := []string{"cox", "--data", casePath(t, "05b_veteran_cox"), "--time", "time", "--event", "status", "--covariates"}
	five := slices.Clip(append(slices.Clip(base), "trt,karno,age,diagtime,prior"))
	for key, args := range map[string][]string{
		"efron": five, "breslow": append(five, "--ties", "breslow"), "efron_robust": append(five, "--robust"),
		"efron_cluster": append(five, "--cluster", "cl"), "breslow_cluster": append(five, "--cluster", "cl", "--ties", "breslow"),
		"efron_strata_celltype": append(slices.Clip(base), "trt,karno,age", "--strata", "celltype"),
	} {
		var want coxReference
		require.NoError(t, json.Unmarshal(raw[key], &want))
		want.compare(t, &worst, key, fitted(t, append([]string{}, args...)...))
	}
	for clock, key := range map[string]string{"km": "schoenfeld_zph", "identity": "zph_identity"} {
		var want map[string]struct{ Chisq, P float64 }
		require.NoError(t, json.Unmarshal(raw[key], &want))
		var rows []struct {
			Term      string
			Statistic float64
			P         float64 `json:"p_value"`
		}
		fitted(t, append(append([]string{}, five...), "--zph", clock)...).detail(t, "zph", &rows)
		require.Len(t, rows, 6)
		for _, r := range rows {
			near(t, &worst, key+r.Term, &r.Statistic, want[r.Term].Chisq, 1e-7)
			near(t, &worst, key+r.Term+" p", &r.P, want[r.Term].P, 1e-6)
		}
	}
	digits(t, "05b", worst)
}
