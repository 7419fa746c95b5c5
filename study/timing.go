package study

import (
	"fmt"
	"slices"

	"utfall/cohort"
)

// The reasons for which a design is refused. They stand first in the message.
const (
	lintOutcome   = "outcome-in-design"              // who is compared depends on what is to be explained
	lintLate      = "covariate-after-time-zero"      // background that the measure may have changed
	lintFuture    = "controls-conditioned-on-future" // chosen by what happens to them later
	lintImmortal  = "immortal-time"                  // the treated had to stay untreated for a while to be treated
	lintPrevalent = "always-treated"                 // treated before follow-up begins
	lintLookBack  = "look-back-truncated"            // background reaches back to before the data
)

// knownAfter marks a column that is known only after time zero.
const knownAfter = "after"

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

// whyLate says why a column may not be read by a part of the design; "" = it may.
// rule is true for rules that choose people: they may not read when somebody starts.
func (s *Spec) whyLate(co *Cohort, column string, rule bool) string {
	switch {
	case slices.Contains(s.outcomes(co), column):
		return lintOutcome + ": %s reads %q, an outcome: it is measured after time zero"
	case co.Known[column] == knownAfter && rule:
		return lintFuture + ": %s reads %q, which is known only after time zero: people would be chosen by what happens to them later"
	case co.Known[column] == knownAfter:
		return lintLate + ": %s reads %q, which is known only after time zero: the measure may have changed it; use a value from before"
	case rule && co.Dates != nil && column == co.Dates.Start:
		return lintFuture + ": %s reads %q, the date of start: comparison people would be chosen by whether they start later; keep them, and the effect is that of starting now against waiting"
	}
	return ""
}

// afterZero is the error for a use of columns of which one is known only after time zero.
func (s *Spec) afterZero(co *Cohort, use string, columns []string) error {
	for _, name := range columns {
		if why := s.whyLate(co, name, true); why != "" {
			return fmt.Errorf("%w: "+why, ErrSpec, use, name)
		}
	}
	return nil
}

// designUses are the columns that a cohort's design reads, by part and place.
type designUse struct {
	what    string
	path    []any
	columns []string
}

func (co *Cohort) designUses(path []any) []designUse {
	uses := []designUse{{"balance", at(path, "balance"), co.Balance}, {"balance_by", at(path, "balance_by"), co.BalanceBy}}
	if co.Propensity != nil {
		uses = append(uses, designUse{"propensity", at(path, "propensity", "covariates"), append(slices.Clone(co.Propensity.Covariates), siteOf(co.Propensity)...)})
	}
	if co.Match != nil {
		uses = append(uses, designUse{"match", at(path, "match"), append(sortedKeys(co.Match.CaliperOn), co.Match.Exact...)})
	}
	return uses
}

func siteOf(p *cohort.PropensitySpec) []string {
	if p.Site == "" {
		return nil
	}
	return []string{p.Site}
}

// checkDesign refuses what is known only after time zero among the columns of the design.
func (s *Spec) checkDesign(c *checker, path []any, co *Cohort) {
	for _, u := range co.designUses(path) {
		for i, name := range u.columns {
			if slices.Contains(u.columns[:i], name) {
				continue
			}
			if why := s.whyLate(co, name, false); why != "" {
				c.add(u.path, why, u.what, name)
			}
		}
	}
	s.checkDates(c, path, co)
}
