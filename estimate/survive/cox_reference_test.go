//go:build reference

package survive

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

type coxRef struct {
	Coef        map[string]float64 `json:"coefficients"`
	SE          map[string]float64 `json:"se"`
	Robust      map[string]float64 `json:"robust_se"`
	LogLik      []float64          `json:"loglik"`
	Score       float64            `json:"score_test"`
	Wald        float64            `json:"wald_test"`
	LR          float64            `json:"lr_test"`
	Concordance struct{ C float64 }
	Vcov        map[string]map[string]float64
}

func coxAgainst(t *testing.T, what string, e Cox, f *Covaried, want coxRef) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), f)
	require.NoError(t, err)
	for j, est := range res.Estimates {
		reftest.Agree(t, what+" "+est.Term, est.Value, want.Coef[est.Term], 9)
		se := want.SE[est.Term]
		if want.Robust != nil {
			se = want.Robust[est.Term]
		}
		reftest.Agree(t, what+" se "+est.Term, est.SE, se, 9)
		for q, other := range res.Estimates {
			reftest.Near(t, what+" cov", res.Cov.At(j, q), want.Vcov[est.Term][other.Term], 1e-10*est.SE*other.SE)
		}
	}
	for l, v := range res.Details["loglik"].([]float64) {
		reftest.Agree(t, what+" loglik", v, want.LogLik[l], 12)
	}
	reftest.Agree(t, what+" score", res.Details["score"].(ChiSquareRow).Statistic, want.Score, 9)
	reftest.Agree(t, what+" wald", res.Details["wald"].(ChiSquareRow).Statistic, want.Wald, 8)
	reftest.Agree(t, what+" lr", res.Details["lr"].(ChiSquareRow).Statistic, want.LR, 9)
	reftest.Agree(t, what+" concordance", res.Details["concordance"].(float64), want.Concordance.C, 12)
	return res
}

// Reference: survival 3.5-3 coxph and cox.zph, case 05b.
func TestVeteranCox(t *testing.T) {
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "05b_veteran_cox", "expected.json")
	get := func(key string) (ref coxRef) {
		require.NoError(t, json.Unmarshal(raw[key], &ref))
		return ref
	}
	f, d := veteran(t, "trt")
	f.Group, f.GroupNames = nil, nil
	covaried := func(names ...string) *Covaried {
		c := &Covaried{Stratified: *f, XNames: names, X: mat.NewDense(len(f.Time), len(names), nil)}
		for j, n := range names {
			c.X.SetCol(j, d.Floats(t, n))
		}
		return c
	}
	five := covaried("trt", "karno", "age", "diagtime", "prior")
	res := coxAgainst(t, "efron", Cox{}, five, get("efron"))
	coxAgainst(t, "breslow", Cox{Ties: "breslow"}, five, get("breslow"))
	coxAgainst(t, "robust", Cox{Robust: true}, five, get("efron_robust"))
	strata := covaried("trt", "karno", "age")
	_, strata.Stratum = numbered(d["celltype"])
	coxAgainst(t, "strata", Cox{}, strata, get("efron_strata_celltype"))
	clusters := covaried("trt", "karno", "age", "diagtime", "prior")
	_, clusters.Cluster = numbered(d["cl"])
	coxAgainst(t, "efron cluster", Cox{}, clusters, get("efron_cluster"))
	coxAgainst(t, "breslow cluster", Cox{Ties: "breslow"}, clusters, get("breslow_cluster"))
	var dfbeta map[string][]float64
	require.NoError(t, json.Unmarshal(raw["dfbeta_first5"], &dfbeta))
	for i, row := range dfbeta {
		for j, v := range row {
			reftest.Near(t, "dfbeta", res.Influence.At(int(i[0]-'1'), j), v, 1e-12)
		}
	}
	for clock, key := range map[string]string{"km": "schoenfeld_zph", "identity": "zph_identity"} {
		var want map[string]struct{ Chisq, P, DF float64 }
		require.NoError(t, json.Unmarshal(raw[key], &want))
		res, err := Cox{ZPH: clock}.Fit(t.Context(), five)
		require.NoError(t, err)
		for _, row := range res.Details["zph"].([]ZPHRow) {
			reftest.Agree(t, key+row.Term, row.Statistic, want[row.Term].Chisq, 8)
			reftest.Agree(t, key+row.Term+" p", row.P, want[row.Term].P, 7)
		}
	}
}

// Reference: survival 3.5-3 coxph with weights, case 05c.
func TestGbsgWeightedCox(t *testing.T) {
	d := reftest.ReadCSV(t, "05c_gbsg_cox_weights", "data.csv")
	var ref struct {
		Weights []float64 `json:"iptw_ate_weights"`
		Efron   coxRef    `json:"iptw_cox_efron"`
		Breslow coxRef    `json:"iptw_cox_breslow"`
	}
	reftest.ReadJSON(t, &ref, "05c_gbsg_cox_weights", "expected.json")
	f := &Covaried{XNames: []string{"hormon"}, X: mat.NewDense(len(d["pid"]), 1, d.Floats(t, "hormon"))}
	f.Times = Times{Unit: d["pid"], Time: d.Floats(t, "rfstime"), Level: 0.95, Weight: estimate.Weights{Kind: estimate.Sampling, Values: ref.Weights}}
	for _, s := range d["status"] {
		f.Event = append(f.Event, s == "1")
	}
	coxAgainst(t, "efron", Cox{}, f, ref.Efron)
	coxAgainst(t, "breslow", Cox{Ties: "breslow"}, f, ref.Breslow)
}

// Reference: survival 3.5-3 in R 4.2.2, coxph(Surv(time, status) ~ age + karno, veteran, ties = "exact"), and with strata(celltype).
func TestReferenceVeteranCoxExact(t *testing.T) {
	two, d := veteran(t, "trt")
	two.Group, two.GroupNames = nil, nil
	f := &Covaried{Stratified: *two, XNames: []string{"age", "karno"}, X: mat.NewDense(len(two.Time), 2, nil)}
	for j, n := range f.XNames {
		f.X.SetCol(j, d.Floats(t, n))
	}
	_, cells := numbered(d["celltype"])
	for _, c := range []struct {
		stratum          []int
		beta, se, loglik []float64
	}{
		{nil, []float64{-0.00231506482251128, -0.03386928090462320}, []float64{0.00913409705989536, 0.00523397780739792}, []float64{-480.835554491491, -459.795988273405}},
		{cells, []float64{-0.00859121472470996, -0.03694144760769958}, []float64{0.00952903884981861, 0.00575202126251353}, []float64{-331.111588240025, -310.243183102626}},
	} {
		g := *f
		g.Stratum = c.stratum
		res := mustCox(t, Cox{Ties: "exact"}, &g)
		for j, e := range res.Estimates {
			reftest.Agree(t, "beta", e.Value, c.beta[j], 12)
			reftest.Agree(t, "se", e.SE, c.se[j], 12)
			reftest.Agree(t, "loglik", res.Details["loglik"].([]float64)[j], c.loglik[j], 14)
		}
	}
}
