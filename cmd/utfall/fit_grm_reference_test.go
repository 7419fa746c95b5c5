//go:build reference

package main

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"utfall/internal/reftest"
)

// Cases 06a and 06b (mirt 1.38.1): log likelihood, parameters on the scale of the trait, scores, reliability, information.
func TestFitTraitReference(t *testing.T) {
	type model struct {
		LogLik      float64                       `json:"logLik"`
		IRT         map[string]map[string]float64 `json:"items_irt_a_b"`
		Variance    float64                       `json:"group_var"`
		EAP         []float64                     `json:"EAP_first30"`
		SD          []float64                     `json:"EAP_SE_first30"`
		Reliability float64                       `json:"empirical_reliability_EAP"`
		Information map[string]float64            `json:"test_information"`
	}
	var science struct{ Graded model }
	var lsat struct{ TwoPL, Rasch model }
	reftest.ReadJSON(t, &science, "06a_science_grm", "expected.json")
	reftest.ReadJSON(t, &lsat, "06b_lsat7_2pl", "expected.json")
	const items = "Item.1,Item.2,Item.3,Item.4,Item.5"
	for _, c := range []struct {
		method, folder, items string
		want                  model
		tol                   float64
	}{
		{"grm", "06a_science_grm", "Comfort,Work,Future,Benefit", science.Graded, 1e-7},
		{"2pl", "06b_lsat7_2pl", items, lsat.TwoPL, 1e-7},
		{"rasch", "06b_lsat7_2pl", items, lsat.Rasch, 2e-5},
	} {
		a := fitted(t, c.method, "--data", filepath.Join(reftest.ReferenceDir(t), c.folder, "data.csv"), "--items", c.items)
		var number float64
		a.detail(t, "loglik", &number)
		reftest.Near(t, "loglik", number, c.want.LogLik, 1e-8)
		a.detail(t, "reliability", &number)
		reftest.Near(t, "reliability", number, c.want.Reliability, c.tol)
		for item, row := range c.want.IRT {
			for key, v := range row {
				term := item + "/" + key
				switch key {
				case "g", "u":
					continue
				case "b":
					term += "1"
				}
				reftest.Near(t, term, *a.get(t, term, "").Estimate, v, c.tol)
			}
		}
		var scores map[string]struct{ EAP, SE float64 }
		a.detail(t, "scores", &scores)
		for i := range 30 {
			s := scores[strconv.Itoa(i+1)]
			reftest.Near(t, "eap", s.EAP, c.want.EAP[i], c.tol)
			reftest.Near(t, "se", s.SE, c.want.SD[i], c.tol)
		}
		var information map[string]float64
		a.detail(t, "information", &information)
		for at, v := range c.want.Information {
			reftest.Near(t, "information", information[at], v, c.tol)
		}
		if c.method == "rasch" {
			reftest.Near(t, "variance", *a.get(t, "trait/variance", "").Estimate, c.want.Variance, c.tol)
		}
	}
}

// Case progress/twowave-grm (base R, two-dimensional quadrature), its waves written one below the other.
func TestFitWavesReference(t *testing.T) {
	var ref struct {
		Freed struct {
			LogLik float64 `json:"logLik"`
			Diff   float64 `json:"diff_in_change"`
			DiffSE float64 `json:"diff_in_change_se"`
			Shift  float64 `json:"shift_item6"`
		} `json:"shift_freed"`
	}
	reftest.ReadJSON(t, &ref, "progress", "twowave-grm", "expected.json")
	d := reftest.ReadCSV(t, "progress", "twowave-grm", "data.csv")
	var b strings.Builder
	b.WriteString("id,treat,wave,i1,i2,i3,i4,i5,i6\n")
	for r, id := range d["id"] {
		for wave := 1; wave <= 2; wave++ {
			row := []string{id, d["treat"][r], strconv.Itoa(wave)}
			for j := 1; j <= 6; j++ {
				row = append(row, d["w"+strconv.Itoa(wave)+"_i"+strconv.Itoa(j)][r])
			}
			b.WriteString(strings.Join(row, ",") + "\n")
		}
	}
	a := fitted(t, "grm", "--data", writeTestFile(t, "long.csv", b.String()), "--id", "id", "--items", "i1,i2,i3,i4,i5,i6", "--wave", "wave", "--treatment", "treat", "--shift", "i6")
	var loglik float64
	a.detail(t, "loglik", &loglik)
	reftest.Near(t, "loglik", loglik, ref.Freed.LogLik, 1e-5)
	e := a.get(t, "difference", "trait-change-difference")
	reftest.Near(t, "difference", *e.Estimate, ref.Freed.Diff, 1e-5)
	reftest.Near(t, "error", *e.StdError/ref.Freed.DiffSE, 1, 1e-4)
	reftest.Near(t, "shift", *a.get(t, "i6/shift", "threshold-shift").Estimate, ref.Freed.Shift, 1e-4)
}
