package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate/sensitivity"
)

// fitSensitivity is how far to trust an effect; the kinds share nothing but the question.
type fitSensitivity struct {
	f                             *flagSet
	kind                          string
	measure                       string
	estimate, low, high, se, null float64
	rare                          bool
	outcome, treatment, sets      string
	gamma                         []string
	alternative                   string
	covariates, benchmark, kd     []string
	q, alpha                      float64
	baseline, sd                  float64
	together                      bool
	more                          sensitivityTrust
}

// sensitivityFlags are the flags of each kind.
var sensitivityFlags = map[string][]string{
	"evalue":           {"measure", "estimate", "conf-low", "conf-high", "std-error", "rare", "null", "baseline", "sd"},
	"rosenbaum":        {"outcome", "treatment", "sets", "gamma", "alternative"},
	"omitted-variable": {"outcome", "treatment", "covariates", "benchmark", "together", "kd", "q", "alpha"},
	"calibration":      {"effect", "se", "estimate", "std-error"},
	"tipping":          {"outcome", "treatment", "weights", "weight-kind", "sets", "cluster", "delta"},
	"leave-one-out":    {"outcome", "treatment", "covariates", "weights", "weight-kind", "sets", "cluster", "group"},
	"equivalence":      {"estimate", "std-error", "claim", "claim-std-error", "covariance", "share", "margin"},
}

var sensitivityKinds = []string{"evalue", "rosenbaum", "omitted-variable", "calibration", "tipping", "leave-one-out", "equivalence"}

func (m *fitSensitivity) flags(f *flagSet) {
	m.f = f
	f.text(&m.kind, "kind", "", strings.Join(sensitivityKinds, ", "))
	f.text(&m.measure, "measure", "", "evalue: rr, or, hr, smd, rd (difference of shares) or md (difference of means)")
	f.number(&m.estimate, "estimate", math.NaN(), "evalue: the ratio or difference; calibration: the claimed effect; equivalence: the placebo effect")
	f.number(&m.low, "conf-low", math.NaN(), "evalue: lower limit of its interval")
	f.number(&m.high, "conf-high", math.NaN(), "evalue: upper limit of its interval")
	f.number(&m.se, "std-error", math.NaN(), "its standard error (evalue: of an smd, instead of limits)")
	f.yes(&m.rare, "rare", false, "evalue: the outcome of an odds or hazard ratio is rare (under 15%)")
	f.number(&m.null, "null", 1, "evalue: risk ratio that the hidden cause should leave")
	f.number(&m.baseline, "baseline", 0, "evalue: the comparison group's share, of a difference of shares")
	f.number(&m.sd, "sd", 0, "evalue: the outcome's standard deviation within groups, of a difference of means")
	f.column(&m.outcome, "outcome", "a number; rosenbaum with 0 and 1 only uses McNemar's exact test")
	f.column(&m.treatment, "treatment", "0 or 1; omitted-variable: any number")
	f.column(&m.sets, "sets", "matched sets (rosenbaum: pairs); empty = in none, and the row is left out")
	f.list(&m.gamma, "gamma", "rosenbaum: `odds` of hidden bias, each at least 1 (default 1,1.5,2,3)")
	f.text(&m.alternative, "alternative", "greater", "rosenbaum: treatment makes the outcome greater or less")
	f.list(&m.covariates, "covariates", "omitted-variable, leave-one-out: `columns` of the regression")
	f.list(&m.benchmark, "benchmark", "omitted-variable: `columns` among the covariates; a category is all its dummies")
	f.yes(&m.together, "together", false, "omitted-variable: all benchmarks at once, too")
	f.list(&m.kd, "kd", "omitted-variable: `times` as strong as the benchmark (default 1)")
	f.number(&m.q, "q", 1, "omitted-variable: fraction of the coefficient to take away")
	f.number(&m.alpha, "alpha", 0, "omitted-variable: of the second robustness value (default 1 - level)")
	m.more.flags(f)
	f.need("kind")
}

// needsNoFile says that the numbers are on the command line.
func (m *fitSensitivity) needsNoFile() bool { return m.kind == "evalue" || m.kind == "equivalence" }

func (m *fitSensitivity) columns() fitColumns {
	c := fitColumns{unique: true}
	if m.needsNoFile() {
		return c
	}
	if m.more.has(m.kind) {
		return m.trustColumns()
	}
	c.apart("outcome", m.outcome)
	c.apart("treatment", m.treatment)
	if m.kind == "rosenbaum" {
		c.put(fitColumn{flag: "sets", name: m.sets, missing: true, apart: true})
	}
	if m.kind == "omitted-variable" {
		c.apart("covariates", m.covariates...)
	}
	return c
}

