package effect

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
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

// meansFrame has n units, two covariates, confounding, and an outcome of the kind named.
func meansFrame(seed, rep uint64, n int, kind string) *estimate.Frame {
	s := num.NewStream(seed, "means test", rep)
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, 2, nil), XNames: []string{"x1", "x2"}}
	for i := range n {
		a, b := s.Normal(), s.Normal()
		f.X.SetRow(i, []float64{a, b})
		treated := s.Bernoulli(num.LogitLink.Mean(-0.3 + 0.7*a - 0.4*b))
		eta := 0.6*a + 0.5*b
		if treated {
			eta += 0.8 + 0.3*a
		}
		y := eta + s.Normal()
		if kind == "binary" {
			y = float64(index(s.Bernoulli(num.LogitLink.Mean(eta - 0.5))))
		}
		f.Unit, f.Treated, f.Y = append(f.Unit, "u"+strconv.Itoa(i)), append(f.Treated, treated), append(f.Y, y)
	}
	return f
}

// meanEstimators are all methods of means with an estimand.
func meanEstimators(estimand string) map[string]estimate.Estimator {
	out := map[string]estimate.Estimator{"ipw": IPW{Estimand: estimand}}
	if estimand != "ato" {
		out["g-computation"] = GComputation{Estimand: estimand}
		out["aipw"] = AIPW{Estimand: estimand}
		out["aipw stacked"] = AIPW{Estimand: estimand, Errors: "stacked"}
		out["aipw folds"] = AIPW{Estimand: estimand, Folds: 3, Repeats: 3}
		out["tmle"] = TMLE{Estimand: estimand}
		out["tmle folds"] = TMLE{Estimand: estimand, Folds: 3, Repeats: 3}
		out["matching"] = BiasCorrectedMatching{Estimand: estimand, Variance: 3}
	}
	return out
}

// The influence of a unit is the derivative of the estimate by its sampling weight: for
// every estimator whose errors are those of all its equations.
func TestInfluenceIsDerivative(t *testing.T) {
	for _, kind := range []string{"number", "binary"} {
		f := meansFrame(3, 0, 60, kind)
		ratios := kind == "binary"
		n := len(f.Y)
		list := map[string]estimate.Estimator{}
		for _, estimand := range []string{"att", "atc", "ate", "ato"} {
			list["ipw "+estimand] = IPW{Estimand: estimand, Ratios: ratios}
			if estimand == "ato" {
				continue
			}
			list["g-computation "+estimand] = GComputation{Estimand: estimand, Ratios: ratios}
			list["aipw "+estimand] = AIPW{Estimand: estimand, Errors: "stacked", Ratios: ratios}
			list["aipw linear "+estimand] = AIPW{Estimand: estimand, Errors: "stacked", OutcomeModel: LinearOutcome}
		}
		for name, e := range list {
			at := func(unit int, delta float64) *estimate.Result {
				g := *f
				g.Weight = estimate.Weights{Kind: estimate.Sampling, Values: slices.Repeat([]float64{1}, n)}
				g.Weight.Values[unit] += delta
				res, err := e.Fit(t.Context(), &g)
				if err != nil {
					t.Fatal(name, err)
				}
				return res
			}
			base := at(0, 0)
			for _, unit := range []int{0, 7, 31, 59} {
				const h = 1e-4
				up, down := at(unit, h), at(unit, -h)
				for j := range base.Estimates {
					want := (up.Estimates[j].Value - down.Estimates[j].Value) / (2 * h)
					reftest.Near(t, kind+" "+name, base.Influence.At(unit, j), want, 1e-7*(1+math.Abs(want)))
				}
			}
		}
	}
}

func sameBits(t *testing.T, what string, a, b *estimate.Result) {
	t.Helper()
	for j, e := range a.Estimates {
		if g := b.Estimates[j]; math.Float64bits(e.Value) != math.Float64bits(g.Value) || math.Float64bits(e.SE) != math.Float64bits(g.SE) {
			t.Errorf("%s: %v±%v and %v±%v", what, e.Value, e.SE, g.Value, g.SE)
		}
	}
}

