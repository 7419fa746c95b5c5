package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/plots"
	"utfall/study/release"
	"utfall/table"
)

// The names of what is waited for, and of waiting, among the states of the estimator.
const (
	waiting = "waiting"
	reached = "reached"
)

// timeToRows are the units of a cohort with the time to what comes first.
type timeToRows struct {
	causes []string // reached, then the competing ones in byte order of their names
	time   []float64
	cause  []int  // by unit: index into causes, or survive.Censored
	was    []bool // in the states at time zero already
}

// timeToCurves are what the figure draws, comparison people first.
type timeToCurves struct{ arms []timeToCurve }

type timeToCurve struct {
	group         string
	people        int
	value, lo, hi []float64 // by month
	events        []int     // by month: people who have come by then
	shown         plots.Series
}

// parts finds for each state of the paths whether it is waited for, and what it precludes it as: 0 neither, 1 waited for, 2 … competing.
func (q *TimeTo) parts(states []string) ([]int, error) {
	part := make([]int, len(states))
	set := func(key string, names []string, to int) error {
		for _, name := range names {
			k := slices.Index(states, name)
			if k < 0 {
				return fmt.Errorf("%w: time_to: %s: no spell has the state %q", ErrSpec, key, name)
			}
			part[k] = to
		}
		return nil
	}
	if err := set("states", q.States, 1); err != nil {
		return nil, err
	}
	for i, name := range sortedKeys(q.Competing) {
		if err := set("competing: "+name, q.Competing[name], 2+i); err != nil {
			return nil, err
		}
	}
	return part, nil
}

// timeToRows finds the first month after time zero from which a unit is in the states for
// enough months in a row, or in which something comes that precludes it. Whether a month is
// the first of a row is known only while the row can be seen to its end, so that every unit is
// followed to the last month of which that is true, and is censored after it.
func (q *TimeTo) rows(p *cohort.Paths, units int) (*timeToRows, error) {
	part, err := q.parts(p.States)
	if err != nil {
		return nil, err
	}
	r := &timeToRows{causes: append([]string{reached}, sortedKeys(q.Competing)...), time: make([]float64, units), cause: make([]int, units), was: make([]bool, units)}
	for u := range units {
		last := -1 // last month seen
		for last+1 < p.After && p.At(u, last+1) >= 0 {
			last++
		}
		known := max(last-q.Stable+1, 0)
		r.time[u], r.cause[u] = float64(known)+0.5, survive.Censored
		run := 0 // months in the states up to m, from month 1 on
		r.was[u] = last >= 0 && part[p.At(u, 0)] == 1
		for m := 1; m <= last; m++ {
			in := part[p.At(u, m)]
			if in >= 2 {
				if m <= known {
					r.time[u], r.cause[u] = float64(m), in-1
				}
				break
			}
			if run++; in != 1 {
				run = 0
			}
			if run == q.Stable {
				r.time[u], r.cause[u] = float64(m-q.Stable+1), 0
				break
			}
		}
	}
	return r, nil
}

// timeToPeople are the rows of the cohort that the question is about. A set that would lose a member is left out.
func (s *state) timeToPeople(b *built, q *TimeTo) (rows []int, mixed int, err error) {
	in, err := s.ofSubgroup(b, q.Where)
	if err != nil || !b.whole {
		return in, 0, err
	}
	left := map[int]int{} // by set: members
	for _, set := range b.set {
		left[set]++
	}
	for _, i := range in {
		left[b.set[i]]--
	}
	gone := map[int]bool{}
	for _, i := range in {
		if left[b.set[i]] > 0 {
			gone[b.set[i]] = true
		} else {
			rows = append(rows, i)
		}
	}
	return rows, len(gone), nil
}

// timeToDesign are the covariates beside the measure.
func (s *state) timeToDesign(b *built, q *TimeTo, rows []int) (*mat.Dense, []string, error) {
	var columns []float64
	names, k := []string{"treated"}, 0
	if len(q.Covariates) > 0 {
		x, err := cohort.Design(b.table.Take(rows), q.Covariates, cohort.DesignOptions{Workers: s.o.Workers})
		if err != nil {
			return nil, nil, err
		}
		names, columns, k = append(names, x.Names()...), x.Values, len(x.Columns)
	}
	out := mat.NewDense(len(rows), 1+k, nil)
	for i, u := range rows {
		out.Set(i, 0, indicator(b.treated[u]))
		for j := range k {
			out.Set(i, 1+j, columns[i*k+j])
		}
	}
	return out, names, nil
}

// timeToRun answers one time_to analysis.
type timeToRun struct {
	s       *state
	q       *TimeTo
	b       *built
	of      []int // rows of the cohort
	ids     []string
	treated []bool
	weight  []float64
	cluster []int
	rows    *timeToRows
	r       analysisResult
}

func (s *state) timeTo(a *Analysis) (analysisResult, error) {
	q := a.TimeTo
	b := s.cohorts[q.Cohort]
	t := timeToRun{s: s, q: q, b: b, r: analysisResult{method: "time_to", kind: "association", notes: slices.Clone(b.notes)}}
	if b.weight != nil {
		t.r.kind = "effect"
	}
	if err := t.read(); err != nil {
		return t.r, err
	}
	alike, err := oneLevel(b.table, t.of, q.Covariates)
	if err != nil {
		return t.r, err
	}
	t.r.notes = append(t.r.notes, alike...)
	if slices.Contains(t.rows.was, true) {
		t.r.notes = append(t.r.notes, table.Note{Code: "there-at-start",
			Text: "Some people were in the state at the start already; for them what counts is the first month after it."})
	}
	for _, step := range []func() error{t.contrasts, t.curves, t.hazards} {
		if err := s.ctx.Err(); err != nil {
			return t.r, err
		}
		if err := step(); err != nil {
			return t.r, fmt.Errorf("time_to: %w", err)
		}
	}
	return t.r, nil
}

