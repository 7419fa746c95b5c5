package num

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// rows stores linear predictor, mean, score and information of every row and returns
// the part of the log-likelihood that depends on them.
func (g *glmKernel) rows(m *logitModel, coef []float64, fit *GLMFit) (like float64) {
	n, k := m.N, m.K
	if fit.Eta == nil {
		fit.Eta, fit.Mean = make([]float64, n), make([]float64, n)
		fit.Score, fit.Info = make([]float64, n), make([]float64, n)
	}
	return SumChunks(n, 1, m.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			var eta float64
			for j, x := range m.X[i*k : i*k+k] {
				eta += float64(x * coef[j])
			}
			if g.offset != nil {
				eta += g.offset[i]
			}
			w := 1.0
			if m.Weight != nil {
				w = m.Weight[i]
			}
			mu, score, info, like := g.point(m.Y[i], eta)
			fit.Eta[i], fit.Mean[i], fit.Score[i], fit.Info[i] = eta, mu, float64(w*score), float64(w*info)
			if w == 0 {
				fit.Score[i], fit.Info[i] = 0, 0
				continue
			}
			acc[0] += float64(w * like)
		}
	})[0]
}

// likelihood returns log-likelihood and deviance at the means.
func (g *glmKernel) likelihood(m *logitModel, mean []float64) (loglik, deviance float64) {
	s := SumChunks(m.N, 2, m.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			w := 1.0
			if m.Weight != nil {
				w = m.Weight[i]
			}
			if w == 0 {
				continue
			}
			l, d := g.unit(m.Y[i], mean[i])
			acc[0] += float64(w * l)
			acc[1] += float64(w * d)
		}
	})
	return s[0], s[1]
}

// unit is the log-likelihood and the deviance of one row.
func (g *glmKernel) unit(y, mu float64) (loglik, deviance float64) {
	xlog := func(a, b float64) float64 { // a·log b, 0 for a = 0
		if a == 0 {
			return 0
		}
		return a * math.Log(b)
	}
	switch g.family {
	case Gaussian:
		r := y - mu
		return -r * r / 2, r * r
	case Binomial:
		l := xlog(y, mu) + xlog(1-y, 1-mu)
		return l, 2 * (xlog(y, y) + xlog(1-y, 1-y) - l)
	case Poisson:
		lg, _ := math.Lgamma(y + 1)
		return xlog(y, mu) - mu - lg, 2 * (xlog(y, y/mu) - (y - mu))
	}
	t := g.theta
	a, _ := math.Lgamma(t + y)
	b, _ := math.Lgamma(t)
	c, _ := math.Lgamma(y + 1)
	loglik = a - b - c + xlog(y, mu/(t+mu)) - t*math.Log1p(mu/t)
	return loglik, 2 * (xlog(y, y/mu) - (y+t)*math.Log((y+t)/(mu+t)))
}

// nullDeviance is the deviance of the constant mean.
func (g *glmKernel) nullDeviance(m *logitModel) (float64, error) {
	if g.family == Binomial && m.constant >= 0 && g.offset == nil {
		return 2 * (m.saturated - m.sumW*(float64(m.meanY*math.Log(m.meanY))+float64((1-m.meanY)*math.Log1p(-m.meanY)))), nil
	}
	mean := make([]float64, m.N)
	if m.constant >= 0 && g.offset == nil {
		for i := range mean {
			mean[i] = m.meanY
		}
		_, d := g.likelihood(m, mean)
		return d, nil
	}
	eta := 0.0
	if m.constant >= 0 {
		one := make([]float64, m.N)
		for i := range one {
			one[i] = 1
		}
		sub, err := newLogitModel(LogitData{N: m.N, K: 1, X: one, Y: m.Y, Weight: m.Weight, Link: g.link, Workers: m.Workers, glm: g})
		if err != nil {
			return 0, err
		}
		steps := 0
		gamma, _, err := g.solve(sub, nil, &steps)
		if err != nil {
			return 0, fmt.Errorf("null model: %w", err)
		}
		eta = gamma[0] * sub.scale[0]
	}
	for i := range mean {
		off := 0.0
		if g.offset != nil {
			off = g.offset[i]
		}
		mean[i], _, _, _ = g.point(m.Y[i], eta+off)
	}
	_, d := g.likelihood(m, mean)
	return d, nil
}

