package study

import (
	"math"
	"slices"

	"utfall/estimate/survive"
)

// curves are the shares that have come by month, for the figure, and the test that they are the same.
func (t *timeToRun) curves() error {
	f := t.competing()
	var at []float64
	for m := range t.q.Tau + 1 {
		at = append(at, float64(m))
	}
	res, err := survive.CumulativeIncidence{At: at, Workers: t.s.o.Workers}.Fit(t.s.ctx, f)
	if err != nil {
		return err
	}
	all, own := arms(t.treated), &timeToCurves{}
	for g, name := range f.GroupNames {
		c := timeToCurve{group: name, people: all.Control}
		if g == 1 {
			c.people = all.Treated
		}
		for m := range at {
			came := t.came(0, 0, m)
			c.events = append(c.events, []int{came.Control, came.Treated}[g])
		}
		own.arms = append(own.arms, c)
	}
	for _, e := range res.Estimates {
		parts := termParts(e.Term)
		if parts["cause"] != reached || math.IsNaN(e.Value) {
			continue
		}
		c := &own.arms[slices.Index(f.GroupNames, parts["group"])]
		lo, hi := e.CI.Lo, e.CI.Hi
		if !(e.SE > 0) {
			lo, hi = e.Value, e.Value
		}
		c.value, c.lo, c.hi = append(c.value, e.Value), append(c.lo, lo), append(c.hi, hi)
	}
	t.r.own = own
	if test, err := (survive.GrayTest{}).Fit(t.s.ctx, f); err == nil {
		t.add("test", test.Estimates[0])
	}
	return nil
}

// thin finds the months of a curve that may be shown: between two of them enough people come,
// and those that numbers are given for are among them. withheld counts the others.
func (c *timeToCurve) thin(at []int, enough int) (kept []int, withheld int) {
	if len(c.value) == 0 {
		return nil, 0
	}
	last := len(c.value) - 1
	anchors := append(slices.Clone(at), last)
	slices.Sort(anchors)
	kept = []int{0} // nobody has come before the first month
	for _, a := range slices.Compact(anchors) {
		from := kept[len(kept)-1]
		if a > last || c.events[a]-c.events[from] < enough || c.people-c.events[a] < enough {
			continue
		}
		for m := from + 1; m < a; m++ {
			if c.events[m]-c.events[kept[len(kept)-1]] >= enough && c.events[a]-c.events[m] >= enough {
				kept = append(kept, m)
			}
		}
		kept = append(kept, a)
	}
	return kept, len(c.value) - len(kept)
}
