//go:build reference

package panel

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Data of case 03a (mpdta): the stack built row by row in R 4.2.2, lm with the corrective
// weights, sandwich 3.0.2's HC1 by county.
func TestReferenceStacked(t *testing.T) {
	c := reftest.ReadCSV(t, "03a_mpdta_attgt", "data.csv")
	f := &Frame{Unit: c["countyreal"], Time: ints(t, c, "year"), Cohort: ints(t, c, "first.treat"), Y: c.Floats(t, "lemp"), Level: 0.95}
	type terms map[string][2]float64
	for _, k := range []struct {
		e    Stacked
		want terms
	}{
		{Stacked{}, terms{"event=0": {-0.01892219908342301, 0.01220321721678905}, Overall: {-0.01892219908342301, 0.01220321721678905}}},
		{Stacked{Before: pointer(1), After: pointer(1)}, terms{"event=0": {-0.009520525860531568, 0.01547632561794904},
			"event=1": {-0.053589347384815501, 0.01882826821432985}, Overall: {-0.03155493662267354, 0.01550057023814860}}},
		{Stacked{Before: pointer(3), After: pointer(0)}, terms{"event=-3": {0.02695658765888612, 0.01770861923859686},
			"event=-2": {0.02426890341451554, 0.01446363668233573}, "event=0": {-0.01886954825388677, 0.01322729136446011}}},
		{Stacked{EventOptions: EventOptions{Anticipation: 1}, Before: pointer(2)}, terms{"event=-1": {-0.02445874497116934, 0.01423853199327473}, "event=0": {-0.04549331855204283, 0.01719037630524115}}},
	} {
		k.e.Bands = Pointwise
		res, err := k.e.Fit(t.Context(), f)
		require.NoError(t, err)
		checkResult(t, res)
		got := byTerm(res)
		for term, want := range k.want {
			agreeTo(t, term, got[term].Value, want[0], 1e-11)
			agreeTo(t, term+" se", got[term].SE, want[1], 1e-11)
		}
	}
}
