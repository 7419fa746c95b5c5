package cohort

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// offers are the pairs that an optimal design can choose from, block by block.
type offers struct {
	j           *job
	left, right [][]int32           // rows by block
	most        func(units int) int // partners offered to one of so many units; nil = all
	// cover: every unit must be in a set and sets have no limits. Then a pair that costs at
	// least as much as the cheapest pairs of its two units together is in no better cover.
	cover   bool
	arcs    int // most in a block
	scale   float64
	graphs  []num.Bipartite
	got     []*num.Links
	counted []offered
}

// offered counts the pairs of a block: all, those that keep every caliper, and those
// that caliper i is the first to break.
type offered struct {
	all, kept, offered int
	broken             []int
}

const (
	defaultArcs = 100_000_000
	bytesPerArc = 36              // graph, sorted copy and, for full matching, its transpose
	mostLooks   = 200_000_000_000 // distances in one block: some hours
)

func newOffers(j *job, left, right [][]int32, arcs int) *offers {
	if arcs == 0 {
		arcs = defaultArcs
	}
	f := &offers{j: j, left: left, right: right, arcs: arcs}
	f.graphs, f.got, f.counted = make([]num.Bipartite, j.blocks), make([]*num.Links, j.blocks), make([]offered, j.blocks)
	f.scale = math.Ldexp(1, f.exponent())
	num.ForEach(j.blocks, j.d.Workers, func(b int) {
		f.byHash(left[b])
		f.byHash(right[b])
	})
	return f
}

// byHash sorts rows by (KeyedHash(Seed, id), id), so that the order of the table plays no part.
func (f *offers) byHash(rows []int32) {
	u := f.j.u
	hash := make(map[int32]uint64, len(rows))
	for _, r := range rows {
		hash[r] = num.KeyedHash(f.j.Seed, u.id(int(r)))
	}
	slices.SortFunc(rows, func(a, b int32) int {
		return cmp.Or(cmp.Compare(hash[a], hash[b]), strings.Compare(u.id(int(a)), u.id(int(b))))
	})
}

// exponent makes whole numbers of distances: as fine as the largest block allows, but not finer
// than 2⁻⁴⁶ of the largest distance that there can be.
func (f *offers) exponent() int {
	j, widest, size := f.j, 0.0, 2
	if j.points != nil {
		for k := range j.points.dims {
			lo, hi := math.Inf(1), math.Inf(-1)
			for i := range j.u.n {
				lo, hi = min(lo, j.points.points[i*j.points.dims+k]), max(hi, j.points.points[i*j.points.dims+k])
			}
			widest += float64((hi - lo) * (hi - lo))
		}
		widest = math.Sqrt(widest) + j.points.slack
	} else {
		widest = slices.Max(j.out.Score) - slices.Min(j.out.Score)
	}
	widest = min(widest, j.limits.distance) // a caliper may be wider than the data
	for b := range f.left {
		size = max(size, min(len(f.left[b]), len(f.right[b]))+2)
	}
	if !(widest > 0) {
		return 0
	}
	_, power := math.Frexp(widest) // widest < 2^power
	return min(46, 56-bits.Len(uint(size))) - power
}

func (f *offers) whole(dist float64) int64 { return int64(float64(dist*f.scale) + 0.5) }

// look calls visit for the rows that are within the calipers of row a: position in side.rows and
// cost, in any order that depends on the side alone. It returns what the calipers broke.
func (f *offers) look(a int32, side *lookup, gap []float64, broken []int, visit func(pos int32, cost int64)) {
	j := f.j
	lo, hi := 0, len(side.rows)
	if side.byScore != nil {
		s, w := j.out.Score[a], j.limits.distance*(1+1e-9)
		lo = sort.Search(hi, func(i int) bool { return side.score[i] >= s-w })
		hi = lo + sort.Search(hi-lo, func(i int) bool { return side.score[lo+i] > s+w })
		if broken != nil {
			broken[0] += len(side.rows) - (hi - lo)
		}
	}
	for i := lo; i < hi; i++ {
		pos := int32(i)
		if side.byScore != nil {
			pos = side.byScore[i]
		}
		b := side.rows[pos]
		var dist float64
		if j.points != nil {
			dist = j.points.between(a, b, gap)
		} else {
			dist = math.Abs(j.out.Score[a] - j.out.Score[b])
		}
		if bound := j.limits.check(a, b, dist); bound != 0 {
			if broken != nil {
				broken[bits.TrailingZeros64(bound)]++
			}
			continue
		}
		visit(pos, f.whole(dist))
	}
}

// lookup is one group of a block; byScore are positions by ascending score, where a caliper on
// the score makes a window.
type lookup struct {
	rows    []int32
	byScore []int32
	score   []float64
}

func (f *offers) lookup(rows []int32) *lookup {
	l := &lookup{rows: rows}
	if f.j.points == nil && !math.IsInf(f.j.limits.distance, 1) {
		s := make([]float64, len(rows))
		for i, r := range rows {
			s[i] = f.j.out.Score[r]
		}
		l.byScore = num.OrderFloats(s)
		l.score = make([]float64, len(rows))
		for i, p := range l.byScore {
			l.score[i] = s[p]
		}
	}
	return l
}

func (f *offers) room() []float64 {
	if f.j.points == nil {
		return nil
	}
	return make([]float64, len(f.j.points.scale))
}

// offer is a pair on offer to a unit.
type offer struct {
	cost int64
	to   int32
}

