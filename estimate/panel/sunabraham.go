package panel

import (
	"context"
	"fmt"

	"utfall/estimate"
)

// SunAbraham is the interaction-weighted event study: every cohort g and period t has a
// coefficient of its own against the never treated,
//
//	y[i,t] = α[i] + λ[t] + Σ_{g} Σ_{t ≠ b(g)} δ[g,t]·1{G[i] = g, T = t} + x'γ
//
// with b(g) the last period before g and its anticipation, and the effects by event
// and overall are averages of δ by the cells' shares n[g,t] of rows (sums of weights),
//
//	event=e: Σ_{t-g=e} n[g,t]·δ[g,t] / Σ_{t-g=e} n[g,t]     overall: the same over t ≥ g
//
// Errors are those of the regression, cr1 by cluster (default: the unit) in fixest's
// convention as [TwoWay] has them, t on clusters - 1; the shares count as known. A cell
// is never compared with its own cohort or with units already treated.
//
// Without never-treated units the cohort treated last is the comparison and the periods
// from its treatment (and anticipation) on are left out (note last-cohort-compared).
// Units treated throughout are dropped and counted. Details: estimator, reference_event,
// cells, covariates, bands.
//
// Errors: as [GroupTime.Fit]; [estimate.ErrNoControls] with one cohort and no never
// treated; [estimate.ErrNotIdentified] when a cell cannot be told from unit and period
// effects (the cell is named).
//
// Averages may be others than by event; a balanced event time is that of [Averages].
//
// Source: Sun and Abraham (2021), J. Econometrics 225(2). Agrees with R's fixest 0.12.1.
type SunAbraham struct {
	EventOptions
	Averages
	// Control "never" makes it an error that nobody is never treated. Default "": the cohort treated last is the comparison then.
	Control string
}

// Fit estimates. f is read only; X holds covariates as they are in each period.
func (e SunAbraham) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	if e.Control != "" && e.Control != NeverTreated {
		return nil, fmt.Errorf("sun-abraham: %w: control %q; it compares with never-treated units (never)", ErrOption, e.Control)
	}
	res, err := saturatedModel{name: "sun-abraham", control: e.Control, leads: true, EventOptions: e.EventOptions, Averages: e.Averages}.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("sun-abraham: %w", err)
	}
	return res, nil
}
