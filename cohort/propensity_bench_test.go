package cohort

import (
	"testing"

	"utfall/internal/num"
	"utfall/table"
)

// BenchmarkPropensity times the models: 20 columns; a million units for the logit, fewer
// for those that fit it many times.
func BenchmarkPropensity(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
		s    PropensitySpec
	}{
		{"logit-1M", 1_000_000, PropensitySpec{}},
		{"lasso-cv10-50k", 50_000, PropensitySpec{Model: LassoModel}},
		{"ridge-cv10-50k", 50_000, PropensitySpec{Model: RidgeModel}},
		{"boosted-cv10-50k", 50_000, PropensitySpec{Model: BoostedModel, Rounds: 50}},
		{"multilevel-50k-290-sites", 50_000, PropensitySpec{Model: MultilevelModel, Site: "site"}},
	} {
		s := num.NewStream(17, "bench-propensity", 0)
		x := make([][]float64, 20)
		treat, site, id := make([]bool, c.n), make([]int64, c.n), make([]int64, c.n)
		for i := range c.n {
			eta := -1.5
			for j := range x {
				v := s.Normal()
				x[j] = append(x[j], v)
				eta += 0.1 * v
			}
			site[i], id[i] = int64(s.Intn(290)), int64(i)
			treat[i] = s.Bernoulli(num.LogitLink.Mean(eta + 0.002*float64(site[i])))
		}
		cols := []table.Column{table.NewInteger(table.Field{Name: "id"}, id, nil), table.NewBoolean(table.Field{Name: "treated"}, treat, nil), table.NewInteger(table.Field{Name: "site"}, site, nil)}
		for j := range x {
			name := string(rune('a' + j))
			c.s.Covariates = append(c.s.Covariates, name)
			cols = append(cols, table.NewFloat(table.Field{Name: name}, x[j], nil))
		}
		tab, err := table.New(cols...)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.s.Fit(b.Context(), tab, Spec{Treatment: "treated", ID: "id"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
