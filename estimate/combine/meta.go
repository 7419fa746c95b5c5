package combine

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// The scales of the numbers of [Meta] beside mean and coefficient.
const (
	Variance  estimate.Measure = "variance"
	Percent   estimate.Measure = "percent"
	Ratio     estimate.Measure = "ratio"
	ChiSquare estimate.Measure = "chi-square"
	Shrunken  estimate.Measure = "shrunken-effect"
	NewPlace  estimate.Measure = "prediction"
)

// Effects are k estimates of one effect, of different places say, with known variances.
type Effects struct {
	Unit     []string  // k, for the terms
	Y        []float64 // k
	Variance []float64 // k, above 0
	X        *mat.Dense
	XNames   []string // of X's columns; an intercept is added
	Level    float64
}

// Meta pools effects that differ between places: yᵢ = xᵢ'β + uᵢ + eᵢ, V(uᵢ) = τ²,
// V(eᵢ) = vᵢ known. With wᵢ = 1/(vᵢ+τ²), W their diagonal, P = W - WX(X'WX)⁻¹X'W, p the
// columns of X (1 without moderators) and Q(τ²) = y'Py = Σw·(y-x'β̂)²:
//
//	β̂ = (X'WX)⁻¹X'Wy,  V = (X'WX)⁻¹, normal (Test "z"), or
//	V = Q(τ̂²)/(k-p)·(X'WX)⁻¹, Student's t on k-p, not truncated ("knapp-hartung")
//	fixed τ² = 0;  dl τ² = max(0, (Q(0)-(k-p))/tr P₀);  pm, eb Q(τ²) = k-p, 0 if Q(0) ≤ k-p
//	reml maximises -½Σlog(v+τ²) - ½log|X'WX| - ½Q;  ml leaves out log|X'WX|
//
// Heterogeneity: Q = Q(0), chi-square on k-p; with the typical variance s² = (k-p)/tr P₀,
// I² = 100·τ²/(τ²+s²), H² = τ²/s²+1 (fixed: I² = 100·max(0, (Q-(k-p))/Q), H² = Q/(k-p)).
// The interval of τ² solves Q(τ²) = the chi-square quantiles (Viechtbauer 2007).
// Without moderators, the effect in a new place has the interval β̂ ± c·√(V+τ²), c as in the
// interval of β̂. The shrunken effect of row i, λᵢ = τ²/(τ²+vᵢ), is
//
//	λᵢyᵢ + (1-λᵢ)xᵢ'β̂, with error √(λᵢvᵢ + (1-λᵢ)²·xᵢ'Vxᵢ)
//
// Estimates: "pooled" (mean), or "(intercept)" and the moderators (coefficient) and their
// joint test "QM"; "tau2" (variance, large-sample error, Q-profile interval; not for fixed), "I2" (percent),
// "H2" (ratio), "Q" (chi-square, with its p-value), "prediction" (the interval for a new
// place) and "unit=ID" (shrunken-effect), the last two not for fixed.
// Details: tau2, tau2_low, tau2_high, I2, H2, Q, Q_df, Q_p, log_likelihood (restricted for
// reml, with metafor's constants), method, test, prediction, weights_percent {id}, shrinkage {id} = λ.
//
// Errors: [ErrOption], [estimate.ErrTooFew] (k ≤ p), [estimate.ErrInvalidFrame],
// [estimate.ErrCollinear], [estimate.ErrNotConverged]. Rows are summed in an order that
// their values decide.
type Meta struct {
	Method string // "reml", "dl", "pm", "eb", "ml" or "fixed"; "" is reml
	Test   string // "z" or "knapp-hartung"; "" is z
}

// Fit pools the effects.
func (o Meta) Fit(ctx context.Context, f *Effects) (*estimate.Result, error) {
	res, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("meta-analysis: %w", err)
	}
	return res, nil
}

