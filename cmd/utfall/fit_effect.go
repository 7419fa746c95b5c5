package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/effect"
)

// fitEffect is an effect on people: in a cohort whose design has been made, or by an
// estimator that makes its own comparison.
type fitEffect struct {
	f                    *flagSet
	treatment            string
	outcomes             []string
	covariates           []string
	method, estimand     string
	weights              fitWeights
	sets, vcov           string
	cluster              []string
	interactions, ratios bool
	outcomeModel, errors string
	folds, repeats       int
	seed                 uint64
	ratio                int
	metric, variance     string
	correct              bool
	bands                string
	nuisance, score      string
	bound                float64
	groups               int
	replicates           int
	quantiles            []string
	at                   []float64 // the quantiles, once checked
	conditional          int       // J of --variance; 0 is homoscedastic
}

// effectFlags are the flags that a method of effect uses beside those of all of them.
var effectFlags = map[string][]string{
	"difference":              {"weights", "weight-kind", "sets", "cluster", "vcov"},
	"regression":              {"covariates", "weights", "weight-kind", "sets", "cluster", "vcov", "interactions"},
	"g-computation":           {"covariates", "weights", "weight-kind", "sets", "cluster", "vcov", "outcome-model", "ratios"},
	"ipw":                     {"covariates", "weights", "weight-kind", "cluster", "vcov", "ratios", "quantiles"},
	"aipw":                    {"covariates", "weights", "weight-kind", "cluster", "vcov", "ratios", "outcome-model", "errors", "folds", "repeats", "nuisance"},
	"tmle":                    {"covariates", "weights", "weight-kind", "cluster", "vcov", "ratios", "folds", "repeats", "nuisance"},
	"dml":                     {"covariates", "weights", "weight-kind", "cluster", "vcov", "ratios", "outcome-model", "folds", "repeats", "nuisance", "score", "bound"},
	"cate":                    {"covariates", "cluster", "vcov", "folds", "repeats", "nuisance", "groups"},
	"bias-corrected-matching": {"covariates", "ratio", "metric", "variance", "bias-correction"},
}

var effectMethods = []string{"difference", "regression", "g-computation", "ipw", "aipw", "tmle", "dml", "cate", "bias-corrected-matching"}

func (m *fitEffect) flags(f *flagSet) {
	m.f = f
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.outcomes, "outcome", "`column` of numbers; several, comma separated, give an effect each with intervals that hold for all at once")
	f.list(&m.covariates, "covariates", "`columns`, comma separated: of the models or of the distance")
	f.text(&m.method, "method", "difference", strings.Join(effectMethods, ", "))
	f.text(&m.estimand, "estimand", "att", "effect on the treated (att), the untreated (atc), all (ate) or the overlap (ato: ipw, dml). With difference and regression the design decides, and it only names the term")
	m.weights.flags(f, "matching", "")
	f.column(&m.sets, "sets", "matched sets (difference, regression, g-computation); empty = in none, and the row is left out. Errors are clustered on them")
	f.list(&m.cluster, "cluster", "`column`: rows with its same value are dependent (instead of sets)")
	f.text(&m.vcov, "vcov", "", "covariance: "+strings.Join(vcovKinds, ", ")+" (default: cr1 with sets or a cluster, else hc1); of models of means hc0, hc1, cr0, cr1 (default: cr0 with sets or a cluster, else hc0)")
	f.yes(&m.interactions, "interactions", false, "with regression: slopes differ between the groups, and the effect is the mean over the treated")
	f.text(&m.outcomeModel, "outcome-model", "", "of g-computation, aipw and dml: linear or logistic (default: logistic for an outcome of 0 and 1)")
	f.text(&m.errors, "errors", "", "of aipw: influence (default), or stacked, right also where one of the models is wrong")
	f.yes(&m.ratios, "ratios", false, "risk ratio and odds ratio too, of an outcome of 0 and 1")
	f.list(&m.quantiles, "quantiles", "`numbers` between 0 and 1: effects on these quantiles too (ipw)")
	f.whole(&m.folds, "folds", 0, "of cross-fitting (aipw, tmle: default none; dml, cate: 5)")
	f.text(&m.nuisance, "nuisance", "", "of aipw and tmle with folds, and of dml and cate: "+strings.Join(effect.Nuisances(), ", ")+" (default logistic: regression without a penalty)")
	f.whole(&m.groups, "groups", 5, "of cate: into which people are sorted by what the model says they gain")
	f.text(&m.score, "score", "", "of dml: interactive (default) or partially-linear (estimand ato)")
	f.number(&m.bound, "bound", 0, "of dml: probabilities of treatment are kept within `b` and 1 - b, and those moved are counted")
	f.whole(&m.repeats, "repeats", 0, "of the split into folds, odd (default 5)")
	f.text(&m.bands, "bands", "", "with several outcomes: uniform (default) or pointwise")
	f.whole(&m.replicates, "replicates", 0, "draws for the uniform band over outcomes, or over the groups of cate (default 9999)")
	f.seed(&m.seed, "of the split into folds and of the uniform band")
	f.whole(&m.ratio, "ratio", 1, "matches of each unit (bias-corrected-matching)")
	f.text(&m.metric, "metric", effect.InverseVarianceMetric, "of bias-corrected-matching: inverse-variance or mahalanobis")
	f.text(&m.variance, "variance", "homoscedastic", "of bias-corrected-matching: homoscedastic, or from how many neighbours of the same group, for example 4")
	f.yes(&m.correct, "bias-correction", true, "of bias-corrected-matching: false leaves the regression out")
	f.need("treatment", "outcome")
}

