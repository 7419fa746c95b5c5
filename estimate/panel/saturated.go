package panel

import (
	"context"
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/internal/num"
)

// saturated is a cell of a regression with a coefficient for each cohort and period.
type saturated struct {
	group, time, event int
	reference          bool
	column             int
	weight             float64
	rows               int
}

func (c saturated) term() string { return fmt.Sprintf("group=%d,time=%d", c.group, c.time) }

// saturatedModel is what [SunAbraham] and [ExtendedTwoWay] differ in.
type saturatedModel struct {
	name     string
	control  string // NeverTreated: an error without any; "": the last cohort then
	leads    bool   // cells before treatment have coefficients
	interact bool   // covariates interacted with periods and cells
	EventOptions
	Averages
}

// fit regresses and averages.
func (e saturatedModel) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	if err := e.EventOptions.check(); err != nil {
		return nil, err
	}
	if err := e.Averages.check(); err != nil {
		return nil, err
	}
	l, err := layLong(f, e.Anticipation, false)
	if err != nil {
		return nil, err
	}
	if e.control == NeverTreated && !l.hasNever() {
		return nil, fmt.Errorf("%w: no unit is never treated", estimate.ErrNoControls)
	}
	if err := l.compareLast(e.Anticipation); err != nil {
		return nil, err
	}
	if err := l.dropBaseless(e.Anticipation); err != nil {
		return nil, err
	}
	l.noteGaps()
	cells, at := l.cells(e.Anticipation)
	if !e.leads {
		cells, at = l.treatedCells(e.Anticipation)
	}
	fit, err := l.saturate(ctx, cells, at, e.interact, e.Workers)
	if err != nil {
		return nil, err
	}
	averages, err := e.list(l, func(i int) bool { return at[i] >= 0 })
	if err != nil {
		return nil, err
	}
	var terms []term
	for _, a := range averages {
		terms = append(terms, fit.mean(cells, a))
	}
	l.noteFew(cells)
	res, err := l.finish(e.name, terms, e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	l.describe(res, cells, fit)
	e.describe(res)
	if e.leads {
		res.Details["reference_event"] = -1 - e.Anticipation
		overallWeights(res, eventShares(cells, averages[len(averages)-1]))
	}
	if len(fit.covariates) > 0 && !e.interact { // interacted ones are nuisances, as many as there are cells
		res.Details["covariates"] = fit.covariates
	}
	return res, nil
}

// saturate regresses on a dummy for each cell but the references.
func (l *long) saturate(ctx context.Context, cells []saturated, at []int, interact bool, workers int) (*regressed, error) {
	d := dummies{column: func(i int) int {
		if at[i] < 0 {
			return -1
		}
		return cells[at[i]].column
	}}
	for _, c := range cells {
		if !c.reference {
			d.names = append(d.names, c.term())
		}
	}
	wide := l
	if interact {
		wide = l.interacted(cells, at)
	}
	fit, err := wide.regress(ctx, d, workers)
	if err != nil {
		return nil, err
	}
	l.notes = wide.notes
	var lost []string
	for j, v := range fit.coef {
		if !finite(v) {
			lost = append(lost, d.names[j])
		}
	}
	if lost != nil {
		return nil, fmt.Errorf("%w: %s cannot be told from unit and period effects; leave out the units or periods that have too few rows", estimate.ErrNotIdentified, strings.Join(lost, "; "))
	}
	return fit, nil
}

// mean is the average of cells by their weights; those of reference count as 0.
func (r *regressed) mean(cells []saturated, a average) term {
	var columns []int
	var weights []float64
	total := 0.0
	for _, c := range cells {
		if !a.in(c.group, c.time) {
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
	return r.combine(a.name, columns, weights)
}

// eventShares are the weights of events in an average.
func eventShares(cells []saturated, a average) map[int]float64 {
	share, total := map[int]float64{}, 0.0
	for _, c := range cells {
		if a.in(c.group, c.time) {
			share[c.event] += c.weight
			total += c.weight
		}
	}
	for v := range share {
		share[v] /= total
	}
	return share
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
			names = append(names, c.term())
		}
	}
	if len(names) > 0 {
		l.note("few-treated", map[string]any{"cells": len(names), "below": enough, "names": names},
			"%d cells have fewer than %d treated units, where the standard error cannot be relied on: %s.", len(names), enough, strings.Join(names, "; "))
	}
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

// describe adds the cells to the details.
func (l *long) describe(res *estimate.Result, cells []saturated, fit *regressed) {
	rows := make([]map[string]any, len(cells))
	for i, c := range cells {
		row := map[string]any{"group": c.group, "time": c.time, "n": c.rows, "weight": c.weight, "estimate": 0.0, "std_error": nil}
		if c.reference {
			row["reference"] = true
		} else {
			sums := l.clusterTotals(fit.inf[c.column])
			row["estimate"], row["std_error"] = fit.coef[c.column], math.Sqrt(num.Dot(sums, sums))
		}
		rows[i] = row
	}
	res.Details["cells"] = rows
}
