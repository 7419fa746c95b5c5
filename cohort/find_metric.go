package cohort

import (
	"math"
	"slices"
)

// metricFinder finds partners by Euclidean distance between points of dims
// coordinates with a k-d tree. The tree also holds the columns of the calipers, so
// that a branch that cannot keep them is not entered. Coordinates only steer the
// search, with slack for their rounding; partners are compared by the metric itself.
type metricFinder struct {
	space  *whitened
	dims   int
	width  int       // dims and one per caliper on a column
	at     []float64 // of the partners, width each, in tree order
	rows   []int32   // in tree order
	ties   ties
	nodes  []branch
	boxes  []float64 // per node: width lows, then width highs
	leaf   []int32   // node of each place
	taken  []bool
	limits *calipers
	unit   int32
	query  []float64 // of the unit
	gap    []float64
}

type branch struct {
	lo, hi       int32 // places
	first, other int32 // children; first = 0 for a leaf
	parent       int32
	free         int32
}

const leafSize = 12

func newMetricFinder(rows []int32, space *whitened, ties ties, limits *calipers) *metricFinder {
	f := &metricFinder{
		space: space, dims: space.dims, width: space.dims + len(limits.within), rows: rows, ties: ties, limits: limits,
		leaf: make([]int32, len(rows)), taken: make([]bool, len(rows)),
	}
	f.query, f.gap = make([]float64, f.width), make([]float64, len(space.scale))
	if len(rows) == 0 {
		return f
	}
	f.build(0, int32(len(rows)), -1)
	f.at = make([]float64, len(rows)*f.width)
	for i, r := range rows {
		f.coordinates(r, f.at[i*f.width:])
	}
	return f
}

func (f *metricFinder) coordinate(row int32, j int) float64 {
	if j < f.dims {
		return f.space.points[int(row)*f.dims+j]
	}
	return f.limits.within[j-f.dims].values[row]
}

func (f *metricFinder) coordinates(row int32, out []float64) {
	for j := range f.width {
		out[j] = f.coordinate(row, j)
	}
}

// build makes the branch of the rows from lo to hi, boxes from the leaves up.
func (f *metricFinder) build(lo, hi, parent int32) int32 {
	id := int32(len(f.nodes))
	f.nodes = append(f.nodes, branch{lo: lo, hi: hi, parent: parent, free: hi - lo})
	f.boxes = append(f.boxes, make([]float64, 2*f.width)...)
	if hi-lo <= leafSize {
		for j := range f.width {
			low, high := math.Inf(1), math.Inf(-1)
			for _, r := range f.rows[lo:hi] {
				v := f.coordinate(r, j)
				low, high = math.Min(low, v), math.Max(high, v)
			}
			f.box(id)[j], f.box(id)[f.width+j] = low, high
		}
		for i := lo; i < hi; i++ {
			f.leaf[i] = id
		}
		return id
	}
	mid := lo + (hi-lo)/2
	f.split(lo, hi, mid, f.widest(lo, hi))
	first := f.build(lo, mid, id)
	other := f.build(mid, hi, id)
	f.nodes[id].first, f.nodes[id].other = first, other
	box, a, b := f.box(id), f.box(first), f.box(other)
	for j := range f.width {
		box[j] = math.Min(a[j], b[j])
		box[f.width+j] = math.Max(a[f.width+j], b[f.width+j])
	}
	return id
}

// box is the lows and then the highs of a branch.
func (f *metricFinder) box(id int32) []float64 {
	return f.boxes[int(id)*2*f.width : int(id+1)*2*f.width]
}

// widest is the coordinate of the metric with the largest spread among some 100 rows
// evenly spaced: any choice gives the same partners.
func (f *metricFinder) widest(lo, hi int32) int {
	step := max(1, (hi-lo)/100)
	best, spread := 0, -1.0
	for j := range f.dims {
		low, high := math.Inf(1), math.Inf(-1)
		for i := lo; i < hi; i += step {
			v := f.coordinate(f.rows[i], j)
			low, high = math.Min(low, v), math.Max(high, v)
		}
		if high-low > spread {
			best, spread = j, high-low
		}
	}
	return best
}

