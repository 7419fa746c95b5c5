package combine

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

func close13(t *testing.T, want, got float64) {
	t.Helper()
	if d := reftest.LRE(got, want); d < 13 {
		t.Errorf("got %.17g, want %.17g", got, want)
	}
}

func imputed(name string, df float64, pairs ...float64) Imputed {
	out := Imputed{Name: name}
	for i := 0; i < len(pairs); i += 2 {
		out.Estimates = append(out.Estimates, estimate.Estimate{Term: string(rune('a' + i/2)), Measure: estimate.Coefficient, Value: pairs[i], SE: pairs[i+1]})
		out.DF = append(out.DF, df)
	}
	return out
}

// Estimates 1, 2, 3 with SE² 1, 2, 3: q̄ 2, ū 2, b 1, T = 2 + 4/3 = 10/3; λ = 4/10,
// r = 2/3, ν₁ = 2/(4/25) = 12.5. Complete-data df 9: ν₂ = (10/12)·9·(6/10) = 4.5;
// df = 12.5·4.5/17 = 56.25/17. fmi = (2/3 + 2/(df+3))·3/5.
func TestRubinByHand(t *testing.T) {
	tables := func(df float64) []Imputed {
		return []Imputed{imputed("1", df, 3, math.Sqrt(3)), imputed("2", df, 1, 1), imputed("3", df, 2, math.Sqrt2)}
	}
	r, err := Rubin{Level: .9}.Pool(tables(9))
	require.NoError(t, err)
	e := r.Estimates[0]
	close13(t, 2, e.Value)
	close13(t, math.Sqrt(10./3), e.SE)
	close13(t, 56.25/17, e.Test.DF)
	want := estimate.Wald("a", estimate.Coefficient, 2, e.SE, e.Test.DF, .9)
	require.Equal(t, want, e)
	d := func(name string) float64 { return r.Details[name].(map[string]float64)["a"] }
	close13(t, .4, d("lambda"))
	close13(t, 2./3, d("riv"))
	close13(t, 12.5, d("df_rubin1987"))
	close13(t, (2./3+2/(56.25/17+3))*.6, d("fmi"))
	close13(t, 9, d("dfcom"))
	require.Equal(t, 3, r.Details["m"])

	r, err = Rubin{Level: .9}.Pool(tables(math.Inf(1)))
	require.NoError(t, err)
	close13(t, 12.5, r.Estimates[0].Test.DF)
	close13(t, (2./3+2/15.5)*.6, r.Details["fmi"].(map[string]float64)["a"])

	none := tables(9)
	for i := range none {
		none[i].DF = nil
	}
	r, err = Rubin{Level: .9}.Pool(none)
	require.NoError(t, err)
	close13(t, 12.5, r.Estimates[0].Test.DF)
}

func TestRubinEdges(t *testing.T) {
	// No spread between: the complete-data answer with Barnard and Rubin's ν₂, fmi 0.
	r, err := Rubin{Level: .95}.Pool([]Imputed{imputed("1", 9, 2, .5), imputed("2", 9, 2, .5)})
	require.NoError(t, err)
	close13(t, .5, r.Estimates[0].SE)
	close13(t, 7.5, r.Estimates[0].Test.DF)
	require.Zero(t, r.Details["fmi"].(map[string]float64)["a"])
	// No spread within: all of the information is missing.
	r, err = Rubin{Level: .95}.Pool([]Imputed{imputed("1", 9, 2, 0), imputed("2", 9, 4, 0)})
	require.NoError(t, err)
	require.Equal(t, 1., r.Details["fmi"].(map[string]float64)["a"])
	close13(t, math.Sqrt(3), r.Estimates[0].SE)
	// A constant has no test.
	r, err = Rubin{Level: .95}.Pool([]Imputed{imputed("1", 9, 2, 0), imputed("2", 9, 2, 0)})
	require.NoError(t, err)
	require.True(t, math.IsNaN(r.Estimates[0].Test.P))
	// The smallest df of those that differ.
	a, err := Rubin{Level: .95}.Pool([]Imputed{imputed("1", 9, 2, 1), imputed("2", 90, 3, 1)})
	require.NoError(t, err)
	require.Equal(t, "df-differ", a.Notes[0].Code)
	require.Equal(t, 9., a.Details["dfcom"].(map[string]float64)["a"])
}

// Order of tables and of rows within all but the first, and scale.
func TestRubinRelations(t *testing.T) {
	one, two, three := imputed("1", 20, 1, .5, 8, 1), imputed("2", 20, 1.5, .4, 7, 2), imputed("3", 20, .5, .7, 9, 1)
	want, err := Rubin{Level: .95}.Pool([]Imputed{one, two, three})
	require.NoError(t, err)
	two.Estimates[0], two.Estimates[1] = two.Estimates[1], two.Estimates[0]
	got, err := Rubin{Level: .95}.Pool([]Imputed{one, two, three})
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, tab := range []Imputed{one, two, three} {
		for i := range tab.Estimates {
			tab.Estimates[i].Value *= 4
			tab.Estimates[i].SE *= 4
		}
	}
	got, err = Rubin{Level: .95}.Pool([]Imputed{one, two, three})
	require.NoError(t, err)
	require.Equal(t, 4*want.Estimates[1].SE, got.Estimates[1].SE)
	require.Equal(t, want.Estimates[1].Test.P, got.Estimates[1].Test.P)
	require.Equal(t, want.Details["fmi"], got.Details["fmi"])
}

func TestRubinErrors(t *testing.T) {
	ok := imputed("1", 9, 1, 1, 2, 1)
	fewer := imputed("2", 9, 1, 1)
	other := imputed("2", 9, 1, 1, 2, 1)
	other.Estimates[1].Term = "z"
	twice := imputed("2", 9, 1, 1, 2, 1)
	twice.Estimates[1].Term = "a"
	for _, c := range []struct {
		tables []Imputed
		is     error
	}{
		{[]Imputed{ok}, estimate.ErrTooFew},
		{[]Imputed{{}, {}}, estimate.ErrTooFew},
		{[]Imputed{ok, fewer}, ErrTables},
		{[]Imputed{ok, other}, ErrTables},
		{[]Imputed{ok, twice}, ErrTables},
		{[]Imputed{ok, imputed("2", 9, math.NaN(), 1, 2, 1)}, estimate.ErrInvalidFrame},
		{[]Imputed{ok, imputed("2", 9, 1, -1, 2, 1)}, estimate.ErrInvalidFrame},
		{[]Imputed{ok, imputed("2", 0, 1, 1, 2, 1)}, estimate.ErrInvalidFrame},
	} {
		_, err := Rubin{Level: .95}.Pool(c.tables)
		require.ErrorIs(t, err, c.is)
	}
	_, err := Rubin{}.Pool([]Imputed{ok, ok})
	require.ErrorIs(t, err, ErrOption)
}
