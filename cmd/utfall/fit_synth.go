package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate/panel"
	"utfall/table"
)

// fitSynth compares treated units with a weighted mean of others.
type fitSynth struct {
	f                                    *flagSet
	unit, time, treated, outcome, method string
	errors, lambda, factors              string
	predictors, weights                  []string
	replicates                           int
	seed                                 uint64
	option                               panel.Synthetic
	model                                panel.FactorModel // of mc and ife
}

func (m *fitSynth) flags(f *flagSet) {
	m.f = f
	f.column(&m.unit, "unit", "names the unit that is followed")
	f.column(&m.time, "time", "period, a whole number")
	f.column(&m.treated, "treated", "1 = the unit is treated in the period, 0 = not (yet); treated units stay treated and may start in different periods")
	f.column(&m.outcome, "outcome", "a number")
	f.text(&m.method, "method", panel.SyntheticControl, "sc (synthetic control), sdid (synthetic difference-in-differences), did (equal weights), augmented (sc with ridge regression), mc (matrix completion) or ife (interactive fixed effects)")
	f.text(&m.errors, "se", panel.PlaceboErrors, "placebo, jackknife, bootstrap, conformal (sc, sdid, did) or none")
	f.whole(&m.replicates, "replicates", 200, "of placebo and bootstrap errors")
	f.seed(&m.seed, "of placebo and bootstrap errors")
	f.list(&m.predictors, "predictors", "`columns` that the synthetic control shall be like the treated in (method sc), each with a window: column:from-to")
	f.list(&m.weights, "predictor-weights", "`numbers`: importance of each predictor (default: searched)")
	f.text(&m.lambda, "lambda", "auto", "penalty of methods augmented and mc: a number, or auto")
	f.text(&m.factors, "factors", "auto", "method ife: `number` of factors, or auto")
	f.need("unit", "time", "treated", "outcome")
}

func (m *fitSynth) columns() fitColumns {
	c := fitColumns{}
	c.apart("unit", m.unit)
	c.apart("time", m.time)
	c.apart("treated", m.treated)
	c.apart("outcome", m.outcome)
	var named []string
	for _, p := range m.predictors {
		if name, _, _, err := predictorWindow(p); err == nil && !slices.Contains(named, name) {
			named = append(named, name)
			c.put(fitColumn{flag: "predictors", name: name, missing: true})
		}
	}
	return c
}

// predictorWindow reads column:from-to; without a window from and to are nil.
func predictorWindow(s string) (name string, from, to *int, err error) {
	at := strings.LastIndex(s, ":")
	if at < 0 {
		return s, nil, nil, nil
	}
	first, last, ok := strings.Cut(s[at+1:], "-")
	if !ok {
		last = first
	}
	a, err1 := strconv.Atoi(first)
	b, err2 := strconv.Atoi(last)
	if at == 0 || err1 != nil || err2 != nil || a > b {
		return "", nil, nil, fmt.Errorf("--predictors: %q is not column or column:from-to", s)
	}
	return s[:at], &a, &b, nil
}

func (m *fitSynth) check() (problems []string) {
	problems = append(problems, oneOf("method", m.method, panel.SyntheticControl, panel.SyntheticDID, panel.DifferenceInMeans, panel.AugmentedSynthetic, panel.MatrixCompletion, panel.InteractiveEffects)...)
	problems = append(problems, oneOf("se", m.errors, panel.PlaceboErrors, panel.JackknifeErrors, panel.BootstrapErrors, panel.ConformalErrors, panel.NoErrors)...)
	if m.method == "" || m.errors == "" {
		problems = append(problems, "--method and --se may not be empty")
	}
	drawn := m.errors == panel.PlaceboErrors || m.errors == panel.BootstrapErrors
	for _, name := range []string{"replicates", "seed"} {
		folds := name == "seed" && m.method == panel.MatrixCompletion && m.lambda == "auto"
		if m.f.given(name) && !drawn && !folds {
			problems = append(problems, fmt.Sprintf("--%s is for --se placebo and bootstrap", name))
		}
	}
	if m.replicates < 2 || m.replicates > 1e6 {
		problems = append(problems, "--replicates must be between 2 and 1,000,000")
	}
	if m.errors == panel.JackknifeErrors && m.method == panel.AugmentedSynthetic {
		problems = append(problems, "--se jackknife holds weights fixed, which has no meaning with --method augmented; use placebo or bootstrap")
	}
	if m.f.given("lambda") && m.method != panel.AugmentedSynthetic && m.method != panel.MatrixCompletion {
		problems = append(problems, "--lambda is for --method augmented and mc")
	}
	if m.errors == panel.ConformalErrors && (!slices.Contains([]string{panel.SyntheticControl, panel.SyntheticDID, panel.DifferenceInMeans}, m.method) || len(m.predictors) > 0) {
		problems = append(problems, "--se conformal is for --method sc without --predictors, sdid and did: it finds the weights from all periods")
	}
	if m.f.given("factors") && m.method != panel.InteractiveEffects {
		problems = append(problems, "--factors is for --method ife")
	}
	m.model = panel.FactorModel{Method: m.method, Errors: m.errors}
	if m.factors != "auto" {
		r, err := strconv.Atoi(m.factors)
		if err != nil || r < 0 {
			problems = append(problems, fmt.Sprintf("--factors: %q is not a whole number of at least 0, nor auto", m.factors))
		}
		m.model.Factors = &r
	}
	m.option = panel.Synthetic{Method: m.method, Errors: m.errors}
	if drawn {
		m.option.Replicates, m.option.Seed = m.replicates, m.seed
		m.model.Replicates = m.replicates
	}
	m.model.Seed = m.seed
	if m.lambda != "auto" {
		v, err := strconv.ParseFloat(m.lambda, 64)
		if err != nil || !(v > 0) || math.IsInf(v, 0) {
			problems = append(problems, fmt.Sprintf("--lambda: %q is not a number above 0, nor auto", m.lambda))
		}
		m.option.Lambda, m.model.Lambda = &v, &v
	}
	if len(m.predictors) > 0 && m.method != panel.SyntheticControl {
		problems = append(problems, "--predictors is for --method sc")
	}
	for i, p := range m.predictors {
		if _, _, _, err := predictorWindow(p); err != nil {
			problems = append(problems, err.Error())
		}
		if slices.Contains(m.predictors[:i], p) {
			problems = append(problems, fmt.Sprintf("--predictors names %q twice", p))
		}
	}
	if len(m.weights) > 0 && len(m.weights) != len(m.predictors) {
		problems = append(problems, fmt.Sprintf("--predictor-weights has %d numbers for %d predictors", len(m.weights), len(m.predictors)))
	}
	sum := 0.0
	for _, s := range m.weights {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !(v >= 0) || math.IsInf(v, 0) {
			problems = append(problems, fmt.Sprintf("--predictor-weights: %q is not a number of at least 0", s))
		}
		sum += v
		m.option.PredictorWeights = append(m.option.PredictorWeights, v)
	}
	if len(m.weights) > 0 && sum == 0 {
		problems = append(problems, "--predictor-weights are all 0")
	}
	return problems
}

