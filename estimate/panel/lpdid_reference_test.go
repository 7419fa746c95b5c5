//go:build reference

package panel

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Data of case 03a (mpdta): rows of each horizon built in R 4.2.2, lm on entering and period
// dummies, sandwich 3.0.2's sums by county times the factor.
func TestReferenceLocalProjections(t *testing.T) {
	c := reftest.ReadCSV(t, "03a_mpdta_attgt", "data.csv")
	f := &Frame{Unit: c["countyreal"], Time: ints(t, c, "year"), Cohort: ints(t, c, "first.treat"), Y: c.Floats(t, "lemp"), Level: 0.95}
	for _, k := range []struct {
		anticipation int
		reweight     bool
		want         map[string][2]float64
	}{
		{0, false, map[string][2]float64{"event=-3": {0.02545992774481050, 0.01734696219099395}, "event=-2": {0.02278058390316448, 0.01398456287747548},
			"event=0": {-0.01757013359713698, 0.01139811757319365}, "event=1": {-0.05426504067543542, 0.01702024558253730}, Overall: {-0.03202737460556095, 0.01368945757374695}}},
		{0, true, map[string][2]float64{"event=-3": {0.02695658765886703, 0.01760962896512357}, "event=-2": {0.02426890341450705, 0.01448720381896940},
			"event=0": {-0.01892219908342647, 0.01206237957504790}, "event=1": {-0.05358934738483267, 0.01696455895452298}, Overall: {-0.03155493662269090, 0.01368412796839222}}},
		{1, false, map[string][2]float64{"event=0": {-0.04330032229548319, 0.01685746014368436}}},
		{1, true, map[string][2]float64{"event=0": {-0.04549331855204178, 0.01719874575434186}}},
	} {
		res, err := LocalProjections{EventOptions: EventOptions{Bands: Pointwise, Anticipation: k.anticipation}, Before: pointer(3), After: pointer(1 - k.anticipation), Reweight: k.reweight}.Fit(t.Context(), f)
		require.NoError(t, err)
		checkResult(t, res)
		got := byTerm(res)
		for term, want := range k.want {
			agreeTo(t, term, got[term].Value, want[0], 1e-11)
			agreeTo(t, term+" se", got[term].SE, want[1], 1e-11)
		}
		if k.anticipation == 0 && !k.reweight {
			pre := res.Details["pooled_pre"].(map[string]any)
			agreeTo(t, "pooled pre", pre["estimate"].(float64), 0.02412025582398735, 1e-11)
			agreeTo(t, "pooled pre se", pre["std_error"].(float64), 0.01431083449064420, 1e-11)
		}
	}
}
