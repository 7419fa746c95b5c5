package study

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/plots"
	"utfall/study/report"
)

// FollowUp is the effect on scores at visits that not everybody came to, and what is left of it if those who were lost fared otherwise.
type FollowUp struct {
	Cohort     string   `yaml:"cohort,omitempty"`
	Data       string   `yaml:"data,omitempty"`       // of kind assessments: the score is the mean of the items
	Rater      string   `yaml:"rater,omitempty"`      // whose answers, of data
	Items      []string `yaml:"items,omitempty"`      // the questions, of data, all scored in one direction
	At         []int    `yaml:"at,omitempty"`         // months from the start to the visits, of data
	Window     int      `yaml:"window,omitempty"`     // months that an answer may lie from its visit, of data; 1 if absent
	Columns    []string `yaml:"columns,omitempty"`    // instead of data: outcomes of the cohort's base, one a visit in their order
	Before     string   `yaml:"before,omitempty"`     // with columns: the score before
	Covariates []string `yaml:"covariates,omitempty"` // beside the score before
	Strategies []string `yaml:"strategies,omitempty"` // beside at random; all if absent
	Covariance string   `yaml:"covariance,omitempty"` // of the visits: shared or by-arm; shared if absent
	Errors     string   `yaml:"errors,omitempty"`     // of the strategies: information-anchored or jackknife; information-anchored if absent
	Tipping    string   `yaml:"tipping,omitempty"`    // error along the shifts: recomputed or held; recomputed if absent
	MIC        float64  `yaml:"mic,omitempty"`        // smallest important change, in the unit of the score
}

var (
	_ question  = (*FollowUp)(nil)
	_ namer     = (*FollowUp)(nil)
	_ drawer    = (*FollowUp)(nil)
	_ sentencer = (*FollowUp)(nil)
	_ chief     = (*FollowUp)(nil)
)

// followUpStrategies are the strategies beside at random, in the order in which they are told.
var followUpStrategies = []string{string(progress.JumpToReference), string(progress.CopyReference), string(progress.CopyIncrements), string(progress.LastMean)}

func (q *FollowUp) defaults(*Spec, *Analysis) {
	if q.Data != "" && q.Window == 0 {
		q.Window = 1
	}
	if q.Strategies == nil {
		q.Strategies = slices.Clone(followUpStrategies)
	}
	q.Covariance, q.Errors, q.Tipping = or(q.Covariance, "shared"), or(q.Errors, "information-anchored"), or(q.Tipping, "recomputed")
}

func (q *FollowUp) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkSteady(c, path[:len(path)-1], a, q.Cohort)
	co := s.cohortRef(c, at(path, "cohort"), q.Cohort)
	switch {
	case (q.Data == "") == (len(q.Columns) == 0):
		c.add(path, "follow_up: give either data (of kind assessments) or columns (outcomes of the cohort's base, one a visit)")
	case q.Data != "":
		q.checkData(s, c, path, co)
	default:
		q.checkColumns(c, path)
	}
	for i, name := range q.Strategies {
		c.oneOf(at(path, "strategies", i), "strategy", name, followUpStrategies...)
		if slices.Contains(q.Strategies[:i], name) {
			c.add(at(path, "strategies", i), "follow_up: strategies names %q twice", name)
		}
	}
	for i, name := range q.Covariates {
		if slices.Contains(q.Covariates[:i], name) || name == q.Before {
			c.add(at(path, "covariates", i), "follow_up: covariate %q is named twice", name)
		}
	}
	known := slices.Clone(q.Covariates)
	if q.Before != "" {
		known = append(known, q.Before)
	}
	for _, name := range known {
		if co == nil {
			break
		}
		if why := s.whyLate(co, name, false); why != "" {
			c.add(path, why, "follow_up", name)
		}
	}
	c.oneOf(at(path, "covariance"), "covariance", q.Covariance, "shared", "by-arm")
	c.oneOf(at(path, "errors"), "errors", q.Errors, "information-anchored", "jackknife")
	c.oneOf(at(path, "tipping"), "tipping", q.Tipping, "recomputed", "held")
	if !(q.MIC > 0) || math.IsInf(q.MIC, 1) {
		c.add(path, "follow_up: mic: give the smallest change that people call important, in the unit of the score")
	}
}

