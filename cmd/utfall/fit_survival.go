package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/table"
)

// fitKM is survival curves.
type fitKM struct {
	f                      *flagSet
	time, event, entry, by string
	weights                fitWeights
	conf, cluster          string
	at                     []string
	ipcw                   fitIPCW
}

func (m *fitKM) flags(f *flagSet) {
	m.f = f
	f.column(&m.time, "time", "time to the event or to the end of observation")
	f.column(&m.event, "event", "1 = event, 0 = censored")
	f.column(&m.entry, "entry", "time from which the unit is observed")
	f.column(&m.by, "by", "one curve for each of its values")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "units of one value are not independent")
	f.text(&m.conf, "conf", "log", "scale of the intervals: log, loglog or plain")
	f.list(&m.at, "at", "`times` to report (default: every event time)")
	m.ipcw.flags(f)
	f.need("time", "event")
}

func (m *fitKM) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("time", m.time)
	c.apart("event", m.event)
	c.apart("entry", m.entry)
	c.add("by", m.by)
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return m.ipcw.columns(c)
}

func (m *fitKM) check() []string {
	_, problems := parseTimes("at", m.at)
	if problems = append(problems, m.ipcw.check(m.entry, m.weights, len(m.at) > 0, "at")...); m.ipcw.given() && m.f.given("conf") {
		problems = append(problems, "--censoring-covariates has intervals on the logit scale; leave --conf out")
	}
	return append(append(problems, m.weights.check(m.f)...), oneOf("conf", m.conf, "log", "loglog", "plain")...)
}

