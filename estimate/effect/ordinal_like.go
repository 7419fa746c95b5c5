package effect

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

// quantile is the threshold of a cumulative share.
func quantile(l num.Link, p float64) float64 {
	switch l {
	case num.ProbitLink:
		return num.NormalQuantile(p)
	case num.CloglogLink:
		return math.Log(-math.Log1p(-p))
	}
	return math.Log(p / (1 - p))
}

// density returns f(x) and f'(x) of the latent variable; both 0 at ±Inf.
func density(l num.Link, x float64) (f, slope float64) {
	if math.IsInf(x, 0) {
		return 0, 0
	}
	switch l {
	case num.ProbitLink:
		f = math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
		return f, -x * f
	case num.CloglogLink:
		e := math.Exp(x)
		if math.IsInf(e, 1) {
			return 0, 0
		}
		f = math.Exp(x - e)
		return f, f * (1 - e)
	}
	e := math.Exp(-math.Abs(x))
	f = e / ((1 + e) * (1 + e))
	return f, -f * math.Copysign((1-e)/(1+e), x)
}

// between is F(upper) - F(lower), from the nearer tail.
func between(l num.Link, lower, upper float64) float64 {
	switch l {
	case num.ProbitLink:
		if lower > 0 {
			lower, upper = -upper, -lower
		}
		return 0.5 * (math.Erfc(-upper/math.Sqrt2) - math.Erfc(-lower/math.Sqrt2))
	case num.CloglogLink:
		a, b := math.Exp(lower), math.Exp(upper)
		return math.Exp(-a) * -math.Expm1(a-b)
	}
	if lower > 0 {
		lower, upper = -upper, -lower
	}
	// 1/(1+e^-u) - 1/(1+e^-l) = (e^-l - e^-u)/((1+e^-u)(1+e^-l)), finite for l = -Inf.
	switch {
	case math.IsInf(lower, -1):
		return l.Mean(upper)
	case math.IsInf(upper, 1):
		return l.Mean(-lower)
	}
	return l.Mean(lower) * l.Mean(upper) * math.Expm1(upper-lower) * math.Exp(-upper)
}

// cut returns the bounds of row i's level on the scale of the latent variable.
func (m *ordinalModel) cut(theta []float64, i int) (lower, upper float64) {
	var eta float64
	for j, x := range m.x[i*m.q : (i+1)*m.q] {
		eta += float64(x * theta[j])
	}
	lower, upper = math.Inf(-1), math.Inf(1)
	if l := m.level[i]; l > 0 {
		lower = theta[m.q+l-1] - eta
	}
	if l := m.level[i]; l < m.levels-1 {
		upper = theta[m.q+l] - eta
	}
	return lower, upper
}

// at is the log-likelihood with gradient and negative second derivatives. With u and l
// the bounds, π = F(u) - F(l), a = f(u)/π and b = f(l)/π:
//
//	∂logπ/∂u = a, ∂logπ/∂l = -b, ∂²/∂u² = f'(u)/π - a², ∂²/∂l² = -f'(l)/π - b², ∂²/∂u∂l = ab
func (m *ordinalModel) at(theta []float64) (float64, []float64, []float64) {
	for l := 1; l < m.levels-1; l++ {
		if !(theta[m.q+l] > theta[m.q+l-1]) {
			return math.Inf(-1), nil, nil
		}
	}
	p := m.p
	tri := p * (p + 1) / 2
	s := num.SumChunks(m.n, 1+p+tri, m.workers, func(lo, hi int, acc []float64) {
		grad, curve := acc[1:1+p], acc[1+p:]
		du, dl := make([]float64, p), make([]float64, p)
		for i := lo; i < hi; i++ {
			lower, upper := m.cut(theta, i)
			pi := between(m.link, lower, upper)
			fu, su := density(m.link, upper)
			fl, sl := density(m.link, lower)
			a, b := fu/pi, fl/pi
			uu, ll, ul := su/pi-float64(a*a), -sl/pi-float64(b*b), float64(a*b)
			w := m.weight(i)
			acc[0] += float64(w * math.Log(pi))
			m.bounds(i, du, dl)
			for j := range p {
				grad[j] += float64(w * (float64(a*du[j]) - float64(b*dl[j])))
				for h := 0; h <= j; h++ {
					curve[j*(j+1)/2+h] -= float64(w * (float64(uu*float64(du[j]*du[h])) + float64(ll*float64(dl[j]*dl[h])) + float64(ul*(float64(du[j]*dl[h])+float64(dl[j]*du[h])))))
				}
			}
		}
	})
	if math.IsNaN(s[0]) {
		return math.Inf(-1), nil, nil
	}
	return s[0], s[1 : 1+p], s[1+p:]
}

// bounds stores the derivatives of row i's bounds; a bound at infinity has none.
func (m *ordinalModel) bounds(i int, du, dl []float64) {
	clear(du)
	clear(dl)
	l := m.level[i]
	for j, x := range m.x[i*m.q : (i+1)*m.q] {
		if l < m.levels-1 {
			du[j] = -x
		}
		if l > 0 {
			dl[j] = -x
		}
	}
	if l < m.levels-1 {
		du[m.q+l] = 1
	}
	if l > 0 {
		dl[m.q+l-1] = 1
	}
}

// scores are w·∂logπ/∂θ by row.
func (m *ordinalModel) scores(theta []float64) []float64 {
	out := make([]float64, m.n*m.p)
	num.ForChunks(m.n, m.workers, func(_, lo, hi int) {
		du, dl := make([]float64, m.p), make([]float64, m.p)
		for i := lo; i < hi; i++ {
			lower, upper := m.cut(theta, i)
			pi := between(m.link, lower, upper)
			fu, _ := density(m.link, upper)
			fl, _ := density(m.link, lower)
			m.bounds(i, du, dl)
			w := m.weight(i)
			for j := range m.p {
				out[i*m.p+j] = w * (fu/pi*du[j] - fl/pi*dl[j])
			}
		}
	})
	return out
}

func nanSymmetric(n int) *mat.SymDense {
	m := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			m.SetSym(i, j, math.NaN())
		}
	}
	return m
}

// nanDense is 0 for the rows left out and NaN, to be filled, for the others.
func nanDense(n, k int, rows []int) *mat.Dense {
	m := mat.NewDense(n, k, nil)
	for _, r := range rows {
		for j := range k {
			m.Set(r, j, math.NaN())
		}
	}
	return m
}
