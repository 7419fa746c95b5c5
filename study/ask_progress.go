package study

import (
	"slices"
	"strings"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/report"
)

// Headlines asks three questions that are never merged: what happened on the ladder, what it
// leads to, and what people say themselves. Each has its gates and its sentence; the family of
// the three shares one error level.
type Headlines struct {
	Cohort      string       `yaml:"cohort,omitempty"`       // built by time_zero
	Ladder      string       `yaml:"ladder,omitempty"`       // ladder file, in the data folder
	Tau         int          `yaml:"tau,omitempty"`          // months that net months are counted over
	At          []int        `yaml:"at,omitempty"`           // months at which higher and lower is told
	SelfSupport []string     `yaml:"self_support,omitempty"` // states of a person who supports her- or himself: the old yardstick, too
	ReweighLoss bool         `yaml:"reweigh_loss,omitempty"` // those still followed stand in for those lost in the same state in the same month
	Groups      []string     `yaml:"groups,omitempty"`       // columns: net months within each of their levels
	Relevant    *Relevant    `yaml:"relevant,omitempty"`     // smallest differences that matter
	Forecast    *Forecast    `yaml:"forecast,omitempty"`     // second question; absent = not asked
	Assessments *Assessments `yaml:"assessments,omitempty"`  // third question; absent = not asked
	Bouncing    *Bouncing    `yaml:"bouncing,omitempty"`     // passing between authorities, which is always described
}

// Relevant are the smallest differences that matter: 0 = not said.
type Relevant struct {
	Months   float64 `yaml:"months,omitempty"`   // net months
	Forecast float64 `yaml:"forecast,omitempty"` // share with stable self-support
	Life     float64 `yaml:"life,omitempty"`     // net share with a better life
}

// Forecast is of stable self-support, learnt from people who started earlier.
type Forecast struct {
	Assume     string    `yaml:"assume,omitempty"`     // surrogacy, latent-unconfoundedness; surrogacy if absent
	OlderTo    string    `yaml:"older_to,omitempty"`   // last month of start of the older cohorts, 2013-12
	AsOf       string    `yaml:"as_of,omitempty"`      // outcomes later than this month are not used; absent = all that are there
	At         int       `yaml:"at,omitempty"`         // months after the start whose steps the forecast is made from
	Within     int       `yaml:"within,omitempty"`     // months within which self-support is to come; 36 if absent
	Run        int       `yaml:"run,omitempty"`        // months in a row that make it stable; 12 if absent
	Background []string  `yaml:"background,omitempty"` // columns known at time zero
	Folds      int       `yaml:"folds,omitempty"`      // of cross-fitting; 5 if absent
	Tilt       []float64 `yaml:"tilt,omitempty"`       // by e to how much the odds of the outcome may differ from those of the older cohorts, at the same steps
}

// Assessments are questionnaires filled in at the start and later.
type Assessments struct {
	Data   string   `yaml:"data,omitempty"`   // of kind assessments
	Rater  string   `yaml:"rater,omitempty"`  // whose answers: self and caseworker are never mixed
	Items  []string `yaml:"items,omitempty"`  // the questions, all scored so that more is better
	After  int      `yaml:"after,omitempty"`  // months from the start to the second wave
	Window int      `yaml:"window,omitempty"` // months that an answer may lie from its wave; 1 if absent
	Model  string   `yaml:"model,omitempty"`  // graded, partial-credit; graded if absent
	MIC    float64  `yaml:"mic,omitempty"`    // smallest change that people call important, in SD of comparison people at the start
	Draws  int      `yaml:"draws,omitempty"`  // plausible values; 20 if absent
}

// Bouncing describes how people are passed between the authorities that the ladder file names.
type Bouncing struct {
	PingPong int `yaml:"ping_pong,omitempty"` // months within which a return to an authority counts as ping-pong; 6 if absent
	Return   int `yaml:"return,omitempty"`    // months after support of one's own within which a return to an authority is counted; 12 if absent, or the follow-up where that is shorter
}

var (
	_ question = (*Headlines)(nil)
	_ namer    = (*Headlines)(nil)
	_ drawer   = (*Headlines)(nil)
	_ releaser = (*Headlines)(nil)
	_ finder   = (*Headlines)(nil)
)

func (p *Headlines) defaults(s *Spec, _ *Analysis) {
	if f := p.Forecast; f != nil {
		f.Within, f.Run, f.Folds, f.Assume = orInt(f.Within, 36), orInt(f.Run, 12), orInt(f.Folds, 5), or(f.Assume, assumeSurrogacy)
	}
	if q := p.Assessments; q != nil {
		q.Model, q.Window, q.Draws = or(q.Model, string(progress.Graded)), orInt(q.Window, 1), orInt(q.Draws, 20)
	}
	if p.Bouncing == nil {
		p.Bouncing = &Bouncing{}
	}
	back := 12
	if co := s.findCohort(p.Cohort); co != nil && co.TimeZero != nil {
		back = max(1, min(back, co.TimeZero.FollowUp))
	}
	p.Bouncing.PingPong, p.Bouncing.Return = orInt(p.Bouncing.PingPong, 6), orInt(p.Bouncing.Return, back)
}

