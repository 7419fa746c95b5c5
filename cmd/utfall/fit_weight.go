package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"utfall/cohort"
	"utfall/table"
)

// fitWeight weights units so that two groups become alike.
type fitWeight struct {
	treatment, score string
	covariates       []string
	method, estimand string
	moments          int
	interactions     bool
	trim             cohort.TrimSpec
	truncate         float64
	out              string
	propensityFlags
}

func (m *fitWeight) flags(f *flagSet) {
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated: of the weights and the balance")
	f.text(&m.method, "method", cohort.IPWMethod, "ipw, overlap, matching-weights, entropy or cbps")
	f.text(&m.estimand, "estimand", "", "att (default), atc or ate; ato is that of overlap, atm of matching-weights")
	f.column(&m.score, "score", "a probability of treatment made elsewhere, instead of the propensity model")
	f.whole(&m.moments, "moments", 0, "of entropy and cbps: balance powers of number columns, 1 (default), 2 or 3")
	f.yes(&m.interactions, "interactions", false, "of entropy and cbps: balance the products of every two columns, too")
	f.text(&m.trim.Rule, "trim", "", "leave out units with extreme scores, by crump, sturmer or fixed: the effect is then about the others")
	f.number(&m.trim.Low, "trim-low", 0, "least `score` kept by --trim fixed")
	f.number(&m.trim.High, "trim-high", 0, "largest `score` kept by --trim fixed")
	f.number(&m.trim.Percentile, "trim-percentile", 0, "`per cent` of the treated below, and of the untreated above, left out by --trim sturmer (default 5)")
	f.yes(&m.trim.Refit, "trim-refit", false, "fit the model again to the units that are left")
	f.number(&m.truncate, "truncate", 0, "cut weights above this `quantile` of their group, for example 0.99 (biases the answer)")
	f.text(&m.out, "out", "", "`file` for the rows, as CSV with weight and score")
	m.propensityFlags.flags(f)
	f.need("treatment", "covariates")
}

// spec is the weighting that the flags state.
func (m *fitWeight) spec() cohort.WeightSpec {
	s := cohort.WeightSpec{Method: m.method, Estimand: m.estimand, Moments: m.moments, Interactions: m.interactions, Truncate: m.truncate}
	if m.trim.Rule != "" {
		s.Trim = &m.trim
	}
	if m.propensityFlags.given() {
		p := m.propensityFlags.spec(nil)
		s.Propensity = &p
	}
	return s
}

func (m *fitWeight) check() (problems []string) {
	problems = append(m.propensityFlags.check(), optionTexts(m.spec().Check())...)
	given := m.propensityFlags.f.given
	if m.score != "" && m.trim.Rule == "" && slices.Contains([]string{cohort.EntropyMethod, cohort.CBPSMethod}, m.method) {
		problems = append(problems, fmt.Sprintf("--method %s does not use --score", m.method))
	}
	if m.score != "" && m.propensityFlags.given() {
		problems = append(problems, "--score is a score made elsewhere, so that no model of it is fitted: leave out --model and its flags")
	}
	if m.score != "" && m.trim.Refit {
		problems = append(problems, "--trim-refit fits a model again, and --score has none")
	}
	for _, name := range []string{"trim-low", "trim-high", "trim-percentile", "trim-refit"} {
		if m.trim.Rule == "" && given(name) {
			problems = append(problems, fmt.Sprintf("--%s is used with --trim alone", name))
		}
	}
	if given("trim") && m.trim.Rule == "" {
		problems = append(problems, "--trim is empty")
	}
	for name, zero := range map[string]bool{"moments": m.moments == 0, "truncate": m.truncate == 0, "trim-percentile": m.trim.Percentile == 0} {
		if given(name) && zero {
			problems = append(problems, fmt.Sprintf("--%s must be above 0", name))
		}
	}
	slices.Sort(problems)
	return problems
}

func (m *fitWeight) columns() fitColumns {
	c := fitColumns{unique: true, all: m.out != ""}
	c.apart("treatment", m.treatment)
	c.apart("covariates", m.covariates...)
	c.add("score", m.score)
	c.apart("site", m.site)
	c.add("cluster", m.person)
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
	got, err := m.spec().Weigh(ctx, t, spec)
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
	if p := got.Propensity; p != nil {
		out.details["propensity"] = modelDetails(p)
	}
	if got.Coef != nil {
		coefficients := map[string]float64{}
		for j, name := range got.Names {
			coefficients[name] = got.Coef[j]
		}
		out.details["coefficients"] = coefficients
	}
	if t := got.Trim; t != nil {
		out.details["trim"] = map[string]any{
			"rule": t.Rule, "low": t.Low, "high": t.High, "refit": t.Refit,
			"treated": map[string]int{"before": t.TreatedBefore, "below": t.TreatedBelow, "above": t.TreatedAbove, "after": t.TreatedAfter},
			"control": map[string]int{"before": t.ControlBefore, "below": t.ControlBelow, "above": t.ControlAbove, "after": t.ControlAfter},
		}
	}
	if m.truncate > 0 {
		out.details["truncated"] = map[string]any{"quantile": m.truncate, "n": got.Truncated}
	}
	if finite(got.Imbalance) {
		out.details["imbalance"], out.details["iterations"] = got.Imbalance, got.Iterations
	}
	out.notes = append(slices.Clone(got.Notes), notes...)
	counts := [][]any{{"all", n, len(treated) - n}}
	if t := got.Trim; t != nil {
		counts = append(counts, []any{"trimmed", t.TreatedBefore - t.TreatedAfter, t.ControlBefore - t.ControlAfter})
	}
	out.tables = []fitTable{{title: "Units", header: []string{"", "treated", "control"}, rows: append(counts, []any{"weighted, effective", got.ESSTreated, got.ESSControl})}}
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
