package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// fitSurrogate forecasts a long-term effect from short-term surrogates.
type fitSurrogate struct {
	f                            *flagSet
	sample, treatment, outcome   string
	surrogates, covariates       []string
	folds                        int
	fold, cluster                string
	seed                         uint64
	outcomeModel, treatmentModel string
	population                   string
	assume                       string
	tilts                        []string
	tilt                         []float64
	weights                      fitWeights
}

// What links the older cohort's outcomes to the programme.
const (
	surrogacy          = "surrogacy"
	latentUnconfounded = "latent-unconfoundedness"
	largestTilt        = 10.0
	benchmarkTitle     = "If the forecast errs as that for the older cohort did"
)

func (m *fitSurrogate) flags(f *flagSet) {
	m.f = f
	f.column(&m.sample, "sample", "0 = the programme, 1 = the older cohort whose long-term outcome is known")
	f.column(&m.treatment, "treatment", "0 or 1; may be empty in the older cohort")
	f.list(&m.surrogates, "surrogates", "`columns` measured after the start and before the outcome")
	f.list(&m.covariates, "covariates", "`columns` measured before the start")
	f.column(&m.outcome, "outcome", "the long-term outcome; may be empty in the programme, where the forecast does not use it")
	f.whole(&m.folds, "folds", 5, "of cross-fitting; 0 = none")
	f.seed(&m.seed, "of the split into folds")
	f.column(&m.fold, "fold", "a split made elsewhere, a whole number of at least 0 for each row (instead of --folds)")
	f.column(&m.cluster, "cluster", "rows with its same value are dependent")
	f.text(&m.outcomeModel, "outcome-model", "", "linear or logistic (default: logistic for an outcome of 0 and 1)")
	f.text(&m.treatmentModel, "treatment-model", "logistic", "of treatment given the covariates: logistic, or constant for a randomised programme")
	f.text(&m.population, "population", "programme", "whom the forecast is about: programme or older")
	f.text(&m.assume, "assume", surrogacy, "surrogacy (surrogates carry the whole effect), or latent-unconfoundedness (learnt apart for the older cohort's treated and others, whose differences go with the outcome only through the surrogates)")
	f.list(&m.tilts, "tilt", "`numbers` above 0: the forecast if odds of the outcome given the surrogates differ from the older cohort's by a factor of up to e^number")
	m.weights.flags(f, "matching", "; frequency is refused here")
	f.need("sample", "treatment", "surrogates", "outcome")
}

func (m *fitSurrogate) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("sample", m.sample)
	c.put(fitColumn{flag: "treatment", name: m.treatment, apart: true, missing: true})
	c.apart("surrogates", m.surrogates...)
	c.apart("covariates", m.covariates...)
	c.put(fitColumn{flag: "outcome", name: m.outcome, apart: true, missing: true})
	c.add("fold", m.fold)
	c.add("cluster", m.cluster)
	c.add("weights", m.weights.column)
	return c
}

func (m *fitSurrogate) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	if m.folds < 0 || m.folds == 1 {
		bad("--folds must be 0 (none) or at least 2")
	}
	switch {
	case m.fold != "" && (m.f.given("folds") || m.f.given("seed")):
		bad("--fold is a split made elsewhere: leave --folds and --seed out")
	case m.folds == 0 && m.f.given("seed"):
		bad("--seed goes with --folds of at least 2")
	}
	problems = append(problems, oneOf("outcome-model", m.outcomeModel, "linear", "logistic")...)
	problems = append(problems, oneOf("treatment-model", m.treatmentModel, "logistic", "constant")...)
	problems = append(problems, oneOf("population", m.population, "programme", "older")...)
	problems = append(problems, oneOf("assume", m.assume, surrogacy, latentUnconfounded)...)
	m.tilt = nil
	for _, s := range m.tilts {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		switch {
		case err != nil || !(v > 0 && v <= largestTilt):
			bad("--tilt: %q is not a number above 0 and at most %v", s, largestTilt)
		case slices.Contains(m.tilt, v):
			bad("--tilt names %s twice", s)
		}
		m.tilt = append(m.tilt, v)
	}
	if m.weights.kind == string(estimate.Frequency) {
		bad("--weight-kind frequency does not go with surrogate; write one person a row")
	}
	return append(problems, m.weights.check(m.f)...)
}

