package panel

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// smooth gives fixed-length intervals for bounded changes of slope.
//
// Periods are -K … -1, 0 (reference), 1 … L. A weight vector v has a bounded bias only if a straight line has none: Σ s·v[s] = 0. Then the bias
// is Σ d[t]·κ[t] over the changes of slope d, with κ[t] = Σ_{s>t} v[s](s-t) for t ≥ 0, which the target fixes, and κ[t] = Σ_{s<t} v[s](t-s) for
// t < 0, of which v is the second difference. So the largest bias is M(Σ|κ|), the variance is quadratic in the free κ, and the shortest interval
// lies on the path of lasso solutions, along which its length has one minimum.
type smooth struct{ *trends }

// lasso is ½κ'Qκ + q'κ + γ|κ|, up to a constant half the variance plus γ times the free bias.
type lasso struct {
	q     *mat.SymDense
	c     []float64
	kappa []float64
}

// affine returns v for the free κ (K-1 numbers, at -K+1 … -1) and the bias of the target, per M.
func (s *smooth) affine(kappa []float64) (v []float64, bias float64) {
	v = make([]float64, s.pre+s.post)
	at := func(t int) float64 { // κ at t, -K ≤ t ≤ 0
		switch {
		case t <= -s.pre:
			return 0
		case t == 0:
			return s.lever()
		}
		return kappa[t+s.pre-1]
	}
	for t := -s.pre; t < 0; t++ {
		v[t+s.pre] = at(t+1) - 2*at(t) + at(t-1)
	}
	copy(v[s.pre:], s.target)
	for t := range s.post {
		sum := 0.0
		for p := t + 1; p <= s.post; p++ {
			sum += float64(s.target[p-1] * float64(p-t))
		}
		bias += math.Abs(sum)
	}
	for _, k := range kappa {
		bias += math.Abs(k)
	}
	return v, bias
}

// lever is κ at the reference period.
func (s *smooth) lever() float64 {
	sum := 0.0
	for p, w := range s.target {
		sum += float64(w * float64(p+1))
	}
	return sum
}

func (s *smooth) lasso() (*lasso, error) {
	k := s.pre - 1
	l := &lasso{c: make([]float64, k), kappa: make([]float64, k)}
	if k == 0 {
		return l, nil
	}
	base, _ := s.affine(make([]float64, k))
	columns := make([][]float64, k)
	for j := range k {
		unit := make([]float64, k)
		unit[j] = 1
		columns[j], _ = s.affine(unit)
		for i := range columns[j] {
			columns[j][i] -= base[i]
		}
	}
	product := func(a, b []float64) float64 {
		sum := 0.0
		for i, x := range a {
			for j, y := range b {
				sum += float64(x * y * s.cov.At(i, j))
			}
		}
		return sum
	}
	l.q = mat.NewSymDense(k, nil)
	for i := range k {
		l.c[i] = product(columns[i], base)
		for j := i; j < k; j++ {
			l.q.SetSym(i, j, product(columns[i], columns[j]))
		}
	}
	return l, nil
}

// solve finds κ for a penalty, from the κ of the last: coordinate descent until the signs stand, then exactly on them.
func (l *lasso) solve(gamma float64) ([]float64, error) {
	k := len(l.c)
	for range 20000 {
		moved := 0.0
		for j := range k {
			r := l.c[j]
			for i, v := range l.kappa {
				if i != j {
					r += float64(l.q.At(i, j) * v)
				}
			}
			v := 0.0
			if a := math.Abs(r) - gamma; a > 0 {
				v = -math.Copysign(a, r) / l.q.At(j, j)
			}
			moved = max(moved, math.Abs(v-l.kappa[j])*math.Sqrt(l.q.At(j, j)))
			l.kappa[j] = v
		}
		if v, ok := l.exact(gamma); ok {
			copy(l.kappa, v)
			return l.kappa, nil
		}
		if moved == 0 {
			return l.kappa, nil
		}
	}
	return nil, fmt.Errorf("%w: weights of the periods before treatment", estimate.ErrNotConverged)
}

