package num

import "math"

// MomentLP is the linear programme of tests of moment inequalities with nuisance parameters τ,
//
//	η(y) = min η subject to y[i] ≤ W[i,0]·η + Σ_k W[i,k]·τ[k] for all i,
//
// solved over and over for other y. Its dual, max γ'y over γ ≥ 0 with W'γ = e₀, has a domain that does not depend
// on y: the simplex method goes on from the last solution.
type MomentLP struct {
	n, q    int
	w       []float64 // n×q by rows
	basis   []int     // q rows of W
	inside  []bool
	inverse []float64 // q×q: (W_B)⁻¹, its columns by place in the basis
	gamma   []float64 // q: weights of the basis, ≥ 0
	pivots  int
}

// NewMomentLP starts from γ, a feasible point whose rows with weight are linearly independent; nil if it is not or W has not full rank.
func NewMomentLP(n, q int, w []float64, start []int) *MomentLP {
	if len(w) != n*q || n < q || q < 1 {
		panic("num: MomentLP of impossible shape")
	}
	p := &MomentLP{n: n, q: q, w: w, inside: make([]bool, n), inverse: make([]float64, q*q), gamma: make([]float64, q)}
	var ortho [][]float64 // of the rows taken
	take := func(i int) bool {
		v := append([]float64(nil), w[i*q:(i+1)*q]...)
		size := math.Sqrt(Dot(v, v))
		for range 2 {
			for _, o := range ortho {
				d := Dot(v, o)
				for k := range v {
					v[k] -= float64(d * o[k])
				}
			}
		}
		left := math.Sqrt(Dot(v, v))
		if !(left > 1e-9*size) {
			return false
		}
		for k := range v {
			v[k] /= left
		}
		ortho = append(ortho, v)
		p.basis, p.inside[i] = append(p.basis, i), true
		return true
	}
	for _, i := range start {
		if !take(i) {
			return nil
		}
	}
	for i := 0; i < n && len(p.basis) < q; i++ {
		if !p.inside[i] {
			take(i)
		}
	}
	if len(p.basis) < q || !p.refactor() {
		return nil
	}
	for _, g := range p.gamma {
		if g < -1e-9 {
			return nil
		}
	}
	return p
}

// refactor inverts the basis by Gauss-Jordan elimination with row exchanges.
func (p *MomentLP) refactor() bool {
	q := p.q
	a := make([]float64, q*2*q)
	for r, i := range p.basis {
		copy(a[r*2*q:], p.w[i*q:(i+1)*q])
		a[r*2*q+q+r] = 1
	}
	for c := range q {
		best := c
		for r := c + 1; r < q; r++ {
			if math.Abs(a[r*2*q+c]) > math.Abs(a[best*2*q+c]) {
				best = r
			}
		}
		if a[best*2*q+c] == 0 {
			return false
		}
		for k := range 2 * q {
			a[c*2*q+k], a[best*2*q+k] = a[best*2*q+k], a[c*2*q+k]
		}
		d := a[c*2*q+c]
		for k := range 2 * q {
			a[c*2*q+k] /= d
		}
		for r := range q {
			if f := a[r*2*q+c]; r != c && f != 0 {
				for k := range 2 * q {
					a[r*2*q+k] -= float64(f * a[c*2*q+k])
				}
			}
		}
	}
	for r := range q {
		copy(p.inverse[r*q:(r+1)*q], a[r*2*q+q:r*2*q+2*q])
	}
	copy(p.gamma, p.inverse[:q]) // W_B'γ = e₀: γ is the first row of (W_B)⁻¹
	return true
}

// Solve returns η(y); ok is false if the search did not end. Weights then holds γ.
func (p *MomentLP) Solve(y []float64) (eta float64, ok bool) {
	q := p.q
	x, rowIn := make([]float64, q), make([]float64, q)
	scale := 0.0
	for _, v := range y {
		scale = max(scale, math.Abs(v))
	}
	for step := 0; step < 2000; step++ {
		for k := range q { // x = (W_B)⁻¹ y_B
			s := 0.0
			for b, i := range p.basis {
				s += float64(p.inverse[k*q+b] * y[i])
			}
			x[k] = s
		}
		enter, most := -1, 1e-11*scale
		for i := range p.n {
			if p.inside[i] {
				continue
			}
			if r := y[i] - DotFast(p.w[i*q:(i+1)*q], x); r > most {
				enter, most = i, r
				if step > 200 { // the first one cannot circle
					break
				}
			}
		}
		if enter < 0 {
			return x[0], true
		}
		w := p.w[enter*q : (enter+1)*q]
		for b := range q { // W_enter in terms of the basis: its weights are w·(W_B)⁻¹
			s := 0.0
			for k := range q {
				s += float64(w[k] * p.inverse[k*q+b])
			}
			rowIn[b] = s
		}
		leave, ratio := -1, math.Inf(1)
		for b, v := range rowIn {
			if v > 1e-11 {
				if t := max(p.gamma[b], 0) / v; t < ratio-1e-15 || t <= ratio+1e-15 && (leave < 0 || p.basis[b] < p.basis[leave]) {
					leave, ratio = b, t
				}
			}
		}
		if leave < 0 {
			return math.Inf(1), false
		}
		p.inside[p.basis[leave]], p.inside[enter] = false, true
		p.basis[leave] = enter
		if p.pivots++; p.pivots%64 == 0 {
			if !p.refactor() {
				return math.NaN(), false
			}
			continue
		}
		d := rowIn[leave]
		for k := range q { // column leave is scaled, the others give up their part of it
			c := p.inverse[k*q+leave] / d
			for b := range q {
				if b != leave {
					p.inverse[k*q+b] -= float64(rowIn[b] * c)
				}
			}
			p.inverse[k*q+leave] = c
		}
		copy(p.gamma, p.inverse[:q])
	}
	return math.NaN(), false
}

// Weights returns γ, n numbers.
func (p *MomentLP) Weights() []float64 {
	out := make([]float64, p.n)
	for b, i := range p.basis {
		out[i] = max(p.gamma[b], 0)
	}
	return out
}
