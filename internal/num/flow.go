package num

import (
	"context"
	"slices"
)

// Bipartite is a graph of left and right nodes with costs of its arcs, in whole numbers.
// The arcs of left node i are Start[i] … Start[i+1]-1, in any order; an arc is there once.
type Bipartite struct {
	Left, Right int
	Start       []int   // Left+1
	To          []int32 // right nodes
	Cost        []int64 // ≥ 0
}

// Degree says how many links a node needs, and how many it may have.
type Degree struct{ Min, Max int }

// Unlimited is a Degree.Max without a limit.
const Unlimited = 1<<31 - 1

// Links is a choice of arcs of a [Bipartite] of least cost, with the prices that prove it.
type Links struct {
	Pairs [][2]int32 // left and right node, by left node and then right
	// Deficit is how many links that it needs a node lacks.
	Deficit [2][]int32
	// Price of left and right nodes. See [Links.Certify].
	Price [2][]int64
	// Forfeit is the cost of a link that is lacking, twice that for the last one of a
	// node, so that it has none at all.
	Forfeit int64
}

// MaxForfeit bounds the costs: (min(Left, Right) + 2)·(largest cost + 1) must be below it.
const MaxForfeit = int64(1) << 58

// MinCostLinks chooses arcs so that as many nodes as possible have a link, then as few of
// the links that nodes need as possible are lacking, then the sum of costs is least: it minimises
//
//	Σ cost(i,j)·x(i,j) + Σ forfeits,  x in {0,1},  degree ≤ Max,
//
// with forfeits above what any exchange of links can save. That is exact, in whole numbers: successive
// shortest paths with prices (Ford and Fulkerson; Edmonds and Karp 1972), each from one node that needs
// a link; the paths are found by Dijkstra's algorithm on reduced costs cost(i,j) - price(i) - price(j). The
// nodes of the right come first. Which of several optima it is follows from the numbering of nodes alone.
//
// It panics when costs are negative or too large. An error is that of ctx.
func MinCostLinks(ctx context.Context, g Bipartite, left, right Degree) (*Links, error) {
	f := newFlow(g, left, right)
	for _, side := range [2]int{1, 0} {
		lo, hi := side*f.left, f.left+side*(len(f.price)-f.left)
		other := f.price[f.left:]
		if side == 1 {
			other = f.price[:f.left]
		}
		f.ceiling = 0
		if len(other) > 0 {
			f.ceiling = slices.Max(other)
		}
		for round := range f.degree[side].Min {
			for x := lo; x < hi; x++ {
				f.need[x]++
				if len(f.links[x]) > round { // has it by the other side's choice
					continue
				}
				if x&255 == 0 && ctx.Err() != nil {
					return nil, ctx.Err()
				}
				f.serve(int32(x))
			}
		}
	}
	return f.result(), ctx.Err()
}

// flow is the state; nodes are numbered left first.
type flow struct {
	left    int
	degree  [2]Degree
	start   []int // of all nodes whose side needs links
	to      []int32
	cost    []int64
	price   []int64
	need    []int32 // links that count as needed so far
	lack    []int32
	links   [][]flowLink
	forfeit int64
	ceiling int64 // largest price on the side that is not served, which only falls while the other is

	dist    []int64
	parent  []int32 // node before on the path; -1 = not reached
	through []int64 // cost of the arc from it
	heap    []flowStop
	touched []int32
	settled []int32
}

type flowLink struct {
	to   int32
	cost int64
}

type flowStop struct {
	dist int64
	node int32
}

func newFlow(g Bipartite, left, right Degree) *flow {
	n := g.Left + g.Right
	f := &flow{
		left: g.Left, degree: [2]Degree{left, right}, price: make([]int64, n), need: make([]int32, n), lack: make([]int32, n), links: make([][]flowLink, n),
		dist: make([]int64, n), parent: make([]int32, n), through: make([]int64, n),
	}
	for x := range f.parent {
		f.parent[x] = -1
	}
	largest := int64(0)
	count := make([]int, g.Right+1)
	for a, c := range g.Cost {
		if c < 0 {
			panic("num: MinCostLinks with a negative cost")
		}
		largest = max(largest, c)
		count[g.To[a]+1]++
	}
	if largest >= MaxForfeit/int64(min(g.Left, g.Right)+2) {
		panic("num: MinCostLinks with costs that are too large")
	}
	f.forfeit = int64(min(g.Left, g.Right)+2) * (largest + 1)
	both := 1
	if right.Min > 0 {
		both = 2
	}
	f.start = make([]int, 1, n+1)
	f.to, f.cost = make([]int32, 0, both*len(g.To)), make([]int64, 0, both*len(g.To))
	row := make([]flowLink, 0)
	add := func(arcs []flowLink) {
		slices.SortFunc(arcs, func(a, b flowLink) int {
			switch {
			case a.cost < b.cost:
				return -1
			case a.cost > b.cost:
				return 1
			}
			return int(a.to) - int(b.to)
		})
		for _, a := range arcs {
			f.to, f.cost = append(f.to, a.to), append(f.cost, a.cost)
		}
		f.start = append(f.start, len(f.to))
	}
	for i := range g.Left {
		row = row[:0]
		for a := g.Start[i]; a < g.Start[i+1]; a++ {
			row = append(row, flowLink{int32(g.Left) + g.To[a], g.Cost[a]})
		}
		add(row)
	}
	if both == 1 {
		return f
	}
	for j := range g.Right {
		count[j+1] += count[j]
	}
	turned := make([]flowLink, len(g.To))
	at := slices.Clone(count)
	for i := range g.Left {
		for a := g.Start[i]; a < g.Start[i+1]; a++ {
			j := g.To[a]
			turned[at[j]] = flowLink{int32(i), g.Cost[a]}
			at[j]++
		}
	}
	for j := range g.Right {
		add(turned[count[j]:count[j+1]])
	}
	return f
}

