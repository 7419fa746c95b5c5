package study

import (
	"slices"
	"strings"

	"utfall/cohort"
)

// Effect is the effect of treatment on an outcome in a cohort.
type Effect struct {
	Cohort       string   `yaml:"cohort,omitempty"`
	Outcome      string   `yaml:"outcome,omitempty"`
	Method       string   `yaml:"method,omitempty"` // difference or regression
	Covariates   []string `yaml:"covariates,omitempty"`
	Interactions bool     `yaml:"interactions,omitempty"`
	Where        string   `yaml:"where,omitempty"` // subgroup; whole sets are kept only if the expression is constant within them
	Vcov         string   `yaml:"vcov,omitempty"`  // cr1 on sets if absent; hc1 where there are no sets
}

var _ question = (*Effect)(nil)

// adjusting are the methods of an effect that make groups alike themselves, without a
// match or weights.
var adjusting = []string{"g-computation", "ipw", "aipw", "tmle"}

func (e *Effect) defaults(s *Spec, _ *Analysis) {
	e.Method = or(e.Method, "difference")
	if co := s.findCohort(e.Cohort); co != nil && (co.Match != nil || co.TimeZero != nil) {
		e.Vcov = or(e.Vcov, "cr1") // people are linked by a set, or are there twice
	}
	e.Vcov = or(e.Vcov, "hc1")
}

func (e *Effect) check(s *Spec, c *checker, path []any, _ *Analysis) {
	co := s.cohortRef(c, at(path, "cohort"), e.Cohort)
	adjusts := slices.Contains(adjusting, e.Method)
	c.oneOf(at(path, "method"), "method", e.Method, append([]string{"difference", "regression"}, adjusting...)...)
	if e.Outcome == "" {
		c.add(path, "effect: outcome: name the column")
	}
	if e.Method == "difference" && (len(e.Covariates) > 0 || e.Interactions) {
		c.add(path, "effect: the method difference uses no covariates or interactions; use method: regression")
	}
	if (e.Method == "regression" || adjusts) && len(e.Covariates) == 0 {
		c.add(path, "effect: the method %s needs covariates", e.Method)
	}
	if e.Interactions && co != nil && co.Weight != nil && co.Weight.Estimand != "" && co.Weight.Estimand != cohort.ATT {
		c.add(at(path, "interactions"), "effect: interactions give the effect on the treated, and the weights are for %s: leave interactions out", co.Weight.Estimand)
	}
	if adjusts && e.Interactions {
		c.add(at(path, "interactions"), "effect: interactions are of the method regression")
	}
	if adjusts && co != nil && (co.Match != nil || co.Weight != nil || graceOf(co) || (co.TimeZero != nil && co.TimeZero.Censoring != nil)) {
		c.add(at(path, "method"), "effect: the method %s models who takes part itself: it needs a cohort without match, weight and censoring", e.Method)
	}
	if adjusts && !slices.Contains([]string{"cr0", "cr1", "hc0", "hc1"}, e.Vcov) {
		c.add(at(path, "vcov"), "effect: the method %s has the errors cr0, cr1, hc0 and hc1", e.Method)
	}
	c.oneOf(at(path, "vcov"), "vcov", e.Vcov, "cr0", "cr1", "cr2", "cr3", "hc0", "hc1", "hc2", "hc3", "iid")
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
}

func (e *Effect) rests() basis { return basis{cohort: e.Cohort, outcomes: []string{e.Outcome}} }

func (e *Effect) dry(s *state, _ *Analysis) error {
	b := s.cohorts[e.Cohort]
	rows, _, err := s.effectRows(b, e)
	if err == nil {
		_, err = s.effectFrame(b, e, rows)
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
	case slices.Contains(adjusting, e.Method):
		estimand = "effect-att"
	}
	if trimmed {
		also = " " + s.lang.Text("study.estimand-trimmed")
	}
	switch v := e.Vcov; {
	case slices.Contains(adjusting, e.Method):
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
