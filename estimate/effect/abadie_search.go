package effect

import (
	"math"
	"slices"

	"utfall/internal/num"
)

// tieTolerance is the difference of squared standardised distances below which two
// units are equally near. All that are take part, so that no order of rows decides. It
// is that of R's Matching 4.10-8.
const tieTolerance = 1e-5

// neighbours is a k-d tree over some rows of n×k coordinates.
type neighbours struct {
	k     int
	z     []float64
	rows  []int32 // a permutation; a node is a run of it
	nodes []kdNode
}

// kdNode is a leaf where left is 0 (node 0 is the root, no node's child).
type kdNode struct {
	lo, hi      int32
	dim         int32
	left, right int32
	below       float64 // largest coordinate of the left child along dim
	above       float64 // smallest of the right child
}

const kdLeaf = 12

func newNeighbours(z []float64, k int, rows []int32) *neighbours {
	t := &neighbours{k: k, z: z, rows: slices.Clone(rows)}
	t.build(0, int32(len(rows)))
	return t
}

func (t *neighbours) at(row, dim int32) float64 { return t.z[int(row)*t.k+int(dim)] }

// build makes the node of a run and returns its number.
func (t *neighbours) build(lo, hi int32) int32 {
	me := int32(len(t.nodes))
	t.nodes = append(t.nodes, kdNode{lo: lo, hi: hi})
	if hi-lo <= kdLeaf {
		return me
	}
	best, width := int32(0), -1.0
	for d := range int32(t.k) {
		low, high := math.Inf(1), math.Inf(-1)
		for _, r := range t.rows[lo:hi] {
			v := t.at(r, d)
			low, high = math.Min(low, v), math.Max(high, v)
		}
		if high-low > width {
			best, width = d, high-low
		}
	}
	if width == 0 {
		return me // all in one place
	}
	run := t.rows[lo:hi]
	slices.SortStableFunc(run, func(a, b int32) int {
		x, y := t.at(a, best), t.at(b, best)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	// Between two different values, as near to the middle as there are.
	cut := len(run) / 2
	up, down := cut, cut
	for up < len(run) && t.at(run[up], best) == t.at(run[up-1], best) {
		up++
	}
	for down > 0 && t.at(run[down], best) == t.at(run[down-1], best) {
		down--
	}
	if cut = up; up == len(run) || down > 0 && cut-down < up-cut {
		cut = down
	}
	if cut == 0 {
		cut = up
	}
	below, above := t.at(run[cut-1], best), t.at(run[cut], best)
	left := t.build(lo, lo+int32(cut))
	right := t.build(lo+int32(cut), hi)
	t.nodes[me].dim, t.nodes[me].left, t.nodes[me].right = best, left, right
	t.nodes[me].below, t.nodes[me].above = below, above
	return me
}

// squared is the squared distance of a row to a point.
func (t *neighbours) squared(row int32, p []float64) float64 {
	var s float64
	for j, v := range t.z[int(row)*t.k : int(row)*t.k+t.k] {
		d := v - p[j]
		s += float64(d * d)
	}
	return s
}

// near returns the rows within tieTolerance of the m-th smallest squared distance to
// a point, in the order of the tree.
func (t *neighbours) near(p []float64, m int) []int32 {
	worst := make([]float64, 0, m) // ascending
	t.walk(0, p, func() float64 {
		if len(worst) < m {
			return math.Inf(1)
		}
		return worst[m-1]
	}, func(_ int32, d float64) {
		if len(worst) == m {
			if d >= worst[m-1] {
				return
			}
			worst = worst[:m-1]
		}
		at, _ := slices.BinarySearch(worst, d)
		worst = slices.Insert(worst, at, d)
	})
	limit := worst[m-1] + tieTolerance
	var out []int32
	t.walk(0, p, func() float64 { return limit }, func(r int32, d float64) {
		if d <= limit {
			out = append(out, r)
		}
	})
	return out
}

// walk visits the rows that may be within a bound, nearer child first.
func (t *neighbours) walk(node int32, p []float64, bound func() float64, visit func(row int32, d float64)) {
	n := &t.nodes[node]
	if n.left == 0 {
		for _, r := range t.rows[n.lo:n.hi] {
			visit(r, t.squared(r, p))
		}
		return
	}
	toLeft, toRight := math.Max(p[n.dim]-n.below, 0), math.Max(n.above-p[n.dim], 0)
	first, second := n.left, n.right
	d1, d2 := toLeft, toRight
	if d2 < d1 {
		first, second, d1, d2 = second, first, d2, d1
	}
	// Rounding is monotone: no row beyond the plane has a smaller rounded square.
	if float64(d1*d1) <= bound() {
		t.walk(first, p, bound, visit)
	}
	if float64(d2*d2) <= bound() {
		t.walk(second, p, bound, visit)
	}
}

// samePlaces groups rows that have the same coordinates: of each row its place, and of
// each place one row.
func samePlaces(z []float64, k, n int) (place []int32, row []int32) {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	compare := func(a, b int32) int {
		return slices.Compare(z[int(a)*k:int(a)*k+k], z[int(b)*k:int(b)*k+k])
	}
	slices.SortStableFunc(order, compare)
	place = make([]int32, n)
	for at, i := range order {
		if at == 0 || compare(order[at-1], i) != 0 {
			row = append(row, i)
		}
		place[i] = int32(len(row) - 1)
	}
	return place, row
}

// search finds, for each place that is asked for, the rows near it.
func (t *neighbours) search(z []float64, row []int32, asked []bool, m, workers int) [][]int32 {
	out := make([][]int32, len(row))
	const run = 64
	num.ForEach((len(row)+run-1)/run, workers, func(c int) {
		for g := c * run; g < min((c+1)*run, len(row)); g++ {
			if asked[g] {
				r := int(row[g])
				out[g] = t.near(z[r*t.k:(r+1)*t.k], m)
			}
		}
	})
	return out
}
