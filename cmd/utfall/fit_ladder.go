package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// fitLadder is win statistics of an ordered step at one time.
type fitLadder struct {
	f                  *flagSet
	treatment, outcome string
	order, strata      []string
	cluster            string
	weights            fitWeights
	odds               bool
}

func (m *fitLadder) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "1 = participant, 0 = comparison")
	f.column(&m.outcome, "outcome", "step that the person has reached")
	f.list(&m.order, "order", "`low,…,high`: the steps from the lowest to the highest; a=b puts two on one step (default: the values of a column of numbers)")
	f.list(&m.strata, "strata", "`columns`: people are compared within their values only")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "people with one value depend on each other, such as a matched set")
	f.yes(&m.odds, "odds", false, "also the odds ratio of being on a step or above: one for all steps, one for each, and whether they differ")
	f.need("treatment", "outcome")
}

func (m *fitLadder) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.apart("outcome", m.outcome)
	c.apart("strata", m.strata...)
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitLadder) check() []string {
	_, problems := m.rank()
	if m.cluster != "" && m.weights.column != "" && m.weights.kind == string(estimate.Frequency) {
		problems = append(problems, "--weight-kind frequency does not go with --cluster; write one person a row")
	}
	if m.odds && len(m.strata) > 0 {
		problems = append(problems, "--odds does not use --strata")
	}
	if m.odds && m.weights.kind == string(estimate.Frequency) {
		problems = append(problems, "--odds needs one person a row, not --weight-kind frequency")
	}
	return append(problems, m.weights.check(m.f)...)
}

// rank numbers the declared steps from 1.
func (m *fitLadder) rank() (map[string]float64, []string) {
	out := map[string]float64{}
	var problems []string
	for k, step := range m.order {
		for _, name := range strings.Split(step, "=") {
			if _, twice := out[name]; twice || name == "" {
				problems = append(problems, fmt.Sprintf("--order names the step %q twice or not at all", name))
			}
			out[name] = float64(k + 1)
		}
	}
	if len(m.order) == 1 {
		problems = append(problems, "--order needs two steps or more")
	}
	return out, problems
}

// steps reads the outcome as numbers of which the order counts.
func (m *fitLadder) steps(d *fitData) ([]float64, error) {
	if len(m.order) == 0 {
		c, err := d.t.Column(m.outcome)
		if err != nil {
			return nil, err
		}
		if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
			return nil, usage("--order low,…,high is needed: the steps of %q are words", m.outcome)
		}
		return d.numbers(m.outcome)
	}
	rank, _ := m.rank()
	names, err := d.text(m.outcome, "")
	if err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return rank[names[i]] == 0 }); i >= 0 {
		return nil, d.at(i, m.outcome, fmt.Errorf("a step that --order does not name; it names %s", strings.Join(m.order, ", ")))
	}
	out := make([]float64, len(names))
	for i, n := range names {
		out[i] = rank[n]
	}
	return out, nil
}

// cells numbers the combinations of columns; their names are the values, joined with a slash.
func (d *fitData) cells(columns []string) ([]int, []string, error) {
	names := make([]string, d.t.Rows())
	for k, c := range columns {
		values, err := d.text(c, "")
		if err != nil {
			return nil, nil, err
		}
		for i, v := range values {
			if k > 0 {
				v = names[i] + "/" + v
			}
			names[i] = v
		}
	}
	number := map[string]int{}
	for _, n := range names {
		number[n] = 0
	}
	sorted := slices.Sorted(maps.Keys(number))
	for i, n := range sorted {
		number[n] = i
	}
	codes := make([]int, len(names))
	for i, n := range names {
		codes[i] = number[n]
	}
	return codes, sorted, nil
}

// fewInArms says which arms are too small for their intervals to be trusted, participants first.
func fewInArms(n estimate.Counts) (notes []table.Note) {
	for _, arm := range []struct {
		name    string
		persons int
	}{{"treated", n.Treated}, {"control", n.Units - n.Treated}} {
		if arm.persons < fewPersons {
			notes = append(notes, table.Note{Code: "few-persons", Args: map[string]any{"group": arm.name, "persons": arm.persons},
				Text: fmt.Sprintf("The %s arm has %d persons, fewer than %d: its intervals are not to be trusted.", arm.name, arm.persons, fewPersons)})
		}
	}
	return notes
}

func (m *fitLadder) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	s := &progress.Steps{}
	s.Unit, s.Level = d.units, d.level
	var err error
	if s.Treated, err = d.binary(m.treatment); err != nil {
		return nil, err
	}
	if s.Y, err = m.steps(d); err != nil {
		return nil, err
	}
	if s.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if len(m.strata) > 0 {
		if s.Stratum, s.StratumNames, err = d.cells(m.strata); err != nil {
			return nil, err
		}
	}
	if m.cluster != "" {
		if s.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	r, err := progress.Wins{MinPerArm: 1, Workers: d.workers}.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, fewInArms(r.N)...)
	slices.SortStableFunc(r.Notes, func(a, b table.Note) int { return strings.Compare(a.Code, b.Code) })
	out := newFitOutput(r, "treated")
	if m.odds {
		o, err := progress.StepOdds{MinPerArm: 1, Workers: d.workers}.Fit(ctx, &s.Frame)
		if err != nil {
			return nil, err
		}
		for _, e := range o.Estimates {
			if k, ok := strings.CutPrefix(e.Term, "step>="); ok && len(m.order) > 0 {
				n, err := strconv.Atoi(k)
				if err != nil {
					return nil, err
				}
				e.Term = "step>=" + m.order[n-1]
			}
			e.Term = "odds," + e.Term
			out.estimates = append(out.estimates, e)
		}
		for _, key := range []string{"proportional_odds", "proportional_odds_wald", "loglik"} {
			if v, ok := o.Details[key]; ok {
				out.details["odds_"+key] = v
			}
		}
		out.addNotes(o.Notes)
	}
	out.tables = append(out.tables, m.shares(r), strataTable(r))
	out.tables = slices.DeleteFunc(out.tables, func(t fitTable) bool { return len(t.rows) == 0 })
	return out, nil
}

// shares is the table of steps, with the names that the order gives them.
func (m *fitLadder) shares(r *estimate.Result) fitTable {
	t := fitTable{title: "Share on each step", header: []string{"step", "treated", "control"}}
	rows, _ := r.Details["step_table"].([]progress.StepShare)
	named := make([]map[string]any, len(rows))
	for i, row := range rows {
		name := shortest(row.Step)
		if len(m.order) > 0 {
			name = m.order[int(row.Step)-1]
		}
		named[i] = map[string]any{"step": name, "share_treated": row.Treated, "share_control": row.Control}
		t.rows = append(t.rows, []any{name, row.Treated, row.Control})
	}
	r.Details["step_table"] = named
	return t
}

func strataTable(r *estimate.Result) fitTable {
	t := fitTable{title: "Win probability by stratum", header: []string{"stratum", "treated", "control", "weight", "win probability", "std.error"}}
	rows, _ := r.Details["per_stratum"].([]progress.StratumWins)
	for _, s := range rows {
		t.rows = append(t.rows, []any{s.Stratum, s.Treated, s.Control, s.Weight, s.WinProb, s.StdError})
	}
	return t
}
