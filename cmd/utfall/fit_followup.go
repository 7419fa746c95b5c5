package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
)

// fitFollowUp is an effect on scores that not everybody gave: at several visits (one row a person and visit), or before and after (one row a person).
type fitFollowUp struct {
	f                                       *flagSet
	treatment, reference, outcome, before   string
	visit, event, cluster                   string
	order, covariates, strategies, shifts   []string
	errors, tipping, covariance, likelihood string
	mic                                     float64
	least                                   int
	weights                                 fitWeights
}

// strategyNames are the short names of the strategies.
var strategyNames = map[string]progress.Strategy{
	"mar": progress.MissingAtRandom, "jr": progress.JumpToReference, "cr": progress.CopyReference, "cir": progress.CopyIncrements, "lmcf": progress.LastMean,
}

func (m *fitFollowUp) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "1 = participant, 0 = comparison; or two values, of which --reference names that of comparison people")
	f.text(&m.reference, "reference", "", "`value` of --treatment that comparison people have (default 0)")
	f.column(&m.outcome, "outcome", "score; empty where it was not given")
	f.column(&m.visit, "visit", "visit of the row: one row a person (--id) and visit, a row that is not there is a visit missed")
	f.list(&m.order, "visits", "`first,…,last`: the visits in their order (default: numbers in their order)")
	f.list(&m.covariates, "covariates", "`columns` known before the visits, the same in all rows of a person: the score before, first of all")
	f.list(&m.strategies, "strategy", "`names`: what scores after the event are filled in as: mar (always there), jr (jump to reference), cr (copy reference), cir (copy increments in reference), lmcf (last mean carried forward) (default: all)")
	f.column(&m.event, "event", "the visit that an intercurrent event counts from, the same in all rows of a person; empty = no event (default: drop-out, the visit after the last one with a score)")
	f.text(&m.covariance, "covariance", "shared", "of the visits: shared by the arms, or by-arm")
	f.text(&m.likelihood, "likelihood", "reml", "reml or ml")
	f.text(&m.errors, "errors", "information-anchored", "of jr, cr, cir and lmcf: information-anchored (that of mar), or jackknife (under repetition, smaller)")
	f.text(&m.tipping, "tipping", "recomputed", "standard error along the shifts: recomputed, or held as it is without a shift")
	f.list(&m.shifts, "delta", "`numbers` added to the filled-in scores of participants from the event on; D:C also C to those of comparison people")
	f.number(&m.mic, "mic", 0, "smallest important change, the unit of the tipping point (default: that of the score)")
	f.column(&m.before, "before", "score before, instead of --visit: one row a person, --outcome the score after")
	f.whole(&m.least, "min-per-arm", 0, "persons of an arm that must have a score at each visit (default 15)")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "people with its same value depend on each other, such as a matched set")
	f.need("treatment", "outcome")
}

func (m *fitFollowUp) columns() fitColumns {
	c := fitColumns{unique: m.visit == ""}
	whole := m.visit != "" // a row that fell away would take its score with it, and look like a visit that nobody came to
	c.put(fitColumn{flag: "treatment", name: m.treatment, apart: true, missing: whole})
	c.put(fitColumn{flag: "outcome", name: m.outcome, apart: true, missing: true})
	c.apart("visit", m.visit)
	c.apart("before", m.before)
	for _, name := range m.covariates {
		c.put(fitColumn{flag: "covariates", name: name, apart: true, missing: whole})
	}
	c.put(fitColumn{flag: "event", name: m.event, apart: true, missing: true})
	c.put(fitColumn{flag: "weights", name: m.weights.column, missing: whole})
	c.put(fitColumn{flag: "cluster", name: m.cluster, missing: whole})
	return c
}

func (m *fitFollowUp) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	switch {
	case m.visit == "" && m.before == "":
		bad("--visit is needed (one row a person and visit), or --before (one row a person)")
	case m.visit != "" && m.before != "":
		bad("--before goes without --visit; with visits name the score before among --covariates")
	case m.visit != "" && !m.f.given("id"):
		bad("--visit needs --id: which rows are of one person")
	case m.visit == "":
		for _, name := range []string{"visits", "covariates", "strategy", "event", "covariance", "likelihood", "errors", "tipping"} {
			if m.f.given(name) {
				bad("--%s goes with --visit", name)
			}
		}
		if !m.f.given("mic") {
			bad("--mic is needed with --before: the unit of the tipping point")
		}
	}
	if m.f.given("mic") && (!(m.mic > 0) || math.IsInf(m.mic, 1)) {
		bad("--mic must be finite and above 0")
	}
	if m.f.given("min-per-arm") && m.least < 1 {
		bad("--min-per-arm must be at least 1")
	}
	for k, v := range m.order {
		if v == "" || slices.Contains(m.order[:k], v) {
			bad("--visits names %q twice or not at all", v)
		}
	}
	_, more := m.named()
	problems = append(problems, more...)
	_, more = m.deltas()
	problems = append(problems, more...)
	problems = append(problems, oneOf("errors", m.errors, "information-anchored", "jackknife")...)
	problems = append(problems, oneOf("tipping", m.tipping, "recomputed", "held")...)
	problems = append(problems, oneOf("covariance", m.covariance, "shared", "by-arm")...)
	problems = append(problems, oneOf("likelihood", m.likelihood, "reml", "ml")...)
	if m.weights.kind == string(estimate.Frequency) {
		bad("--weight-kind frequency: write one person a row")
	}
	return append(problems, m.weights.check(m.f)...)
}

