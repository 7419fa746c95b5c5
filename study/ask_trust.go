package study

import (
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/sensitivity"
	"utfall/study/report"
)

// Trust says how far an effect of the study may be trusted: how strong a hidden cause
// would have to be, whether it rests on one place or on outcomes nobody knows, and what
// the same method finds where nothing can be found.
type Trust struct {
	Of        string        `yaml:"of,omitempty"`     // an effect before this analysis
	EValue    bool          `yaml:"evalue,omitempty"` // risk ratio of a hidden cause with treatment and outcome
	Rosenbaum *TrustPairs   `yaml:"rosenbaum,omitempty"`
	Omitted   *TrustOmitted `yaml:"omitted,omitempty"`
	LeaveOut  string        `yaml:"leave_out,omitempty"` // column: the effect without each of its levels
	Tipping   *TrustTipping `yaml:"tipping,omitempty"`
	Controls  []string      `yaml:"negative_controls,omitempty"` // effects with role: negative-control, of the same cohort
	Placebo   *TrustPlacebo `yaml:"placebo,omitempty"`
}

// TrustPairs are Rosenbaum's bounds.
type TrustPairs struct {
	Gamma []float64 `yaml:"gamma,omitempty"` // odds, each at least 1; 1.25, 1.5, 2 if absent
}

// TrustOmitted are the bounds of an omitted covariate.
type TrustOmitted struct {
	Benchmarks []string  `yaml:"benchmarks,omitempty"` // covariates of the effect
	Strength   []float64 `yaml:"strength,omitempty"`   // times a benchmark; 1 if absent
	Together   bool      `yaml:"together,omitempty"`   // all benchmarks at once, too
}

// TrustTipping are shifts of the missing outcomes.
type TrustTipping struct {
	Delta []float64 `yaml:"delta,omitempty"` // of the curve, in the outcome's own unit
}

// TrustPlacebo are effects that must be 0.
type TrustPlacebo struct {
	Analyses []string `yaml:"analyses,omitempty"` // effects with role: placebo, in the unit of the claimed one
	Share    float64  `yaml:"share,omitempty"`    // of the claimed effect that counts as small; 0.5 if absent
}

var (
	_ question  = (*Trust)(nil)
	_ namer     = (*Trust)(nil)
	_ sentencer = (*Trust)(nil)
)

func (q *Trust) defaults(_ *Spec, _ *Analysis) {
	if q.Rosenbaum != nil && q.Rosenbaum.Gamma == nil {
		q.Rosenbaum.Gamma = []float64{1.25, 1.5, 2}
	}
	if q.Omitted != nil && q.Omitted.Strength == nil {
		q.Omitted.Strength = []float64{1}
	}
	if q.Placebo != nil && q.Placebo.Share == 0 {
		q.Placebo.Share = 0.5
	}
}

func (q *Trust) check(s *Spec, c *checker, path []any, a *Analysis) {
	of := s.checkOf(c, at(path, "of"), a, q.Of, "effect")
	if !q.EValue && q.Rosenbaum == nil && q.Omitted == nil && q.LeaveOut == "" && q.Tipping == nil && len(q.Controls) == 0 && q.Placebo == nil {
		c.add(path, "trust: ask at least one of evalue, rosenbaum, omitted, leave_out, tipping, negative_controls, placebo")
	}
	if of == nil || of.Effect == nil {
		return
	}
	if of.Role != "" {
		c.add(at(path, "of"), "trust: analysis %q has the role %s and claims nothing", of.Name, of.Role)
	}
	if q.Rosenbaum != nil {
		for i, g := range q.Rosenbaum.Gamma {
			if !(g >= 1) || math.IsInf(g, 0) || slices.Contains(q.Rosenbaum.Gamma[:i], g) {
				c.add(at(path, "rosenbaum", "gamma", i), "trust: gamma are odds of at least 1, each once")
			}
		}
	}
	q.checkOmitted(c, path, of)
	q.checkTipping(s, c, path, of)
	for i, name := range q.Controls {
		p := at(path, "negative_controls", i)
		o := q.checkRole(s, c, p, a, name, negativeControl, slices.Contains(q.Controls[:i], name))
		if o != nil && o.Effect.Cohort != of.Effect.Cohort {
			c.add(p, "trust: the negative control %q is of another cohort than the effect", name)
		}
	}
	if q.Placebo != nil {
		if len(q.Placebo.Analyses) == 0 {
			c.add(at(path, "placebo"), "trust: placebo: name the analyses")
		}
		if !(q.Placebo.Share > 0) || math.IsInf(q.Placebo.Share, 0) {
			c.add(at(path, "placebo", "share"), "trust: placebo: share must be above 0")
		}
		for i, name := range q.Placebo.Analyses {
			p := at(path, "placebo", "analyses", i)
			o := q.checkRole(s, c, p, a, name, placebo, slices.Contains(q.Placebo.Analyses[:i], name))
			if o != nil && o.Unit != of.Unit {
				c.add(p, "trust: the placebo %q has the unit %s, the effect %s: they must be the same", name, o.Unit, of.Unit)
			}
		}
	}
}

