package main

import (
	"context"
	"fmt"
	"slices"

	"utfall/estimate"
	"utfall/estimate/panel"
)

// fitEvent is event studies by regression and imputation; it reads its data as did does.
type fitEvent struct {
	did           fitDid
	estimator     string
	before, after int
	reweight      bool
	treatment, se string
}

// eventEstimators are the estimators of the interface; windowed are those with a window.
var (
	eventEstimators = []string{"sun-abraham", "imputation", "two-stage", "etwfe", "stacked", "lpdid", "dcdh", "twfe"}
	eventWindowed   = []string{"stacked", "lpdid", "dcdh"}
)

func (m *fitEvent) flags(f *flagSet) {
	d := &m.did
	d.f = f
	f.text(&m.estimator, "estimator", "", "sun-abraham, imputation, two-stage, etwfe, stacked, lpdid, dcdh, or twfe (a benchmark only)")
	f.column(&d.unit, "unit", "names the unit that is followed")
	f.column(&d.time, "time", "period, a whole number")
	f.column(&d.cohort, "cohort", "first treated period; 0 or empty = never treated (one of the two throughout)")
	f.column(&d.outcome, "outcome", "a number")
	f.list(&d.covariates, "covariates", "`columns`, comma separated, with their values in each period")
	f.whole(&d.anticipation, "anticipation", 0, "by how many periods before treatment outcomes may react")
	f.text(&d.control, "control", "", "who is compared with: never or not-yet, where the estimator can choose (etwfe, stacked, lpdid; default: not-yet)")
	f.text(&d.base, "base", "", "universal, where there is a base period; varying is did's")
	f.text(&d.method, "method", "", "did's; covariates enter these estimators as regressors")
	f.text(&d.aggregate, "aggregate", "dynamic", "none, simple, group, dynamic or calendar; all but dynamic for sun-abraham, imputation, two-stage and etwfe; overall is the static effect with each")
	f.whole(&d.balanceEvent, "balance-event", 0, "with dynamic, for the same four: only cohorts seen for this many periods after treatment")
	f.yes(&d.panel, "panel", true, "false is did's: units must be followed")
	f.column(&m.treatment, "treatment", "dcdh, instead of --cohort: treatment in each period, 0 and 1 or a size; it may switch on and off")
	f.text(&m.se, "se", "", "dcdh: analytic (default) or bootstrap (of clusters)")
	f.whole(&m.before, "before", 0, "stacked, lpdid, dcdh: periods before treatment in the window (default: as many as every cohort has)")
	f.whole(&m.after, "after", 0, "stacked, lpdid, dcdh: periods after the first treated one in the window (default: as many as every cohort has; dcdh: as any has)")
	f.yes(&m.reweight, "reweight", false, "lpdid: cohorts count by their treated units instead of by variance")
	f.column(&d.weights, "weights", "sampling weight above 0")
	f.column(&d.cluster, "cluster", "rows with its same value are dependent (default: the unit)")
	f.text(&d.bands, "bands", "", "uniform or pointwise (default: pointwise for none and simple, else uniform)")
	f.whole(&d.replicates, "replicates", 0, "draws of the multiplier bootstrap for uniform bands, or of --se bootstrap, at least 99 (default 999)")
	f.seed(&d.seed, "seed of the bootstrap")
	f.need("estimator", "unit", "time", "outcome")
}

func (m *fitEvent) columns() fitColumns {
	c := m.did.columns()
	c.apart("treatment", m.treatment)
	return c
}

func (m *fitEvent) check() (problems []string) {
	d := &m.did
	problems = append(problems, choice("estimator", m.estimator, eventEstimators)...)
	problems = append(problems, oneOf("bands", d.bands, panel.Uniform, panel.Pointwise)...)
	if d.anticipation < 0 {
		problems = append(problems, "--anticipation must be at least 0")
	}
	problems = append(problems, m.checkDid()...)
	problems = append(problems, m.checkWindow()...)
	if d.unit != "" && d.f.given("id") {
		problems = append(problems, "--id and --unit are the same thing here; give --unit")
	}
	if d.f.given("replicates") && d.replicates < 99 {
		problems = append(problems, "--replicates must be at least 99")
	}
	problems = append(problems, m.checkTreatment()...)
	for _, flag := range []string{"replicates", "seed"} {
		if !m.uniform() && m.se != "bootstrap" && d.f.given(flag) {
			problems = append(problems, fmt.Sprintf("--%s goes with --bands uniform", flag))
		}
	}
	return problems
}

