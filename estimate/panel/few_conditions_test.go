package panel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// oneTerm is the overall effect of a panel, described.
func oneTerm(t *testing.T, f *Frame, o FewOptions) *fewTerm {
	t.Helper()
	require.NoError(t, o.check(mustFit(t, GroupTime{}, f)))
	w, err := mustFit(t, GroupTime{}, f).prepareFew(o, f.Level)
	require.NoError(t, err)
	term := w.terms(Simple, nil)[0]
	term.spread()
	return term
}

// One treated unit has no residual: of the variance (1 + 1/3)σ² it has 1 and the three
// others 1/3, so that alone is 3/4. From the others, 0, 1 and 2, V = 1/3 (Welch's part,
// σ² = 1), and over 1 - 3/4 it is 4/3 = (1 + 1/3)·1: what equal variances give.
func TestFewAloneByHand(t *testing.T) {
	term := oneTerm(t, twoGroups([]float64{5}, []float64{0, 1, 2}), FewOptions{})
	reftest.Agree(t, "alone", term.design.Alone, 0.75, 14)
	reftest.Agree(t, "cr2", term.sandwich(0.5), 4.0/3, 14)
	require.Equal(t, "inference-lone-cohorts", term.fails(FewCR2).Code)
}

// Own effects 2 and 4: at a tested value b they are 2 - b and 4 - b, with mean 3 - b, and
// with one sign changed ±1. The p-value is 1 where |3 - b| ≤ 1, else 1/2: at level 0.45
// the interval is 2 to 4.
func TestFewSignChangesIntervalByHand(t *testing.T) {
	f := twoGroups([]float64{3, 5}, []float64{0, 1, 2})
	f.Level = 0.45
	r := mustInfer(t, f, GroupTime{}, Simple, FewOptions{Method: FewSignChanges})
	reftest.Agree(t, "lower", r.Terms[0].Estimate.CI.Lo, 2, 8)
	reftest.Agree(t, "upper", r.Terms[0].Estimate.CI.Hi, 4, 8)
	reftest.Agree(t, "p", r.Terms[0].Estimate.Test.P, 0.5, 14)
}

// Two treated of five: 2^1 signs and C(5,2) assignments, 1 + C(3,2) placebos and 1 + 3²
// draws of three donors, 2^4 wild patterns.
func TestFewSmallestP(t *testing.T) {
	term := oneTerm(t, twoGroups([]float64{3, 5}, []float64{0, 1, 2}), FewOptions{})
	for m, want := range map[FewMethod]float64{FewSignChanges: 1.0 / 2, FewRandomisation: 1.0 / 10, FewPlacebo: 1.0 / 4, FewConleyTaber: 1.0 / 10, FewFermanPinto: 1.0 / 10, FewWild: 1.0 / 16, FewCR2: 0} {
		reftest.Near(t, string(m), term.leastP(m), want, 1e-15)
	}
	require.Equal(t, 7, term.enough())
}

// Each condition by itself.
func TestFewConditions(t *testing.T) {
	changes := func(n int, from float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = from + float64(i*i%7)
		}
		return out
	}
	code := func(term *fewTerm, m FewMethod) string { return term.fails(m).Code }
	few := oneTerm(t, twoGroups(changes(8, 1), changes(12, 0)), FewOptions{})
	require.Equal(t, "inference-shared-comparison", code(few, FewSignChanges)) // 7/13
	require.Equal(t, "inference-few-donors", code(few, FewConleyTaber))
	require.Equal(t, "inference-few-donors", code(few, FewPlacebo))
	require.Equal(t, "inference-no-size", code(oneTerm(t, twoGroups(changes(2, 1), changes(60, 0)), FewOptions{}), FewFermanPinto))
	require.Empty(t, code(oneTerm(t, twoGroups(changes(8, 1), changes(80, 0)), FewOptions{}), FewSignChanges)) // 7/81
	require.Equal(t, "inference-few-df", code(oneTerm(t, twoGroups(changes(2, 1), changes(60, 0)), FewOptions{}), FewCR2))
	require.Equal(t, "inference-not-computed", code(oneTerm(t, twoGroups(changes(8, 1), changes(4000, 0)), FewOptions{Draws: 1 << 20}), FewWild))
	// Clusters that mix entry dates, and such that hold whole ones.
	f := twoGroups(changes(4, 1), changes(36, 0))
	for _, u := range f.Unit {
		f.Cluster = append(f.Cluster, u[1:])
	}
	require.Equal(t, "inference-mixed-clusters", code(oneTerm(t, f, FewOptions{}), FewRandomisation))
	for i, u := range f.Unit {
		f.Cluster[i] = u[:2] // treated t0, others c0 … c3
	}
	require.Equal(t, "inference-few-patterns", code(oneTerm(t, f, FewOptions{}), FewRandomisation))
	// Weights that change, covariates with propensities, outcomes that do not vary.
	f = twoGroups(changes(4, 1), changes(36, 0))
	for i := range f.Unit {
		f.Weight = append(f.Weight, float64(1+i%2))
	}
	require.Equal(t, "inference-weights-vary", code(oneTerm(t, f, FewOptions{}), FewRandomisation))
	flat := mustInfer(t, twoGroups(make([]float64, 8), make([]float64, 9)), GroupTime{}, Simple, FewOptions{})
	require.Equal(t, "inference-no-variation", flat.Terms[0].Why.Code)
	require.True(t, math.IsNaN(flat.Terms[0].Estimate.SE))
	x := fewScenario{units: 60, treated: 20, covariate: true}.draw(1)
	r := mustFit(t, GroupTime{}, x) // doubly robust
	_, err := r.Infer(t.Context(), Simple, FewOptions{Method: FewPlacebo})
	require.ErrorContains(t, err, "method reg")
	for _, o := range []FewOptions{{Method: "best"}, {Draws: 5}, {Level: 2}, {Statistic: "t"}, {Statistic: Difference, Method: FewWild}, {Method: FewFermanPinto}, {Size: map[string]float64{}}} {
		_, err = r.Infer(t.Context(), Simple, o)
		require.ErrorIs(t, err, ErrOption)
	}
}

// Units that stay treated have the cohort of their first treated period.
func TestEntries(t *testing.T) {
	got, err := Entries([]string{"a", "b", "a", "b"}, []int{2, 1, 1, 2}, []bool{true, false, false, false})
	require.NoError(t, err)
	require.Equal(t, []int{2, 0, 2, 0}, got)
	_, err = Entries([]string{"a", "a"}, []int{1, 2}, []bool{true, false})
	require.ErrorIs(t, err, ErrNotAbsorbing)
	_, err = Entries([]string{"a", "a"}, []int{0, 1}, []bool{false, false})
	require.ErrorIs(t, err, ErrOption)
}
