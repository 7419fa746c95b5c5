package study

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/study/report"
	"utfall/table"
)

// Reconcile sets the effect on participants, times the share of the population that took
// part, beside the effect on the municipalities: what they should have in common, how
// far apart they are, and why they may differ.
type Reconcile struct {
	Individual   string  `yaml:"individual,omitempty"`    // an earlier analysis with effect: the effect on a participant
	Municipal    string  `yaml:"municipal,omitempty"`     // an earlier analysis with did, of a share in the population
	Term         string  `yaml:"term,omitempty"`          // of the municipal analysis; overall
	TakeUp       float64 `yaml:"take_up,omitempty"`       // share of the population that took part, above 0 and at most 1
	TakeUpError  float64 `yaml:"take_up_error,omitempty"` // its standard error
	Participants string  `yaml:"participants,omitempty"`  // or: data in which the participants are counted,
	Population   string  `yaml:"population,omitempty"`    // and data in which the population is
	Per          float64 `yaml:"per,omitempty"`           // what the municipal outcome counts by: 100 if it is per cent, 1 if a share; 1
	Place        string  `yaml:"place,omitempty"`         // column of the individual analysis's cohort: the municipality, as the municipal analysis names its units
	Errors       string  `yaml:"errors,omitempty"`        // of the two effects: any (however they go together), independent or joint; joint with place, else any
}

var (
	_ question  = (*Reconcile)(nil)
	_ namer     = (*Reconcile)(nil)
	_ sentencer = (*Reconcile)(nil)
)

// The values of errors: how the errors of the two effects go together.
const (
	anyErrors         = "any"
	independentErrors = "independent"
)

func (q *Reconcile) defaults(*Spec, *Analysis) {
	q.Term = or(q.Term, "overall")
	if q.Place != "" {
		q.Errors = or(q.Errors, jointErrors)
	}
	q.Errors = or(q.Errors, anyErrors)
	if q.Per == 0 {
		q.Per = 1
	}
}

func (q *Reconcile) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkOf(c, at(path, "individual"), a, q.Individual, "effect")
	s.checkOf(c, at(path, "municipal"), a, q.Municipal, "did")
	c.oneOf(at(path, "errors"), "errors", q.Errors, anyErrors, independentErrors, jointErrors)
	if (q.Place != "") != (q.Errors == jointErrors) {
		c.add(at(path, "errors"), "reconcile: errors: joint and place, the column with the municipality of a person, go together")
	}
	if !(q.Per > 0) || math.IsInf(q.Per, 1) {
		c.add(at(path, "per"), "reconcile: per must be a number above 0, for example 100 for an outcome in per cent")
	}
	counted := q.Participants != "" || q.Population != ""
	switch {
	case counted == (q.TakeUp != 0):
		c.add(path, "reconcile: give take_up, or participants and population to count it")
	case counted:
		units := make([]string, 2)
		for i, x := range []struct{ key, name string }{{"participants", q.Participants}, {"population", q.Population}} {
			if x.name == "" {
				c.add(path, "reconcile: %s: name the data", x.key)
			} else if s.data(c, at(path, x.key), x.name) {
				units[i] = x.name
			}
		}
		if units[0] != "" && units[1] != "" {
			if column := s.unitColumn(q.Population); column == "" {
				c.add(at(path, "population"), "reconcile: data %q have no column with role unit", q.Population)
			} else {
				s.column(c, at(path, "participants"), q.Participants, column)
			}
		}
		if q.TakeUpError != 0 {
			c.add(at(path, "take_up_error"), "reconcile: take_up_error goes with take_up")
		}
	case !(q.TakeUp > 0 && q.TakeUp <= 1):
		c.add(at(path, "take_up"), "reconcile: take_up is a share above 0 and at most 1")
	}
	if !(q.TakeUpError >= 0) || math.IsInf(q.TakeUpError, 1) {
		c.add(at(path, "take_up_error"), "reconcile: take_up_error is a number of at least 0")
	}
}

// unitColumn is the column of the data with the role unit, "" if none has it.
func (s *Spec) unitColumn(data string) string {
	for _, c := range s.Data[data].Columns {
		if c.Role == "unit" {
			return c.Name
		}
	}
	return ""
}

