//go:build reference

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// MatchIt 4.5.5: partition exact, weights and balance after.
func TestReferenceFitMatchCells(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{"01e2_lalonde_exact", []string{"--method", "exact", "--covariates", "race,married,nodegree,educ"}},
		{"01g_lalonde_cem_default", []string{"--method", "cem", "--covariates", lalondeNames}},
		{"01i_lalonde_subclass", []string{"--method", "subclass", "--subclasses", "6", "--score", "ps", "--covariates", lalondeNames}},
		{"01i2_lalonde_subclass_ATE", []string{"--method", "subclass", "--subclasses", "5", "--estimand", "ate", "--score", "ps", "--covariates", lalondeNames}},
		// The propensity model of our own gives the same partition as MatchIt's.
		{"01i_lalonde_subclass", []string{"--method", "subclass", "--covariates", lalondeNames}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ref matchReference
			var parts struct {
				Subclass map[string]*string
				Weights  map[string]float64
				Balance  struct {
					Matched, Across map[string]map[string]*float64
				}
			}
			reftest.ReadJSON(t, &ref, c.name, "expected.json")
			reftest.ReadJSON(t, &parts, c.name, "expected.json")
			a := fitted(t, append([]string{"match", "--data", withScore(t, c.name, &ref), "--id", "id", "--treatment", "treat"}, c.flags...)...)
			var weights, sets map[string]float64
			a.detail(t, "weights", &weights)
			a.detail(t, "sets", &sets)
			var worst float64
			set, name := map[string]float64{}, map[float64]string{}
			for id, want := range parts.Weights {
				v := weights[id]
				near(t, &worst, "weight of "+id, &v, want, 1e-8)
				p, k := parts.Subclass[id], sets[id]
				require.Equal(t, p == nil, k == 0)
				if p == nil {
					continue
				}
				if _, ok := set[*p]; !ok {
					set[*p] = k
				}
				if _, ok := name[k]; !ok {
					name[k] = *p
				}
				require.Equal(t, set[*p], k)
				require.Equal(t, name[k], *p)
			}
			after := parts.Balance.Matched
			if after == nil {
				after = parts.Balance.Across
			}
			requireBalance(t, &worst, a, "after", after)
			digits(t, "weights and balance after", worst)
		})
	}
}
