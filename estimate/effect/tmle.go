package effect

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

// TMLE is targeted maximum likelihood estimation of the means of a bounded outcome.
// The outcome is mapped to y* = (y-lo)/(hi-lo), with lo and hi its smallest and largest
// value (0 and 1 for an outcome of 0 and 1); mₐ(x) is a logistic regression of y* in arm
// a, p a logistic regression of treatment, and each needed mₐ is moved by one number,
//
//	logit m*ₐ = logit mₐ + εₐ,  εₐ the root of Σ_{A=a} w·h·(y* - m*ₐ) = 0,
//	h = 1/P(A=a | x) (ate), P(own group | x)/P(A=a | x) (att, atc)
//
// so that θₐ = Σ w·t·m*ₐ / Σ w·t (t as in [GComputation]) solves the equation of
// [AIPW] and stays within lo and hi. The influence is that of [AIPW] at m*, divisor n.
// Treatment probabilities are not truncated.
//
// Folds, frame, estimates and details as [AIPW]; details has also epsilon (by arm,
// without folds) and range. Errors: as [AIPW]; an outcome that does not vary is
// [estimate.ErrNotIdentified].
//
// Source: van der Laan and Rubin (2006), International Journal of Biostatistics 2(1);
// Gruber and van der Laan (2010), the same 6(1), for the bounded outcome; weights
// rather than a clever covariate as in Rotnitzky and others (2012), Biometrika 99(2).
type TMLE struct {
	Estimand string // "att" (default), "atc" or "ate"
	Folds    int    // as in [AIPW]
	Repeats  int    // as in [AIPW]
	Seed     uint64 // as in [AIPW]
	Nuisance string // as in [AIPW]
	Vcov     Vcov   // as in [IPW]
	Ratios   bool   // as in [IPW]
	Workers  int    // as in [IPW]
}

var _ estimate.Estimator = TMLE{}

// Fit implements [estimate.Estimator].
func (d TMLE) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := d.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("tmle: %w", err)
	}
	return res, nil
}

func (d TMLE) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	o := &causalOptions{method: "tmle", estimand: d.Estimand, estimands: []string{"att", "atc", "ate"}, vcov: d.Vcov, ratios: d.Ratios, covariates: true, workers: d.Workers}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	split := splitting{d.Folds, d.Repeats, d.Seed}
	if err := c.learn(ctx, d.Nuisance, split); err != nil {
		return nil, err
	}
	lo, hi := 0.0, 1.0
	if !c.binary {
		lo, hi = slices.Min(c.y), slices.Max(c.y)
	}
	if lo == hi || c.binary && slices.Min(c.y) == slices.Max(c.y) {
		return nil, fmt.Errorf("%w: the outcome does not vary", estimate.ErrNotIdentified)
	}
	scaled := make([]float64, c.n)
	for i, y := range c.y {
		scaled[i] = math.Min((y-lo)/(hi-lo), 1)
	}
	c.params = 3*c.k + 2
	if o.estimand != "ate" {
		c.params -= c.k
	}
	epsilon := map[string]float64{}
	res, err := c.split(ctx, split, o, func(s *nuisanceSpec) (*potential, error) {
		u, err := c.nuisance(o.estimand, LogisticOutcome, scaled, s)
		if err != nil {
			return nil, err
		}
		for a, name := range [2]string{"control", "treated"} {
			if u.mu[a] == nil {
				continue
			}
			e, err := c.fluctuate(o.estimand, a, u, scaled)
			if err != nil {
				return nil, fmt.Errorf("the %s units: %w", name, err)
			}
			epsilon[name] = e
			mu := make([]float64, c.n)
			for i, v := range u.link[a] {
				mu[i] = lo + float64((hi-lo)*num.LogitLink.Mean(v+e))
			}
			u.mu[a] = mu
		}
		return c.augmented(o.estimand, u, false), nil
	})
	if err != nil {
		return nil, err
	}
	if d.Folds == 0 {
		res.Details["epsilon"] = epsilon
	}
	res.Details["range"] = []float64{lo, hi}
	res.Details["outcome_model"] = LogisticOutcome
	c.sayNuisance(res, d.Nuisance)
	return res, ctx.Err()
}

// fluctuate solves Σ w·h·(y - expit(link + ε)) = 0 over the rows of an arm: Newton's
// steps, kept inside a bracket by halving it.
func (c *causal) fluctuate(estimand string, arm int, u *nuisance, y []float64) (float64, error) {
	total := 0.0
	at := func(e float64) (f, d float64) {
		s := num.SumChunks(c.n, 3, c.workers, func(lo, hi int, acc []float64) {
			for i := lo; i < hi; i++ {
				if index(c.treated[i]) != arm {
					continue
				}
				w := c.w(i) * other(estimand, arm, u.eta[i]).h
				eta := u.link[arm][i] + e
				mu, rest := num.LogitLink.Mean(eta), num.LogitLink.Mean(-eta)
				acc[0] += float64(w * (y[i] - mu))
				acc[1] += float64(w * float64(mu*rest))
				acc[2] += w
			}
		})
		total = s[2]
		return s[0] / total, s[1] / total
	}
	lo, hi, e := -64.0, 64.0, 0.0
	for range 200 {
		f, d := at(e)
		if math.Abs(f) <= 1e-15 {
			return e, nil
		}
		if f > 0 {
			lo = e
		} else {
			hi = e
		}
		next := e + f/d
		if !(next > lo && next < hi) {
			next = lo + (hi-lo)/2
		}
		if math.Abs(next-e) <= 1e-12*(1+math.Abs(e)) { // the step is quadratic: what is left is its square
			return next, nil
		}
		e = next
	}
	return 0, fmt.Errorf("%w: the targeting step has no root: the weighted outcomes of the arm are all at one end", estimate.ErrNotConverged)
}
