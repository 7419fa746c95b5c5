package progress

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// irtItem is one item: categories 0 … cats−1, slope a, intercepts d of the boundaries.
//
// Graded: P(Y ≥ k) = logistic(aθ + d_k), d_1 > d_2 > …. Otherwise (partial credit)
// P(Y = k) ∝ exp(k·aθ + d_k) with d_0 = 0.
type irtItem struct {
	name   string
	graded bool
	fixed  bool // slope is 1
	cats   int
	values []float64 // of the categories, ascending
	used   []float64 // weight of the answers in each category
	par    int       // first parameter: a unless fixed, then d
	cell   int       // first cell; one a category
	a      float64
	d      []float64 // cats−1
}

// parameters is how many of the item are free.
func (it *irtItem) parameters() int {
	if it.fixed {
		return it.cats - 1
	}
	return it.cats
}

func (it *irtItem) get(p []float64) {
	p = p[it.par:]
	if !it.fixed {
		it.a, p = p[0], p[1:]
	}
	copy(it.d, p)
}

func (it *irtItem) set(p []float64) {
	p = p[it.par:]
	if !it.fixed {
		p[0], p = it.a, p[1:]
	}
	copy(p, it.d)
}

// valid says whether the item is a distribution.
func (it *irtItem) valid() bool {
	if math.IsNaN(it.a) || math.IsInf(it.a, 0) {
		return false
	}
	for k, d := range it.d {
		if math.IsNaN(d) || math.IsInf(d, 0) || it.graded && k > 0 && !(d < it.d[k-1]) {
			return false
		}
	}
	return true
}

func sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

// step is g' and g” of g(δ) = log(1 − exp(−δ)) at the distance δ between the boundaries of
// category k, which does not depend on θ; 0 for the lowest and the highest category.
func (it *irtItem) step(k int) (g1, g2 float64) {
	if k == 0 || k == it.cats-1 {
		return 0, 0
	}
	e := math.Expm1(it.d[k-1] - it.d[k])
	return 1 / e, -(1 + 1/e) / e
}

// probabilities writes P(Y = k | θ) into p[k], each as long as theta.
func (it *irtItem) probabilities(theta []float64, p [][]float64) {
	if !it.graded {
		v := make([]float64, it.cats)
		for q, t := range theta {
			it.credit(t, v)
			for k := range v {
				p[k][q] = v[k]
			}
		}
		return
	}
	for q, t := range theta {
		above := 1.0 // logistic of the lower boundary of category k
		for k := range it.cats {
			switch {
			case k == it.cats-1:
				p[k][q] = above
			default: // σ(x) − σ(y) = σ(x)·σ(−y)·(1 − exp(−δ)) keeps its digits in both tails
				y := float64(it.a*t) + it.d[k]
				s := above * sigmoid(-y)
				if k > 0 {
					s *= -math.Expm1(it.d[k] - it.d[k-1])
				}
				p[k][q] = s
				above = sigmoid(y)
			}
		}
	}
}

// credit writes the category probabilities of the partial credit model at one θ.
func (it *irtItem) credit(theta float64, p []float64) {
	top := 0.0
	for k := range p {
		p[k] = 0
		if k > 0 {
			p[k] = float64(float64(k)*it.a*theta) + it.d[k-1]
		}
		top = max(top, p[k])
	}
	total := 0.0
	for k := range p {
		p[k] = math.Exp(p[k] - top)
		total += p[k]
	}
	for k := range p {
		p[k] /= total
	}
}

// irtScore is the derivative of log P of a cell with respect to one parameter, by node.
type irtScore struct {
	par int
	by  []float64
}

// scores are the derivatives of log P(Y = k | θ) with respect to the free parameters.
func (it *irtItem) scores(theta []float64) [][]irtScore {
	nq, at := len(theta), it.par
	if !it.fixed {
		at++
	}
	out := make([][]irtScore, it.cats)
	row := func(k, par int) []float64 {
		out[k] = append(out[k], irtScore{par, make([]float64, nq)})
		return out[k][len(out[k])-1].by
	}
	if !it.graded {
		v := make([]float64, it.cats)
		p := make([][]float64, it.cats)
		for k := range p {
			p[k] = make([]float64, nq)
		}
		it.probabilities(theta, p)
		for k := range it.cats {
			if !it.fixed {
				s := row(k, it.par)
				for q, t := range theta {
					mean := 0.0
					for m := range v {
						mean += float64(float64(m) * p[m][q])
					}
					s[q] = t * (float64(k) - mean)
				}
			}
			for m := 1; m < it.cats; m++ {
				s := row(k, at+m-1)
				for q := range theta {
					s[q] = -p[m][q]
					if m == k {
						s[q]++
					}
				}
			}
		}
		return out
	}
	up := make([][]float64, it.cats-1) // logistic of each boundary
	for b := range up {
		up[b] = make([]float64, nq)
		for q, t := range theta {
			up[b][q] = sigmoid(float64(it.a*t) + it.d[b])
		}
	}
	for k := range it.cats {
		g, _ := it.step(k)
		var slope []float64
		if !it.fixed {
			slope = row(k, it.par)
		}
		if k > 0 {
			s := row(k, at+k-1)
			for q := range theta {
				s[q] = 1 - up[k-1][q] + g
				if slope != nil {
					slope[q] += float64(theta[q] * (1 - up[k-1][q]))
				}
			}
		}
		if k < it.cats-1 {
			s := row(k, at+k)
			for q := range theta {
				s[q] = -up[k][q] - g
				if slope != nil {
					slope[q] -= float64(theta[q] * up[k][q])
				}
			}
		}
	}
	return out
}

