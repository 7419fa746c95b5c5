package num

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// GLMFamily names the distribution of the outcome of a generalised linear model.
type GLMFamily string

// The families.
const (
	Binomial GLMFamily = "binomial" // share of successes; weight = trials
	Poisson  GLMFamily = "poisson"  // variance μ
	NegBin   GLMFamily = "negbin"   // variance μ + μ²/θ (NB2)
	Gaussian GLMFamily = "gaussian" // constant variance
)

// The links beside those of [Logit].
const (
	LogLink      Link = "log"
	IdentityLink Link = "identity"
)

// GLMLinks are the links of a family, its default first.
func GLMLinks(f GLMFamily) []Link {
	switch f {
	case Binomial:
		return []Link{LogitLink, ProbitLink, CloglogLink}
	case Poisson, NegBin:
		return []Link{LogLink}
	case Gaussian:
		return []Link{IdentityLink, LogLink}
	}
	return nil
}

// GLMData is what [GLM] fits. Nothing in it is changed.
type GLMData struct {
	N, K    int
	X       []float64 // N×K by rows; the caller includes an intercept column if one is wanted
	Y       []float64 // N; binomial: 0 to 1, poisson and negbin: ≥ 0
	Weight  []float64 // N numbers ≥ 0; nil = all 1. A row of weight 0 is left out of the fit
	Offset  []float64 // N, added to the linear predictor; nil = 0
	Family  GLMFamily
	Link    Link // "" = the family's default
	Workers int  // < 1 = GOMAXPROCS; never changes the result
}

// GLMFit is a maximum of the likelihood.
type GLMFit struct {
	Coef []float64
	Cov  *mat.SymDense // K×K inverse of the expected information, at dispersion 1 and the estimated θ
	// R is the K×K upper triangle by rows, positive diagonal, of which R'R is that information. It comes from
	// the sums of squares and products of the columns, centred if there is a constant one: of 16 digits it keeps
	// those that the square of Condition, as in [LsqFit], leaves.
	R         []float64
	Condition float64
	// LogLik leaves nothing out but for gaussian, where the variance is not estimated
	// here: there it is -Σw(y-μ)²/2. Deviance is twice the distance to the saturated
	// model; NullDeviance is that of the constant mean (with the offset, at the same θ)
	// when X has a constant column and of a linear predictor of 0 when it has none.
	LogLik, Deviance, NullDeviance float64
	Theta, ThetaSE                 float64 // negbin only
	Iterations                     int
	Gradient                       float64   // as in [LogitFit]
	Eta                            []float64 // N linear predictors with the offset, rows of weight 0 too
	// Score is w·(y-μ)·μ'/V and Info w·μ'²/V by row, without the dispersion: the score
	// of the coefficients is Σ Score·x, their expected information Σ Info·xx'.
	Mean, Score, Info []float64
}

// ErrUnderdispersed is a negative binomial fit whose θ has no maximum: the outcome
// varies no more than a Poisson one.
var ErrUnderdispersed = errors.New("num: the outcome varies no more than a Poisson outcome with these columns; negative binomial has no maximum")

