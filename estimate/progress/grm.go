package progress

import (
	"context"
	"fmt"

	"utfall/estimate"
)

// GradedResponse fits Samejima's graded response model by marginal maximum likelihood:
//
//	P(Y_ij ≥ k | θ) = logistic(a_j·(θ − b_jk)),  θ ~ N(0, 1)
//
// for items with ordered categories; a_j is the slope of item j, b_j1 < b_j2 < … its
// thresholds on the scale of the trait. With groups the trait is N(0, 1) in the first and
// N(μ_g, σ_g²) in the others (latent regression), the items are the same for all.
//
// The integral is the trapezoid rule at nodes a tenth apart (finer where a posterior is
// narrower). EM, then Newton steps with the exact observed information (Louis 1982) until the
// step is below 1e-8 standard errors. Standard errors from the inverse observed information, of b by
// the delta method; with sampling or matching weights, or clusters, from the influence function.
//
// Estimates: for each item term/a (slope), term/b1 … (threshold), then with groups
// trait/mean,group=G and trait/variance,group=G.
//
// Details: loglik, aic, bic, parameters, gradient_norm (largest element), scores
// ([TraitScores]), information and item_information at −3 … 3, reliability (empirical:
// Var(EAP)/(Var(EAP) + mean SE²)), marginal_reliability (E[I/(I + 1/σ²)]), variance (of the trait in the first group), intercepts
// (d = −a·b with errors), categories, patterns, nodes, vcov.
//
// Errors: [estimate.ErrTooFew] below 3 items; [estimate.ErrNotIdentified] for an item with one
// category or a slope without bound, which it names; [estimate.ErrNotConverged];
// [estimate.ErrInvalidFrame]; [estimate.ErrWeights].
//
// Samejima (1969); Bock and Aitkin (1981).
type GradedResponse struct {
	NoErrors bool // leave standard errors and influence out
	Workers  int  // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from answers, which it does not change.
func (e GradedResponse) Fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	return fitAnswers(ctx, "graded response model", a, Graded, e.NoErrors, e.Workers)
}

// An ItemModel says how the answers to an item hang on the trait.
type ItemModel string

// The item models. The first three have slopes of their own and a trait of variance 1; the
// last two have slope 1 and a free variance.
const (
	Graded                   ItemModel = "graded"                     // P(Y ≥ k) = logistic(a·(θ − b_k))
	TwoParameterLogistic     ItemModel = "two-parameter"              // the same with two categories
	GeneralisedPartialCredit ItemModel = "generalised-partial-credit" // P(Y = k)/P(Y = k−1) = exp(a·(θ − b_k))
	PartialCreditModel       ItemModel = "partial-credit"             // the same with a = 1
	RaschModel               ItemModel = "rasch"                      // the same with two categories
)

func (m ItemModel) kind() (irtKind, error) {
	switch m {
	case Graded:
		return irtKind{graded: true}, nil
	case TwoParameterLogistic:
		return irtKind{graded: true, cats: 2, instead: "the graded response model (grm)"}, nil
	case GeneralisedPartialCredit:
		return irtKind{}, nil
	case PartialCreditModel:
		return irtKind{fixedSlope: true}, nil
	case RaschModel:
		return irtKind{graded: true, fixedSlope: true, cats: 2, instead: "the partial credit model (pcm)"}, nil
	}
	return irtKind{}, invalid("unknown item model %q", string(m))
}

func fitAnswers(ctx context.Context, method string, a *Answers, model ItemModel, noErrors bool, workers int) (*estimate.Result, error) {
	f, err := newAnswerFit(ctx, a, model, !noErrors, workers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	res, err := f.result(string(model), workers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return res, nil
}

func newAnswerFit(ctx context.Context, a *Answers, model ItemModel, errors bool, workers int) (*irtFit, error) {
	d, kind, err := a.data(model)
	if err != nil {
		return nil, err
	}
	return fitIRT(ctx, d, kind.fixedSlope, errors, workers)
}
