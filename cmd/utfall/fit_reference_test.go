//go:build reference

package main

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

const lalondeNames = "age,educ,race,married,nodegree,re74,re75"

func casePath(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(reftest.ReferenceDir(t), name, "data.csv")
}

// near checks a relative difference, absolute below 1e-3, and keeps the largest.
func near(t *testing.T, worst *float64, what string, got *float64, want, tol float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: null, want %.15g", what, want)
		return
	}
	d := math.Abs(*got-want) / math.Max(math.Abs(want), 1e-3)
	*worst = math.Max(*worst, d)
	if !(d <= tol) {
		t.Errorf("%s: got %.15g, want %.15g (relative difference %.2g, tolerance %.2g)", what, *got, want, d, tol)
	}
}

// within checks an absolute difference.
func within(t *testing.T, worst *float64, what string, got *float64, want, tol float64) {
	t.Helper()
	if got == nil || !(math.Abs(*got-want) <= tol) {
		t.Errorf("%s: want %.15g within %.2g", what, want, tol)
		return
	}
	*worst = math.Max(*worst, math.Abs(*got-want))
}

func digits(t *testing.T, what string, worst float64) {
	t.Helper()
	t.Logf("%s: largest difference %.1e", what, worst)
}

// dummy is our name of R's model-matrix column.
func dummy(name string) string {
	switch {
	case name == "(Intercept)":
		return "(intercept)"
	case strings.HasPrefix(name, "race") && len(name) > 4:
		return "race[" + name[4:] + "]"
	case strings.HasPrefix(name, "factor(year)"):
		return "year[" + name[len("factor(year)"):] + "]"
	}
	return name
}

// derived writes the case's data with more columns, each made from a row.
func derived(t *testing.T, name string, add map[string]func(row map[string]string) string) string {
	t.Helper()
	data := reftest.ReadCSV(t, name, "data.csv")
	var head []string
	n := 0
	for c, v := range data {
		head, n = append(head, c), len(v)
	}
	var extra []string
	for c := range add {
		extra = append(extra, c)
	}
	path := filepath.Join(t.TempDir(), "data.csv")
	f, err := os.Create(path)
	require.NoError(t, err)
	w := csv.NewWriter(f)
	require.NoError(t, w.Write(append(append([]string{}, head...), extra...)))
	for i := range n {
		row := map[string]string{}
		var line []string
		for _, c := range head {
			row[c] = data[c][i]
			line = append(line, data[c][i])
		}
		for _, c := range extra {
			line = append(line, add[c](row))
		}
		require.NoError(t, w.Write(line))
	}
	w.Flush()
	require.NoError(t, w.Error())
	require.NoError(t, f.Close())
	return path
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	require.NoError(t, err)
	return v
}