// complete is Σ_kq n[k][q]·log P(k | θ_q) and its gradient and Hessian in (a, d); a is
// first also where it is fixed.
func (it *irtItem) complete(theta []float64, n [][]float64) (value float64, grad []float64, hess *mat.SymDense) {
	m := it.cats
	grad, hess = make([]float64, m), mat.NewSymDense(m, nil)
	add := func(i, j int, v float64) { hess.SetSym(i, j, hess.At(i, j)+v) }
	p := make([][]float64, m)
	for k := range p {
		p[k] = make([]float64, len(theta))
	}
	it.probabilities(theta, p)
	for k := range p {
		for q, c := range n[k] {
			if c > 0 {
				value += float64(c * math.Log(p[k][q]))
			}
		}
	}
	if !it.graded {
		for q, t := range theta {
			all, mean, square := 0.0, 0.0, 0.0
			for k := range m {
				all += n[k][q]
				mean += float64(float64(k) * p[k][q])
				square += float64(float64(k*k) * p[k][q])
				grad[0] += float64(t * float64(k) * n[k][q])
			}
			grad[0] -= float64(t * mean * all)
			add(0, 0, -float64(all*t*t)*(square-float64(mean*mean)))
			for k := 1; k < m; k++ {
				grad[k] += n[k][q] - float64(all*p[k][q])
				add(0, k, -float64(all*t*p[k][q])*(float64(k)-mean))
				add(k, k, -float64(all*p[k][q]))
				for l := 1; l <= k; l++ {
					add(l, k, float64(all*p[k][q]*p[l][q]))
				}
			}
		}
		return value, grad, hess
	}
	for b := 1; b < m; b++ {
		var g, h, ht, htt, up, down float64
		for q, t := range theta {
			s := sigmoid(float64(it.a*t) + it.d[b-1])
			e := float64(n[b][q]*(1-s)) - float64(n[b-1][q]*s)
			v := (n[b][q] + n[b-1][q]) * s * (1 - s)
			g += e
			grad[0] += float64(t * e)
			h, ht, htt = h+v, ht+float64(t*v), htt+float64(t*t*v)
			up, down = up+n[b][q], down+n[b-1][q]
		}
		g1, g2 := it.step(b)
		f1, f2 := it.step(b - 1)
		grad[b] = g + float64(g1*up) - float64(f1*down)
		add(b, b, -h+float64(g2*up)+float64(f2*down))
		add(0, b, -ht)
		add(0, 0, -htt)
		if b+1 < m {
			add(b, b+1, -float64(g2*up))
		}
	}
	return value, grad, hess
}

// information is Σ_k (∂P_k/∂θ)²/P_k at one θ.
func (it *irtItem) information(theta float64) float64 {
	if !it.graded {
		p := make([]float64, it.cats)
		it.credit(theta, p)
		mean, square := 0.0, 0.0
		for k, v := range p {
			mean += float64(float64(k) * v)
			square += float64(float64(k*k) * v)
		}
		return it.a * it.a * (square - float64(mean*mean))
	}
	// ∂ log P_k/∂θ = a·(σ(−x) − σ(y)) with the boundaries x and y of category k.
	p := make([][]float64, it.cats)
	for k := range p {
		p[k] = make([]float64, 1)
	}
	it.probabilities([]float64{theta}, p)
	total := 0.0
	for k := range p {
		s := 0.0
		if k > 0 {
			s += sigmoid(-float64(it.a*theta) - it.d[k-1])
		}
		if k < it.cats-1 {
			s -= sigmoid(float64(it.a*theta) + it.d[k])
		}
		total += float64(p[k][0] * s * s)
	}
	return it.a * it.a * total
}

// thresholds are b on the scale of θ: −d_k/a of a graded item, −(d_k − d_{k−1})/a else, and
// their derivatives in (a, d).
func (it *irtItem) thresholds() (b []float64, jac [][]float64) {
	b, jac = make([]float64, len(it.d)), make([][]float64, len(it.d))
	for k, d := range it.d {
		jac[k] = make([]float64, it.cats)
		jac[k][k+1] = -1 / it.a
		if !it.graded && k > 0 {
			d -= it.d[k-1]
			jac[k][k] = 1 / it.a
		}
		b[k] = -d / it.a
		jac[k][0] = d / (it.a * it.a)
	}
	return b, jac
}
