package effect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

// GEE is regression of repeated or clustered outcomes by generalised estimating
// equations (Liang and Zeger 1986),
//
//	Σ_g D_g'V_g⁻¹(y_g - μ_g) = 0,  V = φ·A^½·R(α)·A^½
//
// for the mean of the population: unlike [Mixed] its coefficients do not condition on a
// group. R is independent, exchangeable (one α) or ar1 (α^|i-j| by the order of the rows
// of a cluster). With r = (y-μ)/√V(μ), φ = Σr²/N and z_ij = r_ir_j/φ the moment
// estimators are those of geepack: α is the mean of z over all pairs of a cluster, or
// for ar1 solves Σ k·α^(k-1)(z_ij - α^k) = 0 with k = |i-j|.
//
// Each step is least squares of the rows of R^(-½)·A^(-½): the covariance that Vcov names
// is that of its last, with clusters the frame's. The coefficients are consistent under
// any R; cr0 is geepack's error, "" is cr1.
//
// f.Cluster is needed; weights are an error. Order gives each row's place in its
// cluster (time); ties are an error for ar1. Estimates, measure and Student's t as in
// [GLM] with clusters. Details: family, link, correlation, alpha (null if
// independent), scale, vcov, iterations, rank, and what [OLS] says of clusters.
//
// Errors: those of [GLM]; [estimate.ErrNotIdentified] (no cluster of several rows, α
// outside the range in which R is positive definite).
type GEE struct {
	Family      num.GLMFamily // "" is gaussian; binomial, poisson
	Correlation string        // "" is exchangeable; independence, ar1
	Vcov        Vcov          // cr0, cr1, cr2, cr3, jackknife; "" is cr1
	Order       []float64     // place of a row in its cluster; nil = as the rows come
	NoIntercept bool
	Workers     int
}

var _ estimate.Estimator = GEE{}

// Fit implements [estimate.Estimator].
func (g GEE) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := g.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("gee: %w", err)
	}
	return res, nil
}

func (g GEE) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	s, err := newSample(f, nil)
	if err != nil {
		return nil, err
	}
	if err := g.check(f); err != nil {
		return nil, err
	}
	if g.Family == "" {
		g.Family = num.Gaussian
	}
	if g.Correlation == "" {
		g.Correlation = "exchangeable"
	}
	l := &linear{workers: g.Workers}
	e := errorKind{vcov: g.Vcov}
	if err := e.into(l, s); err != nil {
		return nil, err
	}
	if !l.vcov.clustered() || l.vcov == Wild {
		return nil, fmt.Errorf("%w: vcov %s; estimating equations have cr0, cr1, cr2, cr3 and jackknife", ErrOption, l.vcov)
	}
	names, err := l.fill(s, !g.NoIntercept)
	if err != nil {
		return nil, err
	}
	rows, err := g.rows(l, s)
	if err != nil {
		return nil, err
	}
	m := GLM{Family: g.Family, NoIntercept: g.NoIntercept, Workers: g.Workers}
	if err := m.check(f); err != nil {
		return nil, err
	}
	design := slices.Clone(l.x)
	start, err := m.maximise(ctx, l, s, names)
	if err != nil {
		return nil, err
	}
	for i := range design { // columns left out as collinear are 0 from now on
		if l.x[i] == 0 {
			design[i] = 0
		}
	}
	w := &geeWork{g: g, l: l, s: s, design: design, rows: rows, names: names}
	sol, err := w.iterate(ctx, start.Coef)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "gee", N: estimate.Counts{Units: s.count(nil), Clusters: sol.clusters},
		Fit: estimate.Convergence{Converged: true, Iterations: w.steps, Tolerance: w.move}, Notes: append(s.notes, sol.notes...), Cov: sol.cov,
	}
	for j, name := range names {
		res.Estimates = append(res.Estimates, estimate.Wald(name, estimate.Coefficient, sol.coef[j], sol.se[j], sol.df[j], f.Level))
	}
	sol.place(res, s, nil)
	res.Details = map[string]any{
		"family": string(g.Family), "link": string(num.GLMLinks(g.Family)[0]), "correlation": g.Correlation, "alpha": w.alpha, "scale": w.phi,
		"vcov": sol.vcov, "iterations": w.steps, "rank": sol.params,
	}
	if g.Correlation == "independence" {
		res.Details["alpha"] = nil
	}
	sol.clustered(res.Details, names)
	return res, nil
}

func (g GEE) check(f *estimate.Frame) error {
	switch {
	case f.Weight.Values != nil:
		return fmt.Errorf("%w: estimating equations take no weights; use glm with clusters", estimate.ErrWeights)
	case f.Cluster == nil:
		return fmt.Errorf("%w: estimating equations need clusters", ErrOption)
	case g.Order != nil && len(g.Order) != len(f.Y):
		return fmt.Errorf("%w: %d places for %d rows", ErrOption, len(g.Order), len(f.Y))
	}
	switch g.Correlation {
	case "", "independence", "exchangeable", "ar1":
	default:
		return fmt.Errorf("%w: correlation %q; known are independence, exchangeable, ar1", ErrOption, g.Correlation)
	}
	switch g.Family {
	case "", num.Gaussian, num.Binomial, num.Poisson:
		return nil
	}
	return fmt.Errorf("%w: family %q; estimating equations have gaussian, binomial and poisson", ErrOption, string(g.Family))
}

// rows lists the rows of each cluster in their order.
func (g GEE) rows(l *linear, s *sample) ([][]int, error) {
	codes, n := ranked(l.cluster)
	rows := rowsOf(codes, n)
	several := false
	for _, rs := range rows {
		several = several || len(rs) > 1
		if g.Order == nil {
			continue
		}
		at := func(i int) float64 { return g.Order[s.rows[i]] }
		slices.SortStableFunc(rs, func(a, b int) int { return cmp.Compare(at(a), at(b)) })
		for i := 1; i < len(rs); i++ {
			if g.Correlation == "ar1" && at(rs[i]) == at(rs[i-1]) {
				return nil, &estimate.RowError{Row: s.rows[rs[i]], Err: fmt.Errorf("%w: two rows of a cluster have the same place in its order", estimate.ErrInvalidFrame)}
			}
		}
	}
	if !several && g.Correlation != "independence" {
		return nil, fmt.Errorf("%w: no cluster has several rows", estimate.ErrNotIdentified)
	}
	return rows, nil
}