func (m *fitSynth) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	f := &panel.Frame{Level: d.level}
	var err error
	if f.Unit, err = d.text(m.unit, ""); err != nil {
		return nil, err
	}
	if f.Time, err = d.integers(m.time); err != nil {
		return nil, err
	}
	if f.Y, err = d.numbers(m.outcome); err != nil {
		return nil, err
	}
	treated, err := d.binary(m.treated)
	if err != nil {
		return nil, err
	}
	if m.method == panel.MatrixCompletion || m.method == panel.InteractiveEffects {
		return m.factor(ctx, d, f, treated)
	}
	s := m.option
	s.Workers = d.workers
	for _, p := range m.predictors {
		name, from, to, err := predictorWindow(p)
		if err != nil {
			return nil, err
		}
		values, err := d.numbersOrNaN(name)
		if err != nil {
			return nil, err
		}
		s.Predictors = append(s.Predictors, panel.Predictor{Name: p, Values: values, From: from, To: to})
	}
	res, err := s.Fit(ctx, f, treated)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	out.details["method"] = m.method
	if cohorts, ok := res.Details["cohorts"].([]map[string]any); ok {
		t := fitTable{title: "Cohorts", header: []string{"start", "treated", "periods before", "periods after", "gap before (rms)"}}
		for _, c := range cohorts {
			t.rows = append(t.rows, []any{fmt.Sprint(c["group"]), c["treated"], c["periods_before"], c["periods_after"], c["pre_rmse"]})
		}
		out.tables = append(out.tables, t)
		return out, nil
	}
	units := fitTable{title: "Weights of units", header: []string{"unit", "weight"}}
	weights := res.Details["unit_weights"].(map[string]float64)
	names := sortedKeys(weights)
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case weights[a] > weights[b]:
			return -1
		case weights[a] < weights[b]:
			return 1
		}
		return 0
	})
	for _, n := range names {
		if weights[n] != 0 {
			units.rows = append(units.rows, []any{n, weights[n]})
		}
	}
	times := res.Details["time_weights"].(map[string]float64)
	path := fitTable{title: "Path", header: []string{"period", "treated", "synthetic", "gap", "weight"}}
	for _, p := range res.Details["path"].([]panel.PathPoint) {
		key := strconv.Itoa(p.Time)
		var w any
		if v, ok := times[key]; ok {
			w = v
		}
		path.rows = append(path.rows, []any{key, p.Treated, p.Synthetic, p.Gap, w})
	}
	out.tables = append(out.tables, units, path)
	if rows, ok := res.Details["predictors"].([]map[string]any); ok {
		t := fitTable{title: "Predictors", header: []string{"predictor", "treated", "synthetic", "controls", "weight"}}
		for _, r := range rows {
			t.rows = append(t.rows, []any{r["predictor"], r["treated"], r["synthetic"], r["controls"], r["weight"]})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}

// factor fits a factor model.
func (m *fitSynth) factor(ctx context.Context, d *fitData, f *panel.Frame, treated []bool) (*fitOutput, error) {
	model := m.model
	model.Workers = d.workers
	res, err := model.Fit(ctx, f, treated)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	path := fitTable{title: "Mean gap to the imputed outcome by time since the start", header: []string{"event", "gap", "units"}}
	for _, r := range res.Details["path"].([]map[string]any) {
		path.rows = append(path.rows, []any{fmt.Sprint(r["event"]), r["gap"], r["units"]})
	}
	out.tables = append(out.tables, path)
	return out, nil
}

// numbersOrNaN reads a column of numbers, NaN where there is no value.
func (d *fitData) numbersOrNaN(name string) ([]float64, error) {
	c, err := d.t.Column(name)
	if err != nil {
		return nil, err
	}
	if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
		return nil, d.notNumber(name)
	}
	v, err := d.t.Float(name)
	if err != nil {
		return nil, fmt.Errorf("column %q: a number is needed: %w", name, err)
	}
	out := slices.Clone(v.Values)
	for i := range out {
		if !c.Has(i) {
			out[i] = math.NaN()
		}
	}
	if i := d.first(func(i int) bool { return c.Has(i) && (math.IsInf(out[i], 0) || math.IsNaN(out[i])) }); i >= 0 {
		return nil, d.at(i, name, fmt.Errorf("not a finite number"))
	}
	return out, nil
}
