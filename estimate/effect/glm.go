package effect

import (
	"context"
	"errors"
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// GLM is a generalised linear model of the outcome on the frame's covariates,
//
//	g(μ) = α + x'β + offset
//
// by maximum likelihood: binomial (logit, probit, cloglog), poisson (log), negbin
// (log; NB2, variance μ + μ²/θ, θ estimated) and gaussian (identity, log).
//
// With W = w·μ'²/V and the working residual r = (y-μ)/μ' the covariance that Vcov
// names is that of least squares of √W·r on √W·x at the maximum, in which V, leverage
// and clusters mean what they do for [OLS]: hc0 is sandwich's, cr2 has V as working
// covariance (clubSandwich's). Coefficients of binomial, poisson and negbin use the
// normal distribution with iid and hc*, Student's t with Pearson dispersion, for
// gaussian and with clusters as in [OLS]. θ is taken as known, as in MASS.
//
// Frequency weights are copies and Trials the number a binomial share is of; sampling
// and matching weights allow robust errors only and have no likelihood (note
// "no-likelihood").
//
// Estimates: "(intercept)" first unless NoIntercept, then the covariates, measure
// coefficient, on the link scale. A collinear column is NaN with note
// "collinear-dropped". Influence row i is (X'WX)⁻¹·x·w·(y-μ)μ'/V.
//
// Details: family, link, average_marginal_effects (binomial: mean dμ/dη times the
// coefficient), deviance, null_deviance, logLik, aic, bic, pearson_chisq,
// dispersion, iterations, vcov, rank; negbin theta and se_theta; with clusters what
// [OLS] gives.
//
// Errors: [ErrOption], [estimate.ErrSeparated] (with the terms),
// [estimate.ErrNotIdentified] (outcome of one value, negbin without overdispersion),
// [estimate.ErrInvalidFrame] (outcome outside the family's range), and those of [OLS].
type GLM struct {
	Family num.GLMFamily // "" is binomial
	Link   num.Link      // "" is the family's first
	Vcov   Vcov          // as in [OLS], but for wild
	// Pearson estimates the dispersion as Σ(y-μ)²/V/(N-K) where it is otherwise 1: the
	// quasi-likelihood. Errors iid only.
	Pearson     bool
	Trials      []float64 // binomial: y is a share of so many; nil = 1
	Offset      []float64 // added to the linear predictor; nil = 0
	NoIntercept bool
	Second      []int
	Conley      *Conley
	Workers     int
}

var _ estimate.Estimator = GLM{}

// Fit implements [estimate.Estimator].
func (g GLM) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := g.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("glm: %w", err)
	}
	return res, nil
}

func (g GLM) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if g.Family == "" {
		g.Family = num.Binomial
	}
	s, err := newSample(f, nil)
	if err != nil {
		return nil, err
	}
	if err := g.check(f); err != nil {
		return nil, err
	}
	l := &linear{centred: false, workers: g.Workers, normal: g.Family != num.Gaussian && !g.Pearson}
	e := errorKind{vcov: g.Vcov, second: g.Second, conley: g.Conley}
	if err := e.into(l, s); err != nil {
		return nil, err
	}
	if l.vcov == Wild {
		return nil, fmt.Errorf("%w: vcov wild is for least squares (ols); use cr2 for few clusters", ErrOption)
	}
	if g.Pearson && (l.vcov != IID || g.Family == num.Gaussian || g.Family == num.NegBin) {
		return nil, fmt.Errorf("%w: Pearson dispersion goes with vcov iid and family binomial or poisson", ErrOption)
	}
	names, err := l.fill(s, !g.NoIntercept)
	if err != nil {
		return nil, err
	}
	fit, err := g.maximise(ctx, l, s, names)
	if err != nil {
		return nil, err
	}
	if l.vcov == CR2 {
		l.theta = g.variances(l, s, fit.GLMFit)
	}
	sol, pearson, err := g.solve(l, names, fit)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "glm",
		N:      estimate.Counts{Units: s.count(nil), Clusters: sol.clusters},
		Fit:    estimate.Convergence{Converged: true, Iterations: fit.Iterations, Tolerance: fit.Gradient},
		Notes:  append(s.notes, sol.notes...),
	}
	if f.Treated != nil {
		res.N.Treated = s.count(func(r int) bool { return f.Treated[r] })
	}
	for j, name := range names {
		res.Estimates = append(res.Estimates, estimate.Wald(name, estimate.Coefficient, sol.coef[j], sol.se[j], sol.df[j], f.Level))
	}
	res.Cov = sol.cov
	sol.place(res, s, nil)
	g.describe(res, l, s, sol, fit.GLMFit, pearson)
	sol.clustered(res.Details, names)
	res.Notes = append(res.Notes, zeroError(res.Estimates)...)
	return res, nil
}

