//go:build reference

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 02f: survival's clogit. One case a set: exact, Efron and Breslow are one.
func TestReferenceFitCLogit(t *testing.T) {
	var ref struct {
		Exact struct {
			Coefficients, SE map[string]float64
			LogLik           []float64
			Score, Wald      float64
		}
	}
	reftest.ReadJSON(t, &ref, "02f_infert_clogit", "expected.json")
	a := fitted(t, "clogit", "--data", casePath(t, "02f_infert_clogit"), "--outcome", "case", "--covariates", "spontaneous,induced", "--sets", "stratum")
	require.Equal(t, map[string]int{"units": 248, "sets": 83, "events": 83}, a.N)
	var worst float64
	for n, v := range ref.Exact.Coefficients {
		near(t, &worst, n, a.get(t, n, "log-odds-ratio").Estimate, v, 1e-9)
		near(t, &worst, "se "+n, a.get(t, n, "").StdError, ref.Exact.SE[n], 1e-9)
	}
	var ll []float64
	a.detail(t, "logLik", &ll)
	for i, v := range ref.Exact.LogLik {
		near(t, &worst, "logLik", &ll[i], v, 1e-10)
	}
	for key, v := range map[string]float64{"score": ref.Exact.Score, "wald": ref.Exact.Wald} {
		var test struct{ Statistic float64 }
		a.detail(t, key, &test)
		near(t, &worst, key, &test.Statistic, v, 1e-9)
	}
	digits(t, "02f", worst)
}
