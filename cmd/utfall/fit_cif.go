package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// fitCIF is cumulative incidence of competing events.
type fitCIF struct {
	f       *flagSet
	times   fitTimes
	weights fitWeights
	cluster string
	at      []string
	ipcw    fitIPCW
}

func (m *fitCIF) flags(f *flagSet) {
	m.f = f
	m.times.flags(f, "groups")
	f.cmd.Flags().Lookup("event").Usage = "`column`: 0 = censored, every other value is a cause"
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "units of one value are not independent")
	f.list(&m.at, "at", "`times` to report (default: every event time)")
	m.ipcw.flags(f)
}

func (m *fitCIF) columns() fitColumns {
	c := m.times.columns()
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return m.ipcw.columns(c)
}

func (m *fitCIF) check() []string {
	_, problems := parseTimes("at", m.at)
	problems = append(problems, m.ipcw.check(m.times.entry, m.weights, len(m.at) > 0, "at")...)
	return append(problems, m.weights.check(m.f)...)
}

// causes numbers the values of the event column in byte order; 0 is none of them.
func (d *fitData) causes(name string) (cause []int, names []string, err error) {
	codes, levels, err := d.codes(name)
	if err != nil {
		return nil, nil, err
	}
	if !slices.Contains(levels, "0") { // a word for it would silently be one more cause
		d.note("nobody-censored", map[string]any{"column": name}, "No row has 0 in column %s, so that nobody counts as censored: every value is a cause.", name)
	}
	number := make([]int, len(levels))
	for l, s := range levels {
		if number[l] = survive.Censored; s != "0" {
			number[l] = len(names)
			names = append(names, s)
		}
	}
	cause = make([]int, len(codes))
	for i, c := range codes {
		cause[i] = number[c]
	}
	return cause, names, nil
}

func (m *fitCIF) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	times, err := m.times.read(d)
	if err != nil {
		return nil, err
	}
	f := &survive.Competing{Stratified: survive.Stratified{Times: times}}
	if f.Cause, f.CauseNames, err = d.causes(m.times.event); err != nil {
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
	at, _ := parseTimes("at", m.at)
	if m.ipcw.given() {
		return m.ipcw.fit(ctx, d, f, survive.IPCW{At: at, Workers: d.workers})
	}
	r, err := survive.CumulativeIncidence{At: at, Workers: d.workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	return out, m.gray(ctx, f, out)
}

// gray adds Gray's test where there are groups and it exists.
func (m *fitCIF) gray(ctx context.Context, f *survive.Competing, out *fitOutput) error {
	if len(f.GroupNames) < 2 {
		return nil
	}
	r, err := survive.GrayTest{}.Fit(ctx, f)
	switch {
	case err == nil:
		out.estimates = append(out.estimates, r.Estimates...)
		out.details["gray"], out.details["gray_vcov"] = r.Details["gray"], r.Details["vcov"]
		return nil
	case errors.Is(err, estimate.ErrWeights), errors.Is(err, estimate.ErrNotIdentified), errors.Is(err, estimate.ErrTooFew):
		why := strings.TrimPrefix(err.Error(), "gray: ")
		out.notes = append(out.notes, table.Note{Code: "gray-omitted", Text: "Gray's test is left out: " + why + ".", Args: map[string]any{"why": why}})
		return nil
	}
	return err
}
