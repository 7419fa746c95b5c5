package cohort

import (
	"math"
	"sort"
)

// scoreFinder finds partners by |score difference| on an array sorted by (score, tie).
// Free neighbours in either direction come from two disjoint-set forests with path
// halving, so that a match costs a few steps however many partners are gone.
type scoreFinder struct {
	all         []float64 // by row
	rows        []int32   // partners by (score, tie)
	score       []float64 // of rows
	ties        ties
	right, left []int32 // forests; nil when partners are never taken
	limits      *calipers
	runs        []run // room of the walk
	found       []pick
}

// newScoreFinder takes over rows and their scores, which are sorted by (score, tie).
func newScoreFinder(rows []int32, score, all []float64, ties ties, limits *calipers, replace bool) *scoreFinder {
	f := &scoreFinder{all: all, rows: rows, score: score, ties: ties, limits: limits}
	if !replace {
		f.right, f.left = make([]int32, len(rows)+1), make([]int32, len(rows)+1)
		for i := range f.right {
			f.right[i], f.left[i] = int32(i), int32(i)
		}
	}
	return f
}

// up is the first free place at or after i; len(rows) if there is none.
func (f *scoreFinder) up(i int32) int32 {
	if f.right == nil {
		return i
	}
	return root(f.right, i)
}

// down is the last free place at or before i; -1 if there is none.
func (f *scoreFinder) down(i int32) int32 {
	if f.left == nil {
		return i
	}
	return root(f.left, i+1) - 1
}

func root(parent []int32, i int32) int32 {
	for parent[i] != i {
		parent[i] = parent[parent[i]]
		i = parent[i]
	}
	return i
}

func (f *scoreFinder) free(pos int32) bool { return f.right == nil || f.right[pos] == pos }

func (f *scoreFinder) take(pos int32) {
	f.right[pos] = pos + 1
	f.left[pos+1] = pos
}

// runEnd is the first place after i with another score, by doubling steps.
func (f *scoreFinder) runEnd(i int32) int32 {
	s, n := f.score[i], int32(len(f.score))
	lo, step := i, int32(1)
	for lo+step < n && f.score[lo+step] == s {
		lo += step
		step *= 2
	}
	hi := min(lo+step, n)
	for lo+1 < hi {
		if mid := lo + (hi-lo)/2; f.score[mid] == s {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + 1
}

// runStart is the first place with the score of i.
func (f *scoreFinder) runStart(i int32) int32 {
	s := f.score[i]
	hi, step := i, int32(1)
	for hi-step >= 0 && f.score[hi-step] == s {
		hi -= step
		step *= 2
	}
	lo := max(hi-step, -1)
	for lo+1 < hi {
		if mid := lo + (hi-lo)/2; f.score[mid] == s {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// walk yields the free partners of a score by ascending (distance, tie). Partners at
// one rounded distance form a few runs of equal scores, each in tie order.
type walk struct {
	f    *scoreFinder
	s    float64
	l, r int32 // the places not yet looked at are those up to l and from r on
	dist float64
	runs []run
}

type run struct{ pos, end int32 }

func (f *scoreFinder) walk(s float64) walk {
	r := int32(sort.SearchFloat64s(f.score, s))
	return walk{f: f, s: s, l: r - 1, r: r, runs: f.runs[:0]}
}

func (w *walk) next() (pick, bool) {
	if len(w.runs) == 0 && !w.advance() {
		return pick{row: -1, pos: -1}, false
	}
	f, b := w.f, 0
	for i := 1; i < len(w.runs); i++ {
		if f.ties.of(f.rows[w.runs[i].pos]) < f.ties.of(f.rows[w.runs[b].pos]) {
			b = i
		}
	}
	pos := w.runs[b].pos
	w.runs[b].pos = f.up(pos + 1)
	if w.runs[b].pos >= w.runs[b].end {
		w.runs = append(w.runs[:b], w.runs[b+1:]...)
	}
	row := f.rows[pos]
	return pick{pos: pos, row: row, tie: f.ties.of(row), dist: w.dist}, true
}

// advance collects the runs of free partners at the next distance.
func (w *walk) advance() bool {
	f, n := w.f, int32(len(w.f.rows))
	inf := math.Inf(1)
	above := func() float64 {
		if w.r = f.up(w.r); w.r >= n {
			return inf
		}
		return f.score[w.r] - w.s
	}
	below := func() float64 {
		if w.l = f.down(w.l); w.l < 0 {
			return inf
		}
		return w.s - f.score[w.l]
	}
	a, b := above(), below()
	if w.dist = math.Min(a, b); w.dist == inf {
		return false
	}
	// Different scores can be at one distance after rounding: they tie.
	for a == w.dist {
		end := f.runEnd(w.r)
		w.runs = append(w.runs, run{w.r, end})
		w.r = end
		a = above()
	}
	for b == w.dist {
		start, end := f.runStart(w.l), w.l+1
		w.runs = append(w.runs, run{f.up(start), end})
		w.l = start - 1
		b = below()
	}
	return true
}

func (f *scoreFinder) best(unit int32) pick {
	if p := f.search(unit, 1); len(p) > 0 {
		return p[0]
	}
	return pick{pos: -1, row: -1}
}

func (f *scoreFinder) nearest(unit int32, k int) []pick { return f.search(unit, k) }

// search returns up to k partners; if none keeps the calipers, one without a row that
// says which of them the nearest broke. The slice is good until the next search.
func (f *scoreFinder) search(unit int32, k int) []pick {
	w := f.walk(f.all[unit])
	out := f.found[:0]
	var bound uint64
	met := false
	for {
		p, ok := w.next()
		if !ok {
			break
		}
		broken := f.limits.check(unit, p.row, p.dist)
		if !met {
			met, bound = true, broken
		}
		if p.dist > f.limits.distance {
			break
		}
		if broken != 0 {
			continue
		}
		out = append(out, p)
		if len(out) == k {
			break
		}
	}
	if len(out) == 0 && met {
		out = append(out, pick{pos: -1, row: -1})
	}
	if len(out) > 0 {
		out[0].bound, out[0].met = bound, met
	}
	f.runs, f.found = w.runs, out
	return out
}
