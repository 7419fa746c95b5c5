//go:build reference

package survive

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// Reference: cmprsk 2.2-11 crr, case 05d. Its Newton stops at a gradient of 1e-6 of the
// pseudo likelihood, which is what limits the agreement.
func TestReferenceMgus2FineGray(t *testing.T) {
	d := reftest.ReadCSV(t, "05d_mgus2_competing", "data.csv")
	type crr struct {
		N      int
		Coef   map[string]float64 `json:"coefficients"`
		SE     map[string]float64 `json:"se"`
		LogLik float64            `json:"loglik"`
		Null   float64            `json:"loglik_null"`
	}
	var ref struct {
		PCM   crr `json:"fine_gray_crr_pcm"`
		Death crr `json:"fine_gray_crr_death"`
	}
	reftest.ReadJSON(t, &ref, "05d_mgus2_competing", "expected.json")
	f := &CompetingCovaried{XNames: []string{"age", "male", "mspike"}}
	f.Level, f.CauseNames = 0.95, []string{"pcm", "death"}
	var x []float64
	for i, id := range d["id"] {
		if d["age"][i] == "" || d["sex"][i] == "" || d["hgb"][i] == "" || d["mspike"][i] == "" {
			continue
		}
		one := reftest.CSV{"age": {d["age"][i]}, "mspike": {d["mspike"][i]}, "etime": {d["etime"][i]}, "event": {d["event"][i]}}
		male := 0.0
		if d["sex"][i] == "M" {
			male = 1
		}
		x = append(x, one.Floats(t, "age")[0], male, one.Floats(t, "mspike")[0])
		f.Unit, f.Time = append(f.Unit, id), append(f.Time, one.Floats(t, "etime")[0])
		f.Cause = append(f.Cause, int(one.Floats(t, "event")[0])-1)
	}
	require.Len(t, f.Unit, ref.PCM.N)
	f.X = mat.NewDense(len(f.Unit), 3, x)
	for cause, want := range map[string]crr{"pcm": ref.PCM, "death": ref.Death} {
		res, err := FineGray{Cause: cause}.Fit(t.Context(), f)
		require.NoError(t, err)
		for _, e := range res.Estimates {
			reftest.Agree(t, cause+" "+e.Term, e.Value, want.Coef[e.Term], 6)
			reftest.Agree(t, cause+" se "+e.Term, e.SE, want.SE[e.Term], 6)
		}
		ll := res.Details["loglik"].([]float64)
		reftest.Agree(t, cause+" null", ll[0], want.Null, 12)
		reftest.Agree(t, cause+" loglik", ll[1], want.LogLik, 9)
	}
}
