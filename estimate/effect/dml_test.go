package effect

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// dmlFrame is 90 units that any program can make again. Unit names are chosen so that
// unit i of an arm is dealt as the keyed hash says; the folds are read back by the test.
func dmlFrame() *estimate.Frame {
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(90, 2, nil), XNames: []string{"x1", "x2"}}
	for i := 1; i <= 90; i++ {
		x1, x2 := float64(i*37%101)/50-1, float64(i*53%97)/48-1
		a := float64(i*71%89)/89 < num.LogitLink.Mean(0.9*x1-0.6*x2)
		f.X.SetRow(i-1, []float64{x1, x2})
		f.Unit, f.Treated = append(f.Unit, strconv.Itoa(i)), append(f.Treated, a)
		f.Y = append(f.Y, x1+0.5*x2+float64(index(a))*(1+0.4*x1)+float64(i*29%83)/40)
	}
	return f
}

// One split with ridge, written out in numbers of [num]: each unit's p, m and ℓ come from
// models of the other folds, the penalty from folds inside of them.
func TestDMLWrittenOut(t *testing.T) {
	f := dmlFrame()
	for _, kind := range []string{LogisticNuisance, RidgeNuisance, BoostedNuisance} {
		o := &causalOptions{method: "dml", estimand: "ato", estimands: []string{"ato"}, covariates: true}
		c, err := newCausal(t.Context(), f, o)
		if err != nil {
			t.Fatal(err)
		}
		s := splitting{folds: 3, repeats: 1, seed: 4}
		if err := c.learn(t.Context(), kind, s); err != nil {
			t.Fatal(err)
		}
		fold, err := c.fold(s, 0)
		if err != nil {
			t.Fatal(err)
		}
		a := make([]float64, c.n)
		for i := range a {
			a[i] = float64(index(c.treated[i]))
		}
		p, l, m := make([]float64, c.n), make([]float64, c.n), [2][]float64{make([]float64, c.n), make([]float64, c.n)}
		for k := range 3 {
			predict := func(to, y []float64, logit bool, use func(i int) bool) {
				w := make([]float64, c.n)
				var x, bare, py, news []float64
				for i := range c.n {
					news = append(news, c.row(i)[1:]...)
					if fold[i] != k && use(i) {
						w[i] = 1
						x, bare, py = append(x, c.row(i)...), append(bare, c.row(i)[1:]...), append(py, y[i])
					}
				}
				var out []float64
				switch {
				case kind == LogisticNuisance && logit:
					fit, err := num.Logit(num.LogitData{N: len(py), K: 3, X: x, Y: py})
					if err != nil {
						t.Fatal(err)
					}
					out = c.linearPredictor(fit.Coef)
				case kind == LogisticNuisance:
					fit, err := num.LeastSquares(num.LsqData{N: len(py), K: 3, X: x, Y: py})
					if err != nil {
						t.Fatal(err)
					}
					out = c.linearPredictor(fit.Coef)
				case kind == RidgeNuisance:
					d := num.PenalisedData{N: len(py), K: 3, X: x, Y: py}
					d.Fold, d.Folds = c.learner.folds(y, w)
					fitting := num.PenalisedLinear
					if logit {
						fitting, d.Lambda = num.PenalisedLogit, c.learner.penalties(d)
					}
					fit, err := fitting(t.Context(), d)
					if err != nil {
						t.Fatal(err)
					}
					out = c.linearPredictor(fit.Coef[fit.CV.Min])
				default:
					d := num.BoostData{N: len(py), K: 2, X: bare, Y: py, Squared: !logit, Depth: 2, MinLeaf: 10, Bins: 64, Rounds: 1000, Shrinkage: 0.1, Patience: 20, New: news}
					d.Fold, d.Folds = c.learner.folds(y, w)
					fit, err := num.Boost(t.Context(), d)
					if err != nil {
						t.Fatal(err)
					}
					out = fit.New
				}
				for i, v := range out {
					if logit {
						v = num.LogitLink.Mean(v)
					}
					if fold[i] == k {
						to[i] = v
					}
				}
			}
			predict(p, a, true, func(int) bool { return true })
			predict(l, c.y, false, func(int) bool { return true })
			for arm := range 2 {
				predict(m[arm], c.y, false, func(i int) bool { return index(c.treated[i]) == arm })
			}
		}
		psi := func(estimand string, i int) (num, den float64) {
			tau := m[1][i] - m[0][i]
			e1, e0 := a[i]*(c.y[i]-m[1][i]), (1-a[i])*(c.y[i]-m[0][i])
			switch estimand {
			case "att":
				return a[i]*(c.y[i]-m[0][i]) - p[i]/(1-p[i])*e0, a[i]
			case "atc":
				return (1-a[i])*(m[1][i]-c.y[i]) + (1-p[i])/p[i]*e1, 1 - a[i]
			case "ate":
				return tau + e1/p[i] - e0/(1-p[i]), 1
			case "ato": // the efficient score of ∫p(1-p)τ/∫p(1-p), term by term
				lambda := p[i]*(1-p[i]) + (1-2*p[i])*(a[i]-p[i])
				return p[i]*(1-p[i])*(e1/p[i]-e0/(1-p[i])) + lambda*tau, lambda
			}
			r := a[i] - p[i]
			return r * (c.y[i] - l[i]), r * r
		}
		for _, estimand := range []string{"att", "atc", "ate", "ato", "linear"} {
			top, bottom := 0.0, 0.0
			for i := range c.n {
				n, d := psi(estimand, i)
				top, bottom = top+n, bottom+d
			}
			theta, ss := top/bottom, 0.0
			for i := range c.n {
				n, d := psi(estimand, i)
				ss += (n - theta*d) * (n - theta*d)
			}
			method := DML{Estimand: estimand, Nuisance: kind, Folds: 3, Repeats: 1, Seed: 4}
			if estimand == "linear" {
				method.Score, method.Estimand = PartiallyLinearScore, ""
			}
			e := mustFit(t, method, f).Estimates[0]
			reftest.Agree(t, kind+" "+estimand, e.Value, theta, 10)
			reftest.Agree(t, kind+" error of "+estimand, e.SE, math.Sqrt(ss)/bottom, 10)
		}
	}
}

