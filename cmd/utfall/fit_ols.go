package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/table"
)

var vcovKinds = []string{"iid", "hc0", "hc1", "hc2", "hc3", "hc4", "cr0", "cr1", "cr2", "cr3", "jackknife"}

// fitWeights is a weight column and what its numbers mean.
type fitWeights struct {
	column, kind string
	kinds        []string
}

// precision is the kind of weights that are one over a variance: classical weighted least squares.
const precision = "precision"

func (w *fitWeights) flags(f *flagSet, kind, more string) {
	f.column(&w.column, "weights", "weight of the row, at least 0")
	w.kinds = append(w.kinds, "sampling", "matching", "frequency")
	f.text(&w.kind, "weight-kind", kind, "what weights mean: sampling, matching, frequency (copies of the row)"+more)
}

func (w *fitWeights) check(f *flagSet) (problems []string) {
	if w.column == "" && f.given("weight-kind") {
		problems = append(problems, "--weight-kind goes with --weights")
	}
	return append(problems, oneOf("weight-kind", w.kind, w.kinds...)...)
}

func (w *fitWeights) read(d *fitData) (estimate.Weights, error) {
	v, err := d.weights(w.column)
	if err != nil || v == nil {
		return estimate.Weights{}, err
	}
	if w.kind == string(estimate.Frequency) {
		if i := d.first(func(i int) bool { return v[i] != math.Trunc(v[i]) }); i >= 0 {
			return estimate.Weights{}, d.at(i, w.column, fmt.Errorf("a frequency weight that is not a whole number"))
		}
	}
	return estimate.Weights{Kind: estimate.WeightKind(w.kind), Values: v}, nil
}

// checkVcov says where the covariance estimator does not fit the other options.
func checkVcov(vcov string, clusters bool, clusterFlag string, w fitWeights) (problems []string) {
	problems = choice("vcov", vcov, vcovKinds, "wild")
	switch {
	case len(problems) > 0:
	case (strings.HasPrefix(vcov, "cr") || vcov == "jackknife") && !clusters:
		problems = append(problems, fmt.Sprintf("--vcov %s needs %s", vcov, clusterFlag))
	case vcov != "" && vcov != "jackknife" && !strings.HasPrefix(vcov, "cr") && clusters && clusterFlag == "--cluster":
		problems = append(problems, fmt.Sprintf("--vcov %s does not use --cluster", vcov))
	case vcov != "iid" && w.kind == precision:
		problems = append(problems, "--weight-kind precision goes with --vcov iid; leave it out")
	case vcov == "iid" && w.column != "" && w.kind != string(estimate.Frequency) && w.kind != precision:
		problems = append(problems, fmt.Sprintf("--vcov iid has no meaning with %s weights; use hc1 or a clustered one", w.kind))
	}
	return problems
}

// fitOLS is least squares.
type fitOLS struct {
	f           *flagSet
	outcome     string
	covariates  []string
	absorb      []string
	weights     fitWeights
	errors      fitErrors
	noIntercept bool
}

func (m *fitOLS) flags(f *flagSet) {
	m.f = f
	f.column(&m.outcome, "outcome", "a number")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.list(&m.absorb, "absorb", "`columns` whose values are fixed effects")
	m.weights.kinds = []string{precision}
	m.weights.flags(f, "sampling", " or, with --vcov iid and then the default, precision (one over the variance)")
	m.errors.flags(f)
	f.yes(&m.noIntercept, "no-intercept", false, "fit without a constant")
	f.need("outcome")
}

func (m *fitOLS) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	for _, n := range m.absorb {
		c.add("absorb", n)
	}
	c.add("weights", m.weights.column)
	m.errors.columns(&c)
	return c
}

