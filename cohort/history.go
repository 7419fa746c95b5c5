package cohort

import (
	"errors"
	"fmt"
	"sort"

	"utfall/table"
)

// spell is a run of months in one state, to exclusive.
type spell struct {
	from, to Month
	state    int8
}

// endless is the end of a spell that goes on: later than any month that is asked for.
const endless = Month(1 << 30)

// histories holds each person's spells in time order.
type histories struct {
	states []string
	spells [][]spell
}

// readHistories groups spells by person. A month covered by two spells belongs to
// the one that started first, of two that started in one month to the state first in
// byte order (ingest rejects overlaps unless a priority was declared).
func readHistories(t *table.Table, person map[string]int, n int) (*histories, error) {
	ids, has, err := t.Text("person")
	if err != nil {
		return nil, err
	}
	state, err := t.Category("state")
	if err != nil {
		return nil, err
	}
	if len(state.Levels) > 100 {
		return nil, fmt.Errorf("column %q has %d states, at most 100 can be followed", "state", len(state.Levels))
	}
	from, err := t.Float("from")
	if err != nil {
		return nil, err
	}
	to, err := t.Float("to")
	if err != nil {
		return nil, err
	}
	// Levels are sorted so that codes do not depend on which state was read first.
	order := make([]int, len(state.Levels))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return state.Levels[order[i]] < state.Levels[order[j]] })
	recode := make([]int8, len(order))
	h := &histories{spells: make([][]spell, n)}
	for i, o := range order {
		recode[o] = int8(i)
		h.states = append(h.states, state.Levels[o])
	}
	count := make([]int, n)
	for i, id := range ids {
		if p, ok := person[id]; ok && (has == nil || has[i]) {
			count[p]++
		}
	}
	for i, id := range ids {
		p, ok := person[id]
		if !ok || (has != nil && !has[i]) || !state.Has(i) || !from.Has(i) {
			continue
		}
		if h.spells[p] == nil {
			h.spells[p] = make([]spell, 0, count[p])
		}
		s := spell{from: monthOnOrAfter(int32(from.Values[i])), to: endless, state: recode[state.Codes[i]]}
		if to.Has(i) {
			s.to = monthOnOrAfter(int32(to.Values[i]))
		}
		if s.to > s.from {
			h.spells[p] = append(h.spells[p], s)
		}
	}
	for p := range h.spells {
		s := h.spells[p]
		sort.Slice(s, func(i, j int) bool {
			if s[i].from != s[j].from {
				return s[i].from < s[j].from
			}
			// The end comes last: which state holds in a month must not hang on when a spell
			// will end.
			if s[i].state != s[j].state {
				return s[i].state < s[j].state
			}
			return s[i].to < s[j].to
		})
	}
	return h, nil
}

// monthOnOrAfter is the first month whose first day is not before the date: a state
// holds in a month if it holds on the month's first day.
func monthOnOrAfter(days int32) Month {
	m := MonthOfDays(days)
	if MonthOfDays(days-1) == m {
		m++
	}
	return m
}

// noEnd is a month in which no data end: dates from it on are marks.
const noEnd = Month(12 * 2200)

// lastMonth is the last month in which any spell with an end date was seen to go on:
// the end of the data, beyond which an open spell is not observed.
func lastMonth(t *table.Table) (Month, error) {
	from, err := t.Float("from")
	if err != nil {
		return 0, err
	}
	to, err := t.Float("to")
	if err != nil {
		return 0, err
	}
	last := Month(0)
	for i, v := range from.Values {
		if from.Has(i) {
			last = max(last, MonthOfDays(int32(v)))
		}
		if to.Has(i) {
			if MonthOfDays(int32(to.Values[i])) >= noEnd {
				return 0, errors.New("a spell ends after the year 2200: such a date stands for no end, and with it the data would seem to go on for ever; declare it under missing of the column to")
			}
			last = max(last, monthOnOrAfter(int32(to.Values[i]))-1)
		}
	}
	return last, nil
}

// past writes the months up to and including zero into buf, as many as it has room
// for, and returns it as the person's past.
func (h *histories) past(p int, zero Month, buf []int8) past {
	h.fill(p, zero+1-Month(len(buf)), zero+1, buf)
	return buf
}

// fill writes the states of months [from, to) of a person; the rest of out is not observed.
func (h *histories) fill(p int, from, to Month, out []int8) {
	for i := range out {
		out[i] = -1
	}
	for _, s := range h.spells[p] {
		for m := max(s.from, from); m < min(s.to, to); m++ {
			if k := int(m - from); out[k] < 0 {
				out[k] = s.state
			}
		}
	}
}
