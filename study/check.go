package study

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v4"

	"utfall/cohort"
	"utfall/ingest"
	"utfall/internal/lang"
	"utfall/table"
)

// defaults writes out what the study file leaves unsaid, so that the resolved spec
// in the bundle needs no assumption.
func (s *Spec) defaults() {
	if s.Level == 0 {
		s.Level = 0.95
	}
	if s.Language == "" {
		s.Language = string(lang.EN)
	}
	if p, err := s.Disclosure.Policy().Resolve(); err == nil {
		s.Disclosure = Disclosure{MinCount: p.MinCount, RoundTo: p.RoundTo}
	}
	for i := range s.Cohorts {
		c := &s.Cohorts[i]
		if c.TimeZero != nil {
			c.ID, c.Treatment = cohort.UnitColumn, cohort.ParticipantColumn
		}
		if c.Propensity != nil && c.Propensity.Link == "" {
			c.Propensity.Link = "logit"
		}
		if c.Match != nil {
			m := c.Match
			m.Seed = s.Seed
			m.Method, m.Distance = or(m.Method, "nearest"), or(m.Distance, cohort.LogitDistance)
			m.Order, m.Ties, m.Estimand = or(m.Order, cohort.LargestOrder), or(m.Ties, cohort.HashTies), or(m.Estimand, cohort.ATT)
			m.Ratio = max(m.Ratio, 1)
		}
		if c.Balance == nil && c.Propensity != nil {
			c.Balance = c.Propensity.Covariates
		}
	}
	for i := range s.Analyses {
		a := &s.Analyses[i]
		if a.Good == "" {
			a.Good = "neutral"
		}
		if a.Unit == "" {
			a.Unit = "units"
		}
		if e := a.Effect; e != nil && e.Method == "" {
			e.Method = "difference"
		}
		if d := a.DID; d != nil {
			d.Method = or(d.Method, "dr")
			d.Control = or(d.Control, "not-yet")
			d.Base = or(d.Base, "universal")
			d.Bands = or(d.Bands, "pointwise")
			if d.Aggregate == nil {
				d.Aggregate = []string{"simple", "dynamic"}
			}
			if d.Bands == "uniform" && d.Replicates == 0 {
				d.Replicates = 999
			}
		}
	}
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// checker collects problems with the line of the key they are about.
type checker struct {
	file string
	doc  *yaml.Node
	out  []Problem
}

func (c *checker) add(path []any, format string, a ...any) {
	c.out = append(c.out, Problem{c.file, lineOf(c.doc, path...), fmt.Sprintf(format, a...)})
}

// errs adds errors of another package that are about one place.
func (c *checker) errs(path []any, errs []error) {
	for _, err := range errs {
		c.add(path, "%v", err)
	}
}

func (c *checker) oneOf(path []any, what, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.add(path, "%s %q is not one of %s", what, value, strings.Join(allowed, ", "))
	}
}

// at appends to a path without sharing its array.
func at(path []any, more ...any) []any { return append(slices.Clip(path), more...) }

var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func (c *checker) name(path []any, what, name string, seen map[string]bool) {
	switch {
	case name == "":
		c.add(path, "%s needs a name", what)
	case !nameRule.MatchString(name):
		c.add(at(path, "name"), "name %q of %s: use small letters a-z, digits and hyphens", name, what)
	case seen[name]:
		c.add(at(path, "name"), "name %q is used twice", name)
	}
	seen[name] = true
}

func (s *Spec) check(file string, doc *yaml.Node) []Problem {
	c := &checker{file: file, doc: doc}
	if s.Format != Version {
		c.add([]any{"utfall"}, "utfall: %d is not a version of the study file this program reads; write utfall: %d", s.Format, Version)
	}
	if !nameRule.MatchString(s.Name) {
		c.add([]any{"name"}, "name %q: use small letters a-z, digits and hyphens", s.Name)
	}
	if _, err := lang.Parse(s.Language); err != nil {
		c.add([]any{"language"}, "language %q is not one of sv, en", s.Language)
	}
	if !(s.Level > 0.5 && s.Level < 1) {
		c.add([]any{"level"}, "level must lie between 0.5 and 1, for example 0.95")
	}
	if _, err := s.Disclosure.Policy().Resolve(); err != nil {
		c.add([]any{"disclosure"}, "%v", err)
	}
	if len(s.Data) == 0 {
		c.add([]any{"data"}, "data: name at least one data file")
	}
	for _, name := range sortedKeys(s.Data) {
		src, path := s.Data[name], []any{"data", name}
		if !nameRule.MatchString(name) {
			c.add(path, "data name %q: use small letters a-z, digits and hyphens", name)
		}
		c.oneOf(at(path, "kind"), "kind", src.Kind, kinds...)
		c.errs(path, src.Check())
		if slices.Contains(kinds, src.Kind) {
			c.errs(path, ingest.CheckKind(ingest.Kind(src.Kind), &src.Source))
		}
	}
	for _, k := range sortedKeys(s.Labels) {
		c.text([]any{"labels", k}, s.Labels[k])
	}
	seen := map[string]bool{}
	for i := range s.Cohorts {
		c.name([]any{"cohorts", i}, "a cohort", s.Cohorts[i].Name, seen)
		s.checkCohort(c, []any{"cohorts", i}, &s.Cohorts[i])
	}
	if len(s.Analyses) == 0 {
		c.add([]any{"analyses"}, "analyses: ask at least one question")
	}
	seen = map[string]bool{}
	for i := range s.Analyses {
		c.name([]any{"analyses", i}, "an analysis", s.Analyses[i].Name, seen)
		s.checkAnalysis(c, []any{"analyses", i}, &s.Analyses[i])
	}
	return c.out
}

