package study

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"utfall/cohort"
	"utfall/ingest"
	"utfall/internal/lang"
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
	if s.Lock != nil {
		required := s.lockRequired()
		s.Lock.Required = &required
		s.Lock.Gate.defaults()
	}
	for i := range s.Cohorts {
		c := &s.Cohorts[i]
		if c.TimeZero != nil {
			c.ID, c.Treatment = or(c.ID, cohort.UnitColumn), or(c.Treatment, cohort.ParticipantColumn)
		}
		if p := c.Propensity; p != nil {
			p.Model = or(p.Model, cohort.LogitModel)
			if p.Model == cohort.LogitModel {
				p.Link = or(p.Link, "logit")
			}
			if p.Folded() {
				if p.Seed == 0 {
					p.Seed = s.Seed
				}
				if c.TimeZero != nil {
					p.Person = or(p.Person, cohort.PersonColumn)
				}
			}
		}
		if w := c.Weight; w != nil {
			w.Method = or(w.Method, cohort.IPWMethod)
		}
		if c.Match != nil {
			matchDefaults(c.Match, s.Seed)
		}
		if c.Balance == nil && c.Propensity != nil && (c.Match != nil || c.Weight != nil) {
			c.Balance = c.Propensity.Covariates
		}
	}
	for i := range s.Families {
		s.Families[i].Method = or(s.Families[i].Method, "holm")
	}
	for i := range s.Analyses {
		a := &s.Analyses[i]
		if a.Good == "" {
			a.Good = "neutral"
		}
		if a.Unit == "" {
			a.Unit = "units"
		}
		for _, q := range a.questions() {
			q.defaults(s, a)
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
	if !(s.Level > 0.5 && s.Level < 1) || zeroGiven(doc, "level") {
		c.add([]any{"level"}, "level must lie between 0.5 and 1, for example 0.95")
	}
	if _, err := s.Disclosure.Policy().Resolve(); err != nil {
		c.add([]any{"disclosure"}, "%v", err)
	}
	for _, key := range []string{"min_count", "round_to"} {
		if zeroGiven(doc, "disclosure", key) {
			c.add([]any{"disclosure", key}, "disclosure: %s: 0 is not a value of it; leave it out for the usual one", key)
		}
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
	for _, name := range sortedKeys(s.Data) {
		if src := s.Data[name]; src.Published && src.Kind != string(ingest.Municipalities) {
			c.add([]any{"data", name, "published"}, "published is used only with data of kind municipalities: of people nothing is published one by one")
		}
		if p := s.Data[name].Panel; p != nil {
			s.checkPanel(c, []any{"data", name, "panel"}, name, p)
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
	if s.Lock != nil {
		s.Lock.Gate.check(c, []any{"lock", "gate"})
	}
	if len(s.Analyses) == 0 {
		c.add([]any{"analyses"}, "analyses: ask at least one question")
	}
	seen = map[string]bool{}
	for i := range s.Analyses {
		c.name([]any{"analyses", i}, "an analysis", s.Analyses[i].Name, seen)
		s.checkAnalysis(c, []any{"analyses", i}, &s.Analyses[i])
	}
	s.checkFamilies(c)
	return c.out
}

func (c *checker) text(path []any, t Text) {
	for _, k := range sortedKeys(t) {
		if k != "sv" && k != "en" {
			c.add(at(path, k), "a text is written as {sv: …, en: …}; %q is neither", k)
		}
	}
}

// zeroGiven reports whether the study file says 0 for a key whose absence means another value.
func zeroGiven(doc *yaml.Node, path ...string) bool {
	n := doc
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	for _, key := range path {
		var next *yaml.Node
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			if n.Content[i].Value == key {
				next = n.Content[i+1]
			}
		}
		if next == nil {
			return false
		}
		n = next
	}
	v, err := strconv.ParseFloat(n.Value, 64)
	return n.Kind == yaml.ScalarNode && err == nil && v == 0
}

// kinds of data, in the participant model's order.
var kinds = []string{"people", "spells", "participations", "assessments", "municipalities", "memberships", "changes", "costs", "flat"}

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
	if slices.Contains(s.Data[data].added(), column) {
		return
	}
	c.add(path, "data %q have no column %q", data, column)
}

// stateNames tests states against the levels that the spells declare, where they do.
func (s *Spec) stateNames(c *checker, path []any, data, column string, states []string) {
	for _, col := range s.Data[data].Columns {
		if col.Name != column || len(col.Levels) == 0 {
			continue
		}
		for i, name := range states {
			if !slices.Contains(col.Levels, name) {
				c.add(at(path, i), "%q is not a level of %s in data %q (there are: %s)", name, column, data, strings.Join(col.Levels, ", "))
			}
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
