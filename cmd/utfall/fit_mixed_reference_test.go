//go:build reference

package main

import (
	"testing"

	"utfall/internal/reftest"
)

type mixedModel struct {
	Fixed, SE  map[string]float64
	LogLik     float64
	Components struct {
		SD []float64 `json:"sdcor"`
	} `json:"var_components"`
	Random   map[string]map[string]map[string]float64 `json:"ranef"`
	Variance map[string]map[string][]float64          `json:"ranef_condvar"`
}

func (m *mixedModel) compare(t *testing.T, what string, tol float64, likelihood bool, group string, args ...string) {
	t.Helper()
	a := fitted(t, append([]string{"mixed", "--group", group}, args...)...)
	var worst float64
	for n, v := range m.Fixed {
		near(t, &worst, what+" "+n, a.get(t, dummy(n), "coefficient").Estimate, v, tol)
		near(t, &worst, what+" se "+n, a.get(t, dummy(n), "").StdError, m.SE[n], tol)
	}
	for i, key := range []string{"sd_group", "sd_residual"} {
		if i < len(m.Components.SD) {
			var got float64
			a.detail(t, key, &got)
			near(t, &worst, what+" "+key, &got, m.Components.SD[i], tol)
		}
	}
	if likelihood {
		var got float64
		a.detail(t, "logLik", &got)
		near(t, &worst, what+" logLik", &got, m.LogLik, tol)
	}
	random, variance := map[string]float64{}, map[string]float64{}
	a.detail(t, "random", &random)
	a.detail(t, "random_variance", &variance)
	for g, v := range m.Random[group] {
		got := random[g]
		near(t, &worst, what+" "+g, &got, v["(Intercept)"], 3*tol)
		got = variance[g]
		near(t, &worst, what+" variance "+g, &got, m.Variance[group][g][0], 3*tol)
	}
	digits(t, what, worst)
}

// Cases 08b (random intercepts) and 08c: lme4.
func TestReferenceFitMixed(t *testing.T) {
	var sleep struct {
		REML mixedModel `json:"random_intercept_REML"`
		ML   mixedModel `json:"random_intercept_ML"`
	}
	reftest.ReadJSON(t, &sleep, "08b_sleepstudy_lmm", "expected.json")
	base := []string{"--data", casePath(t, "08b_sleepstudy_lmm"), "--outcome", "Reaction", "--covariates", "Days"}
	sleep.REML.compare(t, "08b REML", 1e-7, true, "Subject", base...)
	sleep.ML.compare(t, "08b ML", 1e-6, true, "Subject", append(base, "--method", "ml")...)
	var cbpp struct {
		Laplace mixedModel `json:"nAGQ1"`
		AGQ     mixedModel `json:"nAGQ25"`
	}
	reftest.ReadJSON(t, &cbpp, "08c_cbpp_glmm", "expected.json")
	base = []string{"--data", casePath(t, "08c_cbpp_glmm"), "--outcome", "incidence", "--trials", "size", "--covariates", "period", "--family", "binomial"}
	cbpp.Laplace.compare(t, "08c Laplace", 1e-4, true, "herd", append(base, "--quadrature", "1")...)
	cbpp.AGQ.compare(t, "08c quadrature", 1e-4, false, "herd", base...)
}
