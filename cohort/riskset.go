package cohort

import (
	"fmt"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// riskCell is a calendar month, an origin state and a band of elapsed duration in
// which somebody starts: those at risk there are the comparison people of those who do.
type riskCell struct {
	month   Month
	origin  int8
	band    int
	treated int
	drawn   []riskDraw
	limit   uint64 // no larger hash can be drawn
	full    bool   // limit holds
}

// riskDraw is a person at risk in a cell, with the hash that decides who is drawn.
type riskDraw struct {
	hash   uint64
	person int32
}

// riskSetDrawer expands risk sets: it holds only the cells in which someone starts,
// and of each no more than may be drawn.
type riskSetDrawer struct {
	s        *sources
	t        Timing
	seed     uint64
	from, to Month
	cuts     []int // lower edges of the bands above the first
	origin   []bool
	cell     []int32 // month × origin × band → index in cells, -1 = nobody starts there
	cells    []riskCell
	months   []bool // months in which someone starts
	counts   [2][riskSteps]int
	alone    int // participants in cells with nobody at risk
}

// Places in counts, by arm: what is left after each step.
const (
	riskCandidates = iota
	riskObserved
	riskLookBack
	riskOrigin
	riskCells // in a cell in which someone starts
	riskSteps
)

// riskSets draws participants and, of those at risk in the same calendar month, the same
// origin state and the same band of elapsed duration, at most Timing.Draws a participant.
//
// The origin state is the last one known at time zero, the elapsed duration the months
// that it had lasted then, at most the longest look-back. Of a cell with n participants
// the draws·n people with the smallest (KeyedHash(KeyedHash(seed, cell), person), person)
// are drawn. People are walked wave by wave; how many make a wave changes no draw.
func (s *sources) riskSets(t Timing, seed uint64, wave, workers int) (*riskSetDrawer, []candidate, []Step, error) {
	d := &riskSetDrawer{s: s, t: t, seed: seed, cuts: t.durationCuts()}
	d.from, _ = ParseMonth(t.From)
	d.to, _ = ParseMonth(t.To)
	if err := d.readOrigin(); err != nil {
		return nil, nil, nil, err
	}
	treated := d.participants()
	d.atRisk(wave, workers)
	out, steps := d.collect(treated)
	sortCandidates(out, s.ids)
	return d, out, steps, nil
}

func (d *riskSetDrawer) readOrigin() error {
	d.origin = make([]bool, len(d.s.h.states))
	for i := range d.origin {
		d.origin[i] = len(d.t.Origin) == 0
	}
	for _, name := range d.t.Origin {
		k := slices.Index(d.s.h.states, name)
		if k < 0 {
			return fmt.Errorf("%w: origin: no spell has the state %q", ErrOption, name)
		}
		d.origin[k] = true
	}
	return nil
}

// band is the place of a duration between the cut points.
func (d *riskSetDrawer) band(duration int) int {
	b := 0
	for b < len(d.cuts) && duration >= d.cuts[b] {
		b++
	}
	return b
}

// at is the place of a cell in d.cell.
func (d *riskSetDrawer) at(m Month, origin int8, band int) int {
	return (int(m-d.from)*len(d.origin)+int(origin))*(len(d.cuts)+1) + band
}

// participants finds those who start in the window, counts them, and opens their cells.
func (d *riskSetDrawer) participants() []candidate {
	n := int(d.to-d.from) + 1
	d.months = make([]bool, n)
	d.cell = make([]int32, n*len(d.origin)*(len(d.cuts)+1))
	for i := range d.cell {
		d.cell[i] = -1
	}
	var out []candidate
	buf := make([]int8, d.t.pastMonths())
	counts := &d.counts[arm(true)]
	for p := range d.s.ids {
		for _, m := range d.s.parts.zeros(p, d.from, d.to) {
			counts[riskCandidates]++
			d.months[m-d.from] = true
			past := d.s.h.past(p, m, buf)
			if !past.present() {
				continue
			}
			counts[riskObserved]++
			if !whole(past) {
				continue
			}
			counts[riskLookBack]++
			known := past.known(d.t.maxLookBack(), d.t.lag(SpellSource))
			origin := known[len(known)-1]
			if !d.origin[origin] {
				continue
			}
			counts[riskOrigin]++
			band := d.band(runLength(known))
			k := d.at(m, origin, band)
			if d.cell[k] < 0 {
				d.cell[k] = int32(len(d.cells))
				d.cells = append(d.cells, riskCell{month: m, origin: origin, band: band})
			}
			d.cells[d.cell[k]].treated++
			out = append(out, candidate{p, m, true, d.cell[k]})
		}
	}
	return out
}

// riskWave is how many people are walked before what they add is drawn from, so that
// memory is that of the draws and not of all person-months.
const riskWave = 32 * num.Chunk

// atRisk walks everybody through the months in which someone starts.
func (d *riskSetDrawer) atRisk(wave, workers int) {
	keys := make([]uint64, len(d.cells))
	for c := range d.cells {
		keys[c] = num.KeyedHash(d.seed, "risk-set/"+d.name(&d.cells[c]))
	}
	for lo := 0; lo < len(d.s.ids); lo += wave {
		n := min(wave, len(d.s.ids)-lo)
		type part struct {
			counts [riskSteps]int
			found  []foundAtRisk
		}
		parts := make([]part, (n+num.Chunk-1)/num.Chunk)
		num.ForChunks(n, workers, func(chunk, a, b int) {
			w := d.newWalk()
			for p := lo + a; p < lo+b; p++ {
				w.person(p, keys)
			}
			parts[chunk] = part{w.counts, w.found}
		})
		for _, p := range parts {
			for i, c := range p.counts {
				d.counts[arm(false)][i] += c
			}
			for _, f := range p.found {
				c := &d.cells[f.cell]
				c.drawn = append(c.drawn, f.riskDraw)
			}
		}
		if d.t.draws() > 0 {
			num.ForEach(len(d.cells), workers, func(c int) { d.trim(&d.cells[c]) })
		}
	}
}

// trim keeps those of a cell that may be drawn.
func (d *riskSetDrawer) trim(c *riskCell) {
	k := d.t.draws() * c.treated
	if len(c.drawn) < k {
		return
	}
	slices.SortFunc(c.drawn, func(a, b riskDraw) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return strings.Compare(d.s.ids[a.person], d.s.ids[b.person])
	})
	c.drawn = slices.Clip(c.drawn[:k])
	c.limit, c.full = c.drawn[k-1].hash, true
}

