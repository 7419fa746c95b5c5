//go:build reference

package main

import (
	"path/filepath"
	"strconv"
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
