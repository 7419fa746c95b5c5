//go:build reference

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Cases 04a and 04a2: exact weights as quadprog's; R's synthdid 0.0.9 stops early, in 04a's sc 5.4e-3 from them.
func TestReferenceFitSynth(t *testing.T) {
	for name, flags := range map[string][]string{
		"04a_prop99_synthdid":      {"--unit", "State", "--time", "Year", "--treated", "treated", "--outcome", "PacksPerCapita", "--se", "placebo"},
		"04a2_sim_block_jackknife": {"--unit", "unit", "--time", "time", "--treated", "treated", "--outcome", "y", "--se", "jackknife"},
	} {
		type numbers struct {
			Estimate  float64
			Omega     map[string]float64
			Lambda    map[string]float64
			Jackknife float64 `json:"jackknife_se"`
			Placebo   float64 `json:"placebo_sd_divisor_n"`
		}
		var ref struct {
			SDID  numbers `json:"sdid"`
			SC    numbers `json:"sc"`
			DID   numbers `json:"did"`
			ExDID numbers `json:"exact_qp_sdid"`
			ExSC  numbers `json:"exact_qp_sc"`
		}
		reftest.ReadJSON(t, &ref, name, "expected.json")
		for method, want := range map[string][2]numbers{"sdid": {ref.SDID, ref.ExDID}, "sc": {ref.SC, ref.ExSC}, "did": {ref.DID, ref.DID}} {
			a := fitted(t, append([]string{"synth", "--data", casePath(t, name), "--method", method}, flags...)...)
			got := a.get(t, "overall", "mean-difference")
			var worst float64
			near(t, &worst, "exact", got.Estimate, want[1].Estimate, 1e-6)
			near(t, new(float64), "package", got.Estimate, want[0].Estimate, 6e-3)
			near(t, new(float64), "error", got.StdError, max(want[0].Jackknife, want[0].Placebo), 1e-2)
			var units, times map[string]float64
			a.detail(t, "unit_weights", &units)
			a.detail(t, "time_weights", &times)
			require.Len(t, units, len(want[1].Omega))
			for u, w := range units {
				require.InDelta(t, want[1].Omega[u], w, 1e-5)
			}
			for p, w := range times {
				require.InDelta(t, want[1].Lambda[p], w, 1e-5)
			}
			digits(t, name+" "+method, worst)
		}
	}
}
