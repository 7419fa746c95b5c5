package main

import (
	"fmt"
	"slices"

	"utfall/estimate/panel"
)

// eventChoice is what an estimator of event-study can do with did's flags. A flag is honoured, is what the estimator does anyway, or is an error:
// never is it passed over.
type eventChoice struct {
	control []string // that can be asked for
	whom    string   // what it compares with, where there is no choice
	base    string   // why there is no base period; empty if there is one
	average bool     // other averages than by event
}

var eventChoices = map[string]eventChoice{
	"sun-abraham": {control: []string{panel.NeverTreated}, whom: "never-treated units", average: true},
	"imputation":  {control: []string{panel.NotYetTreated}, whom: "every row not yet treated", base: "every untreated row", average: true},
	"two-stage":   {control: []string{panel.NotYetTreated}, whom: "every row not yet treated", base: "every untreated row", average: true},
	"etwfe":       {control: []string{panel.NeverTreated, panel.NotYetTreated}, base: "every row not yet treated, unless --control never", average: true},
	"stacked":     {control: []string{panel.NeverTreated, panel.NotYetTreated}},
	"lpdid":       {control: []string{panel.NeverTreated, panel.NotYetTreated}},
	"dcdh":        {control: []string{panel.NotYetTreated}, whom: "units of the same first treatment that have not changed yet"},
	"twfe":        {whom: "all other rows, treated ones too"},
}

// uniform reports whether the terms get a band, as did's do.
func (m *fitEvent) uniform() bool { return m.did.uniform() }

// checkDid is for the flags that event-study shares with did.
func (m *fitEvent) checkDid() (problems []string) {
	d := &m.did
	add := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	e, known := eventChoices[m.estimator]
	problems = append(problems, oneOf("control", d.control, panel.NeverTreated, panel.NotYetTreated)...)
	problems = append(problems, oneOf("base", d.base, panel.Universal, panel.Varying)...)
	problems = append(problems, oneOf("aggregate", d.aggregate, "none", "simple", "group", "dynamic", "calendar")...)
	if d.f.given("balance-event") {
		if d.aggregate != "dynamic" {
			add("--balance-event goes with --aggregate dynamic")
		}
		if d.balanceEvent < 0 {
			add("--balance-event must be at least 0")
		}
	}
	if problems != nil || !known {
		return problems
	}
	if d.f.given("control") && !slices.Contains(e.control, d.control) {
		add("--estimator %s compares with %s, not --control %s; use --estimator etwfe, stacked or lpdid, or fit did", m.estimator, e.whom, d.control)
	}
	switch {
	case d.base == panel.Varying:
		add("--estimator %s has no --base varying; use fit did", m.estimator)
	case d.base == panel.Universal && e.base != "" && !(m.estimator == "etwfe" && d.control == panel.NeverTreated):
		add("--estimator %s has no base period, so no --base: it compares with %s; use --estimator sun-abraham, stacked or lpdid, or fit did", m.estimator, e.base)
	}
	if d.f.given("method") {
		add("--estimator %s takes covariates as regressors and has no --method; use fit did for dr, ipw and reg", m.estimator)
	}
	if d.aggregate != "dynamic" && !e.average {
		add("--estimator %s gives effects by event only, not --aggregate %s; use --estimator sun-abraham, imputation, two-stage or etwfe, or fit did", m.estimator, d.aggregate)
	}
	switch {
	case !d.f.given("balance-event") || e.average:
	case m.estimator == "twfe":
		add("--estimator twfe has no --balance-event: every cohort is in each of its coefficients; use another estimator, or fit did")
	default:
		add("--estimator %s has no --balance-event; use --before and --after", m.estimator)
	}
	if !d.panel {
		add("--estimator %s follows units: --panel=false is for fit did", m.estimator)
	}
	return problems
}
