package effect

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// Difference is the difference in means of a matched or weighted cohort,
//
//	θ̂ = Σ_treated w·y / Σ_treated w  -  Σ_comparison w·y / Σ_comparison w
//
// which is the coefficient of treatment in the weighted regression of y on a constant
// and treatment. Its covariance is that regression's, by default clustered (cr1) on
// f.Cluster if given, else on f.Set, with Student's t on G-1 degrees of freedom, and
// hc1 on N-2 where there is neither. Matched with replacement, a comparison unit
// serves many sets: give the clusters.
//
// It reads f.Y, f.Treated, f.Weight, f.Set and f.Cluster; f.X is not used. Rows of
// weight 0, of no set (-1) or of a set without one of the arms are left out and
// counted in notes. Sets of unequal ratio need the matching weights.
//
// One estimate: the term is the estimand, the measure risk-difference if every
// outcome is 0 or 1 and mean-difference otherwise. Influence is that of [OLS].
// Details: mean_treated, mean_control, vcov.
//
// Errors: as [OLS], and [estimate.ErrNoTreated], [estimate.ErrNoControls].
//
// Source: Abadie and Spiess (2022), Robust Post-Matching Inference, JASA 117(538).
type Difference struct {
	// Vcov as in [OLS]; "" is cr1 with clusters or sets, hc1 otherwise.
	Vcov Vcov
	// Estimand names the effect that the weights make this: "att" (default), "atc",
	// "ate" or "ato". It changes no number: the design decides.
	Estimand string
}

var _ estimate.Estimator = Difference{}

// Fit implements [estimate.Estimator].
func (d Difference) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := matchedFit{method: "difference", vcov: d.Vcov, estimand: d.Estimand}.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("difference: %w", err)
	}
	return res, nil
}

func one(v float64) *mat.SymDense { return mat.NewSymDense(1, []float64{v}) }
