package cohort

import (
	"fmt"
	"runtime"
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

// tenMillion is a register of the size of a country: a score given, 42 groups of sex and
// county, 28,824 treated.
func tenMillion(b *testing.B, n int) *table.Table {
	score, treat := make([]float64, n), make([]bool, n)
	sex, county := make([]bool, n), make([]int32, n)
	num.ForChunks(n, 0, func(c, lo, hi int) {
		s := num.NewStream(7, "ten million", uint64(c))
		for i := lo; i < hi; i++ {
			score[i] = num.LogitLink.Mean(s.Normal() - 6.34)
			treat[i], sex[i], county[i] = s.Bernoulli(score[i]), s.Bernoulli(0.5), int32(s.Intn(21))
		}
	})
	ids, ends := make([]byte, 0, 9*n), make([]int32, n+1)
	for i := range n {
		ids = fmt.Appendf(ids, "P%08d", i)
		ends[i+1] = int32(len(ids))
	}
	levels := make([]string, 21)
	for i := range levels {
		levels[i] = string(rune('A' + i))
	}
	id, err := table.NewTextBytes(table.Field{Name: "id"}, ids, ends, nil)
	require.NoError(b, err)
	c, err := table.NewCategory(table.Field{Name: "county"}, county, levels, nil)
	require.NoError(b, err)
	tab, err := table.New(id, table.NewBoolean(table.Field{Name: "treated"}, treat, nil), table.NewFloat(table.Field{Name: "score"}, score, nil),
		table.NewBoolean(table.Field{Name: "sex"}, sex, nil), c)
	require.NoError(b, err)
	return tab
}

// Peak is the memory that the process holds in all, with the table.
func BenchmarkNearestExactBlocks(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		tab := tenMillion(b, n)
		b.Run(fmt.Sprintf("sex-and-county-%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got, err := Nearest{Caliper: 0.2, Exact: []string{"sex", "county"}}.Match(b.Context(), tab, Spec{Treatment: "treated", ID: "id", Score: "score"})
				require.NoError(b, err)
				b.ReportMetric(float64(got.Counts.Sets), "sets")
			}
			var held runtime.MemStats
			runtime.ReadMemStats(&held)
			b.ReportMetric(float64(held.Sys>>20), "MiB-held")
		})
	}
}
