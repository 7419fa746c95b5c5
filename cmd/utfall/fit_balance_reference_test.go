//go:build reference

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Every 01 case with a balance table, on MatchIt's weights and sets: all its numbers.
func TestReferenceFitBalanceOfEveryCase(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(reftest.ReferenceDir(t), "01*"))
	require.NoError(t, err)
	seen := 0
	for _, path := range found {
		name := filepath.Base(path)
		raw, err := os.ReadFile(filepath.Join(path, "expected.json"))
		require.NoError(t, err)
		var ref matchReference
		var parts struct {
			Balance struct {
				Matched, Across map[string]map[string]*float64
				N               map[string]struct{ Control, Treated float64 } `json:"nn"`
			}
		}
		if json.Unmarshal(raw, &ref) != nil || ref.Balance.All == nil {
			continue // no balance in the case
		}
		require.NoError(t, json.Unmarshal(raw, &parts))
		seen++
		t.Run(name, func(t *testing.T) {
			after := parts.Balance.Matched
			if after == nil {
				after = parts.Balance.Across
			}
			delete(ref.Balance.All, "distance")
			delete(after, "distance")
			names, denominator := lalondeNames, "treated"
			switch name {
			case "01e2_lalonde_exact":
				names = "race,married,nodegree,educ"
			case "01i2_lalonde_subclass_ATE":
				denominator = "pooled"
			}
			a := fitted(t, "balance", "--data", withScore(t, name, &ref), "--id", "id", "--treatment", "treat", "--covariates", names,
				"--weights", "mweight", "--sets", "msub", "--denominator", denominator)
			var worst float64
			requireBalance(t, &worst, a, "before", ref.Balance.All)
			requireBalance(t, &worst, a, "after", after)
			var ess struct{ Treated, Control float64 }
			a.detail(t, "ess", &ess)
			n := parts.Balance.N["Matched (ESS)"]
			near(t, &worst, "ESS treated", &ess.Treated, n.Treated, 1e-10)
			near(t, &worst, "ESS control", &ess.Control, n.Control, 1e-10)
			digits(t, "balance before and after, effective sample size", worst)
		})
	}
	require.Equal(t, 18, seen, "cases with a balance table")
}
