package cohort

import (
	"context"
	"math"
	"slices"

	"utfall/internal/num"
)

// build makes the graph of a block.
func (f *offers) build(ctx context.Context, b, workers int) error {
	units, side := f.left[b], f.lookup(f.right[b])
	var bestLeft, bestRight []int64
	if f.cover {
		bestLeft = f.cheapest(units, side, workers)
		bestRight = f.cheapest(f.right[b], f.lookup(units), workers)
	}
	if f.cover {
		if arcs := f.sampled(units, side, func(i int, pos int32, cost int64) bool { return worth(cost, bestLeft[i], bestRight[pos]) }); arcs > float64(f.arcs) {
			return f.tooLarge(b, arcs)
		}
	}
	rows, counts := make([][]offer, len(units)), make([]offered, len(units))
	kept := make([]int, (len(units)+num.Chunk/64-1)/(num.Chunk/64))
	num.ForEach(len(kept), workers, func(c int) {
		gap, all := f.room(), make([]offer, 0, len(side.rows))
		for i := c * (num.Chunk / 64); i < min((c+1)*(num.Chunk/64), len(units)) && ctx.Err() == nil; i++ {
			all = all[:0]
			counts[i] = offered{all: len(side.rows), broken: make([]int, 1+len(f.j.limits.within))}
			f.look(units[i], side, gap, counts[i].broken, func(pos int32, cost int64) {
				counts[i].kept++
				if f.cover && !worth(cost, bestLeft[i], bestRight[pos]) {
					return
				}
				all = append(all, offer{cost, pos})
			})
			if f.most != nil {
				all = smallest(all, f.most(len(units)))
			}
			slices.SortFunc(all, func(x, y offer) int { return int(x.to) - int(y.to) })
			rows[i] = slices.Clone(all)
		}
	})
	total := 0
	f.counted[b].broken = make([]int, 1+len(f.j.limits.within))
	for i, r := range rows {
		total += len(r)
		f.counted[b].all += counts[i].all
		f.counted[b].kept += counts[i].kept
		for k, n := range counts[i].broken {
			f.counted[b].broken[k] += n
		}
	}
	f.counted[b].offered = total
	if total > f.arcs {
		return f.tooLarge(b, float64(total))
	}
	g := num.Bipartite{Left: len(units), Right: len(side.rows), Start: make([]int, 1, len(units)+1), To: make([]int32, 0, total), Cost: make([]int64, 0, total)}
	for i, r := range rows {
		for _, o := range r {
			g.To, g.Cost = append(g.To, o.to), append(g.Cost, o.cost)
		}
		g.Start = append(g.Start, len(g.To))
		rows[i] = nil
	}
	f.graphs[b] = g
	return ctx.Err()
}

// worth reports whether a pair can be in a cover of least cost, or is the cheapest of one of its units.
func worth(cost, bestLeft, bestRight int64) bool {
	return cost == bestLeft || cost == bestRight || cost < bestLeft+bestRight
}

// sampled estimates the pairs of a block that count, from up to 64 of its units.
func (f *offers) sampled(units []int32, side *lookup, counts func(i int, pos int32, cost int64) bool) float64 {
	gap, sum := f.room(), 0
	sample := units[:min(64, len(units))]
	for i, a := range sample {
		f.look(a, side, gap, nil, func(pos int32, cost int64) {
			if counts(i, pos, cost) {
				sum++
			}
		})
	}
	return float64(sum) / float64(len(sample)) * float64(len(units))
}

// cheapest is the cost of each unit's cheapest pair.
func (f *offers) cheapest(units []int32, side *lookup, workers int) []int64 {
	out := make([]int64, len(units))
	num.ForEach((len(units)+63)/64, workers, func(c int) {
		gap := f.room()
		for i := c * 64; i < min(c*64+64, len(units)); i++ {
			out[i] = math.MaxInt64 / 4
			f.look(units[i], side, gap, nil, func(_ int32, cost int64) { out[i] = min(out[i], cost) })
		}
	})
	return out
}

// smallest moves the k smallest to the front and returns them (quickselect).
func smallest(all []offer, k int) []offer {
	lo, hi := 0, len(all)
	if k >= hi {
		return all
	}
	for hi-lo > 1 {
		a, b, c := all[lo], all[(lo+hi)/2], all[hi-1]
		if b.before(a) {
			a, b = b, a
		}
		if c.before(b) {
			if b = c; b.before(a) {
				b = a
			}
		}
		i, k2 := lo, hi-1
		for i <= k2 {
			for all[i].before(b) {
				i++
			}
			for b.before(all[k2]) {
				k2--
			}
			if i <= k2 {
				all[i], all[k2] = all[k2], all[i]
				i++
				k2--
			}
		}
		switch {
		case k <= k2+1:
			hi = k2 + 1
		case k >= i:
			lo = i
		default:
			return all[:k]
		}
	}
	return all[:k]
}
