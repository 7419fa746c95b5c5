package effect

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// remlModel is the profiled likelihood of λ from sums: the cross-products of [X y]
// about the group means, and sizes and means of the groups.
type remlModel struct {
	n, k   int // rows, columns of X
	rank   int
	ml     bool
	within []float64 // (k+1)×(k+1) lower triangle
	size   []float64
	mean   [][]float64 // k+1 each, about the overall mean where there is a constant
}

// newRemlModel takes the kept columns of l and y.
func newRemlModel(l *linear, kept []int, codes []int, rows [][]int, ml bool) *remlModel {
	p := len(kept) + 1
	m := &remlModel{n: l.n, k: len(kept), rank: len(kept), ml: ml, size: make([]float64, len(rows))}
	at := func(i, j int) float64 {
		if j < len(kept) {
			return l.x[i*l.k+kept[j]]
		}
		return l.y[i]
	}
	for g, rs := range rows {
		m.size[g] = float64(len(rs))
		mean := make([]float64, p)
		for j := range p {
			first := at(rs[0], j)
			for _, i := range rs {
				mean[j] += (at(i, j) - first) / float64(len(rs))
			}
			mean[j] += first
		}
		m.mean = append(m.mean, mean)
	}
	m.within = num.SumChunks(l.n, p*(p+1)/2, l.workers, func(lo, hi int, acc []float64) {
		z := make([]float64, p)
		for i := lo; i < hi; i++ {
			for j := range z {
				z[j] = at(i, j) - m.mean[codes[i]][j]
			}
			addOuter(acc, z, 1)
		}
	})
	return m
}

// at returns -2·log-likelihood at λ and its derivative.
func (m *remlModel) at(lambda float64) (deviance, slope float64, ok bool) {
	p := m.k + 1
	sum := append([]float64(nil), m.within...)
	logs, dlogs := 0.0, 0.0
	for g, n := range m.size {
		shrunk := n / (1 + float64(n*lambda))
		addOuter(sum, m.mean[g], shrunk)
		logs += math.Log1p(n * lambda)
		dlogs += shrunk
	}
	var chol mat.Cholesky
	if !chol.Factorize(symmetric(sum, p)) { // the last pivot is √RSS
		return 0, 0, false
	}
	var upper mat.TriDense
	chol.UTo(&upper)
	rss := upper.At(m.k, m.k) * upper.At(m.k, m.k)
	beta := make([]float64, m.k)
	for i := m.k - 1; i >= 0; i-- {
		b := upper.At(i, m.k)
		for j := i + 1; j < m.k; j++ {
			b -= upper.At(i, j) * beta[j]
		}
		beta[i] = b / upper.At(i, i)
	}
	open := float64(m.n)
	if !m.ml {
		open -= float64(m.rank)
	}
	deviance = open*(1+math.Log(2*math.Pi*rss/open)) + logs
	slope = dlogs
	drss := 0.0
	z := make([]float64, m.k)
	for g, n := range m.size {
		shrunk := n / (1 + float64(n*lambda))
		r := m.mean[g][m.k]
		for j, b := range beta {
			r -= float64(b * m.mean[g][j])
		}
		drss -= float64(shrunk * r * shrunk * r)
		if !m.ml {
			copy(z, m.mean[g][:m.k])
			h := 0.0
			for i := range z { // U⁻ᵀ·mean
				for j := range i {
					z[i] -= float64(upper.At(j, i) * z[j])
				}
				z[i] /= upper.At(i, i)
				h += float64(z[i] * z[i])
			}
			slope -= float64(shrunk * shrunk * h)
		}
	}
	if !m.ml {
		for i := range m.k {
			deviance += 2 * math.Log(upper.At(i, i))
		}
	}
	return deviance, slope + open*drss/rss, true
}

