package num

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Errors of the fits in this package. Test with [errors.Is].
var (
	ErrSeparated     = errors.New("num: the columns separate the outcomes, so that no finite coefficients exist")
	ErrSingular      = errors.New("num: collinear column")
	ErrNoConvergence = errors.New("num: no convergence")
	ErrDomain        = errors.New("num: value outside the domain of the method")
)

// SingularColumn is an [ErrSingular] that says which column (from 0) is a linear
// combination of those before it.
type SingularColumn struct{ Column int }

func (e *SingularColumn) Error() string {
	return fmt.Sprintf("num: column %d is a linear combination of the columns before it", e.Column)
}

// Unwrap makes the error an [ErrSingular].
func (e *SingularColumn) Unwrap() error { return ErrSingular }

// SeparatingColumns is an [ErrSeparated] that says which columns (from 0) make up the
// combination along which the likelihood rises for ever.
type SeparatingColumns struct{ Columns []int }

func (e *SeparatingColumns) Error() string {
	return fmt.Sprintf("%v (columns %v)", ErrSeparated, e.Columns)
}

// Unwrap makes the error an [ErrSeparated].
func (e *SeparatingColumns) Unwrap() error { return ErrSeparated }

// LogitData is what [Logit] fits. Nothing in it is changed.
type LogitData struct {
	N, K    int
	X       []float64 // N×K by rows; the caller includes an intercept column if one is wanted
	Y       []float64 // N numbers from 0 to 1
	Weight  []float64 // N numbers ≥ 0; nil = all 1. A row of weight 0 is left out of the fit
	Link    Link      // "" = logit
	Workers int       // < 1 = GOMAXPROCS; never changes the result
	glm     *glmKernel
}

// LogitFit is a maximum of the binomial likelihood.
type LogitFit struct {
	Coef []float64     // K, for the columns as given
	Cov  *mat.SymDense // K×K inverse of the expected information X'WX at Coef
	// LogLik is Σ w·(y·log μ + (1-y)·log(1-μ)). Deviance is twice the distance to
	// the saturated model; NullDeviance is that of the constant mean when X has a
	// constant column and of a linear predictor of 0 when it has none.
	LogLik, Deviance, NullDeviance float64
	Iterations                     int
	// Gradient is the largest |score|/information over the columns, centred and
	// scaled to unit size: about the remaining error of a coefficient per SD.
	Gradient float64
	Fitted   []float64 // N probabilities, rows of weight 0 too
}

// Logit finds the maximum-likelihood coefficients of a binary regression,
// P(y=1|x) = μ(x'β), by Newton's method with expected information (iteratively
// reweighted least squares) and step halving:
//
//	β ← β + (X'WX)⁻¹ X's,  W = w·μ'²/(μ(1-μ)),  s = w·(y-μ)·μ'/(μ(1-μ))
//
// Columns are centred (when a constant column can absorb it) and scaled by powers
// of two inside, and the coefficients mapped back, so that a column's unit costs no
// digits. It stops when every scaled score is below 1e-13 and the next step would
// move no linear predictor by 1e-6; 50 steps (200 for probit and cloglog) without
// that is an [ErrNoConvergence].
//
// A fit without a finite maximum gives [ErrSeparated] and a column that depends on
// those before it a [*SingularColumn]; neither gives numbers. A value that is not
// finite, an outcome outside [0,1] or a negative weight gives [ErrDomain].
// The result has the same bits for any Workers.
func Logit(d LogitData) (LogitFit, error) {
	if d.N < 0 || d.K < 1 || len(d.X) != d.N*d.K || len(d.Y) != d.N || (d.Weight != nil && len(d.Weight) != d.N) {
		panic("num: Logit with data of inconsistent lengths")
	}
	link, err := d.Link.check()
	if err != nil {
		return LogitFit{}, err
	}
	d.Link = link
	m, err := newLogitModel(d)
	if err != nil {
		return LogitFit{}, err
	}
	gamma, ev, iter, err := m.newton(m.warmStart(), 1e-13)
	if err != nil {
		return LogitFit{}, err
	}
	fit := LogitFit{Iterations: iter, Fitted: m.fitted, LogLik: ev.loglik, Gradient: ev.score}
	fit.Deviance = 2 * (m.saturated - ev.loglik)
	fit.NullDeviance = 2 * (m.saturated - m.nullLogLik())
	fit.Coef, fit.Cov = m.mapBack(gamma, ev.chol)
	return fit, nil
}

// newton climbs from gamma (centred and scaled coefficients) to the maximum.
func (m *logitModel) newton(gamma []float64, tol float64) ([]float64, *logitEval, int, error) {
	maxIter := 50
	if m.Link != LogitLink || m.glm != nil {
		maxIter = 200
	}
	ev := m.eval(gamma)
	for iter := 0; ; iter++ {
		if column := ev.factorise(m.K); column >= 0 {
			return nil, nil, iter, m.whySingular(column, gamma, ev)
		}
		step := ev.solve()
		move := 0.0
		for j, s := range step {
			move += math.Abs(s) * m.reach[j]
		}
		if ev.score <= tol && move <= 1e-6 {
			// The step is in hand and Newton's method is quadratic: taking it costs nothing
			// and moves the sums, evaluated before it, by less than their rounding.
			for j, s := range step {
				gamma[j] += s
			}
			return gamma, ev, iter, nil
		}
		if iter >= maxIter {
			return nil, nil, iter, m.whyStuck(step, gamma, ev)
		}
		if iter >= 10 && iter%4 == 2 && move > 1e-3 && m.separates(step) {
			return nil, nil, iter, m.separated(step)
		}
		next := make([]float64, m.K)
		accepted := false
		for half := 1.0; half > 1e-9; half /= 2 {
			for j := range next {
				next[j] = gamma[j] + float64(half*step[j])
			}
			// The slack is the rounding of the sum: near the maximum steps change nothing else.
			if e := m.eval(next); e.loglik >= ev.loglik-1e-12*(1+math.Abs(ev.loglik)) {
				gamma, ev, accepted = next, e, true
				break
			}
		}
		if !accepted {
			return nil, nil, iter, m.whyStuck(step, gamma, ev)
		}
	}
}

