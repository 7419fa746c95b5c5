package main

import (
	"context"

	"utfall/estimate/survive"
)

// fitRMST is mean times up to a horizon.
type fitRMST struct {
	f       *flagSet
	times   fitTimes
	weights fitWeights
	cluster string
	tau     float64
	ipcw    fitIPCW
}

func (m *fitRMST) flags(f *flagSet) {
	m.f = f
	m.times.flags(f, "groups; each is compared with the first in byte order")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "units of one value are not independent")
	f.number(&m.tau, "tau", 0, "horizon (default: the longest that all groups allow)")
	m.ipcw.flags(f)
}

func (m *fitRMST) columns() fitColumns {
	c := m.times.columns()
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return m.ipcw.columns(c)
}

func (m *fitRMST) check() []string {
	problems := append(m.weights.check(m.f), m.ipcw.check(m.times.entry, m.weights, m.f.given("tau"), "tau")...)
	if m.f.given("tau") && (!(m.tau > 0) || !finite(m.tau)) {
		problems = append(problems, "--tau must be a finite number above 0")
	}
	return problems
}

func (m *fitRMST) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f, err := m.times.read(d)
	if err != nil {
		return nil, err
	}
	if f.Event, err = d.binary(m.times.event); err != nil {
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
	if m.ipcw.given() {
		return m.ipcw.fit(ctx, d, oneCause(&f), survive.IPCW{Tau: m.tau, Workers: d.workers})
	}
	r, err := survive.RMST{Tau: m.tau, Workers: d.workers}.Fit(ctx, &f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r, "events"), nil
}
