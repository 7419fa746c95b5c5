package main

import (
	"context"
	"strings"

	"utfall/estimate"
	"utfall/estimate/effect"
)

// fitEffect is an effect in a cohort whose design has been made.
type fitEffect struct {
	f                  *flagSet
	treatment, outcome string
	covariates         []string
	method, estimand   string
	weights            fitWeights
	sets, vcov         string
	cluster            []string
	interactions       bool
}

func (m *fitEffect) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "0 or 1")
	f.column(&m.outcome, "outcome", "a number")
	f.list(&m.covariates, "covariates", "`columns`, comma separated: of the regression")
	f.text(&m.method, "method", "difference", "difference or regression")
	f.text(&m.estimand, "estimand", "att", "the effect that the weights make this: att, atc or ate; names the term and changes no number")
	m.weights.flags(f, "matching", "")
	f.column(&m.sets, "sets", "matched sets; empty = in none, and the row is left out. Errors are clustered on them")
	f.list(&m.cluster, "cluster", "`column`: rows with its same value are dependent (instead of sets)")
	f.text(&m.vcov, "vcov", "", "covariance: "+strings.Join(vcovKinds, ", ")+" (default: cr1 with sets or a cluster, else hc1)")
	f.yes(&m.interactions, "interactions", false, "with regression: slopes differ between the groups, and the effect is the mean over the treated")
	f.need("treatment", "outcome")
}

func (m *fitEffect) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	c.add("weights", m.weights.column)
	c.put(fitColumn{flag: "sets", name: m.sets, missing: true})
	for _, n := range m.cluster {
		c.add("cluster", n)
	}
	return c
}

func (m *fitEffect) check() []string {
	problems := choice("method", m.method, []string{"difference", "regression"}, "g-computation", "ipw", "aipw", "tmle", "bias-corrected-matching")
	problems = append(problems, oneOf("estimand", m.estimand, "att", "atc", "ate")...)
	problems = append(problems, m.weights.check(m.f)...)
	flag := "--cluster"
	if len(m.cluster) == 0 {
		flag = "--cluster or --sets"
	}
	problems = append(problems, checkVcov(m.vcov, len(m.cluster) > 0 || m.sets != "", flag, m.weights)...)
	if len(m.cluster) > 1 {
		problems = append(problems, "--cluster with several columns is not built yet; give one")
	}
	switch m.method {
	case "difference":
		if len(m.covariates) > 0 {
			problems = append(problems, "--method difference does not use --covariates; use --method regression")
		}
		if m.interactions {
			problems = append(problems, "--method difference does not use --interactions")
		}
	case "regression":
		if len(m.covariates) == 0 {
			problems = append(problems, "--method regression needs --covariates")
		}
		if m.interactions && m.estimand != "att" {
			problems = append(problems, "--interactions gives the effect on the treated: --estimand att")
		}
	}
	return problems
}

func (m *fitEffect) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	treated, err := d.treated(m.treatment)
	if err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, m.covariates)
	if err != nil {
		return nil, err
	}
	f.Treated = treated
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.sets != "" {
		if f.Set, _, err = d.codes(m.sets); err != nil {
			return nil, err
		}
	}
	for _, n := range m.cluster {
		if f.Cluster, _, err = d.codes(n); err != nil {
			return nil, err
		}
	}
	var e estimate.Estimator = effect.Difference{Vcov: effect.Vcov(m.vcov), Estimand: m.estimand}
	if m.method == "regression" {
		e = effect.Regression{Vcov: effect.Vcov(m.vcov), Estimand: m.estimand, Interactions: m.interactions}
	}
	r, err := e.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "treated")
	out.details["method"] = m.method
	return out, nil
}