// whySingular tells a collinear column from information that has run out because
// the coefficients went to infinity: at constant weights only the first is singular.
func (m *logitModel) whySingular(column int, gamma []float64, ev *logitEval) error {
	cold := m.eval(m.coldStart())
	if c := cold.factorise(m.K); c >= 0 {
		return &SingularColumn{Column: c}
	}
	// The direction without information is the one along which the fit ran away.
	if d := ev.nullDirection(column); m.separates(d) {
		return m.separated(d)
	}
	if m.separates(gamma) {
		return m.separated(gamma)
	}
	return fmt.Errorf("%w: the information is singular at a point that the start does not explain; the columns nearly separate the outcomes", ErrNoConvergence)
}

func (m *logitModel) whyStuck(step, gamma []float64, ev *logitEval) error {
	if m.separates(step) {
		return m.separated(step)
	}
	if m.separates(gamma) {
		return m.separated(gamma)
	}
	return fmt.Errorf("%w: largest scaled score %.3g", ErrNoConvergence, ev.score)
}

// separated names the columns of which a separating direction has more than a
// thousandth of its largest part.
func (m *logitModel) separated(direction []float64) error {
	largest := 0.0
	for j, d := range direction {
		if j != m.constant {
			largest = math.Max(largest, math.Abs(d)*m.reach[j])
		}
	}
	e := &SeparatingColumns{}
	for j, d := range direction {
		if j != m.constant && math.Abs(d)*m.reach[j] > 1e-3*largest {
			e.Columns = append(e.Columns, j)
		}
	}
	return e
}

// warmStart is the fit to every n-th row of many, which saves half of the passes over
// all of them. It only moves the start, so that its failure is not the whole fit's.
func (m *logitModel) warmStart() []float64 {
	if sub := m.thin(); sub != nil {
		if g, _, _, err := sub.newton(sub.coldStart(), 1e-6); err == nil {
			return g
		}
	}
	return m.coldStart()
}

// coldStart is the constant mean, or 0 when there is no constant column.
func (m *logitModel) coldStart() []float64 {
	g := make([]float64, m.K)
	if m.constant >= 0 {
		g[m.constant] = m.Link.of(m.meanY)
	}
	return g
}

func (m *logitModel) nullLogLik() float64 {
	p := m.Link.Mean(0)
	if m.constant >= 0 {
		p = m.meanY
	}
	return m.sumW * (float64(m.meanY*math.Log(p)) + float64((1-m.meanY)*math.Log1p(-p)))
}

// mapBack turns coefficients and information of the centred, scaled columns into
// those of the columns as given: β = Tγ, Cov β = T·Cov γ·T'.
func (m *logitModel) mapBack(gamma []float64, chol []float64) ([]float64, *mat.SymDense) {
	k := m.K
	t := mat.NewDense(k, k, nil)
	for j := range k {
		t.Set(j, j, m.scale[j])
		if m.constant >= 0 && j != m.constant {
			t.Set(m.constant, j, -float64(m.scale[j]*m.centre[j])*m.scale[m.constant])
		}
	}
	// T·L⁻ᵀ: its rows' inner products are the covariance, symmetric by construction.
	half := mat.NewDense(k, k, nil)
	row := make([]float64, k)
	for i := range k {
		copy(row, t.RawRowView(i))
		forwardSolve(chol, k, row)
		half.SetRow(i, row)
	}
	coef := make([]float64, k)
	cov := mat.NewSymDense(k, nil)
	for i := range k {
		coef[i] = Dot(t.RawRowView(i), gamma)
		for j := 0; j <= i; j++ {
			cov.SetSym(i, j, Dot(half.RawRowView(i), half.RawRowView(j)))
		}
	}
	return coef, cov
}

// triangle is R of the columns as given from the factor L of the information of those
// centred and scaled: L'T⁻¹ made upper triangular again.
func (m *logitModel) triangle(chol []float64) []float64 {
	k := m.K
	a := make([]float64, k*k) // by columns
	for j := range k {
		for i := 0; i <= j; i++ {
			a[j*k+i] = chol[j*k+i] / m.scale[j]
		}
		if m.constant >= 0 && j != m.constant {
			for i := 0; i <= m.constant; i++ {
				a[j*k+i] += float64(chol[m.constant*k+i] * m.centre[j])
			}
		}
	}
	householder(a, k, k, k, dotDD)
	_, r := dropCollinear(rows(a, k, k), k, 0)
	return r
}

// forwardSolve overwrites b with L⁻¹b for a k×k lower triangle stored by rows.
func forwardSolve(l []float64, k int, b []float64) {
	for i := range k {
		s := b[i]
		for j := range i {
			s -= float64(l[i*k+j] * b[j])
		}
		b[i] = s / l[i*k+i]
	}
}

// backSolve overwrites b with L⁻ᵀb.
func backSolve(l []float64, k int, b []float64) {
	for i := k - 1; i >= 0; i-- {
		s := b[i]
		for j := i + 1; j < k; j++ {
			s -= float64(l[j*k+i] * b[j])
		}
		b[i] = s / l[i*k+i]
	}
}
