package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/table"
)

// fitSequences describes people month by month: how they are sent about, and how varied their months are.
type fitSequences struct {
	f                  *flagSet
	months, authority  []string
	ladder             []string
	treatment, cluster string
	weights            fitWeights
	run, benefit       int
	at                 []string
	pingPong           int
	distances          fitDistances
}

func (m *fitSequences) flags(f *flagSet) {
	m.f = f
	f.list(&m.months, "months", "`columns` in the order of the months, each the state then; empty = not observed any more")
	f.list(&m.authority, "authority", "`STATE=NAME` for every state: who is responsible in it; NAME own (support of one's own), nobody, or left (death, emigration, pension) are no authorities")
	f.list(&m.ladder, "ladder", "`STATE=STEP` for every state: steps up and down beside the changes of authority")
	f.column(&m.treatment, "treatment", "1 = participant, 0 = comparison (default: one group)")
	f.whole(&m.pingPong, "ping-pong", 6, "months within which a return to the authority before counts")
	f.list(&m.at, "at", "`months` after the start by which people support themselves for good, and after an exit by which they are back")
	f.whole(&m.run, "run", 12, "months in a row that are for good")
	f.whole(&m.benefit, "benefit", 1, "months of them that may be without own support")
	m.weights.flags(f, "matching", "")
	m.distances.flags(f)
	f.column(&m.cluster, "cluster", "people with one value depend on each other, such as a matched set")
	f.need("id", "months")
}

func (m *fitSequences) columns() fitColumns {
	c := fitColumns{unique: true}
	for _, n := range m.months {
		c.put(fitColumn{flag: "months", name: n, missing: true, apart: true})
	}
	c.apart("treatment", m.treatment)
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitSequences) check() []string {
	_, problems := m.authorities()
	_, more := parseLadder(m.ladder)
	_, times := parseTimes("at", m.at)
	problems = append(append(problems, more...), times...)
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	for _, n := range []string{"ladder", "ping-pong", "at", "run", "benefit"} {
		if len(m.authority) == 0 && m.f.given(n) {
			bad("--%s goes with --authority", n)
		}
	}
	for _, n := range []string{"run", "benefit"} {
		if len(m.authority) > 0 && len(m.at) == 0 && m.f.given(n) {
			bad("--%s goes with --at", n)
		}
	}
	if len(m.months) < 2 {
		bad("--months needs two columns or more")
	}
	if m.pingPong < 1 || m.run < 1 || m.benefit < 0 || m.benefit >= m.run {
		bad("--ping-pong and --run are at least 1, --benefit at least 0 and below --run")
	}
	if m.weights.kind == string(estimate.Frequency) {
		bad("--weight-kind frequency: write one person a row")
	}
	problems = append(problems, m.distances.check(m.f, m.weights.column)...)
	return append(problems, m.weights.check(m.f)...)
}

func (m *fitSequences) authorities() (progress.Map, []string) {
	out := progress.Map{}
	var problems []string
	for _, s := range m.authority {
		state, name, ok := strings.Cut(s, "=")
		if _, twice := out[state]; !ok || state == "" || name == "" || twice {
			problems = append(problems, fmt.Sprintf("--authority: %q is not STATE=NAME, or names a state twice", s))
			continue
		}
		out[state] = progress.Authority(name)
		switch name {
		case "own":
			out[state] = progress.OwnSupport
		case "nobody":
			out[state] = progress.Nobody
		case "left":
			out[state] = progress.Left
		}
	}
	return out, problems
}

