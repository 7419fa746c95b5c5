package main

import (
	"context"

	"utfall/estimate/survive"
)

// fitTimes are the flags of methods that read one row a unit with the time to an event.
type fitTimes struct {
	time, event, entry, by string
}

func (m *fitTimes) flags(f *flagSet, by string) {
	f.column(&m.time, "time", "time to the event or to the end of observation")
	f.column(&m.event, "event", "1 = event, 0 = censored")
	f.column(&m.entry, "entry", "time from which the unit is observed")
	if by != "" {
		f.column(&m.by, "by", by)
	}
	f.need("time", "event")
}

func (m *fitTimes) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("time", m.time)
	c.apart("event", m.event)
	c.apart("entry", m.entry)
	c.add("by", m.by)
	return c
}

// read reads all but the event, which is not of one kind everywhere.
func (m *fitTimes) read(d *fitData) (survive.Times, error) {
	f := survive.Times{Unit: d.units, Level: d.level}
	var err error
	if f.Time, err = d.numbers(m.time); err != nil {
		return f, err
	}
	if m.entry != "" {
		if f.Entry, err = d.numbers(m.entry); err != nil {
			return f, err
		}
	}
	if m.by != "" {
		f.Group, f.GroupNames, err = d.codes(m.by)
	}
	return f, err
}

// fitLogRank is tests of equal hazards.
type fitLogRank struct {
	times   fitTimes
	f       *flagSet
	strata  []string
	weights fitWeights
	cluster string
	rho     float64
}

func (m *fitLogRank) flags(f *flagSet) {
	m.f = f
	m.times.flags(f, "groups to compare")
	f.list(&m.strata, "strata", "`columns`: compare within each combination of their values")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "units of one value are not independent")
	f.number(&m.rho, "rho", 0, "power of the survival curve that weights the times: 0 = log-rank, 1 = Peto and Peto")
	f.need("by")
}

func (m *fitLogRank) columns() fitColumns {
	c := m.times.columns()
	for _, s := range m.strata {
		c.add("strata", s)
	}
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitLogRank) check() []string {
	problems := m.weights.check(m.f)
	if !(m.rho >= 0) || !finite(m.rho) {
		problems = append(problems, "--rho must be a finite number of at least 0")
	}
	return problems
}

func (m *fitLogRank) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	times, err := m.times.read(d)
	if err != nil {
		return nil, err
	}
	f := &survive.Stratified{Times: times}
	if f.Event, err = d.binary(m.times.event); err != nil {
		return nil, err
	}
	if f.Stratum, err = d.strata(m.strata); err != nil {
		return nil, err
	}
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if f.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	r, err := survive.LogRank{Rho: m.rho, Workers: d.workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	if groups, ok := r.Details["groups"].([]survive.LogRankGroup); ok {
		t := fitTable{title: "Events by group", header: []string{"group", "units", "events", "observed", "expected"}}
		for _, g := range groups {
			t.rows = append(t.rows, []any{g.Group, g.Units, g.Events, g.Observed, g.Expected})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}

// strata numbers the combinations of the values of columns; nil without columns.
func (d *fitData) strata(columns []string) ([]int, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	out := make([]int, d.t.Rows())
	for _, name := range columns {
		codes, _, err := d.codes(name)
		if err != nil {
			return nil, err
		}
		// Renumbered after each column: the numbers stay below the number of rows.
		number := map[[2]int]int{}
		for i, c := range codes {
			key := [2]int{out[i], c}
			if _, ok := number[key]; !ok {
				number[key] = len(number)
			}
			out[i] = number[key]
		}
	}
	return out, nil
}