func (f *flow) side(x int32) int {
	if int(x) < f.left {
		return 0
	}
	return 1
}

// lacking is the cost of one link less for a node that lacks `lack` of those it needs.
func (f *flow) lacking(x, lack int32) int64 {
	if lack+1 == f.need[x] {
		return 2 * f.forfeit
	}
	return f.forfeit
}

// serve gives node x a link, along the cheapest path to a node where a path may end: one of the
// other side that may have another link, or one of x's own side that can do without one of its links.
func (f *flow) serve(x int32) {
	best, end := f.lacking(x, f.lack[x])-f.price[x], x
	if best <= 0 {
		f.lack[x]++
		return
	}
	mine := f.side(x)
	f.reach(x, x, 0, 0)
	for len(f.heap) > 0 {
		top := f.pop()
		if top.dist >= best {
			break
		}
		if top.dist > f.dist[top.node] {
			continue
		}
		f.settled = append(f.settled, top.node)
		if f.side(top.node) == mine {
			best, end = f.fromServed(top, x, best, end)
		} else {
			best, end = f.fromOther(top, best, end)
		}
	}
	for _, y := range f.settled {
		if step := best - f.dist[y]; f.side(y) == mine {
			f.price[y] += max(step, 0)
		} else {
			f.price[y] -= max(step, 0)
		}
	}
	f.augment(x, end, mine)
	for _, y := range f.touched {
		f.parent[y] = -1
	}
	f.heap, f.touched, f.settled = f.heap[:0], f.touched[:0], f.settled[:0]
}

// fromServed goes on from a node of the side of x, reached by giving up a link (or x itself).
func (f *flow) fromServed(at flowStop, x int32, best int64, end int32) (int64, int32) {
	v, base := at.node, at.dist-f.price[at.node]
	if v != x {
		d := base // without a link that it does not need
		if len(f.links[v]) <= int(f.need[v]-f.lack[v]) {
			d = base + f.lacking(v, f.lack[v])
		}
		if d < best {
			best, end = d, v
		}
	}
	for a := f.start[v]; a < f.start[v+1]; a++ {
		d := base + f.cost[a]
		if d-f.ceiling >= best {
			break // so are all that follow, whose costs are larger
		}
		y := f.to[a]
		if d -= f.price[y]; d >= best || f.parent[y] >= 0 && d >= f.dist[y] || f.linked(v, y) {
			continue
		}
		f.reach(y, v, d, f.cost[a])
	}
	return best, end
}

// fromOther goes on from a node of the other side, reached by a new link.
func (f *flow) fromOther(at flowStop, best int64, end int32) (int64, int32) {
	y := at.node
	base := at.dist + f.price[y]
	switch {
	case f.lack[y] > 0:
		if d := base - f.lacking(y, f.lack[y]-1); d < best {
			best, end = d, y
		}
	case len(f.links[y]) < f.degree[f.side(y)].Max && base < best:
		best, end = base, y
	}
	for _, l := range f.links[y] {
		if d := base + f.price[l.to] - l.cost; d < best && (f.parent[l.to] < 0 || d < f.dist[l.to]) {
			f.reach(l.to, y, d, l.cost)
		}
	}
	return best, end
}

// augment turns the arcs of the path from x to end over.
func (f *flow) augment(x, end int32, mine int) {
	v := end
	if f.side(v) == mine {
		if v == x || len(f.links[v]) <= int(f.need[v]-f.lack[v]) {
			f.lack[v]++
		}
	} else if f.lack[v] > 0 {
		f.lack[v]--
	}
	for v != x {
		from := f.parent[v]
		if f.side(v) == mine {
			f.unlink(v, from)
			f.unlink(from, v)
		} else {
			f.links[v] = append(f.links[v], flowLink{from, f.through[v]})
			f.links[from] = append(f.links[from], flowLink{v, f.through[v]})
		}
		v = from
	}
}

func (f *flow) unlink(x, y int32) {
	k := slices.IndexFunc(f.links[x], func(l flowLink) bool { return l.to == y })
	f.links[x] = slices.Delete(f.links[x], k, k+1)
}

func (f *flow) linked(x, y int32) bool {
	if len(f.links[x]) > len(f.links[y]) {
		x, y = y, x
	}
	for _, l := range f.links[x] {
		if l.to == y {
			return true
		}
	}
	return false
}

func (f *flow) reach(y, from int32, d, cost int64) {
	if f.parent[y] < 0 {
		f.touched = append(f.touched, y)
	}
	f.dist[y], f.parent[y], f.through[y] = d, from, cost
	f.heap = append(f.heap, flowStop{d, y})
	for i := len(f.heap) - 1; i > 0; {
		p := (i - 1) / 2
		if f.heap[p].dist <= f.heap[i].dist {
			break
		}
		f.heap[p], f.heap[i] = f.heap[i], f.heap[p]
		i = p
	}
}

func (f *flow) pop() flowStop {
	h := f.heap
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && h[c+1].dist < h[c].dist {
			c++
		}
		if h[i].dist <= h[c].dist {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	f.heap = h
	return top
}

func (f *flow) result() *Links {
	out := &Links{Forfeit: f.forfeit, Deficit: [2][]int32{f.lack[:f.left], f.lack[f.left:]}, Price: [2][]int64{f.price[:f.left], f.price[f.left:]}}
	for i, links := range f.links[:f.left] {
		slices.SortFunc(links, func(a, b flowLink) int { return int(a.to) - int(b.to) })
		for _, l := range links {
			out.Pairs = append(out.Pairs, [2]int32{int32(i), l.to - int32(f.left)})
		}
	}
	return out
}