// frame reads the months; states are in byte order.
func (m *fitSequences) frame(d *fitData) (*progress.Months, error) {
	s := &progress.Months{Length: len(m.months)}
	s.Unit, s.Level = d.units, d.level
	const none = "\x00"
	text := make([][]string, len(m.months))
	number := map[string]int8{}
	for t, n := range m.months {
		var err error
		if text[t], err = d.text(n, none); err != nil {
			return nil, err
		}
		for _, v := range text[t] {
			if v != none {
				number[v] = 0
			}
		}
	}
	who, _ := m.authorities()
	for state := range who {
		number[state] = 0 // declared, so in the alphabet that entropy is measured by, also where nobody is in it
	}
	s.States = slices.Sorted(maps.Keys(number))
	if len(s.States) > 127 {
		return nil, usage("--months: %d states; at most 127", len(s.States))
	}
	for k, n := range s.States {
		number[n] = int8(k)
	}
	if err := m.declared(d, text, none); err != nil {
		return nil, err
	}
	for i := range d.units {
		for t := range m.months {
			c, ok := number[text[t][i]]
			if !ok {
				c = -1
			} else if t > 0 && text[t-1][i] == none {
				return nil, d.at(i, m.months[t], fmt.Errorf("a month is observed after one that is not: give the months between a state of their own"))
			}
			s.Code = append(s.Code, c)
		}
	}
	var err error
	if m.treatment != "" {
		if s.Treated, err = d.binary(m.treatment); err != nil {
			return nil, err
		}
	}
	if s.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		s.Cluster, _, err = d.codes(m.cluster)
	}
	return s, err
}

// declared names the first month in a state of which --authority or --ladder says nothing.
func (m *fitSequences) declared(d *fitData, text [][]string, none string) error {
	who, _ := m.authorities()
	ladder, _ := parseLadder(m.ladder)
	for t, n := range m.months {
		lacks := func(known bool, v string) bool { return !known && v != none }
		if i := d.first(func(i int) bool { _, ok := who[text[t][i]]; return lacks(ok, text[t][i]) }); i >= 0 && len(who) > 0 {
			return d.at(i, n, fmt.Errorf("a state that --authority says nothing about; add STATE=NAME for it (it names %s)", strings.Join(slices.Sorted(maps.Keys(who)), ", ")))
		}
		if i := d.first(func(i int) bool { _, ok := ladder[text[t][i]]; return lacks(ok, text[t][i]) }); i >= 0 && len(ladder) > 0 {
			return d.at(i, n, fmt.Errorf("a state that --ladder gives no step; add STATE=STEP for it (it has one for %s)", strings.Join(slices.Sorted(maps.Keys(ladder)), ", ")))
		}
	}
	return nil
}

