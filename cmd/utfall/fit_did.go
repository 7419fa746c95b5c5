package main

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate/panel"
	"utfall/table"
)

// fitDid is group-time average effects.
type fitDid struct {
	f                           *flagSet
	unit, time, cohort, outcome string
	covariates                  []string
	control, method, base       string
	anticipation                int
	aggregate                   string
	balanceEvent                int
	weights, cluster            string
	panel                       bool
	bands                       string
	replicates                  int
	seed                        uint64
	errors                      string
	design                      didDesign
}

func (m *fitDid) flags(f *flagSet) {
	m.f = f
	f.column(&m.unit, "unit", "names the unit that is followed")
	f.column(&m.time, "time", "period, a whole number")
	f.column(&m.cohort, "cohort", "first treated period; 0 or empty = never treated (one of the two throughout)")
	f.column(&m.outcome, "outcome", "a number")
	f.list(&m.covariates, "covariates", "`columns`, comma separated; their values in the base period count")
	f.text(&m.control, "control", panel.NotYetTreated, "who is compared with: never or not-yet")
	f.text(&m.method, "method", panel.DoublyRobust, "dr, ipw or reg")
	f.text(&m.base, "base", panel.Universal, "base period: varying or universal")
	f.whole(&m.anticipation, "anticipation", 0, "by how many periods before treatment outcomes may react")
	f.text(&m.aggregate, "aggregate", "none", "none, simple, group, dynamic or calendar")
	f.whole(&m.balanceEvent, "balance-event", 0, "with dynamic: only cohorts seen for this many periods after treatment")
	f.column(&m.weights, "weights", "sampling weight above 0")
	f.column(&m.cluster, "cluster", "rows with its same value are dependent (default: the unit)")
	f.yes(&m.panel, "panel", true, "false: rows are repeated cross-sections")
	f.text(&m.bands, "bands", "", "uniform or pointwise (default: pointwise for none and simple, else uniform)")
	f.whole(&m.replicates, "replicates", 0, "draws of the multiplier bootstrap for uniform bands, at least 99 (default 999)")
	f.seed(&m.seed, "seed of the multiplier bootstrap")
	f.text(&m.errors, "errors", panel.DidVersion, "standard errors as R's did-2.1.2 has them, or derived (FIT.md says where they differ)")
	m.design.flags(f)
	f.need("time", "cohort", "outcome")
}

func (m *fitDid) columns() fitColumns {
	c := fitColumns{}
	c.apart("unit", m.unit)
	c.apart("time", m.time)
	c.put(fitColumn{flag: "cohort", name: m.cohort, missing: true, apart: true})
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	c.add("weights", m.weights)
	c.add("cluster", m.cluster)
	m.design.columns(&c)
	return c
}

func (m *fitDid) check() (problems []string) {
	add := func(p ...string) { problems = append(problems, p...) }
	add(oneOf("control", m.control, panel.NeverTreated, panel.NotYetTreated)...)
	add(oneOf("method", m.method, panel.DoublyRobust, panel.Weighting, panel.Regression)...)
	add(oneOf("base", m.base, panel.Varying, panel.Universal)...)
	add(oneOf("aggregate", m.aggregate, "none", "simple", "group", "dynamic", "calendar")...)
	add(oneOf("bands", m.bands, panel.Uniform, panel.Pointwise)...)
	add(oneOf("errors", m.errors, panel.DidVersion, "derived")...)
	add(m.design.check(m)...)
	if m.anticipation < 0 {
		add("--anticipation must be at least 0")
	}
	if m.panel && m.unit == "" && !m.f.given("id") {
		add("--unit is needed (or --panel=false for repeated cross-sections)")
	}
	if m.unit != "" && m.f.given("id") {
		add("--id and --unit are the same thing here; give --unit")
	}
	if m.f.given("balance-event") {
		if m.aggregate != "dynamic" {
			add("--balance-event goes with --aggregate dynamic")
		}
		if m.balanceEvent < 0 {
			add("--balance-event must be at least 0")
		}
	}
	if m.uniform() {
		if m.f.given("replicates") && m.replicates < 99 {
			add("--replicates must be at least 99")
		}
		return problems
	}
	for _, flag := range []string{"replicates", "seed"} {
		if m.f.given(flag) {
			add(fmt.Sprintf("--%s goes with --bands uniform", flag))
		}
	}
	return problems
}

// uniform reports whether intervals come from a bootstrap.
func (m *fitDid) uniform() bool {
	if m.bands == "" {
		return m.aggregate != "none" && m.aggregate != "simple"
	}
	return m.bands == panel.Uniform
}

