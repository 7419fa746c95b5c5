//go:build reference

package cohort

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
	"utfall/table"
)

// The reference cases are MatchIt 4.5.5 (optmatch) on R 4.2.2; see shared/reference.

type optimalReference struct {
	Sum      float64            `json:"sum_abs_distance_diff"`
	Exact    float64            `json:"exact_assignment_optimum"`
	Within   float64            `json:"sum_within_abs_distance"`
	Subclass map[string]string  `json:"subclass"`
	Weights  map[string]float64 `json:"weights"`
}

func TestReferenceOptimalPairs(t *testing.T) {
	tab, _ := lalonde(t, "01h2_lalonde_optimal_pair")
	var ref optimalReference
	reftest.ReadJSON(t, &ref, "01h2_lalonde_optimal_pair", "expected.json")
	// On our own scores, which are of a fit closer to the maximum than the reference's, 8 digits.
	for digits, d := range map[reftest.Digits]Spec{12: {Treatment: "treat", ID: "id", Score: "score"}, 8: {Treatment: "treat", ID: "id", Covariates: lalondeCovariates}} {
		m, err := Optimal{}.Match(t.Context(), tab, d)
		require.NoError(t, err)
		require.Equal(t, 185, m.Counts.Pairs)
		reftest.Agree(t, "total", m.Optimum.Total, ref.Sum, digits)
		reftest.Agree(t, "total of the assignment", m.Optimum.Total, ref.Exact, digits)
		require.LessOrEqual(t, m.Optimum.Total, ref.Sum*(1+1e-8))
		// The treated are all kept, so that what is of them alone is unique.
		for id, w := range ref.Weights {
			i, err := strconv.Atoi(id)
			require.NoError(t, err)
			if i <= 185 {
				require.Equal(t, w, m.Weight[i-1])
			}
		}
	}
}

func TestReferenceFull(t *testing.T) {
	tab, base := lalonde(t, "01h_lalonde_full")
	var ref optimalReference
	reftest.ReadJSON(t, &ref, "01h_lalonde_full", "expected.json")
	for digits, d := range map[reftest.Digits]Spec{12: {Treatment: "treat", ID: "id", Score: "score"}, 8: {Treatment: "treat", ID: "id", Covariates: lalondeCovariates}} {
		m, err := Full{}.Match(t.Context(), tab, d)
		require.NoError(t, err)
		require.Equal(t, 614, m.Counts.MatchedTreated+m.Counts.MatchedControl)
		require.LessOrEqual(t, m.Optimum.Total, ref.Within*(1+1e-8), "total not above the reference's")
		reftest.Agree(t, "total", m.Optimum.Total, ref.Within, digits)
		same, sets := 0, map[string]map[int]bool{}
		for id, s := range ref.Subclass {
			i, err := strconv.Atoi(id)
			require.NoError(t, err)
			if sets[s] == nil {
				sets[s] = map[int]bool{}
			}
			sets[s][m.Set[i-1]] = true
		}
		for _, s := range sets {
			if len(s) == 1 {
				same++
			}
		}
		worst := 0.0
		for id, w := range ref.Weights {
			i, _ := strconv.Atoi(id)
			worst = math.Max(worst, math.Abs(w-m.Weight[i-1]))
		}
		t.Logf("%d sets, %d of the reference's %d are within one of ours; largest difference of a weight %.3g", m.Counts.Sets, same, len(sets), worst)
		b, _, err := m.Balance(t.Context(), tab, Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates})
		require.NoError(t, err)
		for _, r := range b.Rows {
			if r.Variable == "distance" {
				want := base.Balance.Matched["distance"]
				reftest.Agree(t, "mean of the treated's scores", r.After.MeanTreated, *want.MeanTreated, min(digits, 10))
				t.Logf("SMD of the score %.5f, reference %.5f; pair distance %.5f, reference %.5f", r.After.SMD, *want.SMD, r.After.PairDistance, *want.PairDistance)
			}
		}
	}
}

// The linear relaxation of the same problem by lpSolve 5.6.18 on R 4.2.2 (every unit a variable between 0 and 1,
// SD of the treated, p(1-p) for 0 and 1): nobody can keep more than its whole part, and we keep that many.
func TestReferenceCardinality(t *testing.T) {
	tab, _ := lalonde(t, "01h_lalonde_full")
	for _, c := range []struct {
		tolerance float64
		ratio     int
		relaxed   float64
	}{{0.01, 1, 116.4233}, {0.01, 2, 72.76455}, {0.05, 1, 118.1478}, {0.05, 2, 73.84235}, {0.1, 1, 120.3765}, {0.1, 2, 75.23534}, {0.2, 1, 125.0963}, {0.2, 2, 78.18518}} {
		m, err := Cardinality{Tolerance: Width(c.tolerance), Ratio: c.ratio}.Match(t.Context(), tab, Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates})
		require.NoError(t, err)
		require.Equal(t, int(c.relaxed), m.Cardinality.Kept)
		require.Equal(t, int(c.relaxed), m.Cardinality.RootBound)
		require.True(t, m.Cardinality.Optimal)
		lp := relaxed(t, tab, c.tolerance, c.ratio)
		reftest.Agree(t, "relaxation", lp, c.relaxed, 6)
	}
}

func relaxed(t *testing.T, tab *table.Table, tolerance float64, ratio int) float64 {
	t.Helper()
	d := Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}
	u, err := readUnits(tab, d)
	require.NoError(t, err)
	m := Cardinality{Tolerance: Width(tolerance), Ratio: ratio}.defaults()
	p, err := m.problem(tab, newStrata(u, d, ATT))
	require.NoError(t, err)
	return p.relaxation().Maximize(10_000).Bound
}