// GLM finds the maximum-likelihood coefficients of a generalised linear model by
// Newton's method with expected information, as [Logit] does, to which the binomial
// family without an offset goes. The first step is the regression of the link of a
// mean near y (y for y > 0) on the columns.
//
// negbin alternates with Newton steps on log θ, to a change of θ below 1e-11 of it or
// 1e-8 of its error;
// [ErrUnderdispersed] if θ runs away, 200 rounds without rest [ErrNoConvergence]. Other
// errors are those of [Logit]; for poisson and negbin separation is a direction that is
// constant where y > 0 and falls somewhere where y = 0. ThetaSE is from the observed
// information of θ at the fitted means. The result has the same bits for any Workers.
func GLM(d GLMData) (GLMFit, error) {
	n := d.N
	if n < 0 || d.K < 1 || len(d.X) != n*d.K || len(d.Y) != n || (d.Weight != nil && len(d.Weight) != n) || (d.Offset != nil && len(d.Offset) != n) {
		panic("num: GLM with data of inconsistent lengths")
	}
	kernel, err := newGLMKernel(&d)
	if err != nil {
		return GLMFit{}, err
	}
	data := LogitData{N: n, K: d.K, X: d.X, Y: d.Y, Weight: d.Weight, Link: kernel.link, Workers: d.Workers, glm: kernel}
	if d.Family == Binomial && d.Offset == nil {
		data.glm = nil
	}
	m, err := newLogitModel(data)
	if err != nil {
		return GLMFit{}, err
	}
	if err := kernel.admit(m); err != nil {
		return GLMFit{}, err
	}
	fit := GLMFit{Theta: math.NaN(), ThetaSE: math.NaN()}
	if d.Family == NegBin {
		kernel.theta = math.Inf(1) // Poisson first
	}
	gamma, ev, err := kernel.solve(m, nil, &fit.Iterations)
	if err != nil {
		return GLMFit{}, err
	}
	if d.Family == NegBin {
		if gamma, ev, err = kernel.dispersed(m, gamma, &fit); err != nil {
			return GLMFit{}, err
		}
	}
	fit.Gradient = ev.score
	fit.Coef, fit.Cov = m.mapBack(gamma, ev.chol)
	fit.R = m.triangle(ev.chol)
	fit.Condition = equilibratedCondition(fit.R, m.K)
	if like := kernel.rows(m, fit.Coef, &fit); d.Family == Binomial {
		fit.LogLik, fit.Deviance = like, 2*(m.saturated-like)
	} else {
		fit.LogLik, fit.Deviance = kernel.likelihood(m, fit.Mean)
	}
	fit.NullDeviance, err = kernel.nullDeviance(m)
	return fit, err
}

// glmKernel is what a family adds to the Newton iteration.
type glmKernel struct {
	family GLMFamily
	link   Link
	offset []float64
	theta  float64
	start  bool // points are those of the first regression
	sized  bool // the outcome has been brought to unit size
	mean   float64
}

func newGLMKernel(d *GLMData) (*glmKernel, error) {
	links := GLMLinks(d.Family)
	if links == nil {
		return nil, fmt.Errorf("num: family %q is not binomial, poisson, negbin or gaussian", string(d.Family))
	}
	k := &glmKernel{family: d.Family, link: d.Link, offset: d.Offset}
	if k.link == "" {
		k.link = links[0]
	}
	known := false
	for _, l := range links {
		known = known || l == k.link
	}
	if !known {
		return nil, fmt.Errorf("num: link %q of family %s is none of %v", string(k.link), string(k.family), links)
	}
	return k, nil
}

// admit checks outcome and offset.
func (g *glmKernel) admit(m *logitModel) error {
	any := false
	for i, y := range m.Y {
		if m.Weight != nil && m.Weight[i] == 0 {
			continue
		}
		if g.offset != nil && (math.IsNaN(g.offset[i]) || math.IsInf(g.offset[i], 0)) {
			return fmt.Errorf("%w: offset of row %d is not a finite number", ErrDomain, i+1)
		}
		low, high := 0.0, math.MaxFloat64
		switch g.family {
		case Gaussian:
			low = -math.MaxFloat64
		case Binomial:
			high = 1
		}
		if !(y >= low && y <= high) {
			return fmt.Errorf("%w: outcome of row %d is not one of family %s", ErrDomain, i+1, g.family)
		}
		any = any || y > 0
	}
	g.mean = m.meanY
	if g.link == LogLink && !(m.meanY > 0) {
		if !any {
			return ErrSeparated
		}
		return fmt.Errorf("%w: the mean of the outcome is not above 0, which link log needs", ErrDomain)
	}
	if g.family == Binomial && m.constant >= 0 && (m.meanY == 0 || m.meanY == 1) {
		return ErrSeparated
	}
	return nil
}

// solve runs Newton's method; without a start from the first regression.
func (g *glmKernel) solve(m *logitModel, start []float64, steps *int) ([]float64, *logitEval, error) {
	if m.glm != nil && g.family == Gaussian && g.link == IdentityLink && !g.sized {
		return g.solveIdentity(m, steps)
	}
	if start == nil && m.glm == nil {
		start = m.warmStart()
	}
	if start == nil {
		g.start = true
		ev := m.eval(make([]float64, m.K))
		g.start = false
		if c := ev.factorise(m.K); c >= 0 {
			return nil, nil, &SingularColumn{Column: c}
		}
		start = ev.solve()
	}
	gamma, ev, iter, err := m.newton(append([]float64(nil), start...), 1e-13)
	*steps += iter
	return gamma, ev, err
}

