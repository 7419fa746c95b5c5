package main

import (
	"context"
	"fmt"

	"utfall/estimate/effect"
)

// fitMixed is regression with a random intercept by group.
type fitMixed struct {
	f              *flagSet
	outcome        string
	covariates     []string
	group          string
	family, method string
	trials         string
	nodes          int
	noIntercept    bool
}

func (m *fitMixed) flags(f *flagSet) {
	m.f = f
	f.column(&m.outcome, "outcome", "gaussian: a number; binomial: 0 or 1, or with --trials a number of successes")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.column(&m.group, "group", "group with an intercept of its own, drawn from a normal distribution")
	f.text(&m.family, "family", "gaussian", "gaussian or binomial (logit)")
	f.text(&m.method, "method", "reml", "gaussian: reml or ml")
	f.column(&m.trials, "trials", "binomial: of how many the outcome counts the successes")
	f.whole(&m.nodes, "quadrature", 25, "binomial: nodes of the adaptive Gauss-Hermite quadrature; 1 is Laplace's approximation")
	f.yes(&m.noIntercept, "no-intercept", false, "gaussian: fit without a constant")
	f.need("outcome", "group")
}

func (m *fitMixed) check() []string {
	problems := append(oneOf("family", m.family, "gaussian", "binomial"), oneOf("method", m.method, "reml", "ml")...)
	only := func(family string, names ...string) {
		for _, n := range names {
			if m.family != family && m.f.given(n) {
				problems = append(problems, fmt.Sprintf("--%s goes with --family %s", n, family))
			}
		}
	}
	only("gaussian", "method", "no-intercept")
	only("binomial", "trials", "quadrature")
	if m.nodes < 1 || m.nodes > 100 {
		problems = append(problems, "--quadrature must be between 1 and 100")
	}
	if m.noIntercept && len(m.covariates) == 0 {
		problems = append(problems, "--covariates is needed: there is nothing to estimate")
	}
	return problems
}

func (m *fitMixed) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	c.apart("group", m.group)
	c.add("trials", m.trials)
	return c
}

func (m *fitMixed) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, m.covariates)
	if err != nil {
		return nil, err
	}
	e := effect.Mixed{Family: effect.Family(m.family), ML: m.method == "ml", NoIntercept: m.noIntercept, Workers: d.workers}
	if f.Cluster, e.Groups, err = d.codes(m.group); err != nil {
		return nil, err
	}
	if m.family == "binomial" {
		e.Nodes = m.nodes
		g := effect.GLM{}
		o := fitGLM{family: m.family, trials: m.trials, outcome: m.outcome}
		if err := o.outcomes(d, f, &g); err != nil {
			return nil, err
		}
		e.Trials = g.Trials
	}
	r, err := e.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r)
	t := fitTable{title: "Between and within groups", header: []string{"", "standard deviation"}}
	for _, row := range [][2]string{{"group", "sd_group"}, {"residual", "sd_residual"}} {
		if v, ok := out.details[row[1]].(float64); ok {
			t.rows = append(t.rows, []any{row[0], v})
		}
	}
	out.tables = append(out.tables, t)
	return out, nil
}
