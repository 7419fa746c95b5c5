package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"utfall/estimate/panel"
)

// didDesign are the flags of did beyond the two groups: triple differences and doses.
type didDesign struct {
	triple, dose  string
	at            []string
	doses         []float64
	degree, knots int
}

func (m *didDesign) flags(f *flagSet) {
	f.column(&m.triple, "triple", "triple differences: 1 = the part of the unit that is treated from --cohort on, 0 = the part that never is")
	f.column(&m.dose, "dose", "size of the treatment of the unit; 0 for units never treated: effects by dose and their slope")
	f.list(&m.at, "dose-at", "`doses` that are shown (default: deciles of the treated units' doses)")
	f.whole(&m.degree, "degree", 3, "of the curve of --dose, 1 to 5")
	f.whole(&m.knots, "knots", 0, "of the curve of --dose, at quantiles of the doses")
}

func (m *didDesign) columns(c *fitColumns) {
	c.apart("triple", m.triple)
	c.apart("dose", m.dose)
}

// check lists what does not go together.
func (m *didDesign) check(d *fitDid) (problems []string) {
	add := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	given := d.f.given
	if m.triple != "" && m.dose != "" {
		add("--triple and --dose exclude each other")
	}
	if (m.triple != "" || m.dose != "") && !d.panel {
		add("--panel=false does not go with --triple or --dose")
	}
	if m.triple != "" && given("errors") && d.errors == panel.DidVersion {
		add("--errors %s does not go with --triple: its errors are derived", panel.DidVersion)
	}
	for _, name := range []string{"dose-at", "degree", "knots"} {
		if given(name) && m.dose == "" {
			add("--%s goes with --dose", name)
		}
	}
	if m.dose == "" {
		return problems
	}
	for _, name := range []string{"method", "base", "aggregate", "balance-event", "bands", "replicates", "seed", "errors"} {
		if given(name) {
			add("--%s does not go with --dose", name)
		}
	}
	if m.degree < 1 || m.degree > 5 {
		add("--degree must be from 1 to 5")
	}
	if m.knots < 0 {
		add("--knots must be at least 0")
	}
	for _, s := range m.at {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || !finite(v) {
			add("--dose-at: %q is not a number", s)
		}
		m.doses = append(m.doses, v)
	}
	return problems
}

func (m *fitDid) fitTriple(ctx context.Context, d *fitData, f *panel.Frame, g panel.GroupTime) (*panel.GroupTimeResult, error) {
	eligible, err := d.binary(m.design.triple)
	if err != nil {
		return nil, err
	}
	g.Reproduce = ""
	m.errors = "derived"
	return panel.Triple{GroupTime: g, Eligible: eligible}.Fit(ctx, f)
}

func (m *fitDid) fitDose(ctx context.Context, d *fitData, f *panel.Frame) (*fitOutput, error) {
	doses, err := d.numbers(m.design.dose)
	if err != nil {
		return nil, err
	}
	res, err := panel.Dose{Dose: doses, Control: m.control, Anticipation: m.anticipation, At: m.design.doses, Degree: m.design.degree, Knots: m.design.knots}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	out.details["vcov"] = "influence function, summed by cluster; no small-sample factor"
	return out, nil
}

// cohortTable counts units by cohort; of triple differences both parts of a unit are one, and are counted beside it.
func cohortTable(r *panel.GroupTimeResult) fitTable {
	t := fitTable{title: "Units by first treated period", header: []string{"cohort", "units", "weight"}}
	name := func(group int) string {
		if group == 0 {
			return "never"
		}
		return fmt.Sprint(group)
	}
	if parts := r.Parts(); parts != nil {
		t.header = []string{"cohort", "units", "eligible", "others"}
		for _, p := range parts {
			t.rows = append(t.rows, []any{name(p.Group), p.Units, p.Eligible, p.Others})
		}
		return t
	}
	for _, c := range r.Cohorts() {
		t.rows = append(t.rows, []any{name(c.Group), c.Units, c.Weight})
	}
	return t
}
