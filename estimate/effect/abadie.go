package effect

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Metrics of [BiasCorrectedMatching].
const (
	InverseVarianceMetric = "inverse-variance"
	MahalanobisMetric     = "mahalanobis"
)

// BiasCorrectedMatching is matching with replacement on f.X to the M nearest units of
// the other arm, all ties included, with Abadie and Imbens' regression adjustment and
// errors. With J(i) the units near i (m = #J(i) ≥ M), K(l) = Σ 1/#J(i) over the units i
// that are served and have l in J(i), K'(l) = Σ 1/#J(i)², and a the other arm of i,
//
//	ŷ_a(i) = Σ_{l∈J(i)} (y_l + μₐ(x_i) - μₐ(x_l)) / m,   effect = mean over the served of τᵢ = ±(yᵢ - ŷ_a(i))
//
// where μₐ is the least-squares fit in arm a with weights K. The served are the treated
// (att), the untreated (atc) or all (ate); N is their number.
//
//	V = 1/N²·Σ [ served·(τᵢ-τ)² + (K² + served·2K - K')·σ²ᵢ ]     (ate; served·2K is 0 in att, atc)
//
// Variance "homoscedastic": σ² = Σ_served Σ_{l∈J(i)} (τᵢₗ-τ)²/m / 2N, τᵢₗ the difference
// of one pair. Conditional variance with J: σ²ᵢ is the variance (divisor number - 1) of
// y over i and its J nearest of its own arm, ties included. Normal distribution.
//
// Distances are Euclidean in f.X over its standard deviations (all rows, divisor n-1),
// or after also undoing the covariance (mahalanobis). Squared distances that differ by
// less than 1e-5 are ties.
//
// It reads f.Y, f.Treated and f.X. Weights, sets and clusters are errors: there is no
// such variance with them. One estimate, the estimand, measure as [IPW]. Details:
// estimate_unadjusted, mean_treated, mean_control (of the served, imputed for one of
// the arms), pairs, largest_use (the largest K), ratio, metric, vcov.
//
// Influence is Otsu and Rai's linear form, with which a bootstrap is valid:
// (μ₁-μ₀)(xᵢ)-τ and ±(1+K)(yᵢ-μ(xᵢ)) over N (att, atc: only the terms of the served and
// K); its squares add up to a variance near V and not to V.
//
// Errors: [ErrOption], [estimate.ErrWeights], [estimate.ErrNoTreated],
// [estimate.ErrNoControls], [estimate.ErrTooFew] (fewer units of an arm than Ratio or J).
//
// Source: Abadie and Imbens (2006), Econometrica 74(1); (2011), Journal of Business and
// Economic Statistics 29(1); Otsu and Rai (2017), JASA 112(520).
type BiasCorrectedMatching struct {
	Estimand string // "att" (default), "atc" or "ate"
	Ratio    int    // M ≥ 1; 0 means 1
	Metric   string // "inverse-variance" (default) or "mahalanobis"
	// Variance is 0 for the homoscedastic error, else J ≥ 1 of the conditional variance.
	Variance int
	// Unadjusted leaves out the regression: the plain matching estimator.
	Unadjusted bool
	Workers    int // as in [IPW]
}

var _ estimate.Estimator = BiasCorrectedMatching{}

// Fit implements [estimate.Estimator].
func (b BiasCorrectedMatching) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := b.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("bias-corrected matching: %w", err)
	}
	return res, nil
}

// neighbourly is the sample with its matches.
type neighbourly struct {
	*causal
	served  func(i int) bool
	total   float64   // number served
	near    [][]int32 // of each row of the served, its partners; rows of one place share them
	use     []float64 // K
	square  []float64 // K'
	slope   [2][]float64
	unfixed []string
}

func (b BiasCorrectedMatching) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if b.Ratio == 0 {
		b.Ratio = 1
	}
	if b.Metric == "" {
		b.Metric = InverseVarianceMetric
	}
	switch {
	case b.Ratio < 0 || b.Variance < 0:
		return nil, fmt.Errorf("%w: ratio must be at least 1, and variance homoscedastic or at least 1", ErrOption)
	case b.Metric != InverseVarianceMetric && b.Metric != MahalanobisMetric:
		return nil, fmt.Errorf("%w: metric %q; known are inverse-variance and mahalanobis", ErrOption, b.Metric)
	case f.Weight.Kind != estimate.NoWeights:
		return nil, fmt.Errorf("%w: matching with replacement makes its own weights and its errors are not for %s weights", estimate.ErrWeights, f.Weight.Kind)
	case f.Cluster != nil:
		return nil, fmt.Errorf("%w: Abadie and Imbens' errors take units as independent; leave the clusters out, or use ipw", ErrOption)
	}
	o := &causalOptions{method: "bias-corrected-matching", estimand: b.Estimand, estimands: []string{"att", "atc", "ate"}, covariates: true, workers: b.Workers}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	if c.k == 1 {
		return nil, fmt.Errorf("%w: no covariate varies", estimate.ErrCollinear)
	}
	m := &neighbourly{causal: c, served: func(i int) bool { return c.target(o.estimand)(i) > 0 }}
	sigma, err := m.match(b)
	if err != nil {
		return nil, err
	}
	if err := m.regress(b.Unadjusted); err != nil {
		return nil, err
	}
	return m.finish(b, o, sigma)
}