// point is one row at its linear predictor (with offset): mean, score factor,
// expected information and the part of the log-likelihood that depends on it.
func (g *glmKernel) point(y, eta float64) (mu, score, info, like float64) {
	switch {
	case g.family == Binomial:
		p := g.link.at(eta)
		if y > 0 {
			score += float64(y * p.a)
			like += float64(y * p.logMu)
		}
		if y < 1 {
			score -= float64((1 - y) * p.b)
			like += float64((1 - y) * p.logQ)
		}
		return p.mu, score, float64(p.a * p.b), like
	case g.link == IdentityLink:
		r := y - eta
		return eta, r, 1, -r * r / 2
	}
	mu = math.Exp(eta)
	switch g.family {
	case Gaussian:
		r := y - mu
		return mu, r * mu, mu * mu, -r * r / 2
	case NegBin:
		if !math.IsInf(g.theta, 1) {
			f := 1 / (1 + mu/g.theta)
			if y > 0 {
				like = float64(y * eta)
			}
			return mu, (y - mu) * f, mu * f, like - float64((y+g.theta)*math.Log1p(mu/g.theta))
		}
	}
	if y > 0 {
		like = float64(y * eta)
	}
	return mu, y - mu, mu, like - mu
}

// first is the row of the regression that starts the iteration.
func (g *glmKernel) first(y, offset float64) (score, info, like float64) {
	var mu float64
	switch {
	case g.family == Binomial:
		mu = (y + g.mean) / 2
		if !(mu > 0 && mu < 1) {
			mu = (y + 0.5) / 2
		}
	case g.link == IdentityLink:
		mu = y
	case g.family == Gaussian:
		mu = math.Max(y, g.mean/10)
	default:
		mu = y + math.Min(0.1, g.mean)
	}
	eta := mu
	if g.link != IdentityLink {
		eta = g.link.of(mu)
		if g.link == LogLink {
			eta = math.Log(mu)
		}
	}
	_, _, info, _ = g.point(mu, eta)
	return info * (eta - offset), info, 0
}

func (g *glmKernel) points(m *logitModel, lo, hi int, b *logitBlock) float64 {
	var ll float64
	for r := range hi - lo {
		i := lo + r
		w, off := 1.0, 0.0
		if m.Weight != nil {
			w = m.Weight[i]
		}
		if w == 0 {
			b.r[r], b.w[r] = 0, 0
			continue
		}
		if g.offset != nil {
			off = g.offset[i]
		}
		var score, info, like float64
		if g.start {
			score, info, like = g.first(m.Y[i], off)
		} else {
			_, score, info, like = g.point(m.Y[i], b.eta[r]+off)
		}
		b.r[r], b.w[r] = float64(w*score), float64(w*info)
		ll += float64(w * like)
	}
	return ll
}

// separates: see [GLM]. A binomial outcome with an offset separates as without one.
func (g *glmKernel) separates(m *logitModel, direction []float64) bool {
	switch g.family {
	case Gaussian:
		return false
	case Binomial:
		plain := *m
		plain.glm = nil
		return plain.separates(direction)
	}
	k := m.K
	minPos, maxPos, minZero, maxZero := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	if m.constant < 0 {
		minPos, maxPos = 0, 0
	}
	for i, y := range m.Y {
		if m.Weight != nil && m.Weight[i] == 0 {
			continue
		}
		var s float64
		for j, x := range m.X[i*k : i*k+k] {
			if j != m.constant {
				s += float64(direction[j] * float64((x-m.centre[j])*m.scale[j]))
			}
		}
		if y > 0 {
			minPos, maxPos = math.Min(minPos, s), math.Max(maxPos, s)
		} else {
			minZero, maxZero = math.Min(minZero, s), math.Max(maxZero, s)
		}
	}
	spread := math.Max(maxPos, maxZero) - math.Min(minPos, minZero)
	tol := 1e-6 * spread
	return spread > 0 && maxPos-minPos <= tol && (maxZero <= maxPos+tol || minZero >= minPos-tol)
}
