package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// events finds for each unit the months, from 1 on, in which what is counted happens, and the month in which it reaches a
// terminal state (−1: it does not).
func (q *Recurrent) events(s *state, b *built) (months [][]int, ends []int, err error) {
	p := b.paths
	if q.Ladder != "" {
		who, err := s.ladders[q.Ladder].authority(p.States, q.SelfSupport)
		if err != nil {
			return nil, nil, err
		}
		m, err := s.monthsOf(b)
		if err != nil {
			return nil, nil, err
		}
		return progress.AuthorityChanges(m, who)
	}
	part := make([]int, len(p.States)) // 1 counted, 2 terminal
	for i, names := range [][]string{q.States, q.Terminal} {
		for _, name := range names {
			k := slices.Index(p.States, name)
			if k < 0 {
				return nil, nil, fmt.Errorf("%w: recurrent: no spell has the state %q", ErrSpec, name)
			}
			part[k] = 1 + i
		}
	}
	n := b.table.Rows()
	months, ends = make([][]int, n), make([]int, n)
	for u := range n {
		ends[u] = -1
		for m := 0; m < p.After && p.At(u, m) >= 0; m++ {
			now := part[p.At(u, m)]
			if now == 2 {
				ends[u] = m
				break
			}
			if now == 1 && m > 0 && part[p.At(u, m-1)] != 1 {
				months[u] = append(months[u], m)
			}
		}
	}
	return months, ends, nil
}

// monthsOf are the units of a cohort month by month, from time zero on.
func (s *state) monthsOf(b *built) (*progress.Months, error) {
	u, err := newProgressUnits(b)
	if err != nil {
		return nil, err
	}
	return s.firstMonths(u, b.paths.After), nil
}

// recurrentRun answers one recurrent analysis.
type recurrentRun struct {
	s      *state
	q      *Recurrent
	b      *built
	u      *progressUnits
	months [][]int
	rows   *progress.Recurrent
	sizes  release.Arms // of those who are followed
	r      analysisResult
}

func (s *state) recurrent(a *Analysis) (analysisResult, error) {
	q, b := a.Recurrent, s.cohorts[a.Recurrent.Cohort]
	t := &recurrentRun{s: s, q: q, b: b, r: analysisResult{method: "recurrent", kind: "association", notes: slices.Clone(b.notes)}}
	if b.designed() {
		t.r.kind = "effect"
	}
	var err error
	if t.u, err = newProgressUnits(b); err != nil {
		return t.r, err
	}
	if err := t.read(); err != nil {
		return t.r, err
	}
	for _, step := range []func() error{t.numbers, t.curves} {
		err := step()
		if why, ok := refusable(err); ok {
			t.r.numbers = []found{refuse("time="+strconv.Itoa(slices.Max(q.At)), progress.MeanCountDifference, why.why, why.fix)}
			return t.r, nil
		}
		if err != nil {
			return t.r, err
		}
	}
	return t.r, nil
}

// read makes the rows: whoever is last seen in month m is followed half a month longer (METHODS.md, 2).
func (t *recurrentRun) read() error {
	months, ends, err := t.q.events(t.s, t.b)
	if err != nil {
		return err
	}
	t.months = months
	r := &progress.Recurrent{GroupNames: []string{"control", "treated"}, Level: t.s.spec.Level}
	if t.b.weight != nil {
		r.Weight.Kind = estimate.Matching
	}
	gone := 0
	for i, id := range t.u.id {
		last := -1
		for last+1 < t.b.paths.After && t.b.paths.At(i, last+1) >= 0 {
			last++
		}
		if last < 0 || ends[i] == 0 {
			gone++
			continue
		}
		group := 0
		if t.b.treated[i] {
			group = 1
			t.sizes.Treated++
		} else {
			t.sizes.Control++
		}
		add := func(time float64, what progress.Occurrence) {
			r.Person, r.Time, r.Event, r.Group = append(r.Person, id), append(r.Time, time), append(r.Event, what), append(r.Group, group)
			if t.b.weight != nil {
				r.Weight.Values = append(r.Weight.Values, t.b.weight[i])
			}
			if t.b.cluster != nil {
				r.Cluster = append(r.Cluster, t.b.cluster[i])
			}
		}
		for _, m := range months[i] {
			add(float64(m), progress.Happens)
		}
		if ends[i] > 0 {
			add(float64(ends[i]), progress.Terminal)
		} else {
			add(float64(last)+0.5, progress.Ends)
		}
	}
	if gone > 0 {
		t.r.notes = append(t.r.notes, table.Note{Code: "not-followed", Args: map[string]any{"rows": gone},
			Text: fmt.Sprintf("%d rows take no part: nobody saw them in the first month, or nothing could be counted for them any more by then.", gone)})
	}
	t.rows = r
	return nil
}