// checkData tests the keys of scores that are made from questionnaires.
func (q *FollowUp) checkData(s *Spec, c *checker, path []any, co *Cohort) {
	if q.Before != "" {
		c.add(at(path, "before"), "follow_up: before goes with columns; with data the score before is that of the start")
	}
	if co != nil && co.TimeZero == nil {
		c.add(at(path, "cohort"), "follow_up: with data it needs a cohort that is built by time_zero")
		co = nil
	}
	if s.data(c, at(path, "data"), q.Data, "assessments") {
		for _, column := range []string{"person", "date", "item", "value", "rater"} {
			s.column(c, at(path, "data"), q.Data, column)
		}
		s.stateNames(c, at(path, "items"), q.Data, "item", q.Items)
		s.stateNames(c, at(path, "rater"), q.Data, "rater", []string{q.Rater})
	}
	if q.Rater == "" {
		c.add(path, "follow_up: rater: say whose answers, such as self: those of different raters are never mixed")
	}
	if len(q.Items) == 0 {
		c.add(path, "follow_up: items: name the questions whose mean is the score")
	}
	for i, name := range q.Items {
		if slices.Contains(q.Items[:i], name) {
			c.add(at(path, "items", i), "follow_up: items names %q twice", name)
		}
	}
	checkMonths(c, path, "follow_up", q.At, 1, co)
	months := append([]int{0}, q.At...)
	for i := 1; i < len(months); i++ {
		if months[i] <= months[i-1] {
			c.add(at(path, "at", i-1), "follow_up: at: months come in their order")
		} else if q.Window < 0 || 2*q.Window >= months[i]-months[i-1] {
			c.add(at(path, "window"), "follow_up: window must be at least 1 and less than half of the time between visits: an answer belongs to one visit")
			break
		}
	}
}

// checkColumns tests the keys of scores that are columns.
func (q *FollowUp) checkColumns(c *checker, path []any) {
	if q.Rater != "" || len(q.Items) > 0 || len(q.At) > 0 || q.Window != 0 {
		c.add(path, "follow_up: rater, items, at and window go with data")
	}
	if q.Before == "" {
		c.add(path, "follow_up: before: name the column with the score before")
	}
	for i, name := range q.Columns {
		if slices.Contains(q.Columns[:i], name) || name == q.Before || slices.Contains(q.Covariates, name) {
			c.add(at(path, "columns", i), "follow_up: column %q is named twice", name)
		}
	}
}

func (q *FollowUp) rests() basis {
	b := basis{cohort: q.Cohort, outcomes: q.Columns}
	if q.Data != "" {
		b.data = []string{q.Data}
	}
	return b
}

func (q *FollowUp) dry(s *state, _ *Analysis) error {
	_, err := s.newFollowUpRun(q)
	return err
}

func (q *FollowUp) estimate(s *state, a *Analysis) (analysisResult, error) { return s.followUp(a) }

func (q *FollowUp) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	visits := q.visits()
	return "follow_up", "visit=" + visits[len(visits)-1] + ",strategy=" + string(progress.MissingAtRandom), estimate.MeanDifference
}

func (q *FollowUp) words(s *state, r *analysisResult) (estimand, errors, also string) {
	errors = "followup-anchored"
	if q.Errors == "jackknife" {
		errors = "followup-jackknife"
	}
	return "follow-up", errors, ""
}

// visits are the names of the visits in terms.
func (q *FollowUp) visits() []string {
	if q.Data == "" {
		return q.Columns
	}
	var out []string
	for _, m := range q.At {
		out = append(out, strconv.Itoa(m))
	}
	return out
}

// visitName is what the reader is told of a visit: the months since the start, or the column.
func (q *FollowUp) visitName(s *state, visit string) string {
	if q.Data == "" {
		return s.lang.Text("study.followup-visit-column", "label", s.label(visit))
	}
	return s.lang.Text("study.followup-visit", "t", wholeMonth(visit))
}

// shows leaves the places of the tipping curve to its figure.
func (q *FollowUp) shows(_ *Analysis, n found) bool { return termParts(n.term)["delta"] == "" }

func (q *FollowUp) unit(a *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case responseShare:
		return report.PercentagePoints
	case progress.ImportantChanges:
		return report.Plain
	}
	return ""
}

func (q *FollowUp) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	visit := q.visitName(s, parts["visit"])
	switch {
	case parts["strategy"] != "":
		return s.lang.Text("study.followup-"+parts["strategy"], "visit", visit)
	case parts["group"] != "":
		return s.lang.Text("study.followup-response-"+parts["group"], "visit", visit)
	case n.e.Measure == progress.ImportantChanges:
		return s.lang.Text("study.followup-tipping", "visit", visit)
	}
	return ""
}

