package main

import (
	"context"
	"fmt"
	"strings"

	"utfall/estimate/survive"
)

// fitPanelMarkov are the flags of states for states that are seen at visits only.
type fitPanelMarkov struct {
	observed    bool
	state, time string
	death       string
	transitions []string
}

func (p *fitPanelMarkov) flags(f *flagSet) {
	f.yes(&p.observed, "panel-observed", false, "states are seen at visits only: a Markov model in continuous time, from rows of two visits (--from --to --start --stop) or of one (--state --time)")
	f.column(&p.state, "state", "with --panel-observed: state that is seen at --time")
	f.column(&p.time, "time", "with --panel-observed: time of the visit")
	f.text(&p.death, "exact-death", "", "with --panel-observed: `state` whose time of entry is known exactly, such as death")
	f.list(&p.transitions, "transitions", "with --panel-observed: `FROM:TO` for every move that can happen at once (default: every pair seen at two visits in a row)")
}

// visits says that a row is one visit.
func (p *fitPanelMarkov) visits() bool { return p.observed && (p.state != "" || p.time != "") }

// checkPanel lists what is wrong with the flags of states as far as they go with the kind of rows.
func (m *fitStates) checkPanel() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	p := &m.panel
	needed := []string{"from", "to", "start", "stop"}
	if p.visits() {
		for _, n := range needed {
			if m.f.given(n) {
				bad("--%s goes with rows of two visits, --state and --time with rows of one", n)
			}
		}
		needed = []string{"state", "time"}
	}
	for _, n := range needed {
		switch {
		case !m.f.given(n):
			bad("--%s is needed", n)
		case m.f.cmd.Flags().Lookup(n).Value.String() == "":
			bad("--%s is empty", n)
		}
	}
	if !p.observed {
		for _, n := range []string{"state", "time", "exact-death", "transitions"} {
			if m.f.given(n) {
				bad("--%s goes with --panel-observed", n)
			}
		}
		return problems
	}
	for _, n := range append([]string{"by", "ladder", "participants", "administrative"}, m.after.names()...) {
		if m.f.given(n) {
			bad("--panel-observed does not use --%s; --where limits the data to a group", n)
		}
	}
	at, _ := parseTimes("at", m.at)
	for _, t := range at {
		if t == 0 {
			bad("--at: at time 0 nobody has moved yet")
		}
	}
	_, more := p.pairs()
	return append(problems, more...)
}

func (p *fitPanelMarkov) pairs() (out [][2]string, problems []string) {
	for _, s := range p.transitions {
		from, to, ok := strings.Cut(s, ":")
		if !ok || from == "" || to == "" || from == to || strings.Contains(to, ":") {
			problems = append(problems, fmt.Sprintf("--transitions: %q is not FROM:TO of two states", s))
			continue
		}
		for _, have := range out {
			if have == [2]string{from, to} {
				problems = append(problems, fmt.Sprintf("--transitions names %q twice", s))
			}
		}
		out = append(out, [2]string{from, to})
	}
	return out, problems
}

func (m *fitStates) fitPanel(ctx context.Context, d *fitData) (*fitOutput, error) {
	p, err := m.intervals(d)
	if err != nil {
		return nil, err
	}
	at, _ := parseTimes("at", m.at)
	pairs, _ := m.panel.pairs()
	r, err := survive.PanelMarkov{Transitions: pairs, ExactDeath: m.panel.death, At: at, Tau: m.tau, Workers: d.workers}.Fit(ctx, p)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	if moves, ok := r.Details["transitions"].([]survive.Transition); ok {
		out.addNotes(fewTransitions(moves))
		t := fitTable{title: "Transitions, and how often the states are seen one after the other", header: []string{"from", "to", "count"}}
		for _, x := range moves {
			t.rows = append(t.rows, []any{x.From, x.To, x.Count})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}

func (m *fitStates) intervals(d *fitData) (*survive.PanelIntervals, error) {
	if m.panel.visits() {
		state, err := d.text(m.panel.state, "")
		if err != nil {
			return nil, err
		}
		time, err := d.numbers(m.panel.time)
		if err != nil {
			return nil, err
		}
		return survive.PanelVisits(d.units, state, time, d.level)
	}
	p := &survive.PanelIntervals{Person: d.units, Level: d.level}
	var err error
	if p.From, err = d.text(m.from, ""); err != nil {
		return nil, err
	}
	if p.To, err = d.text(m.to, survivorEnd); err != nil {
		return nil, err
	}
	if p.Start, err = d.numbers(m.start); err != nil {
		return nil, err
	}
	p.Stop, err = d.numbers(m.stop)
	return p, err
}
