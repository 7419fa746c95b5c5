package study

import (
	"fmt"
	"slices"

	"utfall/estimate"
	"utfall/study/release"
	"utfall/study/report"
)

// BeforeAfter is the participants' share in some states at months before and after
// time zero: a description, printed as one, that shows what a comparison adds.
type BeforeAfter struct {
	Cohort string   `yaml:"cohort,omitempty"`
	States []string `yaml:"states,omitempty"`
	Before int      `yaml:"before,omitempty"` // months before time zero
	After  int      `yaml:"after,omitempty"`
}

var (
	_ question = (*BeforeAfter)(nil)
	_ namer    = (*BeforeAfter)(nil)
	_ drawer   = (*BeforeAfter)(nil)
	_ releaser = (*BeforeAfter)(nil)
)

func (b *BeforeAfter) defaults(*Spec, *Analysis) {}

func (b *BeforeAfter) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkSteady(c, path[:len(path)-1], a, b.Cohort)
	co := s.cohortRef(c, at(path, "cohort"), b.Cohort)
	if co != nil && co.TimeZero == nil {
		c.add(at(path, "cohort"), "before_after needs a cohort that is built by time_zero")
	}
	if co != nil && co.TimeZero != nil {
		s.stateNames(c, at(path, "states"), co.TimeZero.Spells, "state", b.States)
	}
	if len(b.States) == 0 {
		c.add(path, "before_after: states: name at least one state")
	}
	if b.Before < 1 || b.After < 1 {
		c.add(path, "before_after: give before and after, in months of at least 1")
	} else if co != nil && co.TimeZero != nil && len(co.TimeZero.LookBack) > 0 && (b.Before > slices.Max(co.TimeZero.LookBack) || b.After > co.TimeZero.FollowUp) {
		c.add(path, "before_after reaches beyond the cohort's look_back or follow_up")
	}
}

func (b *BeforeAfter) rests() basis { return basis{cohort: b.Cohort} }

func (b *BeforeAfter) dry(s *state, _ *Analysis) error {
	_, err := countedStates(s.cohorts[b.Cohort].paths.States, b.States)
	return err
}

func (b *BeforeAfter) estimate(s *state, a *Analysis) (analysisResult, error) {
	return s.beforeAfter(a)
}

func (b *BeforeAfter) words(*state, *analysisResult) (estimand, errors, also string) {
	return "description", "paired", ""
}

func (b *BeforeAfter) label(s *state, _ *Analysis, n found) string {
	switch n.e.Measure {
	case beforeMean:
		return s.lang.Text("study.term-before")
	case afterMean:
		return s.lang.Text("study.term-after")
	case change:
		return s.lang.Text("study.term-change")
	}
	return ""
}

func (b *BeforeAfter) unit(*Analysis, found) report.Unit { return report.PercentagePoints }

func (b *BeforeAfter) shows(*Analysis, found) bool { return true }

func (b *BeforeAfter) figures(s *state, r *analysisResult) []drawing {
	return []drawing{{"trend", s.trendFigure}}
}

// release releases the lines that the figure draws: the share in the states by month.
func (b *BeforeAfter) release(s *state, a *assembled, r *analysisResult, keep func([]release.Withheld)) error {
	var t releasedTrend
	weighted := !evenWeights(s.cohorts[b.Cohort])
	for _, p := range r.trend {
		for _, side := range []struct {
			to    *[]point
			in, n int
			share float64
		}{{&t.treated, p.inTreated, p.nTreated, p.treated}, {&t.control, p.inControl, p.nControl, p.control}} {
			place := fmt.Sprintf("%s/month=%d", r.spec.Name, p.month)
			m, w := s.policy.Proportion(place, side.in, side.n)
			keep(w)
			if y, ok := m.Value.Float(); ok {
				if weighted {
					// The people in the states are enough to show; the share is that of the weights.
					m, w := s.policy.Mean(place, side.share, side.n)
					keep(w)
					if y, ok = m.Value.Float(); !ok {
						continue
					}
				}
				*side.to = append(*side.to, point{float64(p.month), y})
			}
		}
	}
	a.trends[r.spec.Name] = t
	return nil
}

func (b *BeforeAfter) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "before_after", "participants", change
}
