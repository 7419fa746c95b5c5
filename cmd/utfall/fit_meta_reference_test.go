//go:build reference

package main

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"utfall/internal/reftest"
)

// Case 08d: metafor's REML and BLUPs of 60 municipalities.
func TestReferenceFitMeta(t *testing.T) {
	var ref struct {
		REML struct {
			Estimate map[string]float64
			SE       map[string]float64
			Tau2     float64
			Blup     []float64
			BlupSE   []float64 `json:"blup_se"`
		}
	}
	reftest.ReadJSON(t, &ref, "08d_municipal_eb", "expected.json")
	a := fitted(t, "meta", "--data", casePath(t, "08d_municipal_eb"), "--id", "municipality", "--effect", "effect", "--se", "se", "--method", "reml")
	var worst float64
	near(t, &worst, "pooled", a.get(t, "pooled", "").Estimate, ref.REML.Estimate["intrcpt"], 1e-8)
	near(t, &worst, "se", a.get(t, "pooled", "").StdError, ref.REML.SE["intrcpt"], 1e-8)
	near(t, &worst, "tau2", a.get(t, "tau2", "").Estimate, ref.REML.Tau2, 1e-8)
	for i := range ref.REML.Blup {
		e := a.get(t, fmt.Sprintf("unit=m%02d", i+1), "")
		near(t, &worst, "blup", e.Estimate, ref.REML.Blup[i], 1e-8)
		near(t, &worst, "blup se", e.StdError, ref.REML.BlupSE[i], 1e-8)
	}
	digits(t, "08d", worst)
}

// Case 09a: mice's pool of the linear model.
func TestReferenceFitPool(t *testing.T) {
	var ref struct {
		LM struct {
			Per []struct {
				Estimate, SE map[string]float64
			} `json:"per_imputation"`
			Pooled map[string]struct {
				SE, Fmi, P float64
				DF         float64 `json:"df_barnard_rubin"`
				Lo         float64 `json:"ci_lb"`
			}
		} `json:"lm_chl"`
	}
	reftest.ReadJSON(t, &ref, "09a_nhanes_pool", "expected.json")
	args := []string{"pool"}
	for i, p := range ref.LM.Per {
		var terms []string
		for term := range p.Estimate {
			terms = append(terms, term)
		}
		sort.Strings(terms)
		var b strings.Builder
		b.WriteString("term,estimate,std_error,df\n")
		for _, term := range terms {
			fmt.Fprintf(&b, "%s,%v,%v,22\n", term, p.Estimate[term], p.SE[term])
		}
		args = append(args, "--data", writeTestFile(t, fmt.Sprintf("imp%d.csv", i), b.String()))
	}
	a := fitted(t, args...)
	var fmi map[string]float64
	a.detail(t, "fmi", &fmi)
	var worst float64
	for term, w := range ref.LM.Pooled {
		e, v := a.get(t, term, ""), fmi[term]
		near(t, &worst, term+" se", e.StdError, w.SE, 1e-8)
		near(t, &worst, term+" df", e.DF, w.DF, 1e-8)
		near(t, &worst, term+" p", e.PValue, w.P, 1e-8)
		near(t, &worst, term+" low", e.ConfLow, w.Lo, 1e-8)
		near(t, &worst, term+" fmi", &v, w.Fmi, 1e-8)
	}
	digits(t, "09a", worst)
}