func (m *fitEffect) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.apart("outcome", m.outcomes...)
	c.apart("covariates", m.covariates...)
	c.add("weights", m.weights.column)
	c.put(fitColumn{flag: "sets", name: m.sets, missing: true})
	for _, n := range m.cluster {
		c.add("cluster", n)
	}
	return c
}

func (m *fitEffect) check() []string {
	problems := oneOf("method", m.method, effectMethods...)
	if len(problems) > 0 {
		return problems
	}
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	used := effectFlags[m.method]
	var all []string
	for _, name := range effectMethods {
		for _, flag := range effectFlags[name] {
			if m.f.given(flag) && !slices.Contains(used, flag) && !slices.Contains(all, flag) {
				all = append(all, flag)
				switch {
				case flag == "sets" && m.method != "bias-corrected-matching":
					bad("--method %s makes its own comparison and does not use --sets; use difference, regression or g-computation", m.method)
				case flag == "covariates":
					bad("--method difference does not use --covariates; use another --method")
				default:
					bad("--method %s does not use --%s", m.method, flag)
				}
			}
		}
	}
	if slices.Contains(used, "covariates") && len(m.covariates) == 0 {
		bad("--method %s needs --covariates", m.method)
	}
	problems = append(problems, m.weights.check(m.f)...)
	problems = append(problems, m.checkBands()...)
	if len(m.cluster) > 1 {
		bad("--cluster with several columns is not built yet; give one")
	}
	switch m.method {
	case "difference", "regression":
		problems = append(problems, oneOf("estimand", m.estimand, "att", "atc", "ate", "ato")...)
		flag := "--cluster"
		if len(m.cluster) == 0 {
			flag = "--cluster or --sets"
		}
		problems = append(problems, checkVcov(m.vcov, len(m.cluster) > 0 || m.sets != "", flag, m.weights)...)
		if m.interactions && m.estimand != "att" {
			bad("--interactions gives the effect on the treated: --estimand att")
		}
		return problems
	case "cate":
		if !m.f.given("estimand") {
			m.estimand = "ate"
		}
		problems = append(problems, oneOf("estimand", m.estimand, "ate")...)
		if m.vcov == "hc1" || m.vcov == "cr1" {
			bad("--method cate has --vcov hc0 and cr0")
		}
		if m.groups < 2 || m.groups > 10 {
			bad("--groups must be between 2 and 10")
		}
		if len(m.outcomes) > 1 {
			bad("--method cate is for one outcome at a time")
		}
	case "ipw", "dml":
		if m.score == effect.PartiallyLinearScore {
			if !m.f.given("estimand") {
				m.estimand = "ato"
			}
			problems = append(problems, oneOf("estimand", m.estimand, "ato")...)
			break
		}
		problems = append(problems, oneOf("estimand", m.estimand, "att", "atc", "ate", "ato")...)
	default:
		if m.estimand == "ato" {
			bad("--method %s has no --estimand ato; ipw and dml have", m.method)
		} else {
			problems = append(problems, oneOf("estimand", m.estimand, "att", "atc", "ate")...)
		}
	}
	return append(problems, m.checkMeans()...)
}

