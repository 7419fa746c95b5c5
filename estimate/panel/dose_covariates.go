package panel

import (
	"errors"
	"fmt"

	"utfall/estimate"
	"utfall/internal/num"
)

// covariates is 1 and the covariates of a position in a period.
func (s *doseRun) covariates(period, p int) []float64 {
	out := append(make([]float64, 0, 1+s.l.k), 1)
	if s.l.k > 0 {
		out = append(out, s.l.x[sheet(s.l.x, period)][p*s.l.k:(p+1)*s.l.k]...)
	}
	return out
}

// untreated is what a treated unit would have changed by without treatment, from the comparison units of a cell:
//
//	(1, x)'γ,   γ weighted least squares of y[·,t] - y[·,b] on (1, x[·,b]) among them
//
// their weighted mean without covariates. It adds H·(1, x)·w·e of each comparison unit to the cohort's pull, H = (Σ w(1, x)(1, x)')⁻¹. nil = too few units.
//
// Errors: [estimate.ErrCollinear] names the covariate.
func (s *doseRun) untreated(x cellIndex, controls []int) (func(p int) float64, error) {
	l, m := s.l, 1+s.l.k
	data := num.LsqData{K: m}
	var of []int
	for _, c := range controls {
		for p := l.start[c]; p < l.start[c+1]; p++ {
			data.X = append(data.X, s.covariates(x.base, p)...)
			data.Y = append(data.Y, l.y[x.period][p]-l.y[x.base][p])
			data.Weight = append(data.Weight, l.w[sheet(l.w, x.base)][p])
			of = append(of, p)
		}
	}
	data.N = len(of)
	if data.N == 0 || l.k > 0 && data.N <= m {
		return nil, nil
	}
	fit, err := num.LeastSquares(data)
	var column *num.SingularColumn
	switch {
	case errors.As(err, &column) && column.Column > 0:
		return nil, fmt.Errorf("%w: covariate %q follows from those before it among the comparison units, or is the same in all; leave it out", estimate.ErrCollinear, l.xnames[column.Column-1])
	case err != nil:
		return nil, err
	}
	if s.fewest == 0 || data.N < s.fewest {
		s.fewest = data.N
	}
	if s.pull[x.cohort] == nil {
		s.pull[x.cohort], s.base[x.cohort] = make([][]float64, l.n), x.base
	}
	pull := s.pull[x.cohort]
	for i, p := range of {
		v, z := make([]float64, m), make([]float64, m)
		for j := range m {
			v[j] = data.Weight[i] * fit.Residual[i] * data.X[i*m+j]
		}
		fit.Basis(v, z)
		fit.Unbasis(z)
		if pull[p] == nil {
			pull[p] = z
			continue
		}
		for j, more := range z {
			pull[p][j] += more
		}
	}
	return func(p int) float64 { return num.Dot(fit.Coef, s.covariates(x.base, p)) }, nil
}