func orInt(v, absent int) int {
	if v == 0 {
		return absent
	}
	return v
}

func (p *Headlines) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkSteady(c, path[:len(path)-1], a, p.Cohort)
	co := s.cohortRef(c, at(path, "cohort"), p.Cohort)
	if co != nil && co.TimeZero == nil {
		c.add(at(path, "cohort"), "progress needs a cohort that is built by time_zero")
		co = nil
	}
	if p.Ladder == "" {
		c.add(path, "progress: ladder: name the ladder file, which says what is on which step and who decided it")
	}
	if a.Relevant != 0 {
		c.add(at(path[:len(path)-1], "relevant"), "progress: the three answers have units of their own: use progress: relevant")
	}
	if p.Tau < 1 {
		c.add(path, "progress: tau: give the months that net months are counted over")
	} else if co != nil && p.Tau > co.TimeZero.FollowUp {
		c.add(at(path, "tau"), "progress: tau reaches beyond the cohort's follow_up of %d months", co.TimeZero.FollowUp)
	}
	for i, t := range p.At {
		if t < 1 || t > p.Tau {
			c.add(at(path, "at", i), "progress: times must lie between 1 and tau")
		}
		if slices.Contains(p.At[:i], t) {
			c.add(at(path, "at", i), "progress: month %d is asked for twice", t)
		}
	}
	if len(p.SelfSupport) == 0 {
		c.add(path, "progress: self_support: name the states of people who support themselves")
	} else if co != nil {
		s.stateNames(c, at(path, "self_support"), co.TimeZero.Spells, "state", p.SelfSupport)
	}
	if co != nil {
		for i, name := range p.Groups {
			if why := s.whyLate(co, name, false); why != "" {
				c.add(at(path, "groups", i), why, "progress", name)
			}
			if !s.hasLevels(co, name) {
				c.add(at(path, "groups", i), "progress: groups: %q needs levels that the data declare: those found in the data could name a person", name)
			}
			if slices.Contains(p.Groups[:i], name) {
				c.add(at(path, "groups", i), "progress: groups names %q twice", name)
			}
		}
	}
	if r := p.Relevant; r != nil {
		for _, x := range []struct {
			key   string
			value float64
			used  bool
		}{{"months", r.Months, true}, {"forecast", r.Forecast, p.Forecast != nil}, {"life", r.Life, p.Assessments != nil}} {
			if x.value < 0 || x.key != "months" && x.value >= 1 {
				c.add(at(path, "relevant", x.key), "progress: relevant: %s must be at least 0 (a share below 1)", x.key)
			}
			if x.value != 0 && !x.used {
				c.add(at(path, "relevant", x.key), "progress: relevant: %s is used only where that question is asked", x.key)
			}
		}
	}
	if p.Forecast != nil {
		p.Forecast.check(s, c, at(path, "forecast"), co)
	}
	if p.Assessments != nil {
		p.Assessments.check(s, c, at(path, "assessments"))
	}
	if b := p.Bouncing; b != nil {
		if b.PingPong < 1 {
			c.add(at(path, "bouncing", "ping_pong"), "progress: bouncing: ping_pong must be at least 1 month")
		}
		if b.Return < 1 || co != nil && b.Return > co.TimeZero.FollowUp {
			c.add(at(path, "bouncing", "return"), "progress: bouncing: return must lie between 1 and the cohort's follow_up")
		}
	}
}

// hasLevels reports whether a column of the cohort's people is a category with declared levels.
func (s *Spec) hasLevels(co *Cohort, name string) bool {
	for _, c := range s.Data[co.Base].Columns {
		if c.Name == name {
			return len(c.Levels) > 0
		}
	}
	return false
}

func (f *Forecast) check(s *Spec, c *checker, path []any, co *Cohort) {
	if f.At < 1 || f.At >= f.Within {
		c.add(path, "forecast: at: give the month whose steps the forecast is made from, before within")
	}
	if f.Run < 1 || f.Run > f.Within {
		c.add(at(path, "run"), "forecast: run must lie between 1 and within")
	}
	if f.Folds < 2 {
		c.add(at(path, "folds"), "forecast: folds must be at least 2")
	}
	c.oneOf(at(path, "assume"), "assume", f.Assume, assumeSurrogacy, assumeLatentUnconfounded)
	for i, eta := range f.Tilt {
		if !(eta > 0 && eta <= largestTilt) {
			c.add(at(path, "tilt", i), "forecast: tilt must be above 0 and at most %v: the logarithm of a factor of the odds", largestTilt)
		}
		if slices.Contains(f.Tilt[:i], eta) {
			c.add(at(path, "tilt", i), "forecast: tilt names %v twice", eta)
		}
	}
	older, err := cohort.ParseMonth(f.OlderTo)
	if err != nil {
		c.add(at(path, "older_to"), "forecast: older_to: %v", err)
	}
	if f.AsOf != "" {
		if asOf, aerr := cohort.ParseMonth(f.AsOf); aerr != nil {
			c.add(at(path, "as_of"), "forecast: as_of: %v", aerr)
		} else if err == nil && asOf < older+cohort.Month(f.Within)-1 {
			c.add(at(path, "as_of"), "forecast: as_of lies before the outcome of those who started in older_to could be known")
		}
	}
	if co == nil {
		return
	}
	if f.Within > co.TimeZero.FollowUp+1 {
		c.add(at(path, "within"), "forecast: within reaches beyond the cohort's follow_up of %d months", co.TimeZero.FollowUp)
	}
	if err == nil && (older.String() < co.TimeZero.From || older.String() >= co.TimeZero.To) {
		c.add(at(path, "older_to"), "forecast: older_to must lie in the cohort's intake, before its last month: some people have to be older, and some not")
	}
	for i, name := range f.Background {
		if why := s.whyLate(co, name, false); why != "" {
			c.add(at(path, "background", i), why, "forecast", name)
		}
		if slices.Contains(f.Background[:i], name) {
			c.add(at(path, "background", i), "forecast: background names %q twice", name)
		}
	}
}

