package panel

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// EventOptions are the options that the event-study estimators share.
type EventOptions struct {
	// Anticipation is by how many time units before treatment outcomes may react; ≥ 0.
	Anticipation int
	// Bands is "uniform" (one band that covers all terms but overall at once, by the
	// multiplier bootstrap of METHODS.md#att-gt) or "pointwise". Default: uniform when
	// there is more than one such term.
	Bands string
	// Replicates is the number of draws of the multiplier bootstrap; 0 = 999. At least
	// 99; it must be 0 with pointwise intervals.
	Replicates int
	Seed       uint64
	Workers    int // never changes the result
}

func (o EventOptions) check() error {
	if o.Anticipation < 0 {
		return fmt.Errorf("%w: anticipation %d is below 0", ErrOption, o.Anticipation)
	}
	return AggregateOptions{Bands: o.Bands, Replicates: o.Replicates}.check(Dynamic)
}

// events lists the times since treatment of the rows for which ok is true, ascending.
func (l *long) events(ok func(row int) bool) []int {
	seen := map[int]bool{}
	var out []int
	for i, g := range l.cohort {
		if g == never || !ok(i) {
			continue
		}
		if e := l.event(i); !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	slices.Sort(out)
	return out
}

// finish makes the result of an event study: terms by event, overall last, and the band.
func (l *long) finish(method string, terms []term, o EventOptions, level float64) (*estimate.Result, error) {
	reference, missing := 0, 0
	for _, t := range terms {
		switch {
		case math.IsNaN(t.value):
			missing++
		case t.inf == nil:
			reference++
		}
	}
	if reference > 0 {
		l.note("reference-period", map[string]any{"cells": reference},
			"The effect in the base period of a cohort is 0 by definition and has no standard error.")
	}
	if missing > 0 {
		l.note("events-not-identified", map[string]any{"events": missing},
			"%d effects by event cannot be told from unit and period effects: without units that are never treated they are known only up to a straight line.", missing)
	}
	if l.clusters < 30 && !l.noted("few-clusters") {
		l.note("few-clusters", map[string]any{"clusters": l.clusters},
			"Standard errors rest on %d independent units or clusters; below about 30 normal intervals are too narrow.", l.clusters)
	}
	res, err := l.result("event-study", terms, level)
	if err != nil {
		return nil, err
	}
	res.Details["estimator"], res.Details["anticipation"] = method, o.Anticipation
	l.band(res, terms, o, level)
	return res, nil
}

// band replaces the intervals of the terms by event by a uniform band.
func (l *long) band(res *estimate.Result, terms []term, o EventOptions, level float64) {
	var family []int
	var scaled [][]float64
	for j, e := range res.Estimates {
		if !(e.SE > 0) || e.Term == Overall {
			continue
		}
		family = append(family, j)
		sums := make([]float64, l.clusters)
		for u, v := range terms[j].inf {
			sums[l.cluster[u]] += v / e.SE
		}
		scaled = append(scaled, sums)
	}
	if o.Bands == Pointwise || (o.Bands == "" && len(family) < 2) || len(family) == 0 {
		res.Details["bands"] = map[string]any{"type": Pointwise}
		return
	}
	if o.Replicates == 0 {
		o.Replicates = 999
	}
	b := supremumQuantile(scaled, level, o.Replicates, o.Seed, o.Workers)
	if q := num.StudentQuantile(level, terms[family[0]].df); b.critical < q {
		b.critical = q
		res.Notes = append(res.Notes, table.Note{Code: "band-at-pointwise",
			Text: "The simulated critical value of the uniform band was below that of a pointwise interval, which was used instead."})
	}
	for _, j := range family {
		e := &res.Estimates[j]
		half := float64(b.critical * e.SE)
		e.CI = estimate.Interval{Lo: e.Value - half, Hi: e.Value + half, Level: level, Method: "uniform-band"}
	}
	res.Details["bands"] = map[string]any{"type": Uniform, "critical_value": b.critical, "critical_value_mc_error": b.mcError,
		"replicates": o.Replicates, "seed": o.Seed, "terms": len(family), "multiplier": "rademacher"}
}
