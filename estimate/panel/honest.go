package panel

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// How far trends may depart from parallel in [Honest].
const (
	RelativeMagnitudes = "relative"   // after treatment by no more than M times the largest step before it
	Smoothness         = "smoothness" // slopes of neighbouring periods differ by no more than M
)

// Honest gives intervals for an average of effects after treatment that hold although trends are not parallel, as long as
// the departure δ (0 in the reference period, between the periods before and after treatment) lies in a set of size M:
//
//	smoothness  |δ[t+1] - 2δ[t] + δ[t-1]| ≤ M for all t
//	relative    |δ[t+1] - δ[t]| ≤ M·max over steps s before treatment of |δ[s+1] - δ[s]| for all steps t after it
//
// Smoothness: the shortest fixed-length interval v'β ± χ over v whose part after treatment is the target, χ the 1-α quantile of
// |N(b, v'Σv)| with b the largest bias of v'β in the set. Relative: all values that the conditional test of linear moment inequalities with a
// least-favourable first stage of size α/10 does not reject for one of the sets (largest step, its sign) of which the set is the union, with the inequalities of periods after treatment.
//
// Terms "M=…" have the interval; smoothness has the estimate v'β and its standard error, relative has none. Details: original
// {estimate, std_error, conf_low, conf_high}, breakdown (the smallest M whose interval has 0 in it; NaN if beyond 1e4, in standard errors of the target or times the largest step).
//
// Errors: [estimate.ErrInvalidFrame], [ErrOption], [estimate.ErrCollinear] (covariance not positive definite), [estimate.ErrNotConverged].
//
// Source: Rambachan and Roth (2023), Rev. Econ. Studies 90(5); Andrews, Roth and Pakes (2023), Rev. Econ. Studies 90(6). METHODS.md#honest-did.
type Honest struct {
	Type    string    // required
	M       []float64 // ≥ 0, each once
	Target  []float64 // weights of the periods after treatment; nil = the first
	Level   float64   // e.g. 0.95
	Seed    uint64    // of the least-favourable critical value (relative)
	Workers int       // never changes the result
}

// largestM is where the search for the breakdown value ends: in standard errors of the target, or times the largest step.
const largestM = 1e4

// Coefficients are estimates by period, equally spaced, without the reference period.
type Coefficients struct {
	Value []float64
	Cov   *mat.SymDense
	Pre   int // how many of them are before treatment
}

// Fit works out the intervals.
func (h Honest) Fit(ctx context.Context, c Coefficients) (*estimate.Result, error) {
	res, err := h.fit(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("honest-did: %w", err)
	}
	return res, nil
}

// trends is the problem, in the units of the coefficients.
type trends struct {
	beta      []float64
	cov       *mat.SymDense
	half      *mat.TriDense // lower, half·half' = cov
	pre, post int
	target    []float64 // post
	alpha     float64
	se        float64 // of the target
	value     float64
}

// bounded is what a set of either kind gives.
type bounded interface {
	interval(ctx context.Context, m float64) (estimate.Interval, float64, float64, error) // and the estimate and its error, NaN if there is none
	has(ctx context.Context, m float64) (bool, error)                                     // 0 in the interval
}

func (h *Honest) fit(ctx context.Context, c Coefficients) (*estimate.Result, error) {
	t, err := h.trends(c)
	if err != nil {
		return nil, err
	}
	// In units of about one standard error of the target, a power of 2, no tolerance depends on the outcome's unit.
	_, exponent := math.Frexp(t.se)
	unit := math.Ldexp(1, exponent)
	t.rescale(1 / unit)
	size, digits := 1.0, 1e-4 // of M; the critical value of relative magnitudes is simulated
	if h.Type == Smoothness {
		size, digits = unit, 1e-9
	}
	var set bounded = &smooth{t}
	if h.Type == RelativeMagnitudes {
		set = &relative{trends: t, seed: h.Seed, workers: h.Workers}
	}
	res := &estimate.Result{Method: "honest-did", N: estimate.Counts{}, Fit: estimate.Convergence{Converged: true}, Details: map[string]any{"type": h.Type, "target": t.target, "periods_before": t.pre, "periods_after": t.post}}
	original := estimate.Wald("original", estimate.MeanDifference, unit*t.value, unit*t.se, math.Inf(1), h.Level)
	res.Details["original"] = map[string]float64{"estimate": original.Value, "std_error": original.SE, "conf_low": original.CI.Lo, "conf_high": original.CI.Hi}
	for _, m := range h.M {
		ci, value, se, err := set.interval(ctx, m/size)
		if err != nil {
			return nil, fmt.Errorf("for M = %v: %w", m, err)
		}
		ci.Level, ci.Lo, ci.Hi = h.Level, unit*ci.Lo, unit*ci.Hi
		nan := math.NaN()
		res.Estimates = append(res.Estimates, estimate.Estimate{Term: fmt.Sprintf("M=%v", m), Measure: estimate.MeanDifference, Value: unit * value, SE: unit * se, CI: ci, Test: estimate.Test{Stat: nan, DF: nan, P: nan}})
	}
	breakdown, err := breakdown(ctx, set, digits)
	if err != nil {
		return nil, err
	}
	res.Details["breakdown"] = size * breakdown
	note := func(code, text string) { res.Notes = append(res.Notes, table.Note{Code: code, Text: text}) }
	if h.Type == RelativeMagnitudes {
		note("interval-only", "Relative magnitudes give an interval and no estimate: it holds the values that a test does not reject.")
	} else {
		note("interval-holds-bias", "The intervals allow for the largest bias beside the sampling error, so that they are not the estimate plus or minus a number of standard errors.")
	}
	switch {
	case breakdown == 0:
		note("breakdown-at-zero", "The interval has 0 in it even at M = 0.")
	case math.IsNaN(breakdown):
		note("breakdown-not-found", "No M that was tried brings 0 into the interval.")
	}
	return res, nil
}

