//go:build reference

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
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

// Cases 02a and 02a2: sandwich, clubSandwich.
func TestReferenceFitOLS(t *testing.T) {
	var ref struct {
		OLS map[string]json.RawMessage `json:"ols"`
	}
	reftest.ReadJSON(t, &ref, "02a_mortality_ols_cr", "expected.json")
	block := func(key string) map[string]float64 {
		out := map[string]float64{}
		require.NoError(t, json.Unmarshal(ref.OLS[key], &out))
		return out
	}
	base := []string{"ols", "--data", casePath(t, "02a_mortality_ols_cr"), "--outcome", "mrate", "--covariates", "legal,beertaxa,year", "--categorical", "year"}
	var worst float64
	for vcov, key := range map[string]string{"iid": "se_classical", "hc0": "se_HC0", "hc1": "se_HC1", "hc2": "se_HC2", "hc3": "se_HC3",
		"cr0": "se_CR0", "cr1": "se_CR1S", "cr2": "se_CR2", "cr3": "se_CR3"} {
		args := append(append([]string{}, base...), "--vcov", vcov)
		if vcov[0] == 'c' {
			args = append(args, "--cluster", "state")
		}
		a := fitted(t, args...)
		require.Equal(t, "(intercept)", a.Estimates[0].Term)
		for name, want := range block(key) {
			near(t, &worst, vcov+" "+name, a.get(t, dummy(name), "coefficient").StdError, want, 1e-8)
		}
		for name, want := range block("coefficients") {
			near(t, &worst, name, a.get(t, dummy(name), "coefficient").Estimate, want, 1e-8)
		}
		if vcov == "cr2" {
			var s struct {
				Term     []string
				T, DF, P []float64
			}
			require.NoError(t, json.Unmarshal(ref.OLS["CR2_satterthwaite"], &s))
			var df float64
			for i, term := range s.Term {
				e := a.get(t, dummy(term), "")
				near(t, &df, "df "+term, e.DF, s.DF[i], 1e-6)
				near(t, &df, "t "+term, e.Statistic, s.T[i], 1e-6)
				near(t, &df, "p "+term, e.PValue, s.P[i], 1e-6)
			}
			digits(t, "Satterthwaite df, t, p", df)
		}
		var r2 float64
		a.detail(t, "r_squared", &r2)
		near(t, &worst, "r2", &r2, 0.20789354371587854, 1e-8)
	}
	digits(t, "02a", worst)

	var schools struct {
		Quadratic map[string]json.RawMessage `json:"ols_quadratic"`
		WLS       map[string]json.RawMessage `json:"wls_weights_income"`
	}
	reftest.ReadJSON(t, &schools, "02a2_publicschools_hc", "expected.json")
	path := derived(t, "02a2_publicschools_hc", map[string]func(map[string]string) string{
		"inc":  func(r map[string]string) string { return shortest(number(t, r["Income"]) * 1e-4) },
		"inc2": func(r map[string]string) string { v := number(t, r["Income"]) * 1e-4; return shortest(v * v) },
	})
	names := map[string]string{"(Intercept)": "(intercept)", "inc": "inc", "I(inc^2)": "inc2"}
	worst = 0
	for vcov, key := range map[string]string{"iid": "se_classical", "hc0": "se_HC0", "hc1": "se_HC1", "hc2": "se_HC2", "hc3": "se_HC3"} {
		for _, w := range []bool{false, true} {
			if w && vcov == "iid" {
				continue
			}
			args, set := []string{"ols", "--data", path, "--outcome", "Expenditure", "--vcov", vcov, "--covariates", "inc"}, schools.Quadratic
			if w {
				args, set = append(args, "--weights", "Income"), schools.WLS
			} else {
				args[len(args)-1] = "inc,inc2"
			}
			a := fitted(t, args...)
			want := map[string]float64{}
			require.NoError(t, json.Unmarshal(set[key], &want))
			for name, v := range want {
				near(t, &worst, vcov+" "+name, a.get(t, names[name], "").StdError, v, 1e-8)
			}
			require.NoError(t, json.Unmarshal(set["coefficients"], &want))
			for name, v := range want {
				near(t, &worst, name, a.get(t, names[name], "").Estimate, v, 1e-8)
			}
		}
	}
	digits(t, "02a2", worst)
}