func (m *fitKM) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f := &survive.Times{Unit: d.units, Level: d.level}
	var err error
	if f.Time, err = d.numbers(m.time); err != nil {
		return nil, err
	}
	if f.Event, err = d.binary(m.event); err != nil {
		return nil, err
	}
	if m.entry != "" {
		if f.Entry, err = d.numbers(m.entry); err != nil {
			return nil, err
		}
	}
	if m.by != "" {
		if f.Group, f.GroupNames, err = d.codes(m.by); err != nil {
			return nil, err
		}
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
		return m.ipcw.fit(ctx, d, oneCause(f), survive.IPCW{At: at, Survival: true, Workers: d.workers})
	}
	r, err := survive.KaplanMeier{Conf: m.conf, At: at, Workers: d.workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	if q, ok := r.Details["quantiles"].([]survive.Quantile); ok {
		t := fitTable{title: "Times by which a share has had the event", header: []string{"group", "share", "time", "from", "to"}}
		for _, q := range q {
			t.rows = append(t.rows, []any{q.Group, q.Q, q.Value, q.Lo, q.Hi})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}

// fitStates is state occupation from spells.
type fitStates struct {
	f                         *flagSet
	from, to, start, stop, by string
	at, ladder                []string
	tau                       float64
	participants              string
	administrative            []string
	after                     fitStatesAfter
	panel                     fitPanelMarkov
}

func (m *fitStates) flags(f *flagSet) {
	m.f = f
	f.column(&m.from, "from", "state that the spell is in")
	f.column(&m.to, "to", "state that follows; empty or cens = end of observation")
	f.column(&m.start, "start", "time at which the spell starts; everybody's clock starts at 0")
	f.column(&m.stop, "stop", "time at which the spell ends")
	f.column(&m.by, "by", "groups of persons")
	f.list(&m.at, "at", "`times` of the probabilities")
	f.number(&m.tau, "tau", 0, "horizon of the mean times (default: the longest that all groups allow)")
	f.list(&m.ladder, "ladder", "`STATE=STEP` for every state, a larger step is better: net months on a higher step between the two groups of --by")
	f.text(&m.participants, "participants", "", "`group` of --by whose months are counted as won (default: the second in byte order)")
	f.list(&m.administrative, "administrative", "`states` that the programme itself puts people in: net months also with them on the step below")
	m.after.flags(f)
	m.panel.flags(f)
	f.need("id")
}

func (m *fitStates) columns() fitColumns {
	c := fitColumns{}
	for _, part := range []struct{ flag, name string }{{"from", m.from}, {"to", m.to}, {"start", m.start}, {"stop", m.stop}} {
		// A row left out would cut a hole into the person's history, or its beginning off; between two visits it is one visit less.
		c.put(fitColumn{flag: part.flag, name: part.name, missing: part.flag == "to" || !m.panel.observed, apart: true})
	}
	c.apart("state", m.panel.state)
	c.apart("time", m.panel.time)
	c.add("by", m.by)
	return c
}

func (m *fitStates) check() []string {
	at, problems := parseTimes("at", m.at)
	problems = append(problems, m.checkPanel()...)
	problems = append(problems, m.after.check(m.f, at, m.tau)...)
	if m.f.given("tau") && (!(m.tau > 0) || math.IsInf(m.tau, 0)) {
		problems = append(problems, "--tau must be a finite number above 0")
	}
	if len(m.ladder) > 0 && m.by == "" {
		problems = append(problems, "--ladder compares the two groups of --by, which is missing")
	}
	if m.participants != "" && len(m.ladder) == 0 {
		problems = append(problems, "--participants goes with --ladder")
	}
	if len(m.administrative) > 0 && len(m.ladder) == 0 {
		problems = append(problems, "--administrative goes with --ladder")
	}
	_, more := parseLadder(m.ladder)
	return append(problems, more...)
}

// parseLadder reads STATE=STEP; A=B=STEP puts two states on one step.
func parseLadder(list []string) (progress.Ladder, []string) {
	out := progress.Ladder{}
	var problems []string
	for _, s := range list {
		parts := strings.Split(s, "=")
		step, err := strconv.Atoi(parts[len(parts)-1])
		if err != nil || len(parts) < 2 {
			problems = append(problems, fmt.Sprintf("--ladder: %q is not STATE=STEP with a whole number", s))
			continue
		}
		for _, state := range parts[:len(parts)-1] {
			if _, twice := out[state]; twice || state == "" {
				problems = append(problems, fmt.Sprintf("--ladder names the state %q twice or not at all", state))
			}
			out[state] = step
		}
	}
	return out, problems
}

func (m *fitStates) spells(d *fitData) (*survive.Spells, error) {
	r := &survive.Rows{Person: d.units, Level: d.level}
	var err error
	for _, name := range []string{m.from, m.start, m.stop} {
		if err := d.complete(name); err != nil {
			return nil, err
		}
	}
	if r.From, err = d.text(m.from, ""); err != nil {
		return nil, err
	}
	if r.To, err = d.text(m.to, survivorEnd); err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return r.From[i] == survivorEnd }); i >= 0 {
		return nil, d.at(i, m.from, fmt.Errorf("%s is the end of observation and no state that a spell can be in", survivorEnd))
	}
	if err := m.steps(d, r); err != nil {
		return nil, err
	}
	if r.Start, err = d.numbers(m.start); err != nil {
		return nil, err
	}
	if r.Stop, err = d.numbers(m.stop); err != nil {
		return nil, err
	}
	if m.by != "" {
		if r.Group, err = d.text(m.by, ""); err != nil {
			return nil, err
		}
	}
	return r.Spells()
}

// steps names the first row with a state that the ladder does not know.
func (m *fitStates) steps(d *fitData, r *survive.Rows) error {
	if len(m.ladder) == 0 {
		return nil
	}
	ladder, _ := parseLadder(m.ladder)
	for _, c := range []struct {
		column string
		states []string
	}{{m.from, r.From}, {m.to, r.To}} {
		if i := d.first(func(i int) bool {
			_, ok := ladder[c.states[i]]
			return !ok && c.states[i] != survivorEnd
		}); i >= 0 {
			return d.at(i, c.column, fmt.Errorf("a state that --ladder gives no step; add STATE=STEP for it (it has one for %s)", strings.Join(slices.Sorted(maps.Keys(ladder)), ", ")))
		}
	}
	return nil
}

// complete names the first row without a value.
func (d *fitData) complete(name string) error {
	c, err := d.t.Column(name)
	if err != nil {
		return err
	}
	if i := d.first(func(i int) bool { return !c.Has(i) }); i >= 0 {
		return d.at(i, name, fmt.Errorf("the row has no value: without it the person's history has a hole; give it, or leave the person out with --where"))
	}
	return nil
}

