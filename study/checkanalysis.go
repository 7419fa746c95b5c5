package study

import (
	"math"
	"strings"
)

// units an analysis can be reported in: percentage-points of shares between 0 and 1,
// points of numbers that are per cent already.
var units = []string{"percentage-points", "points", "months", "kronor", "percent", "units"}

func (s *Spec) checkAnalysis(c *checker, path []any, a *Analysis) {
	c.text(at(path, "question"), a.Question)
	c.text(at(path, "outcome_label"), a.Outcome)
	c.oneOf(at(path, "good"), "good", a.Good, "up", "down", "neutral")
	c.oneOf(at(path, "unit"), "unit", a.Unit, units...)
	if a.Relevant < 0 {
		c.add(at(path, "relevant"), "relevant must be at least 0")
	}
	if x := a.Expect; x != nil {
		switch {
		case a.Effect == nil:
			c.add(at(path, "expect"), "expect is used only with effect")
		case (x.Share == 0) == (x.SD == 0):
			c.add(at(path, "expect"), "expect: give either share or sd of the comparison people's outcome")
		case x.Share != 0 && !(x.Share > 0 && x.Share < 1), x.SD < 0, math.IsInf(x.SD, 0), math.IsNaN(x.SD):
			c.add(at(path, "expect"), "expect: a share lies between 0 and 1, an sd above 0")
		case a.Relevant == 0:
			c.add(at(path, "expect"), "expect is used only with relevant: the smallest difference that matters")
		}
	}
	if len(a.Truth) > 0 && s.KnownTruth == "" {
		c.add(at(path, "truth"), "truth is used only with known_truth, the truth file of a simulated register")
	}
	m := a.questions()
	if len(m) != 1 {
		c.add(path, "analysis %q must name one method, and it names %d: one of %s", a.Name, len(m), strings.Join(questionNames(), ", "))
		return
	}
	m[0].check(s, c, at(path, m[0].name), a)
	s.checkRole(c, path, a)
}

// checkSteady tests that a cohort's weights do not change by month: methods that follow
// people through time cannot use such.
func (s *Spec) checkSteady(c *checker, path []any, a *Analysis, cohort string) {
	if co := s.findCohort(cohort); co != nil && co.TimeZero != nil && co.TimeZero.Censoring != nil {
		c.add(path, "analysis %q: with later: censor or a grace period the weights change by month, and only effect can use them", a.Name)
	}
}
