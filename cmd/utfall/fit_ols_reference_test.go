//go:build reference

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

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
			"se_cluster_region": {"--cluster", "region"}, "se_cluster_region_state_year": {"--cluster", "state,year"}, "se_cluster_state_no_ssc": {"--vcov", "cr0", "--cluster", "state"}} {
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

// Case 10a: the wild cluster bootstrap over all 512 sign patterns; the test of 0.3 is
// that of 0 for the outcome less 0.3·D.
func TestReferenceFitWild(t *testing.T) {
	var ref map[string]json.RawMessage
	reftest.ReadJSON(t, &ref, "10a_wild_cluster_exact", "expected.json")
	path := derived(t, "10a_wild_cluster_exact", map[string]func(map[string]string) string{
		"less": func(r map[string]string) string { return shortest(number(t, r["y"]) - 0.3*number(t, r["D"])) },
	})
	var worst float64
	for key, c := range map[string][2]string{"D_beta0_is_0": {"y", "D"}, "D_beta0_is_0.3": {"less", "D"}, "x_beta0_is_0": {"y", "x"}} {
		var want struct {
			SE  float64 `json:"se_CR1S"`
			T   float64 `json:"t_CR1S"`
			WCR struct {
				P float64 `json:"p_symmetric_ge"`
			} `json:"WCR_restricted"`
		}
		require.NoError(t, json.Unmarshal(ref[key], &want))
		a := fitted(t, "ols", "--data", path, "--outcome", c[0], "--covariates", "D,x", "--vcov", "wild", "--cluster", "cluster")
		e := a.get(t, c[1], "coefficient")
		near(t, &worst, key+" se", e.StdError, want.SE, 1e-10)
		near(t, &worst, key+" t", e.Statistic, want.T, 1e-10)
		require.Equal(t, want.WCR.P, *e.PValue, key)
	}
	digits(t, "10a", worst)
}
