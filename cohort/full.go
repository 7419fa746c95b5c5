package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// Full divides the units into sets of one treated and one or more untreated units, or one
// untreated and several treated, so that of all such divisions
//
//	as many units as possible are in a set, and then
//	Σ d(i,j) over the treated and untreated units of each set is least.
//
// Without calipers and limits everybody is in a set. d, the constraints and what is exact are
// as in [Optimal]; [VerifyFull] checks the proof. The pairs of a set are its treated with its untreated units.
//
// MinControls and MaxControls bound the untreated units for one treated; 1/k says that a set may
// have up to k (MinControls) or must have at least k (MaxControls) treated for one untreated unit.
// Where limits or calipers leave no room for somebody, units are left out so that as few as possible are.
// A lower limit other than one unit is kept in every set: if the best division breaks it, that is [ErrNoSupport].
//
// Weights as in [Matched] for cells: estimand att (default), atc or ate. A unit left out of the
// group that the estimand is about makes it atm, with a note.
//
// Errors: those of [Nearest], [ErrTooLarge]. Source: Rosenbaum (1991), J. R. Statist. Soc. B 53; Hansen and
// Klopfer (2006), J. Comput. Graph. Statist. 15. Registry: cohort/METHODS.md#full-matching.
type Full struct {
	Distance     string             // see [Nearest]
	Caliper      float64            // in SD of the score; 0 = none
	CaliperRaw   float64            // in units of the distance; 0 = none
	CaliperOn    map[string]float64 // in the column's units
	CaliperScore float64            // in SD of the score, when the distance is a metric; 0 = none
	Exact        []string           // any columns without missing values
	MinControls  float64            // untreated for one treated, at least: k or 1/k; 0 = any
	MaxControls  float64            // untreated for one treated, at most: k or 1/k; 0 = any
	Estimand     string             // att (default), atc or ate
	Seed         uint64             // key of the hash by which ties are broken
	MaxArcs      int                // most pairs on offer in one block; 0 = 100 million (3.6 GB)
}

func (m Full) nearest() Nearest {
	return Nearest{
		Distance: m.Distance, Caliper: m.Caliper, CaliperRaw: m.CaliperRaw, CaliperOn: m.CaliperOn, CaliperScore: m.CaliperScore,
		Exact: m.Exact, Order: RandomOrder, Seed: m.Seed,
	}
}

// Check lists every problem with the options, each as an [ErrOption].
func (m Full) Check() []error {
	errs := append(m.nearest().Check(), checkCellEstimand(m.Estimand)...)
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	ok := true
	for _, x := range []struct {
		name  string
		value float64
	}{{"min-controls", m.MinControls}, {"max-controls", m.MaxControls}} {
		if _, _, whole := perUnit(x.value); !whole {
			bad("%s must be a whole number k or a share 1/k, at least 1/1000 and at most 1000000", x.name)
			ok = false
		}
	}
	if ok && m.MaxControls != 0 && m.MinControls > m.MaxControls*(1+1e-9) {
		bad("min-controls is above max-controls")
	}
	if m.MaxArcs < 0 {
		bad("max arcs must be at least 1")
	}
	return errs
}

// perUnit reads k or 1/k: k untreated for one treated, or k treated for one untreated.
func perUnit(x float64) (untreated, treated int, ok bool) {
	switch k := math.Round(1 / x); {
	case x == 0:
		return 0, 0, true
	case x >= 1 && x <= 1e6 && x == math.Trunc(x):
		return int(x), 1, true
	case x > 0 && x < 1 && k <= 1000 && math.Abs(1/x-k) <= 0.02: // 0.333 is 1/3
		return 1, int(k), true
	}
	return 0, 0, false
}

// degrees are the limits on the partners of a treated and of an untreated unit.
func (m Full) degrees() (treated, untreated num.Degree) {
	treated, untreated = num.Degree{Min: 1, Max: num.Unlimited}, num.Degree{Min: 1, Max: num.Unlimited}
	if controls, k, _ := perUnit(m.MinControls); controls > 0 {
		treated.Min, untreated.Max = controls, k
	}
	if controls, k, _ := perUnit(m.MaxControls); controls > 0 {
		treated.Max, untreated.Min = controls, k
	}
	return treated, untreated
}