func (o Meta) fit(ctx context.Context, f *Effects) (*estimate.Result, error) {
	if o.Method == "" {
		o.Method = "reml"
	}
	if o.Test == "" {
		o.Test = "z"
	}
	fixed := o.Method == "fixed"
	switch {
	case o.Test != "z" && o.Test != "knapp-hartung":
		return nil, fmt.Errorf("%w: test %q; known are z and knapp-hartung", ErrOption, o.Test)
	case fixed && o.Test != "z":
		return nil, fmt.Errorf("%w: test knapp-hartung goes with a random-effects method, not with fixed", ErrOption)
	}
	m, err := newModel(f)
	if err != nil {
		return nil, err
	}
	zero, err := m.at(0)
	if err != nil {
		return nil, err
	}
	tau2, steps, err := m.tau2(ctx, o.Method, zero)
	if err != nil {
		return nil, err
	}
	at, err := m.at(tau2)
	if err != nil {
		return nil, err
	}
	df, scale := math.Inf(1), 1.0
	res := &estimate.Result{Method: "meta", N: estimate.Counts{Units: m.k}, Fit: estimate.Convergence{Converged: true, Iterations: steps}}
	if o.Test == "knapp-hartung" {
		df, scale = m.free(), at.q/m.free()
		squares := 0.0
		for i, y := range m.y {
			squares += float64(y*y) / (m.v[i] + tau2)
		}
		if at.q <= 1e-20*squares { // the residuals are rounding: they can carry no error
			scale = math.NaN()
			res.Notes = append(res.Notes, table.Note{Code: "knapp-hartung-undefined",
				Text: "The effects do not differ at all, so that the Knapp-Hartung error cannot be worked out; use the test z."})
		}
		if scale < 1 {
			res.Notes = append(res.Notes, table.Note{Code: "knapp-hartung-narrower", Args: map[string]any{"scale": scale},
				Text: fmt.Sprintf("The effects vary less than their errors and tau2 say (scale %.3g): the Knapp-Hartung error is smaller than the usual one.", scale)})
		}
	}
	cov := mat.NewSymDense(m.p, nil)
	cov.ScaleSym(scale, at.fit.Inverse)
	res.Cov = cov
	names := append([]string{"(intercept)"}, f.XNames...)
	measure := estimate.Coefficient
	if m.p == 1 {
		names, measure = []string{"pooled"}, estimate.Mean
	}
	for j, n := range names {
		res.Estimates = append(res.Estimates, estimate.Wald(n, measure, at.fit.Coef[j], math.Sqrt(cov.At(j, j)), df, f.Level))
	}
	if m.p > 1 && math.IsNaN(scale) {
		nan := math.NaN()
		res.Estimates = append(res.Estimates, estimate.Estimate{Term: "QM", Measure: ChiSquare, Value: nan, SE: nan,
			CI: estimate.Interval{Lo: nan, Hi: nan}, Test: estimate.Test{Stat: nan, DF: nan, P: nan}})
	} else if m.p > 1 {
		qm, err := m.joint(at.fit.Coef, cov, df)
		if err != nil {
			return nil, err
		}
		res.Estimates = append(res.Estimates, qm)
	}
	details := map[string]any{"method": o.Method, "test": o.Test, "tau2": tau2, "log_likelihood": m.logLik(at, o.Method == "reml")}
	res.Details = details
	if err := m.heterogeneity(res, zero, at, tau2, o.Method, f.Level); err != nil {
		return nil, err
	}
	if m.p == 1 {
		details["weights_percent"] = m.byUnit(func(i int) float64 { return 100 / (m.v[i] + tau2) * at.fit.Inverse.At(0, 0) })
	}
	if fixed {
		return res, nil
	}
	if m.p == 1 {
		mean := res.Estimates[0]
		e := estimate.Wald("prediction", NewPlace, mean.Value, math.Sqrt(cov.At(0, 0)+tau2), df, f.Level)
		e.CI.Method = "prediction"
		e.Test = estimate.Test{Stat: math.NaN(), DF: math.NaN(), P: math.NaN()}
		res.Estimates = append(res.Estimates, e)
		details["prediction"] = map[string]float64{"lower": e.CI.Lo, "upper": e.CI.Hi}
	}
	if tau2 == 0 {
		res.Notes = append(res.Notes, table.Note{Code: "no-spread-found",
			Text: "The estimated variance between places is 0, so that every shrunken effect is the pooled one. That places differ is not refuted by this: see the interval of tau2."})
	}
	shrunk := make([]estimate.Estimate, m.k)
	for i := range m.y {
		lambda := tau2 / (tau2 + m.v[i])
		x := m.x[i*m.p : (i+1)*m.p]
		fit, spread := 0.0, 0.0
		for a := range m.p {
			fit += float64(x[a] * at.fit.Coef[a])
			for b := range m.p {
				spread += float64(x[a] * cov.At(a, b) * x[b])
			}
		}
		value := float64(lambda*m.y[i]) + float64((1-lambda)*fit)
		se := math.Sqrt(float64(lambda*m.v[i]) + float64((1-lambda)*(1-lambda)*spread))
		shrunk[m.row[i]] = estimate.Wald("unit="+f.Unit[m.row[i]], Shrunken, value, se, df, f.Level)
	}
	res.Estimates = append(res.Estimates, shrunk...)
	details["shrinkage"] = m.byUnit(func(i int) float64 { return tau2 / (tau2 + m.v[i]) })
	return res, nil
}

