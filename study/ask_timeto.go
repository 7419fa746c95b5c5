package study

import (
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/lang"
	"utfall/plots"
	"utfall/study/release"
	"utfall/study/report"
)

// TimeTo is how many come to some states, and how soon, where other states preclude it.
type TimeTo struct {
	Cohort     string              `yaml:"cohort,omitempty"` // built by time_zero
	States     []string            `yaml:"states,omitempty"`
	Stable     int                 `yaml:"stable,omitempty"`    // months in a row in them, of which the first counts; 1
	Competing  map[string][]string `yaml:"competing,omitempty"` // name → states from which nobody comes any more
	At         []int               `yaml:"at,omitempty"`        // months
	Tau        int                 `yaml:"tau,omitempty"`       // horizon of the months gained; the last of at
	Covariates []string            `yaml:"covariates,omitempty"`
	Model      string              `yaml:"model,omitempty"` // of the hazard ratio: cox or fine-gray
	Where      string              `yaml:"where,omitempty"` // people, by what is known at time zero; those who are there already have nothing to wait for
}

var (
	_ question = (*TimeTo)(nil)
	_ namer    = (*TimeTo)(nil)
	_ drawer   = (*TimeTo)(nil)
	_ releaser = (*TimeTo)(nil)
)

func (q *TimeTo) defaults(*Spec, *Analysis) {
	if q.Stable == 0 {
		q.Stable = 1
	}
	if q.Tau == 0 && len(q.At) > 0 {
		q.Tau = slices.Max(q.At)
	}
	q.Model = or(q.Model, "cox")
}

func (q *TimeTo) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkSteady(c, path[:len(path)-1], a, q.Cohort)
	co := s.cohortRef(c, at(path, "cohort"), q.Cohort)
	if co != nil && co.TimeZero == nil {
		c.add(at(path, "cohort"), "time_to needs a cohort that is built by time_zero")
	}
	if len(q.States) == 0 {
		c.add(path, "time_to: states: name at least one state")
	}
	if q.Stable < 1 {
		c.add(at(path, "stable"), "time_to: stable is a number of months of at least 1")
	}
	if len(q.At) == 0 {
		c.add(path, "time_to: at: give the months to report")
	}
	if co != nil && co.TimeZero != nil && q.Stable >= 1 {
		if last := co.TimeZero.FollowUp - q.Stable; q.Tau > last {
			c.add(path, "time_to: with %d months in a row a follow_up of %d months tells who came there up to month %d: choose tau and at within it", q.Stable, co.TimeZero.FollowUp, last)
		}
		s.stateNames(c, at(path, "states"), co.TimeZero.Spells, "state", q.States)
		for _, name := range sortedKeys(q.Competing) {
			s.stateNames(c, at(path, "competing", name), co.TimeZero.Spells, "state", q.Competing[name])
		}
	}
	for i, t := range q.At {
		if t < 1 || t > q.Tau {
			c.add(at(path, "at", i), "time_to: months lie between 1 and tau")
		}
		if slices.Contains(q.At[:i], t) {
			c.add(at(path, "at", i), "time_to: month %d is asked for twice", t)
		}
	}
	used := slices.Clone(q.States)
	for _, name := range sortedKeys(q.Competing) {
		if !nameRule.MatchString(name) || name == reached || name == waiting {
			c.add(at(path, "competing"), "time_to: competing: %q: a name has letters, digits and hyphens, and is not %s or %s", name, reached, waiting)
		}
		if len(q.Competing[name]) == 0 {
			c.add(at(path, "competing", name), "time_to: competing: name the states")
		}
		for _, state := range q.Competing[name] {
			if slices.Contains(used, state) {
				c.add(at(path, "competing", name), "time_to: the state %q has two parts", state)
			}
			used = append(used, state)
		}
	}
	c.oneOf(at(path, "model"), "model", q.Model, "cox", "fine-gray")
	if co != nil {
		for i, name := range q.Covariates {
			if why := s.whyLate(co, name, false); why != "" {
				c.add(at(path, "covariates", i), why, "time_to", name)
			}
		}
	}
}

func (q *TimeTo) rests() basis { return basis{cohort: q.Cohort} }

func (q *TimeTo) dry(s *state, _ *Analysis) error {
	b := s.cohorts[q.Cohort]
	if _, err := q.parts(b.paths.States); err != nil {
		return err
	}
	rows, _, err := s.timeToPeople(b, q)
	if err == nil {
		_, _, err = s.timeToDesign(b, q, rows)
	}
	return err
}

func (q *TimeTo) estimate(s *state, a *Analysis) (analysisResult, error) { return s.timeTo(a) }

