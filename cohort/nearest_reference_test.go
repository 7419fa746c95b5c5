//go:build reference

package cohort

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
	"utfall/table"
)

// The reference cases are MatchIt 4.5.5 on R 4.2.2; see shared/reference.

type nearestReference struct {
	Distance map[string]float64 `json:"distance_propensity"`
	First    map[string]float64 `json:"distance_first_treated"`
	Caliper  map[string]float64 `json:"caliper_used_raw_units"`
	Pairs    json.RawMessage    `json:"pairs_treated_first"`
	N        int                `json:"n_treated_matched"`
	Sum      float64            `json:"sum_abs_distance_diff"`
	Weights  map[string]float64 `json:"weights"`
	Own      struct {
		N     int     `json:"n_treated_matched"`
		Pairs [][]int `json:"pairs"`
		Sum   float64 `json:"sum_abs_distance_diff"`
	} `json:"own_greedy_first_tie"`
	Balance struct {
		All     map[string]balanceReference                   `json:"all"`
		Matched map[string]balanceReference                   `json:"matched"`
		N       map[string]struct{ Control, Treated float64 } `json:"nn"`
	} `json:"balance"`
}

type balanceReference struct {
	MeanTreated  *float64 `json:"Means Treated"`
	MeanControl  *float64 `json:"Means Control"`
	SMD          *float64 `json:"Std. Mean Diff."`
	Ratio        *float64 `json:"Var. Ratio"`
	ECDFMean     *float64 `json:"eCDF Mean"`
	ECDFMax      *float64 `json:"eCDF Max"`
	PairDistance *float64 `json:"Std. Pair Dist."`
}

var lalondeCovariates = []string{"age", "educ", "race", "married", "nodegree", "re74", "re75"}

// lalonde reads a case's data; the score column is the case's own distance.
func lalonde(t *testing.T, name string) (*table.Table, nearestReference) {
	t.Helper()
	var ref nearestReference
	reftest.ReadJSON(t, &ref, name, "expected.json")
	csv := reftest.ReadCSV(t, name, "data.csv")
	cols := []table.Column{table.NewText(table.Field{Name: "id"}, csv["id"], nil)}
	for _, c := range []string{"treat", "age", "educ", "married", "nodegree", "re74", "re75", "re78"} {
		cols = append(cols, table.NewFloat(table.Field{Name: c}, csv.Floats(t, c), nil))
	}
	cols = append(cols, table.NewText(table.Field{Name: "race"}, csv["race"], nil))
	if ref.Distance != nil {
		score := make([]float64, len(csv["id"]))
		for i, id := range csv["id"] {
			v, ok := ref.Distance[id]
			require.True(t, ok, "no distance of id %s", id)
			score[i] = v
		}
		cols = append(cols, table.NewFloat(table.Field{Name: "score"}, score, nil))
	}
	tab, err := table.New(cols...)
	require.NoError(t, err)
	return tab, ref
}

// sets lists treated id, then its partners in order, by treated row.
func sets(t *testing.T, tab *table.Table, m *Matched) map[int][]int {
	t.Helper()
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	out := map[int][]int{}
	for _, p := range m.Pairs {
		a, err := strconv.Atoi(ids[p[0]])
		require.NoError(t, err)
		b, err := strconv.Atoi(ids[p[1]])
		require.NoError(t, err)
		out[a] = append(out[a], b)
	}
	return out
}

func requireOwnPairs(t *testing.T, tab *table.Table, m *Matched, ref nearestReference) {
	t.Helper()
	want := map[int][]int{}
	for _, p := range ref.Own.Pairs {
		want[p[0]] = p[1:]
	}
	require.Equal(t, want, sets(t, tab, m))
	sum := 0.0
	for _, d := range m.PairDistance {
		sum += d
	}
	reftest.Agree(t, "total distance", sum, ref.Own.Sum, 10)
}

