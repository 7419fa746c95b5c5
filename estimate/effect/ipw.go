package effect

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/table"
)

// IPW is inverse probability weighting: with p = P(treated | x) a logistic regression
// on a constant and f.X, and weights of treated | comparison units
//
//	att 1 | p/(1-p)    atc (1-p)/p | 1    ate 1/p | 1/(1-p)    ato 1-p | p
//
// the effect is the difference of the weighted means,
//
//	θₐ = Σ_{A=a} w·h·y / Σ_{A=a} w·h,    effect = θ₁ - θ₀
//
// Its errors are those of the stacked estimating equations of the regression and of
// both means, divisor n: the propensity step is in them. Row i has the influence
//
//	φₐ = 1{A=a}·w·h·(y-θₐ)/Sₐ + Dₐ'H⁻¹·w·(A-p)·x,  Sₐ = Σ_{A=a} w·h,
//	H = Σ w·p(1-p)·xx',  Dₐ = Σ_{A=a} w·h'·(y-θₐ)·x/Sₐ,  h' = dh/d logit p
//
// It reads f.Y, f.Treated, f.X, f.Weight (sampling and frequency weights w) and
// f.Cluster. One estimate, the estimand (measure risk-difference for an outcome of 0
// and 1, else mean-difference); with Ratios two more; with Quantiles one for each,
// term "ESTIMAND,quantile=P". Details: mean_treated, mean_control, ess, propensity
// (coefficients), vcov.
//
// Errors: [ErrOption], [estimate.ErrWeights] (matching weights), [estimate.ErrNoTreated],
// [estimate.ErrNoControls], [estimate.ErrSeparated], [estimate.ErrTooFew],
// [estimate.ErrNotConverged].
//
// Source: Lunceford and Davidian (2004), Statistics in Medicine 23(19); Li, Morgan and
// Zaslavsky (2018), JASA 113(521), for ato.
type IPW struct {
	Estimand string // "att" (default), "atc", "ate" or "ato"
	// Vcov is "hc0" (default), "hc1", "cr0" (default with clusters) or "cr1".
	Vcov Vcov
	// Ratios adds risk ratio and odds ratio of an outcome of 0 and 1.
	Ratios bool
	// Quantiles, strictly between 0 and 1, adds the effect on each of these quantiles.
	Quantiles []float64
	// Workers never changes the result; < 1 means all processors.
	Workers int
}

var _ estimate.Estimator = IPW{}

// Fit implements [estimate.Estimator].
func (w IPW) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := w.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("ipw: %w", err)
	}
	return res, nil
}

func (w IPW) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	o := &causalOptions{method: "ipw", estimand: w.Estimand, estimands: []string{"att", "atc", "ate", "ato"}, vcov: w.Vcov, ratios: w.Ratios, covariates: true, workers: w.Workers}
	if err := checkQuantiles(w.Quantiles); err != nil {
		return nil, err
	}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	ps, err := c.propensity(nil)
	if err != nil {
		return nil, err
	}
	c.params = c.k + 2
	h := c.tilt(o.estimand, ps.eta)
	p := c.weighted(ps, h, c.y)
	c.overlap(o.estimand, ps.eta)
	ess := c.effective(h)
	res, err := c.result(o, p)
	if err != nil {
		return nil, err
	}
	res.Details["ess"] = ess
	res.Details["propensity"] = c.coefficients(ps)
	if len(w.Quantiles) > 0 {
		if err := c.quantiles(res, o.estimand, ps, h, w.Quantiles); err != nil {
			return nil, err
		}
	}
	return res, ctx.Err()
}

// tilted is a row's weight and its derivative by the linear predictor of treatment.
type tilted struct{ h, d float64 }

// tilt returns the weights of the rows, from the linear predictor, so that neither p
// nor 1-p loses digits.
func (c *causal) tilt(estimand string, eta []float64) []tilted {
	out := make([]tilted, c.n)
	for i, e := range eta {
		if c.treated[i] == (estimand == "att") && (estimand == "att" || estimand == "atc") {
			out[i] = tilted{1, 0}
			continue
		}
		sign := 1.0 // by swapping the groups a treated unit has the weight of an untreated one
		if c.treated[i] {
			sign = -1
		}
		odds := math.Exp(sign * e)
		switch estimand {
		case "att", "atc":
			out[i] = tilted{odds, sign * odds}
		case "ate":
			out[i] = tilted{1 + odds, sign * odds}
		default: // ato: the probability of the other group
			other := odds / (1 + odds)
			if math.IsInf(odds, 1) {
				other = 1
			}
			out[i] = tilted{other, sign * other / (1 + odds)}
		}
	}
	return out
}

// weighted returns the weighted means of y with their influence.
func (c *causal) weighted(ps *model, h []tilted, y []float64) *potential {
	p := c.newPotential()
	for a := range 2 {
		in := func(i int) bool { return index(c.treated[i]) == a }
		total := c.sum(func(i int) float64 {
			if !in(i) {
				return 0
			}
			return c.w(i) * h[i].h
		})
		theta := c.sum(func(i int) float64 {
			if !in(i) {
				return 0
			}
			return float64(c.w(i)*h[i].h) * y[i]
		}) / total
		phi := p.phi[a]
		d := c.gradient(func(i int) float64 {
			if !in(i) {
				return 0
			}
			return float64(c.w(i)*h[i].d) * (y[i] - theta) / total
		})
		for i := range phi {
			if in(i) {
				phi[i] = float64(c.w(i)*h[i].h) * (y[i] - theta) / total
			}
		}
		c.carry(phi, ps, d)
		p.theta[a] = theta
	}
	return p
}

// effective is Kish's effective sample size (Σw)²/Σw² of each arm.
func (c *causal) effective(h []tilted) map[string]any {
	names := [2]string{"control", "treated"}
	out := map[string]any{}
	for a := range 2 {
		var sum, square float64
		for i, t := range h {
			if index(c.treated[i]) == a {
				v := c.w(i) * t.h
				sum += v
				if c.kind == estimate.Frequency {
					square += float64(v * t.h)
				} else {
					square += float64(v * v)
				}
			}
		}
		ess := sum * sum / square
		out[names[a]] = ess
		if 4*ess < c.arm[a] {
			c.notes = append(c.notes, table.Note{Code: "thin-weights", Args: map[string]any{"group": names[a], "ess": ess, "n": c.arm[a]},
				Text: fmt.Sprintf("The weights leave the group %q of %g units the information of %.1f: few units decide.", names[a], c.arm[a], ess)})
		}
	}
	return out
}

// overlap counts the units that weigh much because they hardly could have been in
// their group: scores beyond 0.1 and 0.9 (Crump, Hotz, Imbens and Mitnik 2009).
func (c *causal) overlap(estimand string, eta []float64) {
	const low, high = 0.1, 0.9
	bound := math.Log(high / low)
	if estimand == "ato" {
		return
	}
	n := 0.0
	for i, e := range eta {
		if estimand != "att" && c.treated[i] && e < -bound || estimand != "atc" && !c.treated[i] && e > bound {
			n += c.copies(i)
		}
	}
	if n > 0 {
		c.notes = append(c.notes, table.Note{Code: "scores-near-bounds", Args: map[string]any{"n": int(n), "all": int(c.units), "low": low, "high": high},
			Text: fmt.Sprintf("%g units are in a group for which their score gave them less than a tenth: they weigh much. To leave them out would make it the effect on others; the estimand ato needs no such choice.", n)})
	}
}

func (c *causal) coefficients(m *model) map[string]float64 {
	out := map[string]float64{}
	for j, name := range c.names {
		out[name] = m.coef[j]
	}
	return out
}
