package progress

import (
	"context"

	"utfall/estimate"
)

// Rasch fits the Rasch model by marginal maximum likelihood:
//
//	P(Y_ij = 1 | θ) = logistic(θ − b_j),  θ ~ N(0, σ²)
//
// for items with two categories. All slopes are 1 and the variance of the trait is free
// (trait/variance): the sum of the answers says all there is about a person, and few persons
// are enough. Everything else as [GradedResponse]; two items are enough. For items with more categories [PartialCredit].
//
// Rasch (1960); Thissen (1982).
type Rasch struct {
	NoErrors bool // leave standard errors and influence out
	Workers  int  // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from answers, which it does not change.
func (e Rasch) Fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	return fitAnswers(ctx, "Rasch model", a, RaschModel, e.NoErrors, e.Workers)
}
