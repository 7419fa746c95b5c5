package num

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
)

// SiteLogitData is what [SiteLogit] fits. Nothing in it is changed.
type SiteLogitData struct {
	N, K    int
	X       []float64 // N×K by rows, with a constant column
	Y       []float64 // N numbers, 0 or 1
	Site    []int32   // N numbers from 0 to Sites-1
	Sites   int
	Nodes   int // of the quadrature at each site; 1 = Laplace's approximation
	Workers int // < 1 = GOMAXPROCS; never changes the result
}

// SiteLogitFit is a maximum of the marginal likelihood.
type SiteLogitFit struct {
	Coef       []float64     // K, for the columns as given
	Cov        *mat.SymDense // K×K, of Coef: block of the inverse of the observed information of Coef and SD
	SD         float64       // of the sites' intercepts; 0 when that is where the likelihood is largest
	Effect     []float64     // of each site on the linear predictor: SD times its conditional mode
	LogLik     float64
	NullLogLik float64 // of the same columns without sites
	Gradient   float64 // largest |derivative| per row, columns at unit scale
	Iterations int
}

// SiteLogit fits a logistic model with a random intercept by site,
//
//	P(y=1 | x, b) = logistic(x'β + σ·b_site),   b ~ N(0, 1),
//
// by maximum of the marginal likelihood in (β, σ). With f(b) = Σ log P(yᵢ | xᵢ, b) - b²/2,
// its maximum b̂, D = -f”(b̂) and b_q = b̂ + √(2/D)·z_q, a site's marginal likelihood is
//
//	D^(-½)·π^(-½)·Σ_q ω_q exp(z_q²)·exp f(b_q)
//
// with Gauss-Hermite nodes z_q and weights ω_q: adaptive quadrature, and for one node
// Laplace's approximation D^(-½)·exp f(b̂). Newton steps, halved until they go up, with the
// analytic gradient (which follows b̂ and D) and its central differences as Hessian.
//
// Errors: those of [Logit] for the columns without sites; [ErrNoConvergence].
// Sources: Pinheiro and Bates (1995), J. Comput. Graph. Stat. 4; Bates et al. (2015),
// J. Stat. Softw. 67(1).
func SiteLogit(ctx context.Context, d SiteLogitData) (*SiteLogitFit, error) {
	if len(d.Site) != d.N || d.Sites < 1 || d.Nodes < 1 {
		panic("num: SiteLogit with data of inconsistent lengths")
	}
	m, err := newLogitModel(LogitData{N: d.N, K: d.K, X: d.X, Y: d.Y, Link: LogitLink, Workers: d.Workers})
	if err != nil {
		return nil, err
	}
	if m.constant < 0 {
		panic("num: SiteLogit without a constant column")
	}
	start, ev, _, err := m.newton(m.coldStart(), 1e-10)
	if err != nil {
		return nil, err
	}
	s := newSiteModel(m, d)
	theta := append(start, 0.5)
	theta, at, cov, steps, err := s.climb(ctx, theta)
	if err != nil {
		return nil, err
	}
	fit := &SiteLogitFit{LogLik: at.value, NullLogLik: ev.loglik, SD: math.Abs(theta[d.K]), Iterations: steps, Gradient: at.size(d.N), Effect: make([]float64, d.Sites)}
	if fit.SD < 1e-4 {
		fit.SD = 0
	}
	for j, b := range s.mode {
		fit.Effect[j] = theta[d.K] * b
		if fit.SD == 0 {
			fit.Effect[j] = 0
		}
	}
	fit.Coef, fit.Cov = m.original(theta[:d.K], cov)
	return fit, nil
}

// original maps coefficients of the centred, scaled columns and their covariance to
// those of the columns as given.
func (m *logitModel) original(gamma []float64, cov *mat.Dense) ([]float64, *mat.SymDense) {
	k := m.K
	t := mat.NewDense(k, k, nil)
	for j := range k {
		t.Set(j, j, m.scale[j])
		if j != m.constant {
			t.Set(m.constant, j, -float64(m.scale[j]*m.centre[j])*m.scale[m.constant])
		}
	}
	var half, full mat.Dense
	half.Mul(t, cov.Slice(0, k, 0, k))
	full.Mul(&half, t.T())
	coef, out := make([]float64, k), mat.NewSymDense(k, nil)
	for i := range k {
		coef[i] = Dot(t.RawRowView(i), gamma)
		for j := i; j < k; j++ {
			out.SetSym(i, j, (full.At(i, j)+full.At(j, i))/2)
		}
	}
	return coef, out
}

// siteModel is the data by site.
type siteModel struct {
	k       int
	n       int
	z       []float64 // rows by site, columns centred and scaled
	y       []float64
	from    []int // first row of each site, and the end
	mode    []float64
	nodes   []float64
	logs    []float64 // log weight + node²
	workers int
}

