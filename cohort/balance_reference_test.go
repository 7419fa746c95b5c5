//go:build reference

package cohort

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Every case of a design with MatchIt's balance: its weights, all numbers before and after.
func TestReferenceBalanceOfEveryCase(t *testing.T) {
	dir, seen := reftest.ReferenceDir(t), 0
	found, err := filepath.Glob(filepath.Join(dir, "01*"))
	require.NoError(t, err)
	for _, path := range found {
		name := filepath.Base(path)
		raw, err := os.ReadFile(filepath.Join(path, "expected.json"))
		require.NoError(t, err)
		var ref cellsReference
		if json.Unmarshal(raw, &ref) != nil || ref.Balance.All == nil {
			continue // no balance in the case
		}
		seen++
		t.Run(name, func(t *testing.T) {
			tab, _ := lalonde(t, name)
			ids, _, err := tab.Text("id")
			require.NoError(t, err)
			o := BalanceOptions{Weight: make([]float64, len(ids))}
			for i, id := range ids {
				o.Weight[i] = ref.Weights[id]
			}
			if tab.Has("score") {
				f, err := tab.Float("score")
				require.NoError(t, err)
				o.Score = f.Values
			}
			after, d := ref.Balance.Matched, Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}
			if after == nil {
				after = ref.Balance.Across
			}
			switch {
			case strings.HasSuffix(name, "ATE"):
				o.Denominator = PooledSD
			case strings.HasPrefix(name, "01e2"):
				d.Covariates = []string{"race", "married", "nodegree", "educ"}
			}
			b, _, err := Compare(t.Context(), tab, d, o)
			require.NoError(t, err)
			requireBalance(t, b, ref.Balance.All, after)
			n := ref.Balance.N["Matched (ESS)"]
			reftest.Agree(t, "ESS treated", b.ESSTreated, n.Treated, 12)
			reftest.Agree(t, "ESS control", b.ESSControl, n.Control, 12)
		})
	}
	require.Equal(t, 18, seen, "cases with a balance table")
}

// The definitions of METHODS.md written again in base R 4.2.2 and run on lalonde with
// the ATT weights of 01j: overlap (before, weighted), and what cobalt 4.5 computes in
// its place: density() of each group with bw.nrd of the smaller one, integrate(). The
// latter are about 0.001 larger: the curves of density() in that release integrate to 1.0009.
func TestReferenceOverlapAndProducts(t *testing.T) {
	tab, _ := lalonde(t, "01b_lalonde_nn1")
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, "01j_lalonde_weighting", "expected.json")
	var ipw struct{ Weights map[string]float64 }
	require.NoError(t, json.Unmarshal(ref["ipw_ATT"], &ipw))
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	o := BalanceOptions{Weight: make([]float64, len(ids)), Denominator: AllSD, Squares: true, Interactions: true}
	for i, id := range ids {
		o.Weight[i] = ipw.Weights[id]
	}
	f, err := tab.Float("score")
	require.NoError(t, err)
	o.Score = f.Values
	b, _, err := Compare(t.Context(), tab, Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}, o)
	require.NoError(t, err)
	for name, want := range map[string][4]float64{ // ours before, weighted; cobalt's before, weighted
		"age":      {0.803213845812737, 0.693337410127829, 0.803904, 0.693820},
		"educ":     {0.846709356395189, 0.943061013577463, 0.847553, 0.943919},
		"re74":     {0.633212009079973, 0.796000448241105, 0.634269, 0.797391},
		"re75":     {0.801441455626329, 0.891704179136894, 0.802075, 0.892314},
		"distance": {0.364984914125928, 0.921845745727092, 0.365330, 0.922747},
	} {
		for _, r := range b.Rows {
			if r.Variable == name {
				reftest.Agree(t, name+" before", r.Before.Overlap, want[0], 12)
				reftest.Agree(t, name+" weighted", r.After.Overlap, want[1], 12)
				reftest.Near(t, name+" before, cobalt's way", r.Before.Overlap, want[2], 1.5e-3)
				reftest.Near(t, name+" weighted, cobalt's way", r.After.Overlap, want[3], 1.5e-3)
			}
		}
	}
	for name, want := range map[string][6]float64{ // SMD before and weighted over the SD of all, variance ratio, eCDF mean, max, overlap, weighted
		"re74^2":           {-0.36523245350594452, 0.04291019752771609, 2.5700761030964996, 0.036197641757318905, 0.22848100176023894, 0.73940929000510613},
		"age*educ":         {-0.12656507648547036, 0.086501710236872212, 0.60680754041448604, 0.063564699870666347, 0.20988110481899608, 0.78949441540591581},
		"race[black]*re75": {0.40346505415337702, 0.037758329975070025, 1.4751680402594918, 0.024364818885454064, 0.098146380679284051, 0.88644182600475929},
	} {
		found := 0
		for _, r := range b.Rows {
			if r.Variable == name {
				found++
				a := r.After
				for i, got := range []float64{r.Before.SMD, a.SMD, a.VarianceRatio, a.ECDFMean, a.ECDFMax, a.Overlap} {
					reftest.Agree(t, name, got, want[i], 11)
				}
			}
		}
		require.Equal(t, 1, found, name)
	}
}
