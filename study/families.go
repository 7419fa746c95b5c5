package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/table"
)

// TestFamily is a set of answers that are tested together: the more is tested, the more is
// found by chance. It is declared before outcomes are opened.
type TestFamily struct {
	Name     string   `yaml:"name,omitempty"`
	Analyses []string `yaml:"analyses,omitempty"`
	Method   string   `yaml:"method,omitempty"` // holm (if absent), bh, by, romano-wolf, sup-t
}

// adjustedP is a p-value adjusted for the number of tests in a family.
const adjustedP estimate.Measure = "adjusted-p"

// joint are the methods that use how effects move together.
func (f TestFamily) joint() bool {
	return f.Method == combine.RomanoWolfMethod || f.Method == combine.SupTMethod
}

// claiming are the methods whose main number is an effect that may be tested.
var claiming = []string{"effect", "did", "triple", "switching", "dose", "synth", "spillover", "displacement", "states", "course", "time_to", "pairs", "ladder", "follow_up", "recurrent", "costs"}

func claims(a *Analysis) bool {
	m := a.Methods()
	return len(m) == 1 && slices.Contains(claiming, m[0]) && a.Role == ""
}

func (s *Spec) checkFamilies(c *checker) {
	seen, member := map[string]bool{}, map[string]string{}
	for i, f := range s.Families {
		path := []any{"families", i}
		c.name(path, "a family", f.Name, seen)
		c.oneOf(at(path, "method"), "method", f.Method, combine.FamilyMethods()...)
		if len(f.Analyses) < 2 {
			c.add(path, "family %q: tests are a family from two analyses on", f.Name)
		}
		cohorts := map[string]bool{}
		for j, name := range f.Analyses {
			p := at(path, "analyses", j)
			a := s.findAnalysis(name)
			switch {
			case a == nil:
				c.add(p, "family %q: there is no analysis %q", f.Name, name)
				continue
			case slices.Contains(f.Analyses[:j], name):
				c.add(p, "family %q names %q twice", f.Name, name)
				continue
			case member[name] != "":
				c.add(p, "analysis %q is in the family %q already", name, member[name])
			case !claims(a):
				c.add(p, "family %q: analysis %q claims no effect; one of %v does", f.Name, name, claiming)
			case f.joint() && a.Effect == nil:
				c.add(p, "family %q: %s needs effects of people (effect); use holm", f.Name, f.Method)
			}
			member[name] = f.Name
			if a.Effect != nil {
				cohorts[a.Effect.Cohort] = true
			}
		}
		if f.joint() && len(cohorts) > 1 {
			c.add(path, "family %q: %s follows the same people through all tests, and these are of %d cohorts; use holm", f.Name, f.Method, len(cohorts))
		}
	}
}

// adjust adjusts the tests of each family, and marks what is in none.
func (s *state) adjust() error {
	if len(s.spec.Families) == 0 {
		return nil
	}
	in := map[string]bool{}
	for _, f := range s.spec.Families {
		if err := s.adjustFamily(f); err != nil {
			return fmt.Errorf("family %s: %w", f.Name, err)
		}
		for _, name := range f.Analyses {
			in[name] = true
		}
	}
	for i := range s.results {
		r := &s.results[i]
		if !in[r.spec.Name] && r.spec.Role == "" && (r.kind == "effect" || r.kind == "association") {
			note := table.Note{Code: "exploratory", Text: "This was not among what the study set out to test together: it is exploratory, and its interval is not adjusted for how much was looked at."}
			if own, ok := r.own.(*progressResult); ok { // its headlines are a family of their own
				own.mark(r, note)
				continue
			}
			r.notes = append(r.notes, note)
		}
	}
	return nil
}

func (s *state) adjustFamily(f TestFamily) error {
	o := combine.Family{Method: f.Method, Level: s.spec.Level, Workers: s.o.Workers}
	if f.joint() {
		o.Seed = s.spec.Seed
	}
	main := make([]found, len(f.Analyses))
	for i, name := range f.Analyses {
		r := s.answered(name)
		at := mainNumber(r)
		if at < 0 {
			return fmt.Errorf("%w: analysis %s has no number", ErrInput, name)
		}
		main[i] = r.numbers[at]
		m := combine.Member{Name: name, Estimate: main[i].e}
		if f.joint() && main[i].not == nil {
			if r.fitted == nil || r.fitted.result.Influence == nil {
				return fmt.Errorf("%w: analysis %s keeps no influence function, which %s needs; use holm", ErrSpec, name, f.Method)
			}
			column := r.column()
			b := s.cohorts[r.spec.Effect.Cohort]
			for k, row := range r.fitted.rows {
				m.Influence = append(m.Influence, r.fitted.result.Influence.At(k, column))
				m.Group = append(m.Group, strconv.Itoa(b.dependent(row)))
			}
		}
		o.Members = append(o.Members, m)
	}
	res, err := o.Adjust(s.ctx)
	if _, ok := refusable(err); ok {
		for _, name := range f.Analyses {
			r := s.answered(name)
			r.notes = append(r.notes, table.Note{Code: "family-untested", Text: "The questions that were to be tested together cannot be: they have no tests, or none that can be told apart."})
		}
		return nil
	}
	if err != nil {
		return err
	}
	for i, name := range f.Analyses {
		r, n := s.answered(name), main[i]
		r.notes = append(r.notes, res.Notes...)
		if math.IsNaN(res.P[i]) {
			continue // the number has no test, and the note says that it takes no part
		}
		term := n.term + ",family=" + f.Name
		ci, none := noInterval()
		p := estimate.Estimate{Term: term, Measure: adjustedP, Value: res.P[i], SE: math.NaN(), CI: ci, Test: none}
		r.numbers = append(r.numbers, found{term: term, e: p, basis: n.basis})
		if res.Interval != nil {
			e := n.e
			e.Term, e.CI, e.Test.P = term, res.Interval[i], res.P[i]
			r.numbers = append(r.numbers, found{term: term, e: e, basis: n.basis})
		}
	}
	return nil
}

// familyOf is the family of an analysis; nil if it is in none.
func (s *Spec) familyOf(name string) *TestFamily {
	for i := range s.Families {
		if slices.Contains(s.Families[i].Analyses, name) {
			return &s.Families[i]
		}
	}
	return nil
}

// familyLabel names a number that was adjusted.
func (s *state) familyLabel(n found, family string) string {
	for _, f := range s.spec.Families {
		if f.Name == family {
			key := "study.family-p"
			if n.e.Measure != adjustedP {
				key = "study.family-interval"
			}
			return s.lang.Text(key, "n", len(f.Analyses), "method", s.lang.Text("study.family-"+f.Method))
		}
	}
	return ""
}
