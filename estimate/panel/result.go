package panel

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// GroupTimeResult is the cells of a [GroupTime] fit with what aggregation needs:
// each cell's influence function over the units it used, and the cohorts' weights.
// It is read only after Fit and safe for concurrent use.
type GroupTimeResult struct {
	Options GroupTime // defaults filled in
	Level   float64
	Cells   []Cell // by cohort, then time

	layout *layout
	index  []cellIndex // of each cell
	noBase []int       // cohorts without a base period
	notes  []table.Note
	parts  []PartCount // of triple differences
}

// cellIndex is where a cell lies: indices into cohorts and periods.
type cellIndex struct{ cohort, period, base int }

// Units returns how many units (rows of cross-sections) the fit kept.
func (r *GroupTimeResult) Units() int { return r.layout.n }

// Unit returns the name of the unit at a position of the influence function.
func (r *GroupTimeResult) Unit(position int) string { return r.layout.unit[position] }

// CohortWeight is the weight of a cohort in the aggregates.
type CohortWeight struct {
	Group  int     // 0 = never treated
	Units  int     // units, or rows of cross-sections
	Weight float64 // sum of their sampling weights in the first period (of all rows of cross-sections)
}

// Cohorts returns the cohorts kept, by first treated period, never treated last.
func (r *GroupTimeResult) Cohorts() []CohortWeight {
	l := r.layout
	out := make([]CohortWeight, len(l.cohorts))
	for c, w := range l.cohortWeight() {
		out[c] = CohortWeight{l.cohorts[c], l.start[c+1] - l.start[c], w}
		if l.cohorts[c] == never {
			out[c].Group = 0
		}
	}
	return out
}

// Influence adds times the influence function of a cell (divided by the number of
// units) to dst, which has one entry for each unit.
func (r *GroupTimeResult) Influence(cell int, times float64, dst []float64) {
	c := &r.Cells[cell]
	at := 0
	for _, s := range c.spans {
		for i := s.lo; i < s.hi; i++ {
			dst[i] += float64(times * c.inf[at])
			at++
		}
	}
}

// clusterSums adds inf, given for the spans, up by cluster.
func (l *layout) clusterSums(spans []span, inf []float64) []float64 {
	sums := make([]float64, l.clusters)
	at := 0
	for _, s := range spans {
		for i := s.lo; i < s.hi; i++ {
			sums[l.cluster[i]] += inf[at]
			at++
		}
	}
	return sums
}

func (r *GroupTimeResult) variance(c *Cell) float64 {
	if r.layout.cluster == nil {
		return sumSquares(c.inf)
	}
	return sumSquares(r.layout.clusterSums(c.spans, c.inf))
}

// covariance returns the joint covariance of cells; those without an influence
// function have zeros.
func (r *GroupTimeResult) covariance(cells []int) *mat.SymDense {
	v := mat.NewSymDense(len(cells), nil)
	if r.layout.cluster != nil {
		sums := make([][]float64, len(cells))
		for a, i := range cells {
			sums[a] = r.layout.clusterSums(r.Cells[i].spans, r.Cells[i].inf)
		}
		num.ForEach(len(cells), r.Options.Workers, func(a int) {
			for b := range a + 1 {
				v.SetSym(a, b, num.Dot(sums[a], sums[b]))
			}
		})
		return v
	}
	num.ForEach(len(cells), r.Options.Workers, func(a int) {
		for b := range a + 1 {
			v.SetSym(a, b, overlap(&r.Cells[cells[a]], &r.Cells[cells[b]]))
		}
	})
	return v
}

// overlap returns Σ of the product of two cells' influence over the units of both.
func overlap(a, b *Cell) float64 {
	var total float64
	atA := 0
	for _, s := range a.spans {
		atB := 0
		for _, t := range b.spans {
			if lo, hi := max(s.lo, t.lo), min(s.hi, t.hi); lo < hi {
				total += num.Dot(a.inf[atA+lo-s.lo:atA+hi-s.lo], b.inf[atB+lo-t.lo:atB+hi-t.lo])
			}
			atB += t.len()
		}
		atA += s.len()
	}
	return total
}

// identified returns the cells with a number, in order.
func (r *GroupTimeResult) identified() []int {
	out := []int{}
	for i := range r.Cells {
		if r.Cells[i].Identified() {
			out = append(out, i)
		}
	}
	return out
}

