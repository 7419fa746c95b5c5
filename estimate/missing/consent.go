package missing

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Consent gives weights by the inverse probability of being known: of having consented,
// answered or left an identity. Given covariates that are known for everybody,
//
//	p = Λ(x'γ) by maximum likelihood,  w = 1/p for those who are known
//
// so that the known stand for all who share their covariates. It assumes that, given x,
// who is known has nothing to do with the outcome (missing at random), and that everybody
// had some chance. Weights of the frame multiply the likelihood; Weight holds w alone.
//
// f.Y is 1 for the known and 0 for the others, f.X the covariates. [ConsentFit.Adjust]
// carries the estimation of γ into the influence of a weighted estimate.
//
// Errors: [ErrOption] (cap), [estimate.ErrInvalidFrame] (Y not 0 or 1), [ErrConstant] (everybody or nobody known, with
// covariates), [estimate.ErrCollinear], [estimate.ErrSeparated], [estimate.ErrNotConverged].
//
// Source: Seaman and White (2013), Statistical Methods in Medical Research 22(3):278–295.
type Consent struct {
	// Cap is the largest weight; larger ones are set to it, with the note "consent-capped".
	// 0 means none.
	Cap     float64
	Workers int
}

// ConsentFit are the weights and what they come from, by row of the frame.
type ConsentFit struct {
	P         []float64 // probability of being known
	Weight    []float64 // 1/P for the known, 0 for the others
	Known     int
	Effective float64            // (Σw)²/Σw² of the known
	Coef      map[string]float64 // of the model, with "(intercept)"
	Notes     []table.Note
	x         []float64 // n×k, of the model
	y, w      []float64 // known, weight of the frame
	k         int
	capped    bool
}

// Fit estimates the weights.
func (o Consent) Fit(ctx context.Context, f *estimate.Frame) (*ConsentFit, error) {
	c, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("consent weights: %w", err)
	}
	return c, nil
}

func (o Consent) fit(ctx context.Context, f *estimate.Frame) (*ConsentFit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	if o.Cap != 0 && !(o.Cap >= 1) {
		return nil, fmt.Errorf("%w: the largest weight must be at least 1", ErrOption)
	}
	n, k := len(f.Y), 1+len(f.XNames)
	c := &ConsentFit{Weight: make([]float64, n), Coef: map[string]float64{}, k: k}
	for i, y := range f.Y {
		if y != 0 && y != 1 {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: known is 1 or 0", estimate.ErrInvalidFrame)}
		}
		c.Known += int(y)
	}
	if c.Known == 0 || c.Known == n {
		return nil, fmt.Errorf("%w: everybody is known or nobody is, so that there is nothing to weight", ErrConstant)
	}
	x := make([]float64, n*k)
	for i := range n {
		x[i*k] = 1
		if k > 1 {
			copy(x[i*k+1:(i+1)*k], f.X.RawRowView(i))
		}
	}
	fit, err := num.Logit(num.LogitData{N: n, K: k, X: x, Y: f.Y, Weight: f.Weight.Values, Workers: o.Workers})
	if err != nil {
		return nil, consentError(err, f.XNames)
	}
	c.P = fit.Fitted
	names := append([]string{"(intercept)"}, f.XNames...)
	for j, b := range fit.Coef {
		c.Coef[names[j]] = b
	}
	var sum, squares float64
	capped := 0
	c.x, c.y, c.w = x, f.Y, f.Weight.Values
	for i, y := range f.Y {
		if y == 0 {
			continue
		}
		c.Weight[i] = 1 / c.P[i]
		if o.Cap > 0 && c.Weight[i] > o.Cap {
			c.Weight[i] = o.Cap
			capped++
		}
		sum += c.Weight[i]
		squares += float64(c.Weight[i] * c.Weight[i])
	}
	c.Effective = sum * sum / squares
	c.capped = capped > 0
	c.Notes = append(c.Notes, table.Note{Code: "consent-weighted", Args: map[string]any{"rows": n - c.Known, "all": n},
		Text: fmt.Sprintf("%d of %d rows are not known; weights let those who are known stand for them. That holds if, given the covariates, being known has nothing to do with the outcome.", n-c.Known, n)})
	if capped > 0 {
		c.Notes = append(c.Notes, table.Note{Code: "consent-capped", Args: map[string]any{"rows": capped},
			Text: fmt.Sprintf("%d weights are larger than allowed and were cut: the people they stand for count too little.", capped)})
	}
	return c, nil
}

