package cohort

import (
	"context"
	"math"
)

// pick is a partner that a finder proposes; row -1 is none. bound has a bit for each
// caliper that the nearest free partner breaks, and met is false when there is no
// free partner at all: what reports say about calipers rests on these two.
type pick struct {
	pos, row, tie int32
	dist          float64
	bound         uint64
	met           bool
}

func (p pick) before(q pick) bool {
	return p.dist < q.dist || (p.dist == q.dist && p.tie < q.tie)
}

// finder holds the partners of one exact block. best proposes the free partner of a
// unit with the smallest (distance, tie) that keeps every caliper; nearest gives the
// k smallest among all, free or not, in order.
type finder interface {
	best(unit int32) pick
	nearest(unit int32, k int) []pick
	free(pos int32) bool
	take(pos int32)
}

// caliper is a largest difference in a column; values follow the table's rows. The
// caliper on the distance itself has no values.
type caliper struct {
	name   string
	values []float64
	width  float64
}

func (c *caliper) keeps(a, b int32) bool { return math.Abs(c.values[a]-c.values[b]) <= c.width }

// calipers are those of a design; distance is +Inf where there is none.
type calipers struct {
	distance float64
	within   []caliper // on columns and on the score beside a metric
}

// check returns a bit for each caliper that a pair breaks: bit 0 is the distance's,
// bit i+1 that of within[i].
func (c *calipers) check(unit, partner int32, dist float64) (bound uint64) {
	if dist > c.distance {
		bound = 1
	}
	for i := range c.within {
		if !c.within[i].keeps(unit, partner) {
			bound |= 2 << i
		}
	}
	return bound
}

// link is a matched pair: the unit served, its partner, and their distance.
type link struct {
	unit, partner int32
	dist          float64
}

// served is the matching of one block.
type served struct {
	links    []link
	attempts int   // choices for which a free partner existed
	bound    []int // of them, those in which the nearest free partner broke caliper i
}

func (s *served) count(p pick) {
	if !p.met {
		return
	}
	s.attempts++
	for i := range s.bound {
		if p.bound>>i&1 == 1 {
			s.bound[i]++
		}
	}
}

// ctxEvery is the number of units between looks at the context.
const ctxEvery = 1024

// serveOrdered matches without replacement in rounds: in round r each unit that got a
// partner in every round before, in the order given, takes the best free one.
func serveOrdered(ctx context.Context, f finder, order []int32, ratio, calipers int) (served, error) {
	s := served{bound: make([]int, calipers)}
	left := order
	for range ratio {
		var again []int32
		for i, unit := range left {
			if i%ctxEvery == 0 && ctx.Err() != nil {
				return s, ctx.Err()
			}
			p := f.best(unit)
			s.count(p)
			if p.row < 0 {
				continue
			}
			f.take(p.pos)
			s.links = append(s.links, link{unit, p.row, p.dist})
			again = append(again, unit)
		}
		if left = again; len(left) == 0 {
			break
		}
	}
	return s, nil
}

// serveReplacing gives each unit its nearest partners, whoever else has them.
func serveReplacing(ctx context.Context, f finder, order []int32, ratio, calipers int) (served, error) {
	s := served{bound: make([]int, calipers)}
	for i, unit := range order {
		if i%ctxEvery == 0 && ctx.Err() != nil {
			return s, ctx.Err()
		}
		found := f.nearest(unit, ratio)
		for _, p := range found {
			if p.row >= 0 {
				s.links = append(s.links, link{unit, p.row, p.dist})
			}
		}
		if len(found) > 0 {
			s.count(found[0])
		}
	}
	return s, nil
}

// serveClosest matches without replacement in rounds; within a round the pair with
// the smallest (distance, place of the unit in order, tie of the partner) goes first.
// A unit's proposal can only get worse while others take partners, so that a heap of
// the proposals, renewed when the partner is gone, gives that order.
func serveClosest(ctx context.Context, f finder, order []int32, ratio, calipers int) (served, error) {
	s := served{bound: make([]int, calipers)}
	left := make([]int32, len(order)) // places in order
	for i := range left {
		left[i] = int32(i)
	}
	for range ratio {
		h := make(proposals, 0, len(left))
		for i, place := range left {
			if i%ctxEvery == 0 && ctx.Err() != nil {
				return s, ctx.Err()
			}
			if p := f.best(order[place]); p.row >= 0 {
				h = append(h, proposal{p, place})
			} else {
				s.count(p)
			}
		}
		h.init()
		var again []int32
		for n := 0; len(h) > 0; n++ {
			if n%ctxEvery == 0 && ctx.Err() != nil {
				return s, ctx.Err()
			}
			top := h[0]
			if !f.free(top.pos) {
				if p := f.best(order[top.place]); p.row >= 0 {
					h[0] = proposal{p, top.place}
					h.down(0)
				} else {
					s.count(p)
					h.pop()
				}
				continue
			}
			h.pop()
			f.take(top.pos)
			s.count(top.pick)
			s.links = append(s.links, link{order[top.place], top.row, top.dist})
			again = append(again, top.place)
		}
		if left = again; len(left) == 0 {
			break
		}
	}
	return s, nil
}

type proposal struct {
	pick
	place int32
}

// proposals is a binary heap by (distance, place).
type proposals []proposal

func (h proposals) less(i, j int) bool {
	return h[i].dist < h[j].dist || (h[i].dist == h[j].dist && h[i].place < h[j].place)
}

func (h proposals) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h proposals) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h.less(c+1, c) {
			c++
		}
		if !h.less(c, i) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

func (h *proposals) pop() {
	last := len(*h) - 1
	(*h)[0] = (*h)[last]
	*h = (*h)[:last]
	h.down(0)
}
