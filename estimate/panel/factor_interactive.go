package panel

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// interactive imputes the outcomes of treated units by ife with r factors; nil for the others. leave is a period that the fits of treated units leave out, -1 for none.
func (p *factorPanel) interactive(r, leave int) ([][]float64, error) {
	k := len(p.periods)
	var controls []int
	for u, s := range p.start {
		if s == k {
			controls = append(controls, u)
		}
	}
	n0 := len(controls)
	switch {
	case r > n0-1:
		return nil, fmt.Errorf("%w: %d controls for %d factors, one more is needed at least; take fewer factors", estimate.ErrTooFew, n0, r)
	case r > k-1:
		return nil, fmt.Errorf("%w: %d for %d factors, one more is needed at least; take fewer factors", ErrFewPeriods, k, r)
	}
	mean := make([]float64, k)
	for t := range mean {
		for _, u := range controls {
			mean[t] += p.y[u][t]
		}
		mean[t] /= float64(n0)
	}
	e := mat.NewDense(n0, k, nil)
	for i, u := range controls {
		row := e.RawRowView(i)
		for t := range row {
			row[t] = p.y[u][t] - mean[t]
		}
		centre(row)
	}
	var factors mat.Dense
	if r > 0 {
		var svd mat.SVD
		if !svd.Factorize(e, mat.SVDThin) {
			return nil, fmt.Errorf("%w: principal components of the controls", estimate.ErrNotConverged)
		}
		values := svd.Values(nil)
		if !(values[r-1] > 1e-10*values[0]) {
			return nil, fmt.Errorf("%w: the controls have fewer than %d factors", estimate.ErrCollinear, r)
		}
		svd.VTo(&factors)
	}
	out := make([][]float64, len(p.y))
	for u, y := range p.y {
		if p.start[u] == k {
			continue
		}
		d := num.LsqData{K: r + 1}
		design := func(t int) []float64 {
			row := make([]float64, r+1)
			row[0] = 1
			for j := range r {
				row[j+1] = factors.At(t, j) * math.Sqrt(float64(k))
			}
			return row
		}
		for t := range p.start[u] {
			if t != leave {
				d.X, d.Y = append(d.X, design(t)...), append(d.Y, y[t]-mean[t])
				d.N++
			}
		}
		if d.N < r+1 {
			return nil, fmt.Errorf("%w: a unit has %d before treatment for its own level and %d factors", ErrFewPeriods, d.N, r)
		}
		fit, err := num.LeastSquares(d)
		var column *num.SingularColumn
		switch {
		case errors.As(err, &column):
			return nil, fmt.Errorf("%w: factors do not vary in the periods before treatment", estimate.ErrCollinear)
		case err != nil:
			return nil, err
		}
		out[u] = make([]float64, k)
		for t := range k {
			out[u][t] = mean[t] + num.Dot(design(t), fit.Coef)
		}
	}
	return out, nil
}

// chooseFactors leaves out one period before treatment of the treated units after the other and takes the number of factors with the least squared error there.
func (p *factorPanel) chooseFactors() (int, []float64, error) {
	k := len(p.periods)
	fewest, controls := k, 0
	for _, s := range p.start {
		if s == k {
			controls++
		} else {
			fewest = min(fewest, s)
		}
	}
	most := min(mostFactors, fewest-2, controls-1, k-1)
	if most < 0 {
		return 0, nil, fmt.Errorf("%w: a treated unit has %d before treatment; 2 are needed to choose the number of factors", ErrFewPeriods, fewest)
	}
	var errs []float64
	best := 0
	for r := range most + 1 {
		sum, n := 0.0, 0.0
		for leave := range k {
			some := false
			for _, s := range p.start {
				some = some || s < k && leave < s
			}
			if !some {
				continue
			}
			fitted, err := p.interactive(r, leave)
			if errors.Is(err, estimate.ErrCollinear) && r > 0 {
				return best, errs, nil // there are no more
			}
			if err != nil {
				return 0, nil, err
			}
			for u, s := range p.start {
				if s < k && leave < s {
					v := p.y[u][leave] - fitted[u][leave]
					sum += float64(v * v)
					n++
				}
			}
		}
		errs = append(errs, sum/n)
		if errs[r] < errs[best] {
			best = r
		}
	}
	return best, errs, nil
}
