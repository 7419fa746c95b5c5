package sensitivity

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// The scales of the numbers of [Calibration] beside that of the effect.
const (
	SystematicError estimate.Measure = "systematic-error"
	ErrorSpread     estimate.Measure = "systematic-error-sd"
	ExpectedError   estimate.Measure = "expected-absolute-error"
)

// Fewest is how many negative controls a calibration needs.
const Fewest = 5

// Control is a negative control: an estimate, by the design of the claimed effect, of
// something that the measure cannot have changed.
type Control struct {
	Name         string
	Estimate, SE float64
	DF           float64 // of its own test; 0 means the normal distribution
}

// Calibration corrects an effect for systematic error of the kind that negative controls
// show. With y the K controls' estimates, Σ their sampling covariance, b₁ … b_K and b₀
// (of the claimed effect θ̂) independent N(μ, τ²),
//
//	y = b + e, e ~ N(0, Σ);  V = Σ + τ²I,  a = V⁻¹1/(1'V⁻¹1),  μ̂ = a'y
//	plug-in:     θ̂ - μ̂ ± z·√(se² + τ̂²), μ̂ and τ̂ by maximum likelihood
//	calibrated:  θ̂ - μ̂ ± t_df·√v,  v = se² + u - 2a'c,  u = τ̂² + a'Va,
//	             df = v²/(u²/(K-1) + se⁴/DF), τ̂ by restricted likelihood
//
// The plug-in form is the published one; it takes μ and τ as known and covers too little
// with few controls, which is why the other stands beside it.
//
// The estimates are the terms "calibrated" and "plug-in" (measure Measure), then
// "systematic-error" (μ̂, Student's t on K-1), "spread" (τ̂) and "expected-error"
// (E|N(μ̂, τ̂²)|). Details: controls (rows [CalibratedControl]), mu_ml, tau_ml, q, q_df,
// q_p, significant (controls with p below 1 - Level) and significant_calibrated. Each
// control is calibrated against the others alone.
//
// With fewer than [Fewest] controls nothing is calibrated: the numbers are NaN, the rows
// of the controls stand, note "too-few-controls". Without covariances: note
// "controls-independent".
//
// Errors: [ErrOption].
//
// Source: Schuemie, Ryan, DuMouchel, Suchard and Madigan (2014), Statistics in Medicine
// 33:209–218; Schuemie, Hripcsak, Ryan, Madigan and Suchard (2018), PNAS 115:2571–2577.
type Calibration struct {
	Controls []Control
	// Cov is K×K, its diagonal SE²; nil means that the controls' estimates are independent.
	Cov *mat.SymDense
	// With holds the covariances of Estimate with each control; nil means 0.
	With         []float64
	Estimate, SE float64 // the claimed effect; both NaN = none, only the controls are told
	DF           float64 // of its own test; 0 means the normal distribution
	Measure      estimate.Measure
	Level        float64
}

// CalibratedControl is a row of the details.
type CalibratedControl struct {
	Name       string  `json:"control"`
	Estimate   float64 `json:"estimate"`
	SE         float64 `json:"std_error"`
	P          float64 `json:"p_value"`
	Without    float64 `json:"systematic_error_others"`
	Spread     float64 `json:"spread_others"`
	Calibrated float64 `json:"calibrated"`
	P2         float64 `json:"calibrated_p_value"`
}

// Value returns the estimates.
func (o Calibration) Value() (*estimate.Result, error) {
	res, err := o.value()
	if err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	return res, nil
}

