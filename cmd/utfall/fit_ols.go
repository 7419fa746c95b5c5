package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/effect"
)

var vcovKinds = []string{"iid", "hc0", "hc1", "hc2", "hc3", "cr0", "cr1", "cr2", "cr3"}

// fitWeights is a weight column and what its numbers mean.
type fitWeights struct{ column, kind string }

func (w *fitWeights) flags(f *flagSet, kind string) {
	f.column(&w.column, "weights", "weight of the row, at least 0")
	f.text(&w.kind, "weight-kind", kind, "what weights mean: sampling, matching, or frequency (copies of the row)")
}

func (w *fitWeights) check(f *flagSet) (problems []string) {
	if w.column == "" && f.given("weight-kind") {
		problems = append(problems, "--weight-kind goes with --weights")
	}
	return append(problems, oneOf("weight-kind", w.kind, "sampling", "matching", "frequency")...)
}

func (w *fitWeights) read(d *fitData) (estimate.Weights, error) {
	v, err := d.weights(w.column)
	if err != nil || v == nil {
		return estimate.Weights{}, err
	}
	if w.kind == string(estimate.Frequency) {
		for i, x := range v {
			if x != math.Trunc(x) {
				return estimate.Weights{}, d.at(i, w.column, fmt.Errorf("a frequency weight that is not a whole number"))
			}
		}
	}
	return estimate.Weights{Kind: estimate.WeightKind(w.kind), Values: v}, nil
}

// checkVcov says where the covariance estimator does not fit the other options.
func checkVcov(vcov string, clusters bool, clusterFlag string, w fitWeights) (problems []string) {
	problems = choice("vcov", vcov, vcovKinds, "wild")
	switch {
	case len(problems) > 0:
	case strings.HasPrefix(vcov, "cr") && !clusters:
		problems = append(problems, fmt.Sprintf("--vcov %s needs %s", vcov, clusterFlag))
	case vcov != "" && !strings.HasPrefix(vcov, "cr") && clusters && clusterFlag == "--cluster":
		problems = append(problems, fmt.Sprintf("--vcov %s does not use --cluster", vcov))
	case vcov == "iid" && w.column != "" && w.kind != string(estimate.Frequency):
		problems = append(problems, fmt.Sprintf("--vcov iid has no meaning with %s weights; use hc1 or a clustered one", w.kind))
	}
	return problems
}

// fitOLS is least squares.
type fitOLS struct {
	f           *flagSet
	outcome     string
	covariates  []string
	absorb      []string
	weights     fitWeights
	vcov        string
	cluster     []string
	noIntercept bool
}

func (m *fitOLS) flags(f *flagSet) {
	m.f = f
	f.column(&m.outcome, "outcome", "a number")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.list(&m.absorb, "absorb", "`columns` whose values are fixed effects")
	m.weights.flags(f, "sampling")
	f.text(&m.vcov, "vcov", "", "covariance: "+strings.Join(vcovKinds, ", ")+" (default: cr1 with --cluster, hc1 with weights, else iid)")
	f.list(&m.cluster, "cluster", "`column`: rows with its same value are dependent")
	f.yes(&m.noIntercept, "no-intercept", false, "fit without a constant")
	f.need("outcome")
}

func (m *fitOLS) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	for _, n := range m.absorb {
		c.add("absorb", n)
	}
	c.add("weights", m.weights.column)
	for _, n := range m.cluster {
		c.add("cluster", n)
	}
	return c
}

func (m *fitOLS) check() []string {
	problems := append(m.weights.check(m.f), checkVcov(m.vcov, len(m.cluster) > 0, "--cluster", m.weights)...)
	if len(m.cluster) > 1 {
		problems = append(problems, "--cluster with several columns is not built yet; give one")
	}
	if len(m.absorb) > 0 {
		if m.noIntercept {
			problems = append(problems, "--no-intercept has no meaning with --absorb, whose effects replace the constant")
		}
		switch m.vcov {
		case "hc2", "hc3", "cr2", "cr3":
			problems = append(problems, fmt.Sprintf("--vcov %s is not built yet with --absorb; name the effects in --covariates and --categorical, or use hc1 or cr1", m.vcov))
		}
	}
	if len(m.covariates) == 0 && (m.noIntercept || len(m.absorb) > 0) {
		problems = append(problems, "--covariates is needed: there is nothing to estimate")
	}
	return problems
}

func (m *fitOLS) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, m.covariates)
	if err != nil {
		return nil, err
	}
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	o := effect.OLS{Vcov: effect.Vcov(m.vcov), NoIntercept: m.noIntercept, AbsorbNames: m.absorb, Workers: d.workers}
	for _, n := range m.absorb {
		codes, _, err := d.codes(n)
		if err != nil {
			return nil, err
		}
		o.Absorb = append(o.Absorb, codes)
	}
	for _, n := range m.cluster {
		if f.Cluster, _, err = d.codes(n); err != nil {
			return nil, err
		}
	}
	r, err := o.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r), nil
}

// frame reads outcome and covariates.
func (d *fitData) frame(outcome string, covariates []string) (*estimate.Frame, error) {
	y, err := d.numbers(outcome)
	if err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: d.units, Y: y, Level: d.level}
	f.X, f.XNames, err = d.design(covariates)
	return f, err
}

// fitGLM is binomial regression.
type fitGLM struct {
	outcome      string
	covariates   []string
	family, link string
}

func (m *fitGLM) flags(f *flagSet) {
	f.column(&m.outcome, "outcome", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.text(&m.family, "family", "binomial", "distribution: binomial")
	f.text(&m.link, "link", "logit", "logit, probit or cloglog")
	f.need("outcome", "covariates")
}

func (m *fitGLM) check() []string {
	return append(choice("family", m.family, []string{"binomial"}, "poisson", "negbin", "gaussian"), oneOf("link", m.link, "logit", "probit", "cloglog")...)
}

func (m *fitGLM) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	return c
}

func (m *fitGLM) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	y, err := d.binary(m.outcome)
	if err != nil {
		return nil, err
	}
	events := 0
	for _, v := range y {
		if v {
			events++
		}
	}
	if events == 0 || events == len(y) {
		return nil, fmt.Errorf("%w: the outcome %q has one value only in the %d rows used", estimate.ErrNotIdentified, m.outcome, len(y))
	}
	p, err := d.propensity(ctx, m.outcome, m.covariates, m.link)
	if errors.Is(err, cohort.ErrSeparation) {
		return nil, fmt.Errorf("%w: the outcome is perfectly predicted%s", estimate.ErrSeparated, strings.TrimPrefix(err.Error(), cohort.ErrSeparation.Error()))
	}
	if err != nil {
		return nil, errors.New(strings.NewReplacer("propensity model", "model", "is the treatment", "is the outcome").Replace(err.Error()))
	}
	out := propensityOutput(p, d.level)
	out.n = map[string]int{"units": p.Units, "events": events}
	out.details["family"] = m.family
	return out, nil
}
