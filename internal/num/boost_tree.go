package num

import (
	"fmt"
	"math"
	"slices"
)

// boostBins is the data as bins, by column.
type boostBins struct {
	bin  [][]uint8
	bins []int       // of each column
	cuts [][]float64 // of each column, half-way between its bins
}

func newBoostBins(d BoostData) *boostBins {
	b := &boostBins{bin: make([][]uint8, d.K), bins: make([]int, d.K), cuts: make([][]float64, d.K)}
	ForEach(d.K, d.Workers, func(j int) {
		v := make([]float64, d.N)
		for i := range v {
			v[i] = d.X[i*d.K+j]
		}
		sorted := slices.Clone(v)
		slices.Sort(sorted)
		last := boostEdges(sorted, d.Bins) // largest value of each bin
		b.bins[j] = len(last)
		b.bin[j] = make([]uint8, d.N)
		for i, x := range v {
			at, _ := slices.BinarySearch(last, x)
			b.bin[j][i] = uint8(at)
		}
		for _, v := range last[:len(last)-1] {
			at, _ := slices.BinarySearch(sorted, math.Nextafter(v, math.Inf(1)))
			b.cuts[j] = append(b.cuts[j], v+(sorted[at]-v)/2)
		}
	})
	return b
}

// place returns the bins of the new rows.
func (b *boostBins) place(d BoostData) *boostBins {
	out := &boostBins{bin: make([][]uint8, d.K)}
	for j := range d.K {
		out.bin[j] = make([]uint8, len(d.New)/d.K)
		for i := range out.bin[j] {
			at, _ := slices.BinarySearch(b.cuts[j], d.New[i*d.K+j])
			out.bin[j][i] = uint8(at)
		}
	}
	return out
}

// boostEdges returns the largest value of each of at most most bins of sorted values.
func boostEdges(sorted []float64, most int) []float64 {
	distinct := slices.Compact(slices.Clone(sorted))
	if len(distinct) <= most {
		return distinct
	}
	var last []float64
	n := len(sorted)
	for k := 1; k <= most; k++ {
		v := sorted[(k*n+most-1)/most-1]
		if len(last) == 0 || v > last[len(last)-1] {
			last = append(last, v)
		}
	}
	return last
}

// boosting is a growing sum of trees on some of the rows.
type boosting struct {
	d       BoostData
	all     *boostBins // of every row
	bins    *boostBins // of these rows
	y       []float64
	f, r    []float64
	node    []uint16
	start   float64
	gain    []float64
	tree    boostTree // the last one
	workers int
}

func newBoosting(d BoostData, b *boostBins, rows []int32, workers int) (*boosting, error) {
	n := len(rows)
	m := &boosting{d: d, all: b, bins: b, y: make([]float64, n), f: make([]float64, n), r: make([]float64, n), node: make([]uint16, n), gain: make([]float64, d.K), workers: workers}
	for i, r := range rows {
		m.y[i] = d.Y[r]
	}
	if n < d.N {
		m.bins = &boostBins{bins: b.bins, bin: make([][]uint8, d.K)}
		for j := range d.K {
			m.bins.bin[j] = make([]uint8, n)
			for i, r := range rows {
				m.bins.bin[j][i] = b.bin[j][r]
			}
		}
	}
	mean := Sum(m.y) / float64(n)
	if d.Squared {
		m.start = mean
		for i := range m.f {
			m.f[i] = mean
		}
		return m, nil
	}
	if !(mean > 0 && mean < 1) {
		return nil, fmt.Errorf("%w: all outcomes of the rows, or of those outside of a fold, are equal", ErrDomain)
	}
	m.start = math.Log(mean / (1 - mean))
	for i := range m.f {
		m.f[i] = m.start
	}
	return m, nil
}

func (m *boosting) deviance() float64 {
	return SumChunks(len(m.y), 1, m.workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			if m.d.Squared {
				acc[0] += float64((m.y[i] - m.f[i]) * (m.y[i] - m.f[i]))
				continue
			}
			p := LogitLink.at(m.f[i])
			acc[0] -= 2 * (float64(m.y[i]*p.logMu) + float64((1-m.y[i])*p.logQ))
		}
	})[0]
}

// boostTree is a tree by node; a node without children is a leaf.
type boostTree struct {
	column []int // -1 = leaf
	cut    []uint8
	left   []int // the right child is the next
	value  []float64
}

func (t *boostTree) leaf() int {
	t.column, t.cut, t.left, t.value = append(t.column, -1), append(t.cut, 0), append(t.left, 0), append(t.value, 0)
	return len(t.column) - 1
}