// check looks at the options that have a value a row.
func (g GLM) check(f *estimate.Frame) error {
	known := false
	for _, l := range num.GLMLinks(g.Family) {
		known = known || g.Link == "" || l == g.Link
	}
	switch {
	case num.GLMLinks(g.Family) == nil:
		return fmt.Errorf("%w: family %q; known are binomial, poisson, negbin, gaussian", ErrOption, string(g.Family))
	case !known:
		return fmt.Errorf("%w: link %q; family %s has %v", ErrOption, string(g.Link), g.Family, num.GLMLinks(g.Family))
	case g.Trials != nil && g.Family != num.Binomial:
		return fmt.Errorf("%w: trials belong to family binomial", ErrOption)
	case g.Trials != nil && len(g.Trials) != len(f.Y), g.Offset != nil && len(g.Offset) != len(f.Y):
		return fmt.Errorf("%w: trials and offset have one value for each of the %d rows", ErrOption, len(f.Y))
	}
	for i, t := range g.Trials {
		if !(t > 0) || math.IsInf(t, 1) {
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the number of trials must be above 0", estimate.ErrInvalidFrame)}
		}
	}
	for i, o := range g.Offset {
		if math.IsNaN(o) || math.IsInf(o, 0) {
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the offset is not a finite number", estimate.ErrInvalidFrame)}
		}
	}
	for i, y := range f.Y {
		switch {
		case g.Family == num.Binomial && !(y >= 0 && y <= 1):
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the outcome of family binomial is between 0 and 1", estimate.ErrInvalidFrame)}
		case (g.Family == num.Poisson || g.Family == num.NegBin) && y < 0:
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the outcome of family %s is at least 0", estimate.ErrInvalidFrame, g.Family)}
		}
	}
	return nil
}

// maximum is a fit with 0 for the coefficients of collinear columns; its triangle is of those kept.
type maximum struct {
	*num.GLMFit
	kept, collinear []int
}

// maximise fits, leaving out collinear columns, whose place in l.x becomes 0.
func (g GLM) maximise(ctx context.Context, l *linear, s *sample, names []string) (*maximum, error) {
	d := num.GLMData{N: l.n, Y: s.y, Family: g.Family, Link: g.Link, Workers: g.Workers}
	if l.weight != nil || g.Trials != nil {
		d.Weight = make([]float64, l.n)
		for i, r := range s.rows {
			d.Weight[i] = l.w(i)
			if g.Trials != nil {
				d.Weight[i] *= g.Trials[r]
			}
		}
	}
	if g.Offset != nil {
		d.Offset = make([]float64, l.n)
		for i, r := range s.rows {
			d.Offset[i] = g.Offset[r]
		}
	}
	gone := map[int]bool{}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var kept, collinear []int
		for j := range l.k {
			if gone[j] {
				collinear = append(collinear, j)
			} else {
				kept = append(kept, j)
			}
		}
		d.K, d.X = len(kept), l.x
		if len(gone) > 0 {
			d.X = make([]float64, l.n*d.K)
			for i := range l.n {
				for a, j := range kept {
					d.X[i*d.K+a] = l.x[i*l.k+j]
				}
			}
		}
		if d.K == 0 {
			return nil, fmt.Errorf("%w: no column varies", estimate.ErrCollinear)
		}
		fit, err := num.GLM(d)
		var singular *num.SingularColumn
		var separating *num.SeparatingColumns
		switch {
		case err == nil:
			full := make([]float64, l.k)
			for a, j := range kept {
				full[j] = fit.Coef[a]
			}
			fit.Coef = full
			for j := range gone {
				for i := range l.n {
					l.x[i*l.k+j] = 0
				}
			}
			return &maximum{&fit, kept, collinear}, nil
		case errors.As(err, &singular):
			gone[kept[singular.Column]] = true
		case errors.As(err, &separating):
			var terms []string
			for _, a := range separating.Columns {
				terms = append(terms, names[kept[a]])
			}
			return nil, fmt.Errorf("%w: the outcome is perfectly predicted along %s, so that no finite coefficients exist; leave out or merge what separates", estimate.ErrSeparated, listed(terms))
		case errors.Is(err, num.ErrSeparated):
			return nil, fmt.Errorf("%w: the outcome has one value only in the rows used", estimate.ErrNotIdentified)
		case errors.Is(err, num.ErrUnderdispersed):
			return nil, fmt.Errorf("%w: the outcome varies no more than a Poisson outcome would with these covariates, so that the negative binomial has no maximum; use family poisson", estimate.ErrNotIdentified)
		case errors.Is(err, num.ErrNoConvergence):
			return nil, fmt.Errorf("%w: %w", estimate.ErrNotConverged, err)
		case errors.Is(err, num.ErrDomain):
			return nil, fmt.Errorf("%w: %w", estimate.ErrInvalidFrame, err)
		default:
			return nil, err
		}
	}
}

