//go:build reference

package survive

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// Reference: survival 3.5-3 pseudo-values with geepack 1.3.9 (independence) and HC0 in base R, case progress/mgus2-statetime-pseudo.
func TestPseudoRegressionReference(t *testing.T) {
	var ref struct {
		Identity struct{ Est, SE []float64 } `json:"pseudo_reg_identity_pcm120"`
		Cloglog  struct{ Est, SE []float64 } `json:"pseudo_reg_cloglog_pcm120"`
		Months   struct {
			Est []float64
			SE  []float64 `json:"se_HC0"`
		} `json:"pseudo_reg_months_event_free"`
		Pseudo struct {
			First []float64 `json:"first5_pcm_120"`
			Mean  []float64 `json:"mean_pcm"`
		} `json:"pseudo"`
	}
	reftest.ReadJSON(t, &ref, "progress", "mgus2-statetime-pseudo", "expected.json")
	d := reftest.ReadCSV(t, "progress", "mgus2-statetime-pseudo", "data.csv")
	age, spike, etime := d.Floats(t, "age"), d.Floats(t, "mspike"), d.Floats(t, "etime")
	r := Rows{States: []string{"s0", "pcm", "death"}, Level: 0.95}
	n := len(age)
	for i := range n {
		r.Person, r.From = append(r.Person, d["id"][i]), append(r.From, "s0")
		r.To = append(r.To, map[string]string{"0": "cens", "1": "pcm", "2": "death"}[d["ev"][i]])
		r.Start, r.Stop = append(r.Start, 0), append(r.Stop, etime[i])
	}
	s, err := r.Spells()
	require.NoError(t, err)
	row := map[string]int{}
	for i, id := range d["id"] {
		row[id] = i
	}
	x := mat.NewDense(n, 3, nil)
	for p, id := range s.ID {
		i := row[id]
		male := 0.0
		if d["sex"][i] == "M" {
			male = 1
		}
		x.SetRow(p, []float64{age[i] / 10, male, spike[i]})
	}
	names := []string{"age10", "male", "mspike"}
	e := PseudoRegression{State: "pcm", Time: 120}
	theta, values, err := e.PseudoValues(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, ref.Pseudo.Mean[1], theta, 1e-10)
	for p, id := range s.ID {
		if i := row[id]; i < 5 {
			require.InDelta(t, ref.Pseudo.First[i], values[p], 1e-10)
		}
	}
	check := func(what string, e PseudoRegression, est, se []float64, digits, errorDigits reftest.Digits) {
		r, err := e.Fit(t.Context(), s)
		require.NoError(t, err)
		for k := range est {
			reftest.Agree(t, what, r.Estimates[k].Value, est[k], digits)
			reftest.Agree(t, what+" error", r.Estimates[k].SE, se[k], errorDigits)
		}
	}
	check("identity", PseudoRegression{State: "pcm", Time: 120, X: x, Names: names}, ref.Identity.Est, ref.Identity.SE, 8, 8)
	check("cloglog", PseudoRegression{State: "pcm", Time: 120, Link: "cloglog", X: x, Names: names}, ref.Cloglog.Est, ref.Cloglog.SE, 3, 5) // geese stops at 1e-4
	two := mat.DenseCopyOf(x.Slice(0, n, 0, 2))
	check("months", PseudoRegression{State: "s0", Tau: 240, X: two, Names: names[:2]}, ref.Months.Est, ref.Months.SE, 8, 8)
}
