package study

import (
	"fmt"
	"slices"
)

// outcomes are the columns of a cohort that are measured after time zero: those that
// time_zero makes, and those of the base with the role outcome. Nothing that decides
// who is compared with whom, or with what adjustment, may read them.
func (s *Spec) outcomes(co *Cohort) []string {
	var out []string
	if co.TimeZero != nil {
		for _, o := range co.TimeZero.Outcomes {
			out = append(out, o.Name)
		}
	}
	for _, c := range s.Data[co.Base].Columns {
		if c.Role == "outcome" {
			out = append(out, c.Name)
		}
	}
	return out
}

// afterZero is the error for a use of columns of which one is an outcome.
func (s *Spec) afterZero(co *Cohort, use string, columns []string) error {
	for _, name := range s.outcomes(co) {
		if slices.Contains(columns, name) {
			return fmt.Errorf("%w: %s reads %q, an outcome: it is measured after time zero", ErrSpec, use, name)
		}
	}
	return nil
}

// checkDesign refuses outcomes among the columns of the design.
func (s *Spec) checkDesign(c *checker, path []any, co *Cohort) {
	type use struct {
		what    string
		path    []any
		columns []string
	}
	uses := []use{{"balance", at(path, "balance"), co.Balance}}
	if co.Propensity != nil {
		uses = append(uses, use{"propensity", at(path, "propensity", "covariates"), co.Propensity.Covariates})
	}
	if co.Match != nil {
		uses = append(uses, use{"match", at(path, "match"), append(sortedKeys(co.Match.CaliperOn), co.Match.Exact...)})
	}
	for _, u := range uses {
		for _, name := range s.outcomes(co) {
			if slices.Contains(u.columns, name) {
				c.add(u.path, "%s: %q is an outcome: it is measured after time zero", u.what, name)
			}
		}
	}
}
