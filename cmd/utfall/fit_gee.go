package main

import (
	"context"
	"strings"

	"utfall/estimate/effect"
)

// geeKinds are the covariances of estimating equations.
var geeKinds = []string{"cr0", "cr1", "cr2", "cr3", "jackknife"}

// fitGEE is generalised estimating equations.
type fitGEE struct {
	outcome             string
	covariates          []string
	cluster, time       string
	family, correlation string
	vcov                string
	noIntercept         bool
}

func (m *fitGEE) flags(f *flagSet) {
	f.column(&m.outcome, "outcome", "gaussian: a number; binomial: 0 or 1; poisson: a count")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.column(&m.cluster, "cluster", "rows with the same value belong together: the person seen often")
	f.column(&m.time, "time", "order of the rows of a cluster (needed for ar1)")
	f.text(&m.family, "family", "gaussian", "gaussian (identity), binomial (logit) or poisson (log)")
	f.text(&m.correlation, "correlation", "exchangeable", "working correlation: independence, exchangeable or ar1")
	f.text(&m.vcov, "vcov", "cr1", "covariance: "+strings.Join(geeKinds, ", "))
	f.yes(&m.noIntercept, "no-intercept", false, "fit without a constant")
	f.need("outcome", "covariates", "cluster")
}

func (m *fitGEE) check() []string {
	problems := append(oneOf("family", m.family, "gaussian", "binomial", "poisson"), oneOf("correlation", m.correlation, "independence", "exchangeable", "ar1")...)
	problems = append(problems, oneOf("vcov", m.vcov, geeKinds...)...)
	if (m.time != "") != (m.correlation == "ar1") {
		problems = append(problems, "--time goes with --correlation ar1, which needs it")
	}
	return problems
}

func (m *fitGEE) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	c.add("cluster", m.cluster)
	c.add("time", m.time)
	return c
}

func (m *fitGEE) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, m.covariates)
	if err != nil {
		return nil, err
	}
	g := effect.GEE{Family: effect.Family(m.family), Correlation: m.correlation, Vcov: effect.Vcov(m.vcov), NoIntercept: m.noIntercept, Workers: d.workers}
	if f.Cluster, _, err = d.codes(m.cluster); err != nil {
		return nil, err
	}
	if m.time != "" {
		if g.Order, err = d.numbers(m.time); err != nil {
			return nil, err
		}
	}
	if m.family == "binomial" {
		if _, err := d.binary(m.outcome); err != nil {
			return nil, err
		}
	}
	r, err := g.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r)
	describeClusters(out)
	return out, nil
}