// Robinson's score with ℓ = p·m₁ + (1-p)·m₀ is the efficient score of ato.
func TestPartiallyLinearIsOverlap(t *testing.T) {
	f := dmlFrame()
	c, err := newCausal(t.Context(), f, &causalOptions{method: "dml", estimand: "ato", estimands: []string{"ato"}, covariates: true})
	if err != nil {
		t.Fatal(err)
	}
	u, err := c.nuisance("ato", LinearOutcome, c.y, &nuisanceSpec{})
	if err != nil {
		t.Fatal(err)
	}
	got := c.overlapped(u)
	top, bottom := 0.0, 0.0
	for i := range c.n {
		p := num.LogitLink.Mean(u.eta[i])
		r := float64(index(c.treated[i])) - p
		top += r * (c.y[i] - p*u.mu[1][i] - (1-p)*u.mu[0][i])
		bottom += r * r
	}
	reftest.Agree(t, "ato", got.theta[1]-got.theta[0], top/bottom, 12)
}

// M1, M22, M24, M27, workers and swapped arms, for every estimand, score and nuisance model.
func TestDMLRelations(t *testing.T) {
	f := meansFrame(51, 1, 120, "number")
	mirror := map[string]string{"att": "atc", "atc": "att", "ate": "ate", "ato": "ato"}
	n := len(f.Y)
	change := func(edit func(g *estimate.Frame)) *estimate.Frame {
		g := *f
		g.Unit, g.Y, g.Treated, g.X = slices.Clone(f.Unit), slices.Clone(f.Y), slices.Clone(f.Treated), mat.DenseCopyOf(f.X)
		edit(&g)
		return &g
	}
	reversed := change(func(g *estimate.Frame) {
		slices.Reverse(g.Unit)
		slices.Reverse(g.Y)
		slices.Reverse(g.Treated)
		for i := range n {
			g.X.SetRow(i, f.X.RawRowView(n-1-i))
		}
	})
	scaled := change(func(g *estimate.Frame) {
		for i := range g.Y {
			g.Y[i] = 8 * (g.Y[i] + 3)
		}
	})
	swapped := change(func(g *estimate.Frame) {
		for i := range g.Treated {
			g.Treated[i] = !g.Treated[i]
		}
	})
	moved := change(func(g *estimate.Frame) {
		for i := range n {
			g.X.Set(i, 0, 5-4*g.X.At(i, 0))
		}
	})
	clustered := change(func(g *estimate.Frame) {
		for i := range n {
			g.Cluster = append(g.Cluster, i/3)
		}
	})
	for _, kind := range []string{LogisticNuisance, RidgeNuisance, LassoNuisance, BoostedNuisance} {
		for _, estimand := range []string{"att", "atc", "ate", "ato", "linear"} {
			d := DML{Estimand: estimand, Nuisance: kind, Folds: 2, Repeats: 1, Workers: 1}
			if estimand == "linear" {
				d.Score, d.Estimand = PartiallyLinearScore, "ato"
			}
			what := kind + " " + estimand
			base := mustFit(t, d, f)
			sameBits(t, what+" M1", base, mustFit(t, d, reversed))
			again := d
			again.Workers = 8
			sameBits(t, what+" workers", base, mustFit(t, again, f))
			e, s := base.Estimates[0], mustFit(t, d, scaled).Estimates[0]
			reftest.Agree(t, what+" in another unit", s.Value/8, e.Value, 8)
			reftest.Agree(t, what+" error in another unit", s.SE/8, e.SE, 8)
			other := d
			other.Estimand = mirror[d.Estimand]
			s = mustFit(t, other, swapped).Estimates[0]
			// Ties between cuts of equal gain fall the other way when signs turn.
			digits := reftest.Digits(8)
			if kind == BoostedNuisance {
				digits = 6
			}
			reftest.Agree(t, what+" arms swapped", -s.Value, e.Value, digits)
			if kind != BoostedNuisance {
				reftest.Agree(t, what+" covariate in another unit", mustFit(t, d, moved).Estimates[0].Value, e.Value, 7)
			}
			g := mustFit(t, d, clustered)
			if g.N.Clusters != 40 || g.Estimates[0].Test.DF != 39 {
				t.Errorf("%s: %d clusters, df %g", what, g.N.Clusters, g.Estimates[0].Test.DF)
			}
			reftest.Agree(t, what+" cr0", g.Estimates[0].SE, math.Sqrt(clusterVar(g, clustered.Cluster, 0)), 10)
		}
	}
}