func (m *fitOLS) check() []string {
	if m.weights.column != "" && m.errors.vcov == "iid" && !m.f.given("weight-kind") {
		m.weights.kind = precision
	}
	problems := append(m.weights.check(m.f), m.errors.check(m.weights)...)
	if len(m.absorb) > 0 {
		if m.noIntercept {
			problems = append(problems, "--no-intercept has no meaning with --absorb, whose effects replace the constant")
		}
		if m.weights.kind == precision {
			problems = append(problems, "--vcov iid with --weights is not built with --absorb; use hc1 or cr1")
		}
	}
	if len(m.covariates) == 0 && (m.noIntercept || len(m.absorb) > 0) {
		problems = append(problems, "--covariates is needed: there is nothing to estimate")
	}
	return problems
}

func (m *fitOLS) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, m.covariates)
	if err != nil {
		return nil, err
	}
	if m.weights.kind == precision {
		return m.weighted(ctx, d, f)
	}
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	o := effect.OLS{Vcov: effect.Vcov(m.errors.vcov), NoIntercept: m.noIntercept, AbsorbNames: m.absorb, Workers: d.workers}
	for _, n := range m.absorb {
		codes, _, err := d.codes(n)
		if err != nil {
			return nil, err
		}
		o.Absorb = append(o.Absorb, codes)
	}
	if o.Second, o.Conley, o.Wild, err = m.errors.read(d, f); err != nil {
		return nil, err
	}
	r, err := o.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r)
	describeClusters(out)
	return out, nil
}

// weighted is classical weighted least squares, V(y) = σ²/w: least squares of √w·y on √w·x.
func (m *fitOLS) weighted(ctx context.Context, d *fitData, f *estimate.Frame) (*fitOutput, error) {
	w, err := d.weights(m.weights.column)
	if err != nil {
		return nil, err
	}
	n, k := len(f.Y), len(f.XNames)
	names := f.XNames
	if !m.noIntercept {
		names = append([]string{"(intercept)"}, names...)
	}
	g := &estimate.Frame{Level: d.level, XNames: names}
	var x []float64
	for i := range n {
		if w[i] == 0 {
			continue
		}
		root := math.Sqrt(w[i])
		g.Unit, g.Y = append(g.Unit, f.Unit[i]), append(g.Y, root*f.Y[i])
		if !m.noIntercept {
			x = append(x, root)
		}
		for j := range k {
			x = append(x, root*f.X.At(i, j))
		}
	}
	g.X = mat.NewDense(len(g.Y), len(names), x)
	r, err := effect.OLS{Vcov: effect.IID, NoIntercept: true, Workers: d.workers}.Fit(ctx, g)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r)
	if dropped := n - len(g.Y); dropped > 0 {
		out.notes = append(out.notes, table.Note{Code: "rows-without-weight", Text: fmt.Sprintf("%d rows with weight 0 are not part of the estimate.", dropped), Args: map[string]any{"rows": dropped}})
	}
	if sigma, ok := out.details["sigma"].(float64); ok && !m.noIntercept {
		// Of the weighted outcome about its weighted mean, as with any constant.
		var sum, total, tss float64
		for i := range n {
			sum += float64(w[i] * f.Y[i])
			total += w[i]
		}
		for i := range n {
			e := f.Y[i] - sum/total
			tss += float64(w[i] * e * e)
		}
		rows, rank := float64(len(g.Y)), float64(len(names))
		if v, ok := out.details["rank"].(int); ok {
			rank = float64(v)
		}
		unexplained := sigma * sigma * (rows - rank) / tss
		out.details["r_squared"] = 1 - unexplained
		out.details["adj_r_squared"] = 1 - unexplained*(rows-1)/(rows-rank)
	}
	out.notes = append(out.notes, table.Note{Code: "precision-weights", Text: "With vcov iid the weights are taken as one over the variance of the outcome, up to a factor."})
	return out, nil
}

// frame reads outcome and covariates.
func (d *fitData) frame(outcome string, covariates []string) (*estimate.Frame, error) {
	y, err := d.numbers(outcome)
	if err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: d.units, Y: y, Level: d.level}
	f.X, f.XNames, err = d.design(covariates)
	return f, err
}
