package progress

import (
	"context"

	"utfall/estimate"
)

// TwoParameter fits the two-parameter logistic model by marginal maximum likelihood:
//
//	P(Y_ij = 1 | θ) = logistic(a_j·(θ − b_j)),  θ ~ N(0, 1)
//
// the graded response model of items with two categories. Everything else as [GradedResponse].
//
// Birnbaum (1968); Bock and Aitkin (1981).
type TwoParameter struct {
	NoErrors bool // leave standard errors and influence out
	Workers  int  // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from answers, which it does not change.
func (e TwoParameter) Fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	return fitAnswers(ctx, "two-parameter model", a, TwoParameterLogistic, e.NoErrors, e.Workers)
}
