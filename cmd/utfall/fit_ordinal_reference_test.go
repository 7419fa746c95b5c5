//go:build reference

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"utfall/internal/reftest"
)

// Case 02e: ordinal's clm with three links, and MASS's housing data with frequencies.
func TestReferenceFitOrdinal(t *testing.T) {
	type model struct {
		Coefficients, Thresholds, SE map[string]float64
		LogLik                       float64
		Vcov                         map[string]map[string]float64
	}
	var ref map[string]any
	reftest.ReadJSON(t, &ref, "02e_wine_ordered", "expected.json")
	var models struct {
		Logit   model `json:"clm_logistic"`
		Probit  model `json:"clm_probit"`
		Cloglog model `json:"clm_cloglog"`
		Housing model `json:"housing_weighted_logistic"`
	}
	reftest.ReadJSON(t, &models, "02e_wine_ordered", "expected.json")
	name := func(n string) string {
		for _, col := range []string{"temp", "contact", "Infl", "Type", "Cont"} {
			if level, ok := strings.CutPrefix(n, col); ok {
				return col + "[" + level + "]"
			}
		}
		return n
	}
	compare := func(what string, m model, args ...string) {
		var worst float64
		a := fitted(t, append([]string{"ordinal"}, args...)...)
		for _, set := range []map[string]float64{m.Coefficients, m.Thresholds} {
			for n, v := range set {
				e := a.get(t, name(n), "coefficient")
				near(t, &worst, what+" "+n, e.Estimate, v, 1e-6)
				near(t, &worst, what+" se "+n, e.StdError, m.SE[n], 1e-6)
			}
		}
		var got float64
		a.detail(t, "logLik", &got)
		near(t, &worst, what+" logLik", &got, m.LogLik, 1e-8)
		var matrix [][]float64
		a.detail(t, "vcov_matrix", &matrix)
		for i, e := range a.Estimates {
			for j, f := range a.Estimates {
				for n, row := range m.Vcov {
					for o, v := range row {
						if name(n) == e.Term && name(o) == f.Term {
							near(t, &worst, what+" vcov", &matrix[i][j], v, 1e-6)
						}
					}
				}
			}
		}
		digits(t, what, worst)
	}
	for link, m := range map[string]model{"logit": models.Logit, "probit": models.Probit, "cloglog": models.Cloglog} {
		compare(link, m, "--data", casePath(t, "02e_wine_ordered"), "--outcome", "rating", "--covariates", "temp,contact", "--link", link)
	}
	// R's reference level of contact is no, which is first in byte order; those of housing are not.
	housing := filepath.Join(reftest.ReferenceDir(t), "02e_wine_ordered", "data_housing.csv")
	a := fitted(t, "ordinal", "--data", housing, "--outcome", "Sat", "--order", "Low,Medium,High", "--covariates", "Infl,Type,Cont", "--weights", "Freq", "--vcov", "iid")
	var got, worst float64
	a.detail(t, "logLik", &got)
	near(t, &worst, "housing logLik", &got, models.Housing.LogLik, 1e-10)
	low, medium := models.Housing.Coefficients["InflMedium"], models.Housing.Coefficients["InflHigh"]
	want := low - medium // the reference level is High
	near(t, &worst, "Infl Medium against High", a.get(t, "Infl[Medium]", "").Estimate, want, 1e-6)
	near(t, &worst, "Cont", a.get(t, "Cont[Low]", "").Estimate, -models.Housing.Coefficients["ContHigh"], 1e-6)
	near(t, &worst, "Cont se", a.get(t, "Cont[Low]", "").StdError, models.Housing.SE["ContHigh"], 1e-6)
	digits(t, "housing", worst)
}
