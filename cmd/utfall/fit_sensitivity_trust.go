package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/estimate/sensitivity"
)

// sensitivityTrust are the flags of the kinds that look at negative controls, missing
// outcomes, groups and placebo effects.
type sensitivityTrust struct {
	effect, se, group, cluster string
	weights                    fitWeights
	delta                      []string
	claim, claimSE, cov        float64
	share, margin              float64
}

func (m *sensitivityTrust) flags(f *flagSet) {
	f.column(&m.effect, "effect", "calibration: the estimate of each negative control")
	f.column(&m.se, "se", "calibration: its standard error")
	m.weights.flags(f, "matching", "")
	f.column(&m.cluster, "cluster", "tipping, leave-one-out: rows with its same value are dependent (instead of sets)")
	f.column(&m.group, "group", "leave-one-out: the groups that are left out in turn; empty = in none")
	f.list(&m.delta, "delta", "tipping: `shifts` of the missing outcomes, for a curve")
	f.number(&m.claim, "claim", 0, "equivalence: the claimed effect")
	f.number(&m.claimSE, "claim-std-error", 0, "equivalence: its standard error")
	f.number(&m.cov, "covariance", 0, "equivalence: of the two estimates")
	f.number(&m.share, "share", 0, "equivalence: of the claimed effect that is small, for example 0.5")
	f.number(&m.margin, "margin", 0, "equivalence: what is small, instead of --share")
}

// has says that the kind is one of these and reads a file.
func (m *sensitivityTrust) has(kind string) bool {
	return kind == "calibration" || kind == "tipping" || kind == "leave-one-out"
}

func (m *fitSensitivity) trustColumns() fitColumns {
	c := fitColumns{unique: true}
	if m.kind == "calibration" {
		c.apart("effect", m.more.effect)
		c.apart("se", m.more.se)
		return c
	}
	c.put(fitColumn{flag: "outcome", name: m.outcome, missing: m.kind == "tipping", apart: true})
	c.apart("treatment", m.treatment)
	c.add("weights", m.more.weights.column)
	c.put(fitColumn{flag: "sets", name: m.sets, missing: true})
	c.add("cluster", m.more.cluster)
	if m.kind == "leave-one-out" {
		c.apart("covariates", m.covariates...)
		c.put(fitColumn{flag: "group", name: m.more.group, missing: true})
	}
	return c
}

func (m *fitSensitivity) checkTrust(need func(names ...string)) (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	switch m.kind {
	case "calibration":
		need("effect", "se")
		if m.f.given("estimate") != m.f.given("std-error") {
			bad("the claimed effect is --estimate and --std-error together")
		}
	case "equivalence":
		need("estimate", "std-error")
		if m.f.given("share") == m.f.given("margin") {
			bad("give one of --share (of the claimed effect) and --margin")
		}
		if m.f.given("share") {
			need("claim", "claim-std-error")
		}
		for _, n := range []string{"claim", "claim-std-error", "covariance"} {
			if m.f.given(n) && m.f.given("margin") {
				bad("--margin stands by itself and does not use --%s", n)
			}
		}
	default:
		need("outcome", "treatment")
		problems = append(problems, m.more.weights.check(m.f)...)
		if m.more.weights.column != "" && m.kind == "tipping" && m.more.weights.kind == string(estimate.Frequency) {
			bad("--kind tipping takes one row for each unit, not --weight-kind frequency")
		}
		if m.kind == "leave-one-out" {
			need("group")
		}
		if _, err := m.deltas(); err != nil {
			bad("%v", err)
		}
	}
	return problems
}

func (m *fitSensitivity) deltas() (out []float64, err error) {
	seen := map[float64]bool{}
	for _, s := range m.more.delta {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || seen[v] {
			return nil, fmt.Errorf("--delta: %q is not a number, or is given twice", s)
		}
		seen[v] = true
		out = append(out, v)
	}
	return out, nil
}