// named are the strategies asked for.
func (m *fitFollowUp) named() (out []progress.Strategy, problems []string) {
	for _, s := range m.strategies {
		name, ok := strategyNames[s]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("--strategy %q is not one of mar, jr, cr, cir, lmcf", s))
		case slices.Contains(out, name):
			problems = append(problems, fmt.Sprintf("--strategy names %q twice", s))
		}
		out = append(out, name)
	}
	return out, problems
}

func (m *fitFollowUp) deltas() (out []progress.DeltaShift, problems []string) {
	for _, s := range m.shifts {
		var d progress.DeltaShift
		own, other, both := strings.Cut(s, ":")
		var err, err2 error
		d.Participants, err = strconv.ParseFloat(strings.TrimSpace(own), 64)
		if both {
			d.Comparison, err2 = strconv.ParseFloat(strings.TrimSpace(other), 64)
		}
		sum := d.Participants + d.Comparison
		switch {
		case err != nil || err2 != nil || math.IsNaN(sum) || math.IsInf(sum, 0):
			problems = append(problems, fmt.Sprintf("--delta %q is not a number, or two with a colon between them", s))
		case slices.Contains(out, d):
			problems = append(problems, fmt.Sprintf("--delta names %q twice", s))
		case both && m.visit == "":
			problems = append(problems, fmt.Sprintf("--delta %q: a shift of comparison people goes with --visit", s))
		}
		out = append(out, d)
	}
	return out, problems
}

// arms reads the treatment, of two values with --reference.
func (m *fitFollowUp) arms(d *fitData) ([]bool, error) {
	if m.reference == "" {
		return d.binary(m.treatment)
	}
	codes, names, err := d.codes(m.treatment)
	if err != nil {
		return nil, err
	}
	ref := slices.Index(names, m.reference)
	if ref < 0 || len(names) != 2 {
		return nil, usage("--reference %q must be one of two values of %q, which has %d; --where picks two arms", m.reference, m.treatment, len(names))
	}
	out := make([]bool, len(codes))
	for i, c := range codes {
		out[i] = c != ref
	}
	return out, nil
}

func (m *fitFollowUp) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if m.visit != "" {
		for _, name := range append([]string{m.treatment, m.weights.column, m.cluster}, m.covariates...) {
			if name == "" {
				continue
			}
			if err := d.complete(name); err != nil {
				return nil, err
			}
		}
	}
	treated, err := m.arms(d)
	if err != nil {
		return nil, err
	}
	weight, err := m.weights.read(d)
	if err != nil {
		return nil, err
	}
	var cluster []int
	if m.cluster != "" {
		if cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	y, err := d.numbersOrNaN(m.outcome)
	if err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return math.IsInf(y[i], 0) }); i >= 0 {
		return nil, d.at(i, m.outcome, fmt.Errorf("not a finite number"))
	}
	p := progress.Persons{Treated: treated, Weight: weight, Cluster: cluster, Level: d.level}
	var r *estimate.Result
	if m.visit == "" {
		r, err = m.twice(ctx, d, p, y)
	} else {
		r, err = m.visits(ctx, d, p, y)
	}
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "treated")
	out.notes = append(out.notes, fewInArms(r.N)...)
	return out, nil
}

// twice is scores before and after, one row a person.
func (m *fitFollowUp) twice(ctx context.Context, d *fitData, p progress.Persons, y []float64) (*estimate.Result, error) {
	before, err := d.numbers(m.before)
	if err != nil {
		return nil, err
	}
	p.Unit = d.units
	e := progress.FollowUpMissing{MIC: m.mic, MinPerArm: m.least, Workers: d.workers}
	shifts, _ := m.deltas()
	for _, s := range shifts {
		e.Delta = append(e.Delta, s.Participants)
	}
	return e.Fit(ctx, &progress.FollowUpScores{Persons: p, Before: before, After: y})
}
