package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// fitCosts is what each payer paid more for participants, and what a unit of effect cost.
type fitCosts struct {
	f                          *flagSet
	treatment, effect, cluster string
	costs, willingness         []string
	weights                    fitWeights
	errors                     string
	replicates                 int
	seed                       uint64
}

func (m *fitCosts) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "1 = participant, 0 = comparison")
	f.list(&m.costs, "costs", "`columns`: what each payer paid for the person up to the horizon, in money of one year; below 0 is money that came in")
	f.column(&m.effect, "effect", "what the person gained, such as months: the cost of one more is the difference in costs by the difference in it")
	f.list(&m.willingness, "willingness", "`prices` of a unit of the effect: net benefit at each, and how sure it is that it is above 0")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "people with one value depend on each other, such as a matched set")
	f.text(&m.errors, "errors", "influence", "of the differences in costs: influence (normal intervals) or bootstrap (bootstrap-t over people or clusters)")
	f.whole(&m.replicates, "replicates", 999, "of the bootstrap")
	f.seed(&m.seed, "of the bootstrap")
	f.need("treatment", "costs")
}

func (m *fitCosts) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.apart("costs", m.costs...)
	c.apart("effect", m.effect)
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitCosts) check() []string {
	_, problems := m.prices()
	problems = append(problems, oneOf("errors", m.errors, "influence", "bootstrap")...)
	if m.errors == "influence" {
		for _, name := range []string{"replicates", "seed"} {
			if m.f.given(name) {
				problems = append(problems, fmt.Sprintf("--%s is used with --errors bootstrap only", name))
			}
		}
	}
	if m.replicates < 99 || m.replicates > 1<<20 {
		problems = append(problems, fmt.Sprintf("--replicates must lie between 99 and %d", 1<<20))
	}
	for k, name := range m.costs {
		if slices.Contains(m.costs[:k], name) {
			problems = append(problems, fmt.Sprintf("--costs names %q twice", name))
		}
	}
	if len(m.willingness) > 0 && m.effect == "" {
		problems = append(problems, "--willingness is a price of a unit of --effect, which is not given")
	}
	if m.weights.kind == string(estimate.Frequency) {
		problems = append(problems, "--weight-kind frequency is not used here: write one person a row")
	}
	return append(problems, m.weights.check(m.f)...)
}

func (m *fitCosts) prices() (prices []float64, problems []string) {
	for _, text := range m.willingness {
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !finite(v) || v <= 0 {
			problems = append(problems, fmt.Sprintf("--willingness: %q is not a number above 0", text))
			continue
		}
		if slices.Contains(prices, v) {
			problems = append(problems, fmt.Sprintf("--willingness: %s is asked for twice", text))
		}
		prices = append(prices, v)
	}
	return prices, problems
}

func (m *fitCosts) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	p := &progress.Payments{Months: 1, Payers: m.costs}
	p.Unit, p.Level = d.units, d.level
	var err error
	if p.Treated, err = d.binary(m.treatment); err != nil {
		return nil, err
	}
	for _, name := range m.costs {
		amount, err := d.numbers(name)
		if err != nil {
			return nil, err
		}
		p.Amount = append(p.Amount, amount)
	}
	if p.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if p.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	costs := progress.Costs{MinPerArm: 2, Workers: d.workers}
	if m.errors == "bootstrap" {
		costs.Errors, costs.Replicates, costs.Seed = m.errors, m.replicates, m.seed
	}
	r, err := costs.Fit(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"curve", "break_even", "followed", "months", "discount"} { // of months, which one row a person has not
		delete(r.Details, key)
	}
	for k, n := range []int{r.N.Treated, r.N.Units - r.N.Treated} {
		if n < fewPersons {
			r.Notes = append(r.Notes, table.Note{Code: "few-persons", Args: map[string]any{"group": []string{"treated", "control"}[k], "persons": n},
				Text: fmt.Sprintf("The %s arm has %d persons, fewer than %d: its intervals are not to be trusted.", []string{"treated", "control"}[k], n, fewPersons)})
		}
	}
	out := newFitOutput(r, "treated")
	if m.effect == "" {
		return out, nil
	}
	return out, m.perEffect(ctx, d, p, r, out)
}

// perEffect adds the effect, what a unit of it costs, and net benefits.
func (m *fitCosts) perEffect(ctx context.Context, d *fitData, p *progress.Payments, costs *estimate.Result, out *fitOutput) error {
	gain := *p
	values, err := d.numbers(m.effect)
	if err != nil {
		return err
	}
	gain.Payers, gain.Amount = []string{"effect"}, [][]float64{values}
	e, err := progress.Costs{MinPerArm: 2, Workers: d.workers}.Fit(ctx, &gain)
	if err != nil {
		return err
	}
	j := &progress.CostAndEffect{Unit: p.Unit, Cost: costs.Estimates[0].Value, Effect: e.Estimates[0].Value, Cluster: p.Cluster, Level: p.Level}
	for i := range p.Unit {
		j.CostInfluence = append(j.CostInfluence, costs.Influence.At(i, 0))
		j.EffectInfluence = append(j.EffectInfluence, e.Influence.At(i, 0))
	}
	prices, _ := m.prices()
	r, err := progress.CostPerEffect{Willingness: prices, Workers: d.workers}.Fit(ctx, j)
	if err != nil {
		return err
	}
	effect := e.Estimates[0]
	effect.Term = "effect"
	out.estimates = append(append(out.estimates, effect), r.Estimates...)
	for _, key := range []string{"fieller", "words", "correlation", "acceptability"} {
		out.details[key] = r.Details[key]
	}
	out.addNotes(r.Notes)
	return nil
}
