package cohort

import (
	"context"
	"fmt"
	"slices"

	"utfall/table"
)

// The methods of [MatchSpec.Matcher].
const (
	NearestMethod  = "nearest"
	ExactMethod    = "exact"
	CEMMethod      = "cem"
	SubclassMethod = "subclass"
)

// Matcher is a matching design: [Nearest], [Exact], [CEM] or [Subclass].
type Matcher interface {
	Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error)
}

// Matcher returns the design of any method that is built; every problem, an option
// that the method does not use among them, is in the error.
func (s MatchSpec) Matcher() (Matcher, error) {
	m, errs := s.matcher()
	if len(errs) > 0 {
		return nil, joined(errs)
	}
	return m, nil
}

// CheckMatcher lists every problem that [MatchSpec.Matcher] finds.
func (s MatchSpec) CheckMatcher() []error {
	_, errs := s.matcher()
	return errs
}

func (s MatchSpec) matcher() (Matcher, []error) {
	switch s.Method {
	case "", NearestMethod:
		return s.nearest(), s.Check()
	case ExactMethod:
		m := Exact{Columns: s.Exact, Estimand: s.Estimand}
		return m, append(s.unused(ExactMethod, "exact"), checkCellEstimand(m.Estimand)...)
	case CEMMethod:
		m := CEM{Bins: s.Bins, Exact: s.Exact, Estimand: s.Estimand, PairWithin: s.PairWithin, Seed: s.Seed}
		return m, append(s.unused(CEMMethod, "exact", "cutpoints", "pair-within", "seed"), m.Check()...)
	case SubclassMethod:
		m := Subclass{Number: s.Subclasses, Distance: s.Distance, Ties: s.Ties, Estimand: s.Estimand, Seed: s.Seed}
		return m, append(s.unused(SubclassMethod, "subclasses", "distance", "ties", "seed"), m.Check()...)
	}
	err := fmt.Errorf("%w: matching method %q does not exist; there are: nearest, exact, cem, subclass", ErrOption, s.Method)
	if s.Method == "optimal" || s.Method == "full" {
		err = fmt.Errorf("%w: matching method %q is %w; there are: nearest, exact, cem, subclass", ErrOption, s.Method, ErrNotBuilt)
	}
	s.Method = NearestMethod // what else is wrong, for a method that takes the same options
	return nil, append([]error{err}, s.Check()...)
}

// given names the options that are not at their zero value.
func (s MatchSpec) given() []string {
	var out []string
	add := func(name string, given bool) {
		if given {
			out = append(out, name)
		}
	}
	add("distance", s.Distance != "")
	add("ratio", s.Ratio > 1 || s.Ratio < 0)
	add("replace", s.Replace)
	add("caliper", s.Caliper != nil)
	add("caliper-raw", s.CaliperRaw != nil)
	add("caliper-on", len(s.CaliperOn) > 0)
	add("caliper-score", s.CaliperScore != nil)
	add("exact", len(s.Exact) > 0)
	add("order", s.Order != "")
	add("ties", s.Ties != "")
	add("seed", s.Seed != 0)
	return append(out, s.ofCells()...)
}

// ofCells names the options given that nearest-neighbour matching lacks.
func (s MatchSpec) ofCells() []string {
	var out []string
	if s.Subclasses != 0 {
		out = append(out, "subclasses")
	}
	if len(s.Bins) > 0 {
		out = append(out, "cutpoints")
	}
	if s.PairWithin {
		out = append(out, "pair-within")
	}
	return out
}

// unused lists the options that are given and that a method does not use.
func (s MatchSpec) unused(method string, uses ...string) []error {
	var errs []error
	for _, name := range s.given() {
		if !slices.Contains(uses, name) {
			errs = append(errs, fmt.Errorf("%w: method %s does not use %s", ErrOption, method, name))
		}
	}
	return errs
}
