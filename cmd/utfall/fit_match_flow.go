package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"utfall/cohort"
	"utfall/ingest"
)

// fitFlow are the flags of full and of cardinality matching.
type fitFlow struct {
	f                        *flagSet
	minControls, maxControls float64
	tolerance                float64
	toleranceOn              []string
}

func (c *fitFlow) flags(f *flagSet) {
	c.f = f
	f.number(&c.minControls, "min-controls", 0, "of --method full: untreated for one treated, at least; 0.5 = up to 2 treated may share one untreated (default: no limit)")
	f.number(&c.maxControls, "max-controls", 0, "of --method full: untreated for one treated, at most (default: no limit)")
	f.number(&c.tolerance, "tolerance", 0.05, "of --method cardinality: largest difference of means, in SD of the group that the estimand is about")
	f.list(&c.toleranceOn, "tolerance-on", "of --method cardinality: `column=width`: another tolerance for a covariate")
}

// spec reads the flags into s.
func (c *fitFlow) spec(s *cohort.MatchSpec) (problems []string) {
	s.MinControls, s.MaxControls = c.minControls, c.maxControls
	for _, name := range []string{"min-controls", "max-controls"} {
		if v := map[string]float64{"min-controls": c.minControls, "max-controls": c.maxControls}[name]; c.f.given(name) && v == 0 {
			problems = append(problems, fmt.Sprintf("--%s must be above 0", name))
		}
	}
	if c.f.given("tolerance") {
		s.Tolerance = &c.tolerance
	}
	for _, text := range c.toleranceOn {
		name, value, _ := cutLast(text)
		v, err := strconv.ParseFloat(value, 64)
		_, twice := s.ToleranceOn[name]
		switch {
		case name == "" || err != nil || !finite(v) || v < 0:
			problems = append(problems, fmt.Sprintf("--tolerance-on: %q is not COLUMN=NUMBER with a number of at least 0", text))
		case twice:
			problems = append(problems, fmt.Sprintf("--tolerance-on names %q twice", name))
		default:
			if s.ToleranceOn == nil {
				s.ToleranceOn = map[string]float64{}
			}
			s.ToleranceOn[name] = v
		}
	}
	return problems
}

// tooLarge is an error of resources: exit code 5.
func tooLarge(err error) error {
	if errors.Is(err, cohort.ErrTooLarge) {
		return fmt.Errorf("%w: %w", ingest.ErrResource, err)
	}
	return err
}

// flowOutput says how good an optimal, full or cardinality matching is.
func flowOutput(got *cohort.Matched, out *fitOutput) {
	if o := got.Optimum; o != nil {
		out.details["optimum"] = map[string]any{"total": o.Total, "unit": o.Unit, "pairs": o.Pairs, "pairs_within_calipers": o.Kept, "pairs_offered": o.Offered}
	}
	c := got.Cardinality
	if c == nil {
		return
	}
	var rows []any
	for j, name := range c.Columns {
		if !math.IsNaN(c.Width[j]) {
			rows = append(rows, map[string]any{"column": name, "width": c.Width[j], "difference": c.Remaining[j]})
		}
	}
	out.details["gap"], out.details["bound"], out.details["optimal"] = c.Gap, c.Bound, c.Optimal
	out.details["cardinality"] = map[string]any{"kept": c.Kept, "bound": c.Bound, "root_bound": c.RootBound, "gap": c.Gap, "optimal": c.Optimal, "nodes": c.Nodes, "tolerances": rows}
}
