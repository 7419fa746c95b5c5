//go:build reference

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 03f: R's HonestDiD 0.2.6. Its upper end for relative M = 2 is where its search ends (20 standard errors), not an end of the interval.
func TestReferenceFitHonest(t *testing.T) {
	csv := reftest.ReadCSV(t, "03f_honestdid_bc", "data.csv")
	var header []string
	rows := make([]string, len(csv["betahat"]))
	var betas strings.Builder
	betas.WriteString("term,estimate\n")
	for i, v := range csv["betahat"] {
		fmt.Fprintf(&betas, "%s,%s\n", csv["index"][i], v)
		name := fmt.Sprintf("sigma_%d", i+1)
		header = append(header, name)
		for r, s := range csv[name] {
			rows[r] = strings.TrimPrefix(rows[r]+","+s, ",")
		}
	}
	b := writeTestFile(t, "betas.csv", betas.String())
	c := writeTestFile(t, "covariance.csv", strings.Join(header, ",")+"\n"+strings.Join(rows, "\n")+"\n")
	type bounds struct{ Lb, Ub, M, Mbar []float64 }
	var ref struct {
		FLCI     bounds `json:"smoothness_FLCI"`
		Average  bounds `json:"smoothness_FLCI_average_post"`
		Relative bounds `json:"relative_magnitudes_C_LF"`
	}
	reftest.ReadJSON(t, &ref, "03f_honestdid_bc", "expected.json")
	check := func(want bounds, sizes []float64, tol float64, more ...string) {
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(sizes), " ", ","), "[]")
		a := fitted(t, append([]string{"honest-did", "--betas", b, "--covariance", c, "--pre", "4", "--m", list}, more...)...)
		for i, m := range sizes {
			e := a.get(t, fmt.Sprintf("M=%v", m), "")
			require.InDelta(t, want.Lb[i], *e.ConfLow, tol)
			if more[1] != "relative" || m < 2 {
				require.InDelta(t, want.Ub[i], *e.ConfHigh, tol)
			}
		}
	}
	check(ref.FLCI, ref.FLCI.M, 2e-3, "--type", "smoothness")
	check(ref.Average, ref.Average.M, 2e-3, "--type", "smoothness", "--weights", "0.25,0.25,0.25,0.25")
	check(ref.Relative, ref.Relative.Mbar, 1e-2, "--type", "relative")
}
