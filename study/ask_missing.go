package study

import (
	"math"
	"slices"

	"utfall/estimate"
	"utfall/study/report"
)

// Missing asks what an effect can be where people or their values are missing: bounds that
// assume nothing or little, and other ways to fill the gaps than leaving people out.
type Missing struct {
	Of          string    `yaml:"of,omitempty"`          // an earlier analysis with effect, by difference or regression
	Methods     []string  `yaml:"methods,omitempty"`     // worst-case, lee, indicator, imputation, consent-weights; worst-case if absent
	Range       []float64 `yaml:"range,omitempty"`       // lowest and highest that an outcome can be; 0 and 1 if absent, for an outcome of 0 and 1
	Unlinked    float64   `yaml:"unlinked,omitempty"`    // share of the participants that nobody can follow, such as the anonymous: for the bounds
	Background  []string  `yaml:"background,omitempty"`  // columns, beside the effect's covariates, that tell who is known and what is missing
	Imputations int       `yaml:"imputations,omitempty"` // completed data sets; 20 if absent
	Iterations  int       `yaml:"iterations,omitempty"`  // rounds over the columns; 10 if absent
}

var (
	_ question  = (*Missing)(nil)
	_ namer     = (*Missing)(nil)
	_ sentencer = (*Missing)(nil)
)

// The methods of missing.
const (
	worstCase      = "worst-case"
	leeBounds      = "lee"
	indicatorOf    = "indicator"
	imputation     = "imputation"
	consentWeights = "consent-weights"
)

func (m *Missing) defaults(*Spec, *Analysis) {
	if len(m.Methods) == 0 {
		m.Methods = []string{worstCase}
	}
	if m.asks(imputation) {
		if m.Imputations == 0 {
			m.Imputations = 20
		}
		if m.Iterations == 0 {
			m.Iterations = 10
		}
	}
}

func (m *Missing) asks(method string) bool { return slices.Contains(m.Methods, method) }

func (m *Missing) check(s *Spec, c *checker, path []any, a *Analysis) {
	for i, name := range m.Methods {
		c.oneOf(at(path, "methods", i), "method", name, worstCase, leeBounds, indicatorOf, imputation, consentWeights)
		if slices.Contains(m.Methods[:i], name) {
			c.add(at(path, "methods", i), "missing: methods names %s twice", name)
		}
	}
	bounds, models := m.asks(worstCase) || m.asks(leeBounds), m.asks(imputation) || m.asks(consentWeights)
	switch {
	case m.Range != nil && !m.asks(worstCase):
		c.add(at(path, "range"), "missing: range is of the method worst-case")
	case m.Range != nil && (len(m.Range) != 2 || !(m.Range[0] < m.Range[1]) || math.IsInf(m.Range[1]-m.Range[0], 0)):
		c.add(at(path, "range"), "missing: range is two numbers, the lower one first")
	}
	switch {
	case m.Unlinked != 0 && !bounds:
		c.add(at(path, "unlinked"), "missing: unlinked is of the methods worst-case and lee: nothing else can be said of people without background")
	case m.Unlinked != 0 && !(m.Unlinked > 0 && m.Unlinked < 1):
		c.add(at(path, "unlinked"), "missing: unlinked is a share between 0 and 1")
	}
	if len(m.Background) > 0 && !models {
		c.add(at(path, "background"), "missing: background is of the methods imputation and consent-weights")
	}
	for key, n := range map[string]int{"imputations": m.Imputations, "iterations": m.Iterations} {
		switch {
		case n != 0 && !m.asks(imputation):
			c.add(at(path, key), "missing: %s is of the method imputation", key)
		case n < 0 || n > 1000 || key == "imputations" && n == 1:
			c.add(at(path, key), "missing: %s must lie between 2 and 1000", key)
		}
	}
	of := s.checkOf(c, at(path, "of"), a, m.Of, "effect")
	if of == nil {
		return
	}
	e := of.Effect
	s.checkSteady(c, path, a, e.Cohort)
	if e.Method != "difference" && e.Method != "regression" {
		c.add(at(path, "of"), "missing: the effect must be by difference or regression")
	}
	if e.Where != "" {
		c.add(at(path, "of"), "missing: the effect must be that of the whole cohort: it has where")
	}
	if m.asks(indicatorOf) && e.Method != "regression" {
		c.add(at(path, "methods"), "missing: indicator keeps people without a covariate: the effect must be by regression")
	}
	if models && len(e.Covariates)+len(m.Background) == 0 {
		c.add(at(path, "background"), "missing: %v need to know something of people: give background", m.Methods)
	}
	if co := s.findCohort(e.Cohort); co != nil {
		for i, name := range m.Background {
			if why := s.whyLate(co, name, false); why != "" {
				c.add(at(path, "background", i), why, "missing", name)
			}
			if slices.Contains(s.sealedOf(co.Base), name) {
				c.add(at(path, "background", i), "missing: background: %q is an outcome: it was not known before", name)
			}
			if name == e.Outcome || slices.Contains(e.Covariates, name) {
				c.add(at(path, "background", i), "missing: background: %q is part of the effect already", name)
			}
		}
	}
}

func (m *Missing) rests() basis { return basis{of: []string{m.Of}} }

func (m *Missing) dry(s *state, _ *Analysis) error {
	for i := range s.spec.Analyses {
		if o := &s.spec.Analyses[i]; o.Name == m.Of {
			for _, name := range m.Background {
				if _, err := s.cohorts[o.Effect.Cohort].table.Column(name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (m *Missing) estimate(s *state, a *Analysis) (analysisResult, error) { return s.missing(a) }

func (m *Missing) words(*state, *analysisResult) (estimand, errors, also string) {
	return "missing", "missing", ""
}

func (m *Missing) label(s *state, _ *Analysis, n found) string {
	return s.lang.Text("study.missing-" + n.term)
}

func (m *Missing) unit(*Analysis, found) report.Unit { return "" }

func (m *Missing) shows(*Analysis, found) bool { return true }

// say says what the bounds mean; the other numbers stand beside the effect by themselves.
func (m *Missing) say(s *state, r *analysisResult) []string {
	var out []string
	for _, method := range []string{worstCase, leeBounds} {
		lower, upper := s.releasedOf(r, method+"-lower"), s.releasedOf(r, method+"-upper")
		if lower == nil || upper == nil {
			continue
		}
		key := "study.missing-say-" + method
		if lower.e.Value > 0 || upper.e.Value < 0 {
			key += "-sign"
		}
		w := trustWords{s, unitOf(r.spec, *lower)}
		out = append(out, s.lang.Text(key, "range", w.between(lower.e.Value, upper.e.Value)))
	}
	if len(out) == 0 {
		return []string{s.lang.Text("study.missing-say")}
	}
	return out
}

// releasedOf is a number of a result that was released; nil without one.
func (s *state) releasedOf(r *analysisResult, term string) *found {
	for i := range r.numbers {
		n := &r.numbers[i]
		if n.term == term && n.not == nil && s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)].Shown {
			return n
		}
	}
	return nil
}

func (m *Missing) chief(_ *state, a *Analysis) (method, term string, _ estimate.Measure) {
	return "missing", m.Methods[0], differenceIn(a)
}
