package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/ingest"
	"utfall/table"
)

// fitTrait is an item response model: grm, 2pl, rasch, pcm or gpcm.
type fitTrait struct {
	model                    progress.ItemModel
	f                        *flagSet
	items                    []string
	treatment, wave, cluster string
	shift, free              []string
	weights                  fitWeights
}

func (m *fitTrait) flags(f *flagSet) {
	m.f = f
	f.list(&m.items, "items", "`columns`: the items of one scale; a row may lack answers")
	f.column(&m.treatment, "treatment", "1 = participant, 0 = comparison: the trait has a mean and a spread of its own in each group")
	f.column(&m.wave, "wave", "two values: before and after, in their order; one row a person (--id) and wave")
	f.list(&m.shift, "shift", "`columns`: items whose thresholds may all move by one amount between the waves")
	f.list(&m.free, "free", "`columns`: items with thresholds and slope of their own after")
	m.weights.flags(f, "sampling", "")
	f.column(&m.cluster, "cluster", "people with one value depend on each other, such as a matched set")
	f.need("items")
}

func (m *fitTrait) columns() fitColumns {
	c := fitColumns{unique: m.wave == ""}
	for _, name := range m.items {
		c.put(fitColumn{flag: "items", name: name, missing: true, apart: true})
	}
	c.apart("treatment", m.treatment)
	c.apart("wave", m.wave)
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitTrait) check() (problems []string) {
	if n := len(m.items); n == 1 {
		problems = append(problems, "--items needs two columns or more")
	}
	if m.cluster != "" && m.weights.column != "" && m.weights.kind == string(estimate.Frequency) {
		problems = append(problems, "--weight-kind frequency does not go with --cluster; write one person a row")
	}
	if m.wave != "" && !m.f.given("id") {
		problems = append(problems, "--wave needs --id: which rows are of one person")
	}
	for flag, list := range map[string][]string{"shift": m.shift, "free": m.free} {
		if len(list) > 0 && m.wave == "" {
			problems = append(problems, fmt.Sprintf("--%s goes with --wave", flag))
		}
		for _, name := range list {
			if !slices.Contains(m.items, name) {
				problems = append(problems, fmt.Sprintf("--%s names %q, which is not one of --items", flag, name))
			}
		}
	}
	slices.Sort(problems)
	return append(problems, m.weights.check(m.f)...)
}

// answers reads a column of answers; a missing one is NaN.
func (d *fitData) answers(name string) ([]float64, error) {
	c, err := d.t.Column(name)
	if err != nil {
		return nil, err
	}
	if c.Missing() == 0 {
		return d.numbers(name)
	}
	out := make([]float64, d.t.Rows())
	if c.Missing() == len(out) {
		return nil, &ingest.Problem{File: d.file, Column: name, Code: "all-missing", Text: "nobody answered this item; leave it out"}
	}
	if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
		err := d.notNumber(name)
		var p *ingest.Problem
		if errors.As(err, &p) {
			p.Text += ": write the answers as numbers in their order"
		}
		return nil, err
	}
	f, err := d.t.Float(name)
	if err != nil {
		return nil, err
	}
	for i, v := range f.Values {
		out[i] = v
		if !f.Has(i) {
			out[i] = math.NaN()
		} else if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, d.at(i, name, fmt.Errorf("not a finite number"))
		}
	}
	return out, nil
}

func (m *fitTrait) read(d *fitData) (*mat.Dense, error) {
	x := mat.NewDense(len(d.units), len(m.items), nil)
	for j, name := range m.items {
		v, err := d.answers(name)
		if err != nil {
			return nil, err
		}
		x.SetCol(j, v)
	}
	return x, nil
}

func (m *fitTrait) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if m.wave != "" {
		return m.waves(ctx, d)
	}
	x, err := m.read(d)
	if err != nil {
		return nil, err
	}
	a := &progress.Answers{Unit: d.units, Names: m.items, X: x, Level: d.level}
	if a.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if a.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	if m.treatment != "" {
		if a.Group, a.GroupNames, err = m.arms(d); err != nil {
			return nil, err
		}
	}
	r, err := m.estimate(ctx, a, d.workers)
	if err != nil {
		return nil, err
	}
	if n := r.N.Units; n < fewPersons {
		d.note("few-persons", map[string]any{"persons": n}, "%s", fmt.Sprintf("There are %d persons, fewer than %d: the intervals are not to be trusted.", n, fewPersons))
	}
	for i, g := range a.Group {
		if s, ok := r.Details["scores"].(progress.TraitScores); ok && !math.IsNaN(s.EAP[i]) {
			r.N.Treated += g
		}
	}
	out := newFitOutput(r)
	if m.treatment != "" {
		out.addNotes(fewInArms(r.N))
	}
	out.tables = append(out.tables, m.scale(r))
	return out, nil
}

// arms numbers comparison people 0 and participants 1.
func (m *fitTrait) arms(d *fitData) ([]int, []string, error) {
	treated, err := d.binary(m.treatment)
	if err != nil {
		return nil, nil, err
	}
	out := make([]int, len(treated))
	for i, t := range treated {
		if t {
			out[i] = 1
		}
	}
	return out, []string{"0", "1"}, nil
}

func (m *fitTrait) estimate(ctx context.Context, a *progress.Answers, workers int) (*estimate.Result, error) {
	switch m.model {
	case progress.Graded:
		return progress.GradedResponse{Workers: workers}.Fit(ctx, a)
	case progress.TwoParameterLogistic:
		return progress.TwoParameter{Workers: workers}.Fit(ctx, a)
	case progress.RaschModel:
		return progress.Rasch{Workers: workers}.Fit(ctx, a)
	default:
		return progress.PartialCredit{Slopes: m.model == progress.GeneralisedPartialCredit, Workers: workers}.Fit(ctx, a)
	}
}

// scale is the table of what the test tells at each place of the trait.
func (m *fitTrait) scale(r *estimate.Result) fitTable {
	t := fitTable{title: "Information of the test", header: []string{"trait", "information", "error"}}
	information, _ := r.Details["information"].(map[string]float64)
	for x := -3; x <= 3; x++ {
		if v, ok := information[fmt.Sprint(x)]; ok {
			t.rows = append(t.rows, []any{fmt.Sprint(x), v, 1 / math.Sqrt(v)})
		}
	}
	return t
}