// best finds the λ of the smallest deviance: a grid of √λ finds the valley and
// bisection of the derivative its bottom. λ = 0 if the deviance rises from there and
// no valley is deeper.
func (m *remlModel) best() (lambda, deviance float64, err error) {
	grid := []float64{0}
	for t := 1e-3; t < 1e4; t *= 1.25 {
		grid = append(grid, t*t)
	}
	low, at := math.Inf(1), -1
	slopes := make([]float64, len(grid))
	for i, l := range grid {
		d, s, ok := m.at(l)
		if !ok {
			return 0, 0, fmt.Errorf("%w: the profiled likelihood is singular; the outcome may not vary within groups", estimate.ErrNotConverged)
		}
		slopes[i] = s
		if d < low {
			low, at = d, i
		}
	}
	lo, hi := grid[max(at-1, 0)], grid[min(at+1, len(grid)-1)]
	switch {
	case at == len(grid)-1:
		return 0, 0, fmt.Errorf("%w: the outcome hardly varies within groups, so that the variance between them has no estimate relative to it", estimate.ErrNotIdentified)
	case at == 0 && slopes[0] >= 0:
		return 0, low, nil
	case slopes[at] > 0:
		hi = grid[at]
	default:
		lo = grid[at]
	}
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if _, s, _ := m.at(mid); s > 0 {
			hi = mid
		} else {
			lo = mid
		}
	}
	deviance, _, _ = m.at(lo)
	return lo, deviance, nil
}

// linearFit is the gaussian family: λ from the profile, the coefficients by least
// squares of the transformed rows.
func (m Mixed) linearFit(_ context.Context, l *linear, s *sample, codes []int, rows [][]int, names []string) (*mixedFit, error) {
	first, err := num.LeastSquares(num.LsqData{N: l.n, K: l.k, X: l.x, Y: l.y, DropCollinear: true, Workers: l.workers})
	if err != nil {
		return nil, err
	}
	if l.n <= first.Rank+1 {
		return nil, fmt.Errorf("%w: %d rows for %d coefficients", estimate.ErrTooFew, l.n, first.Rank)
	}
	model := newRemlModel(l, first.Kept, codes, rows, m.ML)
	lambda, deviance, err := model.best()
	if err != nil {
		return nil, err
	}
	random := make([]float64, len(rows))
	for g, rs := range rows { // conditional means need the residuals of the fit below
		c := 1 - 1/math.Sqrt(1+float64(lambda*float64(len(rs))))
		for j := range l.k + 1 {
			var mean float64
			for _, i := range rs {
				if j < l.k {
					mean += l.x[i*l.k+j]
				} else {
					mean += s.y[i]
				}
			}
			mean *= c / float64(len(rs))
			if j < l.k {
				for _, i := range rs {
					l.x[i*l.k+j] -= mean
				}
			} else {
				random[g] = mean
			}
		}
	}
	l.y = make([]float64, l.n)
	for i, y := range s.y {
		l.y[i] = y - random[codes[i]]
	}
	sol, err := l.solve(names)
	if err != nil {
		return nil, err
	}
	sigma2 := sol.fit.RSS / float64(l.n-sol.fit.Rank)
	if m.ML {
		f := float64(l.n-sol.fit.Rank) / float64(l.n)
		sigma2 *= f
		sol.cov.ScaleSym(f, sol.cov)
	}
	out := &mixedFit{coef: sol.coef, cov: sol.cov, random: make([]float64, len(rows)), variance: make([]float64, len(rows)),
		steps: sol.fit.Steps, zero: lambda == 0, notes: sol.notes, influence: mat.NewDense(len(s.frame.Y), l.k, nil)}
	for i, r := range s.rows {
		out.influence.SetRow(r, sol.influence[i*l.k:(i+1)*l.k])
	}
	for g, rs := range rows {
		// The mean of the transformed residuals is (1-c)·r̄ = r̄/√(1+nλ).
		var mean float64
		for _, i := range rs {
			mean += sol.fit.Residual[i] / float64(len(rs))
		}
		n := float64(len(rs))
		out.random[g] = lambda * n / math.Sqrt(1+n*lambda) * mean
		out.variance[g] = sigma2 * lambda / (1 + n*lambda)
	}
	criterion := "REML"
	if m.ML {
		criterion = "ML"
	}
	out.details = map[string]any{
		"sd_group": math.Sqrt(sigma2 * lambda), "sd_residual": math.Sqrt(sigma2), "icc": lambda / (1 + lambda),
		"logLik": -deviance / 2, "criterion": criterion, "vcov": "sigma^2 times the inverse of X*'X* at the estimated variances; normal",
	}
	return out, nil
}
