package missing

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/table"
)

// Lee bounds the effect on those whose outcome would be known whether they took part or
// not, where taking part changes who answers in one direction only. With q_a the weighted
// share of arm a whose outcome is known, and q₁ > q₀, the treated who answer are those who
// always do, a share κ = q₀/q₁, and others; so their mean lies between
//
//	L: the mean of the lowest κ of the treated outcomes, U: that of the highest κ
//
// less the comparison mean. With q₁ < q₀ the comparison units are trimmed instead. A value
// that the cut runs through is kept in part, so that exactly κ of the weight stays, also
// where many outcomes are equal. With Cells each cell is trimmed by its own shares and the
// cells are added up by π = P(cell)·min(q₀, q₁), which can only narrow the bounds and lets
// the direction differ between cells.
//
// Errors are analytic: with c the cut and y∧c the lesser of both,
//
//	φ_i = ± w_i·known_i·((y_i∧c) - mean)/(Σ_a w·q_a·κ) + (c - μ)·(φ_{q₀}/q₀ - φ_{q₁}/q₁)
//
// for the trimmed arm (y∨c for U), which is Lee's Proposition 3, less the influence of the
// other mean, with factor and Student's t as in [Manski]. Where κ = 1 within rounding the
// errors are those of an untrimmed difference and the direction is not known: note
// "lee-no-difference". The interval is Imbens and Manski's.
//
// It reads f.Y, f.Treated, f.Weight, f.Cluster. Details: critical, df, set_interval,
// trimmed_arm ("treated", "control", "both" by cell, "none"), trimmed_share (1 - κ; with
// cells the share of the trimmed arm's known outcomes cut away), observed_treated,
// observed_control (weighted shares), missing_treated, missing_control (rows), cells.
//
// Errors: [ErrOption], [estimate.ErrNotIdentified] (a cell without a known outcome in one
// of the arms), and those of [Manski].
//
// Source: Lee (2009), Review of Economic Studies 76(3):1071–1102; for cells with different
// directions Semenova (2025), Generalized Lee bounds.
type Lee struct {
	Observed []bool // n: whose outcome is known
	Cells    []int  // n numbers from 0; nil = one cell
}

// Fit implements [estimate.Estimator].
func (l Lee) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := l.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("lee bounds: %w", err)
	}
	return res, nil
}

func (l Lee) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, err := newArms(f, l.Observed)
	if err != nil {
		return nil, err
	}
	if l.Cells != nil && len(l.Cells) != len(f.Y) {
		return nil, fmt.Errorf("%w: %d cells for %d rows", ErrOption, len(l.Cells), len(f.Y))
	}
	byCell := map[int][]int{}
	var gone [2]int
	var seen [2]float64
	for i, r := range a.rows {
		c := 0
		if l.Cells != nil {
			c = l.Cells[r]
		}
		byCell[c] = append(byCell[c], i)
		if k := arm(a.treated[i]); l.Observed[r] {
			seen[k] += a.w[i]
		} else {
			gone[k]++
		}
	}
	keys := make([]int, 0, len(byCell))
	for c := range byCell {
		keys = append(keys, c)
	}
	slices.Sort(keys)
	var cells []*leeCell
	all := a.total[0] + a.total[1]
	for _, c := range keys {
		cell, err := l.cell(a, f, byCell[c])
		if err != nil {
			return nil, err
		}
		cell.share = cell.weight / all
		cells = append(cells, cell)
	}
	value, phi := a.overCells(cells, all)
	res, err := a.result("lee", f, measureOf(f, l.Observed), value[0], value[1], phi[0], phi[1])
	if err != nil {
		return nil, err
	}
	direction := map[int]bool{}
	cut, of := 0.0, 0.0
	for _, c := range cells {
		direction[c.trimmed] = true
		if c.trimmed >= 0 {
			cut += float64(c.seen[c.trimmed] * (1 - c.kappa))
			of += c.seen[c.trimmed]
		}
	}
	delete(direction, none)
	trimmed, share := "none", 0.0
	switch {
	case len(direction) == 2:
		trimmed = "both"
	case direction[1]:
		trimmed = "treated"
	case direction[0]:
		trimmed = "control"
	}
	if of > 0 {
		share = cut / of
	}
	for k, v := range map[string]any{
		"trimmed_arm": trimmed, "trimmed_share": share, "cells": len(cells),
		"observed_treated": seen[1] / a.total[1], "observed_control": seen[0] / a.total[0],
		"missing_treated": gone[1], "missing_control": gone[0],
	} {
		res.Details[k] = v
	}
	if n := gone[0] + gone[1]; n > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "lee-missing", Args: map[string]any{"rows": n, "all": len(a.rows)},
			Text: fmt.Sprintf("%d of %d rows have no outcome; the bounds are about those who would have one in either arm.", n, len(a.rows))})
	}
	switch trimmed {
	case "both":
		res.Notes = append(res.Notes, table.Note{Code: "lee-directions",
			Text: "Outcomes are known more often among the treated in some cells and less often in others; the bounds let the direction differ by cell."})
	case "none":
		res.Notes = append(res.Notes, table.Note{Code: "lee-no-difference",
			Text: "Outcomes are known equally often in both arms, so that nothing is trimmed; the error does not count that this may be chance."})
	}
	return res, nil
}

// none is the trimmed arm where the shares are equal.
const none = -1

// leeCell is one cell: its bounds and their influence by place among its rows.
type leeCell struct {
	rows    []int // among arms.rows
	weight  float64
	share   float64    // of all weight
	seen    [2]float64 // weight with known outcome
	q       [2]float64
	trimmed int
	kappa   float64
	value   [2]float64
	phi     [2][]float64
	phiMin  []float64 // of min(q₀, q₁)
}