func (m *fitSensitivity) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	own, ok := sensitivityFlags[m.kind]
	if !ok {
		if m.kind != "" {
			bad("--kind %q is not one of %s", m.kind, strings.Join(sensitivityKinds, ", "))
		}
		return problems
	}
	belongs := map[string]bool{}
	for _, n := range own {
		belongs[n] = true
	}
	for _, kind := range sensitivityKinds {
		for _, n := range sensitivityFlags[kind] {
			if m.f.given(n) && !belongs[n] {
				bad("--kind %s does not use --%s", m.kind, n)
				belongs[n] = true // said once
			}
		}
	}
	need := func(names ...string) {
		for _, n := range names {
			if !m.f.given(n) {
				bad("--kind %s needs --%s", m.kind, n)
			}
		}
	}
	if m.needsNoFile() {
		for _, n := range []string{"data", "id", "where", "categorical", "separator", "decimal", "encoding"} {
			if m.f.given(n) {
				bad("--kind %s reads no file and does not use --%s", m.kind, n)
			}
		}
	}
	switch m.kind {
	case "evalue":
		need("measure", "estimate")
		if m.f.given("null") && !(m.null > 0) {
			bad("--null must be a risk ratio above 0")
		}
		if m.f.given("level") && !m.f.given("conf-low") && !m.f.given("conf-high") && !m.f.given("std-error") {
			bad("--level is that of the interval: it goes with --conf-low and --conf-high")
		}
	case "rosenbaum":
		need("outcome", "treatment", "sets")
		_, more := numbersAbove("gamma", m.gamma, 1, true)
		problems = append(append(problems, more...), oneOf("alternative", m.alternative, "greater", "less")...)
	case "omitted-variable":
		need("outcome", "treatment", "covariates")
		_, more := numbersAbove("kd", m.kd, 0, false)
		problems = append(problems, more...)
		if len(m.kd) > 0 && len(m.benchmark) == 0 {
			bad("--kd is times a benchmark: it goes with --benchmark")
		}
		if m.together && len(m.benchmark) < 2 {
			bad("--together goes with two or more columns in --benchmark")
		}
		if !(m.q > 0) || math.IsInf(m.q, 0) {
			bad("--q must be a finite number above 0")
		}
		if m.f.given("alpha") && !(m.alpha > 0 && m.alpha < 1) {
			bad("--alpha must be between 0 and 1")
		}
		among := map[string]int{}
		for _, n := range m.covariates {
			among[n] = 1
		}
		for _, n := range m.benchmark {
			switch among[n]++; among[n] {
			case 1:
				bad("--benchmark %q is not among the covariates", n)
			case 2:
			default:
				bad("--benchmark names %q twice", n)
			}
		}
	default:
		problems = append(problems, m.checkTrust(need)...)
	}
	return problems
}

// numbersAbove reads a list of numbers above a bound, or at least it, each once.
func numbersAbove(flag string, list []string, bound float64, at bool) (out []float64, problems []string) {
	seen := map[float64]bool{}
	for _, s := range list {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		switch {
		case err != nil || math.IsInf(v, 0) || math.IsNaN(v):
			problems = append(problems, fmt.Sprintf("--%s: %q is not a number", flag, s))
		case v < bound || v == bound && !at:
			problems = append(problems, fmt.Sprintf("--%s: %s is too small", flag, s))
		case seen[v]:
			problems = append(problems, fmt.Sprintf("--%s: %s is given twice", flag, s))
		}
		seen[v] = true
		out = append(out, v)
	}
	return out, problems
}

func (m *fitSensitivity) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	switch m.kind {
	case "evalue":
		return m.evalue(d)
	case "rosenbaum":
		return m.rosenbaum(ctx, d)
	case "omitted-variable":
		return m.omitted(ctx, d)
	}
	return m.trust(ctx, d)
}

func (m *fitSensitivity) evalue(d *fitData) (*fitOutput, error) {
	r, err := sensitivity.EValue{Measure: m.measure, Estimate: m.estimate, ConfLow: m.low, ConfHi: m.high, StdError: m.se, Rare: m.rare, Null: m.null, Level: d.level,
		Baseline: m.baseline, SD: m.sd}.Value()
	if err != nil {
		return nil, err
	}
	return &fitOutput{estimates: r.Estimates, details: r.Details, notes: r.Notes, n: map[string]int{}}, nil
}

func (m *fitSensitivity) rosenbaum(ctx context.Context, d *fitData) (*fitOutput, error) {
	treated, err := d.treated(m.treatment)
	if err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcome, nil)
	if err != nil {
		return nil, err
	}
	f.Treated = treated
	if f.Set, _, err = d.codes(m.sets); err != nil {
		return nil, err
	}
	binary := true
	for _, y := range f.Y {
		binary = binary && (y == 0 || y == 1)
	}
	gamma, _ := numbersAbove("gamma", m.gamma, 1, true)
	r, err := sensitivity.Rosenbaum{Gamma: gamma, Alternative: m.alternative, Binary: binary}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r, "sets", "treated"), nil
}

func (m *fitSensitivity) omitted(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	if _, err := d.numbers(m.treatment); err != nil { // a category would be another question
		return nil, err
	}
	f, err := d.frame(m.outcome, append([]string{m.treatment}, m.covariates...))
	if err != nil {
		return nil, err
	}
	o := sensitivity.OmittedVariable{Treatment: m.treatment, Q: m.q, Alpha: m.alpha, Workers: d.workers}
	o.Strength, _ = numbersAbove("kd", m.kd, 0, false)
	for _, n := range m.benchmark {
		b := sensitivity.Benchmark{Name: n}
		for _, x := range f.XNames {
			if x == n || strings.HasPrefix(x, n+"[") && strings.HasSuffix(x, "]") {
				b.Columns = append(b.Columns, x)
			}
		}
		o.Benchmarks = append(o.Benchmarks, b)
	}
	if m.together {
		all := sensitivity.Benchmark{Name: strings.Join(m.benchmark, "+")}
		for _, b := range o.Benchmarks {
			all.Columns = append(all.Columns, b.Columns...)
		}
		o.Benchmarks = append(o.Benchmarks, all)
	}
	r, err := o.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r), nil
}
