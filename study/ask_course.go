package study

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/plots"
	"utfall/study/report"
)

// Course is the effect on being in some states, month by month from the start, with
// intervals that hold for all months at once; with a base month, the effect on the change
// since then, and the months before the start as a test.
type Course struct {
	Cohort     string   `yaml:"cohort,omitempty"` // built by time_zero
	States     []string `yaml:"states,omitempty"`
	From       int      `yaml:"from,omitempty"` // first month, negative before the start; 0 if absent
	To         int      `yaml:"to,omitempty"`   // last month
	Base       *int     `yaml:"base,omitempty"` // month that changes are counted from; levels if absent
	Method     string   `yaml:"method,omitempty"`
	Covariates []string `yaml:"covariates,omitempty"`
	Vcov       string   `yaml:"vcov,omitempty"`
	Bands      string   `yaml:"bands,omitempty"` // uniform or pointwise
	Replicates int      `yaml:"replicates,omitempty"`
}

var (
	_ question  = (*Course)(nil)
	_ namer     = (*Course)(nil)
	_ drawer    = (*Course)(nil)
	_ sentencer = (*Course)(nil)
)

// effect is the question of one month.
func (k *Course) effect() *Effect {
	return &Effect{Cohort: k.Cohort, Method: k.Method, Covariates: k.Covariates, Vcov: k.Vcov}
}

func (k *Course) defaults(s *Spec, a *Analysis) {
	e := k.effect()
	e.defaults(s, a)
	k.Method, k.Vcov = e.Method, e.Vcov
	k.Bands = or(k.Bands, "uniform")
	if k.Bands == "uniform" && k.Replicates == 0 {
		k.Replicates = 9999
	}
}

func (k *Course) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkSteady(c, path[:len(path)-1], a, k.Cohort)
	co := s.cohortRef(c, at(path, "cohort"), k.Cohort)
	switch {
	case co == nil:
	case co.TimeZero == nil:
		c.add(at(path, "cohort"), "course needs a cohort that is built by time_zero")
	default:
		s.stateNames(c, at(path, "states"), co.TimeZero.Spells, "state", k.States)
		if k.To >= co.TimeZero.FollowUp {
			c.add(at(path, "to"), "course: to must come before the end of the cohort's follow_up of %d months", co.TimeZero.FollowUp)
		}
		if len(co.TimeZero.LookBack) > 0 && -k.From > slices.Max(co.TimeZero.LookBack) {
			c.add(at(path, "from"), "course: from reaches back beyond the cohort's look_back")
		}
		for i, name := range k.Covariates {
			if why := s.whyLate(co, name, false); why != "" {
				c.add(at(path, "covariates", i), why, "course", name)
			}
		}
	}
	if len(k.States) == 0 {
		c.add(path, "course: states: name at least one state")
	}
	if k.To < 1 || k.From > 0 {
		c.add(path, "course: from is 0 or a month before the start, and to a month after it")
	}
	if k.Base != nil && (*k.Base >= 0 || *k.Base < k.From) {
		c.add(at(path, "base"), "course: base is a month before the start (-1), not before from")
	}
	c.oneOf(at(path, "method"), "method", k.Method, "difference", "regression")
	if (k.Method == "regression") != (len(k.Covariates) > 0) {
		c.add(at(path, "covariates"), "course: covariates are of the method regression, which needs them")
	}
	c.oneOf(at(path, "vcov"), "vcov", k.Vcov, "cr0", "cr1", "hc0", "hc1")
	c.oneOf(at(path, "bands"), "bands", k.Bands, "uniform", "pointwise")
	if k.Replicates != 0 && k.Bands != "uniform" {
		c.add(at(path, "replicates"), "course: replicates are used only with bands: uniform")
	} else if k.Bands == "uniform" && k.Replicates < 199 {
		c.add(at(path, "replicates"), "course: at least 199 replicates are needed")
	}
}

func (k *Course) rests() basis { return basis{cohort: k.Cohort} }

func (k *Course) dry(s *state, _ *Analysis) error {
	b := s.cohorts[k.Cohort]
	m, _, err := s.courseMonths(b, k)
	if err == nil {
		_, err = s.frameOf(b, k.effect(), m.rows, m.levels[0], b.weight)
	}
	return err
}

func (k *Course) estimate(s *state, a *Analysis) (analysisResult, error) { return s.course(a) }

func (k *Course) words(s *state, r *analysisResult) (estimand, errors, also string) {
	return k.effect().words(s, r)
}