func (q *Assessments) check(s *Spec, c *checker, path []any) {
	if s.data(c, at(path, "data"), q.Data, "assessments") {
		for _, column := range []string{"person", "date", "item", "value", "rater"} {
			s.column(c, at(path, "data"), q.Data, column)
		}
		s.stateNames(c, at(path, "items"), q.Data, "item", q.Items)
		s.stateNames(c, at(path, "rater"), q.Data, "rater", []string{q.Rater})
	}
	if q.Rater == "" {
		c.add(path, "assessments: rater: say whose answers, such as self: those of different raters are never mixed")
	}
	if len(q.Items) < 3 {
		c.add(path, "assessments: items: a scale needs at least 3 questions")
	}
	for i, name := range q.Items {
		if slices.Contains(q.Items[:i], name) {
			c.add(at(path, "items", i), "assessments: items names %q twice", name)
		}
	}
	c.oneOf(at(path, "model"), "model", q.Model, string(progress.Graded), string(progress.PartialCreditModel))
	switch {
	case q.After < 1:
		c.add(path, "assessments: after: give the months from the start to the second wave")
	case q.Window < 0, q.Window > 0 && 2*q.Window >= q.After:
		c.add(at(path, "window"), "assessments: window must be at least 1 and less than half of after: an answer belongs to one wave")
	}
	if q.MIC <= 0 {
		c.add(path, "assessments: mic: give the smallest change that people call important, in standard deviations of comparison people at the start")
	}
	if q.Draws < 2 {
		c.add(at(path, "draws"), "assessments: draws must be at least 2")
	}
}

func (p *Headlines) rests() basis {
	b := basis{cohort: p.Cohort, files: []string{p.Ladder}}
	if p.Assessments != nil {
		b.data = []string{p.Assessments.Data}
	}
	return b
}

func (p *Headlines) dry(s *state, _ *Analysis) error {
	b := s.cohorts[p.Cohort]
	if _, err := s.ladders[p.Ladder].of(b.paths.States); err != nil {
		return err
	}
	if _, err := countedStates(b.paths.States, p.SelfSupport); err != nil {
		return err
	}
	if _, err := s.ladders[p.Ladder].authority(b.paths.States, p.SelfSupport); err != nil {
		return err
	}
	for _, name := range p.Groups {
		if _, err := b.table.Category(name); err != nil {
			return err
		}
	}
	if p.Assessments != nil {
		_, err := s.questionnaires(b, p.Assessments)
		if _, ok := refusable(err); err != nil && !ok { // without answers that question alone is refused
			return err
		}
	}
	return nil
}

func (p *Headlines) estimate(s *state, a *Analysis) (analysisResult, error) { return s.progress(a) }

func (p *Headlines) words(s *state, r *analysisResult) (estimand, errors, also string) {
	if p.Forecast != nil && p.Forecast.bridges() {
		also = s.lang.Text("study.progress-also-bridge")
	}
	return "progress", "influence", also
}

// shows leaves the months on each step to its figure, and the truth test of each cohort.
func (p *Headlines) shows(_ *Analysis, n found) bool {
	return !strings.HasPrefix(n.term, "truth,") || strings.HasSuffix(n.term, ",part=difference")
}

func (p *Headlines) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case estimate.NetMonths, estimate.WinMonths, estimate.LossMonths, estimate.RestrictedMeanTime, restrictedMeanDifference:
		return report.Months
	case estimate.WinProbability, estimate.LossProbability, estimate.Occupation, estimate.RiskDifference, progress.NetImproved, progress.ShareImproved, progress.ShareWorsened, responseShare, progress.LargestShareDifference:
		return report.PercentagePoints
	}
	if strings.HasPrefix(n.term, "bouncing,") {
		return report.Plain
	}
	return report.Plain
}

func (p *Headlines) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "progress", termMonths, estimate.NetMonths
}