func TestReferenceNearestOnGivenScores(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Nearest
	}{
		{"01b_lalonde_nn1", Nearest{Ties: DataTies}},
		{"01c_lalonde_nn1_caliper", Nearest{Ties: DataTies, Caliper: 0.2}},
		{"01c2_lalonde_nn1_linearlogit_caliper", Nearest{Ties: DataTies, Caliper: 0.2, Order: SmallestOrder}},
		{"01d_lalonde_nn3_replace", Nearest{Ties: DataTies, Ratio: 3, Replace: true}},
		{"01d2_lalonde_nn2_noreplace", Nearest{Ties: DataTies, Ratio: 2, Caliper: 0.5}},
		{"01e_lalonde_nn1_exact_race", Nearest{Ties: DataTies, Exact: []string{"race"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, ref := lalonde(t, c.name)
			m, err := c.m.Match(t.Context(), tab, Spec{Treatment: "treat", ID: "id", Score: "score"})
			require.NoError(t, err)
			requireOwnPairs(t, tab, m, ref)
			require.Equal(t, ref.N, m.Counts.MatchedTreated)
			if c.m.Caliper > 0 {
				reftest.Agree(t, "caliper", m.Calipers[0].Width, ref.Caliper[""], 13)
			}
			n := ref.Balance.N["Matched"]
			require.Equal(t, int(n.Treated), m.Counts.MatchedTreated)
			// By the hash of the id other ties win; every number that ties leave alone is the same.
			hash := c.m
			hash.Ties = HashTies
			h, err := hash.Match(t.Context(), tab, Spec{Treatment: "treat", ID: "id", Score: "score"})
			require.NoError(t, err)
			require.Equal(t, ref.N, h.Counts.MatchedTreated)
			sum := 0.0
			for _, d := range h.PairDistance {
				sum += d
			}
			reftest.Agree(t, "total distance by hash ties", sum, ref.Sum, 10)
		})
	}
}

func TestReferenceNearestOnMetrics(t *testing.T) {
	for _, c := range []struct{ name, distance string }{
		{"01f_lalonde_nn1_mahalanobis", MahalanobisDistance}, {"01f3_lalonde_nn1_euclid", EuclideanDistance},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, ref := lalonde(t, c.name)
			d := Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}
			m, err := Nearest{Distance: c.distance, Order: DataOrder}.Match(t.Context(), tab, d)
			require.NoError(t, err)
			requireOwnPairs(t, tab, m, ref)
			// Every distance of the first treated unit.
			u, err := readUnits(tab, d)
			require.NoError(t, err)
			cov, err := readCovariates(tab, d.Covariates, nil)
			require.NoError(t, err)
			w, err := whiten(c.distance, cov, u, 1)
			require.NoError(t, err)
			for id, want := range ref.First {
				i, err := strconv.Atoi(id)
				require.NoError(t, err)
				sum := 0.0
				for k := range w.dims {
					g := w.points[k] - w.points[(i-1)*w.dims+k]
					sum += g * g
				}
				reftest.Agree(t, "distance of id 1 to "+id, math.Sqrt(sum), want, 11)
			}
		})
	}
}

// 01f2 and 01c3 allow other pairs at ties: totals and counts are compared, and the pairs that agree counted.
func TestReferenceNearestWithSeveralConstraints(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Nearest
		d    Spec
		same int // of the pairs, at least
	}{
		{"01c3_lalonde_nn1_covcaliper", Nearest{Caliper: 0.25, CaliperOn: map[string]float64{"age": 3, "educ": 2}, Order: DataOrder},
			Spec{Treatment: "treat", ID: "id", Score: "score"}, 0},
		{"01f2_lalonde_nn1_robustmaha_caliper", Nearest{Distance: MahalanobisDistance, CaliperScore: 0.25, Ties: DataTies},
			Spec{Treatment: "treat", ID: "id", Score: "score", Covariates: []string{"age", "educ", "re74", "re75"}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, ref := lalonde(t, c.name)
			m, err := c.m.Match(t.Context(), tab, c.d)
			require.NoError(t, err)
			require.Equal(t, ref.N, m.Counts.MatchedTreated)
			same, got := 0, sets(t, tab, m)
			var pairs [][]int
			require.NoError(t, json.Unmarshal(ref.Pairs, &pairs), "%s", ref.Pairs[:60])
			for _, p := range pairs {
				if len(p) > 1 && fmt.Sprint(got[p[0]]) == fmt.Sprint(p[1:]) {
					same++
				}
			}
			t.Logf("%d of %d pairs are the same", same, ref.N)
		})
	}
}

