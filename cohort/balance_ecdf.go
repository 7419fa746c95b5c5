package cohort

import (
	"math"

	"utfall/internal/num"
)

// countedRange is the width up to which whole numbers are counted by value, not sorted.
const countedRange = 1 << 16

// distances returns, before and by design, mean and largest distance of the
// distribution functions over the distinct values, and the overlap coefficient.
func (s *sample) distances(m *moments, sc *scratch) (ecdf [][2]float64, overlap []float64) {
	k := len(s.weight)
	w := newAscending(s)
	lo, hi := min(m.lo[0], m.lo[1]), max(m.hi[0], m.hi[1])
	counted := m.whole && hi-lo < countedRange
	width := 2 * (1 + k)
	if counted {
		s.count(lo, int(hi-lo)+1, sc)
		for at := range int(hi-lo) + 1 {
			cells := sc.cells[at*width : (at+1)*width]
			if cells[0]+cells[1] == 0 {
				continue
			}
			was := w.count[w.small]
			w.count[0] += int(cells[0])
			w.count[1] += int(cells[1])
			for i, v := range cells[2:] {
				w.cum[i] += v
			}
			w.close(was, lo+float64(at))
		}
	} else {
		w.ranked(sc)
	}
	ecdf = make([][2]float64, 1+k)
	for d := range ecdf {
		ecdf[d] = [2]float64{w.sum[d] / w.distinct, w.top[d]}
		if s.n[0] == 0 || s.n[1] == 0 || d > 0 && (s.some[d-1][0] == 0 || s.some[d-1][1] == 0) {
			ecdf[d] = [2]float64{math.NaN(), math.NaN()}
		}
	}
	return ecdf, s.overlap(m, w, counted, sc)
}

// count adds up units and weights by whole value from lo: sc.cells[2(1+d)·(v-lo)+a]
// with d = 0 the units and d ≥ 1 the designs.
func (s *sample) count(lo float64, values int, sc *scratch) {
	k := len(s.weight)
	width := 2 * (1 + k)
	if cap(sc.cells) < values*width {
		sc.cells = make([]float64, values*width)
	}
	sc.cells = sc.cells[:values*width]
	clear(sc.cells)
	for i, v := range s.x {
		tag := s.tag[i]
		at := int(v-lo)*width + int(tag&treatedTag)
		sc.cells[at]++
		if tag&idleTag == 0 {
			for d := range k {
				sc.cells[at+2*(1+d)] += s.weight[d][i]
			}
		}
	}
}

// ascending goes through the values in ascending order.
type ascending struct {
	s        *sample
	count    [2]int    // units so far
	cum      []float64 // weight so far: [2d+a]
	sum, top []float64 // of the distances: before, then by design
	distinct float64
	small    int // the smaller group, the treated if they are as many
	target   [4]int
	quartile [4]float64 // order statistics around the lower and the upper quartile of the smaller group
}

func newAscending(s *sample) *ascending {
	k := len(s.weight)
	w := &ascending{s: s, cum: make([]float64, 2*k), sum: make([]float64, 1+k), top: make([]float64, 1+k)}
	if s.n[1] <= s.n[0] {
		w.small = 1
	}
	last := s.n[w.small] - 1
	for q, of := range [2]int{1, 3} {
		w.target[2*q] = last * of / 4
		w.target[2*q+1] = min(last*of/4+1, last)
	}
	return w
}

// close takes the distances at a value at which all its units have been added; was is
// the count of the smaller group before them.
func (w *ascending) close(was int, x float64) {
	w.gap()
	if now := w.count[w.small]; now > was {
		for q, t := range w.target {
			if was <= t && t < now {
				w.quartile[q] = x
			}
		}
	}
}

func (w *ascending) gap() {
	w.distinct++
	gap := math.Abs(float64(w.count[1])/float64(w.s.n[1]) - float64(w.count[0])/float64(w.s.n[0]))
	w.sum[0] += gap
	if gap > w.top[0] {
		w.top[0] = gap
	}
	for d := range w.s.weight {
		gap = math.Abs(w.cum[2*d+1]/w.s.sumW[d][1] - w.cum[2*d]/w.s.sumW[d][0])
		w.sum[1+d] += gap
		if gap > w.top[1+d] {
			w.top[1+d] = gap
		}
	}
}