// Match runs the design on all rows of the table.
func (m Full) Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error) {
	if errs := append(m.Check(), m.nearest().checkSpec(d)...); len(errs) > 0 {
		return nil, joined(errs)
	}
	j, err := m.nearest().prepare(ctx, t, d)
	if err != nil {
		return nil, err
	}
	treated, untreated := j.split()
	f := newOffers(j, treated, untreated, m.MaxArcs)
	left, right := m.degrees()
	f.cover = left == right && left.Max == num.Unlimited
	if err := f.solve(ctx, left, right); err != nil {
		return nil, err
	}
	links := stars(f.links(), j.u.n)
	if len(links) == 0 {
		return nil, f.noSupport()
	}
	if err := m.whole(j, links, left.Min, right.Min); err != nil {
		return nil, err
	}
	s := newStrata(j.u, d, m.Estimand)
	s.out, s.cells = j.out, j.blocks
	s.finish(starSets(s, links))
	j.out.Counts.Pairs, j.out.Counts.MaxReuse = len(links), 0
	f.alone()
	f.finish()
	if err := VerifyFull(t, d, m, j.out); err != nil {
		return nil, err
	}
	return j.out, ctx.Err()
}

// stars takes away links that join two units which have others: in a least total they cost
// nothing, and what is left are sets around one unit.
func stars(links []link, n int) []link {
	degree := make([]int, n)
	for _, l := range links {
		degree[l.unit]++
		degree[l.partner]++
	}
	return slices.DeleteFunc(links, func(l link) bool {
		if degree[l.unit] < 2 || degree[l.partner] < 2 {
			return false
		}
		degree[l.unit]--
		degree[l.partner]--
		return true
	})
}

// whole refuses sets below a lower limit.
func (m Full) whole(j *job, links []link, treated, untreated int) error {
	degree := make([]int, j.u.n)
	for _, l := range links {
		degree[l.unit]++
		degree[l.partner]++
	}
	short := [2]int{}
	for r, k := range degree {
		a := arm(j.u.treated[r])
		if k > 0 && k < [2]int{untreated, treated}[a] {
			short[a]++
		}
	}
	switch {
	case short[1] > 0:
		return fmt.Errorf("%w: %d treated units would have fewer than min-controls = %g untreated ones: lower min-controls or widen the calipers", ErrNoSupport, short[1], m.MinControls)
	case short[0] > 0:
		return fmt.Errorf("%w: %d untreated units would have fewer treated ones than max-controls = %.4g asks for: raise max-controls or widen the calipers", ErrNoSupport, short[0], m.MaxControls)
	}
	return nil
}

// starSets numbers the sets by the first id in them, and lists the pairs by set.
func starSets(s *strata, links []link) int {
	out, u := s.out, s.u
	centre := make([]int32, u.n) // of the set, + 1
	degree := make([]int, u.n)
	for _, l := range links {
		degree[l.unit]++
		degree[l.partner]++
	}
	for _, l := range links {
		c := l.unit
		if degree[l.partner] > 1 {
			c = l.partner
		}
		centre[l.unit], centre[l.partner] = c+1, c+1
	}
	first := make([]int32, u.n) // by centre: row + 1
	var order []int32
	for i, c := range centre {
		if c == 0 {
			continue
		}
		if first[c-1] == 0 {
			order = append(order, c-1)
		}
		if first[c-1] == 0 || idBefore(u.id(i), u.id(int(first[c-1]-1))) {
			first[c-1] = int32(i + 1)
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		if idBefore(u.id(int(first[a]-1)), u.id(int(first[b]-1))) {
			return -1
		}
		return 1
	})
	number := make([]int, u.n)
	for i, c := range order {
		number[c] = i + 1
	}
	out.Set = make([]int, u.n)
	for i, c := range centre {
		if c > 0 {
			out.Set[i] = number[c-1]
		}
	}
	// Within a set the pairs are nearest first; at one distance in the order of the search.
	slices.SortStableFunc(links, func(a, b link) int {
		switch x, y := out.Set[a.unit], out.Set[b.unit]; {
		case x != y:
			return x - y
		case a.dist < b.dist:
			return -1
		case a.dist > b.dist:
			return 1
		}
		return 0
	})
	out.Pairs, out.PairDistance = make([][2]int, len(links)), make([]float64, len(links))
	for i, l := range links {
		out.Pairs[i], out.PairDistance[i] = [2]int{int(l.unit), int(l.partner)}, l.dist
	}
	return len(order)
}