// survivorEnd is the To of a spell at which observation ends.
const survivorEnd = "cens"

func (m *fitStates) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if m.panel.observed {
		return m.fitPanel(ctx, d)
	}
	s, err := m.spells(d)
	if err != nil {
		return nil, err
	}
	at, _ := parseTimes("at", m.at)
	r, err := survive.AalenJohansen{At: at, Tau: m.tau, Workers: d.workers}.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	out.details["spells"] = len(s.Person)
	if groups := len(s.GroupNames); groups > 0 {
		persons := make([]int, groups)
		for _, g := range s.Group {
			persons[g]++
		}
		rows := map[string]int{}
		for g, n := range persons {
			rows[s.GroupNames[g]] = n
		}
		out.details["persons"] = rows
		out.addNotes(fewInGroups(rows, "A group"))
	} else {
		out.addNotes(fewInGroups(map[string]int{"": len(s.ID)}, "The data"))
	}
	if len(m.ladder) > 0 {
		if err := m.addLadder(ctx, d, s, at, out); err != nil {
			return nil, err
		}
	}
	if err := m.after.add(ctx, d, s, at, m.tau, out); err != nil {
		return nil, err
	}
	if moves, ok := r.Details["transitions"].([]survive.Transition); ok {
		out.addNotes(fewTransitions(moves))
		t := fitTable{title: "Transitions", header: []string{"from", "to", "group", "count"}}
		for _, x := range moves {
			t.rows = append(t.rows, []any{x.From, x.To, x.Group, x.Count})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}

// fewPersons is the number of persons in an arm below which normal intervals of net
// months are not to be trusted.
const fewPersons = 15

func (m *fitStates) addLadder(ctx context.Context, d *fitData, s *survive.Spells, at []float64, out *fitOutput) error {
	ladder, _ := parseLadder(m.ladder)
	out.addNotes(onlyOccurring(ladder, s.States))
	tau := m.tau
	if v, ok := out.details["tau"].(float64); ok {
		tau = v
	}
	r, err := progress.NetMonths{Ladder: ladder, Tau: tau, At: at, Participants: m.participants, Administrative: m.administrative, MinPerArm: 1, Workers: d.workers}.Fit(ctx, s)
	if err != nil {
		return err
	}
	for _, e := range r.Estimates {
		if !m.reported(e, out.estimates) {
			out.estimates = append(out.estimates, e)
		}
	}
	out.details["ladder"] = r.Details
	out.addNotes(r.Notes)
	return nil
}

// fewInGroups says which groups are too small for their intervals to be trusted, in byte order.
func fewInGroups(persons map[string]int, what string) (notes []table.Note) {
	for _, g := range slices.Sorted(maps.Keys(persons)) {
		if n := persons[g]; n < fewPersons {
			notes = append(notes, table.Note{Code: "few-persons", Args: map[string]any{"group": g, "persons": n},
				Text: fmt.Sprintf("%s: %d persons, fewer than %d: the intervals are not to be trusted.", what, n, fewPersons)})
		}
	}
	return notes
}

// onlyOccurring takes from the ladder what nobody is in; a state of the data without a step stays an error.
func onlyOccurring(ladder progress.Ladder, states []string) []table.Note {
	var absent []string
	for _, s := range slices.Sorted(maps.Keys(ladder)) {
		if !slices.Contains(states, s) {
			absent = append(absent, s)
			delete(ladder, s)
		}
	}
	if absent == nil {
		return nil
	}
	return []table.Note{{Code: "ladder-states-absent", Args: map[string]any{"states": strings.Join(absent, ", ")},
		Text: fmt.Sprintf("The ladder gives a step to states that nobody is in: %s.", strings.Join(absent, ", "))}}
}

// reported says whether an estimate is there already.
func (m *fitStates) reported(e estimate.Estimate, list []estimate.Estimate) bool {
	for _, have := range list {
		if have.Term == e.Term && have.Measure == e.Measure {
			return true
		}
	}
	return false
}
