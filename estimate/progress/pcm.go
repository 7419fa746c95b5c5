package progress

import (
	"context"

	"utfall/estimate"
)

// PartialCredit fits Masters' partial credit model, the Rasch model of ordered categories, by
// marginal maximum likelihood:
//
//	P(Y_ij = k | θ) / P(Y_ij = k−1 | θ) = exp(θ − b_jk),  θ ~ N(0, σ²)
//
// with free variance (trait/variance), or with Slopes the generalised model exp(a_j·(θ − b_jk))
// and variance 1. Thresholds need not be ordered: b_jk is where categories k−1 and k are equally
// likely. Everything else as [GradedResponse].
//
// Masters (1982); Muraki (1992).
type PartialCredit struct {
	Slopes   bool // every item has a slope of its own
	NoErrors bool // leave standard errors and influence out
	Workers  int  // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from answers, which it does not change.
func (e PartialCredit) Fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	model := PartialCreditModel
	if e.Slopes {
		model = GeneralisedPartialCredit
	}
	return fitAnswers(ctx, "partial credit model", a, model, e.NoErrors, e.Workers)
}
