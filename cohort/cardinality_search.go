package cohort

import (
	"context"
	"math"
	"slices"

	"utfall/internal/num"
)

// choice is a whole number of each kind, with what it adds up to.
type choice struct {
	x     []int
	sum   []float64 // by balanced column: Σ partners a·x - Ratio·Σ served a·x
	count [][2]int  // by cell: partners, served
	kept  int
}

func (p *cardinality) empty() *choice {
	return &choice{x: make([]int, len(p.kinds)), sum: make([]float64, len(p.limit)), count: make([][2]int, p.cells)}
}

func (c *choice) copy() *choice {
	return &choice{x: slices.Clone(c.x), sum: slices.Clone(c.sum), count: slices.Clone(c.count), kept: c.kept}
}

// add changes kind g by n.
func (p *cardinality) add(c *choice, g, n int) {
	k := &p.kinds[g]
	c.x[g] += n
	c.count[k.cell][arm(k.served)] += n
	f := float64(n)
	if k.served {
		c.kept += n
		f *= -float64(p.ratio)
	}
	for j, a := range k.at {
		c.sum[j] += float64(f * a)
	}
}

// excess is Σ (how far |sum| is beyond its limit)², were the sums moved by f·a and f2·a2.
func (p *cardinality) excess(c *choice, kept int, f float64, a []float64, f2 float64, a2 []float64) float64 {
	p.work -= len(p.limit)
	total := 0.0
	for j, s := range c.sum {
		if a != nil {
			s += float64(f * a[j])
		}
		if a2 != nil {
			s += float64(f2 * a2[j])
		}
		if over := math.Abs(s) - float64((p.limit[j]+balanceSlack/2)*float64(p.ratio*kept)); over > 0 {
			total += float64(over * over)
		}
	}
	return total
}

// factor is what one more unit of kind g adds of its values to the sums.
func (p *cardinality) factor(g int) float64 {
	if p.kinds[g].served {
		return -float64(p.ratio)
	}
	return 1
}

func (p *cardinality) kept(c *choice, g, n int) int {
	if p.kinds[g].served {
		return c.kept + n
	}
	return c.kept
}

// bestChange is the kind of a cell and arm of which one unit more (n = 1) or less (-1) leaves the least excess; -1 = none.
func (p *cardinality) bestChange(c *choice, cell int32, served bool, n int) int {
	best, least := -1, math.Inf(1)
	for g := range p.kinds {
		k := &p.kinds[g]
		if k.cell != cell || k.served != served || n > 0 && c.x[g] == len(k.rows) || n < 0 && c.x[g] == 0 {
			continue
		}
		if e := p.excess(c, p.kept(c, g, n), float64(n)*p.factor(g), k.at, 0, nil); e < least {
			best, least = g, e
		}
	}
	return best
}

// level makes Ratio partners for each unit served in every cell.
func (p *cardinality) level(c *choice) {
	for cell := range int32(p.cells) {
		for c.count[cell][0] != p.ratio*c.count[cell][1] {
			g := -1
			if c.count[cell][0] < p.ratio*c.count[cell][1] {
				if g = p.bestChange(c, cell, false, 1); g >= 0 {
					p.add(c, g, 1)
					continue
				}
				p.add(c, p.bestChange(c, cell, true, -1), -1)
				continue
			}
			p.add(c, p.bestChange(c, cell, false, -1), -1)
		}
	}
}

// mend exchanges units until the means are within the tolerances; false when no exchange helps.
func (p *cardinality) mend(c *choice) bool {
	for {
		now := p.excess(c, c.kept, 0, nil, 0, nil)
		if now == 0 {
			return true
		}
		if p.work < 0 {
			return false
		}
		least, out, in := now*(1-1e-9), -1, -1
		for _, side := range p.sides() {
			outs, ins := p.candidates(c, side)
			for _, o := range outs {
				f := p.factor(o)
				for _, i := range ins {
					if o == i {
						continue
					}
					if e := p.excess(c, c.kept, -f, p.kinds[o].at, f, p.kinds[i].at); e < least {
						least, out, in = e, o, i
					}
				}
			}
		}
		if out < 0 {
			return false
		}
		p.add(c, out, -1)
		p.add(c, in, 1)
	}
}

// sides are the kinds of each cell and arm.
func (p *cardinality) sides() [][]int {
	out := make([][]int, 2*p.cells)
	for g, k := range p.kinds {
		at := 2*int(k.cell) + arm(k.served)
		out[at] = append(out[at], g)
	}
	return out
}

// candidates are kinds of a side to take from and to give to: all, or the 40 that help most alone.
func (p *cardinality) candidates(c *choice, side []int) (outs, ins []int) {
	for _, g := range side {
		if c.x[g] > 0 {
			outs = append(outs, g)
		}
		if c.x[g] < len(p.kinds[g].rows) {
			ins = append(ins, g)
		}
	}
	if len(outs)*len(ins) <= 4000 {
		return outs, ins
	}
	return p.helpful(c, outs, -1), p.helpful(c, ins, 1)
}

