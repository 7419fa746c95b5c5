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

// Ordinal is the cumulative link model of an ordered outcome with levels 0 … J-1,
//
//	P(Y ≤ j) = F(α_j - x'β),  j = 0 … J-2
//
// F logistic (logit, proportional odds), normal (probit) or 1 - exp(-exp(·)) (cloglog,
// proportional hazards), by maximum likelihood with Newton's method and observed
// information (McCullagh 1980). A positive slope moves the outcome up.
//
// f.Y holds level numbers; Levels names them. A level that no row has is an error.
// Frequency weights are copies; sampling and matching weights need robust errors.
// Vcov: iid (inverse of the observed information), hc0, hc1, cr0, cr1; "" is cr1 with
// clusters, hc1 with sampling or matching weights, iid otherwise. Normal, with clusters
// Student's t on G-1.
//
// Estimates: a slope per covariate, then the thresholds "a|b"; measure coefficient. A
// collinear covariate is NaN with note "collinear-dropped".
//
// Details: link, levels, counts, logLik, null_logLik, lr {statistic, df, p}, aic, bic,
// iterations, vcov, vcov_matrix (terms in the order of the estimates).
//
// Errors: [ErrOption], [estimate.ErrNotIdentified] (a level without rows, fewer than 2),
// [estimate.ErrSeparated] (with the terms), [estimate.ErrNotConverged],
// [estimate.ErrTooFew], [estimate.ErrWeights].
type Ordinal struct {
	Link    num.Link // "" is logit
	Levels  []string // J ≥ 2 names, lowest first
	Vcov    Vcov
	Workers int
}

var _ estimate.Estimator = Ordinal{}

// Fit implements [estimate.Estimator].
func (o Ordinal) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("ordinal: %w", err)
	}
	return res, nil
}

type ordinalModel struct {
	link   num.Link
	x      []float64 // standardised, n×q
	n, q   int
	level  []int
	w      []float64
	levels int
	workers,
	p int // q + levels - 1
}

func (o Ordinal) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := newSample(f, nil)
	if err != nil {
		return nil, err
	}
	switch o.Link {
	case "":
		o.Link = num.LogitLink
	case num.LogitLink, num.ProbitLink, num.CloglogLink:
	default:
		return nil, fmt.Errorf("%w: link %q; known are logit, probit, cloglog", ErrOption, string(o.Link))
	}
	vcov, err := o.Vcov.resolve(f.Cluster != nil, s.kind)
	if err != nil {
		return nil, err
	}
	j := len(o.Levels)
	m := &ordinalModel{link: o.Link, n: len(s.rows), levels: j, w: s.weight, workers: o.Workers}
	counts := make([]float64, j)
	for i, r := range s.rows {
		y := f.Y[r]
		if y != math.Trunc(y) || y < 0 || y >= float64(j) {
			return nil, &estimate.RowError{Row: r, Err: fmt.Errorf("%w: the outcome is not a level from 0 to %d", estimate.ErrInvalidFrame, j-1)}
		}
		m.level = append(m.level, int(y))
		counts[int(y)] += m.weight(i)
	}
	if j < 2 {
		return nil, fmt.Errorf("%w: the outcome has %d levels; two at least are needed", estimate.ErrNotIdentified, j)
	}
	for l, c := range counts {
		if c == 0 {
			return nil, fmt.Errorf("%w: no row has the level %q; merge it with a neighbour", estimate.ErrNotIdentified, o.Levels[l])
		}
	}
	d, err := standardise(s, true, o.Workers)
	if err != nil {
		return nil, err
	}
	m.x, m.q = d.x, len(d.kept)
	m.p = m.q + j - 1
	start := make([]float64, m.p)
	total, below, null := num.Sum(counts), 0.0, 0.0
	for l, c := range counts {
		null += c * math.Log(c/total)
		if below += c; l < j-1 {
			start[m.q+l] = quantile(m.link, below/total)
		}
	}
	theta, value, chol, iterations, err := likelihood{p: m.p, at: m.at}.climb(start)
	if err == nil {
		err = m.separated(theta, chol, f.XNames, d.kept)
	}
	if err != nil {
		return nil, err
	}
	return o.result(f, s, m, d, theta, chol, vcov, value, null, iterations, counts)
}

func (m *ordinalModel) weight(i int) float64 {
	if m.w == nil {
		return 1
	}
	return m.w[i]
}