func (o Calibration) value() (*estimate.Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	k := len(o.Controls)
	y := make([]float64, k)
	cov := mat.NewSymDense(k, nil)
	for i, c := range o.Controls {
		y[i] = c.Estimate
		cov.SetSym(i, i, c.SE*c.SE)
	}
	if o.Cov != nil {
		cov.CopySym(o.Cov)
	}
	inf := func(df float64) float64 {
		if df == 0 {
			return math.Inf(1)
		}
		return df
	}
	nan := math.NaN()
	res := &estimate.Result{Method: "calibration", Fit: estimate.Convergence{Converged: true}}
	rows := make([]CalibratedControl, k)
	significant := 0
	for i, c := range o.Controls {
		rows[i] = CalibratedControl{Name: c.Name, Estimate: c.Estimate, SE: c.SE, P: num.StudentTail(c.Estimate/c.SE, inf(c.DF)), Without: nan, Spread: nan, Calibrated: nan, P2: nan}
		if rows[i].P < 1-o.Level {
			significant++
		}
	}
	res.Details = map[string]any{"controls": rows, "significant": significant}
	if o.Cov == nil {
		res.Notes = append(res.Notes, table.Note{Code: "controls-independent",
			Text: "The controls' estimates are taken as independent of each other and of the effect. If they come from the same people they are not."})
	}
	if k < Fewest {
		res.Notes = append(res.Notes, table.Note{Code: "too-few-controls", Args: map[string]any{"controls": k, "fewest": Fewest},
			Text: fmt.Sprintf("%d negative controls are too few to say how systematic error spreads; at least %d are needed. Each stands by itself.", k, Fewest)})
		for _, e := range []struct {
			term string
			m    estimate.Measure
		}{{"calibrated", o.Measure}, {"plug-in", o.Measure}, {"systematic-error", SystematicError}, {"spread", ErrorSpread}, {"expected-error", ExpectedError}} {
			res.Estimates = append(res.Estimates, bare(e.term, e.m, nan))
		}
		return res, nil
	}
	all, err := newErrors(y, cov)
	if err != nil {
		return nil, err
	}
	ml, reml := all.fit(false), all.fit(true)
	mu := estimate.Wald("systematic-error", SystematicError, reml.mu, math.Sqrt(reml.variance), float64(k-1), o.Level)
	plug := estimate.Wald("plug-in", o.Measure, o.Estimate-ml.mu, math.Sqrt(float64(o.SE*o.SE)+ml.tau2), math.Inf(1), o.Level)
	calibrated, err := reml.calibrate("calibrated", o.Measure, o.Estimate, o.SE, inf(o.DF), o.With, o.Level)
	if err != nil {
		return nil, err
	}
	tau := math.Sqrt(reml.tau2)
	res.Estimates = []estimate.Estimate{calibrated, plug, mu, bare("spread", ErrorSpread, tau), bare("expected-error", ExpectedError, expectedError(reml.mu, tau))}
	q := all.homogeneity()
	res.Details["mu_ml"], res.Details["tau_ml"] = ml.mu, math.Sqrt(ml.tau2)
	res.Details["q"], res.Details["q_df"], res.Details["q_p"] = q, k-1, num.ChiSquareTail(q, float64(k-1))
	calibratedSignificant := 0
	for i := range rows {
		others, with := without(cov, i)
		rest, err := newErrors(append(append([]float64{}, y[:i]...), y[i+1:]...), others)
		if err != nil {
			return nil, err
		}
		f := rest.fit(true)
		e, err := f.calibrate(rows[i].Name, o.Measure, y[i], rows[i].SE, inf(o.Controls[i].DF), with, o.Level)
		if err != nil {
			return nil, err
		}
		rows[i].Without, rows[i].Spread, rows[i].Calibrated, rows[i].P2 = f.mu, math.Sqrt(f.tau2), e.Value, e.Test.P
		if e.Test.P < 1-o.Level {
			calibratedSignificant++
		}
	}
	res.Details["significant_calibrated"] = calibratedSignificant
	return res, nil
}

func (o Calibration) check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...))
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	k := len(o.Controls)
	none := math.IsNaN(o.Estimate) && math.IsNaN(o.SE)
	switch {
	case k == 0:
		return bad("no negative control is given")
	case !none && (!finite(o.Estimate) || !finite(o.SE) || o.SE <= 0):
		return bad("the claimed effect needs a finite estimate and a standard error above 0")
	case !(o.DF >= 0):
		return bad("degrees of freedom below 0")
	case !(o.Level > 0 && o.Level < 1):
		return bad("level must be between 0 and 1")
	case o.Cov != nil && o.Cov.SymmetricDim() != k:
		return bad("covariances of %d controls for %d", o.Cov.SymmetricDim(), k)
	case o.With != nil && (len(o.With) != k || o.Cov == nil || none):
		return bad("covariances with the claimed effect go with it and with those of all controls")
	}
	names := map[string]bool{}
	for i, c := range o.Controls {
		switch {
		case names[c.Name]:
			return bad("control %q is given twice", c.Name)
		case !finite(c.Estimate) || !finite(c.SE) || c.SE <= 0:
			return bad("control %q needs a finite estimate and a standard error above 0", c.Name)
		case !(c.DF >= 0):
			return bad("control %q: degrees of freedom below 0", c.Name)
		case o.Cov != nil && math.Abs(o.Cov.At(i, i)-c.SE*c.SE) > 1e-8*c.SE*c.SE:
			return bad("control %q: its variance is not its standard error squared", c.Name)
		case o.With != nil && !finite(o.With[i]):
			return bad("control %q: its covariance with the claimed effect is not finite", c.Name)
		}
		names[c.Name] = true
	}
	return nil
}

// without takes row and column i out of cov and returns what is left and the row.
func without(cov *mat.SymDense, i int) (*mat.SymDense, []float64) {
	k := cov.SymmetricDim()
	out := mat.NewSymDense(k-1, nil)
	row := make([]float64, 0, k-1)
	at := func(a int) int {
		if a >= i {
			return a + 1
		}
		return a
	}
	for a := range k - 1 {
		row = append(row, cov.At(i, at(a)))
		for b := a; b < k-1; b++ {
			out.SetSym(a, b, cov.At(at(a), at(b)))
		}
	}
	return out, row
}

// expectedError is E|N(mu, tau²)|.
func expectedError(mu, tau float64) float64 {
	if tau == 0 {
		return math.Abs(mu)
	}
	z := mu / tau
	return tau*math.Sqrt(2/math.Pi)*math.Exp(-z*z/2) + mu*math.Erf(z/math.Sqrt2)
}