// Every option changes the result.
func TestDMLOptionsMatter(t *testing.T) {
	f := meansFrame(52, 1, 120, "binary")
	base := DML{Folds: 2, Repeats: 1, Estimand: "ate", Nuisance: LassoNuisance}
	first := mustFit(t, base, f).Estimates[0]
	for name, change := range map[string]func(d *DML){
		"estimand": func(d *DML) { d.Estimand = "att" }, "nuisance": func(d *DML) { d.Nuisance = RidgeNuisance }, "folds": func(d *DML) { d.Folds = 3 },
		"repeats": func(d *DML) { d.Repeats = 5 }, "seed": func(d *DML) { d.Seed = 9 }, "bound": func(d *DML) { d.Bound = 0.3 },
		"outcome model": func(d *DML) { d.OutcomeModel = LinearOutcome }, "score": func(d *DML) { d.Score, d.Estimand = PartiallyLinearScore, "" },
	} {
		d := base
		change(&d)
		if e := mustFit(t, d, f).Estimates[0]; e.Value == first.Value && e.SE == first.SE {
			t.Errorf("%s changes nothing", name)
		}
	}
	ratios := base
	ratios.Ratios = true
	res, err := ratios.Fit(t.Context(), f)
	if err != nil || len(res.Estimates) != 3 {
		t.Error("ratios", err)
	}
	bounded := base
	bounded.Bound = 0.3
	if res := mustFit(t, bounded, f); !hasNote(res, "scores-bounded") {
		t.Error("scores are bounded in silence")
	}
	for _, kind := range []string{RidgeNuisance, BoostedNuisance} { // aipw and tmle take them too
		a := mustFit(t, AIPW{Estimand: "ate", Folds: 2, Repeats: 1, Nuisance: kind}, f).Estimates[0]
		d := mustFit(t, DML{Estimand: "ate", Folds: 2, Repeats: 1, Nuisance: kind}, f).Estimates[0]
		reftest.Agree(t, "aipw is dml", a.Value, d.Value, 14)
		plain := mustFit(t, TMLE{Estimand: "ate", Folds: 2, Repeats: 1}, f).Estimates[0]
		if tmle := mustFit(t, TMLE{Estimand: "ate", Folds: 2, Repeats: 1, Nuisance: kind}, f).Estimates[0]; tmle.Value == plain.Value {
			t.Error("tmle does not use its nuisance model")
		}
	}
}

func TestDMLRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		method estimate.Estimator
		change func(f *estimate.Frame)
		want   error
		says   string
	}{
		"score":           {DML{Score: "both"}, nil, ErrOption, "interactive"},
		"linear att":      {DML{Score: PartiallyLinearScore, Estimand: "att"}, nil, ErrOption, "ato"},
		"linear ratios":   {DML{Score: PartiallyLinearScore, Ratios: true}, nil, ErrOption, "means"},
		"linear bound":    {DML{Score: PartiallyLinearScore, Bound: 0.1}, nil, ErrOption, "bound"},
		"bound":           {DML{Bound: 0.5}, nil, ErrOption, "0.5"},
		"nuisance":        {DML{Nuisance: "forest"}, nil, ErrOption, "boosted"},
		"repeats":         {DML{Repeats: 2}, nil, ErrOption, "odd"},
		"aipw plugged in": {AIPW{Nuisance: LassoNuisance}, nil, ErrOption, "folds"},
		"tmle plugged in": {TMLE{Nuisance: BoostedNuisance}, nil, ErrOption, "folds"},
		"hc1":             {DML{Nuisance: LassoNuisance, Vcov: HC1}, nil, ErrOption, "parameters"},
		"weights": {DML{Nuisance: LassoNuisance}, func(f *estimate.Frame) {
			f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: slices.Repeat([]float64{2}, len(f.Y))}
		}, estimate.ErrWeights, "logistic"},
		"matching weights": {DML{}, func(f *estimate.Frame) {
			f.Weight = estimate.Weights{Kind: estimate.Matching, Values: slices.Repeat([]float64{2}, len(f.Y))}
		}, estimate.ErrWeights, ""},
		"sets": {DML{}, func(f *estimate.Frame) { f.Set = make([]int, len(f.Y)) }, ErrOption, "matched sets"},
		"one outcome": {DML{Nuisance: RidgeNuisance, Estimand: "ate"}, func(f *estimate.Frame) {
			for i := range f.Y {
				f.Y[i] = 0
			}
			f.Y[0] = 1
		}, estimate.ErrTooFew, "one outcome"},
		"no overlap": {DML{}, func(f *estimate.Frame) {
			f.X.Set(slices.Index(f.Treated, false), 0, 80)
		}, estimate.ErrNotIdentified, "next to no chance"},
	} {
		f := meansFrame(53, 1, 90, "number")
		if c.change != nil {
			c.change(f)
		}
		_, err := c.method.Fit(t.Context(), f)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (DML{Nuisance: BoostedNuisance}).Fit(ctx, meansFrame(53, 1, 90, "number")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
