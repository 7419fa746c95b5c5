package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/table"
)

// ErrStaggered is treatment that starts in different periods where a method needs one. Test with [errors.Is].
var ErrStaggered = errors.New("treatment starts in different periods")

// The weightings of [Synthetic] and its standard errors.
const (
	SyntheticControl   = "sc"
	SyntheticDID       = "sdid"
	DifferenceInMeans  = "did"
	AugmentedSynthetic = "augmented"

	PlaceboErrors   = "placebo"
	JackknifeErrors = "jackknife"
	BootstrapErrors = "bootstrap"
	NoErrors        = "none"

	defaultReplicates = 200
)

// Synthetic compares treated units with a weighted mean of units that never are. Where treatment starts in several periods each cohort has weights of
// its own (terms group=G) and overall is their mean by treated units and periods.
//
// With d[t] the mean outcome of the treated less Σ ω[i]·y[i,t] over the N0 controls, T0 periods before treatment and T1 from then on,
//
//	θ = mean of d over the T1 periods - Σ λ[t]·d[t] over the T0 periods
//
// the effect on the treated per period. Weights, with noise the standard deviation (divisor n-1) of the controls' changes between
// neighbouring periods before treatment and N1 the number of treated:
//
//	did        ω = 1/N0, λ = 1/T0
//	sc         ω ≥ 0, Σω = 1, least Σ_t d[t]² + T0·(1e-6·noise)²·|ω|² over the T0 periods; λ = 0
//	sdid       ω ≥ 0, Σω = 1, least Σ_t (d[t] - mean d)² + T0·√(N1·T1)·noise²·|ω|²;
//	           λ ≥ 0, Σλ = 1, least Σ_i (e[i] - mean e)² + N0·(1e-6·noise)²·|λ|², e[i] the control's mean from treatment on less Σ λ[t]·y[i,t]
//	augmented  ω of sc plus X(X'X + L·I)⁻¹·d, X the controls' outcomes before treatment less their means; λ = 0
//
// Both problems are solved to the optimum, which is checked. With Predictors, sc weights minimise Σ_k V[k]·(difference of predictor k over
// its standard deviation over all units)² instead, V given or such that Σ d² before treatment is least (a search that may end in a local optimum).
//
// Fit needs Unit, Time, Y and treated, one mark a row; Cohort, X, Weight and Cluster are not used. Units that lack a period
// are left out and counted, as are units treated from the first period on.
//
// Errors: [estimate.ErrInvalidFrame], [ErrOption], [ErrNotAbsorbing], [ErrStaggered], [ErrDuplicate], [ErrOnePeriod],
// [estimate.ErrNoTreated], [estimate.ErrNoControls], [estimate.ErrTooFew], [ErrFewPeriods], [estimate.ErrNotConverged].
//
// Source: Abadie, Diamond and Hainmueller (2010), JASA 105(490); Arkhangelsky et al. (2021), AER 111(12); Ben-Michael, Feller and
// Rothstein (2021), JASA 116(536). METHODS.md#synth.
type Synthetic struct {
	Method string // required
	// Errors: placebo (treatment given to controls in turn), jackknife (weights fixed), bootstrap (of units), conformal (permutation of
	// periods; no standard error, one starting period) or none. Required.
	Errors     string
	Replicates int // of placebo and bootstrap; zero means 200. All placebos are taken where they are no more than that
	Seed       uint64
	// Lambda is the penalty L of augmented, in squared outcome units; nil = the largest within one standard error of the least
	// error in leaving out one period before treatment after the other.
	Lambda           *float64
	Predictors       []Predictor // sc only
	PredictorWeights []float64   // V, as many, ≥ 0; nil = searched
	Workers          int         // never changes the result
}

// A Predictor is what a synthetic control shall be like the treated in: the mean of a column over a window.
type Predictor struct {
	Name   string
	Values []float64 // n rows; NaN = missing
	// From and To bound the window, both included; nil = every period before treatment.
	From, To *int
}

// A PathPoint is one period of the treated and their synthetic control, which is moved by the λ-weighted gap before treatment.
type PathPoint struct {
	Time      int     `json:"time"`
	Treated   float64 `json:"treated"`
	Synthetic float64 `json:"synthetic"`
	Gap       float64 `json:"gap"`
}

// Fit estimates. treated says of each row whether the unit is treated then.
func (s Synthetic) Fit(ctx context.Context, f *Frame, treated []bool) (*estimate.Result, error) {
	res, err := s.fit(ctx, f, treated)
	if err != nil {
		return nil, fmt.Errorf("synthetic control (%s): %w", s.Method, err)
	}
	return res, nil
}

