package main

import (
	"context"
	"fmt"

	"utfall/estimate/panel"
)

// fitBacon is the decomposition of two-way fixed effects into two-by-two comparisons.
type fitBacon struct {
	unit, time, treatment, outcome string
}

func (m *fitBacon) flags(f *flagSet) {
	f.column(&m.unit, "unit", "names the unit that is followed")
	f.column(&m.time, "time", "period, a whole number")
	f.column(&m.treatment, "treatment", "1 = the unit is treated in the period, 0 = not (yet); it stays treated")
	f.column(&m.outcome, "outcome", "a number")
	f.need("unit", "time", "treatment", "outcome")
}

func (m *fitBacon) columns() fitColumns {
	c := fitColumns{}
	c.apart("unit", m.unit)
	c.apart("time", m.time)
	c.apart("treatment", m.treatment)
	c.apart("outcome", m.outcome)
	return c
}

func (m *fitBacon) check() []string { return nil }

func (m *fitBacon) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	f := &panel.Frame{Level: d.level}
	var err error
	if f.Unit, err = d.text(m.unit, ""); err != nil {
		return nil, err
	}
	if f.Time, err = d.integers(m.time); err != nil {
		return nil, err
	}
	if f.Y, err = d.numbers(m.outcome); err != nil {
		return nil, err
	}
	treated, err := d.binary(m.treatment)
	if err != nil {
		return nil, err
	}
	res, err := panel.Bacon{Workers: d.workers}.Fit(ctx, f, treated)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	out.details["vcov"] = "cr1 by unit: factor G/(G-1)*(N-1)/(N-K), unit effects counted once in K; t on G-1"
	types := fitTable{title: "By kind of comparison", header: []string{"kind", "weight", "average"}}
	for _, r := range res.Details["by_type"].([]map[string]any) {
		types.rows = append(types.rows, []any{r["type"], r["weight"], r["average"]})
	}
	each := fitTable{title: "Comparisons (comparison 0 = never treated)", header: []string{"kind", "treated", "comparison", "estimate", "weight"}}
	for _, c := range res.Details["components"].([]panel.BaconComponent) {
		each.rows = append(each.rows, []any{c.Type, fmt.Sprint(c.Treated), fmt.Sprint(c.Comparison), c.Estimate, c.Weight})
	}
	out.tables = append(out.tables, types, each)
	return out, nil
}