// dispersed alternates between θ at the means and the coefficients at θ.
func (g *glmKernel) dispersed(m *logitModel, gamma []float64, fit *GLMFit) ([]float64, *logitEval, error) {
	var ev *logitEval
	g.theta = math.NaN()
	for round := range 200 {
		coef, _ := m.mapBack(gamma, identityChol(m.K))
		theta := g.theta
		if round == 0 {
			g.theta = math.Inf(1)
		}
		g.rows(m, coef, fit)
		if round == 0 {
			theta = g.moment(m, fit.Mean)
			if math.IsNaN(theta) {
				return nil, nil, ErrUnderdispersed
			}
		}
		next, information, err := g.bestTheta(m, fit.Mean, theta)
		if err != nil {
			return nil, nil, err
		}
		g.theta = next
		if gamma, ev, err = g.solve(m, gamma, &fit.Iterations); err != nil {
			return nil, nil, err
		}
		fit.Theta, fit.ThetaSE = next, 1/math.Sqrt(information)
		if change := math.Abs(next - theta); change <= 1e-11*theta || change*math.Sqrt(information) <= 1e-8 {
			return gamma, ev, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: negative binomial θ", ErrNoConvergence)
}

// moment is the start of θ, Σw/Σw(y/μ-1)²; NaN where the score of 1/θ at 0,
// Σw((y-μ)²-y), is not positive: then the likelihood falls from the Poisson fit.
func (g *glmKernel) moment(m *logitModel, mean []float64) float64 {
	s := SumChunks(m.N, 3, m.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			w := 1.0
			if m.Weight != nil {
				w = m.Weight[i]
			}
			if w == 0 {
				continue
			}
			r := m.Y[i] - mean[i]
			acc[0] += w
			acc[1] += float64(w * float64(r/mean[i]*(r/mean[i])))
			acc[2] += float64(w * (float64(r*r) - m.Y[i]))
		}
	})
	if !(s[2] > 0) {
		return math.NaN()
	}
	return s[0] / s[1]
}

// bestTheta maximises the likelihood over θ at given means by Newton steps on log θ,
// with halving; it returns θ and the observed information of θ.
func (g *glmKernel) bestTheta(m *logitModel, mean []float64, theta float64) (float64, float64, error) {
	at := func(t float64) (score, info, like float64) {
		s := SumChunks(m.N, 3, m.Workers, func(lo, hi int, acc []float64) {
			// ψ, ψ' and log Γ at θ itself are the same for every row.
			psi, tri := mathext.Digamma(t), trigamma(t)
			lg, _ := math.Lgamma(t)
			for i := lo; i < hi; i++ {
				w, y, mu := 1.0, m.Y[i], mean[i]
				if m.Weight != nil {
					w = m.Weight[i]
				}
				if w == 0 {
					continue
				}
				share := (y - mu) / (t + mu)
				l, _ := math.Lgamma(t + y)
				acc[0] += w * (mathext.Digamma(t+y) - psi - math.Log1p(mu/t) - share)
				acc[1] += w * (tri - trigamma(t+y) - mu/(t*(t+mu)) - share/(t+mu))
				acc[2] += w * (l - lg - float64(t*math.Log1p(mu/t)) - float64(y*math.Log(t+mu)))
			}
		})
		return s[0], s[1], s[2]
	}
	score, info, like := at(theta)
	for range 200 {
		u := score * theta
		curve := info*theta*theta - u // -d²/d(log θ)²
		step := u / curve
		if !(curve > 0) {
			step = math.Copysign(1, u)
		}
		step = math.Max(-2, math.Min(2, step))
		if curve > 0 && math.Abs(step)*math.Sqrt(curve) <= 1e-9 { // of the error of log θ
			return theta * math.Exp(step), info, nil
		}
		moved := false
		for range 40 {
			next := theta * math.Exp(step)
			if next > 1e9 {
				return 0, 0, ErrUnderdispersed
			}
			s, i, l := at(next)
			if l >= like-1e-13*(1+math.Abs(like)) {
				theta, score, info, like, moved = next, s, i, l, true
				break
			}
			step /= 2
		}
		if !moved || math.Abs(step) <= 1e-12 {
			return theta, info, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: negative binomial θ", ErrNoConvergence)
}

// trigamma is ψ'(x) = ζ(2, x).
func trigamma(x float64) float64 { return mathext.Zeta(2, x) }

func identityChol(k int) []float64 {
	l := make([]float64, k*k)
	for j := range k {
		l[j*k+j] = 1
	}
	return l
}
