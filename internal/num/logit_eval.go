package num

import "math"

// logitEval is the likelihood at one point: sums over the rows.
type logitEval struct {
	loglik float64
	grad   []float64
	info   []float64 // lower triangle by rows: (j,l) at j(j+1)/2+l
	score  float64   // max |grad_j|/info_jj
	chol   []float64 // k×k lower factor of info, after factorise
}

type logitBlock struct {
	*RowPanel
	eta, w, r [PanelRows]float64
}

func newLogitBlock(k int) *logitBlock { return &logitBlock{RowPanel: NewRowPanel(k)} }

// eval computes log-likelihood, score and information at gamma and stores the
// fitted means.
func (m *logitModel) eval(gamma []float64) *logitEval {
	k := m.K
	tri := k * (k + 1) / 2
	sums := SumChunks(m.N, 1+k+tri, m.Workers, func(lo, hi int, acc []float64) {
		b := m.pool.Get().(*logitBlock)
		for at := lo; at < hi; at += PanelRows {
			m.evalBlock(gamma, at, min(at+PanelRows, hi), b, acc)
		}
		m.pool.Put(b)
	})
	ev := &logitEval{loglik: sums[0], grad: sums[1 : 1+k], info: sums[1+k:]}
	for j := range k {
		s := math.Abs(ev.grad[j]) / ev.info[j*(j+1)/2+j]
		if math.IsNaN(ev.score) {
			break
		}
		if s > ev.score || math.IsNaN(s) {
			ev.score = s
		}
	}
	if math.IsNaN(ev.loglik) {
		ev.loglik = math.Inf(-1)
	}
	return ev
}

func (m *logitModel) evalBlock(gamma []float64, lo, hi int, b *logitBlock, acc []float64) {
	k, n := m.K, hi-lo
	b.n = n
	eta := b.eta[:n]
	clear(eta)
	for j := range k {
		z, g := b.column(j), gamma[j]
		if j == m.constant {
			for r := range z {
				z[r] = 1
				eta[r] += g
			}
			continue
		}
		c, s := m.centre[j], m.scale[j]
		x := m.X[lo*k+j:]
		for r := range z {
			v := (x[r*k] - c) * s
			z[r] = v
			eta[r] += float64(g * v)
		}
	}
	acc[0] += m.points(lo, hi, b)
	b.AddProducts(b.r[:], acc[1:1+k])
	b.AddOuter(b.w[:], acc[1+k:])
}

// points turns linear predictors into score factors and information weights and
// returns the block's log-likelihood.
func (m *logitModel) points(lo, hi int, b *logitBlock) float64 {
	y, mu := m.Y[lo:hi], m.fitted[lo:hi]
	var weight []float64
	if m.Weight != nil {
		weight = m.Weight[lo:hi]
	}
	var ll float64
	if m.glm != nil {
		return m.glm.points(m, lo, hi, b)
	}
	if m.Link != LogitLink || weight != nil {
		for r, yr := range y {
			w := 1.0
			if weight != nil {
				w = weight[r]
			}
			p := m.Link.at(b.eta[r])
			mu[r] = p.mu
			if w == 0 {
				b.r[r], b.w[r] = 0, 0
				continue
			}
			var score, like float64
			if yr > 0 { // 0·(-Inf) would be NaN
				score += float64(yr * p.a)
				like += float64(yr * p.logMu)
			}
			if yr < 1 {
				score -= float64((1 - yr) * p.b)
				like += float64((1 - yr) * p.logQ)
			}
			b.r[r] = float64(w * score)
			b.w[r] = float64(w * float64(p.a*p.b))
			ll += float64(w * like)
		}
		return ll
	}
	// Unweighted logit, the common case: one exponential a row, and one logarithm a
	// block of the product of 1+e, which stays below 2^128.
	prod := 1.0
	for r, yr := range y {
		eta := b.eta[r]
		e := math.Exp(-math.Abs(eta))
		s := 1 + e
		prod *= s
		pHi := 1 / s
		pLo := e * pHi
		p, q := pHi, pLo
		miss := 1 - yr // times |η| is lost where the likelier outcome did not happen
		if eta < 0 {
			p, q, miss = pLo, pHi, yr
		}
		mu[r] = p
		b.w[r] = p * q
		b.r[r] = float64(yr*q) - float64((1-yr)*p)
		ll -= float64(miss * math.Abs(eta))
	}
	return ll - math.Log(prod)
}

// factorise computes the Cholesky factor of the information. It returns the first
// column of which less than 1e-11 of the information is its own, or -1.
func (ev *logitEval) factorise(k int) int {
	l := make([]float64, k*k)
	ev.chol = l
	for j := range k {
		for i := 0; i <= j; i++ {
			s := ev.info[j*(j+1)/2+i]
			for h := range i {
				s -= float64(l[j*k+h] * l[i*k+h])
			}
			if i < j {
				l[j*k+i] = s / l[i*k+i]
				continue
			}
			if !(s > 1e-11*ev.info[j*(j+1)/2+j]) {
				return j
			}
			l[j*k+j] = math.Sqrt(s)
		}
	}
	return -1
}

// solve returns the Newton step, information⁻¹·score.
func (ev *logitEval) solve() []float64 {
	step := append([]float64(nil), ev.grad...)
	forwardSolve(ev.chol, len(step), step)
	backSolve(ev.chol, len(step), step)
	return step
}

// nullDirection returns the direction in which a factorisation that stopped at
// column found no information: 1 at the column, minus its regression on those before.
func (ev *logitEval) nullDirection(column int) []float64 {
	k := len(ev.grad)
	v := make([]float64, k)
	for i := range column {
		v[i] = -ev.chol[column*k+i]
	}
	for i := column - 1; i >= 0; i-- {
		s := v[i]
		for j := i + 1; j < column; j++ {
			s -= float64(ev.chol[j*k+i] * v[j])
		}
		v[i] = s / ev.chol[i*k+i]
	}
	v[column] = 1
	return v
}
