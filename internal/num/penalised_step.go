package num

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// penalised is a logit model with the weights of its penalty. Coefficients γ are those
// of the columns (x-centre)·scale, so that sⱼβⱼ = sizeⱼγⱼ.
type penalised struct {
	m     *logitModel
	alpha float64
	size  []float64 // SD of the scaled columns, divisor N; 0 of the constant one
	out   []bool    // columns without spread in these rows: their slope is 0
	// The sums at the point where the last search ended, which is where the next begins.
	ended []float64
	sums  *logitEval
}

func newPenalised(m *logitModel, alpha float64) *penalised {
	k := m.K
	p := &penalised{m: m, alpha: alpha, size: make([]float64, k), out: make([]bool, k)}
	s := SumChunks(m.N, 2*k, m.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			for j, x := range m.X[i*k : (i+1)*k] {
				z := (x - m.centre[j]) * m.scale[j]
				acc[j] += z
				acc[k+j] += float64(z * z)
			}
		}
	})
	n := float64(m.N)
	for j := range k {
		if j == m.constant {
			continue
		}
		mean := s[j] / n
		v := s[k+j]/n - float64(mean*mean)
		p.out[j] = !(v > 1e-24*(1+float64(mean*mean)))
		p.size[j] = math.Sqrt(math.Max(v, 0))
	}
	return p
}

// path is 100 λ, equally far apart in logs, from the smallest at which all slopes of a
// lasso are 0 (of a ridge: at which its gradient is a thousandth of the penalty's).
func (p *penalised) path(null *logitEval) []float64 {
	const length = 100
	top, ratio := 0.0, 1e-4
	if p.m.N < p.m.K {
		ratio = 1e-2
	}
	for j, g := range null.grad {
		if j != p.m.constant && !p.out[j] {
			top = math.Max(top, math.Abs(g)/p.size[j])
		}
	}
	top /= float64(p.m.N) * math.Max(p.alpha, 1e-3)
	out := make([]float64, length)
	for i := range out {
		out[i] = top * math.Pow(ratio, float64(i)/(length-1))
	}
	return out
}

func (p *penalised) objective(loglik float64, gamma []float64, lambda float64) float64 {
	l1, l2 := 0.0, 0.0
	for j, g := range gamma {
		b := p.size[j] * g
		l1 += math.Abs(b)
		l2 += float64(b * b)
	}
	return -loglik/float64(p.m.N) + lambda*(float64((1-p.alpha)/2*l2)+float64(p.alpha*l1))
}

// gap is the largest breach of the conditions of a minimum, by column, over its size:
// gradient = λ(1-α)b + λα·sign b, or within λα where b is 0.
func (p *penalised) gap(grad, gamma []float64, lambda float64) float64 {
	worst := 0.0
	for j, g := range grad {
		g /= float64(p.m.N)
		switch {
		case p.out[j]:
			continue
		case j == p.m.constant:
		case gamma[j] == 0:
			g = math.Max(0, math.Abs(g)/p.size[j]-lambda*p.alpha)
		default:
			g = g/p.size[j] - float64(lambda*(1-p.alpha)*p.size[j]*gamma[j]) - math.Copysign(lambda*p.alpha, gamma[j])
		}
		if math.IsNaN(g) {
			return math.Inf(1)
		}
		worst = math.Max(worst, math.Abs(g))
	}
	return worst
}

// solve moves gamma to the minimum at lambda.
func (p *penalised) solve(ctx context.Context, gamma []float64, lambda, tol float64) (*logitEval, float64, error) {
	const most, acceptable = 100, 1e-7
	ev := p.sums
	if !slices.Equal(p.ended, gamma) {
		ev = p.m.eval(gamma)
	}
	gap := p.gap(ev.grad, gamma, lambda)
	for range most {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if gap <= tol {
			p.ended, p.sums = append(p.ended[:0], gamma...), ev
			return ev, gap, nil
		}
		target := p.quadratic(ev, gamma, lambda)
		at := p.objective(ev.loglik, gamma, lambda)
		moved := false
		for half := 1.0; half > 1e-9; half /= 2 {
			next := make([]float64, len(gamma))
			for j := range next {
				next[j] = gamma[j] + float64(half*(target[j]-gamma[j]))
				if half == 1 {
					next[j] = target[j] // zeros stay exactly 0
				}
			}
			e := p.m.eval(next)
			g := p.gap(e.grad, next, lambda)
			value := p.objective(e.loglik, next, lambda)
			// Near the end values no longer tell steps apart, and the conditions do.
			if value < at || g < gap && value <= at+1e-13*math.Abs(at) {
				copy(gamma, next)
				ev, gap, moved = e, g, true
				break
			}
		}
		if !moved {
			break
		}
	}
	if gap <= acceptable {
		p.ended, p.sums = append(p.ended[:0], gamma...), ev
		return ev, gap, nil
	}
	return nil, 0, fmt.Errorf("%w: the conditions of a minimum are broken by %.3g", ErrNoConvergence, gap)
}

