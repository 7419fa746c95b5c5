package panel

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
)

// Imputation fits unit effects, period effects and covariates to the untreated rows
// only, imputes what treated rows would have been, and averages the differences τ,
//
//	τ[i,t] = y[i,t] - α̂[i] - λ̂[t] - x'γ̂
//	event=e: Σ w·τ/Σ w over rows with t - g = e ≥ -Anticipation     overall: the same over t ≥ g
//
// Untreated rows are those with t + Anticipation < g and the never treated, so that
// units already treated are never a comparison. With v the weight that each row's
// outcome has in an estimate (METHODS.md#imputation),
//
//	SE² = Σ_clusters (Σ v·ε̃)²,   ε̃ = τ - τ̄[g,t] for treated rows, the residual for untreated,
//	τ̄[g,t] = Σ v²τ/Σ v² over the cohort's rows of the period
//
// which is conservative: what effects differ by around the mean of their cohort and
// period counts as noise. No small-sample factor; intervals are normal. There are no
// effects before treatment: look at those of [SunAbraham] or [GroupTime].
//
// Averages may be others than by event.
//
// Units without an untreated row and periods without an untreated unit have no imputed
// value: they are left out and named. Units may lack periods. Influence has a row for
// each unit (Σ v·ε̃). Details: estimator, untreated_rows, imputed_rows, bands.
//
// Errors: as [GroupTime.Fit]; [estimate.ErrNoControls] when no treated row has an
// imputed value; [estimate.ErrCollinear] for a covariate that does not vary within
// units among untreated rows.
//
// Source: Borusyak, Jaravel and Spiess (2024), Rev. Econ. Studies 91(6). Agrees with R's
// didimputation 0.3.0.
type Imputation struct {
	EventOptions
	Averages
}

// Fit estimates. f is read only; X holds covariates as they are in each period.
func (e Imputation) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("imputation: %w", err)
	}
	return res, nil
}

func (e Imputation) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	if err := e.Averages.check(); err != nil {
		return nil, err
	}
	m, err := newUntreated(ctx, f, e.EventOptions)
	if err != nil {
		return nil, err
	}
	return m.study(e, f.Level)
}

// study averages the imputed effects.
func (m *untreatedModel) study(e Imputation, level float64) (*estimate.Result, error) {
	l := m.l
	one := func(a average) term {
		omega, value := m.average(a)
		t := term{name: a.name, value: value, inf: make([]float64, len(l.names)), df: math.Inf(1)}
		for i, v := range m.conservative(omega) {
			t.inf[l.unit[i]] += v
		}
		return t
	}
	averages, err := e.list(l, func(i int) bool { return !m.free[i] })
	if err != nil {
		return nil, err
	}
	var terms []term
	for _, a := range averages {
		terms = append(terms, one(a))
	}
	res, err := l.finish("imputation", terms, e.EventOptions, level)
	if err != nil {
		return nil, err
	}
	e.describe(res)
	res.Details["untreated_rows"], res.Details["imputed_rows"] = len(m.freeRow), len(m.tau)-len(m.freeRow)
	return res, nil
}

// conservative is v·ε̃ of every row.
func (m *untreatedModel) conservative(omega []float64) []float64 {
	l := m.l
	type cell struct{ cohort, period int }
	sum, total := map[cell]float64{}, map[cell]float64{}
	for i, o := range omega {
		if o != 0 {
			c := cell{l.cohort[i], l.period[i]}
			sum[c] += float64(float64(o*o) * m.tau[i])
			total[c] += float64(o * o)
		}
	}
	out := m.weights(omega)
	for i, o := range omega {
		out[i] *= m.tau[i]
		if o != 0 {
			c := cell{l.cohort[i], l.period[i]}
			out[i] += float64(o * (m.tau[i] - sum[c]/total[c]))
		}
	}
	return out
}
