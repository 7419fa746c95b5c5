package cohort

import (
	"fmt"
	"math"
	"sort"

	"utfall/table"
)

// Rules of [Timing.Participation]: which start of a person who takes part several
// times is a time zero, and who is at risk of one.
const (
	FirstParticipation   = "first"   // the first in the data; afterwards nobody is at risk
	EachParticipation    = "each"    // every start while no participation goes on
	WashoutParticipation = "washout" // every start after Timing.Washout months without participation
)

// span is a participation: months [from, to), to endless while it goes on.
type span struct{ from, to Month }

// participations holds each person's participations in order, with the rule that says
// which starts count.
type participations struct {
	spans   [][]span
	rule    string
	washout Month
}

// readParticipations groups participations by person. Without the column end, or
// without a value in it, a participation goes on. A record that is there twice counts once.
func readParticipations(t *table.Table, person map[string]int, n int, timing Timing) (*participations, error) {
	out := &participations{spans: make([][]span, n), rule: timing.participation(), washout: Month(timing.Washout)}
	ids, has, err := t.Text("person")
	if err != nil {
		return nil, err
	}
	start, err := t.Float("start")
	if err != nil {
		return nil, err
	}
	end := table.Floats{}
	if out.rule != FirstParticipation {
		if !t.Has("end") {
			return nil, fmt.Errorf("%w: participation: %s needs the column %q: when a participation ends", ErrOption, out.rule, "end")
		}
		if end, err = t.Float("end"); err != nil {
			return nil, err
		}
	}
	type record struct {
		person     int
		start, end float64
	}
	read := map[record]bool{}
	for i, id := range ids {
		p, known := person[id]
		if (has != nil && !has[i]) || !known || !start.Has(i) {
			continue
		}
		s := span{MonthOfDays(int32(start.Values[i])), endless}
		r := record{p, start.Values[i], math.Inf(1)}
		if end.Values != nil && end.Has(i) {
			s.to = max(monthOnOrAfter(int32(end.Values[i])), s.from+1)
			r.end = end.Values[i]
		}
		if read[r] {
			continue
		}
		read[r] = true
		s.from += Month(timing.Shift)
		if s.to != endless {
			s.to += Month(timing.Shift)
		}
		out.spans[p] = append(out.spans[p], s)
	}
	for _, s := range out.spans {
		sort.Slice(s, func(i, j int) bool { return s[i].from < s[j].from || s[i].from == s[j].from && s[i].to < s[j].to })
	}
	return out, nil
}

// ready says whether a person could start in month m: what began before m does not
// stand in the way. It reads nothing that began in m or later, and of an end only
// whether it was before m (before m less the washout).
func (p *participations) ready(person int, m Month) bool {
	for _, s := range p.spans[person] {
		if s.from >= m {
			break
		}
		if p.rule == FirstParticipation || s.to > m-p.washout {
			return false
		}
	}
	return true
}

// starts says whether a person starts in month m.
func (p *participations) starts(person int, m Month) bool {
	s := p.spans[person]
	i := sort.Search(len(s), func(i int) bool { return s[i].from >= m })
	return i < len(s) && s[i].from == m
}

// zeros lists the months in [from, to] in which a start of the person counts.
func (p *participations) zeros(person int, from, to Month) []Month {
	var out []Month
	for i, s := range p.spans[person] {
		if s.from < from || s.from > to || i > 0 && p.spans[person][i-1].from == s.from || !p.ready(person, s.from) {
			continue
		}
		out = append(out, s.from)
	}
	return out
}

// next is the month of the first start at or after m, false if there is none.
func (p *participations) next(person int, m Month) (Month, bool) {
	s := p.spans[person]
	i := sort.Search(len(s), func(i int) bool { return s[i].from >= m })
	if i == len(s) {
		return 0, false
	}
	return s[i].from, true
}

// what says in words which starts count.
func (p *participations) what() string {
	switch p.rule {
	case EachParticipation:
		return "participation that starts while no other goes on"
	case WashoutParticipation:
		return fmt.Sprintf("participation that starts after %d months without", p.washout)
	}
	return "first participation"
}

// free says in words who is at risk of a start.
func (p *participations) free() string {
	switch p.rule {
	case EachParticipation:
		return "no participation going on"
	case WashoutParticipation:
		return fmt.Sprintf("no participation in the %d months before", p.washout)
	}
	return "no participation before it"
}