// Cases 02b and 03e: fixest's absorbed effects.
func TestReferenceFitOLSAbsorb(t *testing.T) {
	log := func(col string) func(map[string]string) string {
		return func(r map[string]string) string { return shortest(math.Log(number(t, r[col]))) }
	}
	path := derived(t, "02b_produc_twfe", map[string]func(map[string]string) string{"ly": log("gsp"), "lpc": log("pcap"), "lk": log("pc"), "le": log("emp")})
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, "02b_produc_twfe", "expected.json")
	var worst float64
	for key, absorb := range map[string]string{"feols_state": "state", "feols_state_year": "state,year"} {
		var set map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(ref[key], &set))
		for theirs, flags := range map[string][]string{"se_iid": {"--vcov", "iid"}, "se_hetero": {"--vcov", "hc1"}, "se_cluster_state": {"--vcov", "cr1", "--cluster", "state"},
			"se_cluster_region": {"--cluster", "region"}, "se_cluster_state_no_ssc": {"--vcov", "cr0", "--cluster", "state"}} {
			a := fitted(t, append([]string{"ols", "--data", path, "--outcome", "ly", "--covariates", "lpc,lk,le,unemp", "--absorb", absorb}, flags...)...)
			var se, coef map[string]float64
			require.NoError(t, json.Unmarshal(set[theirs], &se))
			require.NoError(t, json.Unmarshal(set["coefficients"], &coef))
			for name, want := range coef {
				near(t, &worst, key+" "+name, a.get(t, name, "").Estimate, want, 1e-7)
				near(t, &worst, key+" "+theirs+" "+name, a.get(t, name, "").StdError, se[name], 1e-7)
			}
		}
	}
	digits(t, "02b", worst)

	var twfe struct {
		Event struct{ Coefficients, SE map[string]float64 } `json:"event_study"`
		TWFE  struct {
			Coefficients, SE map[string]float64
			R2               float64
			Within           float64 `json:"within_r2"`
		} `json:"twfe"`
	}
	reftest.ReadJSON(t, &twfe, "03e_base_did_twfe", "expected.json")
	add := map[string]func(map[string]string) string{"tp": func(r map[string]string) string { return shortest(number(t, r["treat"]) * number(t, r["post"])) }}
	names := map[string]string{"x1": "x1", "treat:post": "tp"}
	var events []string
	for p := 1; p <= 10; p++ {
		if p == 5 {
			continue
		}
		name := fmt.Sprintf("e%d", p)
		names[fmt.Sprintf("period::%d:treat", p)] = name
		events = append(events, name)
		add[name] = func(r map[string]string) string {
			if r["period"] == strconv.Itoa(p) {
				return r["treat"]
			}
			return "0"
		}
	}
	path = derived(t, "03e_base_did_twfe", add)
	worst = 0
	base := []string{"ols", "--data", path, "--outcome", "y", "--absorb", "id,period", "--cluster", "id", "--covariates"}
	a := fitted(t, append(base, "x1,tp")...)
	for name, want := range twfe.TWFE.Coefficients {
		near(t, &worst, name, a.get(t, names[name], "").Estimate, want, 1e-7)
		near(t, &worst, "se "+name, a.get(t, names[name], "").StdError, twfe.TWFE.SE[name], 1e-7)
	}
	var within float64
	a.detail(t, "within_r_squared", &within)
	near(t, &worst, "within r2", &within, twfe.TWFE.Within, 1e-7)
	a = fitted(t, append(base, "x1,"+strings.Join(events, ","))...)
	for name, want := range twfe.Event.Coefficients {
		near(t, &worst, name, a.get(t, names[name], "").Estimate, want, 1e-7)
		near(t, &worst, "se "+name, a.get(t, names[name], "").StdError, twfe.Event.SE[name], 1e-7)
	}
	digits(t, "03e", worst)
}

