package study

import (
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/plots"
	"utfall/study/release"
	"utfall/study/report"
)

// Recurrent is how many times people come to some states, or are handed from one authority to
// another, where death and the like end the counting.
type Recurrent struct {
	Cohort      string   `yaml:"cohort,omitempty"`       // built by time_zero
	States      []string `yaml:"states,omitempty"`       // coming into any of them from another state counts …
	Terminal    []string `yaml:"terminal,omitempty"`     // states after which nothing is counted
	Ladder      string   `yaml:"ladder,omitempty"`       // … or a change of the authority that this ladder file names
	SelfSupport []string `yaml:"self_support,omitempty"` // with ladder: states of people who need no authority
	At          []int    `yaml:"at,omitempty"`           // months
}

var (
	_ question = (*Recurrent)(nil)
	_ namer    = (*Recurrent)(nil)
	_ drawer   = (*Recurrent)(nil)
	_ releaser = (*Recurrent)(nil)
)

func (q *Recurrent) defaults(*Spec, *Analysis) {}

func (q *Recurrent) check(s *Spec, c *checker, path []any, a *Analysis) {
	co := s.registerCohort(c, path, a, "recurrent", q.Cohort)
	if (len(q.States) == 0) == (q.Ladder == "") {
		c.add(path, "recurrent: name either states, coming into which is counted, or the ladder file whose changes of authority are")
	}
	if q.Ladder != "" && len(q.Terminal) > 0 {
		c.add(at(path, "terminal"), "recurrent: with a ladder file its absorbing states end the counting: terminal is not used")
	}
	if (q.Ladder != "") != (len(q.SelfSupport) > 0) {
		c.add(path, "recurrent: self_support, the states of people who need no authority, goes with ladder, which needs it")
	}
	for i, name := range q.Terminal {
		if slices.Contains(q.States, name) {
			c.add(at(path, "terminal", i), "recurrent: the state %q is both counted and terminal", name)
		}
	}
	if co != nil {
		for _, x := range []struct {
			key   string
			names []string
		}{{"states", q.States}, {"terminal", q.Terminal}, {"self_support", q.SelfSupport}} {
			s.stateNames(c, at(path, x.key), co.TimeZero.Spells, "state", x.names)
		}
	}
	checkMonths(c, path, "recurrent", q.At, 1, co)
	checkOwnUnit(c, path, "recurrent", a, "units")
}

// registerCohort checks the cohort of a method that follows people through months.
func (s *Spec) registerCohort(c *checker, path []any, a *Analysis, method, name string) *Cohort {
	s.checkSteady(c, path[:len(path)-1], a, name)
	co := s.cohortRef(c, at(path, "cohort"), name)
	if co != nil && co.TimeZero == nil {
		c.add(at(path, "cohort"), "%s needs a cohort that is built by time_zero", method)
		return nil
	}
	return co
}

// checkMonths tests the months that a method reports: from the first that is possible to the end of follow-up, each once.
func checkMonths(c *checker, path []any, method string, months []int, first int, co *Cohort) {
	if len(months) == 0 {
		c.add(path, "%s: at: give the months to report", method)
	}
	for i, m := range months {
		if m < first || co != nil && m > co.TimeZero.FollowUp {
			c.add(at(path, "at", i), "%s: months lie between %d and the cohort's follow_up", method, first)
		}
		if slices.Contains(months[:i], m) {
			c.add(at(path, "at", i), "%s: month %d is asked for twice", method, m)
		}
	}
}

// checkOwnUnit tests that what an analysis says of its number fits a method that has a unit of its own: nothing, or that unit.
// What matters is in the unit of the number, so it needs the unit in writing.
func checkOwnUnit(c *checker, path []any, method string, a *Analysis, own string) {
	up := path[:len(path)-1]
	if a.Unit != own && a.Unit != "units" {
		c.add(at(up, "unit"), "%s: its main number is in %s: unit: %s is not used", method, own, a.Unit)
	} else if a.Relevant != 0 && a.Unit != own {
		c.add(at(up, "relevant"), "%s: relevant is in %s: say unit: %s", method, own, own)
	}
}

// wholeMonth is the month of a term as a number, which chooses between one and many in a text.
func wholeMonth(time string) any {
	if m, err := strconv.Atoi(time); err == nil {
		return m
	}
	return time
}

func (q *Recurrent) rests() basis {
	b := basis{cohort: q.Cohort}
	if q.Ladder != "" {
		b.files = []string{q.Ladder}
	}
	return b
}

func (q *Recurrent) dry(s *state, _ *Analysis) error {
	_, _, err := q.events(s, s.cohorts[q.Cohort])
	return err
}

func (q *Recurrent) estimate(s *state, a *Analysis) (analysisResult, error) { return s.recurrent(a) }

func (q *Recurrent) words(*state, *analysisResult) (estimand, errors, also string) {
	return "recurrent", "influence", ""
}

func (q *Recurrent) shows(*Analysis, found) bool { return true }

func (q *Recurrent) unit(*Analysis, found) report.Unit { return report.Plain }

func (q *Recurrent) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	switch n.e.Measure {
	case progress.MeanCountDifference:
		return s.lang.Text("study.recurrent-difference", "t", wholeMonth(parts["time"]))
	case progress.MeanCountRatio:
		return s.lang.Text("study.recurrent-ratio", "t", wholeMonth(parts["time"]))
	case progress.LogRateRatio:
		return s.lang.Text("study.recurrent-rate")
	}
	return s.lang.Text("study.recurrent-arm", "t", wholeMonth(parts["time"]), "group", strings.ToLower(s.group(s.spec.findCohort(q.Cohort), parts["group"])))
}

func (q *Recurrent) figures(s *state, _ *analysisResult) []drawing {
	return []drawing{{"curves", s.recurrentFigure}}
}

// release releases the curves of the figure, thinned to steps of enough people.
func (q *Recurrent) release(s *state, _ *assembled, r *analysisResult, keep func([]release.Withheld)) error {
	if r.own == nil { // refused
		return nil
	}
	return s.releaseCurves(r.own.(*timeToCurves), r.spec.Name, q.At, keep)
}

func (s *state) recurrentFigure(r *analysisResult) (plots.Figure, error) {
	if r.own == nil {
		return plots.Figure{}, errWithheld
	}
	own, q := r.own.(*timeToCurves), r.spec.Recurrent
	co := s.spec.findCohort(q.Cohort)
	d := plots.TrendData{Level: s.spec.Level, XLabel: s.lang.Text("study.time-to-x"), YLabel: s.lang.Text("study.recurrent-y")}
	for arm := range own.arms {
		c := own.arms[len(own.arms)-1-arm] // participants first
		if len(c.shown.X) < 2 {
			return plots.Figure{}, errWithheld
		}
		c.shown.Name = capital(s.group(co, c.group))
		d.Series = append(d.Series, c.shown)
	}
	key := "study.recurrent-subtitle"
	if q.Ladder == "" && len(q.Terminal) == 0 {
		key = "study.recurrent-subtitle-plain" // nothing was said to end the counting
	}
	sub := s.lang.Text(key, "outcome", or(r.spec.Outcome.In(s.spec.Language), r.spec.Name))
	return plots.Trend(d, s.labels(), s.style(s.spec.uses(r.spec), s.lang.Text("study.recurrent-title"), sub))
}

func (q *Recurrent) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "recurrent", "time=" + strconv.Itoa(slices.Max(q.At)), progress.MeanCountDifference
}
