package main

import (
	"context"

	"utfall/estimate/effect"
)

// fitCLogit is conditional logistic regression.
type fitCLogit struct {
	outcome       string
	covariates    []string
	sets          string
	vcov, cluster string
}

func (m *fitCLogit) flags(f *flagSet) {
	f.column(&m.outcome, "outcome", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.column(&m.sets, "sets", "matched set, or the person of a panel: rows are compared within it only")
	f.text(&m.vcov, "vcov", "", "covariance: iid, cr0, cr1 (default: cr1 with --cluster, else iid; without --cluster cr0 and cr1 are by set)")
	f.column(&m.cluster, "cluster", "sets with the same value are dependent")
	f.need("outcome", "covariates", "sets")
}

func (m *fitCLogit) check() []string {
	problems := oneOf("vcov", m.vcov, "iid", "cr0", "cr1")
	if m.vcov == "iid" && m.cluster != "" {
		problems = append(problems, "--vcov iid does not use --cluster")
	}
	return problems
}

func (m *fitCLogit) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	c.add("sets", m.sets)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitCLogit) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	if _, err := d.binary(m.outcome); err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, m.covariates)
	if err != nil {
		return nil, err
	}
	if f.Set, _, err = d.codes(m.sets); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if f.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	r, err := effect.CLogit{Vcov: effect.Vcov(m.vcov), Workers: d.workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "sets", "events")
	jointTests(out, "lr", "wald", "score")
	return out, nil
}

// jointTests adds the tests of all terms as a table.
func jointTests(out *fitOutput, names ...string) {
	tests := fitTable{title: "All terms at once", header: []string{"test", "chi-square", "df", "p"}}
	for _, name := range names {
		if row, ok := out.details[name].(map[string]float64); ok && finite(row["statistic"]) {
			tests.rows = append(tests.rows, []any{name, row["statistic"], row["df"], row["p"]})
		}
	}
	out.tables = append(out.tables, tests)
}
