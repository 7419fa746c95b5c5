package effect

import (
	"context"
	"fmt"

	"utfall/estimate"
)

// GComputation is standardisation by an outcome model: mₐ(x) = E(y | A=a, x) is a
// regression in arm a alone, on a constant and f.X, and the effect is the mean over
// the people of the estimand of what it predicts for both arms,
//
//	θₐ = Σ w·t·mₐ(x) / Σ w·t,    effect = θ₁ - θ₀,    t = A (att), 1-A (atc), 1 (ate)
//
// For a group's own arm (treated in att, untreated in atc) θ is that group's mean
// outcome, and no model of it is needed. Its errors are those of the stacked
// estimating equations: coefficients and the distribution of the covariates are both
// estimated. Row i has the influence, with T = Σ w·t and μ' = dμ/dη,
//
//	φₐ = w·t·(mₐ-θₐ)/T + Gₐ'Bₐ⁻¹·1{A=a}·w·(y-mₐ)·x,
//	Gₐ = Σ w·t·μ'·x/T,  Bₐ = Σ_{A=a} w·μ'·xx'
//
// It reads f.Y, f.Treated, f.X (nil: the difference in means), f.Weight of any kind
// (in the regressions and in the mean), f.Set and f.Cluster. Rows in no set, or in a
// set without one arm, are left out and counted. Estimates and details as [IPW]
// (without ess and propensity), and outcome_model and the coefficients of each arm.
//
// Errors: as [IPW], and [estimate.ErrNotIdentified] where a covariate does not vary
// within an arm that must predict for others.
//
// Source: Robins (1986), Mathematical Modelling 7; Snowden, Rose and Mortimer (2011),
// American Journal of Epidemiology 173(7).
type GComputation struct {
	Estimand string // "att" (default), "atc" or "ate"
	// OutcomeModel is "logistic" (default for an outcome of 0 and 1) or "linear".
	OutcomeModel string
	Vcov         Vcov // as in [IPW]; with sets and no clusters, clustered on the sets
	Ratios       bool // as in [IPW]
	Workers      int  // as in [IPW]
}

var _ estimate.Estimator = GComputation{}

// Fit implements [estimate.Estimator].
func (g GComputation) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := g.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("g-computation: %w", err)
	}
	return res, nil
}

func (g GComputation) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	o := &causalOptions{method: "g-computation", estimand: g.Estimand, estimands: []string{"att", "atc", "ate"}, vcov: g.Vcov, ratios: g.Ratios, sets: true, workers: g.Workers}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	kind, err := c.outcomeKind(g.OutcomeModel)
	if err != nil {
		return nil, err
	}
	p := c.newPotential()
	models := map[string]any{}
	t := c.target(o.estimand)
	total := c.sum(t)
	c.params = 2 * c.k
	for a, name := range [2]string{"control", "treated"} {
		if owns(o.estimand, a) {
			p.theta[a] = c.mean(t, c.y, p.phi[a])
			continue
		}
		m, err := c.outcome(kind, c.y, a, nil)
		if err != nil {
			return nil, err
		}
		models[name] = c.coefficients(m)
		p.theta[a] = c.mean(t, m.mu, p.phi[a])
		c.carry(p.phi[a], m, c.gradient(func(i int) float64 {
			if m.dmu == nil {
				return t(i) / total
			}
			return float64(t(i)*m.dmu[i]) / total
		}))
	}
	res, err := c.result(o, p)
	if err != nil {
		return nil, err
	}
	res.Details["outcome_model"] = kind
	res.Details["coefficients"] = models
	return res, ctx.Err()
}

// owns reports whether the people of the estimand are those of an arm, whose mean
// outcome is then observed.
func owns(estimand string, arm int) bool {
	return estimand == "att" && arm == 1 || estimand == "atc" && arm == 0
}

// target returns w·t of a row.
func (c *causal) target(estimand string) func(i int) float64 {
	return func(i int) float64 {
		if estimand == "att" && !c.treated[i] || estimand == "atc" && c.treated[i] {
			return 0
		}
		return c.w(i)
	}
}

// mean returns Σ t·v/Σ t and adds t·(v-mean)/Σ t to phi.
func (c *causal) mean(t func(i int) float64, v, phi []float64) float64 {
	total := c.sum(t)
	m := c.sum(func(i int) float64 { return t(i) * v[i] }) / total
	for i := range phi {
		phi[i] += t(i) * (v[i] - m) / total
	}
	return m
}