// Case 01a: R's glm, three links.
func TestReferenceFitPropensity(t *testing.T) {
	type model struct {
		Coefficients, SE, Fitted map[string]float64
		LinearPredictor          map[string]float64 `json:"linear_predictor"`
		LogLik, Deviance, AIC    float64
		NullDeviance             float64 `json:"null_deviance"`
	}
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "01a_lalonde_propensity", "expected.json")
	path := casePath(t, "01a_lalonde_propensity")
	for _, link := range []string{"logit", "probit", "cloglog"} {
		var ref model
		require.NoError(t, json.Unmarshal(raw[link], &ref))
		a := fitted(t, "propensity", "--data", path, "--id", "id", "--treatment", "treat", "--covariates", lalondeNames, "--link", link)
		g := fitted(t, "glm", "--data", path, "--outcome", "treat", "--covariates", lalondeNames, "--family", "binomial", "--link", link)
		var coef, se, fit float64
		require.Len(t, a.Estimates, len(ref.Coefficients))
		// For the links that are not canonical R stops a step early: with epsilon = 1e-16
		// its coefficient of age is ours to 10 digits (probit 0.00864700517162).
		tol := map[string]float64{"logit": 1e-8, "probit": 1e-7, "cloglog": 1e-7}[link]
		for name, want := range ref.Coefficients {
			near(t, &coef, link+" "+name, a.get(t, dummy(name), "coefficient").Estimate, want, tol)
			near(t, &coef, link+" glm "+name, g.get(t, dummy(name), "coefficient").Estimate, want, tol)
			near(t, &se, link+" se "+name, a.get(t, dummy(name), "").StdError, ref.SE[name], 1e-6)
			near(t, &se, link+" glm se "+name, g.get(t, dummy(name), "").StdError, ref.SE[name], 1e-6)
		}
		var scores, linear map[string]*float64
		a.detail(t, "scores", &scores)
		a.detail(t, "linear_predictor", &linear)
		require.Len(t, scores, len(ref.Fitted))
		for id, want := range ref.Fitted {
			within(t, &fit, link+" score of "+id, scores[id], want, tol)
			within(t, &fit, link+" linear predictor of "+id, linear[id], ref.LinearPredictor[id], 3*tol)
		}
		for key, want := range map[string]float64{"log_likelihood": ref.LogLik, "deviance": ref.Deviance, "null_deviance": ref.NullDeviance, "aic": ref.AIC} {
			var v float64
			a.detail(t, key, &v)
			near(t, &fit, link+" "+key, &v, want, 1e-8)
		}
		require.Equal(t, map[string]int{"units": 614, "treated": 185}, a.N)
		digits(t, link+" coefficients", coef)
		digits(t, link+" standard errors", se)
		digits(t, link+" scores and likelihood", fit)
	}
}

type matchReference struct {
	Distance map[string]float64 `json:"distance_propensity"`
	Caliper  map[string]float64 `json:"caliper_used_raw_units"`
	N        int                `json:"n_treated_matched"`
	Sum      float64            `json:"sum_abs_distance_diff"`
	Subclass map[string]*string `json:"subclass"`
	Weights  map[string]float64 `json:"weights"`
	Own      struct {
		Pairs [][]int `json:"pairs"`
		Sum   float64 `json:"sum_abs_distance_diff"`
		N     int     `json:"n_treated_matched"`
	} `json:"own_greedy_first_tie"`
	Balance struct {
		All, Matched map[string]map[string]*float64
	} `json:"balance"`
	Effect struct {
		Unadjusted, Adjusted map[string]float64
	} `json:"effect"`
}

// withScore writes the case's data with MatchIt's own distance, weights and sets.
func withScore(t *testing.T, name string, ref *matchReference) string {
	t.Helper()
	cell := func(m map[string]float64) func(map[string]string) string {
		return func(row map[string]string) string {
			if v, ok := m[row["id"]]; ok {
				return strconv.FormatFloat(v, 'g', -1, 64)
			}
			return ""
		}
	}
	add := map[string]func(map[string]string) string{"mweight": cell(ref.Weights), "msub": func(row map[string]string) string {
		if s := ref.Subclass[row["id"]]; s != nil {
			return *s
		}
		return ""
	}}
	if ref.Distance != nil {
		add["ps"] = cell(ref.Distance)
	}
	return derived(t, name, add)
}

func pairSets(t *testing.T, a *fitAnswer) map[int][]int {
	t.Helper()
	var pairs [][2]string
	a.detail(t, "pairs", &pairs)
	out := map[int][]int{}
	for _, p := range pairs {
		i, err := strconv.Atoi(p[0])
		require.NoError(t, err)
		j, err := strconv.Atoi(p[1])
		require.NoError(t, err)
		out[i] = append(out[i], j)
	}
	return out
}

