package panel

import (
	"context"
	"fmt"

	"utfall/estimate"
)

// ExtendedTwoWay is extended two-way fixed effects: the regression in which every treated
// cell of cohort g and period t has a coefficient of its own,
//
//	y[i,t] = α[i] + λ[t] + Σ_{g} Σ_{t ≥ g - Anticipation} δ[g,t]·1{G[i] = g, T = t} + covariates
//
// so that all rows not yet treated are the comparison. Effects are averages of δ by the
// cells' shares n[g,t] of rows (sums of weights),
//
//	event=e: Σ_{t-g=e} n[g,t]·δ[g,t] / Σ_{t-g=e} n[g,t]     overall: the same over t ≥ g
//
// Without covariates and with all units in all periods they are those of [Imputation].
// There are none before treatment: the regression uses those rows. With Control "never" every
// cell but that of the base period has a coefficient, so that only never-treated units are the
// comparison, and there are effects before treatment: without covariates [SunAbraham]. A covariate x enters
// as x·1{T = t} and, in each cell that has a coefficient, as x less its mean over the cell's rows, so
// that effects and trends may differ by x and δ is the effect at that mean; one that
// varies within units enters by itself and by cohort too.
//
// Errors are by the delta method from those of the regression, cr1 by cluster (default:
// the unit) as [TwoWay] has them, t on clusters - 1; shares and means of covariates count
// as known. Without never-treated units the cohort treated last is the comparison and the
// periods from its treatment (and anticipation) on are left out (last-cohort-compared).
// Units treated throughout are dropped and counted; units may lack periods. Details:
// estimator, cells, bands.
//
// Errors: as [SunAbraham].
//
// Source: Wooldridge (2021), SSRN 3906345; (2025), Empirical Economics 69.
type ExtendedTwoWay struct {
	EventOptions
	Averages
	Control string // "not-yet" (default) or "never"
}

// Fit estimates. f is read only; X holds covariates as they are in each period.
func (e ExtendedTwoWay) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	never, err := onlyNever(e.Control)
	if err == nil {
		m := saturatedModel{name: "etwfe", leads: never, interact: true, EventOptions: e.EventOptions, Averages: e.Averages}
		if never {
			m.control = NeverTreated
		}
		var res *estimate.Result
		if res, err = m.fit(ctx, f); err == nil {
			return res, nil
		}
	}
	return nil, fmt.Errorf("extended two-way fixed effects: %w", err)
}

// onlyNever reports whether a control leaves out units that are not yet treated.
func onlyNever(control string) (bool, error) {
	switch control {
	case "", NotYetTreated:
		return false, nil
	case NeverTreated:
		return true, nil
	}
	return false, fmt.Errorf("%w: control %q is not one of %s, %s", ErrOption, control, NotYetTreated, NeverTreated)
}

// interacted returns the rows with covariates interacted with periods and cells. It
// shares all else; notes made with it are its own.
func (l *long) interacted(cells []saturated, at []int) *long {
	if len(l.x) == 0 {
		return l
	}
	out := *l
	out.x, out.xnames = nil, nil
	add := func(name string, value func(i int) float64) {
		column := make([]float64, len(l.y))
		for i := range column {
			column[i] = value(i)
		}
		out.x, out.xnames = append(out.x, column), append(out.xnames, name)
	}
	for j, raw := range l.x {
		name := l.xnames[j]
		x := make([]float64, len(raw)) // from its mean: a high level costs no digits
		for i, v := range raw {
			x[i] = v - raw[0]
		}
		varies := false
		for i := 1; i < len(x); i++ {
			varies = varies || l.unit[i] == l.unit[i-1] && x[i] != x[i-1]
		}
		if varies {
			add(name, func(i int) float64 { return x[i] })
			for _, g := range l.cohortsIn() {
				add(fmt.Sprintf("%s,group=%d", name, g), func(i int) float64 {
					if l.cohort[i] == g {
						return x[i]
					}
					return 0
				})
			}
		}
		for p := 1; p < len(l.periods); p++ {
			add(fmt.Sprintf("%s,time=%d", name, l.periods[p]), func(i int) float64 {
				if l.period[i] == p {
					return x[i]
				}
				return 0
			})
		}
		mean := make([]float64, len(cells))
		for i, c := range at {
			if c >= 0 {
				mean[c] += float64(l.weight(i) * x[i])
			}
		}
		for c, cell := range cells {
			if cell.reference {
				continue
			}
			add(fmt.Sprintf("%s,group=%d,time=%d", name, cell.group, cell.time), func(i int) float64 {
				if at[i] == c {
					return x[i] - mean[c]/cell.weight
				}
				return 0
			})
		}
	}
	return &out
}
