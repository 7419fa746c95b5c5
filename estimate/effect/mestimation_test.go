package effect

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// cells is a cohort with one covariate of 0 and 1: at x = 0 the treated have y = 4 and
// the untreated 1, 2, 3; at x = 1 the treated 6, 8 and the untreated 3, 5.
func cells() *estimate.Frame {
	return &estimate.Frame{
		Unit: []string{"a", "b", "c", "d", "e", "f", "g", "h"}, Level: 0.95,
		Y:       []float64{4, 1, 2, 3, 6, 8, 3, 5},
		Treated: []bool{true, false, false, false, true, true, false, false},
		X:       mat.NewDense(8, 1, []float64{0, 0, 0, 0, 1, 1, 1, 1}), XNames: []string{"x"},
	}
}

// By hand. p is 1/4 and 1/2, the untreated means are 2 and 4, the treated 4 and 7. Models
// with a constant and x are saturated, so that all four estimators are the same number
// with the same influence (the efficient one).
//
// att: treated mean 6, untreated (2 + 4 + 4)/3 = 10/3, effect 8/3. Influence × 3: treated
// y - m₀ - 8/3 = -2/3, -2/3, 4/3; untreated -p/(1-p)·(y-m₀) = 1/3, 0, -1/3 and 1, -1.
// Squares 44/9, variance 44/81.
//
// ate: 5.5 - 3 = 2.5. Influence × 8: m₁ - m₀ - 2.5 = ∓1/2, plus 1/p·(y-m₁), less
// 1/(1-p)·(y-m₀): -1/2; 5/6, -1/2, -11/6; -3/2, 5/2; 5/2, -3/2. Squares 194/9, variance
// 97/288.
//
// atc: 26/5 - 14/5 = 12/5. Influence × 5: untreated m₁ - y - 12/5 = 0.6, -0.4, -1.4, 1.6,
// -0.4; treated (1-p)/p·(y-m₁) = 0, -1, 1. Squares 7.2, variance 0.288.
func TestMeansByHand(t *testing.T) {
	f := cells()
	for estimand, want := range map[string][4]float64{"att": {8.0 / 3, 44.0 / 81, 6, 10.0 / 3}, "ate": {2.5, 97.0 / 288, 5.5, 3}, "atc": {2.4, 0.288, 5.2, 2.8}} {
		for name, e := range map[string]estimate.Estimator{
			"ipw": IPW{Estimand: estimand}, "g-computation": GComputation{Estimand: estimand}, "aipw": AIPW{Estimand: estimand},
			"aipw stacked": AIPW{Estimand: estimand, Errors: "stacked"}, "tmle": TMLE{Estimand: estimand},
		} {
			res := mustFit(t, e, f)
			what := name + " " + estimand
			got := res.Estimates[0]
			if got.Term != estimand || got.Measure != estimate.MeanDifference || got.CI.Method != "normal" || len(res.Estimates) != 1 || res.N.Units != 8 || res.N.Treated != 3 {
				t.Errorf("%s: %+v %+v", what, got, res.N)
			}
			reftest.Agree(t, what, got.Value, want[0], 12)
			reftest.Agree(t, what+" variance", got.SE*got.SE, want[1], 12)
			reftest.Agree(t, what+" treated", res.Details["mean_treated"].(float64), want[2], 12)
			reftest.Agree(t, what+" control", res.Details["mean_control"].(float64), want[3], 12)
		}
	}
	// ato: n·p(1-p) is 3/4 and 1 at x = 0 and 1, so that the effect is (3/4·2 + 1·3)/(7/4) = 18/7.
	reftest.Agree(t, "ato", mustFit(t, IPW{Estimand: "ato"}, f).Estimates[0].Value, 18.0/7, 12)
	// hc1: N/(N-K), K = 2 + 2 parameters of the ipw equations, 2·2 of g-computation.
	for name, e := range map[string]estimate.Estimator{"ipw": IPW{Vcov: HC1}, "g-computation": GComputation{Vcov: HC1}} {
		got := mustFit(t, e, f).Estimates[0]
		reftest.Agree(t, name+" hc1", got.SE*got.SE, 2*44.0/81, 12)
	}
	// Clusters {a, b}, {c, d}, {e, f}, {g, h}: sums × 3 of -1/3, -1/3, 2/3, 0, squares 6/9;
	// cr1 has 4/3·7/(8-4).
	f.Cluster = []int{0, 0, 1, 1, 2, 2, 3, 3}
	for name, e := range map[string]func(Vcov) estimate.Estimator{
		"ipw": func(v Vcov) estimate.Estimator { return IPW{Vcov: v} }, "g-computation": func(v Vcov) estimate.Estimator { return GComputation{Vcov: v} },
	} {
		got := mustFit(t, e(""), f).Estimates[0]
		reftest.Agree(t, name+" cr0", got.SE*got.SE, 6.0/81, 12)
		if got.Test.DF != 3 || got.CI.Method != "t" {
			t.Errorf("%s: %+v", name, got)
		}
		got = mustFit(t, e(CR1), f).Estimates[0]
		reftest.Agree(t, name+" cr1", got.SE*got.SE, 4.0/3*7/4*6/81, 12)
	}
}

