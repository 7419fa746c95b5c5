//go:build reference

package main

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/sensitivity"
	"utfall/internal/reftest"
)

// Case 07a: sensemakr.
func TestReferenceFitOmittedVariable(t *testing.T) {
	var ref struct {
		RV     float64 `json:"RV_q1"`
		RVA    float64 `json:"RV_q1_alpha05"`
		R2     float64 `json:"partial_r2_yd_x"`
		Bounds struct {
			Label []string
			B     []float64 `json:"adjusted_estimate"`
			SE    []float64 `json:"adjusted_se"`
			Lo    []float64 `json:"adjusted_lower_CI"`
		}
	}
	reftest.ReadJSON(t, &ref, "07a_darfur_sensemakr", "expected.json")
	a := fitted(t, "sensitivity", "--kind", "omitted-variable", "--data", casePath(t, "07a_darfur_sensemakr"), "--outcome", "peacefactor", "--treatment", "directlyharmed",
		"--covariates", "age,farmer_dar,herder_dar,pastvoted,hhsize_darfur,female,village", "--benchmark", "female,age,pastvoted", "--kd", "1,2,3")
	var worst float64
	near(t, &worst, "rv_q", a.get(t, "rv_q", "").Estimate, ref.RV, 1e-8)
	near(t, &worst, "rv_qa", a.get(t, "rv_qa", "").Estimate, ref.RVA, 1e-8)
	near(t, &worst, "r2", a.get(t, "r2yd.x", "").Estimate, ref.R2, 1e-8)
	for i, label := range ref.Bounds.Label {
		e := a.get(t, label, "coefficient")
		near(t, &worst, label, e.Estimate, ref.Bounds.B[i], 1e-8)
		near(t, &worst, label, e.StdError, ref.Bounds.SE[i], 1e-8)
		near(t, &worst, label, e.ConfLow, ref.Bounds.Lo[i], 1e-8)
	}
	digits(t, "07a", worst)
}

// Case 07c: the pairs of the case, one row a unit.
func TestReferenceFitRosenbaum(t *testing.T) {
	var ref struct {
		Signed []sensitivity.SignedRankBound `json:"signed_rank"`
	}
	reftest.ReadJSON(t, &ref, "07c_rosenbaum_pairs", "expected.json")
	f, err := os.Open(casePath(t, "07c_rosenbaum_pairs"))
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("pair,y,t\n")
	for _, r := range rows[1:] {
		b.WriteString(r[0] + "," + r[1] + ",1\n" + r[0] + "," + r[2] + ",0\n")
	}
	a := fitted(t, "sensitivity", "--kind", "rosenbaum", "--data", writeTestFile(t, "pairs.csv", b.String()), "--outcome", "y", "--treatment", "t", "--sets", "pair", "--gamma", "1,1.2,1.5,2,2.5,3,4,6")
	var got []sensitivity.SignedRankBound
	a.detail(t, "signed_rank", &got)
	var worst float64
	for i, w := range ref.Signed {
		require.Equal(t, w.W, got[i].W)
		near(t, &worst, "p-upper", &got[i].PUpper, w.PUpper, 1e-8)
		near(t, &worst, "z-lower", &got[i].ZLower, w.ZLower, 1e-8)
	}
	digits(t, "07c", worst)
}
