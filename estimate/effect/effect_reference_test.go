//go:build reference

package effect

import (
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// columns builds a frame from named columns.
func columns(y []float64, names []string, cols ...[]float64) *estimate.Frame {
	f := &estimate.Frame{Y: y, XNames: names, Level: 0.95}
	if len(names) > 0 {
		f.X = mat.NewDense(len(y), len(names), nil)
	}
	for i := range y {
		f.Unit = append(f.Unit, strconv.Itoa(i+1))
		for j := range names {
			f.X.Set(i, j, cols[j][i])
		}
	}
	return f
}

func codesOf(labels []string) []int {
	seen := map[string]int{}
	out := make([]int, len(labels))
	for i, s := range labels {
		if _, ok := seen[s]; !ok {
			seen[s] = len(seen)
		}
		out[i] = seen[s]
	}
	return out
}

func agreeAll(t *testing.T, what string, res *estimate.Result, rename func(string) string, want map[string]float64, digits reftest.Digits, get func(estimate.Estimate) float64) {
	t.Helper()
	if len(want) == 0 {
		t.Fatalf("%s: nothing to compare", what)
	}
	found := 0
	for _, e := range res.Estimates {
		if w, ok := want[rename(e.Term)]; ok {
			reftest.Agree(t, what+" "+e.Term, get(e), w, digits)
			found++
		}
	}
	if found != len(want) {
		t.Errorf("%s: %d of %d terms found", what, found, len(want))
	}
}

func value(e estimate.Estimate) float64 { return e.Value }
func se(e estimate.Estimate) float64    { return e.SE }

// Case 02a: sandwich 3.0-2, clubSandwich 0.5.8.
func TestReferenceMortality(t *testing.T) {
	data := reftest.ReadCSV(t, "02a_mortality_ols_cr", "data.csv")
	var ref struct {
		OLS struct {
			Coefficients map[string]float64
			Classical    map[string]float64 `json:"se_classical"`
			HC0          map[string]float64 `json:"se_HC0"`
			HC1          map[string]float64 `json:"se_HC1"`
			HC2          map[string]float64 `json:"se_HC2"`
			HC3          map[string]float64 `json:"se_HC3"`
			CR0          map[string]float64 `json:"se_CR0"`
			CR1S         map[string]float64 `json:"se_CR1S"`
			CR2          map[string]float64 `json:"se_CR2"`
			CR3          map[string]float64 `json:"se_CR3"`
			Satt         struct {
				Term     []string
				T, DF, P []float64
			} `json:"CR2_satterthwaite"`
			Sigma, R2 float64
			AdjR2     float64 `json:"adj_r2"`
		}
	}
	reftest.ReadJSON(t, &ref, "02a_mortality_ols_cr", "expected.json")
	names := []string{"legal", "beertaxa"}
	cols := [][]float64{data.Floats(t, "legal"), data.Floats(t, "beertaxa")}
	year := data.Floats(t, "year")
	for y := 1971; y <= 1996; y++ {
		dummy := make([]float64, len(year))
		any := false
		for i, v := range year {
			if v == float64(y) {
				dummy[i], any = 1, true
			}
		}
		if any {
			names, cols = append(names, "factor(year)"+strconv.Itoa(y)), append(cols, dummy)
		}
	}
	f := columns(data.Floats(t, "mrate"), names, cols...)
	f.Cluster = codesOf(data["state"])
	rename := func(s string) string {
		if s == "(intercept)" {
			return "(Intercept)"
		}
		return s
	}
	r := ref.OLS
	for vcov, want := range map[Vcov]map[string]float64{IID: r.Classical, HC0: r.HC0, HC1: r.HC1, HC2: r.HC2, HC3: r.HC3, CR0: r.CR0, CR1: r.CR1S, CR2: r.CR2, CR3: r.CR3} {
		res := mustFit(t, OLS{Vcov: vcov}, f)
		agreeAll(t, string(vcov), res, rename, want, 10, se)
		agreeAll(t, "coefficient", res, rename, r.Coefficients, 10, value)
		reftest.Agree(t, "sigma", res.Details["sigma"].(float64), r.Sigma, 11)
		reftest.Agree(t, "r2", res.Details["r_squared"].(float64), r.R2, 11)
		reftest.Agree(t, "adj r2", res.Details["adj_r_squared"].(float64), r.AdjR2, 11)
		if vcov == CR2 {
			for i, term := range r.Satt.Term {
				e := res.Estimates[i]
				if rename(e.Term) != term {
					t.Fatalf("term %s is %s", e.Term, term)
				}
				reftest.Agree(t, "df "+term, e.Test.DF, r.Satt.DF[i], 8)
				reftest.Agree(t, "t "+term, e.Test.Stat, r.Satt.T[i], 9)
				reftest.Agree(t, "p "+term, e.Test.P, r.Satt.P[i], 7)
			}
		}
	}
}

// Case 02a2: sandwich 3.0-2, high leverage and weights.
func TestReferencePublicSchools(t *testing.T) {
	data := reftest.ReadCSV(t, "02a2_publicschools_hc", "data.csv")
	type block struct {
		Coefficients map[string]float64
		Classical    map[string]float64 `json:"se_classical"`
		HC0          map[string]float64 `json:"se_HC0"`
		HC1          map[string]float64 `json:"se_HC1"`
		HC2          map[string]float64 `json:"se_HC2"`
		HC3          map[string]float64 `json:"se_HC3"`
		Leverage     []float64          `json:"leverage_first5"`
	}
	var ref struct {
		Quadratic block `json:"ols_quadratic"`
		WLS       block `json:"wls_weights_income"`
	}
	reftest.ReadJSON(t, &ref, "02a2_publicschools_hc", "expected.json")
	income, y := data.Floats(t, "Income"), data.Floats(t, "Expenditure")
	inc, inc2 := make([]float64, len(y)), make([]float64, len(y))
	for i, v := range income {
		inc[i] = v * 1e-4
		inc2[i] = inc[i] * inc[i]
	}
	rename := func(s string) string {
		switch s {
		case "(intercept)":
			return "(Intercept)"
		case "inc2":
			return "I(inc^2)"
		}
		return s
	}
	q := columns(y, []string{"inc", "inc2"}, inc, inc2)
	w := columns(y, []string{"inc"}, inc)
	w.Weight = estimate.Weights{Kind: estimate.Sampling, Values: income}
	for vcov, want := range map[Vcov][2]map[string]float64{IID: {ref.Quadratic.Classical, nil}, HC0: {ref.Quadratic.HC0, ref.WLS.HC0}, HC1: {ref.Quadratic.HC1, ref.WLS.HC1},
		HC2: {ref.Quadratic.HC2, ref.WLS.HC2}, HC3: {ref.Quadratic.HC3, ref.WLS.HC3}} {
		res := mustFit(t, OLS{Vcov: vcov}, q)
		agreeAll(t, "quadratic "+string(vcov), res, rename, want[0], 10, se)
		agreeAll(t, "quadratic", res, rename, ref.Quadratic.Coefficients, 11, value)
		if want[1] != nil {
			res = mustFit(t, OLS{Vcov: vcov}, w)
			agreeAll(t, "weighted "+string(vcov), res, rename, want[1], 10, se)
			agreeAll(t, "weighted", res, rename, ref.WLS.Coefficients, 11, value)
		}
	}
}

// Case 02b: fixest 0.12.1, one and two absorbed effects.
func TestReferenceProduc(t *testing.T) {
	data := reftest.ReadCSV(t, "02b_produc_twfe", "data.csv")
	type block struct {
		Coefficients map[string]float64
		SSR          float64
		WithinR2     float64            `json:"within_r2"`
		IID          map[string]float64 `json:"se_iid"`
		Hetero       map[string]float64 `json:"se_hetero"`
		Cluster      map[string]float64 `json:"se_cluster_state"`
		NoSSC        map[string]float64 `json:"se_cluster_state_no_ssc"`
		Region       map[string]float64 `json:"se_cluster_region"`
	}
	var ref struct {
		State     block `json:"feols_state"`
		StateYear block `json:"feols_state_year"`
	}
	reftest.ReadJSON(t, &ref, "02b_produc_twfe", "expected.json")
	logs := func(name string) []float64 {
		c := data.Floats(t, name)
		for i, v := range c {
			c[i] = math.Log(v)
		}
		return c
	}
	f := columns(logs("gsp"), []string{"lpc", "lk", "le", "unemp"}, logs("pcap"), logs("pc"), logs("emp"), data.Floats(t, "unemp"))
	state, year, region := codesOf(data["state"]), codesOf(data["year"]), codesOf(data["region"])
	same := func(s string) string { return s }
	for _, c := range []struct {
		absorb [][]int
		names  []string
		want   block
	}{{[][]int{state}, []string{"state"}, ref.State}, {[][]int{state, year}, []string{"state", "year"}, ref.StateYear}} {
		f.Cluster = state
		for vcov, want := range map[Vcov]map[string]float64{IID: c.want.IID, HC1: c.want.Hetero, CR1: c.want.Cluster, CR0: c.want.NoSSC} {
			res := mustFit(t, OLS{Vcov: vcov, Absorb: c.absorb, AbsorbNames: c.names}, f)
			agreeAll(t, string(vcov), res, same, want, 9, se)
			agreeAll(t, "coefficient", res, same, c.want.Coefficients, 9, value)
			reftest.Agree(t, "within R²", res.Details["within_r_squared"].(float64), c.want.WithinR2, 10)
		}
		f.Cluster = region // states lie within regions, years do not
		res := mustFit(t, OLS{Vcov: CR1, Absorb: c.absorb, AbsorbNames: c.names}, f)
		agreeAll(t, "region", res, same, c.want.Region, 9, se)
	}
}

// Case 03e: fixest 0.12.1, event study and two-way fixed effects, clustered by unit.
func TestReferenceTWFE(t *testing.T) {
	data := reftest.ReadCSV(t, "03e_base_did_twfe", "data.csv")
	var ref struct {
		EventStudy struct {
			Coefficients, SE map[string]float64
			Vcov             map[string]map[string]float64
			R2               float64
		} `json:"event_study"`
		TWFE struct {
			Coefficients, SE map[string]float64
			R2               float64
			WithinR2         float64 `json:"within_r2"`
		}
		Confint   map[string]float64                        `json:"twfe_confint95"`
		PooledHC1 struct{ Estimate, SE map[string]float64 } `json:"pooled_2x2_HC1"`
		PooledCR1 struct{ Estimate, SE map[string]float64 } `json:"pooled_2x2_cluster_id"`
	}
	reftest.ReadJSON(t, &ref, "03e_base_did_twfe", "expected.json")
	y, x1, treat, post, period := data.Floats(t, "y"), data.Floats(t, "x1"), data.Floats(t, "treat"), data.Floats(t, "post"), data.Floats(t, "period")
	names, cols := []string{"x1"}, [][]float64{x1}
	tp := make([]float64, len(y))
	for p := 1; p <= 10; p++ {
		if p == 5 {
			continue
		}
		c := make([]float64, len(y))
		for i := range c {
			if period[i] == float64(p) {
				c[i] = treat[i]
			}
		}
		names, cols = append(names, "period::"+strconv.Itoa(p)+":treat"), append(cols, c)
	}
	for i := range tp {
		tp[i] = treat[i] * post[i]
	}
	same := func(s string) string { return s }
	id := codesOf(data["id"])
	o := OLS{Absorb: [][]int{id, codesOf(data["period"])}, AbsorbNames: []string{"id", "period"}}
	f := columns(y, names, cols...)
	f.Cluster = id
	res := mustFit(t, o, f)
	agreeAll(t, "event study", res, same, ref.EventStudy.Coefficients, 9, value)
	agreeAll(t, "event study se", res, same, ref.EventStudy.SE, 9, se)
	for i, a := range names {
		for j, b := range names {
			reftest.Agree(t, "vcov "+a+" "+b, res.Cov.At(i, j), ref.EventStudy.Vcov[a][b], 8)
		}
	}
	reftest.Agree(t, "event study R²", res.Details["r_squared"].(float64), ref.EventStudy.R2, 10)
	f = columns(y, []string{"x1", "treat:post"}, x1, tp)
	f.Cluster = id
	res = mustFit(t, o, f)
	agreeAll(t, "twfe", res, same, ref.TWFE.Coefficients, 9, value)
	agreeAll(t, "twfe se", res, same, ref.TWFE.SE, 9, se)
	reftest.Agree(t, "twfe within R²", res.Details["within_r_squared"].(float64), ref.TWFE.WithinR2, 10)
	reftest.Agree(t, "interval", res.Estimates[1].CI.Lo, ref.Confint["2.5 %"], 9)
	reftest.Agree(t, "interval", res.Estimates[1].CI.Hi, ref.Confint["97.5 %"], 9)

	f = columns(y, []string{"x1", "treat", "post", "treat:post"}, x1, treat, post, tp)
	rename := func(s string) string {
		if s == "(intercept)" {
			return "(Intercept)"
		}
		return s
	}
	agreeAll(t, "pooled hc1", mustFit(t, OLS{Vcov: HC1}, f), rename, ref.PooledHC1.SE, 9, se)
	f.Cluster = id
	agreeAll(t, "pooled cr1", mustFit(t, OLS{}, f), rename, ref.PooledCR1.SE, 9, se)
}

// Cases 01b to 01e: MatchIt 4.5.5 and sandwich 3.0-2, effects in the matched cohorts.
func TestReferenceMatchedLalonde(t *testing.T) {
	for _, name := range []string{"01b_lalonde_nn1", "01c_lalonde_nn1_caliper", "01d_lalonde_nn3_replace", "01d2_lalonde_nn2_noreplace", "01e_lalonde_nn1_exact_race",
		"01g_lalonde_cem_default", "01i_lalonde_subclass"} {
		data := reftest.ReadCSV(t, name, "data.csv")
		type block struct {
			ATT      float64
			HC0      *float64 `json:"se_HC0"`
			HC1      *float64 `json:"se_HC1"`
			HC2      *float64 `json:"se_HC2"`
			HC3      *float64 `json:"se_HC3"`
			CR0      *float64 `json:"se_CR0_subclass"`
			CR1      *float64 `json:"se_CR1_subclass"`
			Clusters int      `json:"n_clusters"`
		}
		var ref struct {
			Subclass map[string]*string
			Weights  map[string]float64
			Effect   struct {
				Used                 int     `json:"n_used"`
				Treated              float64 `json:"mean_treated"`
				Control              float64 `json:"mean_control"`
				Unadjusted, Adjusted block
			}
		}
		reftest.ReadJSON(t, &ref, name, "expected.json")
		n := len(data["id"])
		race := func(level string) []float64 {
			c := make([]float64, n)
			for i, r := range data["race"] {
				if r == level {
					c[i] = 1
				}
			}
			return c
		}
		f := columns(data.Floats(t, "re78"), []string{"age", "educ", "hispan", "white", "married", "nodegree", "re74", "re75"},
			data.Floats(t, "age"), data.Floats(t, "educ"), race("hispan"), race("white"), data.Floats(t, "married"), data.Floats(t, "nodegree"), data.Floats(t, "re74"), data.Floats(t, "re75"))
		f.Unit = data["id"]
		f.Weight = estimate.Weights{Kind: estimate.Matching}
		labels := make([]string, n)
		for i, id := range data["id"] {
			f.Treated = append(f.Treated, data["treat"][i] == "1")
			f.Weight.Values = append(f.Weight.Values, ref.Weights[id])
			if s := ref.Subclass[id]; s != nil {
				labels[i] = *s
			}
		}
		if ref.Subclass != nil {
			f.Set = codesOf(labels)
			for i, l := range labels {
				if l == "" {
					f.Set[i] = -1
				}
			}
		}
		check := func(what string, got *estimate.Result, att float64, want *float64) {
			t.Helper()
			reftest.Agree(t, name+" "+what+" att", got.Estimates[0].Value, att, 10)
			if want != nil {
				reftest.Agree(t, name+" "+what, got.Estimates[0].SE, *want, 10)
			}
		}
		u, a := ref.Effect.Unadjusted, ref.Effect.Adjusted
		for vcov, want := range map[Vcov][2]*float64{HC0: {u.HC0, a.HC0}, HC1: {u.HC1, a.HC1}, HC2: {u.HC2, a.HC2}, HC3: {u.HC3, a.HC3}, CR0: {u.CR0, a.CR0}, CR1: {u.CR1, a.CR1}} {
			if vcov.clustered() && f.Set == nil {
				continue
			}
			check(string(vcov), mustFit(t, Difference{Vcov: vcov}, f), u.ATT, want[0])
			check("adjusted "+string(vcov), mustFit(t, Regression{Vcov: vcov}, f), a.ATT, want[1])
		}
		res := mustFit(t, Difference{}, f)
		reftest.Agree(t, name+" mean treated", res.Details["mean_treated"].(float64), ref.Effect.Treated, 11)
		reftest.Agree(t, name+" mean control", res.Details["mean_control"].(float64), ref.Effect.Control, 11)
		if res.N.Units != ref.Effect.Used || (f.Set != nil && res.N.Clusters != u.Clusters) {
			t.Errorf("%s: %d units, %d clusters; want %d, %d", name, res.N.Units, res.N.Clusters, ref.Effect.Used, u.Clusters)
		}
	}
}