// Cases 01b to 01f: MatchIt's own distance in, its pairs with first-in-data ties out;
// and from the covariates alone the same total distance.
func TestReferenceFitMatch(t *testing.T) {
	for _, c := range []struct {
		name       string
		flags, own []string // of both runs; of the run on the given distance
		free       []string // of the run from the covariates alone
		ties       bool     // pairs may differ at ties
	}{
		{"01b_lalonde_nn1", nil, nil, nil, false},
		{"01c_lalonde_nn1_caliper", []string{"--caliper", "0.2"}, nil, nil, false},
		{"01c2_lalonde_nn1_linearlogit_caliper", []string{"--caliper", "0.2", "--order", "smallest"}, nil, []string{"--distance", "linear-logit"}, false},
		{"01c3_lalonde_nn1_covcaliper", []string{"--caliper", "0.25", "--caliper-on", "age=3,educ=2", "--order", "data"}, nil, nil, true},
		{"01d_lalonde_nn3_replace", []string{"--ratio", "3", "--replace"}, nil, nil, false},
		{"01d2_lalonde_nn2_noreplace", []string{"--ratio", "2", "--caliper", "0.5"}, nil, nil, false},
		{"01e_lalonde_nn1_exact_race", []string{"--exact", "race"}, nil, nil, false},
		{"01f_lalonde_nn1_mahalanobis", []string{"--distance", "mahalanobis", "--order", "data"}, nil, nil, false},
		{"01f2_lalonde_nn1_robustmaha_caliper", []string{"--distance", "mahalanobis", "--caliper-score", "0.25"}, nil, nil, true},
		{"01f3_lalonde_nn1_euclid", []string{"--distance", "euclidean", "--order", "data"}, nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ref matchReference
			reftest.ReadJSON(t, &ref, c.name, "expected.json")
			path := withScore(t, c.name, &ref)
			base := append([]string{"match", "--data", path, "--id", "id", "--treatment", "treat"}, c.flags...)
			metric := ref.Distance == nil
			var worst float64
			if !metric {
				covariates := lalondeNames
				if c.ties && strings.Contains(c.name, "01f2") {
					covariates = "age,educ,re74,re75"
				}
				args := append(append([]string{}, base...), "--covariates", covariates, "--score", "ps")
				if !strings.Contains(strings.Join(c.flags, " "), "--order data") {
					args = append(args, "--ties", "data")
				}
				a := fitted(t, args...)
				if !c.ties {
					want := map[int][]int{}
					for _, p := range ref.Own.Pairs {
						want[p[0]] = p[1:]
					}
					require.Equal(t, want, pairSets(t, a))
				}
				require.Len(t, pairSets(t, a), ref.N)
				if ref.Caliper[""] > 0 {
					var width float64
					a.detail(t, "caliper_used_raw", &width)
					near(t, &worst, "caliper", &width, ref.Caliper[""], 1e-12)
				}
			}
			if c.name[:4] == "01f2" {
				return // its score is of other covariates than its metric
			}
			a := fitted(t, append(append(append([]string{}, base...), c.free...), "--covariates", lalondeNames)...)
			require.Len(t, pairSets(t, a), ref.N)
			if metric {
				want := map[int][]int{}
				for _, p := range ref.Own.Pairs {
					want[p[0]] = p[1:]
				}
				require.Equal(t, want, pairSets(t, a))
			} else {
				var scores map[string]*float64
				a.detail(t, "scores", &scores)
				for id, v := range ref.Distance {
					within(t, &worst, "score of "+id, scores[id], v, 1e-7) // R stops its glm at 1e-8
				}
			}
			if !c.ties {
				var sum float64
				a.detail(t, "sum_distance", &sum)
				want := ref.Own.Sum
				near(t, &worst, "total distance", &sum, want, 1e-8)
			}
			requireBalance(t, &worst, a, "before", ref.Balance.All)
			digits(t, "scores, total distance, balance before", worst)
		})
	}
}