// checkTreatment is for the flags of dcdh, which needs no cohort.
func (m *fitEvent) checkTreatment() (problems []string) {
	d := &m.did
	problems = oneOf("se", m.se, "analytic", "bootstrap")
	for _, flag := range []string{"treatment", "se"} {
		if d.f.given(flag) && m.estimator != "dcdh" {
			problems = append(problems, fmt.Sprintf("--%s goes with --estimator dcdh", flag))
		}
	}
	switch {
	case d.cohort != "" && m.treatment != "":
		problems = append(problems, "--cohort and --treatment exclude each other")
	case d.cohort == "" && m.treatment == "" && m.estimator == "dcdh":
		problems = append(problems, "--cohort is needed, or --treatment")
	case d.cohort == "" && m.estimator != "dcdh":
		problems = append(problems, "--cohort is needed")
	}
	return problems
}

// checkWindow is for the flags of the estimators with a window around entry.
func (m *fitEvent) checkWindow() (problems []string) {
	d := &m.did
	if d.f.given("reweight") && m.estimator != "lpdid" {
		problems = append(problems, "--reweight goes with --estimator lpdid")
	}
	if !slices.Contains(eventWindowed, m.estimator) {
		for _, flag := range []string{"before", "after"} {
			if d.f.given(flag) {
				problems = append(problems, fmt.Sprintf("--%s goes with --estimator stacked, lpdid or dcdh", flag))
			}
		}
		return problems
	}
	if d.f.given("before") && m.before < 1+d.anticipation {
		problems = append(problems, "--before must be at least 1 more than --anticipation")
	}
	if m.after < 0 {
		problems = append(problems, "--after must be at least 0")
	}
	if len(d.covariates) > 0 && m.estimator != "dcdh" {
		problems = append(problems, fmt.Sprintf("--estimator %s takes no --covariates", m.estimator))
	}
	return problems
}

// window is what was asked for; nil is the estimator's own.
func (m *fitEvent) window() (before, after *int) {
	if m.did.f.given("before") {
		before = &m.before
	}
	if m.did.f.given("after") {
		after = &m.after
	}
	return before, after
}

func (m *fitEvent) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	f, err := m.did.frame(d)
	if err != nil {
		return nil, err
	}
	bands := m.did.bands
	if !m.uniform() {
		bands = panel.Pointwise
	}
	o := panel.EventOptions{Anticipation: m.did.anticipation, Bands: bands, Replicates: m.did.replicates, Seed: m.did.seed, Workers: d.workers}
	averages := panel.Averages{Aggregate: panel.Aggregation(m.did.aggregate)}
	if m.did.f.given("balance-event") {
		averages.BalanceEvent = &m.did.balanceEvent
	}
	var res *estimate.Result
	vcov := "cr1 by cluster: factor G/(G-1)*(N-1)/(N-K), effects nested in clusters counted once in K; t on G-1"
	switch m.estimator {
	case "sun-abraham":
		res, err = panel.SunAbraham{EventOptions: o, Averages: averages, Control: m.did.control}.Fit(ctx, f)
	case "stacked":
		vcov = "cr1 of the weighted stack by cluster: factor G/(G-1)*(N-1)/(N-K), K two for each event; t on G-1"
		before, after := m.window()
		res, err = panel.Stacked{EventOptions: o, Before: before, After: after, Control: m.did.control}.Fit(ctx, f)
	case "lpdid":
		vcov = "cr1 of each horizon's regression by cluster: factor G/(G-1)*(N-1)/(N-K), K its periods and 1; t on G-1"
		before, after := m.window()
		res, err = panel.LocalProjections{EventOptions: o, Before: before, After: after, Control: m.did.control, Reweight: m.reweight}.Fit(ctx, f)
	case "dcdh":
		vcov = "given the treatments, around the mean of switchers and of stayers, factor n/(n-1) each, summed by cluster; normal"
		before, after := m.window()
		e := panel.Intertemporal{EventOptions: o, Before: before, After: after}
		if m.treatment != "" {
			if e.Treatment, err = d.numbers(m.treatment); err != nil {
				return nil, err
			}
		}
		if m.se == "bootstrap" {
			vcov = "bootstrap of clusters; normal"
			e.Bootstrap, e.Replicates = 999, 0
			if m.did.replicates > 0 {
				e.Bootstrap = m.did.replicates
			}
		}
		res, err = e.Fit(ctx, f)
	case "etwfe":
		res, err = panel.ExtendedTwoWay{EventOptions: o, Averages: averages, Control: m.did.control}.Fit(ctx, f)
	case "twfe":
		res, err = panel.TwoWay{EventOptions: o}.Fit(ctx, f)
	case "imputation":
		vcov = "conservative, around the mean effect of cohort and period, summed by cluster; no small-sample factor; normal"
		res, err = panel.Imputation{EventOptions: o, Averages: averages}.Fit(ctx, f)
	case "two-stage":
		vcov = "sandwich of both stages, the first over untreated rows, summed by cluster; no small-sample factor; normal"
		res, err = panel.TwoStage{EventOptions: o, Averages: averages}.Fit(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	out.details["vcov"] = vcov
	if c := curveDetails(panel.CurveOf(res)); c != nil {
		out.details["event_curve"] = c
	}
	return out, nil
}
