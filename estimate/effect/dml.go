package effect

import (
	"context"
	"fmt"

	"utfall/estimate"
)

// Scores of [DML].
const (
	InteractiveScore     = "interactive"
	PartiallyLinearScore = "partially-linear"
)

// DML is double machine learning: scores that an error in a nuisance model moves only in
// second order, and nuisance models that never saw the unit they predict for, so that
// flexible models leave the error of the effect as it is.
//
// With p(x) = P(treated | x), mₐ(x) = E(y | A=a, x), ℓ(x) = E(y | x) from models fitted
// without the unit's fold, score interactive is that of [AIPW] for att, atc and ate, and
//
//	ato: θₐ = Σ w·[(A-p)²·mₐ + 1{A=a}·|A-p|·(y-mₐ)] / Σ w·(A-p)²
//
// the mean over all people weighted by p(1-p), whose efficient score it is: no unit
// weighs more than 1. Score partially-linear is Robinson's
//
//	θ = Σ w·(A-p)(y-ℓ) / Σ w·(A-p)²,   φ = w·(A-p)·(y-ℓ-θ(A-p)) / Σ w·(A-p)²
//
// which is the effect if it is the same for all, and estimates the same ato if not.
//
// Folds, repeats, median and spread as in [AIPW]: θ the median over repeats, its variance
// the median of V_r + (θ_r - θ)². A penalty or a number of trees is chosen by
// cross-validation inside the units that a model is fitted to, never on those it predicts.
//
// Frame, estimates and details as [AIPW], and nuisance, score; partially-linear has no
// mean_treated, mean_control. Weights with nuisance logistic only (sampling, frequency).
//
// Notes: those of [AIPW]; scores-bounded. Errors: as [AIPW]; [estimate.ErrNotIdentified]
// where a unit's probability of its own group is below 1e-8 and there is no Bound;
// [estimate.ErrTooFew] where inner folds have one outcome only.
//
// Source: Chernozhukov and others (2018), Econometrics Journal 21(1); Robinson (1988),
// Econometrica 56(4); Crump, Hotz, Imbens and Mitnik (2006) for ato.
type DML struct {
	Score    string // "interactive" (default) or "partially-linear"
	Estimand string // "att" (default), "atc", "ate", "ato"; partially-linear: "ato" (default)
	Nuisance string // "logistic" (default), "ridge", "lasso" or "boosted"
	// OutcomeModel is "linear" (squared errors) or "logistic"; default logistic for an
	// outcome of 0 and 1.
	OutcomeModel string
	Folds        int    // at least 2; 0 means 5
	Repeats      int    // odd; 0 means 5
	Seed         uint64 // of the splits
	// Bound, below 0.5, keeps probabilities of treatment within Bound and 1 - Bound: a bias
	// for a smaller variance, counted in a note. 0: none.
	Bound   float64
	Vcov    Vcov // "hc0" (default), "cr0" (default with clusters); logistic also "hc1", "cr1"
	Ratios  bool // as in [IPW]; not with partially-linear
	Workers int  // as in [IPW]
}

var _ estimate.Estimator = DML{}

// Fit implements [estimate.Estimator].
func (d DML) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := d.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("dml: %w", err)
	}
	return res, nil
}