// joint is the test of all moderators: b'V⁻¹b, chi-square on p-1; with finite df divided
// by p-1, F on p-1 and df.
func (m *model) joint(b []float64, cov *mat.SymDense, df float64) (estimate.Estimate, error) {
	q := m.p - 1
	v := cov.SliceSym(1, m.p)
	var chol mat.Cholesky
	var s mat.VecDense
	rest := mat.NewVecDense(q, b[1:])
	if !chol.Factorize(v) || chol.SolveVecTo(&s, rest) != nil {
		return estimate.Estimate{}, fmt.Errorf("%w: the moderators", estimate.ErrCollinear)
	}
	w := mat.Dot(rest, &s)
	if math.IsInf(df, 1) {
		return statistic("QM", ChiSquare, w, w, float64(q), num.ChiSquareTail(w, float64(q))), nil
	}
	w /= float64(q)
	return statistic("QM", "f-statistic", w, w, float64(q), fTail(w, float64(q), df)), nil
}

// heterogeneity adds tau2, I2, H2 and Q.
func (m *model) heterogeneity(res *estimate.Result, zero, at *evaluation, tau2 float64, method string, level float64) error {
	free, nan := m.free(), math.NaN()
	typical := free / zero.trP
	i2, h2 := 100*tau2/(tau2+typical), tau2/typical+1
	d := res.Details
	if method == "fixed" {
		i2, h2 = 100*math.Max(0, (zero.q-free)/zero.q), zero.q/free
		if zero.q == 0 {
			i2 = 0
		}
	} else {
		lo, hi, err := m.profile(zero, 1-level)
		if err != nil {
			return err
		}
		e := statistic("tau2", Variance, tau2, nan, nan, nan)
		e.SE = m.tau2Error(method, zero, at, tau2)
		e.CI = estimate.Interval{Lo: lo, Hi: hi, Level: level, Method: "q-profile"}
		res.Estimates = append(res.Estimates, e)
		d["tau2_low"], d["tau2_high"] = lo, hi
		if math.IsNaN(hi) {
			res.Notes = append(res.Notes, table.Note{Code: "tau2-interval-empty",
				Text: "The effects vary so little, given their errors, that no tau2 agrees with them at this level: its interval is empty."})
		}
	}
	p := num.ChiSquareTail(zero.q, free)
	res.Estimates = append(res.Estimates, statistic("I2", Percent, i2, nan, nan, nan), statistic("H2", Ratio, h2, nan, nan, nan),
		statistic("Q", ChiSquare, zero.q, zero.q, free, p))
	d["I2"], d["H2"], d["Q"], d["Q_df"], d["Q_p"] = i2, h2, zero.q, int(free), p
	return nil
}

// statistic is a number without standard error.
func statistic(term string, measure estimate.Measure, v, stat, df, p float64) estimate.Estimate {
	nan := math.NaN()
	return estimate.Estimate{Term: term, Measure: measure, Value: v, SE: nan, CI: estimate.Interval{Lo: nan, Hi: nan}, Test: estimate.Test{Stat: stat, DF: df, P: p}}
}
