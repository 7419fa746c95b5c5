package cohort

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// Matched is a matching that has passed [Verify]. Slices by row follow the table.
type Matched struct {
	Estimand string // att, atc or ate; atm when units that it is about found no partner
	Replaced bool   // partners may be in several sets

	// Pairs are rows (treated, control), by set and within a set in the order of the
	// rounds; PairDistance has their distances. Nil for designs whose sets are cells or
	// subclasses, with any number of units of both groups. With replacement the pairs are the
	// truth and sets are not: a partner may be in several.
	Pairs        [][2]int
	PairDistance []float64

	// Set is the number of the set from 1, 0 = in none. Sets are numbered by the id
	// of the unit served, shorter first and then by bytes (cells by the first id in
	// them, subclasses by ascending score). With replacement only the units served have one.
	Set []int

	// Weight is 1 for a unit served that found partners. A partner has Σ 1/k over the
	// sets that it is in, k the number of partners in the set, times one factor that
	// makes the partners' weights add up to the number of partners. 0 = not matched.
	// In cells and subclasses with n₁ treated and n₀ untreated: n₁/n₀ for untreated and
	// 1 for treated (att), 1 and n₀/n₁ (atc), n/n₀ and n/n₁ (ate), then scaled within
	// the group to add up to its number of units in sets.
	Weight []float64

	Score       []float64 // of each row: the distance's, or of the caliper beside a metric; nil = none
	ScoreName   string    // "logit", "linear-logit" or the score column
	ScoreSD     float64   // divisor n-1 over all units, where a caliper is in it; else 0
	Metric      *Metric   // nil = the distance is of the score
	Propensity  *PropensityFit
	Calipers    []CaliperUse
	Cuts        map[string][]float64 // by column: the cut points between the cells or, under [SubclassCuts], between the subclasses
	Moved       int                  // units put into a neighbouring subclass so that each has both groups
	Optimum     *Optimum             // of optimal and full matching: the proof
	Cardinality *CardinalityFit      // of cardinality matching: how near to the largest it is
	Counts      MatchCounts
	Notes       []table.Note
}

// CaliperUse says what a caliper did.
type CaliperUse struct {
	On       string  // "distance", "score" or the column
	Width    float64 // in raw units
	Attempts int     // choices for which a free partner existed
	Bound    int     // of them, those in which the nearest partner, free when the unit last looked, was too far off
}

// Share is the share of choices in which the caliper bound; NaN without a choice.
func (c CaliperUse) Share() float64 { return float64(c.Bound) / float64(c.Attempts) }

// MatchCounts counts units, sets and pairs.
type MatchCounts struct {
	Treated, Control               int // all
	MatchedTreated, MatchedControl int // distinct
	Sets, Pairs, Blocks            int
	Incomplete                     int     // sets with fewer partners than the ratio
	MaxReuse                       int     // most sets that one partner is in
	ESSTreated, ESSControl         float64 // (Σw)²/Σw² (Kish 1965)
}

