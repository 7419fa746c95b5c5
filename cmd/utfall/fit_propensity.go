package main

import (
	"context"
	"math"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/table"
)

// unitName is the column that holds the names of the units in a design: no file has it.
const unitName = "(unit)"

// named is the table with the units' names as a column.
func (d *fitData) named() (*table.Table, error) {
	return d.t.With(table.NewText(table.Field{Name: unitName}, d.units, nil))
}

// treated replaces a column of false and true by 0 and 1 and checks its values, so that an error has a line.
func (d *fitData) treated(name string) ([]bool, error) {
	v, err := d.binary(name)
	if err != nil {
		return nil, err
	}
	any, all := false, true
	for _, t := range v {
		any, all = any || t, all && t
	}
	column := &prefixed{file: "column " + name}
	switch {
	case !any:
		column.err = estimate.ErrNoTreated
		return nil, column
	case all:
		column.err = estimate.ErrNoControls
		return nil, column
	}
	d.t, err = d.t.With(table.NewBoolean(table.Field{Name: name}, v, nil))
	return v, err
}

func (d *fitData) propensity(ctx context.Context, treatment string, covariates []string, link string) (*cohort.PropensityFit, error) {
	if _, err := d.treated(treatment); err != nil {
		return nil, err
	}
	t, err := d.named()
	if err != nil {
		return nil, err
	}
	return cohort.Propensity{Covariates: covariates, Link: link}.Fit(ctx, t, cohort.Spec{Treatment: treatment, ID: unitName, Workers: d.workers})
}

// fitPropensity is a model of treatment.
type fitPropensity struct {
	treatment  string
	covariates []string
	link       string
}

func (m *fitPropensity) flags(f *flagSet) {
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.text(&m.link, "link", "logit", "logit, probit or cloglog")
	f.need("treatment", "covariates")
}

func (m *fitPropensity) check() []string {
	return oneOf("link", m.link, "logit", "probit", "cloglog")
}

func (m *fitPropensity) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.apart("covariates", m.covariates...)
	return c
}

func (m *fitPropensity) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	p, err := d.propensity(ctx, m.treatment, m.covariates, m.link)
	if err != nil {
		return nil, err
	}
	out := propensityOutput(p, d.level)
	out.n = map[string]int{"units": p.Units, "treated": p.Treated}
	out.details["scores"], out.details["linear_predictor"] = d.byUnit(p.Score), d.byUnit(p.Linear)
	return out, nil
}

func propensityOutput(p *cohort.PropensityFit, level float64) *fitOutput {
	out := &fitOutput{notes: p.Notes, details: map[string]any{
		"link": p.Link, "log_likelihood": p.LogLik, "logLik": p.LogLik, "deviance": p.Deviance, "null_deviance": p.NullDev,
		"aic": 2*float64(len(p.Coef)) - 2*p.LogLik, "iterations": p.Iterations,
		"vcov": "inverse of the expected information",
	}}
	for j, name := range p.Names {
		out.estimates = append(out.estimates, estimate.Wald(name, estimate.Coefficient, p.Coef[j], p.SE[j], math.Inf(1), level))
	}
	return out
}
