package panel

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
)

// TwoStage fits unit effects, period effects and covariates to the untreated rows, as
// [Imputation] does, takes them off every row and regresses what is left on dummies of
// the time since treatment (event=E) or of being treated (overall), without intercept.
// The dummies do not overlap, so that a coefficient is a weighted mean,
//
//	r[i,t] = y[i,t] - α̂[i] - λ̂[t] - x'γ̂
//	event=e: θ = Σ ω·r,  ω = w/Σw over all rows with t - g = e     overall: over t ≥ g
//
// Values from -Anticipation on are those of [Imputation]. Those before are means of
// residuals of the fit itself: they show where the untreated model misses, are pulled
// towards 0 by that fit, and are no difference to a base period. With v the weight of a
// free row's outcome in θ through the first stage (METHODS.md#two-stage),
//
//	SE² = Σ_clusters (Σ ω·(r - θ) + Σ_free v·r)²
//
// by cluster (default: the unit), which is the two-step sandwich with the first stage's
// sums over untreated rows only. No small-sample factor; intervals are normal. Errors
// count how far effects differ between units, cohorts and periods as noise.
//
// Averages may be others than by event.
//
// Rows without an imputed value are left out and named; units may lack periods.
// Influence has a row for each unit. Details: estimator, untreated_rows, imputed_rows,
// bands. Errors: as [Imputation].
//
// Source: Gardner (2022), arXiv:2207.05943; Gardner, Thakral, Tô and Yap (2024). Values
// agree with R's did2s 1.0.1; its errors do not, see METHODS.md.
type TwoStage struct {
	EventOptions
	Averages
}

// Fit estimates. f is read only; X holds covariates as they are in each period.
func (e TwoStage) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("two-stage: %w", err)
	}
	return res, nil
}

func (e TwoStage) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	if err := e.Averages.check(); err != nil {
		return nil, err
	}
	m, err := newUntreated(ctx, f, e.EventOptions)
	if err != nil {
		return nil, err
	}
	l := m.l
	averages, err := e.list(l, func(int) bool { return true })
	if err != nil {
		return nil, err
	}
	var terms []term
	for _, a := range averages {
		terms = append(terms, m.secondStage(a))
	}
	res, err := l.finish("two-stage", terms, e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	e.describe(res)
	res.Details["untreated_rows"], res.Details["imputed_rows"] = len(m.freeRow), len(m.tau)-len(m.freeRow)
	return res, nil
}

// secondStage is the coefficient of the dummy of the rows of an average.
func (m *untreatedModel) secondStage(a average) term {
	omega, value := m.average(a)
	t := term{name: a.name, value: value, inf: make([]float64, len(m.l.names)), df: math.Inf(1)}
	first := m.weights(omega)
	for i, o := range omega {
		t.inf[m.l.unit[i]] += float64(first[i]*m.tau[i]) + float64(o*(m.tau[i]-value))
	}
	return t
}