func (m *fitSurrogate) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	s, err := m.frame(d)
	if err != nil {
		return nil, err
	}
	e := progress.Surrogate{Folds: m.folds, Seed: m.seed, OutcomeModel: m.outcomeModel, TreatmentModel: m.treatmentModel, Population: m.population, MinPerArm: 1, Workers: d.workers}
	if m.fold != "" {
		e.Folds = 0
	}
	for _, eta := range m.tilt {
		e.Tilt, e.Region = append(e.Tilt, eta, -eta), append(e.Region, eta)
	}
	fit := e.Fit
	if m.assume == latentUnconfounded {
		fit = progress.OutcomeBridge(e).Fit
	}
	r, err := fit(ctx, s)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r)
	out.details["assume"] = m.assume
	if persons, ok := r.Details["persons"].(map[string]int); ok {
		for _, arm := range []string{"control", "treated", "older-control", "older-treated"} {
			if n, known := persons[arm]; known && n < fewPersons {
				out.notes = append(out.notes, table.Note{Code: "few-persons", Args: map[string]any{"group": arm, "persons": n},
					Text: fmt.Sprintf("An arm has %d persons, fewer than %d: the intervals are not to be trusted.", n, fewPersons)})
			}
		}
	}
	if b, ok := r.Details["benchmark"].(progress.SurrogateBenchmark); ok {
		out.tables = append(out.tables, fitTable{title: benchmarkTitle, header: []string{"times", "from", "to"},
			rows: [][]any{{"1", b.Once[0], b.Once[1]}, {"2", b.Twice[0], b.Twice[1]}}})
	}
	if rows, ok := r.Details["truth"].([]progress.SurrogateTruth); ok && len(rows) > 0 {
		t := fitTable{title: "Forecast against what came", header: []string{"sample", "persons", "long-term", "index", "difference", "from", "to", "margin", "verdict"}}
		for _, x := range rows {
			t.rows = append(t.rows, []any{x.Sample, x.Persons, x.LongTerm, x.Index, x.Difference, x.ConfLow, x.ConfHigh, x.Margin, x.Verdict})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}

func (m *fitSurrogate) frame(d *fitData) (*progress.SurrogateSample, error) {
	s := &progress.SurrogateSample{Unit: d.units, Level: d.level}
	var err error
	if s.Older, err = d.binary(m.sample); err != nil {
		return nil, err
	}
	treated, err := d.partly(m.treatment)
	if err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return treated[i] != 0 && treated[i] != 1 && !math.IsNaN(treated[i]) }); i >= 0 {
		return nil, d.at(i, m.treatment, fmt.Errorf("a value other than 0 and 1"))
	}
	if i := d.first(func(i int) bool { return math.IsNaN(treated[i]) && !s.Older[i] }); i >= 0 {
		return nil, d.at(i, m.treatment, fmt.Errorf("the treatment of a person of the programme is missing; leave the row out with --where"))
	}
	for _, w := range treated {
		s.Treated, s.TreatedKnown = append(s.Treated, w == 1), append(s.TreatedKnown, !math.IsNaN(w))
	}
	if s.Y, err = d.partly(m.outcome); err != nil {
		return nil, err
	}
	if s.S, s.SNames, err = d.design(m.surrogates); err != nil {
		return nil, err
	}
	if s.X, s.XNames, err = d.design(m.covariates); err != nil {
		return nil, err
	}
	if m.fold != "" {
		if s.Fold, err = d.integers(m.fold); err != nil {
			return nil, err
		}
		if i := d.first(func(i int) bool { return s.Fold[i] < 0 || s.Fold[i] > len(s.Fold) }); i >= 0 {
			return nil, d.at(i, m.fold, fmt.Errorf("not the number of a fold, from 0 or 1 upwards"))
		}
	}
	if s.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		s.Cluster, _, err = d.codes(m.cluster)
	}
	return s, err
}

// partly reads a column of numbers in which values may be missing: they are NaN.
func (d *fitData) partly(name string) ([]float64, error) {
	c, err := d.t.Column(name)
	if err != nil {
		return nil, err
	}
	out := make([]float64, d.t.Rows())
	if c.Missing() == len(out) {
		for i := range out {
			out[i] = math.NaN()
		}
		return out, nil
	}
	if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
		const none = "\x00"
		text, err := d.text(name, none)
		if err != nil {
			return nil, err
		}
		value := map[string]float64{none: math.NaN(), "true": 1, "false": 0, "0": 0, "1": 1}
		if i := d.first(func(i int) bool { _, ok := value[strings.ToLower(text[i])]; return !ok }); i >= 0 {
			return nil, d.notNumber(name)
		}
		for i, v := range text {
			out[i] = value[strings.ToLower(v)]
		}
		return out, nil
	}
	f, err := d.t.Float(name)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i] = f.Values[i]; !f.Has(i) {
			out[i] = math.NaN()
		}
	}
	if i := d.first(func(i int) bool { return f.Has(i) && (math.IsNaN(out[i]) || math.IsInf(out[i], 0)) }); i >= 0 {
		return nil, d.at(i, name, fmt.Errorf("not a finite number"))
	}
	return out, nil
}
