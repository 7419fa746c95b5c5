package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/table"
)

// The methods of [Weighting].
const (
	IPWMethod             = "ipw"              // inverse probability
	OverlapMethod         = "overlap"          // probability of the other group
	MatchingWeightsMethod = "matching-weights" // the smaller probability over that of the own group
	EntropyMethod         = "entropy"          // least informative weights that balance the means
	CBPSMethod            = "cbps"             // inverse probability by the logit that balances the means
)

// ATO is the effect on those who might as well have been in the other group.
const ATO = "ato"

// Weighting gives every unit a weight that makes the groups alike in the covariates of
// Spec. With p the probability of treatment (logit; or the score column of Spec), for
// a treated and an untreated unit:
//
//	ipw att              1          p/(1-p)
//	ipw atc              (1-p)/p    1
//	ipw ate              1/p        1/(1-p)
//	overlap (ato)        1-p        p
//	matching-weights     min(p,1-p)/p    min(p,1-p)/(1-p)      (atm)
//	cbps att, atc, ate   as ipw, p the logit whose weights balance the means exactly
//	entropy              see [Weighting.Fit]; mean 1 in each group
//
// They are not stabilised: within a group only their ratios matter to a weighted mean.
//
// Sources: Li, Morgan and Zaslavsky (2018), JASA 113 (overlap); Li and Greene (2013),
// Int. J. Biostat. 9 (matching weights); Hainmueller (2012), Political Analysis 20
// (entropy); Imai and Ratkovic (2014), JRSS-B 76 (cbps). Registry:
// cohort/METHODS.md#weighting.
type Weighting struct {
	Method   string // ipw (default), overlap, matching-weights, entropy, cbps
	Estimand string // att (default), atc, ate; ato (the only one of overlap), atm (of matching-weights)
}

// Weighted is the outcome of a [Weighting]; slices by row follow the table.
type Weighted struct {
	Method, Estimand string
	Weight           []float64      // 0 of units that were trimmed
	Score            []float64      // probability of treatment; nil for entropy without trimming
	Propensity       *PropensityFit // nil with a score column, and where no score is needed
	Names            []string       // of Coef: "(intercept)" and the columns of [Design]
	Coef             []float64      // cbps
	// Imbalance is the largest |weighted mean - target| over its SD before weighting, over
	// all columns, where the method balances means exactly; else NaN.
	Imbalance              float64
	Trim                   *Trimmed // nil without trimming
	Truncated              int      // units whose weight was cut down
	Iterations             int      // of entropy and cbps
	ESSTreated, ESSControl float64
	Notes                  []table.Note
}

// Check lists every problem with the options, each as an [ErrOption].
func (w Weighting) Check() []error {
	only := map[string][]string{
		"": {ATT, ATC, ATE}, IPWMethod: {ATT, ATC, ATE}, EntropyMethod: {ATT, ATC, ATE}, CBPSMethod: {ATT, ATC, ATE},
		OverlapMethod: {ATO}, MatchingWeightsMethod: {ATM},
	}
	allowed, ok := only[w.Method]
	if !ok {
		return []error{fmt.Errorf("%w: weighting method %q does not exist; there are: ipw, overlap, matching-weights, entropy, cbps", ErrOption, w.Method)}
	}
	if w.Estimand != "" && !slices.Contains(allowed, w.Estimand) {
		return []error{fmt.Errorf("%w: weighting by %s cannot aim at %q; it can at: %s", ErrOption, w.Method, w.Estimand, strings.Join(allowed, ", "))}
	}
	return nil
}

func (w Weighting) defaults() Weighting {
	if w.Method == "" {
		w.Method = IPWMethod
	}
	if w.Estimand == "" {
		w.Estimand = map[string]string{OverlapMethod: ATO, MatchingWeightsMethod: ATM}[w.Method]
	}
	if w.Estimand == "" {
		w.Estimand = ATT
	}
	return w
}

