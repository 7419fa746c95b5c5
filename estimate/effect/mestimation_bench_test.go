package effect

import (
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// wideFrame has n units and ten covariates.
func wideFrame(n int) *estimate.Frame {
	const k = 10
	s := num.NewStream(9, "bench", 0)
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, k, nil)}
	for j := range k {
		f.XNames = append(f.XNames, "x"+strconv.Itoa(j))
	}
	for i := range n {
		row := f.X.RawRowView(i)
		eta := -1.0
		for j := range row {
			row[j] = s.Normal()
			eta += 0.2 * row[j]
		}
		treated := s.Bernoulli(num.LogitLink.Mean(eta))
		f.Unit, f.Treated, f.Y = append(f.Unit, "u"+strconv.Itoa(i)), append(f.Treated, treated), append(f.Y, eta+s.Normal()+float64(index(treated)))
	}
	return f
}

func BenchmarkMeans(b *testing.B) {
	f := wideFrame(200_000)
	for _, c := range []struct {
		name string
		e    estimate.Estimator
	}{
		{"ipw", IPW{}}, {"g-computation", GComputation{Estimand: "ate"}}, {"aipw", AIPW{Estimand: "ate"}}, {"tmle", TMLE{Estimand: "ate"}},
		{"aipw 5 folds 5 repeats", AIPW{Estimand: "ate", Folds: 5}}, {"ipw 3 quantiles", IPW{Quantiles: []float64{0.25, 0.5, 0.75}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.e.Fit(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