func requireBalance(t *testing.T, worst *float64, a *fitAnswer, when string, ref map[string]map[string]*float64) {
	t.Helper()
	var rows []map[string]any
	a.detail(t, "balance", &rows)
	byName := map[string]map[string]any{}
	for _, r := range rows {
		byName[r["variable"].(string)] = r
	}
	for name, want := range ref {
		row, ok := byName[dummy(name)]
		require.True(t, ok, "no balance row %s", dummy(name))
		for key, theirs := range map[string]string{"mean_treated_": "Means Treated", "mean_control_": "Means Control", "smd_": "Std. Mean Diff.",
			"variance_ratio_": "Var. Ratio", "ecdf_mean_": "eCDF Mean", "ecdf_max_": "eCDF Max"} {
			w := want[theirs]
			if w == nil {
				require.Nil(t, row[key+when], "%s %s%s", name, key, when)
				continue
			}
			v, ok := row[key+when].(float64)
			require.True(t, ok, "%s %s%s is null", name, key, when)
			near(t, worst, name+" "+key+when, &v, *w, 1e-8)
		}
	}
}

// Cases 01b, 01c, 01e: balance and effects on MatchIt's own pairs and weights.
func TestReferenceFitBalanceAndEffect(t *testing.T) {
	for _, name := range []string{"01b_lalonde_nn1", "01c_lalonde_nn1_caliper", "01c2_lalonde_nn1_linearlogit_caliper", "01e_lalonde_nn1_exact_race", "01f_lalonde_nn1_mahalanobis"} {
		t.Run(name, func(t *testing.T) {
			var ref matchReference
			reftest.ReadJSON(t, &ref, name, "expected.json")
			path := withScore(t, name, &ref)
			var worst float64
			data := []string{"--data", path, "--id", "id", "--treatment", "treat", "--covariates", lalondeNames}
			b := fitted(t, append([]string{"balance", "--weights", "mweight", "--sets", "msub"}, data...)...)
			delete(ref.Balance.All, "distance")
			delete(ref.Balance.Matched, "distance")
			requireBalance(t, &worst, b, "before", ref.Balance.All)
			requireBalance(t, &worst, b, "after", ref.Balance.Matched)
			digits(t, "balance", worst)
			var eff float64
			un, ad := ref.Effect.Unadjusted, ref.Effect.Adjusted
			effect := func(method, vcov string, sets bool) fitEstimateJSON {
				args := []string{"effect", "--data", path, "--treatment", "treat", "--outcome", "re78", "--method", method, "--weights", "mweight", "--vcov", vcov}
				if sets {
					args = append(args, "--sets", "msub")
				}
				if method == "regression" {
					args = append(args, "--covariates", lalondeNames)
				}
				return fitted(t, args...).get(t, "att", "mean-difference")
			}
			e := effect("difference", "cr1", true)
			near(t, &eff, "att", e.Estimate, un["att"], 1e-8)
			near(t, &eff, "cr1", e.StdError, un["se_CR1_subclass"], 1e-8)
			near(t, &eff, "cr0", effect("difference", "cr0", true).StdError, un["se_CR0_subclass"], 1e-8)
			for _, k := range []string{"0", "1", "2", "3"} {
				near(t, &eff, "hc"+k, effect("difference", "hc"+k, false).StdError, un["se_HC"+k], 1e-8)
			}
			e = effect("regression", "cr1", true)
			near(t, &eff, "adjusted", e.Estimate, ad["att"], 1e-8)
			near(t, &eff, "adjusted cr1", e.StdError, ad["se_CR1_subclass"], 1e-8)
			near(t, &eff, "adjusted cr0", effect("regression", "cr0", true).StdError, ad["se_CR0_subclass"], 1e-8)
			near(t, &eff, "adjusted hc1", effect("regression", "hc1", true).StdError, ad["se_HC1"], 1e-8)
			near(t, &eff, "adjusted hc3", effect("regression", "hc3", true).StdError, ad["se_HC3"], 1e-8)
			digits(t, "effects and errors", eff)
		})
	}
}
