package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate/panel"
)

// fitHonest asks how far trends may depart from parallel before an effect is gone.
type fitHonest struct {
	f                               *flagSet
	betas, covariance, kind, target string
	pre                             int
	m, weights                      []string
	seed                            uint64
	slopes                          []string
	slope                           []float64
	option                          panel.Honest
	cov                             *fitData
	in                              io.Reader
}

func (m *fitHonest) flags(f *flagSet) {
	m.f = f
	f.text(&m.betas, "betas", "", "`file` with columns term and estimate: one row a period without the reference period, in order of time")
	f.text(&m.covariance, "covariance", "", "`file` with a header and the covariance of the estimates")
	f.whole(&m.pre, "pre", 0, "how many of the estimates are before treatment")
	f.text(&m.kind, "type", "", "relative (to the largest step before treatment) or smoothness (of the slope)")
	f.list(&m.m, "m", "`sizes` of the departure from parallel trends")
	f.text(&m.target, "target", "", "`period` after treatment: the E of a term event=E, another term as it stands, or 0 for the first (default: the first); overall for the overall effect of a piped answer")
	f.list(&m.weights, "weights", "`numbers`, one for each period after treatment: their weighted sum is the target")
	f.seed(&m.seed, "of the critical value (relative)")
	f.list(&m.slopes, "slope", "`slopes` per period of a trend that differs, for which the power of the pre-test is asked, beside those with power 0.5 and 0.8")
	f.need("type", "m")
	f.needed = slices.DeleteFunc(f.needed, func(n string) bool { return n == "data" })
}

// honestFlags are the flags of an event study in files; without any of them it comes through a pipe.
var honestFlags = []string{"betas", "covariance", "pre"}

func (m *fitHonest) piped() bool {
	return !slices.ContainsFunc(append([]string{"data"}, honestFlags...), m.f.given)
}

// setInput implements [pipeReader].
func (m *fitHonest) setInput(in io.Reader) { m.in = in }

func (m *fitHonest) columns() fitColumns {
	c := fitColumns{}
	if m.piped() {
		return c
	}
	c.apart("betas", "term", "estimate")
	return c
}

// unused are the flags of every method that mean nothing here.
func (m *fitHonest) unused() []string { return []string{"data", "id", "where", "categorical"} }

func (m *fitHonest) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	for _, name := range m.unused() {
		if m.f.given(name) {
			bad("fit honest-did does not use --%s; its files are --betas and --covariance", name)
		}
	}
	if !m.piped() {
		for _, name := range honestFlags {
			if !m.f.given(name) {
				bad("--%s is needed", name)
			}
		}
	}
	problems = append(problems, oneOf("type", m.kind, panel.RelativeMagnitudes, panel.Smoothness)...)
	if m.f.given("pre") && m.pre < 1 {
		bad("--pre must be at least 1")
	}
	if m.f.given("seed") && m.kind != panel.RelativeMagnitudes {
		bad("--seed is for --type relative")
	}
	if m.target != "" && len(m.weights) > 0 {
		bad("--target and --weights exclude each other")
	}
	read := func(flag string, list []string) (out []float64) {
		for _, s := range list {
			v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				bad("--%s: %q is not a number", flag, s)
			}
			out = append(out, v)
		}
		return out
	}
	m.slope = read("slope", m.slopes)
	m.option = panel.Honest{Type: m.kind, Seed: m.seed, M: read("m", m.m), Target: read("weights", m.weights)}
	for i, v := range m.option.M {
		if v < 0 {
			bad("--m: %s is below 0", m.m[i])
		}
		if slices.Contains(m.option.M[:i], v) {
			bad("--m names %s twice", m.m[i])
		}
	}
	if len(m.weights) > 0 && !slices.ContainsFunc(m.option.Target, func(v float64) bool { return v != 0 }) {
		bad("--weights are all 0")
	}
	return problems
}