// say tells the difference, how many answered, whether the assumptions about those who did not agree, and what it would take.
func (q *FollowUp) say(s *state, r *analysisResult) []string {
	visits := q.visits()
	last := "visit=" + visits[len(visits)-1]
	main, ok := s.releasedNumber(r, last+",strategy="+string(progress.MissingAtRandom), estimate.MeanDifference)
	if !ok {
		return nil
	}
	number := func(v float64) string { return s.lang.Signed(v, 2) }
	e, visit := main.Number, q.visitName(s, visits[len(visits)-1])
	key := "study.followup-say-unclear"
	if excludesZero(e.CI) {
		key = "study.followup-say-difference"
	}
	out := []string{s.lang.Text(key, "visit", visit, "v", number(e.Value), "lo", number(e.CI.Lo), "hi", number(e.CI.Hi))}
	var share [2]string
	all := true
	for g, name := range []string{"control", "treated"} {
		re, ok := s.releasedNumber(r, last+",group="+name, responseShare)
		all = all && ok
		if ok {
			share[g] = s.lang.Number(100*re.Number.Value, 0)
		}
	}
	if all {
		out = append(out, s.lang.Text("study.followup-say-response", "visit", visit, "treated", share[1], "control", share[0]))
	}
	told, agree := 0, 0
	for _, name := range q.Strategies {
		re, ok := s.releasedNumber(r, last+",strategy="+name, estimate.MeanDifference)
		if !ok {
			continue
		}
		told++
		if x := re.Number; excludesZero(x.CI) == excludesZero(e.CI) && (!excludesZero(e.CI) || (x.Value > 0) == (e.Value > 0)) {
			agree++
		}
	}
	switch {
	case told == 0:
	case agree == told && excludesZero(e.CI):
		out = append(out, s.lang.Text("study.followup-say-stands"))
	case agree == told:
		out = append(out, s.lang.Text("study.followup-say-never"))
	default:
		out = append(out, s.lang.Text("study.followup-say-depends"))
	}
	if re, ok := s.releasedNumber(r, last+",tipping", progress.ImportantChanges); ok && re.Number.Value != 0 && excludesZero(e.CI) {
		key := "study.followup-say-tipping-lower"
		if re.Number.Value > 0 {
			key = "study.followup-say-tipping-higher"
		}
		out = append(out, s.lang.Text(key, "d", s.lang.Number(math.Abs(re.Number.Value), 1)))
	}
	return out
}

func (q *FollowUp) figures(s *state, r *analysisResult) []drawing {
	if !slices.ContainsFunc(r.numbers, func(n found) bool { return strings.Contains(n.term, ",delta=") }) {
		return nil
	}
	return []drawing{{"tipping", func(r *analysisResult) (plots.Figure, error) { return q.tippingFigure(s, r) }}}
}

// tippingFigure draws the released places of the curve.
func (q *FollowUp) tippingFigure(s *state, r *analysisResult) (plots.Figure, error) {
	var x, y, lo, hi []float64
	for _, n := range r.numbers {
		d, err := strconv.ParseFloat(termParts(n.term)["delta"], 64)
		if err != nil {
			continue
		}
		if re, ok := s.releasedNumber(r, n.term, estimate.MeanDifference); ok {
			x, y, lo, hi = append(x, math.Abs(d)), append(y, re.Number.Value), append(lo, re.Number.CI.Lo), append(hi, re.Number.CI.Hi)
		}
	}
	if len(x) == 0 {
		return plots.Figure{}, errWithheld
	}
	d := plots.TrendData{
		Series: []plots.Series{{Name: s.lang.Text("study.followup-tipping-series"), X: x, Y: y, Lo: lo, Hi: hi}}, Level: s.spec.Level,
		XLabel: s.lang.Text("study.followup-tipping-x"), YLabel: r.spec.Outcome.In(s.spec.Language),
	}
	visits := q.visits()
	if re, ok := s.releasedNumber(r, "visit="+visits[len(visits)-1]+",tipping", progress.ImportantChanges); ok {
		if p := math.Abs(re.Number.Value); p > 0 && p <= x[len(x)-1] {
			d.Marks = []plots.Mark{{X: p, Label: s.lang.Text("study.progress-tipping-mark")}}
		}
	}
	return plots.Trend(d, nil, s.style(s.spec.uses(r.spec), s.lang.Text("study.followup-tipping-title"), s.lang.Text("study.followup-tipping-subtitle", "visit", q.visitName(s, visits[len(visits)-1]))))
}