// consentError names the columns.
func consentError(err error, names []string) error {
	var one *num.SingularColumn
	var sep *num.SeparatingColumns
	switch {
	case errors.As(err, &one) && one.Column > 0:
		return fmt.Errorf("%w: %q depends on the columns before it", estimate.ErrCollinear, names[one.Column-1])
	case errors.As(err, &sep):
		var who []string
		for _, j := range sep.Columns {
			if j > 0 {
				who = append(who, names[j-1])
			}
		}
		return fmt.Errorf("%w: %q tell exactly who is known", estimate.ErrSeparated, who)
	case errors.Is(err, num.ErrSeparated):
		return fmt.Errorf("%w: the covariates tell exactly who is known", estimate.ErrSeparated)
	}
	return modelError(err)
}

// Adjust carries the estimation of the weights into the influence (n×q, divided by n, rows
// as in the frame, 0 for those who are not known) of an estimate that was made with them,
// times the weights b of the frame, as if they were known beforehand. As every estimate that
// solves Σ b·w·u = 0 moves by Σ_j φ_j·∂log w_j/∂γ with γ,
//
//	φ_i − d'H⁻¹s_i,  d = Σ_j (1 − p_j)·φ_j·x_j,  H = Σ_j b_j·p_j(1 − p_j)·x_j·x_j',  s_i = b_i·(y_i − p_i)·x_i
//
// Without b the term is the projection of φ on the scores, and estimated weights make the error
// smaller, not larger (Robins, Rotnitzky and Zhao 1994; Henmi and Eguchi 2004). It is not
// defined for capped weights: [ErrOption].
func (c *ConsentFit) Adjust(influence *mat.Dense) (*mat.Dense, error) {
	n, q := influence.Dims()
	switch {
	case n != len(c.P):
		return nil, fmt.Errorf("consent weights: %w: influence of %d rows for %d", ErrOption, n, len(c.P))
	case c.capped:
		return nil, fmt.Errorf("consent weights: %w: the error of capped weights is not known; treat them as known beforehand", ErrOption)
	}
	out := mat.NewDense(n, q, nil)
	z, v := make([]float64, n), make([]float64, n)
	for i, p := range c.P {
		if v[i] = float64(p * (1 - p)); c.w != nil {
			v[i] *= c.w[i]
		}
	}
	for j := range q {
		// H⁻¹d is least squares, with weights b·p(1 − p), of φ/(b·p).
		for i, p := range c.P {
			if z[i] = influence.At(i, j) / p; c.w != nil && c.w[i] > 0 {
				z[i] /= c.w[i]
			}
		}
		fit, err := num.LeastSquares(num.LsqData{N: n, K: c.k, X: c.x, Y: z, Weight: v, DropCollinear: true, Workers: 1})
		if err != nil {
			return nil, fmt.Errorf("consent weights: %w", modelError(err))
		}
		for i, p := range c.P {
			s := c.y[i] - p
			if c.w != nil {
				s *= c.w[i]
			}
			out.Set(i, j, influence.At(i, j)-float64(s*(z[i]-fit.Residual[i])))
		}
	}
	return out, nil
}

// SE is the standard error of an influence column: √Σφ².
func SE(influence *mat.Dense, column int) float64 {
	n, _ := influence.Dims()
	var s float64
	for i := range n {
		v := influence.At(i, column)
		s += float64(v * v)
	}
	return math.Sqrt(s)
}