func (t *boostTree) at(b *boostBins, row int32) float64 {
	n := 0
	for t.column[n] >= 0 {
		n = t.next(n, b.bin[t.column[n]][row])
	}
	return t.value[n]
}

func (t *boostTree) next(node int, bin uint8) int {
	if bin <= t.cut[node] {
		return t.left[node]
	}
	return t.left[node] + 1
}

type boostCell struct {
	sum float64
	n   int
}

type boostSplit struct {
	gain float64
	cut  uint8
}

// grow adds a tree; false when no split is worth one.
func (m *boosting) grow() bool {
	m.tree = boostTree{}
	m.tree.leaf()
	ForChunks(len(m.y), m.workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			m.node[i] = 0
			if m.d.Squared {
				m.r[i] = m.y[i] - m.f[i]
				continue
			}
			m.r[i] = m.y[i] - LogitLink.Mean(m.f[i])
		}
	})
	level := []int{0} // nodes that may be split
	for range m.d.Depth {
		level = m.split(level)
		if len(level) == 0 {
			break
		}
	}
	if m.tree.column[0] < 0 {
		return false
	}
	k := len(m.tree.column)
	sums := SumChunks(len(m.y), 2*k, m.workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			n := int(m.node[i])
			acc[2*n] += m.r[i]
			if m.d.Squared {
				acc[2*n+1]++
				continue
			}
			p := m.y[i] - m.r[i]
			acc[2*n+1] += float64(p * (1 - p))
		}
	})
	for n := range k {
		if sums[2*n+1] > 1e-150 {
			m.tree.value[n] = m.d.Shrinkage * (sums[2*n] / sums[2*n+1])
		}
	}
	ForChunks(len(m.y), m.workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			m.f[i] += m.tree.value[m.node[i]]
		}
	})
	return true
}

// split splits the nodes of a level where that gains, and returns their children.
func (m *boosting) split(level []int) []int {
	first := level[0]
	width := len(m.tree.column) - first
	best := make([][]boostSplit, m.d.K)
	ForEach(m.d.K, m.workers, func(j int) {
		best[j] = m.search(j, first, width)
	})
	var children []int
	for _, n := range level {
		column, top := -1, boostSplit{}
		for j := range best {
			if s := best[j][n-first]; s.gain > top.gain {
				column, top = j, s
			}
		}
		if column < 0 {
			continue
		}
		m.gain[column] += top.gain
		left := m.tree.leaf()
		m.tree.leaf()
		m.tree.column[n], m.tree.cut[n], m.tree.left[n] = column, top.cut, left
		children = append(children, left, left+1)
	}
	if len(children) == 0 {
		return nil
	}
	ForChunks(len(m.y), m.workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			n := int(m.node[i])
			if n >= first && m.tree.column[n] >= 0 {
				m.node[i] = uint16(m.tree.next(n, m.bins.bin[m.tree.column[n]][i]))
			}
		}
	})
	return children
}

// search finds the best cut of a column in each of width nodes from first on.
func (m *boosting) search(column, first, width int) []boostSplit {
	bins := m.bins.bins[column]
	cells := make([]boostCell, width*bins)
	for i, b := range m.bins.bin[column] {
		if n := int(m.node[i]) - first; n >= 0 {
			c := &cells[n*bins+int(b)]
			c.sum += m.r[i]
			c.n++
		}
	}
	out := make([]boostSplit, width)
	for n := range width {
		var all, left boostCell
		for _, c := range cells[n*bins : (n+1)*bins] {
			all.sum += c.sum
			all.n += c.n
		}
		if all.n < 2*m.d.MinLeaf {
			continue
		}
		whole := float64(all.sum*all.sum) / float64(all.n)
		// A gain within the rounding of the sums is none.
		out[n].gain = 1e-12 * float64(all.n)
		found := false
		for b, c := range cells[n*bins : (n+1)*bins-1] {
			left.sum += c.sum
			left.n += c.n
			right := boostCell{all.sum - left.sum, all.n - left.n}
			if c.n == 0 || left.n < m.d.MinLeaf || right.n < m.d.MinLeaf {
				continue
			}
			gain := float64(left.sum*left.sum)/float64(left.n) + float64(right.sum*right.sum)/float64(right.n) - whole
			if gain > out[n].gain {
				out[n], found = boostSplit{gain, uint8(b)}, true
			}
		}
		if !found {
			out[n].gain = 0
		}
	}
	return out
}