type didAggregate struct {
	ATT  float64    `json:"overall_att"`
	SE   float64    `json:"overall_se"`
	EGT  []int      `json:"egt"`
	ATTS []float64  `json:"att_egt"`
	SES  []*float64 `json:"se_egt"`
}

type didReference struct {
	Group, Time []int
	ATT         []float64
	SE          []*float64
	N           int
	W           *float64     `json:"pretest_wald_W"`
	P           [][]float64  `json:"pretest_p"`
	Simple      didAggregate `json:"agg_simple"`
	ByGroup     didAggregate `json:"agg_group"`
	Dynamic     didAggregate `json:"agg_dynamic"`
	Calendar    didAggregate `json:"agg_calendar"`
	Balance     didAggregate `json:"agg_dynamic_balance_e1"`
}

// Cases 03a and 03a2: every key of R's did 2.1.2, with the command's defaults for errors.
func TestReferenceFitDid(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{"03a_mpdta_attgt", []string{"--unit", "countyreal"}},
		{"03a2_mpdta_rc_weights", []string{"--panel=false", "--id", "rowid", "--weights", "pw"}},
	} {
		var raw map[string]json.RawMessage
		reftest.ReadJSON(t, &raw, c.name, "expected.json")
		for key, text := range raw {
			if key == "package" {
				continue
			}
			t.Run(c.name+"/"+key, func(t *testing.T) {
				var ref didReference
				require.NoError(t, json.Unmarshal(text, &ref))
				p := strings.Split(key, "__")
				args := append([]string{"did", "--data", casePath(t, c.name), "--time", "year", "--cohort", "first.treat", "--outcome", "lemp",
					"--method", p[1], "--control", map[string]string{"nevertreated": "never", "notyettreated": "not-yet"}[p[2]],
					"--base", p[3], "--anticipation", strings.TrimPrefix(p[4], "anticip"), "--bands", "pointwise"}, c.flags...)
				tol := 1e-7
				if p[0] != "none" {
					args = append(args, "--covariates", p[0])
					tol = map[string]float64{"dr": 1e-6, "ipw": 3e-6, "reg": 1e-7}[p[1]]
				}
				var worst float64
				a := fitted(t, args...)
				require.Len(t, a.Estimates, len(ref.ATT))
				require.Equal(t, ref.N, a.N["units"])
				check := func(e fitEstimateJSON, what string, att float64, se *float64) {
					near(t, &worst, what, e.Estimate, att, tol)
					if se == nil {
						require.Nil(t, e.StdError, what)
						return
					}
					near(t, &worst, what+" se", e.StdError, *se, tol)
				}
				for i := range ref.ATT {
					term := fmt.Sprintf("group=%d,time=%d", ref.Group[i], ref.Time[i])
					check(a.get(t, term, "mean-difference"), term, ref.ATT[i], ref.SE[i])
				}
				if ref.W != nil {
					var pre struct {
						Statistic *float64
						P         *float64 `json:"p_value"`
					}
					a.detail(t, "pretest", &pre)
					near(t, &worst, "W", pre.Statistic, *ref.W, 10*tol)
					require.InDelta(t, ref.P[0][0], *pre.P, 1e-5)
				}
				for kind, want := range map[string]didAggregate{"simple": ref.Simple, "group": ref.ByGroup, "dynamic": ref.Dynamic, "calendar": ref.Calendar, "balance": ref.Balance} {
					more := append(append([]string{}, args...), "--aggregate", kind)
					label := map[string]string{"group": "group", "dynamic": "event", "calendar": "time", "balance": "event"}[kind]
					if kind == "balance" {
						more = append(append([]string{}, args...), "--aggregate", "dynamic", "--balance-event", "1")
					}
					g := fitted(t, more...)
					require.Len(t, g.Estimates, len(want.EGT)+1)
					for i, e := range want.EGT {
						check(g.get(t, fmt.Sprintf("%s=%d", label, e), ""), fmt.Sprintf("%s %d", kind, e), want.ATTS[i], want.SES[i])
					}
					check(g.get(t, "overall", ""), kind+" overall", want.ATT, &want.SE)
				}
				digits(t, key, worst)
			})
		}
	}
}

