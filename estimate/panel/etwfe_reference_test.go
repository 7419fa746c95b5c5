//go:build reference

package panel

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// Data of case 03a (mpdta) against the printed digits of the etwfe package's vignette
// (lemp on lpop, clusters: county), whose errors are 0.1 to 0.25 % larger: with cohort
// effects in place of unit effects none is nested in the clusters, so that K counts them.
func TestReferenceExtendedTwoWay(t *testing.T) {
	c := reftest.ReadCSV(t, "03a_mpdta_attgt", "data.csv")
	x := c.Floats(t, "lpop")
	f := &Frame{Unit: c["countyreal"], Time: ints(t, c, "year"), Cohort: ints(t, c, "first.treat"), Y: c.Floats(t, "lemp"),
		X: mat.NewDense(len(x), 1, x), XNames: []string{"lpop"}, Level: 0.95}
	res, err := ExtendedTwoWay{EventOptions: EventOptions{Bands: Pointwise}}.Fit(t.Context(), f)
	require.NoError(t, err)
	checkResult(t, res)
	got := byTerm(res)
	for term, want := range map[string][2]float64{"event=0": {-0.0332, 0.0134}, "event=1": {-0.0573, 0.0172}, "event=2": {-0.1379, 0.0308}, "event=3": {-0.1095, 0.0323}, Overall: {-0.0506, 0.0125}} {
		reftest.Near(t, term, got[term].Value, want[0], 5.1e-5)
		reftest.Near(t, term+" se", got[term].SE, want[1], 5.1e-5+0.003*want[1])
	}
}