// finish checks that something was identified and writes the notes.
func (r *GroupTimeResult) finish(poor []int) error {
	l := r.layout
	estimated, reference := 0, 0
	var first *Cell
	missing := []string{}
	for i := range r.Cells {
		c := &r.Cells[i]
		switch {
		case c.Err != nil:
			missing = append(missing, fmt.Sprintf("%s (%v)", c.term(), c.Err))
			if first == nil {
				first = c
			}
		case c.Reference:
			reference++
		case math.IsNaN(c.ATT) || math.IsInf(c.ATT, 0) || math.IsNaN(c.SE) || math.IsInf(c.SE, 0):
			return fmt.Errorf("%w: %s is not a finite number; rescale the outcome", estimate.ErrNotIdentified, c.term())
		default:
			estimated++
		}
	}
	if estimated == 0 && first != nil {
		return fmt.Errorf("no cell can be estimated; %s: %w: %v", first.term(), unwrap(first.Err), first.Err)
	}
	note := func(code string, args map[string]any, format string, a ...any) {
		r.notes = append(r.notes, table.Note{Code: code, Text: fmt.Sprintf(format, a...), Args: args})
	}
	for _, g := range r.noBase {
		note("cohort-without-base-period", map[string]any{"group": g},
			"Cohort %d has no period before its treatment and %d periods of anticipation: it has no effects.", g, r.Options.Anticipation)
	}
	if len(missing) > 0 {
		note("cells-not-identified", map[string]any{"cells": len(missing), "of": len(r.Cells), "names": missing},
			"%d of %d cells cannot be estimated and are left out of every aggregate: %s.", len(missing), len(r.Cells), strings.Join(missing, "; "))
	}
	if reference > 0 {
		note("reference-period", map[string]any{"cells": reference},
			"The effect in the base period of a cohort is 0 by definition and has no standard error.")
	}
	worst := 0
	for _, p := range poor {
		worst = max(worst, p)
	}
	if worst > 0 {
		note("poor-overlap", map[string]any{"units": worst, "propensity": poorOverlap},
			"Up to %d comparison units of a cell have a propensity of %v or more: single units carry much of the weight.", worst, poorOverlap)
	}
	r.noteSmall(note)
	if l.clusters < 30 {
		note("few-clusters", map[string]any{"clusters": l.clusters},
			"Standard errors rest on %d independent units or clusters; below about 30 normal intervals are too narrow.", l.clusters)
	}
	return nil
}

func unwrap(err error) error {
	if c, ok := err.(*cellError); ok {
		return c.err
	}
	return err
}

// noteSmall names the cells with fewer than five treated units.
func (r *GroupTimeResult) noteSmall(note func(string, map[string]any, string, ...any)) {
	const enough = 5
	var names []string
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Identified() && !c.Reference && c.Treated < enough {
			names = append(names, c.term())
		}
	}
	if len(names) > 0 {
		note("few-treated", map[string]any{"cells": len(names), "below": enough, "names": names},
			"%d cells have fewer than %d treated units, where the standard error cannot be relied on: %s.", len(names), enough, strings.Join(names, "; "))
	}
}

// counts says what the estimates rest on.
func (r *GroupTimeResult) counts() estimate.Counts {
	l := r.layout
	n := estimate.Counts{Units: l.n, Clusters: l.clusters}
	if r.parts != nil { // positions are parts of units
		n.Units = 0
		for _, p := range r.parts {
			n.Units += p.Units
		}
	}
	last := l.periods[len(l.periods)-1]
	for c, g := range l.cohorts {
		if g <= last {
			n.Treated += l.start[c+1] - l.start[c]
		}
	}
	return n
}

// details are the parts of the answer that every aggregate shares.
func (r *GroupTimeResult) details() map[string]any {
	o := r.Options
	cells := make([]map[string]any, len(r.Cells))
	for i := range r.Cells {
		c := &r.Cells[i]
		cells[i] = map[string]any{"group": c.Group, "time": c.Time, "base": c.Base, "n_treated": c.Treated, "n_control": c.Control}
		if c.Reference {
			cells[i]["reference"] = true
		}
		if c.Err != nil {
			cells[i]["not_identified"] = c.Err.Error()
		}
	}
	out := map[string]any{
		"estimator": o.Method, "control": o.Control, "base": o.Base, "anticipation": o.Anticipation,
		"panel": !o.RepeatedCrossSection, "cells": cells, "pretest": r.PreTest(0).json(),
	}
	if o.Anticipation > 0 {
		out["pretest_before_anticipation"] = r.PreTest(o.Anticipation).json()
	}
	return out
}

// Result returns the cells as estimates with pointwise intervals: the same as
// Aggregate with [Cells] and [Pointwise].
func (r *GroupTimeResult) Result() (*estimate.Result, error) {
	return r.Aggregate(Cells, AggregateOptions{Bands: Pointwise})
}
