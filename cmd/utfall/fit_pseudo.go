package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate/survive"
	"utfall/ingest"
)

// fitPseudo is regression of where people are at a time, or of how long they are there, although not everybody is followed to the end.
type fitPseudo struct {
	f                     *flagSet
	from, to, start, stop string // rows are spells, or …
	time, event           string // … people, one row each
	state                 string
	at, tau               float64
	link                  string
	covariates            []string
	cluster               string
}

// eventFree is the state of people, one row each, before any event.
const eventFree = "event-free"

func (m *fitPseudo) flags(f *flagSet) {
	m.f = f
	f.column(&m.from, "from", "rows of spells: state that the spell is in")
	f.column(&m.to, "to", "state that follows; empty or cens = end of observation")
	f.column(&m.start, "start", "time at which the spell starts; everybody's clock starts at 0")
	f.column(&m.stop, "stop", "time at which the spell ends")
	f.column(&m.time, "time", "rows of people: time to the event or to the end of observation")
	f.column(&m.event, "event", "rows of people: 0 = censored, every other value is a cause")
	f.text(&m.state, "state", "", "`state` that is asked about; with --event one of its causes (cumulative incidence), or event-free (survival)")
	f.number(&m.at, "at", 0, "time of the probability of being in the state")
	f.number(&m.tau, "tau", 0, "instead: horizon of the mean time in the state")
	f.text(&m.link, "link", "identity", "identity; with --at logit or cloglog; with --tau log")
	f.list(&m.covariates, "covariates", "`columns`, comma separated, the same in all rows of a person; a person without a value has a part in the pseudo-values and none in the regression")
	f.column(&m.cluster, "cluster", "people with one value depend on each other")
	f.need("state", "covariates")
}

// people says that a row is a person.
func (m *fitPseudo) people() bool { return m.time != "" || m.event != "" }

func (m *fitPseudo) columns() fitColumns {
	c := fitColumns{unique: m.people()}
	c.put(fitColumn{flag: "from", name: m.from, missing: true, apart: true}) // a row without them is an error: left out it would be a hole in a history
	c.put(fitColumn{flag: "to", name: m.to, missing: true, apart: true})
	c.put(fitColumn{flag: "start", name: m.start, missing: true, apart: true})
	c.put(fitColumn{flag: "stop", name: m.stop, missing: true, apart: true})
	c.apart("time", m.time)
	c.apart("event", m.event)
	for _, name := range m.covariates {
		c.put(fitColumn{flag: "covariates", name: name, missing: true, apart: true})
	}
	c.put(fitColumn{flag: "cluster", name: m.cluster, missing: !m.people()})
	return c
}

func (m *fitPseudo) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	needed, other := []string{"id", "from", "to", "start", "stop"}, "rows of spells"
	if m.people() {
		for _, n := range needed[1:] {
			if m.f.given(n) {
				bad("--%s goes with rows of spells, --time and --event with rows of people", n)
			}
		}
		needed, other = []string{"time", "event"}, "rows of people"
	}
	for _, n := range needed {
		if !m.f.given(n) || m.f.cmd.Flags().Lookup(n).Value.String() == "" {
			bad("--%s is needed with %s", n, other)
		}
	}
	if m.f.given("at") == m.f.given("tau") {
		bad("one of --at, for a probability, and --tau, for a time, is needed")
	}
	for name, v := range map[string]float64{"at": m.at, "tau": m.tau} {
		if m.f.given(name) && (!(v > 0) || math.IsInf(v, 0)) {
			bad("--%s must be a finite number above 0", name)
		}
	}
	links := []string{"identity", "logit", "cloglog"}
	if m.f.given("tau") {
		links = []string{"identity", "log"}
	}
	return append(problems, oneOf("link", m.link, links...)...)
}

// history makes spells of the rows.
func (m *fitPseudo) history(d *fitData) (*survive.Spells, error) {
	r := &survive.Rows{Person: d.units, Level: d.level}
	if !m.people() {
		spells := fitStates{from: m.from, to: m.to, start: m.start, stop: m.stop}
		return spells.spells(d)
	}
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	r.Person = d.units
	cause, names, err := d.causes(m.event)
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, eventFree) {
		return nil, &ingest.Problem{File: d.file, Column: m.event, Code: "cause-name", Text: "a cause may not be called " + eventFree + ", the name of the state before any event"}
	}
	if r.Stop, err = d.numbers(m.time); err != nil {
		return nil, err
	}
	for _, c := range cause {
		to := survivorEnd
		if c != survive.Censored {
			to = names[c]
		}
		r.From, r.To, r.Start = append(r.From, eventFree), append(r.To, to), append(r.Start, 0)
	}
	return r.Spells()
}

func (m *fitPseudo) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	s, err := m.history(d)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.States, m.state) {
		return nil, usage("--state: nobody is ever in %q; there are: %s", m.state, strings.Join(s.States, ", "))
	}
	first, err := m.rowOfEach(d, s)
	if err != nil {
		return nil, err
	}
	e := survive.PseudoRegression{State: m.state, Time: m.at, Tau: m.tau, Link: m.link, Workers: d.workers}
	if e.X, e.Names, err = m.design(d, first); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if err := d.complete(m.cluster); err != nil {
			return nil, err
		}
		codes, _, err := d.codes(m.cluster)
		if err != nil {
			return nil, err
		}
		for _, i := range first {
			s.Cluster = append(s.Cluster, codes[i])
		}
	}
	r, err := e.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r), nil
}

// rowOfEach is one row of each person, after a test that what is said of people is the same in all of their rows.
func (m *fitPseudo) rowOfEach(d *fitData, s *survive.Spells) ([]int, error) {
	number := make(map[string]int, len(s.ID))
	for p, id := range s.ID {
		number[id] = p
	}
	first := make([]int, len(s.ID))
	for p := range first {
		first[p] = -1
	}
	for i, id := range d.units {
		if p := number[id]; first[p] < 0 || d.rows[i] < d.rows[first[p]] {
			first[p] = i
		}
	}
	const none = "\x00"
	columns := m.covariates
	if m.cluster != "" {
		columns = append(slices.Clone(columns), m.cluster)
	}
	for _, name := range columns {
		v, err := d.text(name, none)
		if err != nil {
			return nil, err
		}
		if i := d.first(func(i int) bool { return v[i] != v[first[number[d.units[i]]]] }); i >= 0 {
			return nil, d.at(i, name, fmt.Errorf("another value than in line %d of the same person: a covariate or cluster is known at the start and stays", d.line(first[number[d.units[i]]])))
		}
	}
	return first, nil
}

// design codes the covariates of those who have them all, in the order of persons; NaN for the others.
func (m *fitPseudo) design(d *fitData, first []int) (*mat.Dense, []string, error) {
	var known, person []int
	for p, i := range first {
		has := true
		for _, name := range m.covariates {
			c, err := d.t.Column(name)
			if err != nil {
				return nil, nil, err
			}
			has = has && c.Has(i)
		}
		if has {
			known, person = append(known, i), append(person, p)
		}
	}
	if len(known) == 0 {
		return nil, nil, &ingest.Problem{File: d.file, Code: "no-complete-row", Text: "nobody has a value in every covariate"}
	}
	of := *d
	of.take(known)
	x, names, err := of.design(m.covariates)
	if err != nil {
		return nil, nil, err
	}
	d.notes = of.notes
	out := mat.NewDense(len(first), len(names), nil)
	for k := range out.RawMatrix().Data {
		out.RawMatrix().Data[k] = math.NaN()
	}
	for r, p := range person {
		out.SetRow(p, x.RawRowView(r))
	}
	return out, names, nil
}