// separated says that a standardised slope has run away: then its error is that of a
// likelihood that has gone flat.
func (m *ordinalModel) separated(theta []float64, chol *mat.Cholesky, names []string, kept []int) error {
	var inverse mat.SymDense
	if err := chol.InverseTo(&inverse); err != nil {
		return fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
	}
	var terms []string
	for a, j := range kept {
		if math.Sqrt(inverse.At(a, a)) > 1e3 && math.Abs(theta[a]) > 5 {
			terms = append(terms, names[j])
		}
	}
	if len(terms) > 0 {
		return fmt.Errorf("%w: the levels are perfectly ordered along %s, so that no finite coefficients exist", estimate.ErrSeparated, listed(terms))
	}
	return nil
}

// result maps the standardised slopes and thresholds back: β = b/s, α = a + Σb·c/s.
func (o Ordinal) result(f *estimate.Frame, s *sample, m *ordinalModel, d *standardised, theta []float64, chol *mat.Cholesky, vcov Vcov, value, null float64, iterations int, counts []float64) (*estimate.Result, error) {
	back := mat.NewDense(m.p, m.p, nil)
	for a := range m.q {
		back.Set(a, a, 1/d.scale[a])
		for l := m.q; l < m.p; l++ {
			back.Set(l, a, d.centre[a]/d.scale[a])
		}
	}
	for l := m.q; l < m.p; l++ {
		back.Set(l, l, 1)
	}
	inner := &sandwich{n: m.n, p: m.p, vcov: vcov, cluster: s.codes(f.Cluster), units: float64(s.count(nil)), inverse: &mat.SymDense{}}
	if s.kind == estimate.Frequency {
		inner.weight = s.weight
	}
	if err := chol.InverseTo(inner.inverse); err != nil {
		return nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
	}
	inner.scores = m.scores(theta)
	v, df, err := inner.covariance()
	if err != nil {
		return nil, err
	}
	var half, full, coef mat.Dense
	half.Mul(back, v)
	full.Mul(&half, back.T())
	coef.Mul(back, mat.NewDense(m.p, 1, theta))
	var influence mat.Dense
	influence.Mul(inner.influence(), back.T())

	k := len(f.XNames)
	total := k + m.levels - 1
	at := make([]int, 0, m.p) // place of each parameter among the estimates
	at = append(at, d.kept...)
	for l := range m.levels - 1 {
		at = append(at, k+l)
	}
	names := append([]string(nil), f.XNames...)
	for l := range m.levels - 1 {
		names = append(names, o.Levels[l]+"|"+o.Levels[l+1])
	}
	res := &estimate.Result{
		Method: "ordinal", N: estimate.Counts{Units: s.count(nil), Clusters: inner.clusters},
		Fit:   estimate.Convergence{Converged: true, Iterations: iterations, Tolerance: 1e-20},
		Notes: append(append(s.notes, d.notes...), inner.notes...),
		Cov:   nanSymmetric(total), Influence: nanDense(len(f.Y), total, s.rows), InfluenceUnit: f.Unit,
	}
	value1, se := nans(total), nans(total)
	matrix := make([][]float64, total)
	for a := range at {
		value1[at[a]] = coef.At(a, 0)
		se[at[a]] = math.Sqrt(full.At(a, a))
		for b := range at {
			res.Cov.SetSym(at[a], at[b], (full.At(a, b)+full.At(b, a))/2)
		}
		for i, r := range s.rows {
			res.Influence.Set(r, at[a], influence.At(i, a))
		}
	}
	for j, name := range names {
		res.Estimates = append(res.Estimates, estimate.Wald(name, estimate.Coefficient, value1[j], se[j], df, f.Level))
		matrix[j] = mat.Row(nil, j, res.Cov)
	}
	params, units := float64(m.p), inner.units
	res.Details = map[string]any{
		"link": string(o.Link), "levels": o.Levels, "counts": counts, "vcov": inner.text, "vcov_matrix": matrix, "iterations": iterations,
		"logLik": value, "null_logLik": null, "aic": 2*params - 2*value, "bic": params*math.Log(units) - 2*value,
		"lr": map[string]float64{"statistic": 2 * (value - null), "df": float64(m.q), "p": num.ChiSquareTail(2*(value-null), float64(m.q))},
	}
	if s.kind == estimate.Sampling || s.kind == estimate.Matching {
		for _, key := range []string{"logLik", "null_logLik", "aic", "bic"} {
			res.Details[key] = math.NaN()
		}
		res.Details["lr"] = nil
		res.Notes = append(res.Notes, noLikelihood())
	}
	return res, nil
}

func noLikelihood() table.Note {
	return table.Note{Code: "no-likelihood",
		Text: "With these weights, or with an estimated dispersion, there is no likelihood: logLik, AIC and BIC do not exist."}
}