func (s *Synthetic) check() error {
	bad := func(format string, a ...any) error { return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)) }
	switch {
	case !slices.Contains([]string{SyntheticControl, SyntheticDID, DifferenceInMeans, AugmentedSynthetic}, s.Method):
		return bad("method %q is not one of sc, sdid, did, augmented", s.Method)
	case !slices.Contains([]string{PlaceboErrors, JackknifeErrors, BootstrapErrors, ConformalErrors, NoErrors}, s.Errors):
		return bad("errors %q are not one of placebo, jackknife, bootstrap, conformal, none", s.Errors)
	case s.Errors == ConformalErrors && (s.Method == AugmentedSynthetic || len(s.Predictors) > 0):
		return bad("conformal inference is for sc without predictors, sdid and did: it finds the weights from all periods")
	case s.Replicates < 0 || s.Replicates == 1:
		return bad("%d replicates; at least 2 are needed", s.Replicates)
	case s.Replicates > 0 && s.Errors != PlaceboErrors && s.Errors != BootstrapErrors:
		return bad("replicates are for placebo and bootstrap errors")
	case s.Seed != 0 && s.Errors != PlaceboErrors && s.Errors != BootstrapErrors:
		return bad("a seed is for placebo and bootstrap errors")
	case s.Lambda != nil && s.Method != AugmentedSynthetic:
		return bad("a penalty lambda is for the method augmented")
	case s.Lambda != nil && !(*s.Lambda > 0 && *s.Lambda < math.Inf(1)):
		return bad("the penalty lambda must be a finite number above 0")
	case len(s.Predictors) > 0 && s.Method != SyntheticControl:
		return bad("predictors are for the method sc")
	case s.PredictorWeights != nil && len(s.PredictorWeights) != len(s.Predictors):
		return bad("%d predictor weights for %d predictors", len(s.PredictorWeights), len(s.Predictors))
	case s.Errors == JackknifeErrors && s.Method == AugmentedSynthetic:
		return bad("the jackknife holds weights fixed, which has no meaning for weights below 0; use placebo or bootstrap")
	}
	sum := 0.0
	for _, v := range s.PredictorWeights {
		if !(v >= 0) || math.IsInf(v, 1) {
			return bad("a predictor weight must be a finite number of at least 0")
		}
		sum += v
	}
	if s.PredictorWeights != nil && sum == 0 {
		return bad("every predictor weight is 0")
	}
	return nil
}

func (s *Synthetic) fit(ctx context.Context, f *Frame, treated []bool) (*estimate.Result, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	b, notes, err := s.block(f, treated)
	if errors.Is(err, ErrStaggered) && s.Errors != ConformalErrors {
		return s.staggered(ctx, f, treated)
	}
	if err != nil {
		return nil, err
	}
	w, err := s.weigh(b)
	if err != nil {
		return nil, err
	}
	theta, gaps := b.effect(w)
	se, spread, err := s.spread(ctx, b, w, theta)
	if err != nil {
		return nil, err
	}
	if !finite(theta) {
		return nil, fmt.Errorf("%w: the effect is not a number; rescale the outcome", estimate.ErrNotIdentified)
	}
	res := &estimate.Result{Method: "synth", Notes: notes, Fit: estimate.Convergence{Converged: true, Tolerance: max(w.unitKKT, w.timeKKT)},
		N:         estimate.Counts{Units: len(b.y), Treated: len(b.y) - b.n0},
		Estimates: []estimate.Estimate{estimate.Wald(Overall, estimate.MeanDifference, theta, se, math.Inf(1), f.Level)},
		Details:   b.details(w, gaps)}
	res.Details["errors"] = s.Errors
	if spread != nil {
		res.Details[s.Errors] = spread
	}
	if s.Errors == ConformalErrors {
		if err := s.addConformal(ctx, b, res, f.Level); err != nil {
			return nil, err
		}
	}
	if s.Errors == PlaceboErrors && spread["draws"].(int) < 19 {
		n := spread["draws"].(int)
		res.Notes = append(res.Notes, table.Note{Code: "few-placebos", Args: map[string]any{"n": n},
			Text: fmt.Sprintf("The standard error rests on %d placebos only, one for each way to call controls treated.", n)})
	}
	if s.Errors == NoErrors {
		res.Notes = append(res.Notes, table.Note{Code: "errors-not-asked", Text: "No standard error was asked for."})
	}
	return res, nil
}

// addConformal gives the estimate its interval and p-value; it has no standard error.
func (s *Synthetic) addConformal(ctx context.Context, b *block, res *estimate.Result, level float64) error {
	c := &conformal{s: s, b: b, level: level}
	e := &res.Estimates[0]
	p, ci, err := c.interval(ctx, e.Value)
	if err != nil {
		return fmt.Errorf("conformal inference: %w", err)
	}
	e.CI, e.Test = ci, estimate.Test{Stat: math.NaN(), DF: math.NaN(), P: p}
	res.Details["conformal"] = map[string]any{"p_value": p, "shifts": len(b.periods)}
	if math.IsNaN(ci.Lo) || math.IsNaN(ci.Hi) {
		e.CI.Lo, e.CI.Hi = math.NaN(), math.NaN()
		res.Notes = append(res.Notes, table.Note{Code: "conformal-empty", Text: "No effect that is the same in all periods from treatment on is compatible with the data: the interval is empty."})
	}
	return nil
}

// details describe the weights and what they give in each period.
func (b *block) details(w *synthWeights, gaps []float64) map[string]any {
	units, times := map[string]float64{}, map[string]float64{}
	squares := 0.0
	for i, v := range w.omega {
		units[b.names[i]] = v
		squares += float64(v * v)
	}
	shift, before := 0.0, 0.0
	for t := range b.t0 {
		times[fmt.Sprint(b.periods[t])] = w.lambda[t]
		shift += float64(w.lambda[t] * gaps[t])
	}
	path := make([]PathPoint, len(b.periods))
	for t, p := range b.periods {
		y := b.treatedMean(t)
		gap := gaps[t] - shift
		path[t] = PathPoint{Time: p, Treated: y, Synthetic: y - gap, Gap: gap}
		if t < b.t0 {
			before += float64(gap * gap)
		}
	}
	out := map[string]any{"unit_weights": units, "time_weights": times, "path": path, "pre_rmse": math.Sqrt(before / float64(b.t0)),
		"periods_before": b.t0, "periods_after": len(b.periods) - b.t0, "kkt": map[string]float64{"units": w.unitKKT, "times": w.timeKKT}}
	if squares > 0 {
		out["effective_controls"] = 1 / squares
	}
	for k, v := range w.details {
		out[k] = v
	}
	return out
}
