package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/internal/num"
)

// untreatedModel is the model of the untreated outcome that imputation uses: unit
// effects, period effects and covariates by weighted least squares on the rows that are
// not treated and not within the anticipation (the free rows),
//
//	y[i,t] = α[i] + z[i,t]'δ,   z = period dummies and covariates
//
// The unit effects are eliminated exactly by weighted unit means; δ is solved for by
// [num.LeastSquares].
type untreatedModel struct {
	l       *long
	free    []bool      // rows of the fit
	z       [][]float64 // n rows of q: z less the unit's mean over its free rows
	total   []float64   // of each unit: Σ weight over its free rows
	tau     []float64   // n: y - α - z'δ, the residual of free rows and the effect of treated ones
	fit     num.LsqFit
	freeRow []int // rows of the fit, in order
	q       int
}

// newUntreated fits the model. Treated rows whose unit or period has no free row
// connected to the others have no imputed value: they are left out, named and counted.
func newUntreated(ctx context.Context, f *Frame, o EventOptions) (*untreatedModel, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := layLong(f, o.Anticipation, false)
	if err != nil {
		return nil, err
	}
	if len(l.cohortsIn()) == 0 {
		return nil, fmt.Errorf("%w: no cohort starts after the first period and by the last", estimate.ErrNoTreated)
	}
	l.noteGaps()
	part, err := l.connected(o.Anticipation)
	if err != nil {
		return nil, err
	}
	m := &untreatedModel{l: l, free: make([]bool, len(l.y)), total: make([]float64, len(l.names))}
	for i := range m.free {
		m.free[i] = !l.treated(i, o.Anticipation)
	}
	m.demean(part)
	if err := m.constantCovariate(); err != nil {
		return nil, err
	}
	return m, m.solve(o.Workers)
}

// connected finds the parts of units and periods that free rows connect, and leaves out
// the treated rows between parts. It returns the part of each period.
func (l *long) connected(anticipation int) ([]int, error) {
	units := len(l.names)
	parent := make([]int, units+len(l.periods))
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	some := make([]bool, len(parent)) // has a free row
	for i, u := range l.unit {
		if !l.treated(i, anticipation) {
			p := units + l.period[i]
			some[u], some[p] = true, true
			a, b := find(u), find(p)
			parent[max(a, b)] = min(a, b)
		}
	}
	ok := func(i int) bool {
		u, p := l.unit[i], units+l.period[i]
		return some[u] && some[p] && find(u) == find(p)
	}
	gone := map[string]bool{}
	var names []string
	rows, effects := 0, 0
	for i := range l.y {
		switch {
		case ok(i):
			if l.treated(i, 0) {
				effects++
			}
		default:
			rows++
			if name := fmt.Sprintf("group=%d,time=%d", l.cohort[i], l.periods[l.period[i]]); !gone[name] {
				gone[name] = true
				names = append(names, name)
			}
		}
	}
	if effects == 0 {
		return nil, fmt.Errorf("%w: no treated row has both untreated rows of its unit and untreated units in its period", estimate.ErrNoControls)
	}
	part := make([]int, len(l.periods))
	for p := range part {
		part[p] = find(units + p)
	}
	if rows > 0 {
		l.note("rows-not-imputed", map[string]any{"rows": rows, "cells": len(names), "names": names},
			"%d treated rows have no imputed value, as their unit has no untreated row or their period no untreated unit, and are left out: %s.", rows, strings.Join(names, "; "))
		before := l.periods
		byTime := map[int]int{}
		for p, t := range before {
			byTime[t] = part[p]
		}
		keep := make([]bool, len(l.y))
		for i := range keep {
			keep[i] = ok(i)
		}
		l.keep(func(i int) bool { return keep[i] })
		part = part[:0]
		for _, t := range l.periods {
			part = append(part, byTime[t])
		}
	}
	return part, nil
}

// demean fills z: dummies of all periods but the first of each part, and covariates.
func (m *untreatedModel) demean(part []int) {
	l := m.l
	dummy := make([]int, len(l.periods))
	seen := map[int]bool{}
	for p := range dummy {
		dummy[p] = -1
		if seen[part[p]] {
			dummy[p] = m.q
			m.q++
		}
		seen[part[p]] = true
	}
	periods := m.q
	m.q += len(l.x)
	mean := make([][]float64, len(l.names))
	for u := range mean {
		mean[u] = make([]float64, m.q)
	}
	m.z = make([][]float64, len(l.y))
	for i, u := range l.unit {
		row := make([]float64, m.q)
		if d := dummy[l.period[i]]; d >= 0 {
			row[d] = 1
		}
		for j := range l.x {
			row[periods+j] = l.x[j][i]
		}
		m.z[i] = row
		if m.free[i] {
			w := l.weight(i)
			m.total[u] += w
			for j, v := range row {
				mean[u][j] += float64(w * v)
			}
		}
	}
	for u := range mean {
		for j := range mean[u] {
			mean[u][j] /= m.total[u]
		}
	}
	for i, u := range l.unit {
		for j := range m.z[i] {
			m.z[i][j] -= mean[u][j]
		}
	}
}