// ranked walks along the sorted values. The weights of a run of units are fetched
// before they are used: they lie far apart, and the processor then waits for many of
// them at once.
func (w *ascending) ranked(sc *scratch) {
	const run = 256
	s := w.s
	order := sc.rank.Rank(s.x, s.tag)
	fetched := make([][run]float64, len(s.weight))
	was := 0
	for lo := 0; lo < len(order); lo += run {
		part := order[lo:min(lo+run, len(order))]
		for d, weight := range s.weight {
			to := fetched[d][:len(part)]
			for i, e := range part {
				to[i] = 0
				if e>>30&idleTag == 0 {
					to[i] = weight[e&num.RankedIndex]
				}
			}
		}
		for i, e := range part {
			a := int(e >> 30 & treatedTag)
			w.count[a]++
			for d := range fetched {
				w.cum[2*d+a] += fetched[d][i]
			}
			if r := lo + i + 1; r < len(order) && order[r]>>32 == e>>32 {
				continue
			}
			if w.count[w.small] == was {
				w.gap()
				continue
			}
			w.close(was, s.x[e&num.RankedIndex])
			was = w.count[w.small]
		}
	}
}

// iqr is the interquartile range of the smaller group (quantiles of type 7).
func (w *ascending) iqr() float64 {
	last := w.s.n[w.small] - 1
	var q [2]float64
	for i, of := range [2]int{1, 3} {
		above := float64(last*of%4) / 4
		q[i] = float64((1-above)*w.quartile[2*i]) + float64(above*w.quartile[2*i+1])
	}
	return q[1] - q[0]
}

// overlap is the coefficient before and by design; see [Compare].
func (s *sample) overlap(m *moments, w *ascending, counted bool, sc *scratch) []float64 {
	k := len(s.weight)
	out := make([]float64, 1+k)
	set := func(v float64) []float64 {
		for d := range out {
			out[d] = v
		}
		return out
	}
	lo, hi := min(m.lo[0], m.lo[1]), max(m.hi[0], m.hi[1])
	switch {
	case s.n[0] == 0 || s.n[1] == 0 || math.IsInf(hi-lo, 0):
		return set(math.NaN())
	case m.lo[1] > m.hi[0] || m.lo[0] > m.hi[1]:
		return set(0)
	case lo == hi:
		return set(1)
	}
	sd := func(a int) float64 { // 0 for a group of one
		if s.n[a] < 2 {
			return 0
		}
		return math.Sqrt(m.variance[0][a])
	}
	h := bandwidth(sd(w.small), w.iqr(), float64(s.n[w.small]))
	if h == 0 {
		h = bandwidth(sd(1-w.small), 0, float64(s.n[1-w.small]))
	}
	if math.IsNaN(h) || math.IsInf(h, 0) || h == 0 {
		return set(math.NaN())
	}
	g := newDensity(lo, hi, h, 1+k)
	if counted {
		width := 2 * (1 + k)
		for v := range int(hi-lo) + 1 {
			cells := sc.cells[v*width : (v+1)*width]
			if cells[0]+cells[1] == 0 {
				continue
			}
			at, above := g.place(lo + float64(v))
			for i, c := range cells {
				g.mass[i][at] += float64(c * (1 - above))
				g.mass[i][at+1] += float64(c * above)
			}
		}
	} else {
		for i, x := range s.x {
			at, above := g.place(x)
			a, below := int(s.tag[i]&treatedTag), 1-above
			g.mass[a][at] += below
			g.mass[a][at+1] += above
			if s.tag[i]&idleTag == 0 {
				for d := range k {
					c := s.weight[d][i]
					g.mass[2*(1+d)+a][at] += float64(c * below)
					g.mass[2*(1+d)+a][at+1] += float64(c * above)
				}
			}
		}
	}
	out[0] = g.overlap(0, [2]float64{float64(s.n[0]), float64(s.n[1])})
	for d := range k {
		out[1+d] = math.NaN()
		if s.some[d][0] > 0 && s.some[d][1] > 0 {
			out[1+d] = g.overlap(1+d, s.sumW[d])
		}
	}
	return out
}
