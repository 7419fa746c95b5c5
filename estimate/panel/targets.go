package panel

import (
	"fmt"
	"maps"
	"slices"
)

// targets returns the terms of an aggregation in their order, overall last.
func (r *GroupTimeResult) targets(kind Aggregation, balance *int) []target {
	cells := r.identified()
	share := r.layout.cohortWeight()
	if kind == Cells {
		out := make([]target, len(cells))
		for a, i := range cells {
			out[a] = target{term: r.Cells[i].term(), cells: []int{i}, weights: []float64{1}}
		}
		return out
	}
	if balance != nil {
		cells = r.balanced(cells, *balance)
	}
	var post []int
	for _, i := range cells {
		if r.Cells[i].Post {
			post = append(post, i)
		}
	}
	byShare := func(term string, cells []int) target {
		t := target{term: term, cells: cells, shares: true}
		total := 0.0
		for _, i := range cells {
			total += share[r.index[i].cohort]
		}
		for _, i := range cells {
			t.weights = append(t.weights, share[r.index[i].cohort]/total)
		}
		return t
	}
	if kind == Simple {
		return []target{byShare(Overall, post)}
	}
	used := post
	key := func(c *Cell) int { return c.Group }
	name := "group=%d"
	switch kind {
	case Dynamic:
		used, name = cells, "event=%d"
		key = func(c *Cell) int { return c.Time - c.Group }
	case Calendar:
		name = "time=%d"
		key = func(c *Cell) int { return c.Time }
	}
	groups := map[int][]int{}
	for _, i := range used {
		k := key(&r.Cells[i])
		groups[k] = append(groups[k], i)
	}
	var out []target
	overall := target{term: Overall, parts: []int{}}
	total := 0.0
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		t := byShare(fmt.Sprintf(name, k), groups[k])
		if kind == Dynamic && k < 0 {
			out = append(out, t)
			continue
		}
		w := 1.0
		if kind == Group { // one cohort: a plain mean, and shares only between the groups
			w = share[r.index[t.cells[0]].cohort]
			t.shares, overall.shares = false, true
		}
		overall.parts = append(overall.parts, len(out))
		overall.weights = append(overall.weights, w)
		total += w
		out = append(out, t)
	}
	for i := range overall.weights {
		overall.weights[i] /= total
	}
	return append(out, overall)
}

// balanced keeps the cohorts that are seen e time units after treatment, at the
// events -first … e at which all of them are seen; what "seen" can mean ends with
// the last period that has an estimate.
func (r *GroupTimeResult) balanced(cells []int, e int) []int {
	first := r.layout.periods[0]
	last := first
	for _, i := range cells {
		last = max(last, r.Cells[i].Time)
	}
	var out []int
	for _, i := range cells {
		c := &r.Cells[i]
		if event := c.Time - c.Group; last-c.Group >= e && event <= e && event >= e-last+first {
			out = append(out, i)
		}
	}
	return out
}