func (l Lee) cell(a *arms, f *estimate.Frame, rows []int) (*leeCell, error) {
	c := &leeCell{rows: rows, trimmed: none, kappa: 1}
	var total, sum [2]float64
	for _, i := range rows {
		k := arm(a.treated[i])
		total[k] += a.w[i]
		if r := a.rows[i]; l.Observed[r] {
			c.seen[k] += a.w[i]
			sum[k] += float64(a.w[i] * f.Y[r])
		}
	}
	c.weight = total[0] + total[1]
	for k := range total {
		if c.seen[k] == 0 {
			where := "one of the arms"
			if l.Cells != nil {
				where = "one of the arms of a cell; take coarser cells"
			}
			return nil, fmt.Errorf("%w: no outcome is known in %s", estimate.ErrNotIdentified, where)
		}
		c.q[k] = c.seen[k] / total[k]
	}
	least := 0 // the arm with the smaller share
	switch d := c.q[1] - c.q[0]; {
	case math.Abs(d) <= 1e-12:
	case d > 0:
		c.trimmed = 1
	default:
		c.trimmed, least = 0, 1
	}
	if c.trimmed >= 0 {
		c.kappa = c.q[least] / c.q[c.trimmed]
	}
	phiQ := func(k, i int) float64 { // of q_k, divided by n
		if arm(a.treated[i]) != k {
			return 0
		}
		s := 0.0
		if l.Observed[a.rows[i]] {
			s = 1
		}
		return a.w[i] * (s - c.q[k]) / total[k]
	}
	for _, i := range rows {
		c.phiMin = append(c.phiMin, phiQ(least, i))
	}
	mean := [2]float64{sum[0] / c.seen[0], sum[1] / c.seen[1]}
	for s := range c.value {
		c.phi[s] = make([]float64, len(rows))
		// The lower bound of a difference cuts the treated from above or the others from below.
		var mu [2]float64
		for k, sign := range []float64{-1, 1} {
			low := (s == 0) == (k == 1)
			m, at, inner := mean[k], math.NaN(), mean[k]
			if k == c.trimmed {
				m, at, inner = trim(a, f, l.Observed, rows, k, c.kappa, low)
			}
			mu[k] = m
			for p, i := range rows {
				var v float64
				if y := f.Y[a.rows[i]]; arm(a.treated[i]) == k && l.Observed[a.rows[i]] {
					if k == c.trimmed {
						if low {
							y = math.Min(y, at)
						} else {
							y = math.Max(y, at)
						}
					}
					v = a.w[i] * (y - inner) / (c.seen[k] * c.kappaOf(k))
				}
				if k == c.trimmed {
					v += (at - m) * (phiQ(least, i)/c.q[least] - phiQ(k, i)/c.q[k])
				}
				c.phi[s][p] += sign * v
			}
		}
		c.value[s] = mu[1] - mu[0]
	}
	return c, nil
}

func (c *leeCell) kappaOf(k int) float64 {
	if k == c.trimmed {
		return c.kappa
	}
	return 1
}

// trim returns the mean of the lowest (low) or highest share kappa of an arm's known
// outcomes, the cut, and the mean of the outcomes with those beyond the cut put on it.
func trim(a *arms, f *estimate.Frame, observed []bool, rows []int, k int, kappa float64, low bool) (mean, cut, inner float64) {
	var order []int
	total := 0.0
	for _, i := range rows {
		if arm(a.treated[i]) == k && observed[a.rows[i]] {
			order = append(order, i)
			total += a.w[i]
		}
	}
	slices.SortStableFunc(order, func(p, q int) int {
		yp, yq := f.Y[a.rows[p]], f.Y[a.rows[q]]
		if !low {
			yp, yq = yq, yp
		}
		switch {
		case yp < yq:
			return -1
		case yp > yq:
			return 1
		}
		return 0
	})
	left := kappa * total
	for _, i := range order {
		w := math.Min(a.w[i], left)
		if w <= 0 {
			break
		}
		cut = f.Y[a.rows[i]]
		mean += float64(w * cut)
		left -= w
	}
	mean /= kappa * total
	// ∫ of the kept part is E[y∧c] less what lies on the cut.
	inner = float64(kappa*mean) + float64((1-kappa)*cut)
	return mean, cut, inner
}

// overCells adds cells up by π = share·min(q₀, q₁), and their influence with that of π.
func (a *arms) overCells(cells []*leeCell, all float64) (value [2]float64, phi [2][]float64) {
	sum := 0.0
	pi := make([]float64, len(cells))
	for j, c := range cells {
		pi[j] = c.share * math.Min(c.q[0], c.q[1])
		sum += pi[j]
	}
	for s := range value {
		phi[s] = make([]float64, len(a.rows))
		for j, c := range cells {
			value[s] += float64(pi[j] * c.value[s] / sum)
		}
		for j, c := range cells {
			off := (c.value[s] - value[s]) / sum
			q := math.Min(c.q[0], c.q[1])
			for p, i := range c.rows {
				// The last part is that of the cell's share of all weight; what the other
				// rows add to it cancels, because Σπ(Δ_cell - Δ) = 0.
				phi[s][i] += float64(pi[j]/sum*c.phi[s][p]) + float64(off*c.share*c.phiMin[p]) + float64(off*q*a.w[i]/all)
			}
		}
	}
	return value, phi
}

var _ estimate.Estimator = Lee{}
