package study

import (
	"slices"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/report"
)

// Pairs compares participants with comparison people two by two, outcome by outcome: what the most
// important one leaves undecided, the next decides.
type Pairs struct {
	Cohort   string        `yaml:"cohort,omitempty"`
	Outcomes []PairOutcome `yaml:"outcomes,omitempty"` // most important first
	Horizon  int           `yaml:"horizon,omitempty"`  // months up to which times are compared
}

// PairOutcome is a number, or the time until some states.
type PairOutcome struct {
	Name      string   `yaml:"name,omitempty"`
	Outcome   string   `yaml:"outcome,omitempty"`   // column of the cohort …
	States    []string `yaml:"states,omitempty"`    // … or states, coming to which takes time
	Stable    int      `yaml:"stable,omitempty"`    // months in a row in them, of which the first counts; 1
	Better    string   `yaml:"better,omitempty"`    // more or less, of a number; earlier or later, of a time
	Threshold float64  `yaml:"threshold,omitempty"` // smallest difference that decides a pair
}

func (o *PairOutcome) timed() bool { return len(o.States) > 0 }

// The names of a pair's parts, and what stands for a share of all pairs.
const (
	pairsWon                   = "won"
	pairsLost                  = "lost"
	pairsLeft                  = "left"
	pairShare estimate.Measure = "share-of-pairs"
)

var (
	_ question = (*Pairs)(nil)
	_ namer    = (*Pairs)(nil)
)

func (q *Pairs) defaults(*Spec, *Analysis) {
	for i := range q.Outcomes {
		o := &q.Outcomes[i]
		o.Better = or(o.Better, "more")
		if o.timed() {
			o.Stable = orInt(o.Stable, 1)
			if o.Better == "more" {
				o.Better = "earlier"
			}
		}
	}
}

func (q *Pairs) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkSteady(c, path[:len(path)-1], a, q.Cohort)
	co := s.cohortRef(c, at(path, "cohort"), q.Cohort)
	checkOwnUnit(c, path, "pairs", a, "percentage-points")
	if a.Good == "down" {
		c.add(at(path[:len(path)-1], "good"), "pairs: better says of each outcome what is good: good: down is not used")
	}
	if len(q.Outcomes) == 0 {
		c.add(path, "pairs: outcomes: name at least one")
	}
	seen, times, longest := map[string]bool{}, false, 1
	for i := range q.Outcomes {
		o, p := &q.Outcomes[i], at(path, "outcomes", i)
		c.name(p, "an outcome", o.Name, seen)
		if o.Threshold < 0 {
			c.add(at(p, "threshold"), "pairs: a threshold must be at least 0")
		}
		if (o.Outcome == "") == !o.timed() {
			c.add(p, "pairs: an outcome is either outcome, a column, or states, coming to which takes time")
			continue
		}
		if !o.timed() {
			if o.Stable != 0 {
				c.add(at(p, "stable"), "pairs: stable goes with states")
			}
			c.oneOf(at(p, "better"), "better", o.Better, "more", "less")
			if co != nil && co.TimeZero == nil {
				s.column(c, at(p, "outcome"), co.Base, o.Outcome)
			} else if co != nil && !slices.Contains(s.outcomes(co), o.Outcome) {
				c.add(at(p, "outcome"), "pairs: cohort %q has no outcome %q", co.Name, o.Outcome)
			}
			continue
		}
		times, longest = true, max(longest, o.Stable)
		c.oneOf(at(p, "better"), "better", o.Better, "earlier", "later")
		if o.Stable < 1 {
			c.add(at(p, "stable"), "pairs: stable is a number of months of at least 1")
		}
		if co != nil && co.TimeZero == nil {
			c.add(at(p, "states"), "pairs: times until states need a cohort that is built by time_zero")
		} else if co != nil {
			s.stateNames(c, at(p, "states"), co.TimeZero.Spells, "state", o.States)
		}
	}
	switch {
	case times && q.Horizon < 1:
		c.add(path, "pairs: horizon: give the months up to which times are compared: without it the answer hangs on how long people were followed")
	case !times && q.Horizon != 0:
		c.add(at(path, "horizon"), "pairs: no outcome is a time, so a horizon has no part")
	case times && co != nil && co.TimeZero != nil && q.Horizon > co.TimeZero.FollowUp+1-longest:
		c.add(at(path, "horizon"), "pairs: with %d months in a row a follow_up of %d months tells who came there up to month %d", longest, co.TimeZero.FollowUp, co.TimeZero.FollowUp+1-longest)
	}
}

func (q *Pairs) rests() basis {
	b := basis{cohort: q.Cohort}
	for _, o := range q.Outcomes {
		if o.Outcome != "" {
			b.outcomes = append(b.outcomes, o.Outcome)
		}
	}
	return b
}

func (q *Pairs) dry(s *state, _ *Analysis) error {
	_, _, err := s.pairSample(s.cohorts[q.Cohort], q)
	return err
}

func (q *Pairs) estimate(s *state, a *Analysis) (analysisResult, error) { return s.pairs(a) }

func (q *Pairs) words(*state, *analysisResult) (estimand, errors, also string) {
	return "pairs", "influence", ""
}

func (q *Pairs) shows(_ *Analysis, n found) bool { return n.e.Measure != progress.WinRatio }

func (q *Pairs) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case progress.WinOdds, progress.WinRatio:
		return report.Plain
	}
	return report.PercentagePoints
}

func (q *Pairs) label(s *state, _ *Analysis, n found) string {
	if parts := termParts(n.term); parts["outcome"] != "" {
		return s.lang.Text("study.pairs-"+parts["part"], "outcome", s.label(parts["outcome"]))
	}
	return s.lang.Text("study.pairs-" + string(n.e.Measure))
}

func (q *Pairs) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "pairs", "overall", progress.NetBenefit
}
