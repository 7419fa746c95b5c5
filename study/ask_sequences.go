package study

import (
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/report"
)

// Sequences describes people's months one after the other, without a direction.
type Sequences struct {
	Cohort       string            `yaml:"cohort,omitempty"`       // built by time_zero
	To           int               `yaml:"to,omitempty"`           // last month
	Merge        map[string]string `yaml:"merge,omitempty"`        // state → shown state
	Distance     string            `yaml:"distance,omitempty"`     // between two people's months
	Permutations int               `yaml:"permutations,omitempty"` // 999
	People       int               `yaml:"people,omitempty"`       // most that distances are made of; 2000
}

const discrepancyR2 estimate.Measure = "discrepancy-r2"

// mostInSequences bounds the table of distances, which grows with the square.
const mostInSequences = 5000

var (
	_ question = (*Sequences)(nil)
	_ namer    = (*Sequences)(nil)
)

func (q *Sequences) defaults(*Spec, *Analysis) {
	q.Distance = or(q.Distance, string(progress.Hamming))
	q.Permutations, q.People = orInt(q.Permutations, 999), orInt(q.People, 2000)
}

func (q *Sequences) check(s *Spec, c *checker, path []any, a *Analysis) {
	co := s.registerCohort(c, path, a, "sequences", q.Cohort)
	if q.To < 1 || co != nil && q.To > co.TimeZero.FollowUp {
		c.add(path, "sequences: to: give the last month, 1 to the cohort's follow_up")
	}
	checkChain(c, path, "sequences", q.Merge)
	checkOwnUnit(c, path, "sequences", a, "units")
	up := path[:len(path)-1]
	if a.Relevant != 0 {
		c.add(at(up, "relevant"), "sequences: its numbers are descriptions: relevant is not used")
	}
	if a.Good != "neutral" {
		c.add(at(up, "good"), "sequences: its numbers have no direction: good: %s is not used", a.Good)
	}
	c.oneOf(at(path, "distance"), "distance", q.Distance, string(progress.Hamming), string(progress.DynamicHamming), string(progress.LongestCommon),
		string(progress.OptimalMatching), string(progress.OptimalMatchingRates))
	if q.Permutations < 99 {
		c.add(at(path, "permutations"), "sequences: permutations must be at least 99")
	}
	if q.People < 50 || q.People > mostInSequences {
		c.add(at(path, "people"), "sequences: people lies between 50 and %d", mostInSequences)
	}
}

func (q *Sequences) rests() basis { return basis{cohort: q.Cohort} }

func (q *Sequences) dry(s *state, _ *Analysis) error {
	_, err := s.sequenceMonths(s.cohorts[q.Cohort], q)
	return err
}

func (q *Sequences) estimate(s *state, a *Analysis) (analysisResult, error) { return s.sequences(a) }

func (q *Sequences) words(*state, *analysisResult) (estimand, errors, also string) {
	return "sequences", "sequences", ""
}

func (q *Sequences) shows(*Analysis, found) bool { return true }

func (q *Sequences) unit(_ *Analysis, n found) report.Unit {
	if n.e.Measure == discrepancyR2 {
		return report.Percent
	}
	return report.Plain
}

// say tells how much of the distances goes with the group: a share, and how often as much comes by lot.
func (q *Sequences) say(s *state, r *analysisResult) []string {
	re, ok := s.releasedNumber(r, "discrepancy", discrepancyR2)
	if !ok || math.IsNaN(re.Number.Value) {
		return nil
	}
	out := []string{s.lang.Text("study.sequences-say", "share", s.lang.Percent(re.Number.Value, 1))}
	if p := re.Number.Test.P; !math.IsNaN(p) {
		out = append(out, s.lang.Text("study.sequences-say-p", "p", s.lang.PValue(p)))
	}
	return out
}

func (q *Sequences) label(s *state, _ *Analysis, n found) string {
	name, _, _ := strings.Cut(n.term, ",")
	if n.e.Measure == discrepancyR2 {
		return s.lang.Text("study.sequences-discrepancy")
	}
	what := s.lang.Text("study.sequences-" + name)
	if g := termParts(n.term)["group"]; g != "" {
		return s.lang.Text("study.progress-of-group", "what", what, "group", s.group(s.spec.findCohort(q.Cohort), g))
	}
	return s.lang.Text("study.progress-of-difference", "what", what)
}

// sequenceMeasures are the measures of one person's months.
func sequenceMeasures() []string { return []string{"changes", "entropy", "turbulence", "complexity"} }

func sequenceMeasure(r progress.SequenceRow, name string) float64 {
	return []float64{float64(r.Transitions), r.Entropy, r.Turbulence, r.Complexity}[slices.Index(sequenceMeasures(), name)]
}

func (q *Sequences) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "sequences", "discrepancy", discrepancyR2
}
