package study

import (
	"slices"
	"strings"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/effect"
)

// Effect is the effect of treatment on an outcome in a cohort.
type Effect struct {
	Cohort       string     `yaml:"cohort,omitempty"`
	Outcome      string     `yaml:"outcome,omitempty"`
	Method       string     `yaml:"method,omitempty"` // difference, regression or one of adjusting
	Estimand     string     `yaml:"estimand,omitempty"`
	Measure      string     `yaml:"measure,omitempty"`
	Quantiles    []float64  `yaml:"quantiles,omitempty"` // of the method ipw
	Covariates   []string   `yaml:"covariates,omitempty"`
	Interactions bool       `yaml:"interactions,omitempty"`
	OutcomeModel string     `yaml:"outcome_model,omitempty"` // linear or logistic; logistic if absent for an outcome of 0 and 1
	Nuisance     string     `yaml:"nuisance,omitempty"`
	Folds        int        `yaml:"folds,omitempty"`
	Repeats      int        `yaml:"repeats,omitempty"`
	Where        string     `yaml:"where,omitempty"` // subgroup; whole sets are kept only if the expression is constant within them
	Subgroups    []Subgroup `yaml:"subgroups,omitempty"`
	Vcov         string     `yaml:"vcov,omitempty"` // cr1 on sets if absent; hc1 where there are no sets
}

// Subgroup is a group named beforehand, for which the effect is told as well.
type Subgroup struct {
	Name  string `yaml:"name,omitempty"`
	Label Text   `yaml:"label,omitempty"`
	Where string `yaml:"where,omitempty"`
}

var (
	_ question  = (*Effect)(nil)
	_ namer     = (*Effect)(nil)
	_ unplanned = (*Effect)(nil)
)

// adjusting are the methods of an effect that make groups alike themselves, without a
// match or weights.
var adjusting = []string{"g-computation", "ipw", "aipw", "tmle", "dml", "bias-corrected-matching"}

// estimands of the methods that let the study choose.
var estimands = map[string][]string{
	"g-computation": {"att", "atc", "ate"}, "ipw": {"att", "atc", "ate", "ato"}, "aipw": {"att", "atc", "ate"},
	"tmle": {"att", "atc", "ate"}, "dml": {"att", "atc", "ate", "ato"}, "bias-corrected-matching": {"att", "atc", "ate"},
}

func (e *Effect) adjusts() bool { return slices.Contains(adjusting, e.Method) }

// learns reports whether the nuisance models have no parameters to count.
func (e *Effect) learns() bool {
	return e.Nuisance != "" && e.Nuisance != effect.LogisticNuisance
}

func (e *Effect) defaults(s *Spec, _ *Analysis) {
	e.Method = or(e.Method, "difference")
	if e.adjusts() {
		e.Estimand = or(e.Estimand, cohort.ATT)
	}
	if e.Method == "dml" {
		e.Nuisance = or(e.Nuisance, effect.LogisticNuisance)
		if e.Folds == 0 {
			e.Folds = 5
		}
	}
	if e.Folds > 0 && e.Repeats == 0 {
		e.Repeats = 5
	}
	if e.Method == "bias-corrected-matching" {
		return // it has errors of its own
	}
	linked := false
	if co := s.findCohort(e.Cohort); co != nil && (co.Match != nil || co.TimeZero != nil) {
		linked = true // people are linked by a set, or are there twice
	}
	switch {
	case linked && e.learns():
		e.Vcov = or(e.Vcov, "cr0")
	case linked:
		e.Vcov = or(e.Vcov, "cr1")
	case e.learns():
		e.Vcov = or(e.Vcov, "hc0")
	}
	e.Vcov = or(e.Vcov, "hc1")
}