func (k *Course) label(s *state, _ *Analysis, n found) string {
	text, ok := strings.CutPrefix(n.term, "event=")
	if !ok {
		return s.lang.Text("study.term-course-overall", "to", k.To)
	}
	switch m, _ := strconv.Atoi(text); {
	case k.Base != nil && m == *k.Base:
		return s.lang.Text("study.term-course-base", "m", -m)
	case m < 0:
		return s.lang.Text("study.term-course-before", "m", -m)
	default:
		return s.lang.Text("study.term-course-after", "m", m)
	}
}

func (k *Course) unit(*Analysis, found) report.Unit { return report.PercentagePoints }

// shows leaves all months but every sixth to the figure.
func (k *Course) shows(_ *Analysis, n found) bool {
	text, ok := strings.CutPrefix(n.term, "event=")
	m, _ := strconv.Atoi(text)
	return !ok || m%6 == 0
}

// say tells the mean over the months, in which months the band lies on one side of zero, and
// what the months before the start show.
func (k *Course) say(s *state, r *analysisResult) []string {
	points := func(v float64) string { return s.lang.Signed(100*v, 1) }
	released := func(term string) (estimate.Estimate, bool) {
		re, ok := s.bundle.findings[r.spec.Name+"/"+term+"/"+string(estimate.RiskDifference)]
		return re.Number, ok && re.Shown
	}
	mean, ok := released("overall")
	if !ok {
		return []string{s.lang.Text("study.course-say-nothing")}
	}
	out := []string{s.lang.Text("study.course-say-mean", "to", k.To, "v", points(mean.Value), "lo", points(mean.CI.Lo), "hi", points(mean.CI.Hi))}
	var below, above []int
	before, strays := 0, 0
	for m := k.From; m <= k.To; m++ {
		e, ok := released("event=" + strconv.Itoa(m))
		switch {
		case !ok || !e.HasSE():
		case m < 0:
			before++
			if e.CI.Lo > 0 || e.CI.Hi < 0 {
				strays++
			}
		case e.CI.Hi < 0:
			below = append(below, m)
		case e.CI.Lo > 0:
			above = append(above, m)
		}
	}
	if below != nil {
		out = append(out, s.lang.Text("study.course-say-below", "months", spans(below)))
	}
	if above != nil {
		out = append(out, s.lang.Text("study.course-say-above", "months", spans(above)))
	}
	if below == nil && above == nil {
		out = append(out, s.lang.Text("study.course-say-neither"))
	}
	switch {
	case k.Base == nil || before == 0:
	case strays == 0:
		out = append(out, s.lang.Text("study.course-say-placebo"))
	default:
		out = append(out, s.lang.Text("study.course-say-placebo-strays", "n", strays, "of", before))
	}
	return out
}

// spans writes ascending months as ranges: 4–6, 15–24.
func spans(months []int) string {
	var out []string
	for i := 0; i < len(months); {
		j := i
		for j+1 < len(months) && months[j+1] == months[j]+1 {
			j++
		}
		text := strconv.Itoa(months[i])
		if j > i {
			text += "–" + strconv.Itoa(months[j])
		}
		out = append(out, text)
		i = j + 1
	}
	return strings.Join(out, ", ")
}

func (k *Course) figures(s *state, _ *analysisResult) []drawing {
	return []drawing{{"course", s.courseFigure}}
}

func (s *state) courseFigure(r *analysisResult) (plots.Figure, error) {
	k := r.spec.Course
	d := plots.EventStudyData{YLabel: r.spec.Outcome.In(s.spec.Language), XLabel: s.lang.Text("study.course-x"), PercentagePoints: true}
	for _, n := range r.event {
		re, ok := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
		if ok && re.Shown {
			d.Estimates = append(d.Estimates, re.Number)
		}
	}
	if len(d.Estimates) == 0 {
		return plots.Figure{}, errWithheld
	}
	d.Known = s.knownEvents(r, d.Estimates)
	sub := "study.course-subtitle"
	if k.Base != nil {
		sub = "study.course-subtitle-change"
	}
	title := or(r.spec.Question.In(s.spec.Language), fmt.Sprint(r.spec.Outcome.In(s.spec.Language)))
	return plots.EventStudy(d, s.style(s.spec.uses(r.spec), title, s.lang.Text(sub)))
}

func (k *Course) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "course", "overall", estimate.RiskDifference
}
