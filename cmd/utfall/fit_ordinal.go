package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/table"
)

// likelihoodKinds are the covariances of methods that maximise a likelihood of their own.
var likelihoodKinds = []string{"iid", "hc0", "hc1", "cr0", "cr1"}

// fitOrdinal is regression of an ordered outcome.
type fitOrdinal struct {
	f             *flagSet
	outcome       string
	covariates    []string
	order         []string
	link          string
	weights       fitWeights
	vcov, cluster string
}

func (m *fitOrdinal) flags(f *flagSet) {
	m.f = f
	f.column(&m.outcome, "outcome", "the level that was reached")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.list(&m.order, "order", "`low,…,high`: the levels from the lowest to the highest (default: the values of a column of numbers)")
	f.text(&m.link, "link", "logit", "logit (proportional odds), probit or cloglog (proportional hazards)")
	m.weights.flags(f, "sampling", "")
	likelihoodErrors(f, &m.vcov, &m.cluster)
	f.need("outcome", "covariates")
}

// likelihoodErrors declares the flags about errors of these methods.
func likelihoodErrors(f *flagSet, vcov, cluster *string) {
	f.text(vcov, "vcov", "", "covariance: "+strings.Join(likelihoodKinds, ", ")+" (default: cr1 with --cluster, hc1 with weights, else iid)")
	f.column(cluster, "cluster", "rows with the same value are dependent")
}

// checkLikelihood says where covariance, clusters and weights do not go together.
// Weights of no stated kind are frequencies with iid, as in R.
func checkLikelihood(f *flagSet, vcov, cluster string, w *fitWeights) (problems []string) {
	if w.column != "" && vcov == "iid" && !f.given("weight-kind") {
		w.kind = string(estimate.Frequency)
	}
	problems = append(oneOf("vcov", vcov, likelihoodKinds...), w.check(f)...)
	switch {
	case strings.HasPrefix(vcov, "cr") && cluster == "":
		problems = append(problems, fmt.Sprintf("--vcov %s needs --cluster", vcov))
	case vcov != "" && !strings.HasPrefix(vcov, "cr") && cluster != "":
		problems = append(problems, fmt.Sprintf("--vcov %s does not use --cluster", vcov))
	case vcov == "iid" && w.column != "" && w.kind != string(estimate.Frequency):
		problems = append(problems, fmt.Sprintf("--vcov iid has no meaning with %s weights; use hc1 or a clustered one", w.kind))
	}
	return problems
}

func (m *fitOrdinal) check() []string {
	problems := append(oneOf("link", m.link, "logit", "probit", "cloglog"), checkLikelihood(m.f, m.vcov, m.cluster, &m.weights)...)
	for i, l := range m.order {
		if l == "" || slices.Contains(m.order[:i], l) {
			problems = append(problems, fmt.Sprintf("--order names the level %q twice or not at all", l))
		}
	}
	if len(m.order) == 1 {
		problems = append(problems, "--order needs two levels or more")
	}
	return problems
}

func (m *fitOrdinal) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitOrdinal) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: d.units, Level: d.level}
	var levels []string
	var err error
	if f.Y, levels, err = m.levels(d); err != nil {
		return nil, err
	}
	if f.X, f.XNames, err = d.design(m.covariates); err != nil {
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
	r, err := effect.Ordinal{Link: effect.Link(m.link), Levels: levels, Vcov: effect.Vcov(m.vcov), Workers: d.workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r), nil
}

// levels numbers the outcome from 0 in the order given, or by value.
func (m *fitOrdinal) levels(d *fitData) ([]float64, []string, error) {
	text, err := d.text(m.outcome, "")
	if err != nil {
		return nil, nil, err
	}
	names := m.order
	if len(names) == 0 {
		c, err := d.t.Column(m.outcome)
		if err != nil {
			return nil, nil, err
		}
		names = slices.Compact(slices.Sorted(slices.Values(text)))
		if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
			for _, n := range names {
				if _, err := strconv.ParseFloat(n, 64); err != nil {
					return nil, nil, usage("--order low,…,high is needed: the levels of %q are words", m.outcome)
				}
			}
		}
		slices.SortFunc(names, func(a, b string) int {
			x, _ := strconv.ParseFloat(a, 64)
			y, _ := strconv.ParseFloat(b, 64)
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return strings.Compare(a, b)
		})
		if len(names) > 50 {
			return nil, nil, usage("the outcome %q has %d levels; an ordered regression is for a few: use fit ols", m.outcome, len(names))
		}
	}
	at := make(map[string]float64, len(names))
	for i, n := range names {
		at[n] = float64(i)
	}
	if i := d.first(func(i int) bool { _, ok := at[text[i]]; return !ok }); i >= 0 {
		return nil, nil, d.at(i, m.outcome, fmt.Errorf("a level that --order does not name; it names %s", strings.Join(m.order, ", ")))
	}
	y := make([]float64, len(text))
	for i, v := range text {
		y[i] = at[v]
	}
	return y, names, nil
}
