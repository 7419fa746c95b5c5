//go:build reference

package main

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Survival 3.5-3 pseudo-values of progress/mgus2-statetime-pseudo at 120 months; geepack 1.3.9 with epsilon 1e-13 for the links and
// sandwich's vcovCL(type = "HC0", cadjust = FALSE)·G/(G − 1) for 40 clusters (id mod 40).
func TestReferenceFitPseudo(t *testing.T) {
	d := reftest.ReadCSV(t, "progress", "mgus2-statetime-pseudo", "data.csv")
	text := "id,etime,ev,age,male,g\n"
	for i, id := range d["id"] {
		male := "0"
		if d["sex"][i] == "M" {
			male = "1"
		}
		n, err := strconv.Atoi(id)
		require.NoError(t, err)
		g := strconv.Itoa(n % 40)
		text += id + "," + d["etime"][i] + "," + d["ev"][i] + "," + d["age"][i] + "," + male + "," + g + "\n"
	}
	base := []string{"pseudo", "--data", writeTestFile(t, "d.csv", text), "--id", "id", "--time", "etime", "--event", "ev", "--state", "1", "--at", "120", "--covariates", "age,male"}
	var worst float64
	for _, c := range []struct {
		more    []string
		measure string
		est, se [3]float64
	}{
		{[]string{"--cluster", "g"}, "coefficient", [3]float64{0.0699349800602, 5.45520164849e-05, -0.0184800779706}, [3]float64{0.0335006379082, 0.000407901979172, 0.0151118404348}},
		{[]string{"--link", "cloglog"}, "log-hazard-ratio", [3]float64{-2.55253712632, -0.000213228572894, -0.300413740564}, [3]float64{0.540898325299, 0.0070448582241, 0.222616834}},
		{[]string{"--link", "logit"}, "log-odds-ratio", [3]float64{-2.51542534546, -0.000192839107324, -0.310352171709}, [3]float64{0.559739624292, 0.0072859827458, 0.230089183107}},
	} {
		a := fitted(t, append(append([]string{}, base...), c.more...)...)
		for k, term := range []string{"(intercept)", "age", "male"} {
			e := a.get(t, term, c.measure)
			near(t, &worst, c.measure+" "+term, e.Estimate, c.est[k], 1e-9)
			near(t, &worst, c.measure+" se "+term, e.StdError, c.se[k], 1e-9)
		}
	}
	digits(t, "pseudo", worst)
}