// readFiles implements [filesReader].
func (m *fitHonest) readFiles(ctx context.Context, c *fitCommon, workers int) (*fitData, error) {
	if m.piped() {
		return &fitData{file: "standard input", level: c.level, workers: workers}, nil
	}
	one := *c
	one.data = m.betas
	d, err := readFitData(ctx, &one, m.columns(), workers)
	if err != nil {
		return nil, err
	}
	one.data = m.covariance
	if m.cov, err = readFitData(ctx, &one, fitColumns{all: true}, workers); err != nil {
		return nil, err
	}
	d.notes = append(d.notes, m.cov.notes...)
	return d, nil
}

func (m *fitHonest) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	p, err := m.problem(d)
	if err != nil {
		return nil, err
	}
	h := m.option
	h.Level, h.Workers, h.Target = d.level, d.workers, p.target
	res, err := h.Fit(ctx, p.coefficients)
	if err != nil {
		return nil, err
	}
	test, err := panel.PreTestPower{Slope: m.slope}.Fit(ctx, p.coefficients, p.events, p.reference, p.target)
	if err != nil {
		return nil, err
	}
	res.Details["pretest"] = test
	res.Details["target_term"] = p.name
	o := res.Details["original"].(map[string]float64)
	tables := []fitTable{{title: "With parallel trends, and the smallest M whose interval has 0 in it", header: []string{"", "estimate", "from", "to"},
		rows: [][]any{{"parallel trends", o["estimate"], o["conf_low"], o["conf_high"]}, {"breakdown value", res.Details["breakdown"], nil, nil}}}}
	power := fitTable{title: "What the test of the effects before treatment could find: a trend that differs by a straight line", header: []string{"test", "slope", "power", "bias", "bias when not rejected"}}
	for _, t := range test.Trends {
		power.rows = append(power.rows, []any{t.Test, t.Slope, t.Power, t.Bias, t.BiasNotRejected})
	}
	return &fitOutput{estimates: res.Estimates, details: res.Details, notes: res.Notes, tables: append(tables, power),
		n: map[string]int{"coefficients": len(p.coefficients.Value), "before": p.coefficients.Pre}}, nil
}

// honestProblem is what is asked: coefficients with their places in time and the target.
type honestProblem struct {
	coefficients panel.Coefficients
	events       []int
	reference    int
	target       []float64
	name         string // of the target
}

func (m *fitHonest) problem(d *fitData) (*honestProblem, error) {
	if m.piped() {
		return m.fromPipe()
	}
	return m.fromFiles(d)
}

// fromPipe takes the problem from the answer of did or event-study.
func (m *fitHonest) fromPipe() (*honestProblem, error) {
	c, err := readCurve(m.in)
	if err != nil {
		return nil, err
	}
	first := slices.IndexFunc(c.Event, func(e int) bool { return e >= 0 && e > c.Reference }) // what lies before is anticipation
	if first < 0 {
		return nil, inputError{fmt.Errorf("the answer has no effect from treatment on")}
	}
	p := &honestProblem{events: c.Event, reference: c.Reference, name: m.target}
	switch {
	case len(m.weights) > 0:
		p.name = "weights"
	case m.target == "":
		p.name = fmt.Sprintf("event=%d", c.Event[first])
	default:
		if e, err := strconv.Atoi(m.target); err == nil {
			p.name = fmt.Sprintf("event=%d", e)
		}
	}
	name := p.name
	if len(m.weights) > 0 {
		name = fmt.Sprintf("event=%d", c.Event[first])
	}
	p.coefficients, p.target, err = c.Coefficients(name)
	switch {
	case errors.Is(err, panel.ErrOption):
		return nil, usage("--target %s: %v", m.target, err)
	case err != nil:
		return nil, inputError{err}
	}
	if len(m.weights) > 0 {
		n := len(c.Event) - first
		if len(m.option.Target) != n {
			return nil, usage("--weights has %d numbers for %d periods after treatment", len(m.weights), n)
		}
		p.target = append(make([]float64, first-p.coefficients.Pre), m.option.Target...)
	}
	return p, nil
}

