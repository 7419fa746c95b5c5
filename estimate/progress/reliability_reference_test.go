//go:build reference

package progress

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// Reference: base R (case progress/reliability-change); Shrout and Fleiss's table and a simulated anchor.
func TestReliabilityChangeAgainstR(t *testing.T) {
	var ref struct {
		Computed struct {
			ICC map[string]float64 `json:"icc"`
			SEM map[string]float64
			SDC map[string]float64 `json:"SDC95"`
		}
		MIC struct {
			P        float64 `json:"p_improved"`
			B0, B1   float64
			R        float64 `json:"r_pb"`
			SD       float64 `json:"sd_change"`
			Pred     float64 `json:"MIC_pred"`
			Adjusted float64 `json:"MIC_adj"`
			Youden   float64 `json:"roc_youden_cut"`
			AUC      float64
		} `json:"mic"`
	}
	reftest.ReadJSON(t, &ref, "progress", "reliability-change", "expected.json")
	d := reftest.ReadCSV(t, "progress", "reliability-change", "data.csv")
	score, anchor, id, rater := d.Floats(t, "score"), d.Floats(t, "anchor"), d.Floats(t, "id"), d.Floats(t, "rater")
	raters := &Scores{X: mat.NewDense(6, 4, nil), Names: []string{"1", "2", "3", "4"}, Unit: []string{"1", "2", "3", "4", "5", "6"}, Raters: true, Level: 0.95}
	mic := &Scores{Level: 0.95}
	for i, part := range d["part"] {
		if part == "mic" {
			mic.Unit, mic.Change, mic.Anchor = append(mic.Unit, fmt.Sprint(i)), append(mic.Change, score[i]), append(mic.Anchor, anchor[i] == 1)
			continue
		}
		raters.X.Set(int(id[i])-1, int(rater[i])-1, score[i])
	}
	r := reliability(t, raters)
	for term, key := range map[string]string{"icc-1-1": "ICC11", "icc-2-1": "ICC21", "icc-3-1": "ICC31", "icc-1-k": "ICC1k", "icc-2-k": "ICC2k", "icc-3-k": "ICC3k"} {
		reftest.Agree(t, term, named(t, r, term).Value, ref.Computed.ICC[key], 9)
	}
	reftest.Agree(t, "sem", named(t, r, "sem").Value, ref.Computed.SEM["agreement"], 9)
	reftest.Agree(t, "sem", named(t, r, "sem-consistency").Value, ref.Computed.SEM["consistency"], 9)
	reftest.Agree(t, "sdc", named(t, r, "sdc").Value, ref.Computed.SDC["agreement"], 7) // R rounds 1.96
	reftest.Agree(t, "sdc", named(t, r, "sdc-consistency").Value, ref.Computed.SDC["consistency"], 7)
	m := reliability(t, mic)
	reftest.Agree(t, "mic", named(t, m, "mic").Value, ref.MIC.Pred, 8)
	reftest.Agree(t, "mic adjusted", named(t, m, "mic-adjusted").Value, ref.MIC.Adjusted, 8)
	f := m.Details["mic"].(MICFit)
	for what, v := range map[string][2]float64{
		"b0": {f.Intercept, ref.MIC.B0}, "b1": {f.Slope, ref.MIC.B1}, "r": {f.Correlation, ref.MIC.R}, "sd": {f.SD, ref.MIC.SD},
		"p": {f.Improved, ref.MIC.P}, "auc": {f.AUC, ref.MIC.AUC}, "cut": {f.Youden, ref.MIC.Youden},
	} {
		reftest.Agree(t, what, v[0], v[1], 8)
	}
	require.True(t, f.Allowed)
}
