package main

import (
	"context"
	"fmt"
	"slices"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// fitCox is proportional hazards regression.
type fitCox struct {
	f                  *flagSet
	times              fitTimes
	covariates, strata []string
	weights            fitWeights
	cluster, ties, zph string
	robust             bool
}

func (m *fitCox) flags(f *flagSet) {
	m.f = f
	m.times.flags(f, "")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.list(&m.strata, "strata", "`columns`: a baseline hazard for each combination of their values")
	m.weights.flags(f, "sampling", "")
	m.weights.kinds = []string{string(estimate.Sampling), string(estimate.Matching)}
	f.cmd.Flags().Lookup("weight-kind").Usage = "what weights mean: sampling or matching"
	f.column(&m.cluster, "cluster", "units of one value are not independent: robust errors")
	f.text(&m.ties, "ties", "efron", "tied events: efron, breslow or exact")
	f.yes(&m.robust, "robust", false, "errors from the influence function, as with weights and clusters")
	f.text(&m.zph, "zph", "km", "clock of the test of proportional hazards: km or identity")
	f.need("covariates")
}

func (m *fitCox) columns() fitColumns {
	c := m.times.columns()
	c.unique = m.times.entry == "" // with entry times several rows of one unit are intervals of its time
	c.apart("covariates", m.covariates...)
	for _, s := range m.strata {
		c.add("strata", s)
	}
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitCox) check() []string {
	problems := append(oneOf("ties", m.ties, "efron", "breslow", "exact"), oneOf("zph", m.zph, "km", "identity")...)
	if m.ties == "exact" {
		for _, flag := range []string{"weights", "cluster"} {
			if m.f.given(flag) {
				problems = append(problems, "--ties exact has no robust errors, so that it does not use --"+flag+"; use --ties efron")
			}
		}
		if m.robust {
			problems = append(problems, "--ties exact has no robust errors; leave --robust out or use --ties efron")
		}
	}
	return append(problems, m.weights.check(m.f)...)
}

func (m *fitCox) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	times, err := m.times.read(d)
	if err != nil {
		return nil, err
	}
	f := &survive.Covaried{Stratified: survive.Stratified{Times: times}}
	if f.Event, err = d.binary(m.times.event); err != nil {
		return nil, err
	}
	if f.Stratum, err = d.strata(m.strata); err != nil {
		return nil, err
	}
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if f.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	if f.X, f.XNames, err = d.design(m.covariates); err != nil {
		return nil, err
	}
	if m.times.entry != "" {
		f.Intervals = len(slices.Compact(slices.Sorted(slices.Values(f.Unit)))) < len(f.Unit)
	}
	r, err := survive.Cox{Ties: m.ties, Robust: m.robust, ZPH: m.zph, Workers: d.workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	if f.Intervals {
		out.notes = append(out.notes, table.Note{Code: "rows-of-one-unit", Args: map[string]any{"rows": len(f.Unit), "units": r.N.Units},
			Text: fmt.Sprintf("%d rows are intervals of the time of %d units; covariates may change from one to the next.", len(f.Unit), r.N.Units)})
	}
	m.describe(r, out)
	return out, nil
}

// describe adds the tests as tables, and says why one that does not exist is null.
func (m *fitCox) describe(r *estimate.Result, out *fitOutput) {
	tests := fitTable{title: "All terms at once", header: []string{"test", "chi-square", "df", "p"}}
	for _, name := range []string{"lr", "wald", "score"} {
		if row, ok := r.Details[name].(survive.ChiSquareRow); ok {
			tests.rows = append(tests.rows, []any{name, row.Statistic, row.DF, row.P})
		} else {
			out.notes = append(out.notes, table.Note{Code: "no-joint-test", Args: map[string]any{"test": name},
				Text: "The " + name + " test of all terms is null: there are fewer independent units than terms."})
		}
	}
	out.tables = append(out.tables, tests)
	rows, _ := r.Details["zph"].([]survive.ZPHRow)
	if rows == nil {
		out.notes = append(out.notes, table.Note{Code: "no-zph", Text: "The test of proportional hazards is null: there are too few times with an event."})
		return
	}
	zph := fitTable{title: "Proportional hazards", header: []string{"term", "chi-square", "df", "p"}}
	for _, row := range rows {
		zph.rows = append(zph.rows, []any{row.Term, row.Statistic, row.DF, row.P})
	}
	out.tables = append(out.tables, zph)
}
