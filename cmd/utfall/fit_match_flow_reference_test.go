//go:build reference

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// MatchIt 4.5.5 with optmatch at tolerance 1e-7: totals, on its scores and on our own.
func TestReferenceFitMatchFlow(t *testing.T) {
	for _, c := range []struct{ name, method string }{{"01h2_lalonde_optimal_pair", "optimal"}, {"01h_lalonde_full", "full"}} {
		t.Run(c.name, func(t *testing.T) {
			var ref matchReference
			var totals struct {
				Pairs  float64 `json:"sum_abs_distance_diff"`
				Within float64 `json:"sum_within_abs_distance"`
			}
			reftest.ReadJSON(t, &ref, c.name, "expected.json")
			reftest.ReadJSON(t, &totals, c.name, "expected.json")
			want := totals.Pairs + totals.Within // one of them is there
			for digits, flags := range map[reftest.Digits][]string{11: {"--score", "ps"}, 8: nil} {
				a := fitted(t, append([]string{"match", "--data", withScore(t, c.name, &ref), "--id", "id", "--treatment", "treat", "--method", c.method, "--covariates", lalondeNames}, flags...)...)
				var o map[string]float64
				a.detail(t, "optimum", &o)
				reftest.Agree(t, "total", o["total"], want, digits)
				require.LessOrEqual(t, o["total"], want*(1+1e-8))
				var counts map[string]float64
				a.detail(t, "counts", &counts)
				require.Equal(t, 185.0, counts["matched_treated"])
			}
		})
	}
}