// treatedSD is the root of p(1-p) of a 0/1 column or a level among the treated.
func treatedSD(t *testing.T, tab *table.Table, variable string) float64 {
	t.Helper()
	x, err := Design(tab, lalondeCovariates, DesignOptions{AllLevels: true})
	require.NoError(t, err)
	f, err := tab.Float("treat")
	require.NoError(t, err)
	sum, n := 0.0, 0.0
	for j, c := range x.Columns {
		for i := range x.Rows {
			if v := x.Values[i*len(x.Columns)+j]; c.Name == variable && f.Values[i] == 1 {
				require.True(t, v == 0 || v == 1)
				sum += v
				n++
			}
		}
	}
	return math.Sqrt(sum / n * (1 - sum/n))
}

// referencePairs reads a case's pairs and makes the matching of them, weights by the rule of [Matched].
func referencePairs(t *testing.T, tab *table.Table, ref nearestReference) [][2]int {
	t.Helper()
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	row := map[int]int{}
	for i, id := range ids {
		v, err := strconv.Atoi(id)
		require.NoError(t, err)
		row[v] = i
	}
	var sets [][]int
	require.NoError(t, json.Unmarshal(ref.Pairs, &sets))
	var pairs [][2]int
	for _, s := range sets {
		for _, c := range s[1:] {
			pairs = append(pairs, [2]int{row[s[0]], row[c]})
		}
	}
	return pairs
}

// Every number of MatchIt's summary, on MatchIt's own pairs and weights, so that ties
// have no part; and the weights that its pairs give by our rule.
func TestReferenceBalance(t *testing.T) {
	for _, name := range []string{
		"01b_lalonde_nn1", "01c_lalonde_nn1_caliper", "01c2_lalonde_nn1_linearlogit_caliper", "01c3_lalonde_nn1_covcaliper",
		"01d_lalonde_nn3_replace", "01d2_lalonde_nn2_noreplace", "01e_lalonde_nn1_exact_race",
		"01f_lalonde_nn1_mahalanobis", "01f2_lalonde_nn1_robustmaha_caliper", "01f3_lalonde_nn1_euclid",
	} {
		t.Run(name, func(t *testing.T) {
			tab, ref := lalonde(t, name)
			ids, _, err := tab.Text("id")
			require.NoError(t, err)
			o := BalanceOptions{Pairs: referencePairs(t, tab, ref), Weight: make([]float64, len(ids))}
			for i, id := range ids {
				o.Weight[i] = ref.Weights[id]
			}
			if ref.Distance != nil {
				f, err := tab.Float("score")
				require.NoError(t, err)
				o.Score = f.Values
			}
			d := Spec{Treatment: "treat", ID: "id", Covariates: lalondeCovariates}
			b, _, err := Compare(t.Context(), tab, d, o)
			require.NoError(t, err)
			require.Len(t, b.Rows, len(ref.Balance.All))
			check := func(what string, got float64, want *float64) {
				switch {
				case want == nil:
					if !math.IsNaN(got) {
						t.Errorf("%s: got %v, R has none", what, got)
					}
				case math.Abs(*want) < 1e-8:
					reftest.Near(t, what, got, *want, 1e-12)
				default:
					reftest.Agree(t, what, got, *want, 11)
				}
			}
			for _, r := range b.Rows {
				key := r.Variable
				if len(key) > 5 && key[:5] == "race[" {
					key = "race" + key[5:len(key)-1]
				}
				for stage, s := range map[string]struct {
					got  BalanceStat
					want balanceReference
				}{"all": {r.Before, ref.Balance.All[key]}, "matched": {r.After, ref.Balance.Matched[key]}} {
					at := key + " " + stage + " "
					require.NotNil(t, s.want.MeanTreated, at)
					check(at+"mean treated", s.got.MeanTreated, s.want.MeanTreated)
					check(at+"mean control", s.got.MeanControl, s.want.MeanControl)
					check(at+"SMD", s.got.SMD, s.want.SMD)
					check(at+"variance ratio", s.got.VarianceRatio, s.want.Ratio)
					check(at+"eCDF mean", s.got.ECDFMean, s.want.ECDFMean)
					check(at+"eCDF max", s.got.ECDFMax, s.want.ECDFMax)
					if s.want.PairDistance != nil && math.Abs(*s.want.MeanTreated-*s.want.MeanControl) < 1.5e-8 {
						// MatchIt leaves the distance unstandardised when the means are equal; we do not.
						v := *s.want.PairDistance / treatedSD(t, tab, r.Variable)
						s.want.PairDistance = &v
					}
					check(at+"pair distance", s.got.PairDistance, s.want.PairDistance)
				}
			}
			n := ref.Balance.N["Matched (ESS)"]
			reftest.Agree(t, "ESS treated", b.ESSTreated, n.Treated, 12)
			reftest.Agree(t, "ESS control", b.ESSControl, n.Control, 12)
			// Weights by our rule from its pairs.
			k, uses := map[int]float64{}, map[int]float64{}
			for _, p := range o.Pairs {
				k[p[0]]++
			}
			for _, p := range o.Pairs {
				uses[p[1]] += 1 / k[p[0]]
			}
			for r, s := range uses {
				reftest.Agree(t, "weight of id "+ids[r], s*float64(len(uses))/float64(len(k)), o.Weight[r], 13)
			}
		})
	}
}