func (m *fitSensitivity) trust(ctx context.Context, d *fitData) (*fitOutput, error) {
	switch m.kind {
	case "calibration":
		return m.calibration(d)
	case "equivalence":
		r, err := sensitivity.Equivalence{Placebo: m.estimate, SE: m.se, Claim: m.more.claim, ClaimSE: m.more.claimSE, Cov: m.more.cov, Share: m.more.share, Margin: m.more.margin, Level: d.level}.Value()
		if err != nil {
			return nil, err
		}
		return &fitOutput{estimates: r.Estimates, details: r.Details, notes: r.Notes, n: map[string]int{}}, nil
	}
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f, gone, err := m.trustFrame(d)
	if err != nil {
		return nil, err
	}
	if m.kind == "tipping" {
		o := sensitivity.Tipping{Missing: gone}
		o.Delta, _ = m.deltas()
		r, err := o.Fit(ctx, f)
		if err != nil {
			return nil, err
		}
		return newFitOutput(r, "treated"), nil
	}
	o := sensitivity.LeaveOut{Each: effect.Difference{}, Workers: d.workers}
	if len(m.covariates) > 0 {
		o.Each = effect.Regression{}
	}
	if o.Group, o.Names, err = d.codes(m.more.group); err != nil {
		return nil, err
	}
	r, err := o.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r, "treated"), nil
}

// trustFrame reads the frame; gone marks the rows without an outcome.
func (m *fitSensitivity) trustFrame(d *fitData) (f *estimate.Frame, gone []bool, err error) {
	treated, err := d.treated(m.treatment)
	if err != nil {
		return nil, nil, err
	}
	y, err := d.partly(m.outcome)
	if err != nil {
		return nil, nil, err
	}
	f = &estimate.Frame{Unit: d.units, Y: make([]float64, len(y)), Treated: treated, Level: d.level}
	gone = make([]bool, len(y))
	for i, v := range y {
		if gone[i] = math.IsNaN(v); !gone[i] {
			f.Y[i] = v
		}
	}
	if f.X, f.XNames, err = d.design(m.covariates); err != nil {
		return nil, nil, err
	}
	if f.Weight, err = m.more.weights.read(d); err != nil {
		return nil, nil, err
	}
	if m.sets != "" {
		if f.Set, _, err = d.codes(m.sets); err != nil {
			return nil, nil, err
		}
	}
	if m.more.cluster != "" {
		f.Cluster, _, err = d.codes(m.more.cluster)
	}
	return f, gone, err
}

func (m *fitSensitivity) calibration(d *fitData) (*fitOutput, error) {
	y, err := d.numbers(m.more.effect)
	if err != nil {
		return nil, err
	}
	se, err := d.numbers(m.more.se)
	if err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return !(se[i] > 0) }); i >= 0 {
		return nil, d.at(i, m.more.se, fmt.Errorf("a standard error that is not above 0"))
	}
	o := sensitivity.Calibration{Estimate: m.estimate, SE: m.se, Measure: estimate.Coefficient, Level: d.level}
	for _, i := range d.ordered() {
		o.Controls = append(o.Controls, sensitivity.Control{Name: d.units[i], Estimate: y[i], SE: se[i]})
	}
	r, err := o.Value()
	if err != nil {
		return nil, err
	}
	out := &fitOutput{estimates: r.Estimates, details: r.Details, notes: r.Notes, n: map[string]int{"units": len(y)}}
	t := fitTable{title: "Negative controls, each against the others", header: []string{"control", "estimate", "std.error", "p", "calibrated", "calibrated p"}}
	for _, c := range r.Details["controls"].([]sensitivity.CalibratedControl) {
		t.rows = append(t.rows, []any{c.Name, c.Estimate, c.SE, c.P, c.Calibrated, c.P2})
	}
	out.tables = append(out.tables, t)
	return out, nil
}
