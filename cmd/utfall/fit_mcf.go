package main

import (
	"context"
	"fmt"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// fitMCF is the mean number of repeated events.
type fitMCF struct {
	f                      *flagSet
	time, event, start, by string
	terminal, ties         string
	at                     []string
	weights                fitWeights
}

func (m *fitMCF) flags(f *flagSet) {
	m.f = f
	f.column(&m.time, "time", "time at which the event happens or observation ends; everybody's clock starts at 0")
	f.column(&m.event, "event", "1 = event, 0 or empty = none at the end of this row")
	f.column(&m.start, "start", "time from which the row is at risk (default: where the person's row before ended)")
	f.column(&m.by, "by", "groups of persons")
	f.text(&m.terminal, "terminal", "", "`value` of --event after which no event can come, such as death")
	f.list(&m.at, "at", "`times` of the mean counts")
	f.text(&m.ties, "ties", "efron", "of the rate ratio: efron or breslow")
	m.weights.flags(f, "sampling", "")
	f.need("id", "time", "event", "at")
}

func (m *fitMCF) columns() fitColumns {
	c := fitColumns{}
	c.apart("time", m.time)
	c.put(fitColumn{flag: "event", name: m.event, missing: true, apart: true})
	c.apart("start", m.start)
	c.add("by", m.by)
	c.add("weights", m.weights.column)
	return c
}

func (m *fitMCF) check() []string {
	at, problems := parseTimes("at", m.at)
	for _, t := range at {
		if t == 0 {
			problems = append(problems, "--at: at time 0 nothing has happened yet")
		}
	}
	if m.terminal == "0" || m.terminal == "1" {
		problems = append(problems, "--terminal names a value of --event other than 0 and 1")
	}
	if m.weights.kind == string(estimate.Frequency) {
		problems = append(problems, "--weight-kind frequency is not used here: write one person for each copy")
	}
	return append(append(problems, m.weights.check(m.f)...), oneOf("ties", m.ties, "efron", "breslow")...)
}

func (m *fitMCF) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	r := &progress.Recurrent{Person: d.units, Level: d.level}
	var err error
	if r.Time, err = d.numbers(m.time); err != nil {
		return nil, err
	}
	if m.start != "" {
		if r.Start, err = d.numbers(m.start); err != nil {
			return nil, err
		}
	}
	if r.Event, err = m.occurrences(d); err != nil {
		return nil, err
	}
	if m.by != "" {
		if r.Group, r.GroupNames, err = d.codes(m.by); err != nil {
			return nil, err
		}
	}
	if r.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	at, _ := parseTimes("at", m.at)
	res, err := progress.MeanCumulative{At: at, Ties: m.ties, Workers: d.workers}.Fit(ctx, r)
	if err != nil {
		return nil, err
	}
	t := fitTable{title: "Groups", header: []string{"group", "persons", "events", "terminal", "exposure", "rate"}}
	if groups, ok := res.Details["groups"].([]progress.EventGroup); ok {
		for _, g := range groups {
			t.rows = append(t.rows, []any{g.Group, g.Persons, g.Events, g.Terminal, g.Exposure, g.Rate})
			if g.Persons < fewPersons {
				res.Notes = append(res.Notes, table.Note{Code: "few-persons", Args: map[string]any{"group": g.Group, "persons": g.Persons},
					Text: fmt.Sprintf("A group has %d persons, fewer than %d: its intervals are not to be trusted.", g.Persons, fewPersons)})
			}
		}
	}
	out := newFitOutput(res, "events")
	out.tables = append(out.tables, t)
	return out, nil
}

// occurrences reads the column of events; every value must be known.
func (m *fitMCF) occurrences(d *fitData) ([]progress.Occurrence, error) {
	const none = "0"
	values, err := d.text(m.event, none)
	if err != nil {
		return nil, err
	}
	known := map[string]progress.Occurrence{none: progress.Ends, "false": progress.Ends, "1": progress.Happens, "true": progress.Happens}
	says := "0 and 1"
	if m.terminal != "" {
		known[m.terminal] = progress.Terminal
		says = "0, 1 and " + m.terminal
	}
	if i := d.first(func(i int) bool {
		_, ok := known[strings.ToLower(values[i])]
		_, exact := known[values[i]]
		return !ok && !exact
	}); i >= 0 {
		return nil, d.at(i, m.event, fmt.Errorf("a value other than %s; --terminal names the one that ends a life history", says))
	}
	out := make([]progress.Occurrence, len(values))
	terminal := 0
	for i, v := range values {
		what, ok := known[v]
		if !ok {
			what = known[strings.ToLower(v)]
		}
		if out[i] = what; what == progress.Terminal {
			terminal++
		}
	}
	if m.terminal != "" && terminal == 0 {
		return nil, usage("--terminal: no row of %q has that value, so that nothing would be different", m.event)
	}
	return out, nil
}
