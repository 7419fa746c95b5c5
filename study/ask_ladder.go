package study

import (
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/study/report"
)

// Steps compares on which step of a declared ladder participants and comparison people are in some months.
type Steps struct {
	Cohort string   `yaml:"cohort,omitempty"` // built by time_zero
	Ladder string   `yaml:"ladder,omitempty"` // ladder file, in the data folder
	At     []int    `yaml:"at,omitempty"`     // months from the start; the main number is that of the last
	Strata []string `yaml:"strata,omitempty"` // columns: people are compared within their values only
	Odds   bool     `yaml:"odds,omitempty"`   // also at which steps: odds step by step, and whether they are alike
}

var (
	_ question  = (*Steps)(nil)
	_ namer     = (*Steps)(nil)
	_ sentencer = (*Steps)(nil)
)

func (q *Steps) defaults(*Spec, *Analysis) {}

func (q *Steps) check(s *Spec, c *checker, path []any, a *Analysis) {
	co := s.registerCohort(c, path, a, "ladder", q.Cohort)
	if q.Ladder == "" {
		c.add(path, "ladder: ladder: name the ladder file, which says what is on which step and who decided it")
	}
	checkMonths(c, path, "ladder", q.At, 1, co)
	checkOwnUnit(c, path, "ladder", a, "percentage-points")
	if a.Good == "down" {
		c.add(at(path[:len(path)-1], "good"), "ladder: the ladder says which step is better: good: down is not used")
	}
	if q.Odds && len(q.Strata) > 0 {
		c.add(at(path, "odds"), "ladder: odds are not compared within strata: ask for them in an analysis without")
	}
	for i, name := range q.Strata {
		if slices.Contains(q.Strata[:i], name) {
			c.add(at(path, "strata", i), "ladder: strata names %q twice", name)
		}
		if co == nil {
			continue
		}
		if why := s.whyLate(co, name, false); why != "" {
			c.add(at(path, "strata", i), why, "ladder", name)
		}
		if !s.hasLevels(co, name) {
			c.add(at(path, "strata", i), "ladder: strata: %q needs levels that the data declare", name)
		}
	}
}

func (q *Steps) rests() basis { return basis{cohort: q.Cohort, files: []string{q.Ladder}} }

func (q *Steps) dry(s *state, _ *Analysis) error {
	_, err := s.newLadderRun(q)
	return err
}

func (q *Steps) estimate(s *state, a *Analysis) (analysisResult, error) { return s.ladderSteps(a) }

func (q *Steps) words(*state, *analysisResult) (estimand, errors, also string) {
	return "ladder", "influence", ""
}

func (q *Steps) shows(*Analysis, found) bool { return true }

func (q *Steps) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case progress.NetBenefit, estimate.WinProbability, pairShare:
		return report.PercentagePoints
	}
	return report.Plain
}

// say tells whether the order of the steps decides, and whether the difference is the same at all steps.
func (q *Steps) say(s *state, r *analysisResult) []string {
	out := []string{""} // behind the usual sentence
	month := slices.Max(q.At)
	at := "time=" + strconv.Itoa(month)
	if main, ok := s.releasedNumber(r, at, progress.NetBenefit); ok {
		orders, same := 0, true
		for _, name := range sortedKeys(s.ladders[q.Ladder].Orders) {
			if re, ok := s.releasedNumber(r, at+",order="+name, progress.NetBenefit); ok {
				orders++
				same = same && (re.Number.Value > 0) == (main.Number.Value > 0)
			}
		}
		switch {
		case orders > 0 && same:
			out = append(out, s.lang.Text("study.ladder-say-orders", "t", month))
		case orders > 0:
			out = append(out, s.lang.Text("study.ladder-say-orders-differ", "t", month))
		}
	}
	if re, ok := s.releasedNumber(r, at+",steps=alike", survive.ChiSquare); ok {
		out = append(out, s.lang.Text("study.ladder-say-alike", "t", month, "p", s.lang.PValue(re.Number.Test.P)))
	}
	return out
}

func (q *Steps) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	t := wholeMonth(parts["time"])
	switch {
	case parts["order"] != "":
		return s.lang.Text("study.ladder-order", "t", t, "order", s.label(parts["order"]))
	case parts["part"] != "":
		return s.lang.Text("study.ladder-"+parts["part"], "t", t)
	case parts["steps"] == "alike":
		return s.lang.Text("study.ladder-alike", "t", t)
	case parts["odds"] == "all":
		return s.lang.Text("study.ladder-odds", "t", t)
	case strings.HasPrefix(parts["odds"], "step-"):
		k, err := strconv.Atoi(strings.TrimPrefix(parts["odds"], "step-"))
		if err != nil {
			return ""
		}
		return s.lang.Text("study.ladder-odds-step", "t", t, "step", s.stepLabel(s.ladders[q.Ladder], k))
	}
	return s.lang.Text("study.ladder-"+string(n.e.Measure), "t", t)
}

func (q *Steps) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "ladder", "time=" + strconv.Itoa(slices.Max(q.At)), progress.NetBenefit
}
