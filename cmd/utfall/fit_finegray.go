package main

import (
	"context"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// fitFineGray is regression of the cumulative incidence of one cause.
type fitFineGray struct {
	f                             *flagSet
	times                         fitTimes
	covariates, strata, censoring []string
	weights                       fitWeights
	cause, cluster, ties          string
	robust                        bool
}

func (m *fitFineGray) flags(f *flagSet) {
	m.f = f
	m.times.flags(f, "")
	f.cmd.Flags().Lookup("event").Usage = "`column`: 0 = censored, every other value is a cause"
	f.text(&m.cause, "cause", "", "`value` of --event: the cause of interest; all others preclude it")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.list(&m.strata, "strata", "`columns`: a baseline for each combination of their values")
	f.list(&m.censoring, "censoring-strata", "`columns`: a distribution of the time to censoring for each combination of their values (default: one for all)")
	m.weights.flags(f, "sampling", "")
	m.weights.kinds = []string{string(estimate.Sampling), string(estimate.Matching)}
	f.cmd.Flags().Lookup("weight-kind").Usage = "what weights mean: sampling or matching"
	f.column(&m.cluster, "cluster", "units of one value are not independent")
	f.text(&m.ties, "ties", "breslow", "tied events: breslow or efron")
	f.yes(&m.robust, "robust", true, "errors from the influence function; there are no others here")
	f.need("cause", "covariates")
}

func (m *fitFineGray) columns() fitColumns {
	c := m.times.columns()
	c.perUnit = "; covariates that change from row to row have no value for those who had another event and stay at risk: use cox for the hazard of each cause, or the covariates at the start"
	c.apart("covariates", m.covariates...)
	for _, s := range m.strata {
		c.add("strata", s)
	}
	for _, s := range m.censoring {
		c.add("censoring-strata", s)
	}
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitFineGray) check() []string {
	problems := oneOf("ties", m.ties, "breslow", "efron")
	if !m.robust {
		problems = append(problems, "--robust=false: the information says nothing about errors when there are censoring weights; leave it out")
	}
	if m.cause == "0" {
		problems = append(problems, "--cause 0 is censoring, not a cause")
	}
	return append(problems, m.weights.check(m.f)...)
}

func (m *fitFineGray) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	times, err := m.times.read(d)
	if err != nil {
		return nil, err
	}
	f := &survive.CompetingCovaried{Competing: survive.Competing{Stratified: survive.Stratified{Times: times}}}
	if f.Cause, f.CauseNames, err = d.causes(m.times.event); err != nil {
		return nil, err
	}
	if f.Stratum, err = d.strata(m.strata); err != nil {
		return nil, err
	}
	if f.CensoringStratum, err = d.strata(m.censoring); err != nil {
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
	r, err := survive.FineGray{Cause: m.cause, Ties: m.ties}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	if row, ok := r.Details["wald"].(survive.ChiSquareRow); ok {
		out.tables = append(out.tables, fitTable{title: "All terms at once", header: []string{"test", "chi-square", "df", "p"},
			rows: [][]any{{"wald", row.Statistic, row.DF, row.P}}})
	} else {
		out.notes = append(out.notes, table.Note{Code: "no-joint-test", Args: map[string]any{"test": "wald"},
			Text: "The wald test of all terms is null: there are fewer independent units than terms."})
	}
	return out, nil
}