// Case 05a: survival's survfit.
func TestReferenceFitKM(t *testing.T) {
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "05a_veteran_km", "expected.json")
	var worst float64
	for conf, key := range map[string]string{"plain": "km_plain", "log": "km_log", "loglog": "km_log-log"} {
		var ref struct {
			Strata                 []string
			Time                   []float64
			NRisk                  []int `json:"n_risk"`
			Surv, SE, Lower, Upper []*float64
		}
		require.NoError(t, json.Unmarshal(raw[key], &ref))
		seen := map[float64]bool{}
		var at []string
		for _, x := range ref.Time {
			if !seen[x] {
				at = append(at, shortest(x))
			}
			seen[x] = true
		}
		a := fitted(t, "km", "--data", casePath(t, "05a_veteran_km"), "--time", "time", "--event", "status", "--by", "trt", "--conf", conf, "--at", strings.Join(at, ","))
		for i, x := range ref.Time {
			term := fmt.Sprintf("time=%s,group=%s", shortest(x), strings.TrimPrefix(ref.Strata[i], "trt="))
			e := a.get(t, term, "survival")
			if e.Estimate == nil { // beyond the last observation of the group R carries the last value on
				t.Logf("%s: null here, %v in R", term, *ref.Surv[i])
				continue
			}
			near(t, &worst, term, e.Estimate, *ref.Surv[i], 1e-8)
			if ref.SE[i] != nil && e.StdError != nil {
				near(t, &worst, term+" se", e.StdError, *ref.SE[i], 1e-8)
			}
			if ref.Lower[i] != nil && e.ConfLow != nil {
				near(t, &worst, term+" low", e.ConfLow, *ref.Lower[i], 1e-8)
				near(t, &worst, term+" high", e.ConfHigh, *ref.Upper[i], 1e-8)
			}
		}
		var quantiles []struct {
			Group string
			Q     float64
			Value *float64
			Lo    *float64 `json:"conf_low"`
			Hi    *float64 `json:"conf_high"`
		}
		a.detail(t, "quantiles", &quantiles)
		require.Len(t, quantiles, 6)
	}
	var full struct {
		Time, Surv []float64
		SE         []*float64 `json:"se_of_surv"`
		NEvent     []int      `json:"n_event"`
	}
	require.NoError(t, json.Unmarshal(raw["km_overall_full"], &full))
	a := fitted(t, "km", "--data", casePath(t, "05a_veteran_km"), "--time", "time", "--event", "status")
	k := 0
	for i, x := range full.Time {
		if full.NEvent[i] == 0 {
			continue
		}
		e := a.get(t, "time="+shortest(x), "survival")
		near(t, &worst, e.Term, e.Estimate, full.Surv[i], 1e-8)
		if e.StdError != nil && full.SE[i] != nil {
			near(t, &worst, e.Term+" se", e.StdError, *full.SE[i], 1e-8)
		}
		k++
	}
	require.Len(t, a.Estimates, k)
	digits(t, "05a", worst)
}

// survfitInfluence are the standard errors of survival 3.5-3, survfit(Surv(start, stop,
// ev) ~ 1, id, istate, influence = TRUE), at 12, 24, 36, 48, 60, 69 for EM, FE, HE, JL, SC, TR.
var survfitInfluence = [][]float64{
	{0.0158794880305, 0.0173387143763, 0, 0.00810230086756, 0.0150142679258, 0.0151308962373},
	{0.0191039735226, 0.015707378379, 0.00972736834636, 0.010912537468, 0.0106063982852, 0.012653800647},
	{0.0200866622957, 0.0130562689538, 0.0151115742444, 0.0111781510368, 0.00453146200596, 0.0102773671901},
	{0.0209491792751, 0.0099684423544, 0.0166616935314, 0.0137327129912, 0, 0.00782273242578},
	{0.0225048082871, 0.00851397755767, 0.0173867099982, 0.0159111027088, 0, 0.00573396913549},
	{0.0240866852073, 0.00741782197007, 0.0179761360937, 0.0187721724985, 0, 0.00443494524213},
}