// checkBands lists what is wrong with the flags of several outcomes.
func (m *fitEffect) checkBands() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	problems = append(problems, oneOf("bands", m.bands, "uniform", "pointwise")...)
	several := len(m.outcomes) > 1
	for _, name := range []string{"bands", "replicates"} {
		if m.f.given(name) && !several && !(name == "replicates" && m.method == "cate") {
			bad("--%s goes with several columns in --outcome", name)
		}
	}
	switch {
	case m.f.given("replicates") && m.bands == "pointwise":
		bad("--bands pointwise does not use --replicates")
	case m.f.given("replicates") && m.replicates < 199:
		bad("--replicates must be at least 199")
	}
	if m.f.given("seed") && !m.splits() && (!several || m.bands == "pointwise") {
		bad("--seed goes with --folds, or with a uniform band over several outcomes")
	}
	if several && (m.ratios || len(m.quantiles) > 0) {
		bad("--ratios and --quantiles are for one outcome at a time")
	}
	return problems
}

// checkMeans lists what is wrong with the flags of the methods that estimate means.
func (m *fitEffect) checkMeans() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	problems = append(problems, oneOf("outcome-model", m.outcomeModel, "linear", "logistic")...)
	problems = append(problems, oneOf("errors", m.errors, "influence", "stacked")...)
	problems = append(problems, oneOf("metric", m.metric, effect.InverseVarianceMetric, effect.MahalanobisMetric)...)
	if slices.Contains(effectFlags[m.method], "vcov") {
		problems = append(problems, oneOf("vcov", m.vcov, "hc0", "hc1", "cr0", "cr1")...)
		clustered := strings.HasPrefix(m.vcov, "cr")
		if clustered && len(m.cluster) == 0 && m.sets == "" {
			bad("--vcov %s needs --cluster", m.vcov)
		}
		if m.vcov != "" && !clustered && len(m.cluster) > 0 {
			bad("--vcov %s does not use --cluster", m.vcov)
		}
		if m.weights.column != "" && slices.Contains(effectFlags[m.method], "weights") && m.weights.kind == string(estimate.Matching) && m.method != "g-computation" {
			bad("--method %s makes its own weights: with weights of a sample give --weight-kind sampling (or frequency), with those of a design use difference, regression or g-computation", m.method)
		}
	}
	switch {
	case m.f.given("folds") && m.folds < 2:
		bad("--folds must be at least 2")
	case !m.splits() && m.f.given("repeats"):
		bad("--repeats goes with --folds")
	case m.f.given("repeats") && (m.repeats < 1 || m.repeats%2 == 0):
		bad("--repeats must be an odd number")
	case m.folds > 0 && m.errors == "stacked":
		bad("--errors stacked does not go with --folds")
	}
	problems = append(problems, oneOf("nuisance", m.nuisance, effect.Nuisances()...)...)
	problems = append(problems, oneOf("score", m.score, effect.InteractiveScore, effect.PartiallyLinearScore)...)
	learnt := m.nuisance != "" && m.nuisance != effect.LogisticNuisance
	switch {
	case learnt && !m.splits():
		bad("--nuisance %s needs --folds: without them the errors are too small", m.nuisance)
	case learnt && m.weights.column != "":
		bad("--nuisance %s does not use --weights", m.nuisance)
	case learnt && (m.vcov == "hc1" || m.vcov == "cr1"):
		bad("--nuisance %s has no number of parameters for --vcov %s; use hc0 or cr0", m.nuisance, m.vcov)
	}
	switch {
	case m.f.given("bound") && !(m.bound > 0 && m.bound < 0.5):
		bad("--bound must lie between 0 and 0.5")
	case m.f.given("bound") && m.estimand == "ato":
		bad("--estimand ato divides by no probability and does not use --bound")
	}
	if m.ratios && m.score == effect.PartiallyLinearScore {
		bad("--score partially-linear does not use --ratios")
	}
	if m.ratio < 1 {
		bad("--ratio must be at least 1")
	}
	if m.variance != "homoscedastic" {
		j, err := strconv.Atoi(m.variance)
		if err != nil || j < 1 {
			bad("--variance %q is neither homoscedastic nor a whole number of at least 1", m.variance)
		}
		m.conditional = j
	}
	m.at = nil
	for _, s := range m.quantiles {
		p, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		switch {
		case err != nil || !(p > 0 && p < 1):
			bad("--quantiles: %q is not a number strictly between 0 and 1", s)
		case slices.Contains(m.at, p):
			bad("--quantiles: %s is given twice", s)
		default:
			m.at = append(m.at, p)
		}
	}
	return problems
}

