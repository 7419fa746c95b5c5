package panel

import (
	"fmt"
	"maps"
	"slices"

	"utfall/estimate"
)

// Averages says which averages of the effects by cohort and period an event-study estimator gives beside overall.
type Averages struct {
	// Aggregate is [Dynamic] (default), [Cells], [Group], [Calendar] or [Simple]. Overall is the mean over all treated rows with each of them.
	Aggregate Aggregation
	// BalanceEvent, for Dynamic: events and overall over the cohorts that are seen for this many time units after treatment,
	// and over the events at which each of them is seen. nil = all.
	BalanceEvent *int
}

func (a Averages) check() error {
	if a.Aggregate == "" {
		a.Aggregate = Dynamic
	}
	return AggregateOptions{BalanceEvent: a.BalanceEvent}.check(a.Aggregate)
}

// average is a term: the rows, or cells, of cohort g in period t for which in is true.
type average struct {
	name string
	in   func(g, t int) bool
}

// list returns the averages over the rows that have an effect, overall last.
//
// Errors: [estimate.ErrNotIdentified] when no cohort is seen for as long as BalanceEvent asks.
func (a Averages) list(l *long, effect func(row int) bool) ([]average, error) {
	seen := func(g, t int) bool { return true }
	if a.BalanceEvent != nil {
		e, first, last := *a.BalanceEvent, l.periods[0], l.periods[len(l.periods)-1]
		seen = func(g, t int) bool { return last-g >= e && t-g <= e && t-g >= e-last+first }
	}
	var out []average
	add := func(name string, in func(g, t int) bool) {
		out = append(out, average{name, func(g, t int) bool { return g != never && seen(g, t) && in(g, t) }})
	}
	type cell struct{ group, time int }
	cells := map[cell]bool{}
	treated := false
	for i, g := range l.cohort {
		if t := l.periods[l.period[i]]; g != never && effect(i) && seen(g, t) {
			cells[cell{g, t}] = true
			treated = treated || t >= g
		}
	}
	if !treated && a.BalanceEvent != nil {
		return nil, fmt.Errorf("%w: no cohort is seen for %d time units after its treatment; balance at fewer", estimate.ErrNotIdentified, *a.BalanceEvent)
	}
	// by lists the values of a key over cells; only those from treatment on unless early.
	by := func(early bool, key func(c cell) int) []int {
		values := map[int]bool{}
		for c := range cells {
			if early || c.time >= c.group {
				values[key(c)] = true
			}
		}
		return slices.Sorted(maps.Keys(values))
	}
	switch a.Aggregate {
	case Cells:
		for _, g := range by(true, func(c cell) int { return c.group }) {
			for _, t := range l.periods {
				if cells[cell{g, t}] {
					add(fmt.Sprintf("group=%d,time=%d", g, t), func(group, time int) bool { return group == g && time == t })
				}
			}
		}
	case Group:
		for _, v := range by(false, func(c cell) int { return c.group }) {
			add(fmt.Sprintf("group=%d", v), func(g, t int) bool { return g == v && t >= g })
		}
	case Calendar:
		for _, v := range by(false, func(c cell) int { return c.time }) {
			add(fmt.Sprintf("time=%d", v), func(g, t int) bool { return t == v && t >= g })
		}
	case Simple:
	default:
		for _, v := range by(true, func(c cell) int { return c.time - c.group }) {
			add(eventTerm(v), func(g, t int) bool { return t-g == v })
		}
	}
	add(Overall, func(g, t int) bool { return t >= g })
	return out, nil
}

// describe notes in the details what was averaged.
func (a Averages) describe(res *estimate.Result) {
	if a.Aggregate == "" {
		a.Aggregate = Dynamic
	}
	res.Details["aggregate"] = string(a.Aggregate)
	if a.BalanceEvent != nil {
		res.Details["balance_event"] = *a.BalanceEvent
	}
}