func (d DML) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	o := &causalOptions{method: "dml", estimand: d.Estimand, estimands: []string{"att", "atc", "ate", "ato"}, vcov: d.Vcov, ratios: d.Ratios, covariates: true, workers: d.Workers}
	linear := false
	switch d.Score {
	case "", InteractiveScore:
		d.Score = InteractiveScore
	case PartiallyLinearScore:
		linear = true
		o.estimands = []string{"ato"}
		if o.estimand == "" {
			o.estimand = "ato"
		}
		if d.Ratios {
			return nil, fmt.Errorf("%w: score partially-linear has no means of which ratios could be made", ErrOption)
		}
	default:
		return nil, fmt.Errorf("%w: score %q; known are interactive and partially-linear", ErrOption, d.Score)
	}
	if d.Bound < 0 || d.Bound >= 0.5 {
		return nil, fmt.Errorf("%w: bound %v is not between 0 and 0.5", ErrOption, d.Bound)
	}
	if d.Bound > 0 && (linear || d.Estimand == "ato") {
		return nil, fmt.Errorf("%w: the estimand ato divides by no probability and uses no bound", ErrOption)
	}
	s := splitting{d.Folds, d.Repeats, d.Seed}
	if s.folds == 0 {
		s.folds = 5
	}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	if err := c.learn(ctx, d.Nuisance, s); err != nil {
		return nil, err
	}
	c.bound, c.guarded = d.Bound, o.estimand != "ato"
	kind, err := c.outcomeKind(d.OutcomeModel)
	if err != nil {
		return nil, err
	}
	c.params = 3*c.k + 2
	if o.estimand == "att" || o.estimand == "atc" || linear {
		c.params -= c.k
	}
	res, err := c.split(ctx, s, o, func(s *nuisanceSpec) (*potential, error) {
		if linear {
			return c.robinson(kind, s)
		}
		u, err := c.nuisance(o.estimand, kind, c.y, s)
		if err != nil {
			return nil, err
		}
		if o.estimand == "ato" {
			return c.overlapped(u), nil
		}
		return c.augmented(o.estimand, u, false), nil
	})
	if err != nil {
		return nil, err
	}
	if linear {
		delete(res.Details, "mean_treated")
		delete(res.Details, "mean_control")
	}
	res.Details["score"] = d.Score
	res.Details["outcome_model"] = kind
	c.sayNuisance(res, d.Nuisance)
	return res, ctx.Err()
}

func (c *causal) sayNuisance(res *estimate.Result, kind string) {
	if kind == "" {
		kind = LogisticNuisance
	}
	res.Details["nuisance"] = kind
}

// overlapped returns the means weighted by p(1-p) with their influence.
func (c *causal) overlapped(u *nuisance) *potential {
	p := c.newPotential()
	h := c.tilt("ato", u.eta) // |A-p| = P(other group | x)
	square := func(i int) float64 { return c.w(i) * float64(h[i].h*h[i].h) }
	total := c.sum(square)
	for a := range 2 {
		mu := u.mu[a]
		own := func(i int) float64 {
			if index(c.treated[i]) != a {
				return 0
			}
			return float64(c.w(i)*h[i].h) * (c.y[i] - mu[i])
		}
		p.theta[a] = c.sum(func(i int) float64 { return float64(square(i)*mu[i]) + own(i) }) / total
		for i := range p.phi[a] {
			p.phi[a][i] = (float64(square(i)*(mu[i]-p.theta[a])) + own(i)) / total
		}
	}
	return p
}

// robinson returns θ as the mean with treatment, of a mean of 0 without.
func (c *causal) robinson(kind string, s *nuisanceSpec) (*potential, error) {
	eta, level := make([]float64, c.n), make([]float64, c.n)
	for k := range s.folds {
		keep := func(i int) bool { return s.fold[i] != k }
		ps, err := c.propensity(keep)
		if err != nil {
			return nil, err
		}
		c.fill(eta, ps.eta, s.fold, k)
		m, err := c.outcomeModel("the outcome model", kind, c.y, c.allWeights(keep))
		if err != nil {
			return nil, err
		}
		c.fill(level, m.mu, s.fold, k)
	}
	away := make([]float64, c.n) // A - p
	for i, h := range c.tilt("ato", eta) {
		away[i] = h.h
		if !c.treated[i] {
			away[i] = -away[i]
		}
	}
	p := c.newPotential()
	total := c.sum(func(i int) float64 { return c.w(i) * float64(away[i]*away[i]) })
	if !(total > 0) {
		return nil, fmt.Errorf("%w: the covariates tell the groups apart in every fold", estimate.ErrNotIdentified)
	}
	theta := c.sum(func(i int) float64 { return float64(c.w(i)*away[i]) * (c.y[i] - level[i]) }) / total
	p.theta[1] = theta
	for i := range p.phi[1] {
		p.phi[1][i] = float64(c.w(i)*away[i]) * (c.y[i] - level[i] - float64(theta*away[i])) / total
	}
	return p, nil
}