// had counts the units of each arm with an event after month from, up to month to.
func (t *recurrentRun) had(from, to int) (n release.Arms) {
	for i, months := range t.months {
		if !slices.ContainsFunc(months, func(m int) bool { return m > from && m <= to }) {
			continue
		}
		if t.b.treated[i] {
			n.Treated++
		} else {
			n.Control++
		}
	}
	return n
}

func (t *recurrentRun) numbers() error {
	asked := slices.Sorted(slices.Values(t.q.At))
	at := make([]float64, len(asked))
	before := map[string]int{}
	for k, m := range asked {
		at[k] = float64(m)
		if k > 0 {
			before[strconv.Itoa(m)] = asked[k-1]
		}
	}
	res, err := progress.MeanCumulative{At: at, Workers: t.s.o.Workers}.Fit(t.s.ctx, t.rows)
	if err != nil {
		return err
	}
	t.r.notes = append(t.r.notes, res.Notes...)
	all, last := t.sizes, strconv.Itoa(asked[len(asked)-1])
	var main, rest []found
	for _, e := range res.Estimates {
		time := termParts(e.Term)["time"]
		n := t.had(0, t.b.paths.After)
		if time != "" {
			m, err := strconv.Atoi(time)
			if err != nil {
				return err
			}
			// What lies between two months can be worked out from their numbers, so it counts for itself.
			n = t.had(before[time], m)
			e.Term, _, _ = strings.Cut(e.Term, ",contrast=")
		} else {
			e.Term = "treated"
		}
		x := found{term: e.Term, e: e, basis: release.Basis{Treated: all.Treated, Control: all.Control, DF: math.Inf(1), Events: &n}}
		switch {
		case e.Measure == progress.MeanCount:
			x = oneArm(x)
			x.kind = "description"
			rest = append(rest, x)
		case time == last && e.Measure == progress.MeanCountDifference:
			main = append([]found{x}, main...)
		case time == last || time == "":
			main = append(main, x)
		default:
			rest = append(rest, x)
		}
	}
	t.r.numbers = append(main, rest...)
	return nil
}

// curves are the mean counts month by month, for the figure.
func (t *recurrentRun) curves() error {
	end := slices.Max(t.q.At)
	var at []float64
	for m := range end {
		at = append(at, float64(m+1))
	}
	res, err := progress.MeanCumulative{At: at, Workers: t.s.o.Workers}.Fit(t.s.ctx, t.rows)
	if err != nil {
		return err
	}
	own := &timeToCurves{}
	for g, name := range t.rows.GroupNames {
		c := timeToCurve{group: name, people: []int{t.sizes.Control, t.sizes.Treated}[g], value: []float64{0}, lo: []float64{0}, hi: []float64{0}}
		for m := range end + 1 {
			n := t.had(0, m)
			c.events = append(c.events, []int{n.Control, n.Treated}[g])
		}
		own.arms = append(own.arms, c)
	}
	for _, e := range res.Estimates {
		if e.Measure != progress.MeanCount || math.IsNaN(e.Value) {
			continue
		}
		c := &own.arms[slices.Index(t.rows.GroupNames, termParts(e.Term)["group"])]
		lo, hi := e.CI.Lo, e.CI.Hi
		if !(e.SE > 0) {
			lo, hi = e.Value, e.Value
		}
		c.value, c.lo, c.hi = append(c.value, e.Value), append(c.lo, lo), append(c.hi, hi)
	}
	t.r.own = own
	return nil
}
