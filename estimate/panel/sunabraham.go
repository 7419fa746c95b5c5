package panel

import (
	"context"
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/internal/num"
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
// Source: Sun and Abraham (2021), J. Econometrics 225(2). Agrees with R's fixest 0.12.1.
type SunAbraham struct{ EventOptions }

// Fit estimates. f is read only; X holds covariates as they are in each period.
func (e SunAbraham) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("sun-abraham: %w", err)
	}
	return res, nil
}

// saturated is a cell of the regression.
type saturated struct {
	group, time, event int
	reference          bool
	column             int
	weight             float64
	rows               int
}

func (e SunAbraham) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
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
	cells, at := l.cells(e.Anticipation)
	var names []string
	for _, c := range cells {
		if !c.reference {
			names = append(names, fmt.Sprintf("group=%d,time=%d", c.group, c.time))
		}
	}
	fit, err := l.regress(ctx, dummies{names: names, column: func(i int) int {
		if at[i] < 0 {
			return -1
		}
		return cells[at[i]].column
	}}, e.Workers)
	if err != nil {
		return nil, err
	}
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
			if !in(c) {
				continue
			}
			total += c.weight
			if !c.reference {
				columns, weights = append(columns, c.column), append(weights, c.weight)
			}
		}
		for i := range weights {
			weights[i] /= total
		}
		return fit.combine(name, columns, weights)
	}
	var terms []term
	for _, v := range l.events(func(int) bool { return true }) {
		terms = append(terms, mean(eventTerm(v), func(c saturated) bool { return c.event == v }))
	}
	terms = append(terms, mean(Overall, func(c saturated) bool { return c.event >= 0 }))
	l.noteFew(cells)
	res, err := l.finish("sun-abraham", terms, e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	l.describe(res, cells, fit, e.Anticipation)
	share, total := map[int]float64{}, 0.0
	for _, c := range cells {
		if c.event >= 0 {
			share[c.event] += c.weight
			total += c.weight
		}
	}
	for v := range share {
		share[v] /= total
	}
	overallWeights(res, share)
	return res, nil
}

// compareLast makes the cohort treated last the comparison where nobody is never treated.
func (l *long) compareLast(anticipation int) error {
	if l.hasNever() {
		return nil
	}
	last := l.cohort[len(l.cohort)-1]
	if l.cohort[0] == last {
		return fmt.Errorf("%w: all units are first treated in the same period and none is never treated", estimate.ErrNoControls)
	}
	before := len(l.y)
	var gone []int
	for _, t := range l.periods {
		if t+anticipation >= last {
			gone = append(gone, t)
		}
	}
	if len(l.periods)-len(gone) < 2 {
		return fmt.Errorf("%w: nobody is never treated, and before the last cohort's treatment there are fewer than two periods", estimate.ErrNoControls)
	}
	l.keep(func(i int) bool { return l.periods[l.period[i]]+anticipation < last })
	for i, g := range l.cohort {
		if g == last {
			l.cohort[i] = never
		}
	}
	l.note("last-cohort-compared", map[string]any{"group": last, "periods": len(gone), "rows": before - len(l.y)},
		"No unit is never treated: cohort %d, treated last, is the comparison, and the %d periods (%d rows) from then on are left out.", last, len(gone), before-len(l.y))
	return nil
}

// dropBaseless leaves out cohorts without a period before treatment and anticipation.
func (l *long) dropBaseless(anticipation int) error {
	ok := map[int]bool{never: true}
	treated, last := false, l.periods[len(l.periods)-1]
	for i, g := range l.cohort {
		if i > 0 && g == l.cohort[i-1] || g == never {
			continue
		}
		if _, ok[g] = l.base(g, anticipation); !ok[g] {
			l.note("cohort-without-base-period", map[string]any{"group": g},
				"Cohort %d has no period before its treatment and %d periods of anticipation: it has no effects.", g, anticipation)
		}
		treated = treated || ok[g] && g <= last
	}
	if !treated {
		return fmt.Errorf("%w: no cohort with a period before treatment starts by the last period that has a comparison", estimate.ErrNoTreated)
	}
	l.keep(func(i int) bool { return ok[l.cohort[i]] })
	return nil
}

// cells lists the cells of the treated cohorts by cohort and time, and the cell of each
// row, -1 for the never treated.
func (l *long) cells(anticipation int) ([]saturated, []int) {
	var out []saturated
	at := make([]int, len(l.y))
	index := map[[2]int]int{}
	for i, g := range l.cohort {
		at[i] = -1
		if g == never {
			continue
		}
		base, _ := l.base(g, anticipation)
		if _, known := index[[2]int{g, base}]; !known {
			for _, t := range l.periods {
				index[[2]int{g, t}] = len(out)
				out = append(out, saturated{group: g, time: t, event: t - g, reference: t == base})
			}
		}
		at[i] = index[[2]int{g, l.periods[l.period[i]]}]
		out[at[i]].rows++
		out[at[i]].weight += l.weight(i)
	}
	// Cells without a row are none.
	move, kept := make([]int, len(out)), out[:0:0]
	columns := 0
	for c, cell := range out {
		if cell.rows == 0 {
			continue
		}
		move[c] = len(kept)
		cell.column = -1
		if !cell.reference {
			cell.column = columns
			columns++
		}
		kept = append(kept, cell)
	}
	for i := range at {
		if at[i] >= 0 {
			at[i] = move[at[i]]
		}
	}
	return kept, at
}

// noteFew names the cells with fewer than five treated units.
func (l *long) noteFew(cells []saturated) {
	const enough = 5
	var names []string
	for _, c := range cells {
		if !c.reference && c.rows < enough {
			names = append(names, fmt.Sprintf("group=%d,time=%d", c.group, c.time))
		}
	}
	if len(names) > 0 {
		l.note("few-treated", map[string]any{"cells": len(names), "below": enough, "names": names},
			"%d cells have fewer than %d treated units, where the standard error cannot be relied on: %s.", len(names), enough, strings.Join(names, "; "))
	}
}

// describe adds the cells to the details.
func (l *long) describe(res *estimate.Result, cells []saturated, fit *regressed, anticipation int) {
	rows := make([]map[string]any, len(cells))
	for i, c := range cells {
		row := map[string]any{"group": c.group, "time": c.time, "n": c.rows, "weight": c.weight, "estimate": 0.0, "std_error": nil}
		if c.reference {
			row["reference"] = true
		} else {
			sums := make([]float64, l.clusters)
			for u, v := range fit.inf[c.column] {
				sums[l.cluster[u]] += v
			}
			row["estimate"], row["std_error"] = fit.coef[c.column], math.Sqrt(num.Dot(sums, sums))
		}
		rows[i] = row
	}
	res.Details["cells"], res.Details["reference_event"] = rows, -1-anticipation
	if len(fit.covariates) > 0 {
		res.Details["covariates"] = fit.covariates
	}
}
