package effect

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// CLogit is conditional logistic regression in the frame's sets (matched sets, or the
// fixed effects of panels): the likelihood of which rows of a set had the event, given
// how many did,
//
//	L = Π_sets exp(Σ_{i∈events} x_i'β)/Σ_{S: |S|=m} exp(Σ_{i∈S} x_i'β)
//
// exactly, by the recursion of Gail, Lubin and Rubinstein (1981) with its derivatives.
// f.Y is 0 or 1, f.Set numbers the sets (-1 = in none); there is no intercept, and a
// covariate that is constant within every set is collinear. Weights are an error.
//
// Vcov: iid (inverse information), cr0 and cr1 with clusters of f.Cluster, or of the
// sets where there is none; "" is cr1 with f.Cluster and iid without. Sets in which all
// or none had the event say nothing: note "sets-without-contrast".
//
// Estimates: a log odds ratio per covariate, measure log-odds-ratio. Details: logLik
// [null, model], lr, wald, score {statistic, df, p}, sets, vcov, iterations.
//
// Errors: [ErrOption], [estimate.ErrSeparated], [estimate.ErrTooFew] (no set with a
// contrast), [estimate.ErrCollinear], [estimate.ErrNotConverged], [estimate.ErrWeights].
type CLogit struct {
	Vcov    Vcov
	Workers int
}

var _ estimate.Estimator = CLogit{}

// Fit implements [estimate.Estimator].
func (c CLogit) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := c.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("clogit: %w", err)
	}
	return res, nil
}

func (c CLogit) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	switch {
	case f.Set == nil:
		return nil, fmt.Errorf("%w: no sets", estimate.ErrInvalidFrame)
	case f.X == nil:
		return nil, fmt.Errorf("%w: no covariate", estimate.ErrCollinear)
	case f.Weight.Values != nil:
		return nil, fmt.Errorf("%w: conditional logistic regression takes no weights", estimate.ErrWeights)
	}
	for i, y := range f.Y {
		if y != 0 && y != 1 {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the outcome is 0 or 1", estimate.ErrInvalidFrame)}
		}
	}
	vcov := c.Vcov
	if vcov == "" && f.Cluster == nil {
		vcov = IID
	}
	vcov, err := vcov.resolve(true, estimate.NoWeights)
	if err != nil {
		return nil, err
	}
	if vcov != IID && vcov != CR0 && vcov != CR1 {
		return nil, fmt.Errorf("%w: vcov %s; conditional logistic regression has iid, cr0 and cr1", ErrOption, vcov)
	}
	s, m, notes, err := c.sets(f)
	if err != nil {
		return nil, err
	}
	d, err := m.within(s, c.Workers)
	if err != nil {
		return nil, err
	}
	start := make([]float64, m.q)
	null, g, h := m.at(start)
	theta, value, chol, iterations, err := likelihood{p: m.q, at: m.at}.climb(start)
	if err != nil {
		return nil, err
	}
	flat := &ordinalModel{}
	if err := flat.separated(theta, chol, f.XNames, d.kept); err != nil {
		return nil, err
	}
	inner := &sandwich{n: len(s.rows), p: m.q, vcov: vcov, cluster: m.set, units: float64(len(s.rows)), inverse: &mat.SymDense{}}
	if f.Cluster != nil {
		inner.cluster = s.codes(f.Cluster)
	}
	if err := chol.InverseTo(inner.inverse); err != nil {
		return nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
	}
	inner.scores = m.scores(theta)
	v, df, err := inner.covariance()
	if err != nil {
		return nil, err
	}
	k := len(f.XNames)
	events := 0
	for _, y := range s.y {
		events += int(y)
	}
	res := &estimate.Result{
		Method: "clogit", N: estimate.Counts{Units: len(s.rows), Sets: len(m.rows), Clusters: inner.clusters, Events: events},
		Fit:   estimate.Convergence{Converged: true, Iterations: iterations, Tolerance: 1e-20},
		Notes: append(append(append(s.notes, notes...), d.notes...), inner.notes...),
		Cov:   nanSymmetric(k), Influence: nanDense(len(f.Y), k, s.rows), InfluenceUnit: f.Unit,
	}
	influence := inner.influence()
	coef, se := nans(k), nans(k)
	for a, j := range d.kept {
		coef[j], se[j] = theta[a]/d.scale[a], math.Sqrt(v.At(a, a))/d.scale[a]
		for b, l := range d.kept {
			res.Cov.SetSym(j, l, v.At(a, b)/(d.scale[a]*d.scale[b]))
		}
		for i, r := range s.rows {
			res.Influence.Set(r, j, influence.At(i, a)/d.scale[a])
		}
	}
	for j, name := range f.XNames {
		res.Estimates = append(res.Estimates, estimate.Wald(name, estimate.LogOddsRatio, coef[j], se[j], df, f.Level))
	}
	wald, err := quadratic(v, theta)
	if err != nil {
		return nil, err
	}
	var first mat.Cholesky
	score := math.NaN()
	if first.Factorize(symmetric(h, m.q)) {
		var half mat.VecDense
		if first.SolveVecTo(&half, mat.NewVecDense(m.q, g)) == nil {
			score = mat.Dot(&half, mat.NewVecDense(m.q, g))
		}
	}
	test := func(x float64) map[string]float64 {
		return map[string]float64{"statistic": x, "df": float64(m.q), "p": num.ChiSquareTail(x, float64(m.q))}
	}
	res.Details = map[string]any{
		"logLik": []float64{null, value}, "lr": test(2 * (value - null)), "wald": test(wald), "score": test(score),
		"sets": len(m.rows), "vcov": inner.text, "iterations": iterations,
	}
	return res, nil
}