// describe writes the details.
func (g GLM) describe(res *estimate.Result, l *linear, s *sample, sol *solution, fit *num.GLMFit, pearson float64) {
	link := g.Link
	if link == "" {
		link = num.GLMLinks(g.Family)[0]
	}
	params := float64(sol.params)
	open := sol.units - params
	loglik, dispersion := fit.LogLik, 1.0
	switch {
	case g.Family == num.Gaussian:
		dispersion = fit.Deviance / open
		loglik = -sol.units / 2 * (math.Log(2*math.Pi*fit.Deviance/sol.units) + 1)
		params++
	case g.Family == num.NegBin:
		params++
	case g.Pearson:
		dispersion = pearson / open
	}
	if g.Trials != nil {
		loglik += g.combinations(l, s)
	}
	if g.Pearson || l.kind == estimate.Sampling || l.kind == estimate.Matching {
		loglik = math.NaN()
		res.Notes = append(res.Notes, noLikelihood())
	}
	if n := g.uncounted(s); n > 0 {
		loglik = math.NaN()
		res.Notes = append(res.Notes, table.Note{Code: "outcome-not-counts", Args: map[string]any{"rows": n},
			Text: fmt.Sprintf("%d rows have an outcome that is not a whole number. The coefficients are still those of its mean, but there is no likelihood: logLik, AIC and BIC do not exist, and errors should be robust.", n)})
	}
	res.Details = map[string]any{
		"family": string(g.Family), "link": string(link), "vcov": sol.vcov, "iterations": fit.Iterations, "rank": sol.params,
		"deviance": fit.Deviance, "null_deviance": fit.NullDeviance, "logLik": loglik, "log_likelihood": loglik,
		"aic": 2*params - 2*loglik, "bic": params*math.Log(sol.units) - 2*loglik,
		"pearson_chisq": pearson, "dispersion": dispersion,
	}
	if g.Family == num.Binomial {
		res.Details["average_marginal_effects"] = l.marginal(res, num.Link(link), fit)
	}
	if g.Family == num.NegBin {
		res.Details["theta"], res.Details["se_theta"] = fit.Theta, fit.ThetaSE
	}
}

// uncounted is the number of rows whose outcome should be a count and is none.
func (g GLM) uncounted(s *sample) (n int) {
	if g.Family != num.Poisson && g.Family != num.NegBin {
		return 0
	}
	for _, y := range s.y {
		if y != math.Trunc(y) {
			n++
		}
	}
	return n
}

// variances are V(μ) over the trials and, but for copies, the weight of each row.
func (g GLM) variances(l *linear, s *sample, fit *num.GLMFit) []float64 {
	out := make([]float64, l.n)
	for i, r := range s.rows {
		mu, v := fit.Mean[i], 1.0
		switch g.Family {
		case num.Binomial:
			v = mu * (1 - mu)
		case num.Poisson:
			v = mu
		case num.NegBin:
			v = mu * (1 + mu/fit.Theta)
		}
		if g.Trials != nil {
			v /= g.Trials[r]
		}
		if l.kind != estimate.Frequency {
			v /= l.w(i)
		}
		out[i] = v
	}
	return out
}

// marginal is the weighted mean of dμ/dη times each coefficient but the intercept: by
// how much the probability moves for a small step of the column.
func (l *linear) marginal(res *estimate.Result, link num.Link, fit *num.GLMFit) map[string]float64 {
	s := num.SumChunks(l.n, 2, l.workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			slope := fit.Mean[i] * (1 - fit.Mean[i])
			if link != num.LogitLink {
				slope = link.Slope(fit.Eta[i])
			}
			acc[0] += l.w(i)
			acc[1] += float64(l.w(i) * slope)
		}
	})
	out := map[string]float64{}
	for _, e := range res.Estimates {
		if e.Term != "(intercept)" {
			out[e.Term] = s[1] / s[0] * e.Value
		}
	}
	return out
}

// combinations is Σ w·log C(trials, successes), the part of the likelihood of shares
// that the coefficients do not move.
func (g GLM) combinations(l *linear, s *sample) float64 {
	var sum float64
	for i, r := range s.rows {
		n := g.Trials[r]
		a, _ := math.Lgamma(n + 1)
		b, _ := math.Lgamma(float64(n*s.y[i]) + 1)
		c, _ := math.Lgamma(n - float64(n*s.y[i]) + 1)
		sum += l.w(i) * (a - b - c)
	}
	return sum
}