// constantCovariate reports a covariate of which the unit means leave rounding only.
func (m *untreatedModel) constantCovariate() error {
	l := m.l
	for j, x := range l.x {
		var left, spread, size float64
		for i, v := range x {
			if m.free[i] {
				z, d := m.z[i][m.q-len(l.x)+j], v-x[0]
				left += float64(z * z)
				spread += float64(d * d)
				size += float64(v * v)
			}
		}
		if math.Sqrt(left) <= math.Max(1e-10*math.Sqrt(spread), 1e-14*math.Sqrt(size)) {
			return fmt.Errorf("%w: covariate %q does not vary within units among untreated rows; leave it out", estimate.ErrCollinear, l.xnames[j])
		}
	}
	return nil
}

// solve estimates δ and fills tau.
func (m *untreatedModel) solve(workers int) error {
	l := m.l
	y := l.fromFirst()
	mean := make([]float64, len(l.names))
	for i, u := range l.unit {
		if m.free[i] {
			mean[u] += float64(l.weight(i) * y[i])
			m.freeRow = append(m.freeRow, i)
		}
	}
	for u := range mean {
		mean[u] /= m.total[u]
	}
	m.tau = make([]float64, len(y))
	for i, u := range l.unit {
		m.tau[i] = y[i] - mean[u]
	}
	if m.q == 0 {
		return nil
	}
	d := num.LsqData{N: len(m.freeRow), K: m.q, Workers: workers}
	for _, i := range m.freeRow {
		d.X, d.Y = append(d.X, m.z[i]...), append(d.Y, m.tau[i])
		if l.w != nil {
			d.Weight = append(d.Weight, l.w[i])
		}
	}
	var err error
	m.fit, err = num.LeastSquares(d)
	var column *num.SingularColumn
	switch {
	case errors.As(err, &column):
		if j := column.Column - (m.q - len(l.x)); j >= 0 {
			return fmt.Errorf("%w: covariate %q does not vary within units among untreated rows, or is a combination of those before it; leave it out", estimate.ErrCollinear, l.xnames[j])
		}
		return fmt.Errorf("%w: a period effect cannot be told from unit effects", estimate.ErrCollinear)
	case errors.Is(err, num.ErrNoConvergence):
		return fmt.Errorf("%w: %w", estimate.ErrNotConverged, err)
	case err != nil:
		return err
	}
	for i := range m.tau {
		m.tau[i] -= num.Dot(m.z[i], m.fit.Coef)
	}
	return nil
}

// weights returns, for the average Σ ω·τ over rows with Σ ω given by omega (0 where a row
// takes no part), what each free row's outcome counts through the fit:
//
//	v[i] = -w[i]·(Σ_{j in unit} ω[j]/Σ_{j in unit, free} w[j] + z[i]'A⁻¹Σ ω[j]z[j]),   A = Σ_free w·zz'
func (m *untreatedModel) weights(omega []float64) []float64 {
	l := m.l
	unit, sum := make([]float64, len(l.names)), make([]float64, m.q)
	for i, o := range omega {
		if o == 0 {
			continue
		}
		unit[l.unit[i]] += o
		for j, v := range m.z[i] {
			sum[j] += float64(o * v)
		}
	}
	if m.q > 0 {
		basis := make([]float64, m.q)
		m.fit.Basis(sum, basis)
		m.fit.Unbasis(basis)
		sum = basis
	}
	v := make([]float64, len(omega))
	for _, i := range m.freeRow {
		v[i] = -float64(l.weight(i) * (unit[l.unit[i]]/m.total[l.unit[i]] + num.Dot(m.z[i], sum)))
	}
	return v
}

// average returns ω = w/Σw over the rows of an average, and that of tau.
func (m *untreatedModel) average(a average) (omega []float64, value float64) {
	l := m.l
	omega = make([]float64, len(m.tau))
	total := 0.0
	for i := range omega {
		if a.in(l.cohort[i], l.periods[l.period[i]]) {
			omega[i] = l.weight(i)
			total += omega[i]
		}
	}
	for i, o := range omega {
		if o != 0 {
			omega[i] = o / total
			value += float64(omega[i] * m.tau[i])
		}
	}
	return omega, value
}
