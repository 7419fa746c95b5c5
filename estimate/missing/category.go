package missing

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// categorical is a model of a level number 0 … levels-1 given n rows of k standardised
// columns, the first of them 1:
//
//	multinomial: P(l) ∝ exp(x'β_l), β_0 = 0; parameters β_1, β_2, …; logit is two levels
//	ordered:     P(≤ l) = Λ(α_l - x'β) without the constant; α_0 and log(α_l - α_{l-1}),
//	             so that no draw puts thresholds out of order
type categorical struct {
	x       []float64
	k, n    int
	y       []int
	w       []float64
	levels  int
	ordered bool
}

func (m *categorical) size() int {
	if m.ordered {
		return m.levels - 1 + m.k - 1
	}
	return (m.levels - 1) * m.k
}

// probabilities of one row; p has length levels.
func (m *categorical) probabilities(row, theta, p []float64) {
	if !m.ordered {
		top := 0.0
		for l := 1; l < m.levels; l++ {
			p[l] = dot(row, theta[(l-1)*m.k:l*m.k])
			top = math.Max(top, p[l])
		}
		p[0] = math.Exp(-top)
		sum := p[0]
		for l := 1; l < m.levels; l++ {
			p[l] = math.Exp(p[l] - top)
			sum += p[l]
		}
		for l := range p {
			p[l] /= sum
		}
		return
	}
	eta := dot(row[1:], theta[m.levels-1:])
	alpha, below := theta[0], 0.0
	for l := range m.levels - 1 {
		if l > 0 {
			alpha += math.Exp(theta[l])
		}
		upTo := logistic(alpha - eta)
		p[l] = upTo - below
		below = upTo
	}
	p[m.levels-1] = logistic(eta - alpha)
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func dot(a, b []float64) (s float64) {
	for i, v := range a {
		s += float64(v * b[i])
	}
	return s
}

// at returns the log-likelihood, its gradient and the expected information
// Σ w·Σ_l dp_l·dp_l'/p_l at theta.
func (m *categorical) at(theta []float64) (value float64, grad []float64, info *mat.SymDense) {
	q := m.size()
	sums := num.SumChunks(m.n, 1+q+q*q, 1, func(lo, hi int, acc []float64) {
		p := make([]float64, m.levels)
		d := make([]float64, m.levels*q) // dp_l, for ordered
		for i := lo; i < hi; i++ {
			row := m.x[i*m.k : (i+1)*m.k]
			m.probabilities(row, theta, p)
			acc[0] += float64(m.w[i] * math.Log(p[m.y[i]]))
			g, h := acc[1:1+q], acc[1+q:]
			if m.ordered {
				m.orderedRow(row, theta, p, d, m.y[i], m.w[i], g, h)
			} else {
				m.multinomialRow(row, p, m.y[i], m.w[i], g, h)
			}
		}
	})
	info = mat.NewSymDense(q, nil)
	for a := range q {
		for b := a; b < q; b++ {
			info.SetSym(a, b, sums[1+q+a*q+b])
		}
	}
	return sums[0], sums[1 : 1+q], info
}

// multinomialRow adds score (1{y=l} - p_l)·x and information (p_l·1{l=m} - p_l·p_m)·xx'.
func (m *categorical) multinomialRow(row, p []float64, y int, w float64, g, h []float64) {
	q := m.size()
	for l := 1; l < m.levels; l++ {
		r := -p[l]
		if y == l {
			r++
		}
		for a, x := range row {
			g[(l-1)*m.k+a] += float64(w * r * x)
		}
		for o := l; o < m.levels; o++ {
			c := -p[l] * p[o]
			if o == l {
				c = p[l] * (1 - p[l])
			}
			c *= w
			for a, x := range row {
				from := 0
				if o == l {
					from = a
				}
				cx := c * x
				at := ((l-1)*m.k+a)*q + (o-1)*m.k
				for b := from; b < m.k; b++ {
					h[at+b] += float64(cx * row[b])
				}
			}
		}
	}
}

// orderedRow adds those of the proportional odds model by the derivatives of its
// probabilities.
func (m *categorical) orderedRow(row, theta, p, d []float64, y int, w float64, g, h []float64) {
	q, cuts := m.size(), m.levels-1
	clear(d)
	eta := dot(row[1:], theta[cuts:])
	alpha := theta[0]
	for l := range cuts {
		if l > 0 {
			alpha += math.Exp(theta[l])
		}
		f := logistic(alpha-eta) * logistic(eta-alpha)
		add := func(j int, v float64) { // P(≤ l) is part of p_l, and less of p_{l+1}
			d[l*q+j] += v
			d[(l+1)*q+j] -= v
		}
		add(0, f)
		for j := 1; j <= l; j++ {
			add(j, f*math.Exp(theta[j]))
		}
		for j, x := range row[1:] {
			add(cuts+j, -f*x)
		}
	}
	for j := range q {
		g[j] += float64(w * d[y*q+j] / p[y])
	}
	for l := range m.levels {
		if p[l] <= 0 {
			continue
		}
		c := w / p[l]
		for a := range q {
			ca := c * d[l*q+a]
			for b := a; b < q; b++ {
				h[a*q+b] += float64(ca * d[l*q+b])
			}
		}
	}
}

// maximise climbs by Fisher's scoring with step halving until the decrement g'I⁻¹g is
// below 1e-12, from start (nil = 0, thresholds apart), and returns the upper triangle of
// the information's Cholesky factor.
func (m *categorical) maximise(start []float64) (theta []float64, u *mat.TriDense, err error) {
	theta = make([]float64, m.size())
	if start != nil {
		copy(theta, start)
	} else if m.ordered {
		theta[0] = -1
	}
	value, g, info := m.at(theta)
	for iter := 0; ; iter++ {
		var chol mat.Cholesky
		if !chol.Factorize(info) || chol.Cond() > 1e14 {
			return nil, nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
		}
		step := mat.NewVecDense(len(theta), nil)
		if err := chol.SolveVecTo(step, mat.NewVecDense(len(g), g)); err != nil {
			return nil, nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
		}
		decrement := dot(step.RawVector().Data, g)
		if decrement < 1e-15 {
			u = mat.NewTriDense(len(theta), mat.Upper, nil)
			chol.UTo(u)
			return theta, u, nil
		}
		moved := false
		next := make([]float64, len(theta))
		for half := 1.0; half > 1e-8 && iter < 100; half /= 2 {
			for j := range next {
				next[j] = theta[j] + float64(half*step.AtVec(j))
			}
			v, ng, ni := m.at(next)
			if !math.IsNaN(v) && !math.IsInf(v, 0) && v >= value-1e-12*math.Abs(value) {
				theta, value, g, info, moved = slices.Clone(next), v, ng, ni, true
				break
			}
		}
		if !moved {
			return nil, nil, fmt.Errorf("%w: Fisher's scoring after %d steps", estimate.ErrNotConverged, iter)
		}
	}
}

// drawn is θ̂ + U⁻¹z: normal with the inverse information as covariance.
func drawn(theta []float64, u *mat.TriDense, s *num.Stream) []float64 {
	q := len(theta)
	z := make([]float64, q)
	for j := range z {
		z[j] = s.Normal()
	}
	for i := q - 1; i >= 0; i-- {
		for j := i + 1; j < q; j++ {
			z[i] -= float64(u.At(i, j) * z[j])
		}
		z[i] /= u.At(i, i)
	}
	for j := range z {
		z[j] += theta[j]
	}
	return z
}

// drawCategory draws levels for the rows z from the model of y given x.
func (c *chain) drawCategory(step string, v, group int, gone []int, x, z []float64, k int, y []float64) error {
	levels := slices.Compact(slices.Sorted(slices.Values(y)))
	m, apply, err := newCategorical(x, k, y, levels, c.vars[v].Method == OrderedLog)
	if err != nil {
		return err
	}
	if m.n-len(levels)*2*(m.k-1) <= m.size() { // rows without the added ones
		return fmt.Errorf("%w: %d observed rows for %d coefficients", estimate.ErrTooFew, len(y), m.size())
	}
	key := [2]int{v, group}
	if len(c.start[key]) != m.size() { // another set of independent columns than last time
		delete(c.start, key)
	}
	theta, u, err := m.maximise(c.start[key])
	if err != nil {
		return err
	}
	c.start[key] = theta
	star := drawn(theta, u, c.stream(step, v, group, -1))
	p, row := make([]float64, len(levels)), make([]float64, m.k)
	for g, i := range gone {
		apply(z[g*k:(g+1)*k], row)
		m.probabilities(row, star, p)
		r, l := c.stream(step, v, group, i).Float(), 0
		for ; l < len(levels)-1 && r >= p[l]; l++ {
			r -= p[l]
		}
		c.values[v][i] = levels[l]
	}
	return nil
}

// newCategorical standardises the independent columns (apply does so to another row) and
// adds White, Daniel and Royston's rows: for each column and level two rows at the
// column's mean ± half a standard deviation, within its range, the others at their means,
// all added rows weighing as much as there are columns, the constant among them. They
// hold coefficients finite where the data separate.
func newCategorical(x []float64, k int, y, levels []float64, ordered bool) (*categorical, func(from, to []float64), error) {
	n := len(y)
	kept, _, _, err := num.Rank(num.LsqData{N: n, K: k, X: x, Y: y, Workers: 1})
	if err != nil {
		return nil, nil, err
	}
	kept = kept[1:] // the constant stays
	q := len(kept) + 1
	mean, sd := make([]float64, q), make([]float64, q)
	lo, hi := make([]float64, q), make([]float64, q)
	col := make([]float64, n)
	for j, from := range kept {
		for i := range col {
			col[i] = x[i*k+from]
		}
		var variance float64
		mean[j+1], variance = meanVar(col)
		sd[j+1] = math.Sqrt(variance)
		lo[j+1], hi[j+1] = (slices.Min(col)-mean[j+1])/sd[j+1], (slices.Max(col)-mean[j+1])/sd[j+1]
	}
	apply := func(from, to []float64) {
		to[0] = 1
		for j, f := range kept {
			to[j+1] = (from[f] - mean[j+1]) / sd[j+1]
		}
	}
	added := 2 * (q - 1) * len(levels)
	m := &categorical{k: q, n: n + added, levels: len(levels), ordered: ordered}
	m.x, m.y, m.w = make([]float64, (n+added)*q), make([]int, n+added), make([]float64, n+added)
	for i := range n {
		apply(x[i*k:(i+1)*k], m.x[i*q:(i+1)*q])
		m.y[i], _ = slices.BinarySearch(levels, y[i])
		m.w[i] = 1
	}
	at := n
	for j := 1; j < q; j++ {
		for l := range levels {
			for _, shift := range []float64{math.Min(.5, hi[j]), math.Max(-.5, lo[j])} {
				m.x[at*q], m.x[at*q+j] = 1, shift
				m.y[at], m.w[at] = l, float64(q)/float64(added)
				at++
			}
		}
	}
	return m, apply, nil
}