// splitSeed is the seed of the folds: a seed that is of the band alone is not theirs.
func (m *fitEffect) splitSeed() uint64 {
	if !m.splits() {
		return 0
	}
	return m.seed
}

// splits reports whether units are split for cross-fitting.
func (m *fitEffect) splits() bool { return m.folds > 0 || m.method == "dml" || m.method == "cate" }

// estimator is the method with its options.
func (m *fitEffect) estimator(workers int) estimate.Estimator {
	vcov := effect.Vcov(m.vcov)
	switch m.method {
	case "regression":
		return effect.Regression{Vcov: vcov, Estimand: m.estimand, Interactions: m.interactions}
	case "g-computation":
		return effect.GComputation{Estimand: m.estimand, OutcomeModel: m.outcomeModel, Vcov: vcov, Ratios: m.ratios, Workers: workers}
	case "ipw":
		return effect.IPW{Estimand: m.estimand, Vcov: vcov, Ratios: m.ratios, Quantiles: m.at, Workers: workers}
	case "aipw":
		return effect.AIPW{Estimand: m.estimand, OutcomeModel: m.outcomeModel, Errors: m.errors, Folds: m.folds, Repeats: m.repeats, Seed: m.splitSeed(), Nuisance: m.nuisance, Vcov: vcov, Ratios: m.ratios, Workers: workers}
	case "dml":
		return effect.DML{Score: m.score, Estimand: m.estimand, Nuisance: m.nuisance, OutcomeModel: m.outcomeModel, Folds: m.folds, Repeats: m.repeats, Seed: m.seed, Bound: m.bound, Vcov: vcov, Ratios: m.ratios, Workers: workers}
	case "cate":
		return effect.Heterogeneity{Nuisance: m.nuisance, Groups: m.groups, Folds: m.folds, Repeats: m.repeats, Seed: m.seed, Replicates: m.replicates, Vcov: vcov, Workers: workers}
	case "tmle":
		return effect.TMLE{Estimand: m.estimand, Folds: m.folds, Repeats: m.repeats, Seed: m.splitSeed(), Nuisance: m.nuisance, Vcov: vcov, Ratios: m.ratios, Workers: workers}
	case "bias-corrected-matching":
		return effect.BiasCorrectedMatching{Estimand: m.estimand, Ratio: m.ratio, Metric: m.metric, Variance: m.conditional, Unadjusted: !m.correct, Workers: workers}
	}
	return effect.Difference{Vcov: vcov, Estimand: m.estimand}
}

func (m *fitEffect) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	treated, err := d.treated(m.treatment)
	if err != nil {
		return nil, err
	}
	f, err := d.frame(m.outcomes[0], m.covariates)
	if err != nil {
		return nil, err
	}
	f.Treated = treated
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.sets != "" {
		if f.Set, _, err = d.codes(m.sets); err != nil {
			return nil, err
		}
	}
	for _, n := range m.cluster {
		if f.Cluster, _, err = d.codes(n); err != nil {
			return nil, err
		}
	}
	e := m.estimator(d.workers)
	if len(m.outcomes) > 1 {
		s := effect.Simultaneous{Each: e, Pointwise: m.bands == "pointwise", Replicates: m.replicates, Seed: m.seed, Workers: d.workers}
		for _, name := range m.outcomes {
			y, err := d.numbers(name)
			if err != nil {
				return nil, err
			}
			s.Outcomes = append(s.Outcomes, effect.Outcome{Name: name, Y: y})
		}
		e = s
	}
	r, err := e.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(r, "treated")
	out.details["method"] = m.method
	if repeats, ok := r.Details["repeats"].([]effect.Repeat); ok {
		t := fitTable{title: "Splits of the units", header: []string{"split", "estimate", "std.error"}}
		for _, x := range repeats {
			t.rows = append(t.rows, []any{strconv.Itoa(x.Repeat), x.Estimate, x.StdError})
		}
		out.tables = append(out.tables, t)
	}
	return out, nil
}
