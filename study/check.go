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
	for i := range s.Analyses {
		a := &s.Analyses[i]
		if a.Good == "" {
			a.Good = "neutral"
		}
		if a.Unit == "" {
			a.Unit = "units"
		}
		if e := a.Effect; e != nil {
			e.Method = or(e.Method, "difference")
			if co := s.findCohort(e.Cohort); co != nil && (co.Match != nil || co.TimeZero != nil) {
				e.Vcov = or(e.Vcov, "cr1") // people are linked by a set, or are there twice
			}
			e.Vcov = or(e.Vcov, "hc1")
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

// matchDefaults writes out the options that the method uses.
func matchDefaults(m *cohort.MatchSpec, seed uint64) {
	m.Method, m.Estimand = or(m.Method, cohort.NearestMethod), or(m.Estimand, cohort.ATT)
	uses := cohort.Uses(m.Method)
	has := func(name string) bool { return slices.Contains(uses, name) }
	if has("distance") {
		m.Distance = or(m.Distance, cohort.LogitDistance)
	}
	scored := m.Distance == cohort.LogitDistance || m.Distance == cohort.LinearLogitDistance || m.CaliperScore != nil
	if has("order") && scored {
		m.Order = or(m.Order, cohort.LargestOrder)
	}
	if has("ties") && m.Order != cohort.DataOrder {
		m.Ties = or(m.Ties, cohort.HashTies)
	}
	if has("ratio") && m.Ratio == 0 {
		m.Ratio = 1
	}
	if has("seed") && m.Seed == 0 && (m.Method != cohort.CEMMethod || m.PairWithin) {
		m.Seed = seed
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
		if t.Design == cohort.GracePeriod && (co.Propensity != nil || co.Match != nil || co.Weight != nil || len(co.Balance) > 0) {
			c.add(at(p, "design"), "design: %s compares clones of everybody by the weights of censoring: leave propensity, match, weight and balance out", t.Design)
		}
		if co.ID != cohort.UnitColumn || co.Treatment != cohort.ParticipantColumn {
			c.add(path, "cohort %q: time_zero makes the units and says who takes part: leave id and treatment out", co.Name)
		}
		if _, ok := s.Data[co.Base]; ok {
			for i, col := range t.Drop {
				s.column(c, at(p, "drop", i), co.Base, col)
			}
		}
		s.data(c, at(p, "spells"), t.Spells, "spells")
		s.data(c, at(p, "participations"), t.Participations, "participations")
		if t.Amounts != "" {
			s.data(c, at(p, "amounts"), t.Amounts, "costs")
		}
		if (t.Amounts != "") != slices.Contains(t.Features, cohort.AmountFeatures) {
			c.add(at(p, "amounts"), "amounts (data of kind costs) and the feature amounts go together")
		}
		if _, ok := s.Data[co.Base]; ok {
			for _, column := range sortedKeys(t.KnownFrom) {
				s.column(c, at(p, "known_from", column), co.Base, column)
				s.column(c, at(p, "known_from", column), co.Base, t.KnownFrom[column])
			}
		}
		s.checkCensoring(c, p, t)
		for i, o := range t.Outcomes {
			c.errs(at(p, "outcomes", i), o.Check(t.FollowUp))
			s.stateNames(c, at(p, "outcomes", i, "states"), t.Spells, "state", o.States)
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
		p := at(path, "propensity")
		if len(pr.Covariates) == 0 {
			c.add(p, "propensity: name the covariates")
		}
		c.errs(p, pr.Check())
		if pr.Folded() && pr.Seed != s.Seed {
			c.add(at(p, "seed"), "propensity: the seed of the study is used: leave seed out here")
		}
		if len(pr.Categorical) > 0 {
			c.add(at(p, "categorical"), "propensity: categorical is of the command line: declare the column with type: category")
		}
		if pr.Estimand != "" && pr.Estimand != cohort.ATT {
			c.add(at(p, "estimand"), "propensity: the effects of a study are those on the treated: leave estimand out here")
		}
	}
	s.checkDesign(c, path, co)
	switch {
	case co.Match != nil && co.Weight != nil:
		c.add(at(path, "weight"), "a cohort is either matched or weighted: leave match or weight out")
	case co.Match != nil:
		s.checkMatch(c, path, co)
	case co.Weight != nil:
		s.checkWeight(c, path, co)
	default:
		if co.Propensity != nil {
			c.add(at(path, "propensity"), "propensity is used only with match or weight")
		}
		if len(co.Balance) > 0 {
			c.add(at(path, "balance"), "balance is used only with match or weight")
		}
	}
}

// checkCensoring tests the model of who starts when, which the weights of people whose
// follow-up ends with their start need.
func (s *Spec) checkCensoring(c *checker, p []any, t *TimeZero) {
	grace := t.Design == cohort.GracePeriod
	needed := grace || t.Later == cohort.LaterCensors
	switch {
	case needed && t.Censoring == nil:
		c.add(p, "time_zero: later: censor and a grace period need censoring: the covariates of who starts when")
		return
	case !needed && t.Censoring != nil:
		c.add(at(p, "censoring"), "censoring is used only with later: censor or a grace period")
	}
	if !needed {
		return
	}
	if grace {
		c.errs(at(p, "censoring"), t.Censoring.Check(t.Timing))
	} else {
		c.errs(at(p, "censoring"), t.Censoring.CensorSpec.Check(t.FollowUp))
		if t.Censoring.Initiation != "" {
			c.add(at(p, "censoring", "initiation"), "censoring: initiation is of a grace period")
		}
	}
	for _, o := range t.Outcomes {
		if slices.Contains(t.Censoring.Covariates, o.Name) {
			c.add(at(p, "censoring", "covariates"), lintOutcome+": censoring reads %q, an outcome: it is measured after time zero", o.Name)
		}
	}
	s.stateNames(c, at(p, "censoring", "absorbing"), t.Spells, "state", t.Censoring.Absorbing)
}

func (s *Spec) checkMatch(c *checker, path []any, co *Cohort) {
	m := co.Match
	c.errs(at(path, "match"), m.Check())
	if co.Propensity == nil {
		c.add(at(path, "match"), "match needs propensity: the covariates on which people are made comparable")
	}
	if m.Estimand != cohort.ATT {
		c.add(at(path, "match", "estimand"), "estimand %s: the effects of a matched cohort are those on the treated; use att", m.Estimand)
	}
	if m.Seed != 0 && m.Seed != s.Seed {
		c.add(at(path, "match", "seed"), "match: the seed of the study is used: leave seed out here")
	}
	if p := co.Propensity; p != nil && p.Model != cohort.LogitModel && m.Method == cohort.SubclassMethod && m.Distance == cohort.LinearLogitDistance {
		c.add(at(path, "match", "distance"), "match: subclasses of a %s score are the same for logit and linear-logit: use logit", p.Model)
	}
}

func (s *Spec) checkWeight(c *checker, path []any, co *Cohort) {
	w, p := *co.Weight, at(path, "weight")
	if co.Propensity == nil {
		c.add(p, "weight needs propensity: the covariates on which the groups are made alike")
		return
	}
	balances := w.Method == cohort.EntropyMethod || w.Method == cohort.CBPSMethod
	if !balances || w.Trim != nil {
		w.Propensity = co.Propensity
	} else if q := co.Propensity; q.Model != cohort.LogitModel || q.Link != "logit" || q.CrossFit {
		c.add(at(path, "propensity"), "weighting by %s needs only the covariates of propensity: leave the model out", w.Method)
	}
	c.errs(p, w.Check())
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