// coordinates standardises the covariates for the metric.
func (m *neighbourly) coordinates(metric string) ([]float64, error) {
	k := m.k - 1
	z := make([]float64, m.n*k)
	for j := range k {
		mean := m.sum(func(i int) float64 { return m.row(i)[j+1] }) / float64(m.n)
		sd := math.Sqrt(m.sum(func(i int) float64 {
			d := m.row(i)[j+1] - mean
			return float64(d * d)
		}) / float64(m.n-1))
		for i := range m.n {
			z[i*k+j] = (m.row(i)[j+1] - mean) / sd
		}
	}
	if metric != MahalanobisMetric {
		return z, nil
	}
	moment := num.SumChunks(m.n, k*(k+1)/2, m.workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			addOuter(acc, z[i*k:(i+1)*k], 1)
		}
	})
	s := symmetric(moment, k)
	s.ScaleSym(1/float64(m.n), s)
	var chol mat.Cholesky
	if !chol.Factorize(s) {
		return nil, fmt.Errorf("%w: the covariance of the covariates is singular", estimate.ErrCollinear)
	}
	var l mat.TriDense
	chol.LTo(&l)
	for i := range m.n { // L⁻¹z: its squares add up to z'S⁻¹z
		row := z[i*k : (i+1)*k]
		for a := range k {
			v := row[a]
			for b := range a {
				v -= float64(l.At(a, b) * row[b])
			}
			row[a] = v / l.At(a, a)
		}
	}
	return z, nil
}

// match finds the partners of the served, and returns the conditional variance of
// each row, or nil if it is not asked for.
func (m *neighbourly) match(b BiasCorrectedMatching) ([]float64, error) {
	z, err := m.coordinates(b.Metric)
	if err != nil {
		return nil, err
	}
	k := m.k - 1
	arms := [2][]int32{}
	for i, t := range m.treated {
		arms[index(t)] = append(arms[index(t)], int32(i))
	}
	place, row := samePlaces(z, k, m.n)
	asked := [2][]bool{make([]bool, len(row)), make([]bool, len(row))} // by the arm of the unit that asks
	own := [2][]bool{make([]bool, len(row)), make([]bool, len(row))}
	for i := range m.n {
		a := index(m.treated[i])
		own[a][place[i]] = true
		if m.served(i) {
			asked[a][place[i]] = true
			m.total++
		}
	}
	m.near = make([][]int32, m.n)
	m.use, m.square = make([]float64, m.n), make([]float64, m.n)
	var sigma []float64
	if b.Variance > 0 {
		sigma = make([]float64, m.n)
	}
	for a := range 2 {
		other := newNeighbours(z, k, arms[1-a])
		if slices.Contains(asked[a], true) {
			if len(arms[1-a]) < b.Ratio {
				return nil, fmt.Errorf("%w: ratio %d with %d units to choose from", estimate.ErrTooFew, b.Ratio, len(arms[1-a]))
			}
			found := other.search(z, row, asked[a], b.Ratio, m.workers)
			for _, i := range arms[a] {
				if m.served(int(i)) {
					m.near[i] = found[place[i]]
					w := 1 / float64(len(m.near[i]))
					for _, l := range m.near[i] {
						m.use[l] += w
						m.square[l] += float64(w * w)
					}
				}
			}
		}
		if b.Variance > 0 {
			if len(arms[1-a]) <= b.Variance {
				return nil, fmt.Errorf("%w: variance from %d other units of the same arm, which has %d in all", estimate.ErrTooFew, b.Variance, len(arms[1-a]))
			}
			// The unit itself is among those nearest to it.
			found := other.search(z, row, own[1-a], b.Variance+1, m.workers)
			spread := make([]float64, len(row))
			for g, near := range found {
				_, v := m.moments(near, func(l int32) float64 { return m.y[l] })
				spread[g] = v * float64(len(near)) / float64(len(near)-1)
			}
			for _, i := range arms[1-a] {
				sigma[i] = spread[place[i]]
			}
		}
	}
	return sigma, nil
}

// moments returns mean and variance (divisor the number) of a value over rows.
func (m *neighbourly) moments(rows []int32, v func(l int32) float64) (mean, variance float64) {
	if len(rows) == 0 {
		return 0, 0
	}
	for _, l := range rows {
		mean += v(l)
	}
	mean /= float64(len(rows))
	for _, l := range rows {
		d := v(l) - mean
		variance += float64(d * d)
	}
	return mean, variance / float64(len(rows))
}