func (p *cardinality) helpful(c *choice, kinds []int, n int) []int {
	type scored struct {
		g int
		e float64
	}
	all := make([]scored, len(kinds))
	for i, g := range kinds {
		all[i] = scored{g, p.excess(c, c.kept, float64(n)*p.factor(g), p.kinds[g].at, 0, nil)}
	}
	slices.SortFunc(all, func(a, b scored) int {
		switch {
		case a.e < b.e:
			return -1
		case a.e > b.e:
			return 1
		}
		return a.g - b.g
	})
	out := make([]int, 0, 40)
	for _, s := range all[:min(40, len(all))] {
		out = append(out, s.g)
	}
	return out
}

// set adds (n = 1) or takes (-1) a unit served with its partners in the cell where that leaves the least excess.
func (p *cardinality) set(c *choice, n int) bool {
	var best *choice
	least := math.Inf(1)
	for cell := range int32(p.cells) {
		g := p.bestChange(c, cell, true, n)
		if g < 0 {
			continue
		}
		try := c.copy()
		p.add(try, g, n)
		ok := true
		for range p.ratio {
			if g = p.bestChange(try, cell, false, n); g < 0 {
				ok = false
				break
			}
			p.add(try, g, n)
		}
		if e := p.excess(try, try.kept, 0, nil, 0, nil); ok && e < least {
			best, least = try, e
		}
	}
	if best != nil {
		*c = *best
	}
	return best != nil
}

// round makes a choice within the tolerances out of numbers that are not whole.
func (p *cardinality) round(x []float64) *choice {
	c := p.empty()
	for g, v := range x {
		if n := int(v + 1e-6); n > 0 {
			p.add(c, g, n)
		}
	}
	p.level(c)
	for !p.mend(c) {
		if !p.set(c, -1) {
			return p.empty()
		}
	}
	for p.work > 0 {
		try := c.copy()
		if !p.set(try, 1) || !p.mend(try) {
			break
		}
		c = try
	}
	return c
}

// node is a part of the problem: limits on some kinds.
type node struct {
	bound int
	limit []limited
}

type limited struct {
	g      int
	lo, hi float64
}

// search is branch and bound, depth first.
func (p *cardinality) search(ctx context.Context) ([]int, *CardinalityFit, error) {
	lp, fit := p.relaxation(), p.fit
	best := p.empty()
	lower, upper := slices.Clone(lp.Lower), slices.Clone(lp.Upper)
	open := []node{{bound: math.MaxInt}}
	for len(open) > 0 && (fit.Nodes == 0 || p.work > 0) {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		at := open[len(open)-1]
		open = open[:len(open)-1]
		if fit.Nodes > 0 && at.bound <= best.kept {
			continue
		}
		copy(lp.Lower, lower)
		copy(lp.Upper, upper)
		for _, l := range at.limit {
			lp.Lower[l.g], lp.Upper[l.g] = max(lp.Lower[l.g], l.lo), min(lp.Upper[l.g], l.hi)
		}
		got := lp.Maximize(200 + 20*lp.Rows)
		p.work -= (got.Iterations + 1) * len(lp.A)
		if fit.Nodes++; fit.Nodes == 1 {
			fit.Price = got.Price
			fit.RootBound = max(0, int(math.Floor(got.Bound+1e-6)))
		}
		if !got.Feasible {
			continue
		}
		bound := min(at.bound, max(0, int(math.Floor(got.Bound+1e-6))))
		if bound <= best.kept {
			continue
		}
		if c := p.round(got.X); c.kept > best.kept {
			best = c
		}
		if bound <= best.kept {
			continue
		}
		g := fractional(got.X)
		if g < 0 {
			g = widest(lp)
		}
		if g < 0 { // nothing is left to choose
			continue
		}
		below := math.Floor(got.X[g] + 1e-6)
		if below >= lp.Upper[g] {
			below = lp.Upper[g] - 1
		}
		down, up := limited{g, 0, below}, limited{g, below + 1, math.Inf(1)}
		first, second := down, up
		if got.X[g]-below > 0.5 {
			first, second = up, down
		}
		for _, l := range []limited{second, first} {
			open = append(open, node{bound, append(slices.Clone(at.limit), l)})
		}
	}
	fit.Kept, fit.Bound = best.kept, best.kept
	for _, n := range open {
		fit.Bound = max(fit.Bound, min(n.bound, fit.RootBound))
	}
	fit.Gap, fit.Optimal = fit.Bound-fit.Kept, fit.Bound == fit.Kept
	fit.Remaining = make([]float64, len(fit.Width))
	for j, at := 0, 0; j < len(fit.Width); j++ {
		if fit.Remaining[j] = math.NaN(); math.IsNaN(fit.Width[j]) {
			continue
		}
		if best.kept > 0 {
			fit.Remaining[j] = best.sum[at] / float64(p.ratio*best.kept) * p.sd[at]
		}
		at++
	}
	return best.x, fit, nil
}

// fractional is the kind whose number is farthest from whole; -1 = all are whole.
func fractional(x []float64) int {
	best, most := -1, 1e-6
	for g, v := range x {
		if f := math.Abs(v - math.Round(v)); f > most {
			best, most = g, f
		}
	}
	return best
}

// widest is the kind with the most to choose from; -1 = nothing is left to choose.
func widest(lp *num.BoxLP) int {
	best, most := -1, 0.0
	for g := range lp.C {
		if w := lp.Upper[g] - lp.Lower[g]; w > most {
			best, most = g, w
		}
	}
	return best
}
