package effect

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Outcome models of the estimators that have one.
const (
	LinearOutcome   = "linear"
	LogisticOutcome = "logistic"
)

// design fills x with a constant and the covariates that do not depend on those
// before them; the others are named in a note.
func (c *causal) design() error {
	f := c.frame
	c.names = append([]string{"(intercept)"}, f.XNames...)
	if f.X == nil {
		c.names = c.names[:1]
	}
	c.k = len(c.names)
	c.x = make([]float64, c.n*c.k)
	for i, r := range c.rows {
		c.x[i*c.k] = 1
		if c.k > 1 {
			copy(c.x[i*c.k+1:(i+1)*c.k], f.X.RawRowView(r))
		}
	}
	if c.k == 1 {
		return nil
	}
	kept, collinear, condition, err := num.Rank(num.LsqData{N: c.n, K: c.k, X: c.x, Y: c.y, Workers: c.workers})
	if err != nil {
		return err
	}
	if condition > 1e8 {
		c.notes = append(c.notes, table.Note{Code: "ill-conditioned",
			Text: fmt.Sprintf("The columns are nearly collinear (condition number %.1e): about %.0f of 16 digits of the data are lost.", condition, math.Log10(condition)),
			Args: map[string]any{"condition": condition}})
	}
	if len(collinear) == 0 {
		return nil
	}
	gone, names := []string{}, []string{}
	for _, j := range collinear {
		gone = append(gone, c.names[j])
	}
	for _, j := range kept {
		names = append(names, c.names[j])
	}
	c.notes = append(c.notes, table.Note{Code: "collinear-dropped",
		Text: fmt.Sprintf("%d columns depend linearly on columns before them and are not used: %s.", len(gone), strings.Join(gone, ", ")),
		Args: map[string]any{"columns": gone, "count": len(gone)}})
	x := make([]float64, 0, c.n*len(names))
	for i := range c.n {
		for _, j := range kept {
			x = append(x, c.x[i*c.k+j])
		}
	}
	c.x, c.names, c.k = x, names, len(names)
	return nil
}

func (c *causal) row(i int) []float64 { return c.x[i*c.k : (i+1)*c.k] }

// linearPredictor returns x'b of every row.
func (c *causal) linearPredictor(b []float64) []float64 {
	out := make([]float64, c.n)
	num.ForChunks(c.n, c.workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			var s float64
			for j, v := range c.row(i) {
				s += float64(v * b[j])
			}
			out[i] = s
		}
	})
	return out
}

// model is a generalised linear model with its canonical link: its coefficients have
// the influence B⁻¹·weight·(y-μ)·x of a row, B = Σ weight·μ'·xx'.
type model struct {
	coef    []float64
	inverse *mat.SymDense // B⁻¹
	weight  []float64     // of its rows; 0 for a row that is none of its own
	y       []float64
	eta, mu []float64 // of every row
	dmu     []float64 // dμ/dη of every row; nil = 1
}