func (o offer) before(p offer) bool { return o.cost < p.cost || o.cost == p.cost && o.to < p.to }

// solve builds and solves the blocks.
func (f *offers) solve(ctx context.Context, left, right num.Degree) error {
	blocks := make([]int, 0, len(f.left))
	for b := range f.left {
		if len(f.left[b]) > 0 && len(f.right[b]) > 0 {
			blocks = append(blocks, b)
		}
	}
	for _, b := range blocks { // before anything large is made
		if err := f.fits(b); err != nil {
			return err
		}
	}
	inner := 1
	if len(blocks) == 1 {
		inner = f.j.d.Workers
	}
	errs := make([]error, len(f.left))
	num.ForEach(len(blocks), f.j.d.Workers, func(i int) {
		b := blocks[i]
		if errs[b] = f.build(ctx, b, inner); errs[b] == nil {
			f.got[b], errs[b] = num.MinCostLinks(ctx, f.graphs[b], left, right)
		}
		f.graphs[b] = num.Bipartite{}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// fits estimates the arcs of a block from up to 64 of its units.
func (f *offers) fits(b int) error {
	units, others := f.left[b], len(f.right[b])
	most := others
	if f.most != nil {
		most = min(most, f.most(len(units)))
	}
	if looks := float64(len(units)) * float64(others); looks > mostLooks {
		return f.tooLarge(b, looks)
	}
	if len(units)*most <= f.arcs || f.cover {
		return nil
	}
	taken := make([]int, min(64, len(units)))
	arcs := f.sampled(units, f.lookup(f.right[b]), func(i int, _ int32, _ int64) bool {
		taken[i]++
		return taken[i] <= most
	})
	if arcs > float64(f.arcs) {
		return f.tooLarge(b, arcs)
	}
	return nil
}

func (f *offers) tooLarge(b int, arcs float64) error {
	return fmt.Errorf("%w: a block of %d units and %d possible partners has about %.3g million pairs to choose from, which would take about %.3g GB (at most %.3g million are taken): make blocks smaller with exact, or the caliper narrower",
		ErrTooLarge, len(f.left[b]), len(f.right[b]), arcs/1e6, arcs*bytesPerArc/1e9, float64(f.arcs)/1e6)
}

// links are the pairs chosen, with the left unit as the one served; the nearest partner of a unit comes first.
func (f *offers) links() []link {
	var out []link
	gap := f.room()
	for b, g := range f.got {
		if g == nil {
			continue
		}
		from := len(out)
		for _, p := range g.Pairs {
			a, c := f.left[b][p[0]], f.right[b][p[1]]
			l := link{unit: a, partner: c}
			if f.j.points != nil {
				l.dist = f.j.points.between(a, c, gap)
			} else {
				l.dist = math.Abs(f.j.out.Score[a] - f.j.out.Score[c])
			}
			out = append(out, l)
		}
		for from < len(out) { // pairs of one unit stand together
			to := from
			for to < len(out) && out[to].unit == out[from].unit {
				to++
			}
			slices.SortStableFunc(out[from:to], func(a, b link) int { return cmp.Compare(a.dist, b.dist) })
			from = to
		}
	}
	return out
}

// noSupport says why there is no pair.
func (f *offers) noSupport() error {
	all := 0
	for _, c := range f.counted {
		all += c.all
	}
	f.calipers()
	return f.j.noSupport(all)
}

func (f *offers) calipers() {
	j := f.j
	names := []string{"distance"}
	widths := []float64{j.limits.distance}
	for _, w := range j.limits.within {
		names, widths = append(names, w.name), append(widths, w.width)
	}
	for k, name := range names {
		if math.IsInf(widths[k], 1) {
			continue
		}
		use := CaliperUse{On: name, Width: widths[k]}
		for _, c := range f.counted {
			use.Attempts += c.all
			if c.broken != nil {
				use.Bound += c.broken[k]
			}
		}
		j.out.Calipers = append(j.out.Calipers, use)
	}
}

// finish adds the proof, what the calipers did, and their notes.
func (f *offers) finish() {
	j := f.j
	o := &Optimum{Unit: 1 / f.scale, Price: make([]int64, j.u.n), Forfeit: make([]int64, j.u.n)}
	for b, g := range f.got {
		o.Pairs += f.counted[b].all
		o.Kept += f.counted[b].kept
		o.Offered += f.counted[b].offered
		if g == nil {
			continue
		}
		for i, r := range f.left[b] {
			o.Price[r], o.Forfeit[r] = g.Price[0][i], g.Forfeit
		}
		for i, r := range f.right[b] {
			o.Price[r], o.Forfeit[r] = g.Price[1][i], g.Forfeit
		}
	}
	o.Total = num.Sum(j.out.PairDistance)
	j.out.Optimum = o
	f.calipers()
	for _, u := range j.out.Calipers {
		if u.Bound == 0 {
			j.note("caliper-unused", fmt.Sprintf("The caliper on %s never bound: without it the pairs would be the same.", u.On),
				map[string]any{"on": u.On, "width": u.Width, "attempts": u.Attempts})
			continue
		}
		j.out.Notes = append(j.out.Notes, table.Note{Code: "caliper-excluded",
			Text: fmt.Sprintf("The caliper on %s rules out %d of %d possible pairs (%.1f %%).", u.On, u.Bound, u.Attempts, 100*u.Share()),
			Args: map[string]any{"on": u.On, "width": u.Width, "bound": u.Bound, "attempts": u.Attempts, "share": u.Share()}})
	}
}
