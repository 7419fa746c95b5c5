package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate/progress"
	"utfall/ingest"
)

// fitDistance judges an index of the distance to a later outcome, made and judged among people who did not take part.
type fitDistance struct {
	f                      *flagSet
	outcome, treatment     string
	indicators, covariates []string
	groups                 []string
	year, fold             string
	folds                  int
	seed                   uint64
	lambda                 float64
}

func (m *fitDistance) flags(f *flagSet) {
	m.f = f
	f.column(&m.outcome, "outcome", "the later outcome, 0 or 1")
	f.list(&m.indicators, "indicators", "`columns` known on the way, before the outcome")
	f.list(&m.covariates, "covariates", "`columns` of background, that the indicators are to say more than")
	f.column(&m.treatment, "treatment", "1 = participant: takes no part in making or judging the index")
	f.list(&m.groups, "groups", "`columns` of categories: mean prediction less mean outcome in each level")
	f.column(&m.year, "year", "year of entry: does the index grow old?")
	f.whole(&m.folds, "folds", 5, "of cross-fitting, at least 2")
	f.seed(&m.seed, "of the split into folds")
	f.column(&m.fold, "fold", "a split made elsewhere, a whole number of at least 0 for each row (instead of --folds)")
	f.number(&m.lambda, "lambda", 0, "penalty of the ridge (default: by cross-validation)")
	f.need("outcome", "indicators")
}

func (m *fitDistance) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("indicators", m.indicators...)
	c.apart("covariates", m.covariates...)
	c.apart("treatment", m.treatment)
	for _, g := range m.groups {
		c.add("groups", g)
	}
	c.add("year", m.year)
	c.add("fold", m.fold)
	return c
}

func (m *fitDistance) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	if m.folds < 2 {
		bad("--folds must be at least 2")
	}
	if m.fold != "" && (m.f.given("folds") || m.f.given("seed")) {
		bad("--fold is a split made elsewhere: leave --folds and --seed out")
	}
	if m.f.given("lambda") && !(m.lambda > 0) {
		bad("--lambda must be above 0")
	}
	return problems
}

func (m *fitDistance) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if m.treatment != "" {
		treated, err := d.binary(m.treatment)
		if err != nil {
			return nil, err
		}
		var kept []int
		for i, t := range treated {
			if !t {
				kept = append(kept, i)
			}
		}
		if len(kept) == 0 {
			return nil, &ingest.Problem{File: d.file, Column: m.treatment, Code: "no-rows", Text: "everybody took part: there is nobody to learn from"}
		}
		if gone := len(treated) - len(kept); gone > 0 {
			d.note("participants-left-out", map[string]any{"rows": gone}, "%d participants have no part in the index.", gone)
		}
		d.take(kept)
	}
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	s, err := m.sample(d)
	if err != nil {
		return nil, err
	}
	e := progress.DistanceIndex{Folds: m.folds, Seed: m.seed, Lambda: m.lambda, Workers: d.workers}
	if m.fold != "" {
		e.Folds = 0
	}
	r, err := e.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "events")
	bins := fitTable{title: "Fifths by prediction", header: []string{"persons", "predicted", "observed"}}
	for _, b := range r.Details["quintiles"].([]progress.DistanceBin) {
		bins.rows = append(bins.rows, []any{b.Persons, b.Predicted, b.Observed})
	}
	out.tables = append(out.tables, bins)
	if years, ok := r.Details["years"].([]progress.DistanceYear); ok {
		t := fitTable{title: "By year of entry", header: []string{"year", "persons", "predicted", "observed"}}
		for _, y := range years {
			t.rows = append(t.rows, []any{y.Year, y.Persons, y.Predicted, y.Observed})
		}
		out.tables = append(out.tables, t)
	}
	if groups := r.Details["groups"].(map[string]float64); len(groups) > 0 {
		t := fitTable{title: "Mean prediction less mean outcome", header: []string{"group", "difference"}}
		for _, g := range slices.Sorted(maps.Keys(groups)) {
			t.rows = append(t.rows, []any{g, groups[g]})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}

func (m *fitDistance) sample(d *fitData) (*progress.DistanceSample, error) {
	s := &progress.DistanceSample{Unit: d.units, Level: d.level}
	y, err := d.binary(m.outcome)
	if err != nil {
		return nil, err
	}
	for _, came := range y {
		v := 0.0
		if came {
			v = 1
		}
		s.Y = append(s.Y, v)
	}
	columns := func(names []string) ([]float64, []string, error) {
		x, coded, err := d.design(names)
		if err != nil || x == nil {
			return nil, nil, err
		}
		return mat.DenseCopyOf(x).RawMatrix().Data, coded, nil
	}
	if s.S, s.SNames, err = columns(m.indicators); err != nil {
		return nil, err
	}
	if s.X, s.XNames, err = columns(m.covariates); err != nil {
		return nil, err
	}
	for _, g := range m.groups {
		codes, levels, err := d.codes(g)
		if err != nil {
			return nil, err
		}
		if s.Groups == nil {
			s.Groups = map[string][]bool{}
		}
		for l, name := range levels {
			in := make([]bool, len(codes))
			for i, c := range codes {
				in[i] = c == l
			}
			s.Groups[g+"="+name] = in
		}
	}
	if m.year != "" {
		if s.Year, err = d.integers(m.year); err != nil {
			return nil, err
		}
	}
	if m.fold != "" {
		if s.Fold, err = d.integers(m.fold); err != nil {
			return nil, err
		}
		if i := d.first(func(i int) bool { return s.Fold[i] < 0 || s.Fold[i] > len(s.Fold) }); i >= 0 {
			return nil, d.at(i, m.fold, fmt.Errorf("not the number of a fold, from 0 upwards"))
		}
	}
	return s, nil
}
