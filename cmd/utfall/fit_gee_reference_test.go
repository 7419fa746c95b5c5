//go:build reference

package main

import (
	"testing"

	"utfall/internal/reftest"
)

// Case 02g: geepack.
func TestReferenceFitGEE(t *testing.T) {
	type model struct {
		Coefficients map[string]float64
		SE           map[string]float64 `json:"se_robust"`
		Scale, Alpha float64
	}
	var ref struct {
		Gaussian, Heavy map[string]model
		Binomial        map[string]model `json:"binomial_heavy"`
	}
	reftest.ReadJSON(t, &ref, "02g_dietox_gee", "expected.json")
	path := derived(t, "02g_dietox_gee", map[string]func(map[string]string) string{
		"heavy": func(r map[string]string) string {
			if number(t, r["Weight"]) > 55 {
				return "1"
			}
			return "0"
		},
	})
	name := func(n string) string {
		switch n {
		case "CuCu035", "CuCu175":
			return "Cu[" + n[2:] + "]"
		}
		return dummy(n)
	}
	for family, models := range map[string]map[string]model{"gaussian": ref.Gaussian, "binomial": ref.Binomial} {
		for correlation, m := range models {
			args := []string{"gee", "--data", path, "--covariates", "Time,Cu", "--cluster", "Pig", "--family", family, "--correlation", correlation, "--vcov", "cr0"}
			if correlation == "ar1" {
				args = append(args, "--time", "Time")
			}
			if family == "binomial" {
				args = append(args, "--outcome", "heavy", "--where", "Time >= 4 and Time <= 9")
			} else {
				args = append(args, "--outcome", "Weight")
			}
			a := fitted(t, args...)
			var worst float64
			what := family + " " + correlation
			for n, v := range m.Coefficients {
				near(t, &worst, what+" "+n, a.get(t, name(n), "coefficient").Estimate, v, 1e-6)
				near(t, &worst, what+" se "+n, a.get(t, name(n), "").StdError, m.SE[n], 1e-5)
			}
			for key, v := range map[string]float64{"scale": m.Scale, "alpha": m.Alpha} {
				if key == "alpha" && correlation == "independence" {
					continue
				}
				var got float64
				a.detail(t, key, &got)
				near(t, &worst, what+" "+key, &got, v, 1e-5)
			}
			digits(t, what, worst)
		}
	}
}