func (e *Effect) check(s *Spec, c *checker, path []any, _ *Analysis) {
	co := s.cohortRef(c, at(path, "cohort"), e.Cohort)
	c.oneOf(at(path, "method"), "method", e.Method, append([]string{"difference", "regression"}, adjusting...)...)
	if e.Outcome == "" {
		c.add(path, "effect: outcome: name the column")
	}
	if e.Method == "difference" && (len(e.Covariates) > 0 || e.Interactions) {
		c.add(path, "effect: the method difference uses no covariates or interactions; use method: regression")
	}
	if (e.Method == "regression" || e.adjusts()) && len(e.Covariates) == 0 {
		c.add(path, "effect: the method %s needs covariates", e.Method)
	}
	if e.Interactions && co != nil && co.Weight != nil && co.Weight.Estimand != "" && co.Weight.Estimand != cohort.ATT {
		c.add(at(path, "interactions"), "effect: interactions give the effect on the treated, and the weights are for %s: leave interactions out", co.Weight.Estimand)
	}
	if e.adjusts() && e.Interactions {
		c.add(at(path, "interactions"), "effect: interactions are of the method regression")
	}
	e.checkDesign(c, path, co)
	e.checkModels(c, path)
	e.checkNumbers(c, path)
	if e.Method == "bias-corrected-matching" {
		if e.Vcov != "" {
			c.add(at(path, "vcov"), "effect: the method bias-corrected-matching has errors of its own: leave vcov out")
		}
	} else {
		if e.adjusts() && !slices.Contains([]string{"cr0", "cr1", "hc0", "hc1"}, e.Vcov) {
			c.add(at(path, "vcov"), "effect: the method %s has the errors cr0, cr1, hc0 and hc1", e.Method)
		}
		c.oneOf(at(path, "vcov"), "vcov", e.Vcov, "cr0", "cr1", "cr2", "cr3", "hc0", "hc1", "hc2", "hc3", "iid")
	}
	if co != nil && co.Match == nil && co.TimeZero == nil && co.Weight == nil && strings.HasPrefix(e.Vcov, "cr") {
		c.add(at(path, "vcov"), "effect: vcov %s clusters on matched sets, and cohort %q has none", e.Vcov, co.Name)
	}
	if co != nil {
		for i, name := range e.Covariates {
			if why := s.whyLate(co, name, false); why != "" {
				c.add(at(path, "covariates", i), why, "effect", name)
			} else if name == e.Outcome {
				c.add(at(path, "covariates", i), "effect: covariate %q is the outcome", name)
			}
		}
	}
	e.checkSubgroups(c, path)
}

// checkDesign tests that the method can use the cohort's design.
func (e *Effect) checkDesign(c *checker, path []any, co *Cohort) {
	if co == nil || !e.adjusts() {
		return
	}
	path = at(path, "method")
	steady := !graceOf(co) && (co.TimeZero == nil || co.TimeZero.Censoring == nil)
	switch {
	case e.Method == "bias-corrected-matching" && (co.Match != nil || co.Weight != nil || co.TimeZero != nil):
		c.add(path, "effect: the method bias-corrected-matching matches itself, people who are there once: it needs a cohort without match, weight and time_zero")
	case !steady || co.Weight != nil || co.Match != nil && (e.Method == "ipw" || e.Method == "tmle"):
		c.add(path, "effect: the method %s models who takes part itself: it needs a cohort without match, weight and censoring", e.Method)
	case co.Match == nil:
	case e.Estimand != cohort.ATT || co.Match.Estimand != "" && co.Match.Estimand != cohort.ATT:
		c.add(path, "effect: in a matched cohort the method %s gives the effect on the participants: estimand att", e.Method)
	case e.Method != "g-computation" && (co.Match.Method != "" && co.Match.Method != cohort.NearestMethod && co.Match.Method != cohort.OptimalMethod || co.Match.Ratio > 1 || co.Match.Replace):
		c.add(path, "effect: the method %s in a matched cohort needs pairs: match nearest or optimal with ratio 1, without replace", e.Method)
	}
}

// checkModels tests the keys that say how models are made.
func (e *Effect) checkModels(c *checker, path []any) {
	splits := slices.Contains([]string{"aipw", "tmle", "dml"}, e.Method)
	for _, x := range []struct {
		key   string
		given bool
	}{{"nuisance", e.Nuisance != ""}, {"folds", e.Folds != 0}, {"repeats", e.Repeats != 0}} {
		if x.given && !splits {
			c.add(at(path, x.key), "effect: %s is of the methods aipw, tmle and dml", x.key)
		}
	}
	if e.OutcomeModel != "" {
		c.oneOf(at(path, "outcome_model"), "outcome_model", e.OutcomeModel, effect.LinearOutcome, effect.LogisticOutcome)
		if !slices.Contains([]string{"g-computation", "aipw", "dml"}, e.Method) {
			c.add(at(path, "outcome_model"), "effect: outcome_model is of the methods g-computation, aipw and dml")
		}
	}
	if !splits {
		return
	}
	if e.Nuisance != "" {
		c.oneOf(at(path, "nuisance"), "nuisance", e.Nuisance, effect.Nuisances()...)
	}
	if e.learns() && e.Folds == 0 {
		c.add(at(path, "nuisance"), "effect: nuisance %s needs folds: models that saw a person predict too well for it", e.Nuisance)
	}
	if e.learns() && (e.Vcov == "hc1" || e.Vcov == "cr1") {
		c.add(at(path, "vcov"), "effect: nuisance %s has no number of parameters for vcov %s: use hc0 or cr0", e.Nuisance, e.Vcov)
	}
	if e.Folds != 0 && e.Folds < 2 {
		c.add(at(path, "folds"), "effect: folds must be at least 2")
	}
	if e.Repeats < 0 || e.Repeats > 0 && (e.Folds == 0 || e.Repeats%2 == 0) {
		c.add(at(path, "repeats"), "effect: repeats is an odd number and goes with folds")
	}
}

