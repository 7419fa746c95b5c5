package num

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// standard is a problem in columns of mean 0 and SD 1.
type standard struct {
	n, yy      float64
	mean, sd   []float64
	meanY      float64
	c          []float64 // k×k correlations
	cy         []float64 // covariances with y
	eig        *mat.EigenSym
	projection []float64
}

func (g *gram) standardise(m moments) *standard {
	k, n := g.d.K, m[0]
	p := &standard{n: n, mean: make([]float64, k), sd: make([]float64, k), c: make([]float64, k*k), cy: make([]float64, k), meanY: m[1] / n}
	p.yy = math.Max(0, m[2]/n-float64(p.meanY*p.meanY))
	if p.yy <= 1e-24*float64(p.meanY*p.meanY) {
		p.yy = 0
	}
	mean, zy, zz := m[3:3+k], m[3+k:3+2*k], m[3+2*k:]
	for j := range k {
		p.mean[j] = mean[j] / n
		v := zz[j*k+j]/n - float64(p.mean[j]*p.mean[j])
		if v > 1e-24*(1+float64(p.mean[j]*p.mean[j])) && j != g.constant {
			p.sd[j] = math.Sqrt(v)
		}
	}
	for j := range k {
		if p.sd[j] == 0 {
			continue
		}
		p.cy[j] = (zy[j]/n - float64(p.mean[j]*p.meanY)) / p.sd[j]
		for l := 0; l <= j; l++ {
			if p.sd[l] > 0 {
				v := (zz[j*k+l]/n - float64(p.mean[j]*p.mean[l])) / (p.sd[j] * p.sd[l])
				p.c[j*k+l], p.c[l*k+j] = v, v
			}
		}
		p.c[j*k+j] = 1
	}
	return p
}

// path is as that of penalised.
func (p *standard) path(alpha float64, constant int) []float64 {
	const length = 100
	top, ratio := 0.0, 1e-4
	if p.n < float64(len(p.sd)) {
		ratio = 1e-2
	}
	for j, v := range p.cy {
		if j != constant {
			top = math.Max(top, math.Abs(v))
		}
	}
	if top == 0 || p.yy == 0 {
		return []float64{0}
	}
	top /= math.Max(alpha, 1e-3)
	out := make([]float64, length)
	for i := range out {
		out[i] = top * math.Pow(ratio, float64(i)/(length-1))
	}
	return out
}

// solve moves b, the slopes in SDs of their columns, to the minimum at λ.
func (p *standard) solve(ctx context.Context, b []float64, alpha, lambda float64, constant int) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.yy == 0 {
		clear(b)
		return 0, nil
	}
	var use []int
	for j, s := range p.sd {
		if s > 0 && j != constant {
			use = append(use, j)
		} else {
			b[j] = 0
		}
	}
	l1, l2 := lambda*alpha, lambda*(1-alpha)/math.Sqrt(p.yy)
	if alpha == 0 {
		p.ridge(b, l2, use)
	} else {
		p.descend(b, l1, l2, use)
	}
	gap := p.gap(b, l1, l2, use) / math.Sqrt(p.yy)
	if !(gap <= 1e-7) {
		return 0, fmt.Errorf("%w: the conditions of a minimum are broken by %.3g", ErrNoConvergence, gap)
	}
	return gap, nil
}

// ridge is b = V(D+l₂)⁻¹V'c, one factorisation for all λ.
func (p *standard) ridge(b []float64, l2 float64, use []int) {
	k, all := len(use), len(p.sd)
	if k == 0 {
		return
	}
	if p.eig == nil {
		c := mat.NewSymDense(k, nil)
		for r, j := range use {
			for s, l := range use[:r+1] {
				c.SetSym(r, s, p.c[j*all+l])
			}
		}
		p.eig = &mat.EigenSym{}
		if !p.eig.Factorize(c, true) {
			panic("num: eigenvalues of a correlation matrix")
		}
	}
	var v mat.Dense
	p.eig.VectorsTo(&v)
	values := p.eig.Values(nil)
	if p.projection == nil {
		p.projection = make([]float64, k)
		for s := range k {
			for r, j := range use {
				p.projection[s] += float64(v.At(r, s) * p.cy[j])
			}
		}
	}
	for r, j := range use {
		b[j] = 0
		for s, d := range values {
			// A direction that the columns do not span has no slope.
			if d = math.Max(d, 0) + l2; d > 1e-12 {
				b[j] += float64(v.At(r, s) * (p.projection[s] / d))
			}
		}
	}
}

