package survive

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// LogSubdistributionHazardRatio is the measure of [FineGray].
const LogSubdistributionHazardRatio estimate.Measure = "log-subdistribution-hazard-ratio"

// CompetingCovaried are competing events with covariates.
type CompetingCovaried struct {
	Competing
	X      *mat.Dense // n×k, no intercept
	XNames []string   // k
	// CensoringStratum numbers, from 0, who share one distribution of the time to
	// censoring; nil if everybody does. It need not follow Stratum.
	CensoringStratum []int
}

// FineGray estimates log subdistribution hazard ratios β of one cause: in the model
// λ*(t|x) = λ*_s(t)·exp(x'β) of the hazard of F(t|x) = P(T ≤ t, cause | x), in strata s, a
// larger x'β means a larger F at every t. Somebody with an event of another cause at T_i stays in the risk set with the
// weight G(t−)/G(T_i−), G Kaplan–Meier's curve of the time to censoring (within
// censoring strata), H with entry times the share entered (METHODS.md), else 1:
//
//	w_i(t) = 1{entry_i < t ≤ T_i} + 1{T_i < t, other cause}·G(t−)H(t)/(G(T_i−)H(T_i))
//	ℓ = Σ_D v·x'β − v̄·Σ_{l<m} log(Σ_i v_i w_i(t) e^{x'β} − (l/m)·Σ_D v e^{x'β})
//
// at the times t of the m events D of the cause, v sampling or matching weights, v̄ their mean over D;
// l = 0 throughout (Breslow, the default) or Efron. The variance is Σ IF·IF', summed within clusters, without a
// finite-sample factor, IF = I⁻¹·v·(L + ψ) with I the observed information, L the score residual and ψ what the
// estimate of G adds (METHODS.md). Tests and intervals are normal.
//
// Estimates: one term a column, in order. Details: loglik ([null, model]; a pseudo likelihood, twice its
// difference is not χ²), wald ([ChiSquareRow], nil where the variance is singular), cause, competing, censored
// (counts), censoring_strata, ties, events, vcov.
//
// Covariates are those at the start: rows of one unit with covariates that change are an error, because who has had
// another event stays at risk and has no covariates any more.
//
// Errors: those of [Competing.Check]; [estimate.ErrWeights] for frequency weights; [estimate.ErrNotIdentified]
// where entry times leave gaps; [estimate.ErrTooFew] for no event of the cause or one cluster; [estimate.ErrCollinear]
// names a column; [estimate.ErrSeparated]; [estimate.ErrNotConverged].
//
// Source: Fine and Gray 1999, JASA 94, 496–509; strata Zhou et al. 2011; clusters Zhou et al. 2012; entry Geskus 2011.
type FineGray struct {
	Cause string // one of CauseNames
	Ties  string // "breslow" (also "") or "efron"
}

// Fit estimates from competing events and covariates, which it does not change.
func (e FineGray) Fit(ctx context.Context, f *CompetingCovaried) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("fine-gray: %w", err)
	}
	return res, nil
}

// check returns the number of the cause.
func (e FineGray) check(f *CompetingCovaried) (int, error) {
	if e.Ties != "" && e.Ties != "efron" && e.Ties != "breslow" {
		return 0, fmt.Errorf("unknown handling of ties %q: breslow or efron", e.Ties)
	}
	if err := f.Check(); err != nil {
		return 0, err
	}
	switch {
	case f.Group != nil:
		return 0, fmt.Errorf("%w: a Fine–Gray model has covariates, not groups", estimate.ErrInvalidFrame)
	case f.Weight.Kind == estimate.Frequency:
		return 0, fmt.Errorf("%w: frequency weights have no place here; write one unit a row", estimate.ErrWeights)
	case f.CensoringStratum != nil && len(f.CensoringStratum) != len(f.Time):
		return 0, fmt.Errorf("%w: %d censoring strata for %d times", estimate.ErrInvalidFrame, len(f.CensoringStratum), len(f.Time))
	}
	for i, s := range f.CensoringStratum {
		if s < 0 {
			return 0, fmt.Errorf("%w: the censoring stratum of row %d is negative", estimate.ErrInvalidFrame, i+1)
		}
	}
	if err := checkColumns(f.X, f.XNames, len(f.Time)); err != nil {
		return 0, err
	}
	for c, name := range f.CauseNames {
		if name == e.Cause {
			return c, nil
		}
	}
	return 0, fmt.Errorf("%w: no unit has an event of cause %q", estimate.ErrTooFew, e.Cause)
}

func (e FineGray) fit(ctx context.Context, f *CompetingCovaried) (*estimate.Result, error) {
	cause, err := e.check(f)
	if err != nil {
		return nil, err
	}
	order, err := idOrder(f.Unit)
	if err != nil {
		return nil, fmt.Errorf("%w; covariates are those at the start, one row a unit: who has had another event stays in the risk set, where covariates that change have no value (for them: cox of each cause)", err)
	}
	order = active(f.Weight.Values, order)
	m, err := newFineGrayModel(f, order, cause, e.Ties == "efron")
	if err != nil {
		return nil, err
	}
	s, err := newton(ctx, f.XNames, m.point)
	if err != nil {
		return nil, err
	}
	inf := m.influence(s)
	res := &estimate.Result{
		Method: "fine-gray", InfluenceUnit: f.Unit, Influence: inf, Fit: estimate.Convergence{Converged: true, Iterations: s.iterations, Tolerance: s.tolerance},
		N: estimate.Counts{Units: len(order), Events: m.events}, Notes: weightNote(f.Weight),
	}
	name, err := robustCovariance(res, order, f.Cluster, 0)
	if err != nil {
		return nil, err
	}
	beta := make([]float64, m.k)
	for j, x := range f.XNames {
		beta[j] = s.b[j] / m.sd[j]
		res.Estimates = append(res.Estimates, estimate.Wald(x, LogSubdistributionHazardRatio, beta[j], math.Sqrt(res.Cov.At(j, j)), math.Inf(1), f.Level))
	}
	res.Details = map[string]any{
		"loglik": []float64{s.null, s.loglik}, "wald": nil, "cause": e.Cause, "competing": m.competing, "censored": len(order) - m.events - m.competing,
		"censoring_strata": len(m.censoring), "ties": "breslow", "events": m.events, "vcov": name + ", censoring weights included",
	}
	if m.efron {
		res.Details["ties"] = "efron"
	}
	if wald, ok := quadratic(res.Cov, beta); ok {
		res.Details["wald"] = chiSquareRow(wald, m.k)
	}
	if dropped := len(f.Time) - len(order); dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	return res, nil
}
