//go:build reference

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 05e_cav_msm (msm 1.7): its optimiser stops at -2 log L 3968.7978996, above the maximum's
// 3968.7978812, which leaves its intensities 2e-4 (2 to 4, with few moves: 3e-3) away.
func TestFitStatesPanelReference(t *testing.T) {
	var ref struct {
		Minus2  float64                       `json:"minus2loglik"`
		Q       map[string]map[string]float64 `json:"qmatrix"`
		SE      map[string]map[string]float64 `json:"qmatrix_se"`
		P5      map[string]map[string]float64 `json:"pmatrix_t5"`
		Stay    map[string]float64            `json:"total_length_of_stay_to_10y"`
		Sojourn struct{ Estimates, SE []float64 }
	}
	reftest.ReadJSON(t, &ref, "05e_cav_msm", "expected.json")
	a := fitted(t, "states", "--data", casePath(t, "05e_cav_msm"), "--id", "PTNUM", "--state", "state", "--time", "years", "--categorical", "state", "--panel-observed",
		"--exact-death", "4", "--transitions", "1:2,1:4,2:1,2:3,2:4,3:2,3:4", "--at", "1,5,10", "--tau", "10")
	var minus2 float64
	a.detail(t, "minus2loglik", &minus2)
	reftest.Agree(t, "-2 log L", minus2, ref.Minus2, 8)
	for _, pair := range []string{"12", "14", "21", "23", "24", "32", "34"} {
		from, to := pair[:1], pair[1:]
		e := a.get(t, "from="+from+",to="+to, "intensity")
		tol := 4e-4
		if pair == "24" {
			tol = 3e-3
		}
		require.InEpsilon(t, ref.Q["State "+from]["State "+to], *e.Estimate, tol, pair)
		require.InEpsilon(t, ref.SE["State "+from]["State "+to], *e.StdError, 1e-3, pair)
	}
	for k, s := range []string{"1", "2", "3"} {
		e := a.get(t, "state="+s, "mean-sojourn-time")
		require.InEpsilon(t, ref.Sojourn.Estimates[k], *e.Estimate, 4e-4)
		require.InEpsilon(t, ref.Sojourn.SE[k], *e.StdError, 1e-3)
		for _, to := range []string{"1", "2", "3", "4"} {
			require.InDelta(t, ref.P5["State "+s]["State "+to], *a.get(t, "time=5,from="+s+",state="+to, "").Estimate, 1e-4)
		}
	}
	for s, want := range ref.Stay {
		require.InEpsilon(t, want, *a.get(t, "from=1,state="+s[len("State "):], "restricted-mean-time").Estimate, 1e-4)
	}
}
