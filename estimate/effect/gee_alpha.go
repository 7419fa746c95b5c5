package effect

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// geeWork is the iteration of [GEE].
type geeWork struct {
	g          GEE
	l          *linear
	s          *sample
	design     []float64
	rows       [][]int
	names      []string
	alpha, phi float64
	steps      int
	move       float64
}

// iterate alternates between the moments and a step of the coefficients until no
// linear predictor moves by more than 1e-11 of their spread, and fits the last step
// with its errors.
func (w *geeWork) iterate(ctx context.Context, coef []float64) (*solution, error) {
	l, n, k := w.l, w.l.n, w.l.k
	root, r := make([]float64, n), make([]float64, n)
	eta := make([]float64, n)
	for w.steps = 1; ; w.steps++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i := range n {
			eta[i] = 0
			for j, x := range w.design[i*k : (i+1)*k] {
				eta[i] += float64(x * coef[j])
			}
			root[i], r[i] = w.point(w.s.y[i], eta[i])
		}
		if err := w.moments(r); err != nil {
			return nil, err
		}
		w.whiten(root, r, eta)
		if w.move > 0 && w.move <= 1e-11 {
			return l.solve(w.names)
		}
		fit, err := num.LeastSquares(num.LsqData{N: n, K: k, X: l.x, Y: l.y, DropCollinear: true, Workers: l.workers})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", estimate.ErrNotConverged, err)
		}
		next := make([]float64, k)
		for i, j := range fit.Kept {
			next[j] = fit.Coef[i]
		}
		w.move = 1e-300
		spread := 1.0
		if w.g.Family == num.Gaussian { // the linear predictor has the outcome's unit
			spread = math.Sqrt(w.phi)
		}
		for i := range n {
			var moved float64
			for j, x := range w.design[i*k : (i+1)*k] {
				moved += float64(x * (next[j] - coef[j]))
			}
			w.move, spread = math.Max(w.move, math.Abs(moved)), math.Max(spread, math.Abs(eta[i]))
		}
		w.move /= spread
		coef = next
		if w.steps >= 200 || math.IsNaN(w.move) {
			return nil, fmt.Errorf("%w: estimating equations still move by %.2g after %d steps", estimate.ErrNotConverged, w.move, w.steps)
		}
	}
}

// point returns μ'/√V and (y-μ)/√V at a linear predictor.
func (w *geeWork) point(y, eta float64) (root, r float64) {
	switch w.g.Family {
	case num.Binomial:
		mu := num.LogitLink.Mean(eta)
		root = math.Sqrt(mu * num.LogitLink.Mean(-eta))
		return root, (y - mu) / root
	case num.Poisson:
		root = math.Exp(eta / 2)
		return root, (y - root*root) / root
	}
	return 1, y - eta
}

// moments sets φ and α.
func (w *geeWork) moments(r []float64) error {
	w.phi = num.Dot(r, r) / float64(len(r))
	largest := 0
	var lag, pairs []float64 // Σ r_ir_j and number of pairs by |i-j|
	for _, rs := range w.rows {
		largest = max(largest, len(rs))
		for a := range rs {
			for b := range a {
				for len(lag) < a-b {
					lag, pairs = append(lag, 0), append(pairs, 0)
				}
				lag[a-b-1] += float64(r[rs[a]] * r[rs[b]])
				pairs[a-b-1]++
			}
		}
	}
	low := -1.0
	switch w.g.Correlation {
	case "independence":
		return nil
	case "exchangeable":
		w.alpha = num.Sum(lag) / (w.phi * num.Sum(pairs))
		low = -1 / float64(largest-1)
	case "ar1":
		// Σ_k k·α^(k-1)(S_k - n_k·α^k) with S_k = Σz: the derivative of a sum of squares,
		// whose sign changes once in the search from the lag-one estimate outwards.
		at := func(a float64) (f float64) {
			power := 1.0 // α^(k-1)
			for i := range lag {
				f += float64(i+1) * power * (lag[i]/w.phi - pairs[i]*power*a)
				power *= a
			}
			return f
		}
		lo, hi := -1+1e-9, 1-1e-9
		a := math.Max(lo, math.Min(hi, lag[0]/(w.phi*pairs[0])))
		if at(a) > 0 {
			lo = a
			for step := 1e-3; at(math.Min(hi, lo+step)) > 0 && lo+step < hi; step *= 2 {
				lo += step
			}
			hi = math.Min(hi, 1-1e-9)
		} else {
			hi = a
			for step := 1e-3; at(math.Max(lo, hi-step)) < 0 && hi-step > lo; step *= 2 {
				hi -= step
			}
		}
		for range 200 {
			mid := lo + (hi-lo)/2
			if mid == lo || mid == hi {
				break
			}
			if at(mid) > 0 {
				lo = mid
			} else {
				hi = mid
			}
		}
		w.alpha = lo
	}
	if !(w.alpha > low+1e-8 && w.alpha < 1-1e-8) {
		return fmt.Errorf("%w: the working correlation %.4g is none that the clusters can have; use independence", estimate.ErrNotIdentified, w.alpha)
	}
	return nil
}

// whiten stores R^(-½)·A^(-½)·D and R^(-½)·A^(-½)(Dβ + y - μ) as x and y of the problem.
func (w *geeWork) whiten(root, r, eta []float64) {
	l, k := w.l, w.l.k
	l.y = make([]float64, l.n)
	for i := range l.n {
		for j := range k {
			l.x[i*k+j] = root[i] * w.design[i*k+j]
		}
		l.y[i] = root[i]*eta[i] + r[i]
	}
	num.ForEach(len(w.rows), l.workers, func(g int) {
		rs := w.rows[g]
		for j := range k + 1 {
			at := func(i int) *float64 {
				if j == k {
					return &l.y[i]
				}
				return &l.x[i*k+j]
			}
			switch w.g.Correlation {
			case "exchangeable":
				n := float64(len(rs))
				var mean float64
				for _, i := range rs {
					mean += *at(i) / n
				}
				mean *= 1 - math.Sqrt((1-w.alpha)/(1+float64((n-1)*w.alpha)))
				scale := 1 / math.Sqrt(1-w.alpha)
				for _, i := range rs {
					p := at(i)
					*p = scale * (*p - mean)
				}
			case "ar1":
				scale := 1 / math.Sqrt(1-w.alpha*w.alpha)
				for a := len(rs) - 1; a > 0; a-- {
					p := at(rs[a])
					*p = scale * (*p - float64(w.alpha**at(rs[a-1])))
				}
			}
		}
	})
}