// Fit weights all rows of the table; [WeightSpec] has trimming, moments and other models
// of the score.
//
// entropy: in each group that is not the estimand's own (for ate in both) the weights
//
//	wᵢ = n_g exp(λ'zᵢ) / Σ exp(λ'zⱼ)
//
// whose weighted means of the columns of [Design] are those of the treated (att), the
// untreated (atc) or all (ate): of such weights those nearest to equal in Σ w log w.
// λ is the minimum of log Σ exp(λ'zᵢ), z = (x - target)/SD over all units.
//
// cbps: β solves Σ zᵢ(Aᵢ/pᵢ - (1-Aᵢ)/(1-pᵢ)) = 0 (ate), Σ zᵢ(Aᵢ - (1-Aᵢ)pᵢ/(1-pᵢ)) = 0
// (att) or Σ zᵢ((1-Aᵢ) - Aᵢ(1-pᵢ)/pᵢ) = 0 (atc), z with a constant, p the logistic
// function of β'z: the maximum of a concave function each.
//
// Both are solved to 1e-10 by Newton steps, and the means themselves are checked.
//
// Errors: [ErrOption]; those of [Propensity]; [ErrCovariate] for constant and dependent
// columns; [ErrNoSupport] where no weights balance the means (named columns), or a
// score is 0 or 1.
func (w Weighting) Fit(ctx context.Context, t *table.Table, d Spec) (*Weighted, error) {
	return WeightSpec{Method: w.Method, Estimand: w.Estimand}.Weigh(ctx, t, d)
}

// of is the weight of a unit with probability p of treatment; q is 1 - p.
func (w Weighting) of(p, q float64, treated bool) float64 {
	own, rest := q, p
	if treated {
		own, rest = p, q
	}
	switch w.Estimand {
	case ATE:
		return 1 / own
	case ATO:
		return rest
	case ATM:
		return math.Min(p, q) / own
	}
	if treated == (w.Estimand == ATT) {
		return 1
	}
	return rest / own
}

// nearBounds counts the units whose weights are large because they hardly could have
// been in their group: scores beyond 0.1 and 0.9 (Crump, Hotz, Imbens and Mitnik 2009).
func (w Weighting) nearBounds(u *units, out *Weighted) {
	const low, high = 0.1, 0.9
	if w.Method != IPWMethod {
		return
	}
	n := 0
	for i, p := range out.Score {
		if w.Estimand != ATT && u.treated[i] && p < low || w.Estimand != ATC && !u.treated[i] && p > high {
			n++
		}
	}
	if n > 0 {
		out.Notes = append(out.Notes, table.Note{
			Code: "scores-near-bounds", Args: map[string]any{"n": n, "all": u.n, "low": low, "high": high},
			Text: fmt.Sprintf("%d units are in a group for which their score gave them less than a tenth: they weigh much. To leave them out would make it the effect on others; overlap weights need no such choice.", n),
		})
	}
}

// thin says where weighting leaves less than a quarter of a group's size.
func (w *Weighted) thin(u *units) {
	for _, g := range []struct {
		name string
		ess  float64
		n    int
	}{{"treated", w.ESSTreated, u.count}, {"control", w.ESSControl, u.n - u.count}} {
		if 4*g.ess < float64(g.n) {
			w.Notes = append(w.Notes, table.Note{
				Code: "thin-weights", Args: map[string]any{"group": g.name, "ess": g.ess, "n": g.n},
				Text: fmt.Sprintf("The weights leave the group %q of %d units the information of %.1f: few units decide.", g.name, g.n, g.ess),
			})
		}
	}
}

// Balance compares the groups before and after weighting; the denominator is the SD of
// the group that the estimand keeps, or the pooled one.
func (w *Weighted) Balance(ctx context.Context, t *table.Table, d Spec) (Balance, []table.Note, error) {
	o := BalanceOptions{Weight: w.Weight, Score: w.Score, Denominator: PooledSD}
	switch strings.TrimSuffix(w.Estimand, TrimmedSuffix) {
	case ATT:
		o.Denominator = TreatedSD
	case ATC:
		o.Denominator = ControlSD
	}
	return Compare(ctx, t, d, o)
}