func newSiteModel(m *logitModel, d SiteLogitData) *siteModel {
	s := &siteModel{k: d.K, n: d.N, from: make([]int, d.Sites+1), mode: make([]float64, d.Sites), workers: d.Workers,
		z: make([]float64, d.N*d.K), y: make([]float64, d.N), nodes: make([]float64, d.Nodes), logs: make([]float64, d.Nodes)}
	for _, j := range d.Site {
		s.from[j+1]++
	}
	for j := range d.Sites {
		s.from[j+1] += s.from[j]
	}
	next := append([]int(nil), s.from...)
	for i, site := range d.Site {
		r := next[site]
		next[site]++
		s.y[r] = d.Y[i]
		for j := range d.K {
			s.z[r*d.K+j] = 1
			if j != m.constant {
				s.z[r*d.K+j] = (d.X[i*d.K+j] - m.centre[j]) * m.scale[j]
			}
		}
	}
	weights := make([]float64, d.Nodes)
	quad.Hermite{}.FixedLocations(s.nodes, weights, math.Inf(-1), math.Inf(1))
	if d.Nodes%2 == 1 {
		s.nodes[d.Nodes/2] = 0
	}
	for q, w := range weights {
		s.logs[q] = math.Log(w) + float64(s.nodes[q]*s.nodes[q])
	}
	return s
}

// sitePoint is the marginal log-likelihood with its gradient in (γ, σ).
type sitePoint struct {
	value float64
	grad  []float64
}

func (p sitePoint) size(n int) float64 {
	worst := 0.0
	for _, g := range p.grad {
		worst = math.Max(worst, math.Abs(g)/float64(n))
	}
	return worst
}

// climb finds the maximum and the inverse of the information there.
func (s *siteModel) climb(ctx context.Context, theta []float64) ([]float64, sitePoint, *mat.Dense, int, error) {
	const most, tol = 100, 1e-11
	at := s.eval(theta)
	var chol *mat.Cholesky
	fresh := false
	for step := range most {
		if err := ctx.Err(); err != nil {
			return nil, at, nil, step, err
		}
		size := at.size(s.n)
		if size <= tol {
			var inverse mat.SymDense
			last, definite := s.information(theta, false)
			if !definite {
				break
			}
			if err := last.InverseTo(&inverse); err != nil {
				break
			}
			return theta, at, mat.DenseCopyOf(&inverse), step, nil
		}
		if chol == nil {
			chol, _ = s.information(theta, true)
			fresh = true
		}
		var move mat.VecDense
		if err := chol.SolveVecTo(&move, mat.NewVecDense(len(at.grad), at.grad)); err != nil {
			break
		}
		moved := false
		for t := 1.0; t > 1e-9; t /= 2 {
			next := make([]float64, len(theta))
			for j := range next {
				next[j] = theta[j] + float64(t*move.AtVec(j))
			}
			p := s.eval(next)
			if g := p.size(s.n); p.value > at.value && (t < 1 || fresh || g < size/2) || g < size/2 && p.value >= at.value-1e-11*math.Abs(at.value) {
				moved = true
				if g > size/5 {
					chol = nil // the information has changed
				}
				theta, at = next, p
				break
			}
			if !fresh {
				break
			}
		}
		if !moved {
			if fresh {
				if at.size(s.n) <= 1e-8 {
					if last, definite := s.information(theta, false); definite {
						var inverse mat.SymDense
						if last.InverseTo(&inverse) == nil {
							return theta, at, mat.DenseCopyOf(&inverse), step, nil
						}
					}
				}
				break
			}
			chol = nil
		}
		fresh = false
	}
	return nil, at, nil, most, fmt.Errorf("%w: largest derivative of the marginal likelihood %.3g a row", ErrNoConvergence, at.size(s.n))
}

// information factorises minus the Hessian, from central differences of the gradient;
// with mend a multiple of its diagonal is added until it is positive definite.
func (s *siteModel) information(theta []float64, mend bool) (*mat.Cholesky, bool) {
	const h = 1e-4
	k := len(theta)
	full := mat.NewDense(k, k, nil)
	for j := range k {
		move := append([]float64(nil), theta...)
		move[j] = theta[j] + h
		up := s.eval(move)
		move[j] = theta[j] - h
		down := s.eval(move)
		for i := range k {
			full.Set(i, j, (down.grad[i]-up.grad[i])/(2*h))
		}
	}
	s.eval(theta) // the modes are those of theta again
	sym := mat.NewSymDense(k, nil)
	for i := range k {
		for j := i; j < k; j++ {
			sym.SetSym(i, j, (full.At(i, j)+full.At(j, i))/2)
		}
	}
	var chol mat.Cholesky
	if chol.Factorize(sym) {
		return &chol, true
	}
	if !mend {
		return nil, false
	}
	for add := 1e-3; ; add *= 10 {
		better := mat.NewSymDense(k, nil)
		better.CopySym(sym)
		for i := range k {
			better.SetSym(i, i, sym.At(i, i)+add*(math.Abs(sym.At(i, i))+1e-6*float64(s.n)))
		}
		if chol.Factorize(better) {
			return &chol, true
		}
		if add > 1e12 {
			panic("num: an information that no diagonal mends")
		}
	}
}
