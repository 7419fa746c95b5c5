package main

import (
	"context"

	"utfall/estimate"
	"utfall/estimate/panel"
)

// fitDisplacement is effects on participants and on others by how many take part where
// they live.
type fitDisplacement struct {
	outcome, treatment, place, intensity, weights string
	covariates, borders                           []string
	option                                        panel.Displacement
}

func (m *fitDisplacement) flags(f *flagSet) {
	f.column(&m.outcome, "outcome", "a number; a change since before the programme, where there is one")
	f.column(&m.treatment, "treatment", "1 = took part, 0 = did not")
	f.column(&m.place, "place", "where the person lives: errors are clustered on it")
	f.column(&m.intensity, "intensity", "how many take part in the place, at least 0 and the same throughout it (default: the share in the data)")
	f.list(&m.borders, "borders", "`numbers` above 0 that divide intensity into bins")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.column(&m.weights, "weights", "sampling weight")
	f.need("outcome", "treatment", "place")
}

func (m *fitDisplacement) columns() fitColumns {
	c := fitColumns{}
	c.apart("outcome", m.outcome)
	c.apart("treatment", m.treatment)
	c.apart("place", m.place)
	c.apart("intensity", m.intensity)
	c.apart("covariates", m.covariates...)
	c.add("weights", m.weights)
	return c
}

func (m *fitDisplacement) check() []string {
	borders, problems := ascending("borders", m.borders, 0)
	m.option = panel.Displacement{Borders: borders}
	return problems
}

func (m *fitDisplacement) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, m.covariates)
	if err != nil {
		return nil, err
	}
	if f.Treated, err = d.binary(m.treatment); err != nil {
		return nil, err
	}
	if f.Cluster, _, err = d.codes(m.place); err != nil {
		return nil, err
	}
	if m.weights != "" {
		v, err := d.weights(m.weights)
		if err != nil {
			return nil, err
		}
		f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: v}
	}
	var intensity []float64
	if m.intensity != "" {
		if intensity, err = d.numbers(m.intensity); err != nil {
			return nil, err
		}
	}
	o := m.option
	o.Workers = d.workers
	res, err := o.Fit(ctx, f, intensity)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	t := fitTable{title: "Places by how many take part", header: []string{"above", "places", "participants", "others", "share"}}
	for _, r := range res.Details["bins"].([]map[string]any) {
		t.rows = append(t.rows, []any{shortest(r["above"].(float64)), r["places"], r["participants"], r["others"], r["share"]})
	}
	out.tables = append(out.tables, t)
	return out, nil
}