// By hand, outcome of 0 and 1 and no covariate: 3 of 4 treated and 2 of 6 untreated. The
// difference is 5/12 with variance p(1-p)/n of both arms, (3/16)/4 + (2/9)/6 = 145/1728; log
// ratio variances are (1-p)/(np): 1/12 + 1/3 = 5/12, and 1/(np(1-p)): 4/3 + 3/4 = 25/12.
func TestRatiosByHand(t *testing.T) {
	f := &estimate.Frame{Level: 0.95}
	for i := range 10 {
		f.Unit, f.Treated = append(f.Unit, strconv.Itoa(i)), append(f.Treated, i < 4)
		f.Y = append(f.Y, float64(index(i < 3 || i == 4 || i == 5)))
	}
	res, err := GComputation{Ratios: true}.Fit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		m            estimate.Measure
		value, logse float64
	}{{estimate.RiskDifference, 5.0 / 12, 0}, {RiskRatio, 9.0 / 4, math.Sqrt(5.0 / 12)}, {OddsRatio, 6, math.Sqrt(25.0 / 12)}}
	reftest.Agree(t, "difference", res.Estimates[0].SE*res.Estimates[0].SE, 145.0/1728, 12)
	for j, w := range want {
		e := res.Estimates[j]
		if e.Measure != w.m || e.Term != "att" {
			t.Errorf("%+v", e)
		}
		reftest.Agree(t, string(w.m), e.Value, w.value, 12)
		reftest.Agree(t, "covariance", res.Cov.At(j, j), e.SE*e.SE, 12)
		if j == 0 {
			continue
		}
		reftest.Agree(t, string(w.m)+" log error", e.SE/e.Value, w.logse, 12)
		q := 1.959963984540054 * w.logse
		reftest.Agree(t, "lower", e.CI.Lo, w.value*math.Exp(-q), 12)
		reftest.Agree(t, "upper", e.CI.Hi, w.value*math.Exp(q), 12)
		reftest.Agree(t, "test of 1", e.Test.Stat, math.Log(w.value)/w.logse, 12)
		if e.Test.Null != 1 || e.CI.Method != "log" {
			t.Errorf("%+v", e)
		}
	}
}

