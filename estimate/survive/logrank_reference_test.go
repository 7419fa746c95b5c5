//go:build reference

package survive

import (
	"testing"

	"github.com/stretchr/testify/require"

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
