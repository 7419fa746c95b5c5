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

// fitPropensity is a model of treatment.
type fitPropensity struct {
	treatment  string
	covariates []string
	propensityFlags
}

func (m *fitPropensity) flags(f *flagSet) {
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	m.propensityFlags.flags(f)
	f.text(&m.stopEstimand, "estimand", "", "of the weights whose balance stops boosted trees: att (default), atc or ate")
	f.need("treatment", "covariates")
}

func (m *fitPropensity) check() []string {
	return append(m.propensityFlags.check(), optionTexts(m.spec(m.covariates).Check())...)
}

func (m *fitPropensity) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.apart("covariates", m.covariates...)
	c.apart("site", m.site)
	c.add("cluster", m.person)
	return c
}

func (m *fitPropensity) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if _, err := d.treated(m.treatment); err != nil {
		return nil, err
	}
	t, err := d.named()
	if err != nil {
		return nil, err
	}
	p, err := m.spec(m.covariates).Fit(ctx, t, cohort.Spec{Treatment: m.treatment, ID: unitName, Workers: d.workers})
	if err != nil {
		return nil, err
	}
	out := propensityOutput(p, d.level)
	out.n = map[string]int{"units": p.Units, "treated": p.Treated}
	out.details["scores"], out.details["linear_predictor"] = d.byUnit(p.Score), d.byUnit(p.Linear)
	return out, nil
}

func propensityOutput(p *cohort.PropensityFit, level float64) *fitOutput {
	out := &fitOutput{notes: p.Notes, details: modelDetails(p)}
	out.details["logLik"], out.details["iterations"] = p.LogLik, p.Iterations
	parameters := float64(len(p.Coef))
	switch {
	case p.Sites != nil && p.Sites.Effect == cohort.RandomSites:
		parameters++
		out.details["vcov"] = "inverse of the observed information of coefficients and site SD"
	case p.SE != nil:
		out.details["vcov"] = "inverse of the expected information"
	}
	if p.SE != nil {
		out.details["aic"] = 2*parameters - 2*p.LogLik
	}
	for j, name := range p.Names {
		se := math.NaN()
		if p.SE != nil {
			se = p.SE[j]
		}
		out.estimates = append(out.estimates, estimate.Wald(name, estimate.Coefficient, p.Coef[j], se, math.Inf(1), level))
	}
	if b := p.Boosted; b != nil {
		t := fitTable{title: "Share of what the trees explain", header: []string{"column", "share"}}
		for j, name := range b.Names {
			t.rows = append(t.rows, []any{name, b.Influence[j]})
		}
		out.tables = append(out.tables, t)
	}
	return out
}
