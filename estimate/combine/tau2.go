package combine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"utfall/estimate"
	"utfall/internal/num"
)

// model holds the effects in an order that their values decide.
type model struct {
	k, p  int
	y, v  []float64
	x     []float64 // k×p by rows, the intercept first
	row   []int     // of each, its row in the caller's order
	unit  []string  // in the caller's order
	names []string
	logXX float64 // log|X'X|
}

func newModel(f *Effects) (*model, error) {
	bad := func(format string, a ...any) (*model, error) {
		return nil, fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	m := &model{k: len(f.Y), p: 1 + len(f.XNames), unit: f.Unit, names: append([]string{"(intercept)"}, f.XNames...)}
	switch {
	case len(f.Unit) != m.k || len(f.Variance) != m.k:
		return bad("%d units and %d variances for %d effects", len(f.Unit), len(f.Variance), m.k)
	case !(f.Level > 0 && f.Level < 1):
		return bad("confidence level %v is not between 0 and 1", f.Level)
	case m.k <= m.p:
		return nil, fmt.Errorf("%w: %d effects for %d coefficients", estimate.ErrTooFew, m.k, m.p)
	case (f.X == nil) != (m.p == 1):
		return bad("moderators without names, or names without moderators")
	}
	if f.X != nil {
		if r, c := f.X.Dims(); r != m.k || c != m.p-1 {
			return bad("moderators are %d×%d, %d×%d expected", r, c, m.k, m.p-1)
		}
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	for i := range f.Y {
		if !finite(f.Y[i]) {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the effect is not a finite number", estimate.ErrInvalidFrame)}
		}
		if !finite(f.Variance[i]) || f.Variance[i] <= 0 {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the variance is not a finite number above 0", estimate.ErrInvalidFrame)}
		}
		m.row = append(m.row, i)
	}
	slices.SortStableFunc(m.row, func(a, b int) int {
		c := cmp.Or(cmp.Compare(f.Y[a], f.Y[b]), cmp.Compare(f.Variance[a], f.Variance[b]))
		for j := 0; c == 0 && j < m.p-1; j++ {
			c = cmp.Compare(f.X.At(a, j), f.X.At(b, j))
		}
		return c
	})
	for _, i := range m.row {
		m.y, m.v, m.x = append(m.y, f.Y[i]), append(m.v, f.Variance[i]), append(m.x, 1)
		for j := range m.p - 1 {
			if !finite(f.X.At(i, j)) {
				return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: moderator %q is not a finite number", estimate.ErrInvalidFrame, f.XNames[j])}
			}
			m.x = append(m.x, f.X.At(i, j))
		}
	}
	plain, err := m.solve(nil)
	if err != nil {
		return nil, err
	}
	m.logXX = logDet(plain.R, m.p)
	return m, nil
}

func (m *model) free() float64 { return float64(m.k - m.p) }

func (m *model) byUnit(v func(i int) float64) map[string]float64 {
	out := make(map[string]float64, m.k)
	for i := range m.y {
		out[m.unit[m.row[i]]] = v(i)
	}
	return out
}

func (m *model) solve(w []float64) (num.LsqFit, error) {
	fit, err := num.LeastSquares(num.LsqData{N: m.k, K: m.p, X: m.x, Y: m.y, Weight: w, Workers: 1})
	var singular *num.SingularColumn
	switch {
	case errors.As(err, &singular):
		return fit, fmt.Errorf("%w: %q depends linearly on the columns before it", estimate.ErrCollinear, m.names[singular.Column])
	case errors.Is(err, num.ErrNoConvergence):
		return fit, fmt.Errorf("%w: %w", estimate.ErrNotConverged, err)
	}
	return fit, err
}

func logDet(r []float64, q int) float64 {
	s := 0.0
	for i := range q {
		s += 2 * math.Log(r[i*q+i])
	}
	return s
}

// evaluation is the weighted regression at one τ².
type evaluation struct {
	fit  num.LsqFit
	q    float64 // y'Py
	yPPy float64
	trP  float64
	trW  float64
	logV float64 // Σ log(v+τ²)
}

func (m *model) at(tau2 float64) (*evaluation, error) {
	w := make([]float64, m.k)
	e := &evaluation{}
	for i, v := range m.v {
		w[i] = 1 / (v + tau2)
		e.trW += w[i]
		e.logV += math.Log(v + tau2)
	}
	var err error
	if e.fit, err = m.solve(w); err != nil {
		return nil, err
	}
	h := e.fit.Leverage(num.LsqData{N: m.k, K: m.p, X: m.x, Y: m.y, Weight: w, Workers: 1})
	for i, r := range e.fit.Residual {
		wr := w[i] * r
		e.q += float64(wr * r)
		e.yPPy += float64(wr * wr)
		e.trP += float64(w[i] * (1 - h[i]))
	}
	return e, nil
}

// logLik is the log likelihood, or the restricted one with ½log|X'X| as metafor has it.
func (m *model) logLik(e *evaluation, restricted bool) float64 {
	l := -e.logV/2 - e.q/2
	if restricted {
		return l - logDet(e.fit.R, m.p)/2 + m.logXX/2 - m.free()/2*math.Log(2*math.Pi)
	}
	return l - float64(m.k)/2*math.Log(2*math.Pi)
}

// tau2 estimates the variance between places.
func (m *model) tau2(ctx context.Context, method string, zero *evaluation) (tau2 float64, steps int, err error) {
	switch method {
	case "fixed":
		return 0, 0, nil
	case "dl":
		return math.Max(0, (zero.q-m.free())/zero.trP), 0, nil
	case "pm", "eb":
		if zero.q <= m.free() {
			return 0, 0, nil
		}
		return m.root(func(e *evaluation) float64 { return e.q - m.free() }, 0, 0)
	case "reml", "ml":
		return m.likeliest(ctx, method == "reml", zero)
	}
	return 0, 0, fmt.Errorf("%w: method %q; known are reml, dl, pm, eb, ml and fixed", ErrOption, method)
}

// likeliest finds the highest point of the likelihood on a grid, which may have several
// peaks, and the root of its slope beside that.
func (m *model) likeliest(ctx context.Context, restricted bool, zero *evaluation) (float64, int, error) {
	slope := func(e *evaluation) float64 {
		if restricted {
			return e.yPPy - e.trP
		}
		return e.yPPy - e.trW
	}
	spread := m.y[m.k-1] - m.y[0] // ascending
	top := float64(spread*spread) + slices.Max(m.v)
	least := slices.Min(m.v) * 1e-6
	grid := []float64{0}
	for t := least; t < top; t *= 1.5 {
		grid = append(grid, t)
	}
	grid = append(grid, top)
	best, high := 0, math.Inf(-1)
	for i, t := range grid {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		e := zero
		var err error
		if i > 0 {
			if e, err = m.at(t); err != nil {
				return 0, 0, err
			}
		}
		if l := m.logLik(e, restricted); l > high {
			best, high = i, l
		}
	}
	if best == 0 && slope(zero) <= 0 {
		return 0, len(grid), nil
	}
	if best == len(grid)-1 {
		return 0, 0, fmt.Errorf("%w: tau2 grows beyond the spread of the effects", estimate.ErrNotConverged)
	}
	tau2, steps, err := m.root(slope, grid[max(best-1, 0)], grid[best+1])
	return tau2, steps + len(grid), err
}

// root finds where a function that falls through 0 does so, to the last bits: by
// bisection, so that there is no start to get wrong. hi = 0 means that it is found first.
func (m *model) root(g func(*evaluation) float64, lo, hi float64) (float64, int, error) {
	steps := 0
	for grow := hi == 0; grow; {
		if hi == 0 {
			hi = slices.Max(m.v)
		}
		e, err := m.at(hi)
		if err != nil {
			return 0, 0, err
		}
		if grow = g(e) > 0; grow {
			lo, hi = hi, 2*hi
		}
		if steps++; hi > math.MaxFloat64/4 {
			return 0, 0, fmt.Errorf("%w: tau2 without bound", estimate.ErrNotConverged)
		}
	}
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi || hi-lo <= 4e-16*hi {
			break
		}
		e, err := m.at(mid)
		if err != nil {
			return 0, 0, err
		}
		if steps++; g(e) > 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + (hi-lo)/2, steps, nil
}

// tau2Error is the large-sample standard error of τ² by its method; METHODS.md has the equations.
func (m *model) tau2Error(method string, zero, at *evaluation, tau2 float64) float64 {
	switch method {
	case "reml":
		return math.Sqrt(2 / m.trPP(at, tau2))
	case "ml":
		squares := 0.0
		for _, v := range m.v {
			squares += 1 / float64((v+tau2)*(v+tau2))
		}
		return math.Sqrt(2 / squares)
	case "dl":
		return math.Sqrt(2*m.free()+float64(4*tau2*zero.trP)+float64(2*tau2*tau2*m.trPP(zero, 0))) / zero.trP
	}
	return math.Sqrt(2/m.free()) * float64(m.k) / at.trW // pm and eb
}

// trPP is tr PP, P = W − WX(X'WX)⁻¹X'W, W = 1/(v+τ²).
func (m *model) trPP(e *evaluation, tau2 float64) float64 {
	sum, half := 0.0, make([]float64, m.p)
	for i := range m.y {
		xi, wi := m.x[i*m.p:(i+1)*m.p], 1/(m.v[i]+tau2)
		for a := range half {
			half[a] = 0
			for b, x := range xi {
				half[a] += float64(e.fit.Inverse.At(a, b) * x)
			}
		}
		for j := range i + 1 {
			wj, h := 1/(m.v[j]+tau2), 0.0
			for a, x := range m.x[j*m.p : (j+1)*m.p] {
				h += float64(half[a] * x)
			}
			if p := wi * wj * h; i == j {
				sum += float64((wi - p) * (wi - p))
			} else {
				sum += float64(2 * p * p)
			}
		}
	}
	return sum
}

// profile is the Q-profile interval of τ²; NaN twice if it is empty.
func (m *model) profile(zero *evaluation, alpha float64) (lo, hi float64, err error) {
	tail := func(e *evaluation) float64 { return num.ChiSquareTail(e.q, m.free()) }
	if tail(zero) > 1-alpha/2 {
		return math.NaN(), math.NaN(), nil
	}
	if tail(zero) < alpha/2 {
		if lo, _, err = m.root(func(e *evaluation) float64 { return alpha/2 - tail(e) }, 0, 0); err != nil {
			return 0, 0, err
		}
	}
	hi, _, err = m.root(func(e *evaluation) float64 { return 1 - alpha/2 - tail(e) }, 0, 0)
	return lo, hi, err
}

// fTail is P(F > f) on a and b degrees of freedom.
func fTail(f, a, b float64) float64 { return mathext.RegIncBeta(b/2, a/2, b/(b+a*f)) }