func TestReferencePropensity(t *testing.T) {
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, "01a_lalonde_propensity", "expected.json")
	tab, _ := lalonde(t, "01b_lalonde_nn1")
	names := map[string]string{"(intercept)": "(Intercept)", "race[hispan]": "racehispan", "race[white]": "racewhite"}
	for _, link := range []string{"logit", "probit", "cloglog"} {
		var want struct {
			Coef     map[string]float64 `json:"coefficients"`
			SE       map[string]float64 `json:"se"`
			LogLik   float64            `json:"logLik"`
			Deviance float64            `json:"deviance"`
			Null     float64            `json:"null_deviance"`
			Fitted   map[string]float64 `json:"fitted"`
			Linear   map[string]float64 `json:"linear_predictor"`
		}
		require.NoError(t, json.Unmarshal(ref[link], &want))
		// R's standard errors are from the information one step before its last. It
		// stops its probit and cloglog fits when the deviance no longer moves, some 1e-8
		// from the maximum: one more step of its own gives the digits that we have.
		digits := reftest.Digits(7)
		if link == "logit" {
			digits = 10
		}
		fit, err := Propensity{Covariates: lalondeCovariates, Link: link}.Fit(t.Context(), tab, Spec{Treatment: "treat", ID: "id"})
		require.NoError(t, err)
		require.Len(t, fit.Names, len(want.Coef))
		for j, name := range fit.Names {
			key := name
			if n, ok := names[name]; ok {
				key = n
			}
			reftest.Agree(t, link+" "+name, fit.Coef[j], want.Coef[key], digits)
			reftest.Agree(t, link+" se "+name, fit.SE[j], want.SE[key], min(digits-0.5, 8))
		}
		reftest.Agree(t, link+" logLik", fit.LogLik, want.LogLik, 12)
		reftest.Agree(t, link+" deviance", fit.Deviance, want.Deviance, 12)
		reftest.Agree(t, link+" null deviance", fit.NullDev, want.Null, 12)
		ids, _, err := tab.Text("id")
		require.NoError(t, err)
		for i, id := range ids {
			reftest.Agree(t, link+" score "+id, fit.Score[i], want.Fitted[id], digits-0.5)
			reftest.Near(t, link+" linear predictor "+id, fit.Linear[i], want.Linear[id], math.Pow(10, -float64(digits)))
		}
	}
}