// Every option changes a number, and what a method cannot use is an error.
func TestMeansOptionsMatter(t *testing.T) {
	f := meansFrame(8, 0, 200, "binary")
	set := map[float64]string{}
	for name, e := range map[string]estimate.Estimator{
		"ipw": IPW{}, "ipw atc": IPW{Estimand: "atc"}, "ipw ate": IPW{Estimand: "ate"}, "ipw ato": IPW{Estimand: "ato"},
		"g": GComputation{}, "g linear": GComputation{OutcomeModel: LinearOutcome},
		"aipw": AIPW{}, "aipw linear": AIPW{OutcomeModel: LinearOutcome}, "aipw folds": AIPW{Folds: 2}, "aipw 3 folds": AIPW{Folds: 3}, "aipw seed": AIPW{Folds: 3, Seed: 1}, "aipw repeats": AIPW{Folds: 3, Repeats: 1},
		"tmle": TMLE{}, "tmle folds": TMLE{Folds: 3},
		"matching": BiasCorrectedMatching{}, "matching 3": BiasCorrectedMatching{Ratio: 3}, "matching plain": BiasCorrectedMatching{Unadjusted: true}, "matching mahalanobis": BiasCorrectedMatching{Metric: MahalanobisMetric, Ratio: 3},
	} {
		v := mustFit(t, e, f).Estimates[0].Value
		if twin, same := set[v]; same {
			t.Errorf("%s and %s are both %v", name, twin, v)
		}
		set[v] = name
	}
	errs := map[float64]string{}
	for name, e := range map[string]estimate.Estimator{"influence": AIPW{}, "stacked": AIPW{Errors: "stacked"}, "hc1": AIPW{Vcov: HC1}} {
		v := mustFit(t, e, f).Estimates[0].SE
		if twin, same := errs[v]; same {
			t.Errorf("%s and %s are both %v", name, twin, v)
		}
		errs[v] = name
	}
	weighted := *f
	weighted.Weight = estimate.Weights{Kind: estimate.Matching, Values: repeat(1, len(f.Y))}
	sampled := weighted
	sampled.Weight.Kind = estimate.Sampling
	sets := *f
	sets.Set = make([]int, len(f.Y))
	clustered := *f
	clustered.Cluster = make([]int, len(f.Y))
	for i := range clustered.Cluster {
		clustered.Cluster[i] = i % 5
	}
	one := *f
	one.Cluster = make([]int, len(f.Y))
	number := meansFrame(8, 0, 60, "number")
	bare := *f
	bare.X, bare.XNames = nil, nil
	same := *f
	same.X, same.XNames = mat.NewDense(len(f.Y), 1, nil), []string{"t"}
	for i, a := range f.Treated {
		same.X.Set(i, 0, float64(index(a)))
	}
	for name, c := range map[string]struct {
		e    estimate.Estimator
		f    *estimate.Frame
		want error
	}{
		"estimand": {IPW{Estimand: "atm"}, f, ErrOption}, "ato": {AIPW{Estimand: "ato"}, f, ErrOption}, "vcov": {IPW{Vcov: HC3}, f, ErrOption},
		"cr0 without clusters": {IPW{Vcov: CR0}, f, ErrOption}, "one cluster": {IPW{}, &one, estimate.ErrTooFew},
		"matching weights": {IPW{}, &weighted, estimate.ErrWeights}, "aipw matching weights": {AIPW{}, &weighted, estimate.ErrWeights},
		"matching with weights": {BiasCorrectedMatching{}, &sampled, estimate.ErrWeights}, "matching with clusters": {BiasCorrectedMatching{}, &clustered, ErrOption},
		"sets": {TMLE{}, &sets, ErrOption}, "model": {AIPW{OutcomeModel: "probit"}, f, ErrOption}, "logistic number": {GComputation{OutcomeModel: LogisticOutcome}, number, ErrOption},
		"ratios of numbers": {IPW{Ratios: true}, number, ErrOption}, "errors": {AIPW{Errors: "hc0"}, f, ErrOption}, "stacked folds": {AIPW{Errors: "stacked", Folds: 2}, f, ErrOption},
		"one fold": {AIPW{Folds: 1}, f, ErrOption}, "even repeats": {AIPW{Folds: 2, Repeats: 2}, f, ErrOption}, "seed": {TMLE{Seed: 3}, f, ErrOption}, "too many folds": {TMLE{Folds: 150}, f, estimate.ErrTooFew},
		"folds of clusters": {AIPW{Folds: 6}, &clustered, estimate.ErrTooFew}, "ratio": {BiasCorrectedMatching{Ratio: 200}, f, estimate.ErrTooFew}, "negative ratio": {BiasCorrectedMatching{Ratio: -1}, f, ErrOption},
		"metric": {BiasCorrectedMatching{Metric: "euclidean"}, f, ErrOption}, "variance": {BiasCorrectedMatching{Variance: 150}, f, estimate.ErrTooFew}, "no covariates": {IPW{}, &bare, estimate.ErrInvalidFrame},
		"covariate = treatment": {IPW{}, &same, estimate.ErrSeparated}, "g covariate = treatment": {GComputation{}, &same, estimate.ErrNotIdentified},
		"quantile": {IPW{Quantiles: []float64{1}}, f, ErrOption}, "quantile twice": {IPW{Quantiles: []float64{0.5, 0.5}}, f, ErrOption},
	} {
		if _, err := c.e.Fit(t.Context(), c.f); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none, every := *f, *f
	none.Treated, every.Treated = make([]bool, len(f.Y)), slices.Repeat([]bool{true}, len(f.Y))
	for _, e := range meanEstimators("ate") {
		if _, err := e.Fit(t.Context(), &none); !errors.Is(err, estimate.ErrNoTreated) {
			t.Error(err)
		}
		if _, err := e.Fit(t.Context(), &every); !errors.Is(err, estimate.ErrNoControls) {
			t.Error(err)
		}
	}
}

// An outcome that is the same for all of an arm: a value, no error that is rounding.
func TestMeansOfConstants(t *testing.T) {
	f := meansFrame(9, 0, 80, "number")
	for i, a := range f.Treated {
		f.Y[i] = 0.1 + 0.2*float64(index(a))
	}
	for _, e := range []estimate.Estimator{IPW{Estimand: "ate"}, GComputation{Estimand: "ate"}, AIPW{Estimand: "ate"}, BiasCorrectedMatching{Estimand: "ate"}} {
		res := mustFit(t, e, f)
		reftest.Agree(t, res.Method, res.Estimates[0].Value, 0.2, 12)
		if res.Estimates[0].SE != 0 || !math.IsNaN(res.Estimates[0].Test.P) || !hasNote(res, "no-residual-variation") {
			t.Errorf("%s: %+v", res.Method, res.Estimates[0])
		}
	}
	if _, err := (TMLE{}).Fit(t.Context(), f); !errors.Is(err, estimate.ErrSeparated) {
		t.Error(err)
	}
	for i := range f.Y {
		f.Y[i] = 2
	}
	if _, err := (TMLE{}).Fit(t.Context(), f); !errors.Is(err, estimate.ErrNotIdentified) {
		t.Error(err)
	}
}
