package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"utfall/cohort"
	"utfall/table"
)

// fitMatch is a matching design.
type fitMatch struct {
	f                              *flagSet
	treatment, score               string
	covariates, exact, caliperOn   []string
	method, distance               string
	ratio                          int
	replace                        bool
	caliper, caliperRaw, caliperSc float64
	order, ties, estimand, out     string
	seed                           uint64
	cells                          fitCells
	flow                           fitFlow
}

func (m *fitMatch) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated: of the propensity model, the metric and the balance")
	f.text(&m.method, "method", "nearest", strings.Join(cohort.MatchMethods(), ", "))
	m.cells.flags(f)
	m.flow.flags(f)
	f.text(&m.distance, "distance", "", "logit (default), linear-logit, mahalanobis, robust-mahalanobis or euclidean")
	f.whole(&m.ratio, "ratio", 1, "most partners per unit")
	f.yes(&m.replace, "replace", false, "a partner may serve several units")
	f.number(&m.caliper, "caliper", 0, "widest distance, in SD of the score over all units")
	f.number(&m.caliperRaw, "caliper-raw", 0, "widest distance, in its own units")
	f.list(&m.caliperOn, "caliper-on", "`column=width`: widest difference in a column, in its units")
	f.number(&m.caliperSc, "caliper-score", 0, "widest difference in the propensity score, in its SD, when the distance is a metric")
	f.list(&m.exact, "exact", "`columns` on which partners must be equal")
	f.text(&m.order, "order", "", "who chooses first: largest, smallest, data, closest or random (default: largest score; data for a metric alone)")
	f.text(&m.ties, "ties", "", "at equal distances: hash (of the id; default) or data (first in the file)")
	f.text(&m.estimand, "estimand", "att", "att or atc; ate too with full, exact, cem and subclass")
	f.column(&m.score, "score", "a score made elsewhere, instead of the propensity model")
	f.seed(&m.seed, "key of ties and of the random order")
	f.text(&m.out, "out", "", "`file` for the matched rows, as CSV with set, weight and score")
	f.need("treatment")
}

func (m *fitMatch) spec() (cohort.MatchSpec, []string) {
	on, problems := parsePairs("caliper-on", m.caliperOn)
	s := cohort.MatchSpec{
		Method: m.method, Distance: m.distance, Ratio: m.ratio, Replace: m.replace, CaliperOn: on,
		Exact: m.exact, Order: m.order, Ties: m.ties, Estimand: m.estimand, Seed: m.seed,
	}
	if m.f.given("caliper") {
		s.Caliper = &m.caliper
	}
	if m.f.given("caliper-raw") {
		s.CaliperRaw = &m.caliperRaw
	}
	if m.f.given("caliper-score") {
		s.CaliperScore = &m.caliperSc
	}
	problems = append(problems, m.flow.spec(&s)...)
	return s, append(problems, m.cells.spec(&s)...)
}

func (m *fitMatch) check() []string {
	s, problems := m.spec()
	problems = append(problems, m.unused(&s)...)
	for _, err := range s.Check() {
		problems = append(problems, strings.TrimPrefix(err.Error(), cohort.ErrOption.Error()+": "))
	}
	if m.ofCells() {
		return append(problems, m.checkCells()...)
	}
	metric := m.distance != "" && !strings.HasSuffix(m.distance, "logit")
	if m.ratio == 0 {
		problems = append(problems, "--ratio must be at least 1")
	}
	if len(m.covariates) == 0 && (m.score == "" || metric) {
		problems = append(problems, "--covariates is needed")
	}
	if m.score != "" && m.distance != "" && !metric {
		problems = append(problems, "--score is the distance itself; leave --distance "+m.distance+" out")
	}
	if m.score != "" && metric && !m.f.given("caliper-score") {
		problems = append(problems, "--score is not used with --distance "+m.distance+" unless --caliper-score is given")
	}
	if m.f.given("seed") && m.ties == cohort.DataTies && m.order != cohort.RandomOrder {
		problems = append(problems, "--seed is not used with --ties data")
	}
	return problems
}

func (m *fitMatch) columns() fitColumns {
	c := fitColumns{unique: true, all: m.out != ""}
	c.apart("treatment", m.treatment)
	c.apart("covariates", m.covariates...)
	c.add("score", m.score)
	for _, n := range m.exact {
		c.add("exact", n)
	}
	on, _ := parsePairs("caliper-on", m.caliperOn)
	for _, s := range m.caliperOn {
		n := s[:max(0, strings.LastIndex(s, "="))]
		if _, ok := on[n]; ok {
			c.add("caliper-on", n)
			delete(on, n)
		}
	}
	return c
}

