package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"utfall/cohort"
	"utfall/table"
)

// fitWeight weights units so that two groups become alike.
type fitWeight struct {
	f                *flagSet
	treatment, score string
	covariates       []string
	method, estimand string
	out              string
}

func (m *fitWeight) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated: of the weights and the balance")
	f.text(&m.method, "method", cohort.IPWMethod, "ipw, overlap, matching-weights, entropy or cbps")
	f.text(&m.estimand, "estimand", "", "att (default), atc or ate; ato is that of overlap, atm of matching-weights")
	f.column(&m.score, "score", "a probability of treatment made elsewhere, instead of the propensity model")
	f.text(&m.out, "out", "", "`file` for the rows, as CSV with weight and score")
	f.need("treatment", "covariates")
}

func (m *fitWeight) check() (problems []string) {
	for _, err := range (cohort.Weighting{Method: m.method, Estimand: m.estimand}).Check() {
		problems = append(problems, strings.TrimPrefix(err.Error(), cohort.ErrOption.Error()+": "))
	}
	if m.score != "" && slices.Contains([]string{cohort.EntropyMethod, cohort.CBPSMethod}, m.method) {
		problems = append(problems, fmt.Sprintf("--method %s does not use --score", m.method))
	}
	return problems
}

func (m *fitWeight) columns() fitColumns {
	c := fitColumns{unique: true, all: m.out != ""}
	c.apart("treatment", m.treatment)
	c.apart("covariates", m.covariates...)
	c.add("score", m.score)
	return c
}

func (m *fitWeight) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	original := d.t
	treated, err := d.treated(m.treatment)
	if err != nil {
		return nil, err
	}
	t, err := d.named()
	if err != nil {
		return nil, err
	}
	spec := cohort.Spec{Treatment: m.treatment, ID: unitName, Covariates: m.covariates, Score: m.score, Workers: d.workers}
	got, err := cohort.Weighting{Method: m.method, Estimand: m.estimand}.Fit(ctx, t, spec)
	if err != nil {
		return nil, err
	}
	b, notes, err := got.Balance(ctx, t, spec)
	if err != nil {
		return nil, err
	}
	n := count(treated)
	out := &fitOutput{n: map[string]int{"units": len(treated), "treated": n}, details: map[string]any{
		"method": got.Method, "estimand": got.Estimand, "weights": d.byUnit(got.Weight),
		"ess": map[string]any{"treated": got.ESSTreated, "control": got.ESSControl},
	}}
	if got.Score != nil {
		out.details["scores"] = d.byUnit(got.Score)
	}
	names, coef := got.Names, got.Coef
	if p := got.Propensity; p != nil {
		names, coef = p.Names, p.Coef
	}
	coefficients := map[string]float64{}
	for j, name := range names {
		coefficients[name] = coef[j]
	}
	switch {
	case got.Propensity != nil:
		out.details["propensity"] = map[string]any{"link": got.Propensity.Link, "coefficients": coefficients, "log_likelihood": got.Propensity.LogLik}
	case coef != nil:
		out.details["coefficients"] = coefficients
	}
	if finite(got.Imbalance) {
		out.details["imbalance"], out.details["iterations"] = got.Imbalance, got.Iterations
	}
	out.notes = append(slices.Clone(got.Notes), notes...)
	out.tables = []fitTable{{title: "Units", header: []string{"", "treated", "control"}, rows: [][]any{
		{"all", n, len(treated) - n}, {"weighted, effective", got.ESSTreated, got.ESSControl},
	}}}
	addBalance(out, b, false, false)
	if m.out != "" {
		if err := m.write(got, original, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// write puts the rows into --out.
func (m *fitWeight) write(got *cohort.Weighted, t *table.Table, out *fitOutput) error {
	cols := []table.Column{table.NewFloat(table.Field{Name: cohort.WeightColumn, Role: table.WeightRole}, got.Weight, nil)}
	if got.Score != nil && m.score == "" {
		cols = append(cols, table.NewFloat(table.Field{Name: cohort.ScoreColumn}, got.Score, nil))
	}
	for _, c := range cols {
		if t.Has(c.Name) {
			out.notes = append(out.notes, table.Note{Code: "column-replaced", Text: fmt.Sprintf("The column %q of the data is replaced in --out by that of the weighting.", c.Name), Args: map[string]any{"column": c.Name}})
		}
		var err error
		if t, err = t.With(c); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := writeTable(&b, t); err != nil {
		return err
	}
	out.details["out"] = map[string]any{"rows": t.Rows()}
	return replaceFile(m.out, b.Bytes())
}