func (c *checker) text(path []any, t Text) {
	for _, k := range sortedKeys(t) {
		if k != "sv" && k != "en" {
			c.add(at(path, k), "a text is written as {sv: …, en: …}; %q is neither", k)
		}
	}
}

// kinds of data, in the participant model's order.
var kinds = []string{"people", "spells", "participations", "assessments", "municipalities", "costs", "flat"}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// data checks a reference to data of one of the kinds, and reports whether it can be followed.
func (s *Spec) data(c *checker, path []any, name string, kinds ...string) bool {
	src, ok := s.Data[name]
	if !ok {
		c.add(path, "there are no data named %q (there are: %s)", name, strings.Join(sortedKeys(s.Data), ", "))
		return false
	}
	if len(kinds) > 0 && !slices.Contains(kinds, src.Kind) {
		c.add(path, "data %q are of kind %s; %s is needed here", name, src.Kind, strings.Join(kinds, " or "))
		return false
	}
	return true
}

// column checks that a source declares a column.
func (s *Spec) column(c *checker, path []any, data, column string) {
	for _, col := range s.Data[data].Columns {
		if col.Name == column {
			return
		}
	}
	c.add(path, "data %q have no column %q", data, column)
}

func (s *Spec) checkCohort(c *checker, path []any, co *Cohort) {
	c.text(at(path, "label"), co.Label)
	for _, k := range sortedKeys(co.Groups) {
		c.oneOf(at(path, "groups", k), "group", k, "treated", "control")
	}
	if s.data(c, at(path, "base"), co.Base, "people", "flat") && co.TimeZero == nil {
		if co.ID == "" || co.Treatment == "" {
			c.add(path, "cohort %q needs id and treatment: the columns that name the unit and mark the treated", co.Name)
		} else {
			s.column(c, at(path, "id"), co.Base, co.ID)
			s.column(c, at(path, "treatment"), co.Base, co.Treatment)
		}
	}
	if t := co.TimeZero; t != nil {
		p := at(path, "time_zero")
		c.errs(p, t.Check())
		s.data(c, at(p, "spells"), t.Spells, "spells")
		s.data(c, at(p, "participations"), t.Participations, "participations")
		for i, o := range t.Outcomes {
			c.errs(at(p, "outcomes", i), o.Check(t.FollowUp))
		}
	}
	seen := map[string]bool{}
	for i, f := range co.Eligibility {
		p := at(path, "eligibility", i)
		c.name(p, "an eligibility rule", f.Name, seen)
		c.text(at(p, "label"), f.Label)
		if f.Keep == "" {
			c.add(p, "eligibility rule %q needs keep: the rule that rows must meet", f.Name)
		} else if err := table.CheckFilterSyntax(f.Keep); err != nil {
			c.add(at(p, "keep"), "%v", err)
		}
	}
	if pr := co.Propensity; pr != nil {
		if len(pr.Covariates) == 0 {
			c.add(at(path, "propensity"), "propensity: name the covariates")
		}
		c.oneOf(at(path, "propensity", "link"), "link", pr.Link, "logit")
		if co.TimeZero != nil {
			for _, o := range co.TimeZero.Outcomes {
				if slices.Contains(pr.Covariates, o.Name) {
					c.add(at(path, "propensity", "covariates"), "covariate %q is an outcome: it is measured after time zero", o.Name)
				}
			}
		}
	}
	if co.Match != nil {
		c.errs(at(path, "match"), co.Match.Check())
		if co.Propensity == nil {
			c.add(at(path, "match"), "match needs propensity: the covariates on which people are made comparable")
		}
	}
}

// findCohort returns the cohort of the name.
func (s *Spec) findCohort(name string) *Cohort {
	for i := range s.Cohorts {
		if s.Cohorts[i].Name == name {
			return &s.Cohorts[i]
		}
	}
	return nil
}

func (s *Spec) cohortRef(c *checker, path []any, name string) *Cohort {
	co := s.findCohort(name)
	if co == nil {
		names := make([]string, len(s.Cohorts))
		for i := range s.Cohorts {
			names[i] = s.Cohorts[i].Name
		}
		c.add(path, "there is no cohort %q (there are: %s)", name, strings.Join(names, ", "))
	}
	return co
}