func (m *fitMatch) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	s, _ := m.spec()
	design, err := s.Matcher()
	if err != nil {
		return nil, err
	}
	original := d.t
	if _, err := d.treated(m.treatment); err != nil {
		return nil, err
	}
	t, err := d.named()
	if err != nil {
		return nil, err
	}
	spec := cohort.Spec{Treatment: m.treatment, ID: unitName, Covariates: m.covariates, Score: m.score, Workers: d.workers}
	got, err := design.Match(ctx, t, spec)
	if err != nil {
		return nil, tooLarge(err)
	}
	balance, notes, err := got.Balance(ctx, t, spec)
	if err != nil {
		return nil, err
	}
	out := m.output(d, got)
	out.notes = append(append(out.notes, got.Notes...), notes...)
	cellsOutput(got, out)
	flowOutput(got, out)
	addBalance(out, balance, true, false)
	if m.out != "" {
		if err := m.write(d, got, original, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (m *fitMatch) output(d *fitData, got *cohort.Matched) *fitOutput {
	c := got.Counts
	pairs := make([][2]string, len(got.Pairs))
	total := 0.0
	for i, p := range got.Pairs {
		pairs[i] = [2]string{d.units[p[0]], d.units[p[1]]}
		total += got.PairDistance[i]
	}
	sets := unitNumbers{d, func(i int) (float64, bool) { return float64(got.Set[i]), got.Set[i] > 0 }}
	out := &fitOutput{n: map[string]int{"units": d.t.Rows(), "treated": c.Treated, "sets": c.Sets}, details: map[string]any{
		"method": m.method, "estimand": got.Estimand, "pairs": pairs, "pair_distance": got.PairDistance, "sum_distance": total,
		"sets": sets, "weights": d.byUnit(got.Weight),
		"counts": map[string]any{
			"treated": c.Treated, "control": c.Control, "matched_treated": c.MatchedTreated, "matched_control": c.MatchedControl,
			"unmatched_treated": c.Treated - c.MatchedTreated, "unmatched_control": c.Control - c.MatchedControl,
			"sets": c.Sets, "pairs": c.Pairs, "exact_groups": c.Blocks, "incomplete_sets": c.Incomplete, "max_reuse": c.MaxReuse,
			"ess_treated": c.ESSTreated, "ess_control": c.ESSControl,
		},
	}}
	if got.Score != nil {
		out.details["scores"], out.details["score"] = d.byUnit(got.Score), got.ScoreName
		if got.ScoreSD > 0 {
			out.details["score_sd"] = got.ScoreSD
		}
	}
	if p := got.Propensity; p != nil {
		coef := map[string]float64{}
		for j, n := range p.Names {
			coef[n] = p.Coef[j]
		}
		out.details["propensity"] = map[string]any{"link": p.Link, "coefficients": coef, "log_likelihood": p.LogLik}
	}
	var rows []any
	for _, u := range got.Calipers {
		rows = append(rows, map[string]any{"on": u.On, "width": u.Width, "attempts": u.Attempts, "bound": u.Bound})
		if u.On == "distance" || u.On == "score" {
			out.details["caliper_used_raw"] = u.Width
		}
	}
	if rows != nil {
		out.details["calipers"] = rows
	}
	counts := fitTable{title: "Units", header: []string{"", "treated", "control"}, rows: [][]any{
		{"all", c.Treated, c.Control}, {"matched", c.MatchedTreated, c.MatchedControl},
		{"matched, effective", c.ESSTreated, c.ESSControl},
		{"unmatched", c.Treated - c.MatchedTreated, c.Control - c.MatchedControl},
	}}
	out.tables = []fitTable{counts}
	return out
}

// write puts the matched rows into --out.
func (m *fitMatch) write(d *fitData, got *cohort.Matched, original *table.Table, out *fitOutput) error {
	for _, n := range []string{cohort.SetColumn, cohort.WeightColumn, cohort.ScoreColumn} {
		if original.Has(n) && (n != cohort.ScoreColumn || got.Score != nil) {
			out.notes = append(out.notes, table.Note{Code: "column-replaced", Text: fmt.Sprintf("The column %q of the data is replaced in --out by that of the matching.", n), Args: map[string]any{"column": n}})
		}
	}
	treated, err := d.treated(m.treatment)
	if err != nil {
		return err
	}
	if err := got.VerifyWritten(treated, m.estimand); err != nil {
		return err
	}
	t, err := got.Table(original)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writeTable(&b, t); err != nil {
		return err
	}
	if got.Replaced {
		out.notes = append(out.notes, table.Note{Code: "partners-without-set", Text: "Matched with replacement a partner may be in several sets: in --out only the units served have a set."})
	}
	out.details["out"] = map[string]any{"rows": t.Rows()}
	return replaceFile(m.out, b.Bytes())
}
