package effect

import (
	"context"
	"fmt"

	"utfall/estimate"
)

// Regression is regression after matching or weighting: the coefficient τ of
// treatment in the weighted least-squares fit of
//
//	y = α + x'β + τ·t                      (Interactions false)
//	y = α + x'β + τ·t + t·(x - x̄₁)'γ       (Interactions true)
//
// with x̄₁ the weighted covariate mean of the treated, so that τ with interactions is
// the average effect on the treated: by g-computation their mean outcome less what
// the comparison units' line predicts for them. Standard errors take the covariates,
// and so x̄₁, as given.
//
// Sets, weights, covariance, terms, measures and errors are those of [Difference];
// it also reads f.X. A covariate that is collinear with others is left out with a
// note; treatment that is a combination of the covariates is
// [estimate.ErrNotIdentified]. Details beside those of [Difference]: r_squared,
// adj_r_squared, sigma, rank, condition, covariates.
//
// Source: Ho, Imai, King and Stuart (2007), Political Analysis 15(3); Abadie and
// Spiess (2022), JASA 117(538).
type Regression struct {
	// Vcov as in [Difference].
	Vcov Vcov
	// Interactions lets every covariate's slope differ between the arms.
	Interactions bool
	// Estimand as in [Difference]; with Interactions only "att".
	Estimand string
}

var _ estimate.Estimator = Regression{}

// Fit implements [estimate.Estimator].
func (g Regression) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if f.X == nil {
		return nil, fmt.Errorf("regression: %w: no covariates; use difference", estimate.ErrInvalidFrame)
	}
	if g.Interactions && g.Estimand != "" && g.Estimand != "att" {
		return nil, fmt.Errorf("regression: %w: interactions centred at the treated give the att, not %q", ErrOption, g.Estimand)
	}
	res, err := matchedFit{method: "regression", vcov: g.Vcov, estimand: g.Estimand, covariates: true, interactions: g.Interactions}.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("regression: %w", err)
	}
	return res, nil
}
