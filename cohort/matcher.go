package cohort

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"utfall/table"
)

// The methods of [MatchSpec.Matcher].
const (
	NearestMethod  = "nearest"
	OptimalMethod  = "optimal"
	FullMethod     = "full"
	ExactMethod    = "exact"
	CEMMethod      = "cem"
	SubclassMethod = "subclass"

	CardinalityMethod = "cardinality"
)

// MatchMethods lists them.
func MatchMethods() []string {
	return []string{NearestMethod, OptimalMethod, FullMethod, ExactMethod, CEMMethod, SubclassMethod, CardinalityMethod}
}

// Matcher is a matching design: [Nearest], [Optimal], [Full], [Exact], [CEM], [Subclass] or [Cardinality].
type Matcher interface {
	Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error)
}

// Matcher returns the design; every problem, an option that the method does not use
// among them, is in the error.
func (s MatchSpec) Matcher() (Matcher, error) {
	m, errs := s.matcher()
	if len(errs) > 0 {
		return nil, joined(errs)
	}
	return m, nil
}

// Check lists every problem that [MatchSpec.Matcher] finds, each as an [ErrOption]; what the
// options say about a table shows in Match.
func (s MatchSpec) Check() []error {
	_, errs := s.matcher()
	return errs
}

// Uses lists the options that a method uses beside estimand, by the names of the command line;
// nil for a method that does not exist.
func Uses(method string) []string {
	limits := []string{"distance", "caliper", "caliper-raw", "caliper-on", "caliper-score", "exact", "seed"}
	switch method {
	case "", NearestMethod:
		return append(limits, "ratio", "replace", "order", "ties")
	case OptimalMethod:
		return append(limits, "ratio")
	case FullMethod:
		return append(limits, "min-controls", "max-controls")
	case ExactMethod:
		return []string{"exact"}
	case CEMMethod:
		return []string{"exact", "cutpoints", "pair-within", "seed"}
	case SubclassMethod:
		return []string{"subclasses", "distance", "ties", "seed"}
	case CardinalityMethod:
		return []string{"ratio", "tolerance", "tolerance-on", "exact", "pair-within", "seed"}
	}
	return nil
}

func (s MatchSpec) matcher() (Matcher, []error) {
	n := s.nearest()
	known := s.Method
	if Uses(s.Method) == nil {
		known = NearestMethod // what else is wrong, for a method that takes much the same options
	}
	errs := append(s.unused(known), s.widths()...)
	switch known {
	case OptimalMethod:
		m := Optimal{
			Distance: n.Distance, Ratio: n.Ratio, Caliper: n.Caliper, CaliperRaw: n.CaliperRaw, CaliperOn: n.CaliperOn, CaliperScore: n.CaliperScore,
			Exact: n.Exact, Estimand: n.Estimand, Seed: n.Seed,
		}
		return m, append(errs, m.Check()...)
	case FullMethod:
		m := Full{
			Distance: n.Distance, Caliper: n.Caliper, CaliperRaw: n.CaliperRaw, CaliperOn: n.CaliperOn, CaliperScore: n.CaliperScore,
			Exact: n.Exact, MinControls: s.MinControls, MaxControls: s.MaxControls, Estimand: n.Estimand, Seed: n.Seed,
		}
		return m, append(errs, m.Check()...)
	case ExactMethod:
		m := Exact{Columns: s.Exact, Estimand: s.Estimand}
		return m, append(errs, checkCellEstimand(m.Estimand)...)
	case CEMMethod:
		m := CEM{Bins: s.Bins, Exact: s.Exact, Estimand: s.Estimand, PairWithin: s.PairWithin, Seed: s.Seed}
		return m, append(errs, m.Check()...)
	case SubclassMethod:
		m := Subclass{Number: s.Subclasses, Distance: s.Distance, Ties: s.Ties, Estimand: s.Estimand, Seed: s.Seed}
		return m, append(errs, m.Check()...)
	case CardinalityMethod:
		m := Cardinality{Ratio: s.Ratio, Tolerance: s.Tolerance, ToleranceOn: s.ToleranceOn, Exact: s.Exact, PairWithin: s.PairWithin, Estimand: s.Estimand, Seed: s.Seed}
		return m, append(errs, m.Check()...)
	}
	if Uses(s.Method) == nil {
		errs = append([]error{fmt.Errorf("%w: matching method %q does not exist; there are: %s", ErrOption, s.Method, strings.Join(MatchMethods(), ", "))}, errs...)
	}
	return n, append(errs, n.Check()...)
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
	add("min-controls", s.MinControls != 0)
	add("max-controls", s.MaxControls != 0)
	add("subclasses", s.Subclasses != 0)
	add("cutpoints", len(s.Bins) > 0)
	add("pair-within", s.PairWithin)
	add("tolerance", s.Tolerance != nil)
	add("tolerance-on", len(s.ToleranceOn) > 0)
	return out
}

// unused lists the options that are given and that the method does not use.
func (s MatchSpec) unused(method string) []error {
	if method == "" {
		method = NearestMethod
	}
	var errs []error
	for _, name := range s.given() {
		if !slices.Contains(Uses(method), name) {
			errs = append(errs, fmt.Errorf("%w: method %s does not use %s", ErrOption, method, name))
		}
	}
	return errs
}

// widths checks the calipers that are given: a width of 0 is not the absence of one.
func (s MatchSpec) widths() []error {
	var errs []error
	for _, c := range []struct {
		name  string
		width *float64
	}{{"caliper", s.Caliper}, {"caliper-raw", s.CaliperRaw}, {"caliper-score", s.CaliperScore}} {
		if c.width != nil && !(*c.width > 0) {
			errs = append(errs, fmt.Errorf("%w: %s must be above 0", ErrOption, c.name))
		}
	}
	return errs
}
