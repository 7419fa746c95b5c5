//go:build reference

package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Case 05a: survival's survdiff.
func TestReferenceFitLogRank(t *testing.T) {
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "05a_veteran_km", "expected.json")
	var worst float64
	for key, more := range map[string][]string{
		"logrank_rho0": nil, "logrank_rho1": {"--rho", "1"}, "logrank_stratified_by_celltype": {"--strata", "celltype"},
	} {
		var want struct {
			Chisq float64
			P     *float64
		}
		require.NoError(t, json.Unmarshal(raw[key], &want))
		e := fitted(t, append([]string{"logrank", "--data", casePath(t, "05a_veteran_km"), "--time", "time", "--event", "status", "--by", "trt"}, more...)...).get(t, "logrank", "chi-square")
		near(t, &worst, key, e.Statistic, want.Chisq, 1e-8)
		if want.P != nil {
			near(t, &worst, key+" p", e.PValue, *want.P, 1e-8)
		}
	}
	digits(t, "05a log-rank", worst)
}