// split moves the rows so that those before mid are the smallest in coordinate j.
func (f *metricFinder) split(lo, hi, mid int32, j int) {
	for hi-lo > 64 {
		a, b, c := f.coordinate(f.rows[lo], j), f.coordinate(f.rows[lo+(hi-lo)/2], j), f.coordinate(f.rows[hi-1], j)
		pivot := max(min(a, b), min(max(a, b), c))
		less, more := lo, hi // three-way partition
		for i := lo; i < more; {
			switch v := f.coordinate(f.rows[i], j); {
			case v < pivot:
				f.rows[i], f.rows[less] = f.rows[less], f.rows[i]
				less++
				i++
			case v > pivot:
				more--
				f.rows[i], f.rows[more] = f.rows[more], f.rows[i]
			default:
				i++
			}
		}
		switch {
		case mid < less:
			hi = less
		case mid >= more:
			lo = more
		default:
			return
		}
	}
	slices.SortFunc(f.rows[lo:hi], func(a, b int32) int {
		x, y := f.coordinate(a, j), f.coordinate(b, j)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
}

func (f *metricFinder) free(pos int32) bool { return !f.taken[pos] }

func (f *metricFinder) take(pos int32) {
	f.taken[pos] = true
	for id := f.leaf[pos]; id >= 0; id = f.nodes[id].parent {
		f.nodes[id].free--
	}
}

func (f *metricFinder) best(unit int32) pick {
	if p := f.nearest(unit, 1); len(p) > 0 {
		return p[0]
	}
	return pick{pos: -1, row: -1}
}

// nearest gives the k nearest free partners that keep the calipers; if none does, one
// without a row that says which calipers the nearest broke.
func (f *metricFinder) nearest(unit int32, k int) []pick {
	if len(f.nodes) == 0 || f.nodes[0].free == 0 {
		return nil
	}
	f.unit = unit
	f.coordinates(unit, f.query)
	s := metricSearch{f: f, k: k, limited: len(f.limits.within) > 0}
	s.enter(0, 0)
	out := s.found
	if s.limited {
		// Whether the calipers bound is the question who would be nearest without
		// them: nobody farther off than the partner found, which shortens the search.
		s = metricSearch{f: f, k: 1}
		if len(out) > 0 {
			s.found = make([]pick, 0, 1)
			s.insert(out[0])
		}
		s.enter(0, 0)
	}
	bound := f.limits.check(unit, s.found[0].row, s.found[0].dist)
	for i := range out {
		if out[i].dist > f.limits.distance {
			out = out[:i]
			break
		}
	}
	if len(out) == 0 {
		out = append(out, pick{pos: -1, row: -1})
	}
	out[0].bound, out[0].met = bound, true
	return out
}

type metricSearch struct {
	f       *metricFinder
	k       int
	limited bool
	found   []pick // ascending, at most k
	reach   float64
}

// limit is the squared distance between coordinates above which nothing can be found.
func (s *metricSearch) limit() float64 {
	if len(s.found) < s.k {
		return math.Inf(1)
	}
	return s.reach
}

func (s *metricSearch) enter(id int32, bound float64) {
	f := s.f
	n := &f.nodes[id]
	if n.free == 0 || bound > s.limit() {
		return
	}
	if n.first == 0 {
		for i := n.lo; i < n.hi; i++ {
			if !f.taken[i] {
				s.look(i)
			}
		}
		return
	}
	a, b := s.bound(n.first), s.bound(n.other)
	if a <= b {
		s.enter(n.first, a)
		s.enter(n.other, b)
	} else {
		s.enter(n.other, b)
		s.enter(n.first, a)
	}
}

// bound is a lower bound of the squared distance to a branch; +Inf when a caliper shuts it.
func (s *metricSearch) bound(id int32) float64 {
	f := s.f
	w := f.width
	low, high := f.box(id)[:w], f.box(id)[w:]
	gap := func(j int) float64 {
		switch q := f.query[j]; {
		case q < low[j]:
			return low[j] - q
		case q > high[j]:
			return q - high[j]
		}
		return 0
	}
	if s.limited {
		for j := f.dims; j < w; j++ {
			if gap(j) > f.limits.within[j-f.dims].width {
				return math.Inf(1)
			}
		}
	}
	sum := 0.0
	for j := range f.dims {
		g := gap(j)
		sum += float64(g * g)
	}
	return sum
}

func (s *metricSearch) look(pos int32) {
	f := s.f
	at := f.at[int(pos)*f.width : int(pos+1)*f.width]
	sum, limit := 0.0, s.limit()
	for j := range f.dims {
		g := at[j] - f.query[j]
		sum += float64(g * g)
	}
	if sum > limit {
		return
	}
	if s.limited {
		for j := f.dims; j < f.width; j++ {
			if math.Abs(at[j]-f.query[j]) > f.limits.within[j-f.dims].width {
				return
			}
		}
	}
	row := f.rows[pos]
	s.insert(pick{pos: pos, row: row, tie: f.ties.of(row), dist: f.space.between(f.unit, row, f.gap)})
}

func (s *metricSearch) insert(p pick) {
	if len(s.found) == s.k {
		if !p.before(s.found[s.k-1]) {
			return
		}
		s.found = s.found[:s.k-1]
	}
	i := len(s.found)
	for i > 0 && p.before(s.found[i-1]) {
		i--
	}
	s.found = slices.Insert(s.found, i, p)
	last := s.found[len(s.found)-1].dist*(1+1e-12) + s.f.space.slack
	s.reach = float64(last * last)
}
