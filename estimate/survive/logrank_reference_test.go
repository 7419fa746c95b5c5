//go:build reference

package survive

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// veteran reads the data of cases 05a and 05b with one column as the groups.
func veteran(t *testing.T, by string) (*Stratified, reftest.CSV) {
	t.Helper()
	d := reftest.ReadCSV(t, "05b_veteran_cox", "data.csv")
	f := &Stratified{Times: Times{Time: d.Floats(t, "time"), Level: 0.95}}
	f.GroupNames, f.Group = numbered(d[by])
	for i, s := range d["status"] {
		f.Unit = append(f.Unit, FormatTime(float64(i+1)))
		f.Event = append(f.Event, s == "1")
	}
	return f, d
}

// Reference: survival 3.5-3 survdiff, case 05a; the two with four groups were run live.
func TestVeteranLogRank(t *testing.T) {
	type want struct {
		Chisq, P           float64
		Observed, Expected []float64
		Var                [][]float64
	}
	var ref struct {
		Rho0       want `json:"logrank_rho0"`
		Rho1       want `json:"logrank_rho1"`
		Stratified want `json:"logrank_stratified_by_celltype"`
	}
	reftest.ReadJSON(t, &ref, "05a_veteran_km", "expected.json")
	f, d := veteran(t, "trt")
	_, cells := numbered(d["celltype"])
	for _, c := range []struct {
		rho    float64
		strata []int
		want   want
	}{{0, nil, ref.Rho0}, {1, nil, ref.Rho1}, {0, cells, ref.Stratified}} {
		f.Stratum = c.strata
		res := mustLogRank(t, c.rho, f)
		e := res.Estimates[0]
		reftest.Agree(t, "chi-square", e.Value, c.want.Chisq, 10)
		if c.strata == nil {
			reftest.Agree(t, "p", e.Test.P, c.want.P, 10)
		}
		require.Equal(t, 1.0, e.Test.DF)
		for g, row := range res.Details["groups"].([]LogRankGroup) {
			reftest.Agree(t, "observed", row.Observed, c.want.Observed[g], 12)
			reftest.Agree(t, "expected", row.Expected, c.want.Expected[g], 12)
		}
	}
	f, d = veteran(t, "celltype")
	e := mustLogRank(t, 0, f).Estimates[0]
	reftest.Agree(t, "four groups", e.Value, 25.40370034578536, 11)
	reftest.Agree(t, "p of four groups", e.Test.P, 1.271245939006095e-05, 9)
	_, f.Stratum = numbered(d["trt"])
	e = mustLogRank(t, 0.5, f).Estimates[0]
	require.Equal(t, 3.0, e.Test.DF)
	reftest.Agree(t, "rho 0.5 in strata", e.Value, 21.22307765274921, 11)
	reftest.Agree(t, "its p", e.Test.P, 9.46220775122845e-05, 9)
}

// Reference: survival 3.5-3 in R 4.2.2, coxph(Surv(time, status) ~ celltype, veteran, weights, ties = "breslow", robust = TRUE)$rscore: weights
// 0.5 + (row %% 5)/4; in strata of trt with clusters row %% 40; with entry at min(time − 1, 10) of every third row and the clusters.
func TestReferenceRobustLogRank(t *testing.T) {
	f, d := veteran(t, "trt")
	f.GroupNames, f.Group = numbered(d["celltype"])
	_, arm := numbered(d["trt"])
	f.Weight.Kind = estimate.Sampling
	cluster, entry := make([]int, len(f.Time)), make([]float64, len(f.Time))
	for i := range f.Time {
		f.Weight.Values = append(f.Weight.Values, 0.5+float64((i+1)%5)/4)
		cluster[i] = (i + 1) % 40
		if (i+1)%3 == 0 {
			entry[i] = min(f.Time[i]-1, 10)
		}
	}
	reftest.Agree(t, "weights", mustLogRank(t, 0, f).Estimates[0].Value, 33.5290626744146, 11)
	f.Stratum, f.Cluster = arm, cluster
	reftest.Agree(t, "strata, clusters", mustLogRank(t, 0, f).Estimates[0].Value, 19.798941810255, 11)
	f.Stratum, f.Entry = nil, entry
	reftest.Agree(t, "entry, clusters", mustLogRank(t, 0, f).Estimates[0].Value, 19.820245382784, 11)
}