// readCohort reads the first treated period of each row. Never treated is written as 0
// or left empty, but not both: where 0 is the code, an empty cell is most likely a gap.
func (m *fitDid) readCohort(d *fitData) ([]int, error) {
	col, err := d.t.Column(m.cohort)
	if err != nil {
		return nil, err
	}
	if col.Kind == table.CategoryKind {
		text, err := d.text(m.cohort, "0")
		if err != nil {
			return nil, err
		}
		for i, s := range text {
			var v float64
			if _, err := fmt.Sscan(s, &v); err != nil || math.IsInf(v, 0) {
				return nil, d.at(i, m.cohort, fmt.Errorf("text where the first treated period is needed; write never treated as 0 or leave it empty"))
			}
		}
		return nil, inputError{fmt.Errorf("%s: column %q: read as categories; whole numbers are needed", d.file, m.cohort)}
	}
	f, err := d.t.Float(m.cohort)
	if err != nil {
		return nil, err
	}
	zero, empty := -1, -1
	out := make([]int, len(f.Values))
	for i, v := range f.Values {
		switch {
		case !f.Has(i):
			if empty < 0 {
				empty = i
			}
		case v != math.Trunc(v) || math.Abs(v) > 1<<53:
			return nil, d.at(i, m.cohort, fmt.Errorf("not a whole number; the first treated period is needed, 0 or empty = never treated"))
		default:
			if v == 0 && zero < 0 {
				zero = i
			}
			out[i] = int(v)
		}
	}
	if zero >= 0 && empty >= 0 {
		return nil, d.at(max(zero, empty), m.cohort, fmt.Errorf(
			"never treated is coded in two ways, 0 (line %d) and empty (line %d): if empty means never treated write 0, if it means unknown leave the rows out with --where",
			d.line(zero), d.line(empty)))
	}
	return out, nil
}

func (m *fitDid) frame(d *fitData) (*panel.Frame, error) {
	f := &panel.Frame{Level: d.level}
	var err error
	if f.Time, err = d.integers(m.time); err != nil {
		return nil, err
	}
	if m.cohort != "" {
		if f.Cohort, err = m.readCohort(d); err != nil {
			return nil, err
		}
	}
	if f.Y, err = d.numbers(m.outcome); err != nil {
		return nil, err
	}
	switch {
	case m.unit != "":
		if f.Unit, err = d.text(m.unit, ""); err != nil {
			return nil, err
		}
	case d.id != "":
		f.Unit = d.units
	}
	if m.weights != "" {
		if f.Weight, err = d.weights(m.weights); err != nil {
			return nil, err
		}
	}
	if m.cluster != "" {
		if f.Cluster, err = d.text(m.cluster, ""); err != nil {
			return nil, err
		}
	}
	f.X, f.XNames, err = d.design(m.covariates)
	return f, err
}

func (m *fitDid) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if m.unit == "" && d.id == "" { // rows without a name: their values give the order
		if err := d.sort(m.columns()); err != nil {
			return nil, err
		}
	}
	f, err := m.frame(d)
	if err != nil {
		return nil, err
	}
	g := panel.GroupTime{
		Method: m.method, Control: m.control, Base: m.base, Anticipation: m.anticipation,
		RepeatedCrossSection: !m.panel, Workers: d.workers,
	}
	if m.errors == panel.DidVersion {
		g.Reproduce = panel.DidVersion
	}
	var r *panel.GroupTimeResult
	switch {
	case m.design.dose != "":
		return m.fitDose(ctx, d, f)
	case m.design.triple != "":
		r, err = m.fitTriple(ctx, d, f, g)
	default:
		r, err = g.Fit(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	o := panel.AggregateOptions{Bands: panel.Pointwise}
	if m.uniform() {
		o.Bands, o.Replicates, o.Seed = panel.Uniform, m.replicates, m.seed
	}
	if m.f.given("balance-event") {
		o.BalanceEvent = &m.balanceEvent
	}
	res, err := r.Aggregate(panel.Aggregation(m.aggregate), o)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	out.notes = append(out.notes, r.FewToCompare(panel.Aggregation(m.aggregate), o, res)...)
	if c := curveDetails(r.Curve(panel.Aggregation(m.aggregate), panel.AggregateOptions{BalanceEvent: o.BalanceEvent})); c != nil {
		out.details["event_curve"] = c
	}
	out.details["errors"] = m.errors
	out.details["vcov"] = "influence function with divisor n, summed by cluster; no small-sample factor"
	if m.errors == panel.DidVersion && (m.aggregate == "group" || !m.panel && m.method == panel.DoublyRobust && len(m.covariates) > 0) {
		out.notes = append(out.notes, table.Note{Code: "errors-as-did", Args: map[string]any{"errors": m.errors},
			Text: "Standard errors are those of R's did 2.1.2 with DRDID 1.0.7, which differ from the derived ones by up to 0.5 % here; --errors derived gives those."})
	}
	t := cohortTable(r)
	out.tables = append(out.tables, t)
	return out, nil
}