// M1, M22, M24, M27, M30, M31, M36 and swapped arms, for every method.
func TestMeansRelations(t *testing.T) {
	f := meansFrame(5, 1, 150, "number")
	n := len(f.Y)
	before := *f
	before.Y, before.X = slices.Clone(f.Y), mat.DenseCopyOf(f.X)
	take := func(rows []int) *estimate.Frame {
		g := &estimate.Frame{Level: f.Level, XNames: f.XNames, X: mat.NewDense(len(rows), 2, nil)}
		for i, r := range rows {
			g.Unit, g.Y, g.Treated = append(g.Unit, f.Unit[r]), append(g.Y, f.Y[r]), append(g.Treated, f.Treated[r])
			g.X.SetRow(i, f.X.RawRowView(r))
			if f.Cluster != nil {
				g.Cluster = append(g.Cluster, f.Cluster[r])
			}
		}
		return g
	}
	var all, reversed, doubled []int
	for i := range n {
		all, reversed = append(all, i), append(reversed, n-1-i)
		doubled = append(doubled, i, i)
	}
	swapped := take(all)
	for i := range swapped.Treated {
		swapped.Treated[i] = !swapped.Treated[i]
	}
	mirror := map[string]string{"att": "atc", "atc": "att", "ate": "ate", "ato": "ato"}
	for _, estimand := range []string{"att", "atc", "ate", "ato"} {
		opposite := meanEstimators(mirror[estimand])
		for name, e := range meanEstimators(estimand) {
			what := name + " " + estimand
			base := mustFit(t, e, f)
			sameBits(t, what+" M1", base, mustFit(t, e, take(reversed)))

			g := take(all)
			for i := range g.Y {
				g.Y[i] = 8 * (f.Y[i] + 3)
			}
			scaled := mustFit(t, e, g)
			reftest.Agree(t, what+" M24 M27", scaled.Estimates[0].Value, 8*base.Estimates[0].Value, 9)
			reftest.Agree(t, what+" M27 se", scaled.Estimates[0].SE, 8*base.Estimates[0].SE, 9)

			g = take(all)
			g.X, g.XNames = mat.NewDense(n, 4, nil), []string{"x1", "k", "x2", "sum"}
			for i := range n {
				r := f.X.RawRowView(i)
				g.X.SetRow(i, []float64{r[0], 7, r[1], r[0] - 2*r[1]})
			}
			collinear := mustFit(t, e, g)
			reftest.Agree(t, what+" M36", collinear.Estimates[0].Value, base.Estimates[0].Value, 11)
			if !hasNote(collinear, "collinear-dropped") {
				t.Errorf("%s: %v", what, collinear.Notes)
			}

			other := mustFit(t, opposite[name], swapped)
			reftest.Agree(t, what+" M15", other.Estimates[0].Value, -base.Estimates[0].Value, 9)
			reftest.Agree(t, what+" M15 se", other.Estimates[0].SE, base.Estimates[0].SE, 9)

			if name == "matching" {
				continue
			}
			g = take(all)
			g.Cluster = slices.Clone(all)
			if name != "aipw folds" && name != "tmle folds" { // folds follow the clusters
				reftest.Agree(t, what+" own clusters", mustFit(t, e, g).Estimates[0].SE, base.Estimates[0].SE, 12)

				// M31, and M30: weight 2 is two copies, whose variance is half.
				for _, w := range []float64{0.25, 3} {
					g = take(all)
					g.Weight = estimate.Weights{Kind: estimate.Sampling, Values: repeat(w, n)}
					weighted := mustFit(t, e, g)
					reftest.Agree(t, what+" M31", weighted.Estimates[0].Value, base.Estimates[0].Value, 10)
					reftest.Agree(t, what+" M31 se", weighted.Estimates[0].SE, base.Estimates[0].SE, 10)
				}
				g = take(all)
				g.Weight = estimate.Weights{Kind: estimate.Frequency, Values: repeat(2, n)}
				for i := range 20 {
					g.Weight.Values[i] = 1
				}
				twice := take(append(doubled[40:], all[:20]...))
				for i := range twice.Unit {
					twice.Unit[i] = strconv.Itoa(i)
				}
				frequency, copied := mustFit(t, e, g), mustFit(t, e, twice)
				reftest.Agree(t, what+" M30", frequency.Estimates[0].Value, copied.Estimates[0].Value, 9)
				reftest.Agree(t, what+" M30 se", frequency.Estimates[0].SE, copied.Estimates[0].SE, 9)
				if frequency.N != copied.N {
					t.Errorf("%s: %+v %+v", what, frequency.N, copied.N)
				}
			}
		}
	}
	if !slices.Equal(before.Y, f.Y) || !mat.Equal(before.X, f.X) {
		t.Error("the frame was changed")
	}
	// M22.
	big := meansFrame(6, 0, 9000, "binary")
	for name, pair := range map[string][2]estimate.Estimator{
		"ipw": {IPW{Workers: 1}, IPW{Workers: 8}}, "g-computation": {GComputation{Workers: 1}, GComputation{Workers: 8}},
		"aipw": {AIPW{Workers: 1, Folds: 2}, AIPW{Workers: 8, Folds: 2}}, "tmle": {TMLE{Workers: 1}, TMLE{Workers: 8}},
		"matching": {BiasCorrectedMatching{Workers: 1, Variance: 2}, BiasCorrectedMatching{Workers: 8, Variance: 2}},
	} {
		sameBits(t, name+" M22", mustFit(t, pair[0], big), mustFit(t, pair[1], big))
	}
}

// M38 for effects: with the outcome flipped differences negate and odds ratios invert.
func TestMeansFlippedOutcome(t *testing.T) {
	f := meansFrame(7, 0, 300, "binary")
	g := *f
	g.Y = make([]float64, len(f.Y))
	for i, y := range f.Y {
		g.Y[i] = 1 - y
	}
	for name, e := range map[string]estimate.Estimator{"ipw": IPW{Ratios: true}, "g-computation": GComputation{Ratios: true, Estimand: "ate"}, "aipw": AIPW{Ratios: true}, "tmle": TMLE{Ratios: true, Estimand: "ate"}} {
		a, err := e.Fit(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Fit(t.Context(), &g)
		if err != nil {
			t.Fatal(err)
		}
		reftest.Agree(t, name, b.Estimates[0].Value, -a.Estimates[0].Value, 9)
		reftest.Agree(t, name+" se", b.Estimates[0].SE, a.Estimates[0].SE, 9)
		reftest.Agree(t, name+" odds ratio", b.Estimates[2].Value, 1/a.Estimates[2].Value, 9)
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
