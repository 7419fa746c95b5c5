package main

import (
	"context"

	"utfall/estimate"
	"utfall/estimate/survive"
)

// fitIPCW are the flags of methods that can take in who is censored.
type fitIPCW struct{ covariates []string }

func (m *fitIPCW) flags(f *flagSet) {
	f.list(&m.covariates, "censoring-covariates", "`columns` that censoring hangs on: weights by a Cox model of the time to censoring, with its error")
}

func (m *fitIPCW) given() bool { return len(m.covariates) > 0 }

func (m *fitIPCW) columns(c fitColumns) fitColumns {
	c.apart("censoring-covariates", m.covariates...)
	return c
}

// check says what does not go with the weights; asked is whether the flag that says where was given.
func (m *fitIPCW) check(entry string, w fitWeights, asked bool, flag string) (problems []string) {
	if !m.given() {
		return nil
	}
	if entry != "" {
		problems = append(problems, "--censoring-covariates does not use --entry: everybody must be observed from time 0")
	}
	if w.column != "" && w.kind == string(estimate.Frequency) {
		problems = append(problems, "--censoring-covariates uses sampling or matching weights; write one unit a row instead of frequencies")
	}
	if !asked {
		problems = append(problems, "--censoring-covariates needs --"+flag)
	}
	return problems
}

func (m *fitIPCW) fit(ctx context.Context, d *fitData, f *survive.Competing, e survive.IPCW) (*fitOutput, error) {
	c := &survive.CompetingCovaried{Competing: *f}
	var err error
	if c.X, c.XNames, err = d.design(m.covariates); err != nil {
		return nil, err
	}
	r, err := e.Fit(ctx, c)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r, "events"), nil
}

// oneCause makes competing events of events of one kind.
func oneCause(f *survive.Times) *survive.Competing {
	c := &survive.Competing{Stratified: survive.Stratified{Times: *f}, CauseNames: []string{"event"}}
	c.Event = nil
	for _, e := range f.Event {
		cause := survive.Censored
		if e {
			cause = 0
		}
		c.Cause = append(c.Cause, cause)
	}
	return c
}