func (q *Trust) checkOmitted(c *checker, path []any, of *Analysis) {
	o := q.Omitted
	if o == nil {
		return
	}
	if e := of.Effect; e.Method != "difference" && e.Method != "regression" || e.Interactions {
		c.add(at(path, "omitted"), "trust: omitted is about a regression: the effect needs method: difference, or regression without interactions")
	}
	for i, b := range o.Benchmarks {
		if !slices.Contains(of.Effect.Covariates, b) || slices.Contains(o.Benchmarks[:i], b) {
			c.add(at(path, "omitted", "benchmarks", i), "trust: omitted: %q is not a covariate of the effect, or is there twice", b)
		}
	}
	if o.Together && len(o.Benchmarks) < 2 {
		c.add(at(path, "omitted", "together"), "trust: omitted: together is used only with two benchmarks or more")
	}
	for i, k := range o.Strength {
		if !(k > 0) || math.IsInf(k, 0) || slices.Contains(o.Strength[:i], k) {
			c.add(at(path, "omitted", "strength", i), "trust: omitted: strength are numbers above 0, each once")
		}
		if len(o.Benchmarks) == 0 && k != 1 {
			c.add(at(path, "omitted", "strength", i), "trust: omitted: strength is used only with benchmarks")
		}
	}
}

func (q *Trust) checkTipping(s *Spec, c *checker, path []any, of *Analysis) {
	if q.Tipping == nil {
		return
	}
	co := s.findCohort(of.Effect.Cohort)
	if co != nil && co.TimeZero != nil && co.TimeZero.Censoring != nil {
		c.add(at(path, "tipping"), "trust: tipping is for outcomes that nobody knows; with later: censor or a grace period weights make up for those that end")
	}
	for i, d := range q.Tipping.Delta {
		if math.IsNaN(d) || math.IsInf(d, 0) || slices.Contains(q.Tipping.Delta[:i], d) {
			c.add(at(path, "tipping", "delta", i), "trust: tipping: delta are finite numbers, each once")
		}
	}
}

// checkRole tests an analysis that says how far the effect may be trusted.
func (q *Trust) checkRole(s *Spec, c *checker, path []any, a *Analysis, name, role string, twice bool) *Analysis {
	o := s.checkOf(c, path, a, name, "effect")
	switch {
	case o == nil || o.Effect == nil:
		return nil
	case twice:
		c.add(path, "trust: analysis %q is named twice", name)
	case o.Role != role:
		c.add(path, "trust: analysis %q needs role: %s", name, role)
	}
	return o
}

// checkRole tests the role of an analysis: somebody must ask for it, and what it is about
// must be settled before the start.
func (s *Spec) checkRole(c *checker, path []any, a *Analysis) {
	if a.Role == "" {
		return
	}
	c.oneOf(at(path, "role"), "role", a.Role, negativeControl, placebo)
	if a.Effect == nil {
		c.add(at(path, "role"), "role is used only with effect")
		return
	}
	if a.Headline {
		c.add(at(path, "headline"), "an analysis with a role is no key result")
	}
	named := false
	for i := range s.Analyses {
		if q := s.Analyses[i].Trust; q != nil {
			named = named || slices.Contains(q.Controls, a.Name) || q.Placebo != nil && slices.Contains(q.Placebo.Analyses, a.Name)
		}
	}
	if !named {
		c.add(at(path, "role"), "analysis %q has the role %s, and no analysis of trust asks for it", a.Name, a.Role)
	}
	co := s.findCohort(a.Effect.Cohort)
	if co == nil || co.TimeZero == nil || co.TimeZero.Shift < 0 {
		return
	}
	for _, o := range co.TimeZero.Outcomes {
		if o.Name == a.Effect.Outcome && o.At >= 0 {
			c.add(at(path, "role"), "outcome %q lies after the start, where the measure may have changed it: use one with at below 0, or a cohort with shift", o.Name)
		}
	}
}

// placeboTime reports whether the cohort has a placebo time zero.
func placeboTime(co *Cohort) bool { return co.TimeZero != nil && co.TimeZero.Shift < 0 }