// collect makes units of participants in cells with somebody at risk and of those drawn,
// and counts who was left out.
func (d *riskSetDrawer) collect(treated []candidate) ([]candidate, []Step) {
	var out []candidate
	for _, c := range treated {
		if len(d.cells[c.cell].drawn) == 0 {
			d.alone++
			continue
		}
		out = append(out, c)
	}
	participants := len(out)
	for c := range d.cells {
		for _, r := range d.cells[c].drawn {
			out = append(out, candidate{int(r.person), d.cells[c].month, false, int32(c)})
		}
		d.cells[c].drawn = nil
	}
	in, free := d.counts[arm(true)], d.counts[arm(false)]
	in[riskCells] = in[riskOrigin] - d.alone
	var steps []Step
	add := func(name, rule string, treated, others int) {
		s := Step{Name: name, Rule: rule, UnitsOut: treated + others, TreatedOut: treated}
		if s.UnitsIn, s.TreatedIn = s.UnitsOut, s.TreatedOut; len(steps) > 0 {
			s.UnitsIn, s.TreatedIn = steps[len(steps)-1].UnitsOut, steps[len(steps)-1].TreatedOut
		}
		steps = append(steps, s)
	}
	add("candidates", fmt.Sprintf("%s in %s to %s, and in each month with one everybody with %s who does not start then", d.s.parts.what(), d.from, d.to, d.s.parts.free()),
		in[riskCandidates], free[riskCandidates])
	add("observed", "observed in the month before and in the month of time zero", in[riskObserved], free[riskObserved])
	add("look-back", fmt.Sprintf("observed in all of the %d months before time zero", d.t.pastMonths()-1), in[riskLookBack], free[riskLookBack])
	if len(d.t.Origin) > 0 {
		add("origin", "the last state known is one of: "+strings.Join(d.t.Origin, ", "), in[riskOrigin], free[riskOrigin])
	}
	add("risk-set", "same calendar month, same state and same months in it as a participant, or as somebody at risk", in[riskCells], free[riskCells])
	if k := d.t.draws(); k > 0 {
		add("draws", fmt.Sprintf("at most %d people at risk drawn for each participant of a risk set", k), participants, len(out)-participants)
	}
	return out, steps
}

