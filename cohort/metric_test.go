package cohort

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
	"utfall/table"
)

// distancesByHand: treated rows 0 and 1, untreated 2, 3, 4; x = 1 2 | 4 8 16.
//
// mahalanobis and euclidean: within-group squares ½ and (16/3)² + (4/3)² + (20/3)² = 672/9;
// S = (½ + 224/3)/3. robust: ranks 1…5, variance 5·6/12 = 5/2, whatever the values.
func TestMetricByHand(t *testing.T) {
	tab, err := table.New(
		table.NewBoolean(table.Field{Name: "treated"}, []bool{true, true, false, false, false}, nil),
		table.NewFloat(table.Field{Name: "x"}, []float64{1, 2, 4, 8, 16}, nil),
		table.NewInteger(table.Field{Name: "b"}, []int64{0, 1, 1, 0, 1}, nil),
		table.NewFloat(table.Field{Name: "tied"}, []float64{3, 3, 3, 9, 20}, nil),
	)
	require.NoError(t, err)
	distance := func(kind string, columns ...string) func(a, b int32) float64 {
		u, err := readUnits(tab, Spec{Treatment: "treated"})
		require.NoError(t, err)
		cov, err := readCovariates(tab, columns, nil)
		require.NoError(t, err)
		w, err := whiten(kind, cov, u, 1)
		require.NoError(t, err)
		return func(a, b int32) float64 { return w.between(a, b, make([]float64, len(w.scale))) }
	}
	s := math.Sqrt((0.5 + 224.0/3) / 3)
	reftest.Agree(t, "mahalanobis", distance(MahalanobisDistance, "x")(0, 4), 15/s, 13)
	reftest.Agree(t, "euclidean", distance(EuclideanDistance, "x")(1, 2), 2/s, 13)
	reftest.Agree(t, "robust", distance(RobustMahalanobisDistance, "x")(0, 4), 4/math.Sqrt(2.5), 13)
	// Mid-ranks 2 2 2 4 5; their variance is made that of 1…5, which changes no distance in ranks: 2.5 again.
	reftest.Agree(t, "robust with ties", distance(RobustMahalanobisDistance, "tied")(1, 3), 2/math.Sqrt(2.5), 13)
	// A number column of 0 and 1: p(1-p) within groups, ½·½·2 + ⅔·⅓·3 = 7/6, over 5.
	reftest.Agree(t, "euclidean 0/1", distance(EuclideanDistance, "b")(0, 1), 1/math.Sqrt(7.0/30), 13)
	// Two columns, by the 2×2 inverse of S: squares a, c and product p, each over 3.
	// b within groups: -½ ½ | ⅓ -⅔ ⅓; x: -½ ½ | -16/3 -4/3 20/3.
	a, c := (0.5+224.0/3)/3, (0.5+2.0/3)/3
	p := (0.5 + (-16.0/9 + 8.0/9 + 20.0/9)) / 3
	dx, db := -3.0, -1.0 // row 0 less row 2
	want := math.Sqrt((c*dx*dx - 2*p*dx*db + a*db*db) / (a*c - p*p))
	reftest.Agree(t, "mahalanobis, two columns", distance(MahalanobisDistance, "x", "b")(0, 2), want, 12)
	reftest.Agree(t, "euclidean, two columns", distance(EuclideanDistance, "x", "b")(0, 2), math.Sqrt(9/a+1/(7.0/30)), 12)
}

// A column that depends on others changes no Mahalanobis distance and is noted, as is a constant.
func TestMetricRedundantColumns(t *testing.T) {
	tab := byHand(t)
	age, err := tab.Float("age")
	require.NoError(t, err)
	twice, same := make([]float64, 7), make([]float64, 7)
	for i, v := range age.Values {
		twice[i] = 5 - 2*v
	}
	for _, c := range []table.Column{table.NewFloat(table.Field{Name: "twice"}, twice, nil), table.NewFloat(table.Field{Name: "same"}, same, nil)} {
		tab, err = tab.With(c)
		require.NoError(t, err)
	}
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"age", "sex"}}
	base, err := Nearest{Distance: MahalanobisDistance}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	d.Covariates = []string{"age", "sex", "twice", "same"}
	more, err := Nearest{Distance: MahalanobisDistance}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.Equal(t, base.Pairs, more.Pairs)
	for i := range base.PairDistance {
		reftest.Agree(t, "distance", more.PairDistance[i], base.PairDistance[i], 9)
	}
	require.Subset(t, codes(more.Notes), []string{"constant-covariate", "collinear-covariate"})
	require.NotContains(t, codes(base.Notes), "collinear-covariate")
}

// The note on scarce partners starts above a third: one unit and three partners are enough.
func TestNearestFewControlsBoundary(t *testing.T) {
	for _, c := range []struct {
		ratio, controls int
		note            bool
	}{{1, 3, false}, {1, 2, true}, {2, 6, false}, {2, 5, true}} {
		treat, score := []bool{true}, []float64{0}
		for i := range c.controls {
			treat, score = append(treat, false), append(score, float64(i))
		}
		tab, err := table.New(table.NewBoolean(table.Field{Name: "treated"}, treat, nil), table.NewFloat(table.Field{Name: "score"}, score, nil))
		require.NoError(t, err)
		m, err := Nearest{Ratio: c.ratio}.Match(t.Context(), tab, Spec{Treatment: "treated", Score: "score"})
		require.NoError(t, err)
		require.Equal(t, c.note, len(m.Notes) > 0 && m.Notes[0].Code == "few-controls", "%+v", c)
	}
}