func (m *fitSequences) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	s, err := m.frame(d)
	if err != nil {
		return nil, err
	}
	rows, err := progress.DescribeSequences(s)
	if err != nil {
		return nil, err
	}
	n := estimate.Counts{Units: len(s.Unit)}
	for _, t := range s.Treated {
		if t {
			n.Treated++
		}
	}
	out := newFitOutput(&estimate.Result{Method: "sequences", N: n, Details: map[string]any{}})
	if m.treatment != "" {
		out.addNotes(fewInArms(n))
	}
	m.describe(out, rows)
	if m.distances.metric != "" {
		if err := m.distances.add(s, d.workers, out); err != nil {
			return nil, err
		}
	}
	if len(m.authority) == 0 {
		return out, nil
	}
	who, _ := m.authorities()
	e := progress.Bouncing{Authority: who, PingPong: m.pingPong, MinPerArm: 1, Workers: d.workers}
	if len(m.ladder) > 0 {
		e.Ladder, _ = parseLadder(m.ladder)
		out.addNotes(onlyOccurring(e.Ladder, s.States))
		step := slices.Min(slices.Collect(maps.Values(e.Ladder)))
		for _, state := range s.States { // declared by --authority alone: nobody is in it, so that its step moves nobody
			if _, ok := e.Ladder[state]; !ok {
				e.Ladder[state] = step
			}
		}
	}
	r, err := e.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	out.estimates = append(out.estimates, r.Estimates...)
	out.details["events"], out.details["months"], out.details["vcov"] = r.Details["events"], r.Details["months"], r.Details["vcov"]
	out.addNotes(r.Notes)
	at, _ := parseTimes("at", m.at)
	if len(at) == 0 {
		return out, nil
	}
	for _, x := range []struct {
		name  string
		cause string
		fit   func() (*estimate.Result, error)
	}{
		{"stable-exit", "stable", func() (*estimate.Result, error) {
			return progress.StableExit{Authority: who, Run: m.run, Benefit: m.benefit, At: at, MinPerArm: 1, Workers: d.workers}.Fit(ctx, s)
		}},
		{"return", "return", func() (*estimate.Result, error) {
			return progress.Return{Authority: who, At: at, MinPerArm: 1, Workers: d.workers}.Fit(ctx, s)
		}},
	} {
		r, err := x.fit()
		if errors.Is(err, estimate.ErrTooFew) {
			out.withoutExits(x.name, x.cause, at, m.treatment != "", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range r.Estimates {
			e.Term = x.name + "," + e.Term
			out.estimates = append(out.estimates, e)
		}
		out.details[x.name] = r.Details["counts"]
		out.addNotes(r.Notes)
	}
	return out, nil
}

// nullEstimate is a number that does not exist.
func nullEstimate(term string, m estimate.Measure) estimate.Estimate {
	nan := math.NaN()
	return estimate.Estimate{Term: term, Measure: m, Value: nan, SE: nan, CI: estimate.Interval{Lo: nan, Hi: nan}, Test: estimate.Test{Stat: nan, DF: nan, P: nan}}
}

// withoutExits leaves the numbers that need exits null, and says why; the others stand.
func (o *fitOutput) withoutExits(name, cause string, at []float64, groups bool, err error) {
	for _, t := range at {
		term := fmt.Sprintf("%s,time=%s,cause=%s", name, survive.FormatTime(t), cause)
		if !groups {
			o.estimates = append(o.estimates, nullEstimate(term, survive.CumulativeIncidenceMeasure))
			continue
		}
		for _, g := range []string{",group=0", ",group=1"} {
			o.estimates = append(o.estimates, nullEstimate(term+g, survive.CumulativeIncidenceMeasure))
		}
		o.estimates = append(o.estimates, nullEstimate(term+",difference", estimate.RiskDifference))
	}
	o.notes = append(o.notes, table.Note{Code: "few-exits", Text: err.Error() + ". The numbers that need exits are null.", Args: map[string]any{"of": name}})
}

// describe adds means over people of the descriptions that have no direction.
func (m *fitSequences) describe(out *fitOutput, rows []progress.SequenceRow) {
	t := fitTable{title: "Months in a row, mean over people", header: []string{"measure", "people", "mean", "least", "largest"}}
	means := map[string]any{}
	for _, x := range []struct {
		name string
		of   func(progress.SequenceRow) float64
	}{
		{"transitions", func(r progress.SequenceRow) float64 { return float64(r.Transitions) }},
		{"entropy", func(r progress.SequenceRow) float64 { return r.Entropy }},
		{"turbulence", func(r progress.SequenceRow) float64 { return r.Turbulence }},
		{"complexity", func(r progress.SequenceRow) float64 { return r.Complexity }},
	} {
		sum, n, least, largest := 0.0, 0, math.Inf(1), math.Inf(-1)
		for _, r := range rows {
			if v := x.of(r); !math.IsNaN(v) && r.Months > 0 {
				sum, n, least, largest = sum+v, n+1, min(least, v), max(largest, v)
			}
		}
		if n == 0 {
			continue
		}
		means[x.name] = map[string]float64{"people": float64(n), "mean": sum / float64(n), "least": least, "largest": largest}
		t.rows = append(t.rows, []any{x.name, n, sum / float64(n), least, largest})
	}
	out.details["sequences"] = means
	out.tables = append(out.tables, t)
	out.notes = append(out.notes, table.Note{Code: "sequences-no-direction", Text: "Entropy, turbulence and complexity have no direction: who climbs and who falls score the same, and who is parked scores least."})
}