// name says which cell it is: month, state, and months in it.
func (d *riskSetDrawer) name(c *riskCell) string {
	lo, hi := 1, 0
	if c.band > 0 {
		lo = d.cuts[c.band-1]
	}
	if c.band < len(d.cuts) {
		hi = d.cuts[c.band] - 1
	}
	months := fmt.Sprintf("%d-%d", lo, hi)
	switch {
	case c.band == len(d.cuts):
		months = fmt.Sprintf("%d+", lo)
	case lo == hi:
		months = fmt.Sprint(lo)
	}
	return fmt.Sprintf("%s/%s/%s", c.month, d.s.h.states[c.origin], months)
}

// column is the cell of each unit.
func (d *riskSetDrawer) column(cands []candidate) (table.Column, Feature, error) {
	name, levels := make([]string, len(d.cells)), []string{}
	used := make([]bool, len(d.cells))
	for _, c := range cands {
		used[c.cell] = true
	}
	for c := range d.cells {
		if used[c] {
			name[c] = d.name(&d.cells[c])
			levels = append(levels, name[c])
		}
	}
	slices.Sort(levels)
	code := make([]int32, len(d.cells))
	for c := range d.cells {
		if used[c] {
			k, _ := slices.BinarySearch(levels, name[c])
			code[c] = int32(k)
		}
	}
	codes := make([]int32, len(cands))
	for u, c := range cands {
		codes[u] = code[c.cell]
	}
	col, err := table.NewCategory(table.Field{Name: RiskSetColumn}, codes, levels, nil)
	lag := d.t.lag(SpellSource)
	return col, Feature{Column: RiskSetColumn, Source: SpellSource, Known: KnownLookBack, From: d.t.maxLookBack() + lag, To: lag}, err
}

type foundAtRisk struct {
	riskDraw
	cell int32
}

// riskWalk walks people month by month; of a month it knows what the months up to it were.
type riskWalk struct {
	d      *riskSetDrawer
	code   []int8
	base   Month
	run    []int // months in the state up to and including a month
	seen   []int // months observed without a gap up to and including a month
	counts [riskSteps]int
	found  []foundAtRisk
}

func (d *riskSetDrawer) newWalk() *riskWalk {
	before := d.t.pastMonths() - 1
	n := before + int(d.to-d.from) + 1
	return &riskWalk{d: d, code: make([]int8, n), run: make([]int, n), seen: make([]int, n), base: d.from - Month(before)}
}

func (w *riskWalk) person(p int, keys []uint64) {
	d := w.d
	w.d.s.h.fill(p, w.base, d.to+1, w.code)
	for i, c := range w.code {
		w.run[i], w.seen[i] = 1, 0
		if c < 0 {
			continue
		}
		w.seen[i] = 1
		if i > 0 && w.code[i-1] >= 0 {
			w.seen[i] += w.seen[i-1]
			if w.code[i-1] == c {
				w.run[i] += w.run[i-1]
			}
		}
	}
	lag, need := d.t.lag(SpellSource), d.t.pastMonths()
	for k, someone := range d.months {
		m := d.from + Month(k)
		if !someone || !d.s.parts.ready(p, m) || d.s.parts.starts(p, m) {
			continue
		}
		w.counts[riskCandidates]++
		i := int(m - w.base)
		if w.seen[i] < 2 {
			continue
		}
		w.counts[riskObserved]++
		if w.seen[i] < need {
			continue
		}
		w.counts[riskLookBack]++
		last := i - 1 - lag
		if !d.origin[w.code[last]] {
			continue
		}
		w.counts[riskOrigin]++
		cell := d.cell[d.at(m, w.code[last], d.band(min(w.run[last], d.t.maxLookBack())))]
		if cell < 0 {
			continue
		}
		w.counts[riskCells]++
		hash := num.KeyedHash(keys[cell], d.s.ids[p])
		if c := &d.cells[cell]; c.full && hash > c.limit {
			continue
		}
		w.found = append(w.found, foundAtRisk{riskDraw{hash, int32(p)}, cell})
	}
}