func (q *Reconcile) rests() basis {
	b := basis{of: []string{q.Municipal, q.Individual}}
	for _, d := range []string{q.Participants, q.Population} {
		if d != "" {
			b.data = append(b.data, d)
		}
	}
	return b
}

func (q *Reconcile) dry(*state, *Analysis) error { return nil } // its numbers are those of the analyses it is of

func (q *Reconcile) estimate(s *state, a *Analysis) (analysisResult, error) { return s.reconcile(a) }

func (q *Reconcile) words(_ *state, r *analysisResult) (estimand, errors, also string) {
	return "reconcile", "reconcile-" + r.own.(string), ""
}

func (q *Reconcile) label(s *state, _ *Analysis, n found) string {
	return s.lang.Text("study.reconcile-" + n.term)
}

func (q *Reconcile) unit(*Analysis, found) report.Unit { return "" }

func (q *Reconcile) shows(*Analysis, found) bool { return true }

// say puts the difference into words; what may make the levels differ is a note.
func (q *Reconcile) say(s *state, r *analysisResult) []string {
	get := func(term string) (estimate.Estimate, bool) {
		re, ok := s.bundle.findings[r.spec.Name+"/"+term+"/"+string(estimate.MeanDifference)]
		return re.Number, ok && re.Shown
	}
	implied, ok1 := get("implied")
	municipal, ok2 := get("municipal")
	difference, ok3 := get("difference")
	if !ok1 || !ok2 || !ok3 {
		return []string{s.lang.Text("study.reconcile-say-nothing")}
	}
	number := func(v float64) string { return s.amount(r.spec, v) }
	out := []string{s.lang.Text("study.reconcile-say-both", "implied", number(implied.Value), "municipal", number(municipal.Value))}
	key := "study.reconcile-say-unclear"
	switch {
	case math.IsNaN(difference.CI.Lo) || math.IsNaN(difference.CI.Hi):
	case difference.CI.Lo <= 0 && difference.CI.Hi >= 0:
		key = "study.reconcile-say-agree"
	case math.Abs(municipal.Value) > math.Abs(implied.Value) && municipal.Value*implied.Value >= 0:
		key = "study.reconcile-say-more"
	case municipal.Value*implied.Value >= 0:
		key = "study.reconcile-say-less"
	default:
		key = "study.reconcile-say-opposite"
	}
	return append(out, s.lang.Text(key)) // the reasons are a note
}

// amount writes a number in the unit of an analysis.
func (s *state) amount(a *Analysis, v float64) string {
	switch report.Unit(a.Unit) {
	case report.Points:
		return s.lang.PercentPoints(v/100, 2)
	case report.PercentagePoints:
		return s.lang.PercentPoints(v, 2)
	}
	return s.lang.Significant(v, 2)
}