// Case mvad-censored-aj: survival's multi-state survfit; net months by its own definition.
func TestReferenceFitStates(t *testing.T) {
	const name = "progress/mvad-censored-aj"
	var ref struct {
		States     []string `json:"state_order"`
		Times      []float64
		Occupation [][]float64
		SE         [][]float64                   `json:"occupation_se"`
		RMTS       map[string]float64            `json:"rmts69"`
		RMTSSE     map[string]float64            `json:"rmts69_se"`
		ByGroup    map[string]map[string]float64 `json:"rmts69_by_gcse5eq"`
		Net        struct {
			Results []struct {
				Groups string
				N1, N0 int
				Net    float64 `json:"net_months"`
				SE     float64
				Win    float64   `json:"win_months"`
				Loss   float64   `json:"loss_months"`
				At36   []float64 `json:"at_36"`
				At60   []float64 `json:"at_60"`
			}
		} `json:"net_months_higher_step"`
	}
	reftest.ReadJSON(t, &ref, name, "expected.json")
	var est, se float64
	base := []string{"states", "--data", casePath(t, name), "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--at", "12,24,36,48,60,69", "--tau", "69"}
	a := fitted(t, base...)
	for i, at := range ref.Times {
		for j, s := range ref.States {
			e := a.get(t, fmt.Sprintf("time=%s,state=%s", shortest(at), s), "occupation-probability")
			near(t, &est, e.Term, e.Estimate, ref.Occupation[i][j], 1e-8)
			// The stored errors leave out that the shares of the starting states are estimated.
			// Ours are those of survfit(…, influence = TRUE): see estimate/survive/METHODS.md.
			near(t, &se, e.Term+" se", e.StdError, survfitInfluence[i][j], 1e-6)
		}
	}
	for _, s := range ref.States {
		e := a.get(t, "state="+s, "restricted-mean-time")
		near(t, &est, e.Term, e.Estimate, ref.RMTS[s], 1e-8)
		near(t, &se, e.Term+" se", e.StdError, ref.RMTSSE[s], 1e-6)
	}
	for _, w := range ref.Net.Results {
		args := append(append([]string{}, base...), "--by", w.Groups, "--ladder", "JL=1,TR=2,SC=3,FE=3,HE=4,EM=4")
		if w.Groups != "gcse5eq" {
			// The other groupings are not in the case's data file.
			if _, ok := reftest.ReadCSV(t, name, "data.csv")[w.Groups]; !ok {
				continue
			}
		}
		g := fitted(t, args...)
		for measure, want := range map[string]float64{"net-months": w.Net, "win-months": w.Win, "loss-months": w.Loss} {
			near(t, &est, measure, g.get(t, measure, measure).Estimate, want, 1e-8)
		}
		near(t, &se, "net se", g.get(t, "net-months", "").StdError, w.SE, 1e-6)
		for at, want := range map[string][]float64{"36": w.At36, "60": w.At60} {
			near(t, &est, "win at "+at, g.get(t, "time="+at, "win-probability").Estimate, want[0], 1e-8)
			near(t, &est, "loss at "+at, g.get(t, "time="+at, "loss-probability").Estimate, want[1], 1e-8)
		}
		if w.Groups == "gcse5eq" {
			for group, key := range map[string]string{"0": "no", "1": "yes"} {
				for s, want := range ref.ByGroup[key] {
					e := g.get(t, fmt.Sprintf("state=%s,group=%s", s, group), "restricted-mean-time")
					near(t, &est, e.Term, e.Estimate, want, 1e-8)
					near(t, &se, e.Term+" se", e.StdError, ref.ByGroup[key+"_se"][s], 1e-6)
				}
			}
			var persons map[string]int
			g.detail(t, "persons", &persons)
			require.Equal(t, map[string]int{"0": w.N0, "1": w.N1}, persons)
		}
	}
	digits(t, "mvad estimates", est)
	digits(t, "mvad standard errors", se)
}
