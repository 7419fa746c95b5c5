//go:build reference

package num

import (
	"math"
	"strconv"
	"testing"

	"utfall/internal/reftest"
)

// NIST StRD linear regression: every row of attainable_lre.csv must reach the
// smaller of R's best and the ceiling of binary64 input, less 0.3. LRE as NIST
// counts it: -log10|estimate| where the certified value is 0.
func TestLeastSquaresReferenceNIST(t *testing.T) {
	var ref struct {
		Datasets map[string]struct {
			Family    string
			Intercept bool
			Certified struct {
				Coef, SE   map[string]string
				ResidualSD string `json:"residual_sd"`
				DF         int    `json:"df_residual"`
			}
		}
	}
	reftest.ReadJSON(t, &ref, "nist", "expected.json")
	attainable := reftest.ReadCSV(t, "nist", "attainable_lre.csv")
	rBest, ceiling := attainable.Floats(t, "r_best"), attainable.Floats(t, "ceiling")
	reached := map[string]reftest.Digits{}
	for name, set := range ref.Datasets {
		if set.Family != "linear" {
			continue
		}
		data := reftest.ReadCSV(t, "nist", "linear", name+".csv")
		y := data.Floats(t, "y")
		d := LsqData{N: len(y), K: len(set.Certified.Coef), Y: y}
		first := 0
		if !set.Intercept {
			first = 1
		}
		for i := range y {
			for j := range d.K {
				power := j + first
				var x float64
				switch {
				case name == "Longley" && power > 0:
					x = data.Floats(t, "x"+strconv.Itoa(power))[i]
				case name == "Longley":
					x = 1
				default:
					x = 1
					for range power {
						x *= data.Floats(t, "x")[i]
					}
				}
				d.X = append(d.X, x)
			}
		}
		f := mustLsq(t, d)
		digits := func(quantity string, got float64, want string) {
			w, err := strconv.ParseFloat(want, 64)
			if err != nil {
				t.Fatal(err)
			}
			key := name + " " + quantity
			l := reftest.LRE(got, w)
			if w == 0 {
				l = min(l, reftest.Digits(-math.Log10(math.Abs(got))))
			}
			if old, ok := reached[key]; !ok || l < old {
				reached[key] = l
			}
		}
		sd := math.Sqrt(f.RSS / float64(set.Certified.DF))
		digits("residual_sd", sd, set.Certified.ResidualSD)
		for j := range d.K {
			b := "B" + strconv.Itoa(j+first)
			digits("coef(min)", f.Coef[j], set.Certified.Coef[b])
			digits("se(min)", sd*math.Sqrt(f.Inverse.At(j, j)), set.Certified.SE[b])
		}
	}
	for i, name := range attainable["dataset"] {
		if attainable["family"][i] != "linear" {
			continue
		}
		key := name + " " + attainable["quantity"][i]
		need := rBest[i]
		if !math.IsNaN(ceiling[i]) {
			need = math.Min(need, ceiling[i])
		}
		got, ok := reached[key]
		t.Logf("%s: %.2f (R best %.2f, ceiling %.2f)", key, float64(got), rBest[i], ceiling[i])
		if !ok || float64(got) < need-0.3 {
			t.Errorf("%s: %.2f digits, %.2f needed", key, float64(got), need-0.3)
		}
	}
}