// reconcile computes the table.
func (s *state) reconcile(a *Analysis) (analysisResult, error) {
	q := a.Reconcile
	r := analysisResult{method: "reconcile", kind: "check"}
	if s.answered(q.Individual).unanswered() {
		return r, fmt.Errorf("%w: %s", errUnanswered, q.Individual)
	}
	individual := s.answered(q.Individual).numbers[0]
	var municipal *found
	for i, n := range s.answered(q.Municipal).numbers {
		if n.term == q.Term {
			municipal = &s.answered(q.Municipal).numbers[i]
		}
	}
	if municipal == nil {
		return r, fmt.Errorf("%w: analysis %s: reconcile: term: analysis %s has no number %q", ErrSpec, a.Name, q.Municipal, q.Term)
	}
	takeUp, err := s.takeUp(q)
	if err != nil {
		return r, err
	}
	level, mode := s.spec.Level, q.Errors
	var joint jointError
	if mode == jointErrors {
		l, err := s.levels(q)
		if err != nil {
			return r, err
		}
		ok := false
		if l != nil {
			joint, ok = l.join(individual.e.SE, municipal.e.SE)
		}
		if !ok {
			mode = anyErrors
			r.notes = append(r.notes, table.Note{Code: "reconcile-joint-missing",
				Text: "The errors of the two levels could not be joined by municipality. They are added instead, which rather makes the difference too uncertain than too certain."})
		}
	}
	r.own = mode
	build := func(term string, value, se float64, basisOf found, df float64) found {
		n := found{term: term, e: estimate.Wald(term, estimate.MeanDifference, value, se, df, level), basis: basisOf.basis}
		if math.IsNaN(se) {
			n.notes = basisOf.notes
		}
		return n
	}
	one, both := individual.e, municipal.e
	df := func(e estimate.Estimate) float64 {
		if math.IsNaN(e.Test.DF) {
			return math.Inf(1)
		}
		return e.Test.DF
	}
	each := one.Value * q.Per
	eachSE := one.SE * q.Per
	implied := each * takeUp
	impliedSE := math.Hypot(eachSE*takeUp, each*q.TakeUpError)
	se := impliedSE + both.SE
	least := math.Min(df(one), df(both))
	switch mode {
	case independentErrors:
		se = math.Hypot(impliedSE, both.SE)
	case jointErrors:
		share := q.Per * takeUp
		clustered := math.Hypot(joint.se*share, each*q.TakeUpError)
		se = math.Sqrt(max(0, float64(clustered*clustered)+float64(both.SE*both.SE)-float64(2*share*joint.covariance)))
		least = math.Min(least, joint.df)
	}
	difference := build("difference", both.Value-implied, se, *municipal, least)
	if _, hidden := s.policy.Estimate(a.Name, one, individual.basis); len(hidden) > 0 {
		difference.basis = individual.basis // one of the two would give the other away
	}
	needed := both.Value / takeUp
	neededSE := math.Hypot(both.SE/takeUp, needed*q.TakeUpError/takeUp)
	r.numbers = []found{
		difference,
		build("implied", implied, impliedSE, individual, df(one)),
		build("municipal", both.Value, both.SE, *municipal, df(both)),
		build("individual", each, eachSE, individual, df(one)),
		build("needed", needed, neededSE, *municipal, df(both)),
	}
	for i := range r.numbers { // the columns of counts are named after people
		if n := &r.numbers[i]; n.basis == municipal.basis {
			n.notes = append(slices.Clip(n.notes), table.Note{Code: "counts-of-municipalities", Text: "The counts of this number are municipalities, not people."})
		}
	}
	// Only the difference has the error of both; the municipal number keeps the interval that its own design allows.
	r.numbers[0].e.CI.Method = "reconcile-" + mode
	r.numbers[2].e.CI, r.numbers[2].e.Test = both.CI, both.Test
	r.notes = append(r.notes, table.Note{Code: "reconcile-reasons",
		Text: "The two levels may differ because others were pushed aside (displacement) or gained (spillover), because periods and people differ, because few took part where many live (dilution), because municipalities that joined were unlike others, or because associations did more than these measures."})
	switch mode {
	case anyErrors:
		r.notes = append(r.notes, table.Note{Code: "reconcile-any",
			Text: "The same people may stand behind both numbers. The error of the difference is the sum of the two, which holds however they go together."})
	case jointErrors:
		r.notes = append(r.notes, table.Note{Code: "reconcile-joint",
			Text: "The same people may stand behind both numbers. The error of the difference is that of both levels together, summed by municipality."})
	}
	return r, nil
}

// takeUp is the share of the population that took part, given or counted: from counts
// as they are released, so that it gives no exact number away.
func (s *state) takeUp(q *Reconcile) (float64, error) {
	if q.TakeUp != 0 {
		return q.TakeUp, nil
	}
	column := s.spec.unitColumn(q.Population)
	var count [2]float64
	for i, name := range []string{q.Participants, q.Population} {
		unit, _, err := s.data[name].table.Text(column)
		if err != nil {
			return 0, err
		}
		seen := map[string]bool{}
		for _, u := range unit {
			seen[u] = true
		}
		released, ok := s.policy.Count(len(seen)).Int()
		if !ok || released == 0 {
			return 0, fmt.Errorf("%w: reconcile: too few are counted in data %q to show their share; give take_up", ErrSpec, name)
		}
		count[i] = float64(released)
	}
	if count[0] > count[1] {
		return 0, fmt.Errorf("%w: reconcile: more took part (data %q) than there are people (data %q)", ErrSpec, q.Participants, q.Population)
	}
	return count[0] / count[1], nil
}

func (q *Reconcile) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "reconcile", "difference", estimate.MeanDifference
}