func (q *Trust) rests() basis {
	of := append([]string{q.Of}, q.Controls...)
	if q.Placebo != nil {
		of = append(of, q.Placebo.Analyses...)
	}
	return basis{of: of}
}

func (q *Trust) dry(s *state, _ *Analysis) error {
	if q.LeaveOut == "" {
		return nil
	}
	a := s.spec.findAnalysis(q.Of)
	b := s.cohorts[a.Effect.Cohort]
	rows, _, err := s.effectRows(b, a.Effect)
	if err != nil {
		return err
	}
	t := &trustRun{s: s, q: q, b: b, of: &analysisResult{spec: a, fitted: &fitted{rows: rows}}}
	_, _, err = t.groups(q.LeaveOut)
	return err
}

// findAnalysis returns the analysis of the name.
func (s *Spec) findAnalysis(name string) *Analysis {
	for i := range s.Analyses {
		if s.Analyses[i].Name == name {
			return &s.Analyses[i]
		}
	}
	return nil
}

func (q *Trust) estimate(s *state, a *Analysis) (analysisResult, error) { return s.trust(a) }

func (q *Trust) words(*state, *analysisResult) (estimand, errors, also string) {
	return "trust", "trust", ""
}

// shows leaves out of the report's tables what is there for those who want to recompute it.
func (q *Trust) shows(_ *Analysis, n found) bool {
	switch {
	case n.not != nil: // said in words
		return false
	case n.e.Measure == sensitivity.EquivalenceTest, n.e.Measure == sensitivity.R2Treatment, n.e.Measure == sensitivity.R2Outcome, n.e.Measure == sensitivity.PLower,
		n.e.Measure == sensitivity.ShiftMin, n.e.Measure == sensitivity.ShiftMax, n.e.Measure == sensitivity.LimitMin, n.e.Measure == sensitivity.LimitMax,
		strings.HasPrefix(n.term, "path="), strings.HasPrefix(n.term, "without="), n.term == "known", n.term == "expected-error":
		return false
	}
	return true
}

func (q *Trust) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case sensitivity.EValueMeasure, sensitivity.GammaValue, standardised, sensitivity.SystematicError, sensitivity.ErrorSpread, sensitivity.ExpectedError:
		return report.Plain
	case sensitivity.PUpper:
		return report.PValue
	case sensitivity.RobustnessValue, sensitivity.MissingShare, sensitivity.ShareOfClaim:
		return report.Percent
	}
	return ""
}

func (q *Trust) label(s *state, a *Analysis, n found) string {
	text := func(key string, args ...any) string { return s.lang.Text("study.trust-row-"+key, args...) }
	parts := termParts(n.term)
	switch {
	case parts["gamma"] != "":
		return text("gamma-p", "gamma", s.decimal(parts["gamma"]))
	case parts["omitted"] != "":
		times, name, _ := strings.Cut(parts["omitted"], "x ")
		return text("omitted", "times", s.decimal(times), "name", s.labelsOf(name))
	case parts["control"] != "":
		return text("control", "name", s.outcomeOf(parts["control"]))
	case parts["placebo"] != "":
		return text("placebo-share", "name", s.outcomeOf(parts["placebo"]))
	case parts["arm"] != "":
		return text("missing", "group", s.group(s.spec.findCohort(s.spec.findAnalysis(q.Of).Effect.Cohort), parts["arm"]))
	case strings.HasPrefix(n.term, "tipping,"):
		return text("tipping-" + parts["path"])
	}
	return text(n.term)
}

// decimal writes a number of a term as the reader does.
func (s *state) decimal(number string) string {
	if s.lang == "sv" {
		return strings.Replace(number, ".", ",", 1)
	}
	return number
}

// labelsOf names covariates joined by a plus.
func (s *state) labelsOf(names string) string {
	var out []string
	for _, n := range strings.Split(names, "+") {
		out = append(out, s.columnLabel(n))
	}
	return s.lang.And(out)
}

// columnLabel is a column's label; months_STATE_N is a pattern.
func (s *state) columnLabel(name string) string {
	if rest, ok := strings.CutPrefix(name, "months_"); ok {
		if i := strings.LastIndex(rest, "_"); i > 0 {
			if t, has := s.spec.Labels["months_STATE_N"]; has {
				return strings.NewReplacer("STATE", s.label(rest[:i]), "N", rest[i+1:]).Replace(t.In(s.spec.Language))
			}
		}
	}
	return s.label(name)
}

// outcomeOf is what an analysis measures, in words.
func (s *state) outcomeOf(name string) string {
	a := s.spec.findAnalysis(name)
	return or(a.Outcome.In(s.spec.Language), name)
}

func (q *Trust) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "trust", "answer", estimate.MeanDifference
}