// regress fits y on x in each arm that partners come from, with weights K. A column
// that does not vary among them has coefficient 0: its imbalance is not corrected.
func (m *neighbourly) regress(unadjusted bool) error {
	for a := range 2 {
		weight := make([]float64, m.n)
		any := false
		for i, u := range m.use {
			if index(m.treated[i]) == a {
				weight[i] = u
				any = any || u > 0
			}
		}
		if !any {
			continue
		}
		fit, err := num.LeastSquares(num.LsqData{N: m.n, K: m.k, X: m.x, Y: m.y, Weight: weight, DropCollinear: true, Workers: m.workers})
		if err != nil {
			return m.errModel("the regression of the matched units", err)
		}
		coef := make([]float64, m.k)
		for j, at := range fit.Kept {
			coef[at] = fit.Coef[j]
		}
		m.slope[a] = m.linearPredictor(coef)
		for _, j := range fit.Collinear {
			if name := m.names[j]; !unadjusted && !slices.Contains(m.unfixed, name) {
				m.unfixed = append(m.unfixed, name)
			}
		}
	}
	if len(m.unfixed) > 0 {
		m.notes = append(m.notes, table.Note{Code: "bias-not-corrected", Args: map[string]any{"columns": m.unfixed, "count": len(m.unfixed)},
			Text: fmt.Sprintf("%d columns do not vary by themselves among the matched units, so that differences in them are not corrected: %s.", len(m.unfixed), strings.Join(m.unfixed, ", "))})
	}
	return nil
}

// finish computes effect, variance and influence.
func (m *neighbourly) finish(b BiasCorrectedMatching, o *causalOptions, sigma []float64) (*estimate.Result, error) {
	tau, plain := make([]float64, m.n), make([]float64, m.n)
	spread := make([]float64, m.n) // of the pairs about their mean
	means := [2]float64{}
	pairs := 0
	for i := range m.n {
		near := m.near[i]
		if near == nil {
			continue
		}
		pairs += len(near)
		other := 1 - index(m.treated[i])
		imputed, _ := m.moments(near, func(l int32) float64 { return m.y[l] })
		plain[i] = m.y[i] - imputed
		if b.Unadjusted {
			_, spread[i] = m.moments(near, func(l int32) float64 { return m.y[l] })
		} else {
			mu := m.slope[other]
			var rest float64
			rest, spread[i] = m.moments(near, func(l int32) float64 { return m.y[l] - mu[l] })
			imputed = rest + mu[i]
		}
		tau[i] = m.y[i] - imputed
		if other == 1 {
			tau[i], plain[i] = -tau[i], -plain[i]
		}
		means[other] += imputed / m.total
		means[1-other] += m.y[i] / m.total
	}
	effect, unadjusted := num.Sum(tau)/m.total, num.Sum(plain)/m.total
	text := fmt.Sprintf("Abadie-Imbens, conditional variance from %d nearest units of the same arm; normal", b.Variance)
	if b.Variance == 0 {
		text = "Abadie-Imbens, homoscedastic; normal"
		s := m.sum(func(i int) float64 {
			if m.near[i] == nil {
				return 0
			}
			d := tau[i] - effect
			return float64(d*d) + spread[i]
		}) / (2 * m.total)
		sigma = repeat(s, m.n)
	}
	variance := m.sum(func(i int) float64 {
		v := float64(m.use[i]*m.use[i]) - m.square[i]
		if o.estimand == "ate" {
			v += 2 * m.use[i]
		}
		v = float64(v * sigma[i])
		if m.near[i] != nil {
			d := tau[i] - effect
			v += float64(d * d)
		}
		return v
	}) / m.total / m.total
	phi := m.linearForm()
	if math.Sqrt(variance) <= m.rounding() {
		variance = 0
		clear(phi)
	}
	measure := estimate.MeanDifference
	if m.binary {
		measure = estimate.RiskDifference
	}
	res := &estimate.Result{
		Method:    o.method,
		Estimates: []estimate.Estimate{estimate.Wald(o.estimand, measure, effect, math.Sqrt(variance), math.Inf(1), m.frame.Level)},
		Cov:       one(variance),
		N:         m.tally,
		Fit:       estimate.Convergence{Converged: true},
		Details: map[string]any{"mean_treated": means[1], "mean_control": means[0], "estimate_unadjusted": unadjusted, "pairs": pairs,
			"largest_use": slices.Max(m.use), "ratio": b.Ratio, "metric": b.Metric, "vcov": text},
	}
	m.place(res, [][]float64{phi})
	res.Notes = append(m.notes, zeroError(res.Estimates)...)
	return res, nil
}

// linearForm is Otsu and Rai's influence, about the bias-corrected effect.
func (m *neighbourly) linearForm() []float64 {
	phi := make([]float64, m.n)
	for i := range phi {
		a := index(m.treated[i])
		if m.near[i] != nil { // served: its outcome less what the other arm would have had
			phi[i] = m.y[i] - m.slope[1-a][i]
		}
		if m.use[i] > 0 {
			phi[i] += float64(m.use[i] * (m.y[i] - m.slope[a][i]))
		}
		if a == 0 {
			phi[i] = -phi[i]
		}
	}
	corrected := num.Sum(phi) / m.total
	for i := range phi {
		if m.near[i] != nil {
			phi[i] -= corrected
		}
		phi[i] /= m.total
	}
	return phi
}