// quadratic is θ'V⁻¹θ; NaN where V is singular (fewer clusters than terms).
func quadratic(v *mat.SymDense, theta []float64) (float64, error) {
	var chol mat.Cholesky
	if !chol.Factorize(v) || chol.Cond() > 1e14 {
		return math.NaN(), nil
	}
	t := mat.NewVecDense(len(theta), theta)
	var x mat.VecDense
	if err := chol.SolveVecTo(&x, t); err != nil {
		return math.NaN(), nil
	}
	return mat.Dot(t, &x), nil
}

// sets takes the rows of sets with a contrast.
func (c CLogit) sets(f *estimate.Frame) (*sample, *clogitModel, []table.Note, error) {
	var notes []table.Note
	n := 0
	for i, s := range f.Set {
		if s < -1 {
			return nil, nil, nil, fmt.Errorf("%w: set number of row %d is below -1", estimate.ErrInvalidFrame, i+1)
		}
		n = max(n, s+1)
	}
	arms := make([][2]int, n)
	outside, flat := 0, 0
	for i, s := range f.Set {
		if s < 0 {
			outside++
		} else {
			arms[s][int(f.Y[i])]++
		}
	}
	for _, a := range arms {
		if a[0]+a[1] > 0 && (a[0] == 0 || a[1] == 0) {
			flat++
		}
	}
	if outside > 0 {
		notes = append(notes, table.Note{Code: "rows-in-no-set", Text: fmt.Sprintf("%d rows are in no matched set and not part of the estimate.", outside), Args: map[string]any{"rows": outside}})
	}
	if flat > 0 {
		notes = append(notes, table.Note{Code: "sets-without-contrast",
			Text: fmt.Sprintf("%d sets, in which all rows had the event or none had, say nothing about a conditional odds ratio and are left out.", flat), Args: map[string]any{"sets": flat}})
	}
	s, err := newSample(f, func(r int) bool {
		return f.Set[r] >= 0 && arms[f.Set[r]][0] > 0 && arms[f.Set[r]][1] > 0
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: no set has rows with and without the event", estimate.ErrTooFew)
	}
	m := &clogitModel{workers: c.Workers, y: s.y}
	var g int
	m.set, g = dense(s.codes(f.Set))
	m.rows = rowsOf(m.set, g)
	return s, m, notes, nil
}