// checkNumbers tests the keys that say which numbers are given.
func (e *Effect) checkNumbers(c *checker, path []any) {
	switch {
	case e.Estimand == "":
	case !e.adjusts():
		c.add(at(path, "estimand"), "effect: with the method %s the design decides whom the effect is about: leave estimand out", e.Method)
	default:
		c.oneOf(at(path, "estimand"), "estimand", e.Estimand, estimands[e.Method]...)
	}
	if e.Measure != "" {
		c.oneOf(at(path, "measure"), "measure", e.Measure, string(estimate.RiskDifference), string(estimate.MeanDifference), string(effect.RiskRatio), string(effect.OddsRatio))
		if e.ratios() && (!e.adjusts() || e.Method == "bias-corrected-matching") {
			c.add(at(path, "measure"), "effect: the method %s has no %s: use g-computation, ipw, aipw, tmle or dml", e.Method, e.Measure)
		}
	}
	if len(e.Quantiles) > 0 && e.Method != "ipw" {
		c.add(at(path, "quantiles"), "effect: quantiles are of the method ipw")
	}
	for i, p := range e.Quantiles {
		if !(p > 0 && p < 1) || slices.Contains(e.Quantiles[:i], p) {
			c.add(at(path, "quantiles", i), "effect: quantiles lie strictly between 0 and 1, each given once")
		}
	}
}

// ratios reports whether a ratio is asked for; it stands beside the difference.
func (e *Effect) ratios() bool {
	return e.Measure == string(effect.RiskRatio) || e.Measure == string(effect.OddsRatio)
}

// checkSubgroups tests the subgroups; their expressions are read with the data.
func (e *Effect) checkSubgroups(c *checker, path []any) {
	if len(e.Subgroups) == 1 {
		c.add(at(path, "subgroups"), "effect: name at least two subgroups: what is asked is whether they differ; for one use where")
	}
	if len(e.Subgroups) > 0 && e.Method == "bias-corrected-matching" {
		c.add(at(path, "subgroups"), "effect: the method bias-corrected-matching has no joint error over subgroups: ask an analysis each, with where")
	}
	for i, g := range e.Subgroups {
		p := at(path, "subgroups", i)
		c.text(at(p, "label"), g.Label)
		if !nameRule.MatchString(g.Name) {
			c.add(at(p, "name"), "effect: subgroups: a name has letters, digits and hyphens")
		}
		if slices.ContainsFunc(e.Subgroups[:i], func(o Subgroup) bool { return o.Name == g.Name }) {
			c.add(at(p, "name"), "effect: two subgroups are called %q", g.Name)
		}
		if strings.TrimSpace(g.Where) == "" {
			c.add(at(p, "where"), "effect: subgroups: where: say who is in it")
		}
	}
}

func (e *Effect) rests() basis { return basis{cohort: e.Cohort, outcomes: []string{e.Outcome}} }

func (e *Effect) dry(s *state, _ *Analysis) error {
	b := s.cohorts[e.Cohort]
	rows, _, err := s.effectRows(b, e)
	if err == nil {
		_, err = s.effectFrame(b, e, rows)
	}
	for _, g := range e.Subgroups {
		if err == nil {
			_, err = s.ofSubgroup(b, g.Where)
		}
	}
	return err
}

func (e *Effect) estimate(s *state, a *Analysis) (analysisResult, error) { return s.effect(a) }

func (e *Effect) words(s *state, r *analysisResult) (estimand, errors, also string) {
	estimand, errors = "effect", "sets"
	b := s.cohorts[e.Cohort]
	trimmed := false
	switch {
	case r.kind == "association":
		estimand = "association"
	case b.grace():
		estimand = "effect-grace"
	case b.spec.Weight != nil:
		estimand, trimmed = strings.CutSuffix("effect-"+b.estimand, cohort.TrimmedSuffix)
	case e.adjusts() && b.spec.Match == nil:
		estimand = "effect-" + e.Estimand
	}
	if trimmed {
		also = " " + s.lang.Text("study.estimand-trimmed")
	}
	switch v := e.Vcov; {
	case e.Method == "bias-corrected-matching":
		errors = "matching"
	case e.adjusts() && b.spec.Match != nil && strings.HasPrefix(v, "cr"):
		errors = "models-sets"
	case e.adjusts():
		errors = "models"
	case v == "iid":
		errors = "classical"
	case !strings.HasPrefix(v, "cr"):
		errors = "robust"
	case b.set == nil:
		errors = "people"
	}
	return estimand, errors, also
}

func (e *Effect) chief(s *state, a *Analysis) (method, term string, m estimate.Measure) {
	term = or(e.Estimand, cohort.ATT)
	if b := s.cohorts[e.Cohort]; b != nil && (!e.adjusts() || b.spec.Match != nil) {
		term = b.term()
	}
	return "effect." + e.Method, term, differenceIn(a)
}

// differenceIn is the measure of a difference in the unit of an analysis.
func differenceIn(a *Analysis) estimate.Measure {
	if a.Unit == "percentage-points" {
		return estimate.RiskDifference
	}
	return estimate.MeanDifference
}