// quadratic minimises -g'(b-γ) + ½(b-γ)'H(b-γ) + penalty(b), g and H per row.
func (p *penalised) quadratic(ev *logitEval, gamma []float64, lambda float64) []float64 {
	k, n := p.m.K, float64(p.m.N)
	h := make([]float64, k*k)
	for j := range k {
		for l := 0; l <= j; l++ {
			v := ev.info[j*(j+1)/2+l] / n
			h[j*k+l], h[l*k+j] = v, v
		}
	}
	// rhs = g + Hγ, so that the conditions read Hb + penalty's = rhs.
	rhs := make([]float64, k)
	for j := range k {
		rhs[j] = ev.grad[j]/n + Dot(h[j*k:(j+1)*k], gamma)
	}
	if p.alpha == 0 {
		b := append([]float64(nil), gamma...)
		if p.exact(h, rhs, lambda, b, func(int) bool { return true }) {
			return b
		}
	}
	b := append([]float64(nil), gamma...)
	hb := make([]float64, k)
	for j := range k {
		hb[j] = Dot(h[j*k:(j+1)*k], b)
	}
	for sweep := range 100000 {
		move := 0.0
		for j := range k {
			if p.out[j] {
				continue
			}
			free := rhs[j] - hb[j] + float64(h[j*k+j]*b[j])
			l1, l2 := lambda*p.alpha*p.size[j], lambda*(1-p.alpha)*p.size[j]*p.size[j]
			v := 0.0
			if math.Abs(free) > l1 {
				v = (free - math.Copysign(l1, free)) / (h[j*k+j] + l2)
			}
			step := v - b[j]
			if step == 0 {
				continue
			}
			b[j] = v
			for l, x := range h[j*k : (j+1)*k] {
				hb[l] += float64(step * x)
			}
			move = math.Max(move, h[j*k+j]*step*step)
		}
		// The columns that stay in are known long before their slopes have converged.
		if move < 1e-12 || sweep%50 == 49 {
			c := append([]float64(nil), b...)
			if p.exact(h, rhs, lambda, c, func(j int) bool { return b[j] != 0 || j == p.m.constant }) && p.solves(h, rhs, lambda, b, c) {
				return c
			}
		}
		if move < 1e-26 {
			break
		}
	}
	return b
}

// exact solves for the columns in use with the signs that b has, into b.
func (p *penalised) exact(h, rhs []float64, lambda float64, b []float64, use func(int) bool) bool {
	k := p.m.K
	var at []int
	for j := range k {
		if !p.out[j] && use(j) {
			at = append(at, j)
		}
	}
	n := len(at)
	ev := logitEval{info: make([]float64, n*(n+1)/2), grad: make([]float64, n)}
	for r, j := range at {
		for c := 0; c <= r; c++ {
			ev.info[r*(r+1)/2+c] = h[j*k+at[c]]
		}
		ev.grad[r] = rhs[j]
		if j != p.m.constant {
			ev.info[r*(r+1)/2+r] += lambda * (1 - p.alpha) * p.size[j] * p.size[j]
			ev.grad[r] -= math.Copysign(lambda*p.alpha*p.size[j], b[j])
		}
	}
	if ev.factorise(n) >= 0 {
		return false
	}
	for r, v := range ev.solve() {
		b[at[r]] = v
	}
	return true
}

// solves reports whether c has the signs of b and the columns left out stay out.
func (p *penalised) solves(h, rhs []float64, lambda float64, b, c []float64) bool {
	k := p.m.K
	for j := range k {
		switch {
		case p.out[j] || j == p.m.constant:
		case b[j] == 0:
			if math.Abs(rhs[j]-Dot(h[j*k:(j+1)*k], c)) > lambda*p.alpha*p.size[j]*(1+1e-9) {
				return false
			}
		case math.Signbit(b[j]) != math.Signbit(c[j]) || c[j] == 0:
			return false
		}
	}
	return true
}