func (h *Honest) trends(c Coefficients) (*trends, error) {
	bad := func(format string, a ...any) error { return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)) }
	n := len(c.Value)
	switch {
	case h.Type != RelativeMagnitudes && h.Type != Smoothness:
		return nil, bad("type %q is not relative or smoothness", h.Type)
	case len(h.M) == 0:
		return nil, bad("no M")
	case !(h.Level > 0 && h.Level < 1):
		return nil, bad("confidence level %v is not between 0 and 1", h.Level)
	case c.Cov == nil || c.Cov.SymmetricDim() != n:
		return nil, fmt.Errorf("%w: the covariance does not have a row for each of %d coefficients", estimate.ErrInvalidFrame, n)
	case c.Pre < 1 || c.Pre >= n:
		return nil, bad("%d of %d coefficients are before treatment; one at least must be before it and one after", c.Pre, n)
	case h.Target != nil && len(h.Target) != n-c.Pre:
		return nil, bad("%d target weights for %d periods after treatment", len(h.Target), n-c.Pre)
	case h.Seed != 0 && h.Type != RelativeMagnitudes:
		return nil, bad("a seed is for type relative")
	}
	for i, m := range h.M {
		if !(m >= 0) || math.IsInf(m, 1) || slices.Contains(h.M[:i], m) {
			return nil, bad("each M must be a finite number of at least 0, given once")
		}
	}
	for i, v := range c.Value {
		if !finite(v) {
			return nil, fmt.Errorf("%w: coefficient %d is not a finite number", estimate.ErrInvalidFrame, i+1)
		}
	}
	t := &trends{beta: c.Value, cov: c.Cov, pre: c.Pre, post: n - c.Pre, target: h.Target, alpha: 1 - h.Level}
	if t.target == nil {
		t.target = make([]float64, t.post)
		t.target[0] = 1
	}
	var chol mat.Cholesky
	if !chol.Factorize(c.Cov) || chol.Cond() > 1e15 {
		return nil, fmt.Errorf("%w: the covariance is not positive definite; leave out the reference period", estimate.ErrCollinear)
	}
	t.half = mat.NewTriDense(n, mat.Lower, nil)
	chol.LTo(t.half)
	v := make([]float64, n)
	copy(v[t.pre:], t.target)
	t.value, t.se = num.Dot(v, t.beta), t.sd(v)
	if !(t.se > 0) {
		return nil, bad("the target weights are all 0 or not finite")
	}
	return t, nil
}

// sd is √(v'Σv).
func (t *trends) sd(v []float64) float64 {
	n := len(v)
	sum := 0.0
	for j := range n {
		x := 0.0
		for i := j; i < n; i++ {
			x += float64(t.half.At(i, j) * v[i])
		}
		sum += float64(x * x)
	}
	return math.Sqrt(sum)
}

// rescale changes the unit of the coefficients.
func (t *trends) rescale(f float64) {
	beta, cov, half := make([]float64, len(t.beta)), mat.NewSymDense(len(t.beta), nil), mat.NewTriDense(len(t.beta), mat.Lower, nil)
	for i, v := range t.beta {
		beta[i] = f * v
	}
	cov.ScaleSym(f*f, t.cov)
	half.ScaleTri(f, t.half)
	t.beta, t.cov, t.half, t.value, t.se = beta, cov, half, f*t.value, f*t.se
}

// breakdown is the smallest M whose interval has 0 in it, to the share digits of it; NaN if none was found.
func breakdown(ctx context.Context, set bounded, digits float64) (float64, error) {
	in, err := set.has(ctx, 0)
	if err != nil || in {
		return 0, err
	}
	low, high := 0.0, 1.0
	for ; ; high *= 2 {
		if in, err = set.has(ctx, high); err != nil {
			return 0, err
		}
		if in {
			break
		}
		if low = high; high > largestM {
			return math.NaN(), nil
		}
	}
	for high-low > digits*high {
		middle := (low + high) / 2
		if in, err = set.has(ctx, middle); err != nil {
			return 0, err
		}
		if in {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}
