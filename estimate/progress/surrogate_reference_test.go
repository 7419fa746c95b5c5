//go:build reference

package progress

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// Reference: base R lm and glm with sandwich, case progress/graduation-surrogate. Its columns
// hold a total beside its rounded parts (condition 1e7), of which lm keeps 7 to 8 digits and
// sandwich, which inverts X'X, 4. stable is R 4.2.2 in orthonormal columns (qr.Q, twice):
// direct and its error, long-term and its error.
func TestReferenceSurrogateGraduation(t *testing.T) {
	type number struct {
		Est, SE float64
		PlugIn  float64 `json:"plug_in"`
		MaxW    float64 `json:"max_w"`
	}
	var ref struct {
		Computed map[string]struct {
			Truth    number  `json:"truth_adjusted_full"`
			R2       float64 `json:"first_stage_R2_obs"`
			Whole    number  `json:"eif_no_crossfit"`
			Crossed  number  `json:"eif_crossfit5"`
			Direct   number  `json:"surrogacy_test_direct_effect"`
			R2W      float64 `json:"partial_R2_W_given_S"`
			Identity struct {
				Total, Rest float64
				Index       float64 `json:"index_full"`
				Direct      float64 `json:"direct_times_1mR2"`
			} `json:"identity_check"`
		}
	}
	reftest.ReadJSON(t, &ref, "progress", "graduation-surrogate", "expected.json")
	d := reftest.ReadCSV(t, "progress", "graduation-surrogate", "data.csv")
	n := len(d["id"])
	s := &SurrogateSample{Unit: d["id"], Level: 0.95}
	for i, w := range d.Floats(t, "treat") {
		s.Treated = append(s.Treated, w == 1)
		s.Older = append(s.Older, d["obs"][i] == "1")
	}
	var columns []string
	for name := range d {
		columns = append(columns, name)
	}
	slices.Sort(columns)
	gather := func(prefix string) (*mat.Dense, []string) {
		var names []string
		for _, name := range columns {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
			}
		}
		m := mat.NewDense(n, len(names), nil)
		for j, name := range names {
			m.SetCol(j, d.Floats(t, name))
		}
		return m, names
	}
	s.X, s.XNames = gather("x_")
	s.S, s.SNames = gather("s_")
	stable := map[string][]float64{
		"y_asset": {0.0755595710298247, 0.0637811038007713, 0.2367301441247871, 0.0732622018975374},
		"y_cons":  {0.742910246047951, 3.342517777410406, 5.40735741234063, 3.51771590284005},
	}
	for outcome, want := range ref.Computed {
		s.Y, s.Fold = d.Floats(t, outcome), nil
		whole, err := Surrogate{TreatmentModel: "constant"}.Fit(t.Context(), s)
		require.NoError(t, err)
		reftest.Agree(t, outcome+" index", whole.Estimates[0].Value, want.Whole.Est, 8)
		reftest.Agree(t, outcome+" error", whole.Estimates[0].SE, want.Whole.SE, 8)
		reftest.Agree(t, outcome+" plug-in", whole.Details["plug_in"].(float64), want.Whole.PlugIn, 8)
		reftest.Agree(t, outcome+" weight", whole.Details["max_weight"].(float64), want.Whole.MaxW, 8)
		reftest.Agree(t, outcome+" R2", whole.Details["r_squared"].(float64), want.R2, 9)
		reftest.Agree(t, outcome+" direct", whole.Estimates[1].Value, want.Direct.Est, 7)
		reftest.Agree(t, outcome+" direct error", whole.Estimates[1].SE, want.Direct.SE, 3.5)
		reftest.Agree(t, outcome+" long-term", whole.Estimates[3].Value, want.Truth.Est, 7)
		reftest.Agree(t, outcome+" long-term error", whole.Estimates[3].SE, want.Truth.SE, 3.5)
		for k, v := range stable[outcome] {
			reftest.Agree(t, outcome+" stable", []float64{whole.Estimates[1].Value, whole.Estimates[1].SE, whole.Estimates[3].Value, whole.Estimates[3].SE}[k], v, 8)
		}
		truth := whole.Details["truth"].([]SurrogateTruth)[0]
		reftest.Agree(t, outcome+" linear index", truth.Index, want.Identity.Index, 7)
		reftest.Agree(t, outcome+" difference", truth.Difference, want.Identity.Direct, 7)
		reftest.Agree(t, outcome+" partial R2", truth.PartialR2, want.R2W, 8)
		for _, f := range d.Floats(t, "fold") {
			s.Fold = append(s.Fold, int(math.Round(f))-1)
		}
		crossed, err := Surrogate{TreatmentModel: "constant"}.Fit(t.Context(), s)
		require.NoError(t, err)
		reftest.Agree(t, outcome+" crossed", crossed.Estimates[0].Value, want.Crossed.Est, 7)
		reftest.Agree(t, outcome+" crossed error", crossed.Estimates[0].SE, want.Crossed.SE, 8)
		reftest.Agree(t, outcome+" crossed plug-in", crossed.Details["plug_in"].(float64), want.Crossed.PlugIn, 8)
		reftest.Agree(t, outcome+" crossed weight", crossed.Details["max_weight"].(float64), want.Crossed.MaxW, 8)
		s.Fold = nil
		keyed, err := Surrogate{Folds: 5}.Fit(t.Context(), s)
		require.NoError(t, err)
		t.Logf("%s: five folds by hash, logistic treatment %.4f (%.4f)", outcome, keyed.Estimates[0].Value, keyed.Estimates[0].SE)
	}
}
