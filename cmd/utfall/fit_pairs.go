package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// fitPairs compares people pair by pair on outcomes in order of importance.
type fitPairs struct {
	f         *flagSet
	treatment string
	outcomes  []string
	horizon   float64
	cluster   string
	weights   fitWeights
}

func (m *fitPairs) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "1 = participant, 0 = comparison")
	f.list(&m.outcomes, "outcomes", "`COLUMN[:event=COLUMN][:threshold=X][:lower]`, most important first; with event the column is a time and event its 0 or 1; lower says that less, or earlier, is better")
	f.number(&m.horizon, "horizon", 0, "up to which times are compared; inf = for as long as anybody is followed")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "people with one value depend on each other, such as a matched set")
	f.need("treatment", "outcomes")
}

// pairOutcome is an element of --outcomes.
type pairOutcome struct {
	column, event string
	threshold     float64
	lower         bool
}

func (m *fitPairs) parsed() (out []pairOutcome, problems []string) {
	for _, text := range m.outcomes {
		parts := strings.Split(text, ":")
		o := pairOutcome{column: parts[0]}
		ok := o.column != ""
		for _, p := range parts[1:] {
			key, value, _ := strings.Cut(p, "=")
			switch {
			case p == "lower":
				o.lower = true
			case key == "event" && value != "" && o.event == "":
				o.event = value
			case key == "threshold":
				v, err := strconv.ParseFloat(value, 64)
				ok = ok && err == nil && v >= 0 && !math.IsInf(v, 0)
				o.threshold = v
			default:
				ok = false
			}
		}
		if !ok {
			problems = append(problems, fmt.Sprintf("--outcomes: %q is not COLUMN[:event=COLUMN][:threshold=X][:lower] with a threshold of at least 0", text))
			continue
		}
		out = append(out, o)
	}
	return out, problems
}

func (m *fitPairs) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	outcomes, _ := m.parsed()
	for _, o := range outcomes {
		c.apart("outcomes", o.column)
		c.add("outcomes", o.event)
	}
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitPairs) check() []string {
	outcomes, problems := m.parsed()
	times := false
	for _, o := range outcomes {
		times = times || o.event != ""
	}
	switch {
	case times && !(m.horizon > 0):
		problems = append(problems, "--horizon above 0 is needed where an outcome is a time: without one the answer hangs on how long people were followed (inf takes that)")
	case !times && m.f.given("horizon"):
		problems = append(problems, "--horizon goes with an outcome that is a time (event=COLUMN)")
	}
	if m.weights.kind == string(estimate.Frequency) {
		problems = append(problems, "--weight-kind frequency: pairs need one person a row")
	}
	return append(problems, m.weights.check(m.f)...)
}

func (m *fitPairs) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	s := &progress.PairSample{}
	s.Unit, s.Level = d.units, d.level
	var err error
	if s.Treated, err = d.binary(m.treatment); err != nil {
		return nil, err
	}
	outcomes, _ := m.parsed()
	for _, o := range outcomes {
		x := progress.Outcome{Name: o.column, Threshold: o.threshold, Lower: o.lower}
		if x.Value, err = d.numbers(o.column); err != nil {
			return nil, err
		}
		if o.event != "" {
			if x.Event, err = d.binary(o.event); err != nil {
				return nil, err
			}
			if i := d.first(func(i int) bool { return x.Value[i] < 0 }); i >= 0 {
				return nil, d.at(i, o.column, fmt.Errorf("a time below 0"))
			}
		}
		s.Outcomes = append(s.Outcomes, x)
	}
	if s.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if s.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	r, err := progress.PrioritisedPairs{Horizon: m.horizon, MinPerArm: 1, Workers: d.workers}.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	if math.IsInf(m.horizon, 1) || m.horizon == 0 {
		delete(r.Details, "horizon")
	}
	r.Notes = append(r.Notes, fewInArms(r.N)...)
	slices.SortStableFunc(r.Notes, func(a, b table.Note) int {
		return strings.Compare(a.Code+fmt.Sprint(a.Args), b.Code+fmt.Sprint(b.Args))
	})
	out := newFitOutput(r, "treated")
	t := fitTable{title: "Pairs by outcome, shares of all", header: []string{"outcome", "reached", "won", "lost", "undecided", "net benefit so far"}}
	levels, _ := r.Details["levels"].([]progress.OutcomeLevel)
	for _, l := range levels {
		t.rows = append(t.rows, []any{l.Outcome, l.Reached, l.Won, l.Lost, l.Undecided, l.Benefit})
	}
	out.tables = append(out.tables, t)
	return out, nil
}