// alone counts units in blocks without anybody of the other group.
func (f *offers) alone() {
	n := 0
	for b := range f.left {
		if len(f.left[b]) == 0 || len(f.right[b]) == 0 {
			n += len(f.left[b]) + len(f.right[b])
		}
	}
	if n > 0 {
		f.j.note("no-exact-partner", fmt.Sprintf("%d units have nobody in the other group who is equal to them in the exact variables.", n), map[string]any{"n": n})
	}
}

// VerifyFull re-checks full matching: sets are one unit with one or more of the other group, within the
// limits; pairs are those of the sets, keep the constraints and have the distances that the columns
// give; weights, counts and the estimand follow from the sets; and no other sets
// put as many units at a smaller total distance (see [VerifyOptimal]). A breach is [ErrConstraint].
func VerifyFull(t *table.Table, d Spec, m Full, got *Matched) error {
	n := m.nearest().defaults()
	treated, untreated := m.degrees()
	c := &certificate{
		verifier: verifier{t: t, d: d, m: n, got: got, n: t.Rows()},
		need:     [2]int{untreated.Min, treated.Min}, most: [2]int{untreated.Max, treated.Max},
	}
	cells := &cellVerifier{t: t, d: d, aim: m.Estimand, got: got, pairs: len(got.Pairs)}
	return cells.run(func() error { return c.full(cells) })
}

func (c *certificate) full(cells *cellVerifier) error {
	g := c.got
	if len(g.Pairs) == 0 || len(g.PairDistance) != len(g.Pairs) {
		return fmt.Errorf("%d distances for %d pairs", len(g.PairDistance), len(g.Pairs))
	}
	if g.Score != nil && len(g.Score) != c.n {
		return fmt.Errorf("%d scores for %d rows", len(g.Score), c.n)
	}
	c.treated = cells.treated
	size := make([][2]int, cells.sets+1)
	for i, s := range g.Set {
		size[s][arm(c.treated[i] == 1)]++
	}
	pairs := 0
	for s, n := range size[1:] {
		switch {
		case n[0] > 1 && n[1] > 1:
			return fmt.Errorf("set %d has %d treated and %d untreated units", s+1, n[1], n[0])
		case n[0] < c.need[1] || n[0] > c.most[1] || n[1] < c.need[0] || n[1] > c.most[0]:
			return fmt.Errorf("set %d with %d treated and %d untreated units is outside the limits", s+1, n[1], n[0])
		}
		pairs += n[0] * n[1]
	}
	seen := make(map[[2]int]bool, len(g.Pairs))
	last := 0
	for i, p := range g.Pairs {
		if p[0] < 0 || p[0] >= c.n || p[1] < 0 || p[1] >= c.n || c.treated[p[0]] != 1 || c.treated[p[1]] != 0 {
			return fmt.Errorf("pair %d is not of a treated and an untreated unit", i+1)
		}
		s := g.Set[p[0]]
		if s == 0 || s != g.Set[p[1]] || s < last || seen[p] {
			return fmt.Errorf("pair %d is not one of its set, in the order of the sets", i+1)
		}
		seen[p], last = true, s
	}
	if pairs != len(g.Pairs) {
		return fmt.Errorf("the sets give %d pairs and there are %d", pairs, len(g.Pairs))
	}
	if err := inTurn(c.exact, c.columns, c.distances, c.run); err != nil {
		return err
	}
	cells.cells = c.blockCount
	return nil
}

// inTurn runs steps until one fails.
func inTurn(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}
