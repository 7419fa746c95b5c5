package panel

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/table"
)

// anyBin is the bin of a cell of units whatever their exposure.
const anyBin = -1

// bin is the number of the bin of an exposure; 0 also for what is not above Threshold.
func (s Spillover) bin(v float64) int {
	n := 0
	for n < len(s.Borders) && v > s.Borders[n] {
		n++
	}
	return n
}

// cells estimates one cell for each key that occurs.
func (c *spill) cells(ctx context.Context) (map[spillKey]*fewCell, []spillKey, error) {
	l := c.w.l
	members := map[spillKey][]int{}
	for i := range l.n {
		start := min(c.g[i], c.e[i])
		for p, t := range l.periods {
			if t < start {
				continue
			}
			k := spillKey{c.g[i], c.e[i], p, anyBin}
			members[k] = append(members[k], i)
			if t < c.g[i] && len(c.Borders) > 0 {
				k.bin = c.bin(c.exposure[p][i])
				members[k] = append(members[k], i)
			}
		}
	}
	keys := make([]spillKey, 0, len(members))
	for k := range members {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b spillKey) int {
		return cmp.Or(cmp.Compare(a.g, b.g), cmp.Compare(a.e, b.e), cmp.Compare(a.period, b.period), cmp.Compare(a.bin, b.bin))
	})
	out := map[spillKey]*fewCell{}
	for _, k := range keys {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		cell, err := c.cell(k, members[k])
		if err != nil {
			c.dropped++
			continue
		}
		out[k] = cell
	}
	return out, keys, nil
}

// cell compares the positions with those that have not started.
func (c *spill) cell(k spillKey, positions []int) (*fewCell, error) {
	l := c.w.l
	base := -1
	for p, t := range l.periods {
		if t+c.Anticipation < min(k.g, k.e) {
			base = p
		}
	}
	if base < 0 {
		return nil, estimate.ErrNotIdentified
	}
	limit := max(l.periods[k.period], l.periods[base]) + c.Anticipation
	var controls []int
	for i := range l.n {
		if min(c.g[i], c.e[i]) > limit {
			controls = append(controls, i)
		}
	}
	if len(controls) == 0 {
		return nil, estimate.ErrNoControls
	}
	return c.compare(positions, controls, base, k.period)
}

// compare is the difference of mean changes of two lists of positions.
func (c *spill) compare(treated, controls []int, base, period int) (*fewCell, error) {
	l := c.w.l
	spans := make([]span, 0, len(treated)+len(controls))
	for _, list := range [][]int{treated, controls} {
		for _, i := range list {
			spans = append(spans, span{i, i + 1})
		}
	}
	earlier := min(base, period)
	x, w := sheet(l.x, earlier), sheet(l.w, earlier)
	d, err := newPanelDesign(l, spans, len(treated), x, w, Regression)
	if err != nil {
		return nil, err
	}
	j := &job{spans: spans, treated: len(treated), sheetX: x, sheetW: w}
	out := &fewCell{cellIndex: cellIndex{period: period, base: base}, spans: spans, treated: len(treated), k: d.kernel(), lever: d.leverage(), inf: make([]float64, d.n)}
	c.w.shareLeverage(j, out.lever)
	dy := make([]float64, d.n)
	l.change(spans, base, period, dy)
	out.value = d.estimate(dy, out.inf, make([]float64, d.n))
	for _, i := range treated {
		out.size += l.w[w][i]
	}
	c.fewest = min(c.fewest, len(controls))
	return out, nil
}

// terms averages the cells.
func (c *spill) terms(cells map[spillKey]*fewCell, keys []spillKey) []*fewTerm {
	l := c.w.l
	index := map[string]*fewTerm{}
	var order []string
	total := map[string]float64{}
	add := func(name string, cell *fewCell) {
		t := index[name]
		if t == nil {
			t = &fewTerm{w: c.w, name: name, post: true}
			index[name] = t
			order = append(order, name)
		}
		t.cells, t.weight = append(t.cells, cell), append(t.weight, cell.size)
		total[name] += cell.size
	}
	names := []func(k spillKey, t int) string{
		func(k spillKey, t int) string {
			switch {
			case k.bin != anyBin:
				return ""
			case t >= k.g:
				return "treated"
			}
			return "exposed"
		},
		func(k spillKey, t int) string {
			if k.bin == anyBin {
				return ""
			}
			return fmt.Sprintf("exposed,above=%v", append([]float64{c.Threshold}, c.Borders...)[k.bin])
		},
		func(k spillKey, t int) string {
			switch {
			case !c.ByEvent || k.bin != anyBin:
				return ""
			case t >= k.g:
				return fmt.Sprintf("treated,event=%d", t-k.g)
			}
			return fmt.Sprintf("exposed,event=%d", t-k.e)
		},
	}
	for kind, name := range names {
		from := len(order)
		for _, k := range keys {
			cell := cells[k]
			if cell == nil {
				continue
			}
			if n := name(k, l.periods[k.period]); n != "" {
				add(n, cell)
			}
		}
		if kind == 0 {
			slices.Sort(order)
			slices.Reverse(order) // treated first
			continue
		}
		slices.SortFunc(order[from:], func(a, b string) int {
			var sa, sb string
			var na, nb float64
			fmt.Sscanf(splitTerm(a), "%s %g", &sa, &na)
			fmt.Sscanf(splitTerm(b), "%s %g", &sb, &nb)
			return cmp.Or(-cmp.Compare(sa, sb), cmp.Compare(na, nb))
		})
	}
	var out []*fewTerm
	for _, n := range order {
		t := index[n]
		for i := range t.weight {
			t.weight[i] /= total[n]
			t.value += float64(t.weight[i] * t.cells[i].value)
		}
		out = append(out, t)
	}
	return out
}

