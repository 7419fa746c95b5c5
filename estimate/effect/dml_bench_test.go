package effect

import (
	"testing"

	"utfall/estimate"
)

func BenchmarkDML(b *testing.B) {
	f := wideFrame(20_000)
	for _, c := range []struct {
		name string
		e    estimate.Estimator
	}{
		{"logistic", DML{Repeats: 1}}, {"ridge", DML{Nuisance: RidgeNuisance, Repeats: 1}}, {"lasso", DML{Nuisance: LassoNuisance, Repeats: 1}},
		{"boosted", DML{Nuisance: BoostedNuisance, Repeats: 1}}, {"cate logistic", Heterogeneity{Repeats: 1}},
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
