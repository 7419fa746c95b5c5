package study

import (
	"slices"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/report"
)

// Distance asks how well stable self-support can be told from where people are on the way: a description of an index, made and
// judged among comparison people. Nobody's own score leaves the run.
type Distance struct {
	Cohort      string    `yaml:"cohort,omitempty"`       // built by time_zero
	SelfSupport []string  `yaml:"self_support,omitempty"` // states of a person who supports her- or himself
	At          int       `yaml:"at,omitempty"`           // months after the start at which people are on the way
	Within      int       `yaml:"within,omitempty"`       // months within which self-support is to come; 36 if absent
	Run         int       `yaml:"run,omitempty"`          // months in a row that make it stable; 12 if absent
	Background  []string  `yaml:"background,omitempty"`   // columns known at time zero
	Answers     *OnTheWay `yaml:"answers,omitempty"`      // answers on the way, beside the states; who has none is left out
	Folds       int       `yaml:"folds,omitempty"`        // of cross-fitting; 5 if absent
}

// OnTheWay are answers around the month at.
type OnTheWay struct {
	Data   string   `yaml:"data,omitempty"` // of kind assessments
	Rater  string   `yaml:"rater,omitempty"`
	Items  []string `yaml:"items,omitempty"`
	Window int      `yaml:"window,omitempty"` // months that an answer may lie from at; 1 if absent
}

var (
	_ question  = (*Distance)(nil)
	_ namer     = (*Distance)(nil)
	_ sentencer = (*Distance)(nil)
)

func (q *Distance) defaults(*Spec, *Analysis) {
	q.Within, q.Run, q.Folds = orInt(q.Within, 36), orInt(q.Run, 12), orInt(q.Folds, 5)
	if q.Answers != nil {
		q.Answers.Window = orInt(q.Answers.Window, 1)
	}
}

func (q *Distance) check(s *Spec, c *checker, path []any, a *Analysis) {
	co := s.registerCohort(c, path, a, "distance", q.Cohort)
	if len(q.SelfSupport) == 0 {
		c.add(path, "distance: self_support: name the states of people who support themselves")
	} else if co != nil {
		s.stateNames(c, at(path, "self_support"), co.TimeZero.Spells, "state", q.SelfSupport)
	}
	if q.At < 1 || q.At >= q.Within {
		c.add(path, "distance: at: give the month at which people are on the way, before within")
	}
	if q.Run < 1 || q.Run > q.Within {
		c.add(at(path, "run"), "distance: run must lie between 1 and within")
	}
	if co != nil && q.Within > co.TimeZero.FollowUp+1 {
		c.add(at(path, "within"), "distance: within reaches beyond the cohort's follow_up of %d months", co.TimeZero.FollowUp)
	}
	if q.Folds < 2 {
		c.add(at(path, "folds"), "distance: folds must be at least 2")
	}
	for i, name := range q.Background {
		if co != nil {
			if why := s.whyLate(co, name, false); why != "" {
				c.add(at(path, "background", i), why, "distance", name)
			}
		}
		if slices.Contains(q.Background[:i], name) {
			c.add(at(path, "background", i), "distance: background names %q twice", name)
		}
	}
	if w := q.Answers; w != nil {
		p := at(path, "answers")
		if s.data(c, at(p, "data"), w.Data, "assessments") {
			for _, column := range []string{"person", "date", "item", "value", "rater"} {
				s.column(c, at(p, "data"), w.Data, column)
			}
			s.stateNames(c, at(p, "items"), w.Data, "item", w.Items)
			s.stateNames(c, at(p, "rater"), w.Data, "rater", []string{w.Rater})
		}
		if len(w.Items) == 0 || w.Rater == "" {
			c.add(p, "distance: answers: name items, and rater, whose answers they are")
		}
		for i, name := range w.Items {
			if slices.Contains(w.Items[:i], name) {
				c.add(at(p, "items", i), "distance: answers names %q twice", name)
			}
		}
		if w.Window < 1 || 2*w.Window >= q.At {
			c.add(at(p, "window"), "distance: answers: window must be at least 1 and less than half of at")
		}
	}
	checkOwnUnit(c, path, "distance", a, "units")
	up := path[:len(path)-1]
	if a.Relevant != 0 {
		c.add(at(up, "relevant"), "distance: its numbers are descriptions: relevant is not used")
	}
	if a.Good != "neutral" {
		c.add(at(up, "good"), "distance: its numbers have no direction: good: %s is not used", a.Good)
	}
}

func (q *Distance) rests() basis {
	b := basis{cohort: q.Cohort}
	if q.Answers != nil {
		b.data = []string{q.Answers.Data}
	}
	return b
}

func (q *Distance) dry(s *state, _ *Analysis) error {
	_, err := s.distanceSample(q, 0)
	if _, ok := refusable(err); ok {
		return nil
	}
	return err
}

func (q *Distance) estimate(s *state, a *Analysis) (analysisResult, error) { return s.distance(a) }

func (q *Distance) words(*state, *analysisResult) (estimand, errors, also string) {
	return "distance", "distance", ""
}

func (q *Distance) shows(*Analysis, found) bool { return true }

func (q *Distance) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case progress.MeanOff, progress.CalibrationDrift, fifthShare:
		return report.PercentagePoints
	}
	return report.Plain
}

// say tells whether what is known on the way says more than background, and that no person is judged by it.
func (q *Distance) say(s *state, r *analysisResult) []string {
	var out []string
	if gain, ok := s.releasedNumber(r, distanceTerm("gain"), progress.AUCDifference); ok {
		word := "study.distance-say-unclear"
		if gain.Number.CI.Lo > 0 {
			word = "study.distance-say-gain"
		}
		out = append(out, s.lang.Text(word, "month", q.At))
	}
	if slope, ok := s.releasedNumber(r, distanceTerm("slope"), progress.CalibrationRatio); ok && progress.CalibrationSlope(slope.Number.Value).Status != progress.Met {
		out = append(out, s.lang.Text("study.distance-say-slope"))
	}
	return append(out, s.lang.Text("study.distance-say-groups"))
}

func (q *Distance) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	switch {
	case parts["fifth"] != "":
		return s.lang.Text("study.distance-fifth-"+parts["part"], "fifth", wholeMonth(parts["fifth"]))
	case parts["year"] != "":
		return s.lang.Text("study.distance-year", "year", parts["year"])
	}
	switch part := parts["part"]; part {
	case "gain", "index":
		return s.lang.Text("study.distance-"+part, "month", q.At)
	default:
		return s.lang.Text("study.distance-" + part)
	}
}

func (q *Distance) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "distance", distanceTerm("gain"), progress.AUCDifference
}