// read finds the people, whole sets where sets belong together, and what comes first to each.
func (t *timeToRun) read() error {
	var err error
	var mixed int
	if t.of, mixed, err = t.s.timeToPeople(t.b, t.q); err != nil {
		return err
	}
	if mixed > 0 {
		t.r.notes = append(t.r.notes, table.Note{
			Code: "sets-mixed", Text: fmt.Sprintf("%d matched sets have members inside and outside the subgroup and were left out", mixed),
			Args: map[string]any{"sets": mixed},
		})
	}
	if t.ids, _, err = t.b.table.Take(t.of).Text(cohort.UnitColumn); err != nil {
		return err
	}
	t.treated = pickBool(t.b.treated, t.of)
	if t.b.cluster != nil {
		t.cluster = dense(t.b.cluster, t.of)
	}
	if t.b.weight != nil {
		for _, i := range t.of {
			t.weight = append(t.weight, t.b.weight[i])
		}
	}
	t.rows, err = t.q.rows(t.b.paths.Take(t.of), len(t.of))
	return err
}

// times are the units as package survive reads them.
func (t *timeToRun) times() survive.Times {
	f := survive.Times{Unit: t.ids, Time: t.rows.time, Level: t.s.spec.Level, Cluster: t.cluster}
	if t.weight != nil {
		f.Weight = estimate.Weights{Kind: estimate.Matching, Values: t.weight}
	}
	return f
}

func (t *timeToRun) competing() *survive.Competing {
	f := &survive.Competing{Stratified: survive.Stratified{Times: t.times()}, Cause: t.rows.cause, CauseNames: t.rows.causes}
	f.GroupNames = []string{"control", "treated"}
	for _, in := range t.treated {
		g := 0
		if in {
			g = 1
		}
		f.Group = append(f.Group, g)
	}
	return f
}

// came counts the units of each arm with an event of a cause after month from, up to month to.
func (t *timeToRun) came(cause, from, to int) (n release.Arms) {
	for u, c := range t.rows.cause {
		if m := t.rows.time[u]; c == cause && m > float64(from) && m <= float64(to) {
			if t.treated[u] {
				n.Treated++
			} else {
				n.Control++
			}
		}
	}
	return n
}

// contrasts are the shares that have come, the difference between the groups, and the months
// gained: the area between their curves, which is the mean time in the state of having come.
func (t *timeToRun) contrasts() error {
	f := t.competing()
	sp := &survive.Spells{ID: t.ids, States: append([]string{waiting}, t.rows.causes...), Group: f.Group, GroupNames: f.GroupNames,
		Weight: f.Weight, Cluster: f.Cluster, Level: f.Level, Stop: f.Time, Start: make([]float64, len(t.ids)), From: make([]int, len(t.ids))}
	for u, c := range f.Cause {
		sp.Person = append(sp.Person, u)
		to := survive.Censored
		if c != survive.Censored {
			to = 1 + c
		}
		sp.To = append(sp.To, to)
	}
	months := slices.Sorted(slices.Values(t.q.At))
	at := make([]float64, len(months))
	before := map[int]int{} // month asked for before this one
	for i, m := range months {
		at[i] = float64(m)
		if i > 0 {
			before[m] = months[i-1]
		}
	}
	res, err := survive.AalenJohansen{At: at, Tau: float64(t.q.Tau), Workers: t.s.o.Workers}.Fit(t.s.ctx, sp)
	if err != nil {
		return err
	}
	for _, n := range res.Notes {
		if n.Code != "boundary" { // it counts numbers that are not asked for
			t.r.notes = append(t.r.notes, n)
		}
	}
	all := arms(t.treated)
	var main, rest []found
	for _, e := range res.Estimates {
		parts := termParts(e.Term)
		cause := slices.Index(t.rows.causes, parts["state"])
		if cause < 0 {
			continue
		}
		from, end := 0, t.q.Tau
		if text, ok := parts["time"]; ok {
			m, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			from, end = before[m], m
		}
		// What lies between two months can be worked out from their numbers, so it counts for itself.
		n := t.came(cause, from, end)
		b := release.Basis{Treated: all.Treated, Control: all.Control, DF: math.Inf(1), Events: &n}
		switch x := (found{term: e.Term, e: e, basis: b}); {
		case e.Measure == estimate.RiskDifference && cause == 0 && end == months[len(months)-1]:
			main = append([]found{x}, main...)
		case e.Measure == restrictedMeanDifference && cause == 0:
			main = append(main, x)
		case e.Measure == estimate.RiskDifference && (cause == 0 || end == months[len(months)-1]):
			rest = append(rest, x)
		case e.Measure == estimate.Occupation && cause == 0:
			rest = append(rest, oneArm(x))
		}
	}
	t.r.numbers = append(main, rest...)
	return nil
}

// oneArm makes of a number's basis that of the arm its term names.
func oneArm(x found) found {
	b := release.Basis{Single: true, DF: math.Inf(1), Treated: x.basis.Treated, Events: &release.Arms{Treated: x.basis.Events.Treated}}
	if strings.HasSuffix(x.term, "group=control") {
		b.Treated, b.Events.Treated = x.basis.Control, x.basis.Events.Control
	}
	x.basis = b
	return x
}