// descend is coordinate descent, ended by the exact solution on the columns in use.
func (p *standard) descend(b []float64, l1, l2 float64, use []int) {
	k := len(p.sd)
	cb := make([]float64, k)
	for _, j := range use {
		cb[j] = Dot(p.c[j*k:(j+1)*k], b)
	}
	for sweep := range 100000 {
		move := 0.0
		for _, j := range use {
			free := p.cy[j] - cb[j] + b[j]
			v := 0.0
			if math.Abs(free) > l1 {
				v = (free - math.Copysign(l1, free)) / (1 + l2)
			}
			step := v - b[j]
			if step == 0 {
				continue
			}
			b[j] = v
			for _, l := range use {
				cb[l] += float64(step * p.c[j*k+l])
			}
			move = math.Max(move, step*step)
		}
		if move < 1e-12*p.yy || sweep%50 == 49 {
			if c := p.exact(b, l1, l2, use); c != nil {
				copy(b, c)
				return
			}
		}
		if move < 1e-28*p.yy {
			return
		}
	}
}

// exact solves for the columns in use with the signs that b has; nil where the solution
// has other signs, or a column that is out would come in.
func (p *standard) exact(b []float64, l1, l2 float64, use []int) []float64 {
	k := len(p.sd)
	var in []int
	for _, j := range use {
		if b[j] != 0 {
			in = append(in, j)
		}
	}
	c := make([]float64, k)
	if len(in) > 0 {
		h := mat.NewSymDense(len(in), nil)
		rhs := mat.NewVecDense(len(in), nil)
		for r, j := range in {
			for s, l := range in[:r+1] {
				h.SetSym(r, s, p.c[j*k+l])
			}
			h.SetSym(r, r, 1+l2)
			rhs.SetVec(r, p.cy[j]-math.Copysign(l1, b[j]))
		}
		var chol mat.Cholesky
		if !chol.Factorize(h) || chol.Cond() > 1e14 {
			return nil
		}
		var x mat.VecDense
		if chol.SolveVecTo(&x, rhs) != nil {
			return nil
		}
		for r, j := range in {
			if c[j] = x.AtVec(r); c[j] == 0 || math.Signbit(c[j]) != math.Signbit(b[j]) {
				return nil
			}
		}
	}
	for _, j := range use {
		if b[j] == 0 && math.Abs(p.cy[j]-Dot(p.c[j*k:(j+1)*k], c)) > l1*(1+1e-9) {
			return nil
		}
	}
	return c
}

// gap is the largest breach of the conditions of a minimum, by column.
func (p *standard) gap(b []float64, l1, l2 float64, use []int) float64 {
	k, worst := len(p.sd), 0.0
	for _, j := range use {
		g := p.cy[j] - Dot(p.c[j*k:(j+1)*k], b) - float64(l2*b[j])
		if l1 > 0 {
			if b[j] == 0 {
				g = math.Max(0, math.Abs(g)-l1)
			} else {
				g -= math.Copysign(l1, b[j])
			}
		}
		if math.IsNaN(g) {
			return math.Inf(1)
		}
		worst = math.Max(worst, math.Abs(g))
	}
	return worst
}

func (p *standard) rss(b []float64) float64 {
	k := len(p.sd)
	s := p.yy
	for j, v := range b {
		s += float64(v * (Dot(p.c[j*k:(j+1)*k], b) - float64(2*p.cy[j])))
	}
	return math.Max(s, 0) * p.n
}
