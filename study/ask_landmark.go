package study

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/study/report"
)

// Landmark is where those are later who are in a state in some month, with a test of whether the
// past of a person has a part in it.
type Landmark struct {
	Cohort string            `yaml:"cohort,omitempty"` // built by time_zero
	State  string            `yaml:"state,omitempty"`
	Month  int               `yaml:"month,omitempty"` // of the landmark
	To     string            `yaml:"to,omitempty"`    // the state that is asked about
	At     []int             `yaml:"at,omitempty"`    // months from the start, after the landmark
	Tau    int               `yaml:"tau,omitempty"`   // horizon of mean months; the last of at
	Merge  map[string]string `yaml:"merge,omitempty"` // state → shown state
	Markov []int             `yaml:"markov,omitempty"`
	Draws  int               `yaml:"draws,omitempty"` // of the test's bootstrap; 999
}

var (
	_ question  = (*Landmark)(nil)
	_ namer     = (*Landmark)(nil)
	_ sentencer = (*Landmark)(nil)
)

func (q *Landmark) defaults(*Spec, *Analysis) {
	if q.Tau == 0 && len(q.At) > 0 {
		q.Tau = slices.Max(q.At)
	}
	if len(q.Markov) > 0 {
		q.Draws = orInt(q.Draws, 999)
	}
}

func (q *Landmark) check(s *Spec, c *checker, path []any, a *Analysis) {
	co := s.registerCohort(c, path, a, "landmark", q.Cohort)
	if q.State == "" || q.To == "" {
		c.add(path, "landmark: name the state that people are in by then, and to, the state that is asked about")
	}
	if q.Month < 1 {
		c.add(path, "landmark: month: give the month of the landmark, 1 or later")
	}
	checkMonths(c, path, "landmark", q.At, q.Month+1, co)
	if len(q.At) > 0 && (q.Tau < slices.Max(q.At) || co != nil && q.Tau > co.TimeZero.FollowUp) {
		c.add(at(path, "tau"), "landmark: tau lies between the last of at and the cohort's follow_up")
	}
	checkChain(c, path, "landmark", q.Merge)
	checkOwnUnit(c, path, "landmark", a, "percentage-points")
	if len(q.Markov) > 0 {
		checkMonths(c, path[:len(path):len(path)], "landmark: markov", q.Markov, 0, co)
	}
	if len(q.Markov) == 0 && q.Draws != 0 {
		c.add(at(path, "draws"), "landmark: draws goes with markov")
	} else if len(q.Markov) > 0 && q.Draws < 99 {
		c.add(at(path, "draws"), "landmark: draws must be at least 99")
	}
}

// checkChain tests that no state is merged into one that is merged itself.
func checkChain(c *checker, path []any, method string, merge map[string]string) {
	for _, from := range sortedKeys(merge) {
		if to := merge[from]; to != from {
			if _, chain := merge[to]; chain {
				c.add(at(path, "merge", from), "%s: merge: %q becomes %q, which becomes another state itself: name the last one", method, from, to)
			}
		}
	}
}

func (q *Landmark) rests() basis { return basis{cohort: q.Cohort} }

func (q *Landmark) dry(s *state, _ *Analysis) error {
	_, err := s.landmarkSpells(q)
	return err
}

func (q *Landmark) estimate(s *state, a *Analysis) (analysisResult, error) { return s.landmark(a) }

func (q *Landmark) words(*state, *analysisResult) (estimand, errors, also string) {
	return "landmark", "influence", ""
}

func (q *Landmark) shows(*Analysis, found) bool { return true }

func (q *Landmark) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case estimate.Occupation, estimate.RiskDifference:
		return report.PercentagePoints
	case survive.MeanAbsZ:
		return report.Plain
	}
	return report.Months
}

// say tells how often as much comes by chance where the past has no part, of each group that was tested.
func (q *Landmark) say(s *state, r *analysisResult) []string {
	out := []string{""} // behind the usual sentence
	for _, g := range []string{"treated", "control"} {
		re, ok := s.releasedNumber(r, "markov,group="+g, survive.MeanAbsZ)
		if !ok || math.IsNaN(re.Number.Test.P) {
			continue
		}
		out = append(out, s.lang.Text("study.landmark-say-markov", "group", strings.ToLower(s.group(s.spec.findCohort(q.Cohort), g)), "p", s.lang.PValue(re.Number.Test.P)))
	}
	return out
}

func (q *Landmark) label(s *state, a *Analysis, n found) string {
	parts := termParts(n.term)
	group := strings.ToLower(s.group(s.spec.findCohort(q.Cohort), parts["group"]))
	state := s.label(q.To)
	switch n.e.Measure {
	case estimate.RiskDifference:
		return s.lang.Text("study.landmark-difference", "state", state, "t", wholeMonth(parts["time"]), "month", q.Month)
	case estimate.Occupation:
		return s.lang.Text("study.landmark-share", "state", state, "t", wholeMonth(parts["time"]), "group", group)
	case restrictedMeanDifference:
		return s.lang.Text("study.landmark-months-difference", "state", state)
	case estimate.RestrictedMeanTime:
		return s.lang.Text("study.landmark-months", "state", state, "group", group)
	}
	return s.lang.Text("study.landmark-markov", "group", group)
}

func (q *Landmark) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "landmark", "time=" + strconv.Itoa(slices.Max(q.At)), estimate.RiskDifference
}