// Table returns the units with weight above 0, with columns set, weight and, where
// there is a score, score. Columns of these names are replaced.
func (m *Matched) Table(t *table.Table) (*table.Table, error) {
	if t.Rows() != len(m.Weight) {
		return nil, fmt.Errorf("the matching is of %d rows and the table has %d", len(m.Weight), t.Rows())
	}
	var rows []int
	for i, w := range m.Weight {
		if w > 0 {
			rows = append(rows, i)
		}
	}
	set, has := make([]int64, len(rows)), make([]bool, len(rows))
	weight, score := make([]float64, len(rows)), make([]float64, len(rows))
	for k, i := range rows {
		set[k], has[k], weight[k] = int64(m.Set[i]), m.Set[i] > 0, m.Weight[i]
		if m.Score != nil {
			score[k] = m.Score[i]
		}
	}
	cols := []table.Column{
		table.NewInteger(table.Field{Name: SetColumn, Role: table.SetRole}, set, has),
		table.NewFloat(table.Field{Name: WeightColumn, Role: table.WeightRole}, weight, nil),
	}
	if m.Score != nil {
		cols = append(cols, table.NewFloat(table.Field{Name: ScoreColumn}, score, nil))
	}
	out := t.Take(rows)
	for _, c := range cols {
		var err error
		if out, err = out.With(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// finish turns the links of the blocks into sets, weights, counts and notes.
func (j *job) finish() error {
	out := j.out
	var links []link
	attempts, bound := 0, make([]int, 1+len(j.limits.within))
	for _, s := range j.done {
		links = append(links, s.links...)
		attempts += s.attempts
		for i, b := range s.bound {
			bound[i] += b
		}
	}
	c := &out.Counts
	c.Treated, c.Control, c.Blocks = j.u.count, j.u.n-j.u.count, j.blocks
	if !math.IsInf(j.limits.distance, 1) {
		out.Calipers = append(out.Calipers, CaliperUse{"distance", j.limits.distance, attempts, bound[0]})
	}
	for i, w := range j.limits.within {
		out.Calipers = append(out.Calipers, CaliperUse{w.name, w.width, attempts, bound[i+1]})
	}
	if len(links) == 0 {
		return j.noSupport(attempts)
	}
	out.Estimand, out.Replaced = j.Estimand, j.Replace
	j.number(links)
	j.weigh(links)
	j.matchNotes()
	return nil
}

func (j *job) noSupport(attempts int) error {
	if attempts == 0 {
		return fmt.Errorf("%w: none of the %d groups of units that are equal in %s has both treated and untreated units", ErrNoSupport, j.blocks, strings.Join(j.Exact, ", "))
	}
	var widths []string
	for _, c := range j.out.Calipers {
		widths = append(widths, fmt.Sprintf("%s (%.4g)", c.On, c.Width))
	}
	served := j.u.count
	if j.Estimand == ATC {
		served = j.u.n - served
	}
	return fmt.Errorf("%w: none of the %d units served has a partner within the calipers on %s", ErrNoSupport, served, strings.Join(widths, ", "))
}

type numbered struct {
	id   string
	head uint64 // the first 8 bytes of the id
	row  int32
}

// number sorts the links by set and gives each its number.
func (j *job) number(links []link) {
	out := j.out
	out.Set = make([]int, j.u.n)
	var units []numbered
	for _, l := range links {
		if out.Set[l.unit]++; out.Set[l.unit] == 1 { // the number of its links until the sets are numbered
			var head [8]byte
			id := j.u.id(int(l.unit))
			copy(head[:], id)
			units = append(units, numbered{id, binary.BigEndian.Uint64(head[:]), l.unit})
		}
	}
	slices.SortFunc(units, func(a, b numbered) int {
		if len(a.id) != len(b.id) {
			return len(a.id) - len(b.id)
		}
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(a.id, b.id)
	})
	next := make([]int, len(units)) // place of the next link of each set
	for i, at := 0, 0; i < len(units); i++ {
		row := units[i].row
		next[i], at = at, at+out.Set[row]
		out.Set[row] = i + 1
	}
	sorted := slices.Clone(links)
	for _, l := range links {
		s := out.Set[l.unit] - 1
		sorted[next[s]] = l
		next[s]++
	}
	copy(links, sorted)
	out.Pairs, out.PairDistance = make([][2]int, len(links)), make([]float64, len(links))
	for i, l := range links {
		out.Pairs[i], out.PairDistance[i] = [2]int{int(l.unit), int(l.partner)}, l.dist
		if j.Estimand == ATC {
			out.Pairs[i] = [2]int{int(l.partner), int(l.unit)}
		}
		if !j.Replace {
			out.Set[l.partner] = out.Set[l.unit]
		}
	}
	out.Counts.Sets, out.Counts.Pairs = len(units), len(links)
}

// weigh needs the links by set.
func (j *job) weigh(links []link) {
	out, c := j.out, &j.out.Counts
	out.Weight = make([]float64, j.u.n)
	reuse := make([]int32, j.u.n)
	partners := 0
	for lo := 0; lo < len(links); {
		hi := lo
		for hi < len(links) && links[hi].unit == links[lo].unit {
			hi++
		}
		for _, l := range links[lo:hi] {
			out.Weight[l.partner] += 1 / float64(hi-lo)
			if reuse[l.partner]++; reuse[l.partner] == 1 {
				partners++
			}
			c.MaxReuse = max(c.MaxReuse, int(reuse[l.partner]))
		}
		out.Weight[links[lo].unit] = 1
		if hi-lo < j.Ratio {
			c.Incomplete++
		}
		lo = hi
	}
	// The shares of a set add up to 1, so that those of all partners add up to the sets.
	factor := float64(partners) / float64(c.Sets)
	for r, n := range reuse {
		if n > 0 {
			out.Weight[r] *= factor
		}
	}
	c.MatchedTreated, c.MatchedControl = c.Sets, partners
	if j.Estimand == ATC {
		c.MatchedTreated, c.MatchedControl = partners, c.Sets
	}
	c.ESSTreated, c.ESSControl = kish(out.Weight, j.u, j.d.Workers)
}

// kish returns (Σw)²/Σw² of either group; NaN without weight.
func kish(weight []float64, u *units, workers int) (treated, control float64) {
	s := num.SumExact(u.n, 4, workers, func(lo, hi int, sums []num.ExactSum) {
		for r := lo; r < hi; r++ {
			if w := weight[r]; w != 0 {
				a := 2 * arm(u.treated[r])
				sums[a].Add(w)
				sums[a+1].Add(w * w)
			}
		}
	})
	return s[2] * s[2] / s[3], s[0] * s[0] / s[1]
}

func (j *job) note(code, text string, args map[string]any) {
	j.out.Notes = append(j.out.Notes, table.Note{Code: code, Text: text, Args: args})
}

// blockNotes says where partners are scarce before any is chosen.
func (j *job) blockNotes(focal, pool [][]int32) {
	short, alone, units, partners, more := 0, 0, 0, 0, 0
	for b := range focal {
		n, p := len(focal[b]), len(pool[b])
		switch {
		case n > 0 && p == 0:
			alone += n
		case !j.Replace && n > 0 && 3*j.Ratio*n > p:
			short++
			units += n
			partners += p
			if n > p {
				more += n - p
			}
		}
	}
	if alone > 0 {
		j.note("no-exact-partner", fmt.Sprintf("%d units have nobody in the other group who is equal to them in the exact variables.", alone),
			map[string]any{"n": alone})
	}
	if short > 0 {
		j.note("few-controls", fmt.Sprintf("In %d exact groups %d units ask for %d partners each out of %d: more than a third, which leaves poor matches for those who choose late; consider replacement or a smaller ratio.", short, units, j.Ratio, partners),
			map[string]any{"blocks": short, "units": units, "ratio": j.Ratio, "partners": partners})
	}
	if more > 0 {
		j.note("fewer-controls-than-treated", fmt.Sprintf("At least %d units cannot find a partner because there are more of them than partners.", more),
			map[string]any{"n": more})
	}
}

func (j *job) matchNotes() {
	c := &j.out.Counts
	all, found := c.Treated, c.Sets
	if j.Estimand == ATC {
		all = c.Control
	}
	if found < all {
		share := float64(found) / float64(all)
		j.out.Estimand = ATM
		j.note("estimand-changed", fmt.Sprintf("%d of %d units found a partner (%.1f %%); the effect is that on the matched, not on all of them.", found, all, 100*share),
			map[string]any{"matched": found, "all": all, "share": share, "from": j.Estimand, "to": ATM})
	}
	if c.Incomplete > 0 {
		j.note("incomplete-sets", fmt.Sprintf("%d of %d sets have fewer than the %d partners asked for.", c.Incomplete, c.Sets, j.Ratio),
			map[string]any{"sets": c.Incomplete, "all": c.Sets, "ratio": j.Ratio})
	}
	for _, u := range j.out.Calipers {
		if u.Bound == 0 {
			j.note("caliper-unused", fmt.Sprintf("The caliper on %s never bound: without it the pairs would be the same.", u.On),
				map[string]any{"on": u.On, "width": u.Width, "attempts": u.Attempts})
			continue
		}
		j.note("caliper-bound", fmt.Sprintf("The caliper on %s refused the nearest partner in %d of %d choices (%.1f %%).", u.On, u.Bound, u.Attempts, 100*u.Share()),
			map[string]any{"on": u.On, "width": u.Width, "bound": u.Bound, "attempts": u.Attempts, "share": u.Share()})
	}
	if j.Replace && j.asked != "" && j.asked != DataOrder {
		j.note("order-unused", "With replacement every unit takes its nearest partners, so that the order has no part.", map[string]any{"order": j.asked})
	}
}
