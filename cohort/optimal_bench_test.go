package cohort

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// rivals are n units of whom a share is treated and has higher scores, so that many treated want
// the same partners, in equal blocks.
func rivals(t testing.TB, treated, untreated, blocks int, shift float64) *table.Table {
	t.Helper()
	n := treated + untreated
	id, treat, score, block := make([]string, n), make([]bool, n), make([]float64, n), make([]int64, n)
	x := [3][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
	for i := range n {
		s := num.NewStream(3, "rivals", uint64(i))
		id[i], treat[i], block[i] = fmt.Sprintf("P%07d", i), i < treated, int64(i%blocks)
		score[i] = s.Normal()
		if treat[i] {
			score[i] += shift
		}
		for j := range x {
			x[j][i] = s.Normal() + score[i]/3
		}
	}
	tab, err := table.New(
		table.NewText(table.Field{Name: "id"}, id, nil), table.NewBoolean(table.Field{Name: "treated"}, treat, nil),
		table.NewFloat(table.Field{Name: "score"}, score, nil), table.NewInteger(table.Field{Name: "block"}, block, nil),
		table.NewFloat(table.Field{Name: "x0"}, x[0], nil), table.NewFloat(table.Field{Name: "x1"}, x[1], nil), table.NewFloat(table.Field{Name: "x2"}, x[2], nil),
	)
	require.NoError(t, err)
	return tab
}

func BenchmarkOptimal(b *testing.B) {
	metric := Spec{Treatment: "treated", ID: "id", Covariates: threeCovariates}
	for _, c := range []struct {
		name                       string
		treated, untreated, blocks int
		m                          Matcher
		d                          Spec
	}{
		{"pairs-5000x50000-in-20-blocks", 5000, 50000, 20, Optimal{Exact: []string{"block"}}, scoreSpec},
		{"pairs-5000x50000-in-20-blocks-mahalanobis", 5000, 50000, 20, Optimal{Distance: MahalanobisDistance, Exact: []string{"block"}}, metric},
		{"pairs-2000x20000-in-1-block", 2000, 20000, 1, Optimal{}, scoreSpec},
		{"pairs-2000x20000-in-1-block-mahalanobis", 2000, 20000, 1, Optimal{Distance: MahalanobisDistance}, metric},
		{"pairs-5000x50000-in-1-block", 5000, 50000, 1, Optimal{}, scoreSpec},
		{"full-5000x50000-in-20-blocks", 5000, 50000, 20, Full{Exact: []string{"block"}}, scoreSpec},
		{"full-2000x20000-in-1-block", 2000, 20000, 1, Full{}, scoreSpec},
		{"full-5000x50000-in-20-blocks-max-20", 5000, 50000, 20, Full{Exact: []string{"block"}, MaxControls: 20}, scoreSpec},
	} {
		b.Run(c.name, func(b *testing.B) {
			tab := rivals(b, c.treated, c.untreated, c.blocks, 1.5)
			b.ReportAllocs()
			for b.Loop() {
				got, err := c.m.Match(b.Context(), tab, c.d)
				require.NoError(b, err)
				b.ReportMetric(float64(got.Optimum.Offered), "arcs")
				b.ReportMetric(float64(got.Counts.Sets), "sets")
			}
		})
	}
}

func BenchmarkCardinality(b *testing.B) {
	for _, n := range [][2]int{{185, 429}, {1000, 5000}, {5000, 50000}} {
		b.Run(fmt.Sprintf("%dx%d", n[0], n[1]), func(b *testing.B) {
			tab := rivals(b, n[0], n[1], 4, 1)
			b.ReportAllocs()
			for b.Loop() {
				got, err := Cardinality{Exact: []string{"block"}}.Match(b.Context(), tab, Spec{Treatment: "treated", ID: "id", Covariates: threeCovariates})
				require.NoError(b, err)
				b.ReportMetric(float64(got.Cardinality.Kept), "kept")
				b.ReportMetric(float64(got.Cardinality.Gap), "gap")
				b.ReportMetric(float64(got.Cardinality.Nodes), "nodes")
			}
		})
	}
}