// fromFiles takes it from a table of estimates and one of their covariance.
func (m *fitHonest) fromFiles(d *fitData) (*honestProblem, error) {
	terms, err := d.text("term", "")
	if err != nil {
		return nil, err
	}
	c := panel.Coefficients{Pre: m.pre}
	if c.Value, err = d.numbers("estimate"); err != nil {
		return nil, err
	}
	if m.pre >= len(terms) {
		return nil, usage("--pre %d leaves no estimate after treatment among %d", m.pre, len(terms))
	}
	if c.Cov, err = m.matrix(terms); err != nil {
		return nil, fitError(err, m.cov)
	}
	events, err := eventTimes(terms, m.pre)
	if err != nil {
		return nil, err
	}
	post := len(terms) - m.pre
	target, at := m.option.Target, 0
	name := "weights"
	switch {
	case len(m.weights) > 0 && len(m.weights) != post:
		return nil, usage("--weights has %d numbers for %d periods after treatment", len(m.weights), post)
	case m.target != "":
		at = slices.Index(terms[m.pre:], m.target)
		if e, err := strconv.Atoi(m.target); at < 0 && err == nil {
			if events != nil {
				at = slices.Index(events[m.pre:], e)
			} else if e >= 0 && e < post {
				at = e
			}
		}
		if at < 0 {
			return nil, usage("--target %s is not one of the %d periods after treatment", m.target, post)
		}
	}
	if len(m.weights) == 0 {
		target = make([]float64, post)
		target[at] = 1
		name = terms[m.pre+at]
	}
	if events == nil { // one apart, the reference period between those before and after
		for i := range terms {
			events = append(events, i-m.pre)
			if i >= m.pre {
				events[i]++
			}
		}
	}
	return &honestProblem{coefficients: c, events: events, reference: events[m.pre-1] + 1, target: target, name: name}, nil
}

// eventTimes reads terms event=E; nil if they are others. They must follow each other but for the reference period.
func eventTimes(terms []string, pre int) ([]int, error) {
	out := make([]int, len(terms))
	for i, s := range terms {
		text, ok := strings.CutPrefix(s, "event=")
		e, err := strconv.Atoi(text)
		if !ok || err != nil {
			return nil, nil
		}
		out[i] = e
	}
	for i := 1; i < len(out); i++ {
		step := 1
		if i == pre {
			step = 2
		}
		if out[i] != out[i-1]+step {
			return nil, usage("--betas: %s follows %s; the %d estimates before treatment and those after it must be one period apart, with the reference period alone between them and left out", terms[i], terms[i-1], pre)
		}
	}
	return out, nil
}

// matrix reads the covariance: as many columns as terms, in their order, or under their names with the rows in the same order;
// a column term names the rows.
func (m *fitHonest) matrix(terms []string) (*mat.SymDense, error) {
	d, n := m.cov, len(terms)
	var names []string
	for _, f := range d.t.Fields() {
		if f.Name != "term" {
			names = append(names, f.Name)
		}
	}
	if len(names) != n || d.t.Rows() != n {
		return nil, fmt.Errorf("a covariance of %d × %d is needed for %d estimates; the file has %d rows and %d columns", n, n, n, d.t.Rows(), len(names))
	}
	place := func(from []string) []int { // of each term
		out := make([]int, n)
		for i, t := range terms {
			if out[i] = slices.Index(from, t); out[i] < 0 {
				return nil
			}
		}
		return out
	}
	identity := make([]int, n)
	for i := range identity {
		identity[i] = i
	}
	columns := place(names)
	rows := columns
	if columns == nil {
		columns, rows = identity, identity
	}
	if d.t.Has("term") {
		of, err := d.text("term", "")
		if err != nil {
			return nil, err
		}
		if rows = place(of); rows == nil {
			return nil, fmt.Errorf("the column term does not name the rows by the terms of --betas")
		}
	}
	full := mat.NewDense(n, n, nil)
	for j := range n {
		v, err := d.numbers(names[columns[j]])
		if err != nil {
			return nil, err
		}
		for i := range n {
			full.Set(i, j, v[rows[i]])
		}
	}
	out := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			a, b := full.At(i, j), full.At(j, i)
			if math.Abs(a-b) > 1e-8*math.Sqrt(math.Abs(full.At(i, i)*full.At(j, j))) {
				return nil, fmt.Errorf("the covariance is not symmetric: row %d, column %d", i+1, j+1)
			}
			out.SetSym(i, j, (a+b)/2)
		}
	}
	return out, nil
}