// exact solves on the present signs; ok if the solution keeps them and the zeros are optimal.
func (l *lasso) exact(gamma float64) ([]float64, bool) {
	k := len(l.c)
	var set []int
	for j, v := range l.kappa {
		if v != 0 || gamma == 0 {
			set = append(set, j)
		}
	}
	out := make([]float64, k)
	if n := len(set); n > 0 {
		q, b := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
		for a, i := range set {
			r := -l.c[i]
			if gamma > 0 {
				r -= math.Copysign(gamma, l.kappa[i])
			}
			b.SetVec(a, r)
			for c := a; c < n; c++ {
				q.SetSym(a, c, l.q.At(i, set[c]))
			}
		}
		var chol mat.Cholesky
		var x mat.VecDense
		if !chol.Factorize(q) || chol.SolveVecTo(&x, b) != nil {
			return nil, false
		}
		for a, i := range set {
			if gamma > 0 && x.AtVec(a)*l.kappa[i] < 0 {
				return nil, false
			}
			out[i] = x.AtVec(a)
		}
	}
	for j := range k {
		r := l.c[j]
		for i, v := range out {
			r += float64(l.q.At(i, j) * v)
		}
		if out[j] == 0 && math.Abs(r) > gamma*(1+1e-12)+1e-300 {
			return nil, false
		}
	}
	return out, true
}

func (s *smooth) interval(_ context.Context, m float64) (estimate.Interval, float64, float64, error) {
	l, err := s.lasso()
	if err != nil {
		return estimate.Interval{}, 0, 0, err
	}
	var best struct {
		half, value, se float64
	}
	best.half = math.Inf(1)
	length := func(gamma float64) (float64, error) {
		kappa, err := l.solve(gamma)
		if err != nil {
			return 0, err
		}
		v, bias := s.affine(kappa)
		sd := s.sd(v)
		half := sd * foldedQuantile(1-s.alpha, m*bias/sd)
		if half < best.half {
			best.half, best.value, best.se = half, num.Dot(v, s.beta), sd
		}
		return half, nil
	}
	top := 0.0
	for _, c := range l.c {
		top = max(top, math.Abs(c))
	}
	if m == 0 || top == 0 {
		_, err = length(0)
	} else {
		err = golden(func(u float64) (float64, error) { return length(top * u * u) })
	}
	return estimate.Interval{Lo: best.value - best.half, Hi: best.value + best.half, Method: "fixed-length"}, best.value, best.se, err
}

func (s *smooth) has(ctx context.Context, m float64) (bool, error) {
	ci, _, _, err := s.interval(ctx, m)
	return ci.Lo <= 0 && ci.Hi >= 0, err
}

// golden looks for the one minimum of f on [0, 1], ends included.
func golden(f func(u float64) (float64, error)) error {
	ratio := (math.Sqrt(5) - 1) / 2
	for _, end := range []float64{1, 0} {
		if _, err := f(end); err != nil {
			return err
		}
	}
	low, high := 0.0, 1.0
	a, b := high-ratio*(high-low), low+ratio*(high-low)
	fa, err := f(a)
	if err != nil {
		return err
	}
	fb, err := f(b)
	for err == nil && high-low > 1e-9 {
		if fa <= fb {
			high, b, fb = b, a, fa
			a = high - ratio*(high-low)
			fa, err = f(a)
		} else {
			low, a, fa = a, b, fb
			b = low + ratio*(high-low)
			fb, err = f(b)
		}
	}
	return err
}

// foldedQuantile is the p quantile of |N(t, 1)|.
func foldedQuantile(p, t float64) float64 {
	t = math.Abs(t)
	outside := func(c float64) float64 { return (math.Erfc((c-t)/math.Sqrt2) + math.Erfc((c+t)/math.Sqrt2)) / 2 }
	low, high := 0.0, t+num.NormalQuantile((1+p)/2)
	for range 200 {
		c := (low + high) / 2
		if c == low || c == high {
			break
		}
		if outside(c) > 1-p {
			low = c
		} else {
			high = c
		}
	}
	return (low + high) / 2
}
