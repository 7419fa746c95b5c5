//go:build reference

package progress

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Reference: ordinal 2022.11.16 (clm) on bfi (case progress/bfi-dif).
func TestDIFAgainstOrdinal(t *testing.T) {
	var ref struct {
		N   int
		DIF map[string]struct {
			Uniform    float64 `json:"chi2_uniform"`
			NonUniform float64 `json:"chi2_nonuniform"`
			Total      float64 `json:"chi2_total_2df"`
			Effect     float64 `json:"dR2_nagelkerke_total"`
		} `json:"dif"`
		P   map[string]float64 `json:"p_total"`
		PBH map[string]float64 `json:"p_total_BH"`
	}
	reftest.ReadJSON(t, &ref, "progress", "bfi-dif", "expected.json")
	a := referenceAnswers(t, []string{"A1r", "A2", "A3", "A4", "A5"}, "progress", "bfi-dif", "data.csv")
	for _, v := range reftest.ReadCSV(t, "progress", "bfi-dif", "data.csv").Floats(t, "male") {
		a.Group = append(a.Group, int(v))
	}
	a.GroupNames = []string{"0", "1"}
	r, err := DIFLogistic{}.Fit(context.Background(), a)
	require.NoError(t, err)
	require.Equal(t, ref.N, r.N.Units)
	for _, it := range difItems(r) {
		want := ref.DIF[it.Item]
		reftest.Near(t, it.Item, it.Uniform, want.Uniform, 1e-6)
		reftest.Near(t, it.Item, it.NonUniform, want.NonUniform, 1e-6)
		reftest.Near(t, it.Item, it.Total, want.Total, 1e-6)
		reftest.Agree(t, it.Item+" effect", it.Effect, want.Effect, 6)
		reftest.Agree(t, it.Item+" p", it.P, ref.P[it.Item], 6)
		reftest.Agree(t, it.Item+" p_bh", it.PBH, ref.PBH[it.Item], 6)
		require.False(t, it.Flagged)
		t.Logf("%s chi2 %.2g %.2g effect %.2g", it.Item, it.Uniform-want.Uniform, it.NonUniform-want.NonUniform, it.Effect-want.Effect)
	}
}
