//go:build reference

package cohort

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
	"utfall/table"
)

// MatchIt 4.5.5 on R 4.2.2: the partition exactly, weights 13 digits, balance 11.

type cellsReference struct {
	Subclass map[string]*string `json:"subclass"`
	Weights  map[string]float64 `json:"weights"`
	Score    map[string]float64 `json:"distance_propensity"`
	Cuts     map[string]float64 `json:"subclass_cutpoints"`
	N        int                `json:"n_treated_matched"`
	Balance  struct {
		All     map[string]balanceReference                   `json:"all"`
		Matched map[string]balanceReference                   `json:"matched"`
		Across  map[string]balanceReference                   `json:"across"`
		N       map[string]struct{ Control, Treated float64 } `json:"nn"`
	} `json:"balance"`
}

// cells reads a case; races is the column of the case's groups of races, and score the case's own.
func cells(t *testing.T, name string) (*table.Table, cellsReference) {
	t.Helper()
	var ref cellsReference
	tab, _ := lalonde(t, name)
	reftest.ReadJSON(t, &ref, name, "expected.json")
	race, _, err := tab.Text("race")
	require.NoError(t, err)
	merged := slices.Clone(race)
	for i := range merged {
		merged[i] = strings.Replace(merged[i], "white", "hispan", 1)
	}
	tab, err = tab.With(table.NewText(table.Field{Name: "races"}, merged, nil))
	require.NoError(t, err)
	return tab, ref
}

func TestReferenceCells(t *testing.T) {
	all := Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}
	with := func(cov ...string) Spec { return Spec{Treatment: "treat", ID: "id", Covariates: cov} }
	scored := func(d Spec) Spec { d.Covariates, d.Score = nil, "score"; return d }
	for _, c := range []struct {
		name    string
		m       Matcher
		d, show Spec // of the design and of the balance
	}{
		{"01e2_lalonde_exact", Exact{}, with("race", "married", "nodegree", "educ"), with("race", "married", "nodegree", "educ")},
		{"01g_lalonde_cem_default", CEM{}, all, all},
		{"01g2_lalonde_cem_cutpoints", CEM{Bins: map[string]Coarsening{
			"age": {Cuts: []float64{40, 20, 25, 30}}, "educ": {Cuts: []float64{8.5, 11.5}}, "re74": {Quantiles: 4}, "re75": {Width: 4},
		}}, with("age", "educ", "races", "married", "nodegree", "re74", "re75"), all},
		{"01i_lalonde_subclass", Subclass{Number: 6, Ties: DataTies}, scored(all), all},
		{"01i2_lalonde_subclass_ATE", Subclass{Number: 5, Estimand: ATE, Ties: DataTies}, scored(all), all},
		{"01i_lalonde_subclass", Subclass{}, scored(all), all},
		{"01i2_lalonde_subclass_ATE", Subclass{Number: 5, Estimand: ATE}, scored(all), all},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, ref := cells(t, c.name)
			m, err := c.m.Match(t.Context(), tab, c.d)
			require.NoError(t, err)
			ids, _, err := tab.Text("id")
			require.NoError(t, err)
			there, back := map[string]int{}, map[int]string{}
			for i, id := range ids {
				want := ""
				if p := ref.Subclass[id]; p != nil {
					want = *p
				}
				got := m.Set[i]
				require.Equal(t, want == "", got == 0, "id %s in a set", id)
				if k, ok := there[want]; ok && k != got {
					t.Fatalf("id %s is in set %d, others of its subclass %s in %d", id, got, want, k)
				}
				if k, ok := back[got]; ok && k != want {
					t.Fatalf("id %s of subclass %s is in set %d with others of %s", id, want, got, k)
				}
				there[want], back[got] = got, want
				reftest.Agree(t, "weight of id "+id, m.Weight[i], ref.Weights[id], 13)
			}
			if ref.Cuts != nil {
				var cuts []float64
				for k, v := range ref.Cuts {
					if k != "0%" && k != "100%" {
						cuts = append(cuts, v)
					}
				}
				slices.Sort(cuts)
				require.Len(t, m.Cuts[SubclassCuts], len(cuts))
				for k, v := range cuts {
					reftest.Agree(t, "cut point", m.Cuts[SubclassCuts][k], v, 14)
				}
			}
			b, _, err := Compare(t.Context(), tab, c.show, BalanceOptions{
				Weight: m.Weight, Score: m.Score, Denominator: map[bool]string{false: TreatedSD, true: PooledSD}[m.served() == ATE],
			})
			require.NoError(t, err)
			own, _, err := m.Balance(t.Context(), tab, c.show)
			require.NoError(t, err)
			require.Equal(t, b.Denominator, own.Denominator)
			after := ref.Balance.Matched
			if after == nil {
				after = ref.Balance.Across
			}
			requireBalance(t, b, ref.Balance.All, after)
			n := ref.Balance.N["Matched (ESS)"]
			reftest.Agree(t, "ESS treated", m.Counts.ESSTreated, n.Treated, 12)
			reftest.Agree(t, "ESS control", m.Counts.ESSControl, n.Control, 12)
			n = ref.Balance.N["Matched"]
			require.Equal(t, []int{int(n.Treated), int(n.Control)}, []int{m.Counts.MatchedTreated, m.Counts.MatchedControl})
		})
	}
}

func requireBalance(t *testing.T, b Balance, all, after map[string]balanceReference) {
	t.Helper()
	require.Len(t, b.Rows, len(all))
	check := func(what string, got float64, want *float64) {
		switch {
		case want == nil:
			if !math.IsNaN(got) {
				t.Errorf("%s: got %v, R has none", what, got)
			}
		case math.Abs(*want) < 1e-8:
			reftest.Near(t, what, got, *want, 1e-12)
		default:
			reftest.Agree(t, what, got, *want, 10)
		}
	}
	for _, r := range b.Rows {
		key := r.Variable
		if strings.HasPrefix(key, "race[") {
			key = "race" + key[5:len(key)-1]
		}
		for stage, s := range map[string]struct {
			got  BalanceStat
			want balanceReference
		}{"all": {r.Before, all[key]}, "matched": {r.After, after[key]}} {
			at := key + " " + stage + " "
			require.NotNil(t, s.want.MeanTreated, at)
			check(at+"mean treated", s.got.MeanTreated, s.want.MeanTreated)
			check(at+"mean control", s.got.MeanControl, s.want.MeanControl)
			check(at+"SMD", s.got.SMD, s.want.SMD)
			check(at+"variance ratio", s.got.VarianceRatio, s.want.Ratio)
			check(at+"eCDF mean", s.got.ECDFMean, s.want.ECDFMean)
			check(at+"eCDF max", s.got.ECDFMax, s.want.ECDFMax)
		}
	}
}

// Ties inside the cells may fall otherwise: the number of pairs, which cells they are
// in, and the ESS are the reference's.
func TestReferencePairsWithinCells(t *testing.T) {
	tab, ref := cells(t, "01g3_lalonde_cem_k2k")
	d := Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}
	m, err := CEM{PairWithin: true}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.Equal(t, ref.N, m.Counts.Pairs)
	require.Equal(t, ref.N, m.Counts.MatchedControl)
	same := 0
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	for _, p := range m.Pairs {
		if a, b := ref.Subclass[ids[p[0]]], ref.Subclass[ids[p[1]]]; a != nil && b != nil && *a == *b {
			same++
		}
	}
	t.Logf("%d of %d pairs are the same", same, ref.N)
	raw, err := json.Marshal(m.Cuts)
	require.NoError(t, err)
	require.Contains(t, string(raw), "age")
}
