package panel

import (
	"errors"
	"fmt"

	"utfall/estimate"
	"utfall/internal/num"
)

// maxOdds caps the propensity at 1-1e-6, as the reference software does, so that no
// weight is infinite. poorOverlap is the propensity from which a comparison unit is
// counted in a note: its weight is that of 199 units or more.
const (
	maxPropensity = 1 - 1e-6
	poorOverlap   = 0.995
)

// design is what a comparison needs of its units besides the outcomes: covariates,
// weights, propensity and the factorised regression. Rows are the treated first
// (0 … treated-1), then the comparison group.
type design struct {
	n, treated, k int       // k counts the intercept
	x             []float64 // n×k by rows; nil without covariates
	w             []float64 // n
	p, odds       []float64 // n propensities; n-treated weights p/(1-p); nil when not used
	cov           []float64 // k×k inverse information of the propensity model
	poor          int       // comparison rows with a propensity of poorOverlap or more
}

// A cellError says why a cell is not identified.
type cellError struct {
	err    error
	reason string
}

func (e *cellError) Error() string { return e.reason }
func (e *cellError) Unwrap() error { return e.err }

func notIdentified(err error, format string, a ...any) error {
	return &cellError{err, fmt.Sprintf(format, a...)}
}

// gather copies the rows of the spans, of which the first treated rows are treated.
func (l *layout) gather(spans []span, treated, xsheet, wsheet int) *design {
	n := length(spans)
	d := &design{n: n, treated: treated, k: l.k + 1, w: make([]float64, n)}
	if l.k > 0 {
		d.x = make([]float64, n*d.k)
	}
	at := 0
	for _, s := range spans {
		copy(d.w[at:], l.w[wsheet][s.lo:s.hi])
		if l.k > 0 {
			x := l.x[xsheet]
			for i := s.lo; i < s.hi; i++ {
				row := d.x[(at+i-s.lo)*d.k:]
				row[0] = 1
				copy(row[1:d.k], x[i*l.k:(i+1)*l.k])
			}
		}
		at += s.len()
	}
	return d
}

// score fits the propensity of being treated by maximum-likelihood logit.
func (d *design) score(l *layout) error {
	y := make([]float64, d.n)
	for i := range d.treated {
		y[i] = 1
	}
	data := num.LogitData{N: d.n, K: d.k, X: d.x, Y: y, Workers: 1}
	if !l.unweighted {
		data.Weight = d.w
	}
	fit, err := num.Logit(data)
	var column *num.SingularColumn
	switch {
	case errors.As(err, &column):
		return l.collinear(column.Column, "the units of the cell")
	case errors.Is(err, num.ErrSeparated):
		return notIdentified(estimate.ErrSeparated, "the covariates separate treated from comparison units")
	case err != nil:
		return notIdentified(estimate.ErrNotConverged, "the propensity model did not converge")
	}
	d.p = fit.Fitted
	d.odds = make([]float64, d.n-d.treated)
	for i := range d.odds {
		p := d.p[d.treated+i]
		if p >= poorOverlap {
			d.poor++
		}
		if p > maxPropensity {
			p = maxPropensity
			d.p[d.treated+i] = p
		}
		d.odds[i] = p / (1 - p)
	}
	for i, p := range d.p[:d.treated] {
		d.p[i] = min(p, maxPropensity)
	}
	d.cov = make([]float64, d.k*d.k)
	for i := range d.k {
		for j := range d.k {
			d.cov[i*d.k+j] = fit.Cov.At(i, j)
		}
	}
	return nil
}

// regression factorises the design of rows lo … hi-1; group names them in an error.
func (d *design) regression(l *layout, lo, hi int, group string) (*leastSquares, error) {
	if hi-lo < d.k {
		return nil, notIdentified(estimate.ErrTooFew, "%d rows of %s for %d coefficients of the outcome regression", hi-lo, group, d.k)
	}
	var w []float64
	if !l.unweighted {
		w = d.w[lo:hi]
	}
	ls, column := newLeastSquares(d.x[lo*d.k:hi*d.k], hi-lo, d.k, w)
	if column >= 0 {
		return nil, l.collinear(column, group)
	}
	return ls, nil
}

func (l *layout) collinear(column int, group string) error {
	if column == 0 {
		return notIdentified(estimate.ErrCollinear, "the intercept is collinear among %s", group)
	}
	return notIdentified(estimate.ErrCollinear, "covariate %q is constant or a combination of those before it among %s", l.xnames[column-1], group)
}

// mean adds Σ w·x/Σw over rows lo … hi-1, times by, to m; weight is indexed from lo.
func (d *design) mean(lo, hi int, weight []float64, by float64, m []float64) {
	total := num.Sum(weight)
	sum := make([]float64, d.k)
	for i := lo; i < hi; i++ {
		w := weight[i-lo]
		for j, v := range d.x[i*d.k : (i+1)*d.k] {
			sum[j] += float64(w * v)
		}
	}
	for j := range m {
		m[j] += by * (sum[j] / total)
	}
}

// product returns x[i]·v.
func (d *design) product(i int, v []float64) float64 {
	var s float64
	for j, x := range d.x[i*d.k : i*d.k+len(v)] {
		s += float64(x * v[j])
	}
	return s
}

// solveCov returns cov·m.
func (d *design) solveCov(m []float64) []float64 {
	out := make([]float64, d.k)
	for i := range out {
		out[i] = num.Dot(d.cov[i*d.k:(i+1)*d.k], m)
	}
	return out
}

// weightedMean returns Σ w·y/Σw; centre[i] = w·(y-mean)/Σw is written to out.
func weightedMean(y, w, out []float64) float64 {
	total := num.Sum(w)
	m := num.Dot(w, y) / total
	// A second pass on the deviations: the mean of a series on a high level loses no digits.
	var shift float64
	for i, v := range y {
		shift += float64(w[i] * (v - m))
	}
	m += shift / total
	for i, v := range y {
		out[i] = float64(w[i]*(v-m)) / total
	}
	return m
}