func (q *TimeTo) words(*state, *analysisResult) (estimand, errors, also string) {
	return "time-to", "influence", ""
}

// shows leaves out shares of each group, which the figure shows, and tests, which are no amounts.
func (q *TimeTo) shows(_ *Analysis, n found) bool {
	return n.e.Measure != estimate.Occupation && n.e.Measure != survive.ChiSquare
}

func (q *TimeTo) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case restrictedMeanDifference:
		return report.Months
	case estimate.Occupation, estimate.RiskDifference:
		return report.PercentagePoints
	}
	return report.Plain
}

// causeLabel is what the study file calls a competing outcome, or the usual word for it.
func (s *state) causeLabel(name string) string {
	if _, own := s.spec.Labels[name]; !own && lang.Has("study.cause-"+name) {
		return s.lang.Text("study.cause-" + name)
	}
	return s.label(name)
}

func (q *TimeTo) label(s *state, a *Analysis, n found) string {
	parts := termParts(n.term)
	switch n.e.Measure {
	case estimate.RiskDifference:
		if parts["state"] != reached {
			return s.lang.Text("study.time-to-competing", "cause", s.causeLabel(parts["state"]), "t", wholeMonth(parts["time"]))
		}
		return s.lang.Text("study.time-to-at", "t", wholeMonth(parts["time"]))
	case restrictedMeanDifference:
		return s.lang.Text("study.time-to-months", "tau", q.Tau)
	case estimate.LogHazardRatio:
		return s.lang.Text("study.time-to-hazard")
	case survive.LogSubdistributionHazardRatio:
		return s.lang.Text("study.time-to-subhazard")
	case estimate.Occupation:
		return s.lang.Text("study.time-to-arm", "t", wholeMonth(parts["time"]), "group", strings.ToLower(s.group(s.spec.findCohort(q.Cohort), parts["group"])))
	}
	return s.lang.Text("study.time-to-" + n.term)
}

func (q *TimeTo) figures(s *state, _ *analysisResult) []drawing {
	return []drawing{{"curves", s.timeToFigure}}
}

// release releases the curves of the figure, thinned to steps of enough people.
func (q *TimeTo) release(s *state, _ *assembled, r *analysisResult, keep func([]release.Withheld)) error {
	return s.releaseCurves(r.own.(*timeToCurves), r.spec.Name, q.At, keep)
}

// releaseCurves releases curves that rest on people who come, thinned to steps of enough of them.
func (s *state) releaseCurves(own *timeToCurves, place string, months []int, keep func([]release.Withheld)) error {
	for arm := range own.arms {
		c := &own.arms[arm]
		left, withheld := c.thin(months, s.policy.Threshold())
		if withheld > 0 {
			keep([]release.Withheld{{Place: place + "/group=" + c.group, Why: release.EventCell, Cells: withheld}})
		}
		for _, t := range left {
			var y [3]float64
			for i, v := range []float64{c.value[t], c.lo[t], c.hi[t]} {
				m, w := s.policy.Mean(place, v, c.people)
				keep(w)
				x, ok := m.Value.Float()
				if !ok {
					return nil
				}
				y[i] = x
			}
			c.shown.X, c.shown.Y = append(c.shown.X, float64(t)), append(c.shown.Y, y[0])
			c.shown.Lo, c.shown.Hi = append(c.shown.Lo, min(y[0], y[1])), append(c.shown.Hi, max(y[0], y[2]))
		}
	}
	return nil
}

func (s *state) timeToFigure(r *analysisResult) (plots.Figure, error) {
	own, q := r.own.(*timeToCurves), r.spec.TimeTo
	co := s.spec.findCohort(q.Cohort)
	d := plots.TrendData{Percent: true, Level: s.spec.Level, XLabel: s.lang.Text("study.time-to-x"), YLabel: s.lang.Text("study.time-to-y")}
	for arm := range own.arms {
		c := own.arms[len(own.arms)-1-arm] // participants first
		if len(c.shown.X) < 2 {
			return plots.Figure{}, errWithheld
		}
		c.shown.Name = capital(s.group(co, c.group))
		d.Series = append(d.Series, c.shown)
	}
	sub := s.lang.Text("study.time-to-subtitle", "outcome", or(r.spec.Outcome.In(s.spec.Language), r.spec.Name))
	return plots.Trend(d, s.labels(), s.style(s.spec.uses(r.spec), s.lang.Text("study.time-to-title"), sub))
}

func (q *TimeTo) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "time_to", "time=" + strconv.Itoa(slices.Max(q.At)), estimate.RiskDifference
}
