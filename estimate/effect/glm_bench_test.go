package effect

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// logitFrame is n units with k standard normal covariates and an outcome of 0 and 1.
func logitFrame(n, k int) *estimate.Frame {
	f := &estimate.Frame{Y: make([]float64, n), X: mat.NewDense(n, k, nil), Level: 0.95}
	for j := range k {
		f.XNames = append(f.XNames, fmt.Sprintf("x%d", j))
	}
	for i := range n {
		st := num.NewStream(9, "bench", uint64(i))
		eta, row := -0.5, f.X.RawRowView(i)
		for j := range row {
			row[j] = st.Normal()
			eta += float64(0.1 * float64(j%3-1) * row[j])
		}
		f.Unit = append(f.Unit, fmt.Sprintf("%08d", i))
		if st.Float() < 1/(1+math.Exp(-eta)) {
			f.Y[i] = 1
		}
	}
	return f
}

// Logistic regression of a million people on 20 covariates with classical and with robust errors.
func BenchmarkLogisticRegression(b *testing.B) {
	f := logitFrame(1000000, 20)
	for _, v := range []Vcov{"iid", "hc1"} {
		b.Run(string(v), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (GLM{Family: "binomial", Vcov: v}).Fit(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
