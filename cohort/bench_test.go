package cohort

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// register simulates n people of whom about 2.85 % are treated, with 8 covariates:
// 5 numbers, 2 of 0 and 1, and a category of 6 levels.
func register(t testing.TB, n int) (*table.Table, []string) {
	t.Helper()
	x := make([][]float64, 7)
	for j := range x {
		x[j] = make([]float64, n)
	}
	treat := make([]bool, n)
	id := make([]string, n)
	region := make([]int32, n)
	for i := range n {
		s := num.NewStream(7, "bench", uint64(i))
		eta := -4.1
		for j := range 5 {
			x[j][i] = s.Normal()
			eta += 0.3 * x[j][i]
		}
		for j := 5; j < 7; j++ {
			if s.Bernoulli(0.3) {
				x[j][i] = 1
				eta += 0.5
			}
		}
		region[i] = int32(s.Intn(6))
		eta += 0.1 * float64(region[i])
		treat[i] = s.Bernoulli(num.LogitLink.Mean(eta))
		id[i] = fmt.Sprintf("P%08d", i)
	}
	cols := []table.Column{
		table.NewText(table.Field{Name: "id"}, id, nil),
		table.NewBoolean(table.Field{Name: "treated"}, treat, nil),
	}
	var names []string
	for j := range x {
		names = append(names, fmt.Sprintf("x%d", j))
		cols = append(cols, table.NewFloat(table.Field{Name: names[j]}, x[j], nil))
	}
	c, err := table.NewCategory(table.Field{Name: "region"}, region, []string{"a", "b", "c", "d", "e", "f"}, nil)
	require.NoError(t, err)
	tab, err := table.New(append(cols, c)...)
	require.NoError(t, err)
	return tab, append(names, "region")
}

func BenchmarkNearest(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		tab, names := register(b, n)
		d := Spec{Treatment: "treated", ID: "id", Covariates: names}
		fit, err := Propensity{Covariates: names}.Fit(b.Context(), tab, d)
		require.NoError(b, err)
		scored, err := tab.With(table.NewFloat(table.Field{Name: "score"}, fit.Score, nil))
		require.NoError(b, err)
		run := func(name string, tab *table.Table, m Nearest, d Spec) {
			b.Run(fmt.Sprintf("%s-%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					got, err := m.Match(b.Context(), tab, d)
					require.NoError(b, err)
					b.ReportMetric(float64(got.Counts.Sets), "sets")
				}
			})
		}
		run("fit-and-caliper", tab, Nearest{Caliper: 0.2}, d)
		run("score-and-caliper", scored, Nearest{Caliper: 0.2}, Spec{Treatment: "treated", ID: "id", Score: "score"})
		run("score-exact-ratio3", scored, Nearest{Caliper: 0.2, Ratio: 3, Exact: []string{"region"}}, Spec{Treatment: "treated", ID: "id", Score: "score"})
		run("score-replace3", scored, Nearest{Ratio: 3, Replace: true}, Spec{Treatment: "treated", ID: "id", Score: "score"})
		run("score-closest", scored, Nearest{Order: ClosestOrder}, Spec{Treatment: "treated", ID: "id", Score: "score"})
		run("mahalanobis-caliper-score", scored, Nearest{Distance: MahalanobisDistance, CaliperScore: 0.2}, Spec{Treatment: "treated", ID: "id", Score: "score", Covariates: names})
	}
}

func BenchmarkBalance(b *testing.B) {
	tab, names := register(b, 1_000_000)
	d := Spec{Treatment: "treated", ID: "id", Covariates: names}
	m, err := Nearest{Caliper: 0.2}.Match(b.Context(), tab, d)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, _, err := m.Balance(b.Context(), tab, d)
		require.NoError(b, err)
	}
}