// splitTerm turns "kind,key=number" into "kind number".
func splitTerm(s string) string {
	for i := range s {
		if s[i] == ',' {
			for j := i; j < len(s); j++ {
				if s[j] == '=' {
					return s[:i] + " " + s[j+1:]
				}
			}
		}
	}
	return s
}

// finish adds counts, the naive comparison and notes.
func (c *spill) finish(f *Frame, res *estimate.Result, terms []*fewTerm, lean int) {
	l := c.w.l
	for _, n := range l.notes {
		if n.Code == "always-treated-dropped" {
			n = table.Note{Code: "started-from-first-dropped", Args: n.Args,
				Text: fmt.Sprintf("%v units (%v rows) treated or exposed from the first period or before it have no period to count from and were left out.", n.Args["units"], n.Args["rows"])}
		}
		res.Notes = append(res.Notes, n)
	}
	last := l.periods[len(l.periods)-1]
	exposed := 0
	for i := range l.n {
		if c.g[i] <= last {
			res.N.Treated++
		}
		if c.e[i] <= last {
			exposed++
		}
	}
	res.N.Units, res.N.Clusters = l.n, c.w.groups
	if c.dropped > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "spillover-cells-dropped", Args: map[string]any{"cells": c.dropped},
			Text: fmt.Sprintf("%d groups of units and periods have nobody to compare with who is neither treated nor exposed, and were left out.", c.dropped)})
	}
	if lean > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "inference-lone-cohorts", Text: "Units that are alone in entering when they did carry too much of the estimate: nothing shows how far each differs from others like it."})
	}
	if f.Cluster == nil {
		res.Notes = append(res.Notes, table.Note{Code: "spillover-clusters", Text: "Units that share neighbours are not independent; name the region as cluster to allow for that."})
	}
	design := make([]map[string]any, len(terms))
	for i, t := range terms {
		design[i] = map[string]any{"term": t.name, "units": t.design.Treated, "clean": t.design.Comparison, "df": t.design.DF, "clusters": t.design.Clusters}
	}
	res.Details["terms"], res.Details["exposed_units"], res.Details["clean"] = design, exposed, c.fewest
	if v, se, ok := c.naive(); ok {
		res.Details["naive"] = map[string]float64{"estimate": v, "std_error": se}
	}
}

// naive is the effect on the treated by comparison with all units not yet treated.
func (c *spill) naive() (value, se float64, ok bool) {
	l := c.w.l
	t := &fewTerm{w: c.w, name: "naive", post: true}
	total := 0.0
	for _, g := range slices.Compact(slices.Sorted(slices.Values(c.g))) {
		if g == never {
			continue
		}
		base := -1
		var own []int
		for p, v := range l.periods {
			if v+c.Anticipation < g {
				base = p
			}
		}
		for i := range l.n {
			if c.g[i] == g {
				own = append(own, i)
			}
		}
		for p, v := range l.periods {
			var controls []int
			for i := range l.n {
				if v >= g && c.g[i] > v+c.Anticipation {
					controls = append(controls, i)
				}
			}
			if base < 0 || len(controls) == 0 {
				continue
			}
			fewest := c.fewest
			cell, err := c.compare(own, controls, base, p)
			c.fewest = fewest
			if err != nil {
				continue
			}
			t.cells, t.weight = append(t.cells, cell), append(t.weight, cell.size)
			total += cell.size
		}
	}
	if len(t.cells) == 0 {
		return 0, 0, false
	}
	for i := range t.weight {
		t.weight[i] /= total
		t.value += float64(t.weight[i] * t.cells[i].value)
	}
	t.describe()
	t.spread()
	return t.value, math.Sqrt(t.sandwich(0.5)), true
}
