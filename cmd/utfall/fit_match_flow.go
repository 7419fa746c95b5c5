package main

import (
	"errors"
	"fmt"

	"utfall/cohort"
	"utfall/ingest"
)

// fitFlow are the flags of full matching.
type fitFlow struct {
	f                        *flagSet
	minControls, maxControls float64
}

func (c *fitFlow) flags(f *flagSet) {
	c.f = f
	f.number(&c.minControls, "min-controls", 0, "of --method full: untreated for one treated, at least; 0.5 = up to 2 treated may share one untreated (default: no limit)")
	f.number(&c.maxControls, "max-controls", 0, "of --method full: untreated for one treated, at most (default: no limit)")
}

// spec reads the flags into s.
func (c *fitFlow) spec(s *cohort.MatchSpec) (problems []string) {
	s.MinControls, s.MaxControls = c.minControls, c.maxControls
	for name, v := range map[string]*float64{"min-controls": &s.MinControls, "max-controls": &s.MaxControls} {
		if c.f.given(name) && *v == 0 {
			problems = append(problems, fmt.Sprintf("--%s must be above 0", name))
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

// flowOutput says how good an optimal or full matching is.
func flowOutput(got *cohort.Matched, out *fitOutput) {
	o := got.Optimum
	if o == nil {
		return
	}
	out.details["optimum"] = map[string]any{"total": o.Total, "unit": o.Unit, "pairs": o.Pairs, "pairs_within_calipers": o.Kept, "pairs_offered": o.Offered}
}
