//go:build reference

package progress

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// referenceItems is one model of mirt in expected.json.
type referenceItems struct {
	LogLik      float64                        `json:"logLik"`
	Intercepts  map[string]map[string]float64  `json:"items_slope_intercept"`
	SE          map[string]map[string]*float64 `json:"se"`
	Variance    float64                        `json:"group_var"`
	AIC, BIC    float64
	EAP         []float64          `json:"EAP_first30"`
	SD          []float64          `json:"EAP_SE_first30"`
	Reliability float64            `json:"empirical_reliability_EAP"`
	Information map[string]float64 `json:"test_information"`
}

func referenceAnswers(t *testing.T, names []string, elem ...string) *Answers {
	d := reftest.ReadCSV(t, elem...)
	a := &Answers{Names: names, Level: 0.95}
	for j, name := range names {
		col := d.Floats(t, name)
		if a.X == nil {
			a.X = mat.NewDense(len(col), len(names), nil)
			for i := range col {
				a.Unit = append(a.Unit, fmt.Sprintf("%06d", i))
			}
		}
		a.X.SetCol(j, col)
	}
	return a
}

// tol is absolute for parameters and relative for errors: mirt's EM stops early in the two models whose
// tolerance is wider, at a lower likelihood than ours.
func agreeWithMirt(t *testing.T, r *estimate.Result, ref referenceItems, names []string, tol float64) {
	t.Helper()
	reftest.Near(t, "loglik", r.Details["loglik"].(float64), ref.LogLik, 1e-8)
	require.Greater(t, r.Details["loglik"].(float64)-ref.LogLik, -1e-9)
	reftest.Agree(t, "aic", r.Details["aic"].(float64), ref.AIC, 10)
	reftest.Agree(t, "bic", r.Details["bic"].(float64), ref.BIC, 10)
	require.Less(t, r.Details["gradient_norm"].(float64), 1e-6)
	worst, worstSE := 0.0, 0.0
	for _, name := range names {
		want := ref.Intercepts[name]
		slope := named(t, r, name+"/a")
		reftest.Near(t, name+"/a", slope.Value, want["a1"], tol)
		worst = max(worst, math.Abs(slope.Value-want["a1"]))
		if se := ref.SE[name]["a1"]; se != nil {
			reftest.Near(t, name+" se", slope.SE / *se, 1, tol)
			worstSE = max(worstSE, math.Abs(slope.SE / *se - 1))
		} else {
			require.True(t, math.IsNaN(slope.SE))
		}
		for key, c := range r.Details["intercepts"].(map[string]map[string]Intercept)[name] {
			if _, one := want["d"]; one {
				key = "d"
			}
			reftest.Near(t, name+" "+key, c.Estimate, want[key], tol)
			worst = max(worst, math.Abs(c.Estimate-want[key]))
			reftest.Near(t, name+" se "+key, c.StdError / *ref.SE[name][key], 1, tol)
			worstSE = max(worstSE, math.Abs(c.StdError / *ref.SE[name][key] - 1))
		}
	}
	s := r.Details["scores"].(TraitScores)
	for i := range 30 {
		reftest.Near(t, "eap", s.EAP[i], ref.EAP[i], tol)
		reftest.Near(t, "eap se", s.SE[i], ref.SD[i], tol)
	}
	reftest.Agree(t, "reliability", r.Details["reliability"].(float64), ref.Reliability, 5)
	for at, v := range ref.Information {
		reftest.Agree(t, "information at "+at, r.Details["information"].(map[string]float64)[at], v, 5)
	}
	t.Logf("loglik %.3g, parameters %.2g, errors %.2g", r.Details["loglik"].(float64)-ref.LogLik, worst, worstSE)
}

// Reference: mirt 1.38.1 (case 06a), graded and generalised partial credit.
func TestScienceAgainstMirt(t *testing.T) {
	var ref struct{ Graded, GPCM referenceItems }
	reftest.ReadJSON(t, &ref, "06a_science_grm", "expected.json")
	names := []string{"Comfort", "Work", "Future", "Benefit"}
	a := referenceAnswers(t, names, "06a_science_grm", "data.csv")
	r, err := GradedResponse{}.Fit(context.Background(), a)
	require.NoError(t, err)
	agreeWithMirt(t, r, ref.Graded, names, 1e-7)
	r, err = PartialCredit{Slopes: true}.Fit(context.Background(), a)
	require.NoError(t, err)
	agreeWithMirt(t, r, ref.GPCM, names, 2e-5)
}

// Reference: mirt 1.38.1 (case 06b), two-parameter and Rasch.
func TestLSAT7AgainstMirt(t *testing.T) {
	var ref struct{ TwoPL, Rasch referenceItems }
	reftest.ReadJSON(t, &ref, "06b_lsat7_2pl", "expected.json")
	names := []string{"Item.1", "Item.2", "Item.3", "Item.4", "Item.5"}
	a := referenceAnswers(t, names, "06b_lsat7_2pl", "data.csv")
	r, err := TwoParameter{}.Fit(context.Background(), a)
	require.NoError(t, err)
	agreeWithMirt(t, r, ref.TwoPL, names, 1e-7)
	r, err = Rasch{}.Fit(context.Background(), a)
	require.NoError(t, err)
	agreeWithMirt(t, r, ref.Rasch, names, 2e-5)
	reftest.Agree(t, "variance", named(t, r, "trait/variance").Value, ref.Rasch.Variance, 4)
}
