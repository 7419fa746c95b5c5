package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/effect"
)

// fitGLM is a generalised linear model.
type fitGLM struct {
	f              *flagSet
	outcome        string
	covariates     []string
	family, link   string
	weights        fitWeights
	errors         fitErrors
	absorb         []string
	trials, offset string
	dispersion     string
	noIntercept    bool
}

func (m *fitGLM) flags(f *flagSet) {
	m.f = f
	f.column(&m.outcome, "outcome", "binomial: 0 or 1, or with --trials a number of successes; poisson, negbin: a count; gaussian: a number")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.text(&m.family, "family", "binomial", "distribution: binomial, poisson, negbin or gaussian")
	f.text(&m.link, "link", "", "binomial: logit, probit or cloglog; poisson, negbin: log; gaussian: identity or log (default: the first)")
	f.column(&m.trials, "trials", "binomial: of how many the outcome counts the successes")
	f.column(&m.offset, "offset", "added to the linear predictor (the log of the time at risk, say)")
	f.text(&m.dispersion, "dispersion", "fixed", "binomial, poisson: fixed at 1, or estimated from Pearson's chi-square (pearson)")
	f.list(&m.absorb, "absorb", "`columns` whose values are fixed effects (gaussian with link identity)")
	m.weights.flags(f, "sampling", "")
	m.errors.flags(f, "wild")
	f.yes(&m.noIntercept, "no-intercept", false, "fit without a constant")
	f.need("outcome")
}

func (m *fitGLM) check() []string {
	problems := oneOf("family", m.family, "binomial", "poisson", "negbin", "gaussian")
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	var links []string
	for _, l := range effect.Links(effect.Family(m.family)) {
		links = append(links, string(l))
	}
	if len(links) > 0 && m.link == "" {
		m.link = links[0]
	}
	if len(links) > 0 && !slices.Contains(links, m.link) {
		bad("--link %q does not go with --family %s, which has: %s", m.link, m.family, strings.Join(links, ", "))
	}
	problems = append(problems, oneOf("dispersion", m.dispersion, "fixed", "pearson")...)
	if m.weights.column != "" && m.errors.vcov == "iid" && !m.f.given("weight-kind") {
		m.weights.kind = string(estimate.Frequency)
	}
	problems = append(append(problems, m.weights.check(m.f)...), m.errors.check(m.weights)...)
	if m.trials != "" && m.family != "binomial" {
		bad("--trials goes with --family binomial")
	}
	if m.dispersion == "pearson" {
		switch {
		case m.family != "binomial" && m.family != "poisson":
			bad("--dispersion pearson goes with --family binomial or poisson")
		case m.errors.vcov != "" && m.errors.vcov != "iid" || len(m.errors.cluster) > 0 || m.weights.column != "" && m.weights.kind != string(estimate.Frequency):
			bad("--dispersion pearson goes with --vcov iid; robust errors need no dispersion")
		}
	}
	if len(m.absorb) > 0 {
		switch {
		case m.family != "gaussian" || m.link != "identity":
			bad("--absorb goes with --family gaussian and --link identity; elsewhere fixed effects bias the other coefficients or are not built: name them in --covariates and --categorical, or use fit clogit")
		case m.noIntercept:
			bad("--no-intercept has no meaning with --absorb, whose effects replace the constant")
		case m.offset != "":
			bad("--offset is not built with --absorb; subtract it from the outcome")
		}
	}
	if len(m.covariates) == 0 && (m.noIntercept || len(m.absorb) > 0) {
		bad("--covariates is needed: there is nothing to estimate")
	}
	return problems
}

func (m *fitGLM) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	c.add("trials", m.trials)
	c.add("offset", m.offset)
	for _, n := range m.absorb {
		c.add("absorb", n)
	}
	c.add("weights", m.weights.column)
	m.errors.columns(&c)
	return c
}

func (m *fitGLM) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
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
	g := effect.GLM{
		Family: effect.Family(m.family), Link: effect.Link(m.link), Vcov: effect.Vcov(m.errors.vcov),
		Pearson: m.dispersion == "pearson", NoIntercept: m.noIntercept, Workers: d.workers,
	}
	if g.Second, g.Conley, _, err = m.errors.read(d, f); err != nil {
		return nil, err
	}
	if m.offset != "" {
		if g.Offset, err = d.numbers(m.offset); err != nil {
			return nil, err
		}
	}
	if err := m.outcomes(d, f, &g); err != nil {
		return nil, err
	}
	if len(m.absorb) > 0 {
		return m.absorbed(ctx, d, f, g)
	}
	r, err := g.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r)
	if m.family == "binomial" && g.Trials == nil {
		events := 0.0
		for i, y := range f.Y {
			if w := 1.0; y == 1 {
				if f.Weight.Kind == estimate.Frequency {
					w = f.Weight.Values[i]
				}
				events += w
			}
		}
		out.n["events"] = int(events)
	}
	describeClusters(out)
	return out, nil
}

// outcomes checks the outcome of a binomial family and turns successes into shares.
func (m *fitGLM) outcomes(d *fitData, f *estimate.Frame, g *effect.GLM) (err error) {
	if m.family != "binomial" {
		return nil
	}
	if m.trials == "" {
		_, err := d.binary(m.outcome)
		return err
	}
	if g.Trials, err = d.numbers(m.trials); err != nil {
		return err
	}
	if i := d.first(func(i int) bool { return !(g.Trials[i] > 0) || f.Y[i] < 0 || f.Y[i] > g.Trials[i] }); i >= 0 {
		return d.at(i, m.outcome, fmt.Errorf("the number of successes must be between 0 and the number of trials, and that above 0"))
	}
	shares := make([]float64, len(f.Y))
	for i, y := range f.Y {
		shares[i] = y / g.Trials[i]
	}
	f.Y = shares
	return nil
}

// absorbed is a gaussian model with absorbed effects: least squares.
func (m *fitGLM) absorbed(ctx context.Context, d *fitData, f *estimate.Frame, g effect.GLM) (*fitOutput, error) {
	o := effect.OLS{Vcov: g.Vcov, Second: g.Second, Conley: g.Conley, AbsorbNames: m.absorb, Workers: d.workers}
	for _, n := range m.absorb {
		codes, _, err := d.codes(n)
		if err != nil {
			return nil, err
		}
		o.Absorb = append(o.Absorb, codes)
	}
	r, err := o.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r)
	out.details["family"], out.details["link"] = m.family, m.link
	describeClusters(out)
	return out, nil
}