// errModel says what is wrong with a model in the words of the data.
func (c *causal) errModel(what string, err error) error {
	var singular *num.SingularColumn
	switch {
	case errors.As(err, &singular):
		return fmt.Errorf("%w: %s: column %q is a combination of the columns before it; leave it out", estimate.ErrNotIdentified, what, c.names[singular.Column])
	case errors.Is(err, num.ErrSeparated):
		return fmt.Errorf("%w: %s: a combination of the covariates tells its 0 and 1 apart; use fewer or coarser covariates", estimate.ErrSeparated, what)
	case errors.Is(err, num.ErrNoConvergence):
		return fmt.Errorf("%w: %s: %w", estimate.ErrNotConverged, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// part returns outcome, covariates and weights of the rows of positive weight.
func (c *causal) part(y, weight []float64) (n int, px, py, pw []float64) {
	for _, w := range weight {
		if w > 0 {
			n++
		}
	}
	if n == c.n {
		return n, c.x, y, weight
	}
	px, py, pw = make([]float64, 0, n*c.k), make([]float64, 0, n), make([]float64, 0, n)
	for i, w := range weight {
		if w > 0 {
			px, py, pw = append(px, c.row(i)...), append(py, y[i]), append(pw, w)
		}
	}
	return n, px, py, pw
}

// logistic fits P(y) on the rows of positive weight.
func (c *causal) logistic(what string, y, weight []float64) (*model, error) {
	n, px, py, pw := c.part(y, weight)
	fit, err := num.Logit(num.LogitData{N: n, K: c.k, X: px, Y: py, Weight: pw, Workers: c.workers})
	if err != nil {
		return nil, c.errModel(what, err)
	}
	c.iterated = max(c.iterated, fit.Iterations)
	m := &model{coef: fit.Coef, inverse: fit.Cov, weight: weight, y: y, eta: c.linearPredictor(fit.Coef)}
	m.mu, m.dmu = make([]float64, c.n), make([]float64, c.n)
	for i, e := range m.eta {
		m.mu[i] = num.LogitLink.Mean(e)
		m.dmu[i] = m.mu[i] * num.LogitLink.Mean(-e)
	}
	return m, nil
}

// linear fits E(y) on the rows of positive weight.
func (c *causal) linear(what string, y, weight []float64) (*model, error) {
	n, px, py, pw := c.part(y, weight)
	fit, err := num.LeastSquares(num.LsqData{N: n, K: c.k, X: px, Y: py, Weight: pw, Workers: c.workers})
	if err != nil {
		return nil, c.errModel(what, err)
	}
	eta := c.linearPredictor(fit.Coef)
	return &model{coef: fit.Coef, inverse: fit.Inverse, weight: weight, y: y, eta: eta, mu: eta}, nil
}

// allWeights returns the rows' weights, 0 where use is false; nil use is all rows.
func (c *causal) allWeights(use func(i int) bool) []float64 {
	out := make([]float64, c.n)
	for i := range out {
		if use == nil || use(i) {
			out[i] = c.w(i)
		}
	}
	return out
}

// propensity models treatment on the rows that use names.
func (c *causal) propensity(use func(i int) bool) (*model, error) {
	a := make([]float64, c.n)
	for i, t := range c.treated {
		a[i] = float64(index(t))
	}
	return c.outcomeModel("the model of treatment", LogisticOutcome, a, c.allWeights(use))
}

// outcomeModel fits y on the rows of positive weight.
func (c *causal) outcomeModel(what, kind string, y, weight []float64) (*model, error) {
	switch {
	case c.learner != nil && c.k > 1:
		return c.learner.fit(what, kind == LogisticOutcome, y, weight)
	case kind == LogisticOutcome:
		return c.logistic(what, y, weight)
	}
	return c.linear(what, y, weight)
}

// outcome models y in one arm, on the rows that use names.
func (c *causal) outcome(kind string, y []float64, arm int, use func(i int) bool) (*model, error) {
	weight := c.allWeights(func(i int) bool { return index(c.treated[i]) == arm && (use == nil || use(i)) })
	what := "the outcome model of the comparison units"
	if arm == 1 {
		what = "the outcome model of the treated"
	}
	return c.outcomeModel(what, kind, y, weight)
}

// outcomeKind settles the outcome model: logistic for an outcome of 0 and 1.
func (c *causal) outcomeKind(kind string) (string, error) {
	switch kind {
	case "":
		if c.binary {
			return LogisticOutcome, nil
		}
		return LinearOutcome, nil
	case LogisticOutcome:
		if !c.binary {
			return "", fmt.Errorf("%w: a logistic outcome model needs an outcome of 0 and 1", ErrOption)
		}
	case LinearOutcome:
	default:
		return "", fmt.Errorf("%w: outcome model %q; known are linear and logistic", ErrOption, kind)
	}
	return kind, nil
}

// gradient returns Σ g(i)·x over the rows: the derivative of a mean with respect to a
// model's coefficients, from that with respect to its linear predictor.
func (c *causal) gradient(g func(i int) float64) []float64 {
	return num.SumChunks(c.n, c.k, c.workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			if v := g(i); v != 0 {
				for j, x := range c.row(i) {
					acc[j] += float64(v * x)
				}
			}
		}
	})
}

// carry adds to phi what a mean with derivative d by the model's coefficients owes to
// their being estimated: d'B⁻¹·weight·(y-μ)·x.
func (c *causal) carry(phi []float64, m *model, d []float64) {
	v := make([]float64, c.k)
	for i := range v {
		for j := range v {
			v[i] += float64(m.inverse.At(i, j) * d[j])
		}
	}
	num.ForChunks(c.n, c.workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			if m.weight[i] == 0 {
				continue
			}
			var s float64
			for j, x := range c.row(i) {
				s += float64(v[j] * x)
			}
			phi[i] += float64(s * float64(m.weight[i]*(m.y[i]-m.mu[i])))
		}
	})
}

// sum returns Σ v(i) over the rows in fixed chunks.
func (c *causal) sum(v func(i int) float64) float64 {
	return num.SumChunks(c.n, 1, c.workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			acc[0] += v(i)
		}
	})[0]
}
