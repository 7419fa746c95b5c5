package panel

import (
	"context"
	"fmt"
	"strings"

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
// There are none before treatment: the regression uses those rows. A covariate x enters
// as x·1{T = t} and, in each treated cell, as x less its mean over the cell's rows, so
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
type ExtendedTwoWay struct{ EventOptions }

// Fit estimates. f is read only; X holds covariates as they are in each period.
func (e ExtendedTwoWay) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("extended two-way fixed effects: %w", err)
	}
	return res, nil
}

func (e ExtendedTwoWay) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	l, err := layLong(f, e.Anticipation, false)
	if err != nil {
		return nil, err
	}
	if err := l.compareLast(e.Anticipation); err != nil {
		return nil, err
	}
	if err := l.dropBaseless(e.Anticipation); err != nil {
		return nil, err
	}
	l.noteGaps()
	cells, at := l.treatedCells(e.Anticipation)
	names := make([]string, len(cells))
	for j, c := range cells {
		names[j] = fmt.Sprintf("group=%d,time=%d", c.group, c.time)
	}
	wide := l.interacted(cells, at)
	fit, err := wide.regress(ctx, dummies{names: names, column: func(i int) int { return at[i] }}, e.Workers)
	if err != nil {
		return nil, err
	}
	l.notes = wide.notes
	var lost []string
	for j, v := range fit.coef {
		if !finite(v) {
			lost = append(lost, names[j])
		}
	}
	if lost != nil {
		return nil, fmt.Errorf("%w: %s cannot be told from unit and period effects; leave out the units or periods that have too few rows", estimate.ErrNotIdentified, strings.Join(lost, "; "))
	}
	mean := func(name string, in func(c saturated) bool) term {
		var columns []int
		var weights []float64
		total := 0.0
		for _, c := range cells {
			if in(c) {
				columns, weights = append(columns, c.column), append(weights, c.weight)
				total += c.weight
			}
		}
		for i := range weights {
			weights[i] /= total
		}
		return fit.combine(name, columns, weights)
	}
	var terms []term
	for _, v := range l.events(func(i int) bool { return at[i] >= 0 }) {
		terms = append(terms, mean(eventTerm(v), func(c saturated) bool { return c.event == v }))
	}
	terms = append(terms, mean(Overall, func(c saturated) bool { return c.event >= 0 }))
	l.noteFew(cells)
	res, err := l.finish("etwfe", terms, e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	fit.covariates = nil // nuisances, as many as there are cells
	l.describe(res, cells, fit, e.Anticipation)
	delete(res.Details, "reference_event")
	return res, nil
}

// treatedCells lists the cells from the anticipation on by cohort and time, and the cell
// of each row, -1 for rows not yet treated.
func (l *long) treatedCells(anticipation int) ([]saturated, []int) {
	all, of := l.cells(anticipation)
	var out []saturated
	move := make([]int, len(all))
	for c, cell := range all {
		move[c] = -1
		if cell.time+anticipation >= cell.group {
			move[c], cell.column = len(out), len(out)
			out = append(out, cell)
		}
	}
	at := make([]int, len(of))
	for i, c := range of {
		at[i] = -1
		if c >= 0 {
			at[i] = move[c]
		}
	}
	return out, at
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
