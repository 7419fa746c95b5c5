package effect

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
)

// AIPW is augmented inverse probability weighting, right if the model of treatment or
// the outcome models are. With p = P(treated | x) and mₐ(x) as in [IPW] and
// [GComputation], W = Σ w and S = Σ w·A,
//
//	ate:  θₐ = Σ w·(mₐ + 1{A=a}/P(A=a | x)·(y-mₐ)) / W
//	att:  θ₁ = Σ w·A·y / S,  θ₀ = Σ w·(A·m₀ + (1-A)·p/(1-p)·(y-m₀)) / S
//
// and atc with the arms exchanged. The summands, centred and divided by W or S, are
// the influence:
//
//	φₐ = w·(mₐ + 1{A=a}/P·(y-mₐ) - θₐ)/W,   φ₀ = w·(A·(m₀-θ₀) + (1-A)·p/(1-p)·(y-m₀))/S
//
// with divisor n. That is right where both models are right (and, with Folds, where
// they come near fast enough). Errors "stacked" adds to φ what it owes to the models'
// coefficients being estimated, and is right also where one of the models is wrong.
//
// With Folds the models that predict for a unit are fitted without the units of its
// fold; folds come from the keyed hash of the unit (clusters stay whole where errors
// are clustered).
// The split is repeated Repeats times: the estimate is the median of the repeats, its
// variance the median of their variances plus squared distances from it.
//
// Frame, estimates and details as [IPW], and outcome_model, errors; with Folds folds,
// repeats (each with its estimate and standard error), seed and spread (low, high).
// Influence is then that of the repeat that is the median, scaled to the reported
// errors.
//
// Source: Robins, Rotnitzky and Zhao (1994), JASA 89(427); Hahn (1998), Econometrica
// 66(2); Chernozhukov and others (2018), Econometrics Journal 21(1).
type AIPW struct {
	Estimand     string // "att" (default), "atc" or "ate"
	OutcomeModel string // as in [GComputation]
	// Errors is "influence" (default) or "stacked"; the latter not with Folds.
	Errors string
	// Folds is 0 (none) or a number from 2 to the number of units in the smaller arm.
	Folds int
	// Repeats of the split, odd; 0 means 5.
	Repeats int
	Seed    uint64 // of the splits
	// Nuisance is "logistic" (default), "ridge", "lasso" or "boosted", as in [DML]; the
	// last three with Folds.
	Nuisance string
	Vcov     Vcov // as in [IPW]
	Ratios   bool // as in [IPW]
	Workers  int  // as in [IPW]
}

var _ estimate.Estimator = AIPW{}

// Fit implements [estimate.Estimator].
func (d AIPW) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := d.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("aipw: %w", err)
	}
	return res, nil
}

func (d AIPW) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	o := &causalOptions{method: "aipw", estimand: d.Estimand, estimands: []string{"att", "atc", "ate"}, vcov: d.Vcov, ratios: d.Ratios, covariates: true, workers: d.Workers}
	split := splitting{d.Folds, d.Repeats, d.Seed}
	stacked := d.Errors == "stacked"
	switch {
	case d.Errors != "" && d.Errors != "influence" && !stacked:
		return nil, fmt.Errorf("%w: errors %q; known are influence and stacked", ErrOption, d.Errors)
	case stacked && d.Folds > 0:
		return nil, fmt.Errorf("%w: errors stacked is for models fitted to all units; leave folds out", ErrOption)
	}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	if err := c.learn(ctx, d.Nuisance, split); err != nil {
		return nil, err
	}
	kind, err := c.outcomeKind(d.OutcomeModel)
	if err != nil {
		return nil, err
	}
	c.params = 3*c.k + 2
	if o.estimand != "ate" {
		c.params -= c.k
	}
	res, err := c.split(ctx, split, o, func(s *nuisanceSpec) (*potential, error) {
		u, err := c.nuisance(o.estimand, kind, c.y, s)
		if err != nil {
			return nil, err
		}
		return c.augmented(o.estimand, u, stacked), nil
	})
	if err != nil {
		return nil, err
	}
	res.Details["outcome_model"] = kind
	res.Details["errors"] = "influence"
	if stacked {
		res.Details["errors"] = "stacked"
	}
	c.sayNuisance(res, d.Nuisance)
	return res, ctx.Err()
}

// nuisance are the models that an estimator rests on: the linear predictor of
// treatment and each arm's predicted outcome, with the models themselves where they
// were fitted to all units. An arm without predictions needs none.
type nuisance struct {
	eta []float64
	mu  [2][]float64
	om  [2]*model
	ps  *model
	// link is the outcome models' linear predictor.
	link [2][]float64
}

// other returns 1/P(A=a | x) (ate) or the odds of the estimand's group (att, atc) for
// a unit of arm a, with its derivative by the linear predictor of treatment.
func other(estimand string, arm int, eta float64) tilted {
	sign := 1.0
	if arm == 1 {
		sign = -1
	}
	odds := math.Exp(sign * eta)
	if estimand == "ate" {
		return tilted{1 + odds, sign * odds}
	}
	return tilted{odds, sign * odds}
}

// augmented returns the means with their influence.
func (c *causal) augmented(estimand string, u *nuisance, stacked bool) *potential {
	p := c.newPotential()
	t := c.target(estimand)
	total := c.sum(t)
	for a := range 2 {
		if u.mu[a] == nil {
			p.theta[a] = c.mean(t, c.y, p.phi[a])
			continue
		}
		mu := u.mu[a]
		h := make([]tilted, c.n) // of the arm's own rows
		for i := range h {
			if index(c.treated[i]) == a {
				h[i] = other(estimand, a, u.eta[i])
			}
		}
		p.theta[a] = c.sum(func(i int) float64 {
			return float64(t(i)*mu[i]) + float64(float64(c.w(i)*h[i].h)*(c.y[i]-mu[i]))
		}) / total
		phi := p.phi[a]
		for i := range phi {
			phi[i] = (float64(t(i)*(mu[i]-p.theta[a])) + float64(float64(c.w(i)*h[i].h)*(c.y[i]-mu[i]))) / total
		}
		if stacked {
			c.carry(phi, u.ps, c.gradient(func(i int) float64 { return float64(c.w(i)*h[i].d) * (c.y[i] - mu[i]) / total }))
			c.carry(phi, u.om[a], c.gradient(func(i int) float64 {
				g := (t(i) - float64(c.w(i)*h[i].h)) / total
				if u.om[a].dmu != nil {
					g *= u.om[a].dmu[i]
				}
				return g
			}))
		}
	}
	return p
}
