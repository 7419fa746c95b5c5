package study

import (
	"math"
	"slices"
	"strings"

	"utfall/cohort"
)

// units an analysis can be reported in: percentage-points of shares between 0 and 1,
// points of numbers that are per cent already.
var units = []string{"percentage-points", "points", "months", "kronor", "percent", "units"}

// Methods returns the methods the analysis names: exactly one in a valid study file.
func (a *Analysis) Methods() []string {
	var m []string
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"describe", a.Describe != nil},
		{"before_after", a.BeforeAfter != nil},
		{"effect", a.Effect != nil},
		{"did", a.DID != nil},
		{"states", a.States != nil},
	} {
		if x.set {
			m = append(m, x.name)
		}
	}
	return m
}

func (s *Spec) checkAnalysis(c *checker, path []any, a *Analysis) {
	c.text(at(path, "question"), a.Question)
	c.text(at(path, "outcome_label"), a.Outcome)
	c.oneOf(at(path, "good"), "good", a.Good, "up", "down", "neutral")
	c.oneOf(at(path, "unit"), "unit", a.Unit, units...)
	if a.Relevant < 0 {
		c.add(at(path, "relevant"), "relevant must be at least 0")
	}
	if x := a.Expect; x != nil {
		switch {
		case a.Effect == nil:
			c.add(at(path, "expect"), "expect is used only with effect")
		case (x.Share == 0) == (x.SD == 0):
			c.add(at(path, "expect"), "expect: give either share or sd of the comparison people's outcome")
		case x.Share != 0 && !(x.Share > 0 && x.Share < 1), x.SD < 0, math.IsInf(x.SD, 0), math.IsNaN(x.SD):
			c.add(at(path, "expect"), "expect: a share lies between 0 and 1, an sd above 0")
		case a.Relevant == 0:
			c.add(at(path, "expect"), "expect is used only with relevant: the smallest difference that matters")
		}
	}
	if len(a.Truth) > 0 && s.KnownTruth == "" {
		c.add(at(path, "truth"), "truth is used only with known_truth, the truth file of a simulated register")
	}
	if m := a.Methods(); len(m) != 1 {
		c.add(path, "analysis %q must name one method, and it names %d: one of describe, before_after, effect, did, states", a.Name, len(m))
		return
	}
	for _, name := range []string{a.statesCohort(), a.beforeAfterCohort()} {
		if co := s.findCohort(name); co != nil && co.TimeZero != nil && co.TimeZero.Censoring != nil {
			c.add(path, "analysis %q: with later: censor or a grace period the weights change by month, and only effect can use them", a.Name)
		}
	}
	switch {
	case a.Describe != nil:
		s.checkDescribe(c, at(path, "describe"), a.Describe)
	case a.BeforeAfter != nil:
		p, b := at(path, "before_after"), a.BeforeAfter
		co := s.cohortRef(c, at(p, "cohort"), b.Cohort)
		if co != nil && co.TimeZero == nil {
			c.add(at(p, "cohort"), "before_after needs a cohort that is built by time_zero")
		}
		if co != nil && co.TimeZero != nil {
			s.stateNames(c, at(p, "states"), co.TimeZero.Spells, "state", b.States)
		}
		if len(b.States) == 0 {
			c.add(p, "before_after: states: name at least one state")
		}
		if b.Before < 1 || b.After < 1 {
			c.add(p, "before_after: give before and after, in months of at least 1")
		} else if co != nil && co.TimeZero != nil && len(co.TimeZero.LookBack) > 0 && (b.Before > slices.Max(co.TimeZero.LookBack) || b.After > co.TimeZero.FollowUp) {
			c.add(p, "before_after reaches beyond the cohort's look_back or follow_up")
		}
	case a.Effect != nil:
		s.checkEffect(c, at(path, "effect"), a.Effect)
	case a.DID != nil:
		s.checkDID(c, at(path, "did"), a.DID)
	case a.States != nil:
		s.checkStates(c, at(path, "states"), a.States)
	}
}

func (a *Analysis) statesCohort() string {
	if a.States == nil {
		return ""
	}
	return a.States.Cohort
}

func (a *Analysis) beforeAfterCohort() string {
	if a.BeforeAfter == nil {
		return ""
	}
	return a.BeforeAfter.Cohort
}

func (s *Spec) checkDescribe(c *checker, path []any, d *Describe) {
	switch {
	case (d.Cohort == "") == (d.Data == ""):
		c.add(path, "describe: name either a cohort or data")
	case d.Cohort != "":
		s.cohortRef(c, at(path, "cohort"), d.Cohort)
	default:
		if s.data(c, at(path, "data"), d.Data) {
			for _, col := range d.Columns {
				s.column(c, at(path, "columns"), d.Data, col)
			}
		}
	}
	if len(d.Columns) == 0 {
		c.add(path, "describe: columns: name at least one column")
	}
}

// adjusting are the methods of an effect that make groups alike themselves, without a
// match or weights.
var adjusting = []string{"g-computation", "ipw", "aipw", "tmle"}

func (s *Spec) checkEffect(c *checker, path []any, e *Effect) {
	co := s.cohortRef(c, at(path, "cohort"), e.Cohort)
	adjusts := slices.Contains(adjusting, e.Method)
	c.oneOf(at(path, "method"), "method", e.Method, append([]string{"difference", "regression"}, adjusting...)...)
	if e.Outcome == "" {
		c.add(path, "effect: outcome: name the column")
	}
	if e.Method == "difference" && (len(e.Covariates) > 0 || e.Interactions) {
		c.add(path, "effect: the method difference uses no covariates or interactions; use method: regression")
	}
	if (e.Method == "regression" || adjusts) && len(e.Covariates) == 0 {
		c.add(path, "effect: the method %s needs covariates", e.Method)
	}
	if e.Interactions && co != nil && co.Weight != nil && co.Weight.Estimand != "" && co.Weight.Estimand != cohort.ATT {
		c.add(at(path, "interactions"), "effect: interactions give the effect on the treated, and the weights are for %s: leave interactions out", co.Weight.Estimand)
	}
	if adjusts && e.Interactions {
		c.add(at(path, "interactions"), "effect: interactions are of the method regression")
	}
	if adjusts && co != nil && (co.Match != nil || co.Weight != nil || graceOf(co) || (co.TimeZero != nil && co.TimeZero.Censoring != nil)) {
		c.add(at(path, "method"), "effect: the method %s models who takes part itself: it needs a cohort without match, weight and censoring", e.Method)
	}
	if adjusts && !slices.Contains([]string{"cr0", "cr1", "hc0", "hc1"}, e.Vcov) {
		c.add(at(path, "vcov"), "effect: the method %s has the errors cr0, cr1, hc0 and hc1", e.Method)
	}
	c.oneOf(at(path, "vcov"), "vcov", e.Vcov, "cr0", "cr1", "cr2", "cr3", "hc0", "hc1", "hc2", "hc3", "iid")
	if co != nil && co.Match == nil && co.TimeZero == nil && co.Weight == nil && strings.HasPrefix(e.Vcov, "cr") {
		c.add(at(path, "vcov"), "effect: vcov %s clusters on matched sets, and cohort %q has none", e.Vcov, co.Name)
	}
	if co != nil {
		for i, name := range e.Covariates {
			if why := s.whyLate(co, name, false); why != "" {
				c.add(at(path, "covariates", i), why, "effect", name)
			} else if name == e.Outcome {
				c.add(at(path, "covariates", i), "effect: covariate %q is the outcome", name)
			}
		}
	}
}

func (s *Spec) checkDID(c *checker, path []any, d *DID) {
	if s.data(c, at(path, "data"), d.Data) {
		for _, x := range []struct{ key, column string }{
			{"unit", d.Unit}, {"time", d.Time}, {"cohort", d.Cohort}, {"outcome", d.Outcome},
		} {
			if x.column == "" {
				c.add(path, "did: %s: name the column", x.key)
			} else {
				s.column(c, at(path, x.key), d.Data, x.column)
			}
		}
		for _, col := range d.Covariates {
			s.column(c, at(path, "covariates"), d.Data, col)
		}
		for key, col := range map[string]string{"weights": d.Weights, "cluster": d.Cluster} {
			if col != "" {
				s.column(c, at(path, key), d.Data, col)
			}
		}
	}
	for _, k := range sortedKeys(d.Groups) {
		c.oneOf(at(path, "groups", k), "group", k, "treated", "control")
	}
	c.text(at(path, "label"), d.Label)
	c.oneOf(at(path, "method"), "method", d.Method, "dr", "ipw", "reg")
	c.oneOf(at(path, "control"), "control", d.Control, "never", "not-yet")
	c.oneOf(at(path, "base"), "base", d.Base, "varying", "universal")
	c.oneOf(at(path, "bands"), "bands", d.Bands, "uniform", "pointwise")
	for i, g := range d.Aggregate {
		c.oneOf(at(path, "aggregate", i), "aggregate", g, "none", "simple", "group", "dynamic", "calendar")
	}
	for i, g := range d.Aggregate {
		if slices.Contains(d.Aggregate[:i], g) {
			c.add(at(path, "aggregate", i), "did: aggregate names %s twice", g)
		}
	}
	series := func(kinds ...string) bool {
		return slices.ContainsFunc(d.Aggregate, func(g string) bool { return slices.Contains(kinds, g) })
	}
	if d.BalanceEvent != nil && !series("dynamic") {
		c.add(at(path, "balance_event"), "did: balance_event is used only with aggregate: dynamic")
	}
	if d.Window != nil && !series("dynamic") {
		c.add(at(path, "window"), "did: window is used only with aggregate: dynamic")
	}
	if d.Bands == "uniform" && !series("dynamic", "group", "calendar") {
		c.add(at(path, "bands"), "did: bands: uniform is used only with aggregate: dynamic, group or calendar")
	}
	if d.Anticipation < 0 {
		c.add(at(path, "anticipation"), "did: anticipation must be at least 0 periods")
	}
	if d.Replicates != 0 && d.Bands != "uniform" {
		c.add(at(path, "replicates"), "did: replicates are used only with bands: uniform")
	}
	if d.Bands == "uniform" && d.Replicates < 99 {
		c.add(at(path, "replicates"), "did: at least 99 replicates are needed")
	}
	if d.Window != nil && (len(d.Window) != 2 || d.Window[0] >= d.Window[1]) {
		c.add(at(path, "window"), "did: window is written as [from, to], for example [-5, 5]")
	}
}

func (s *Spec) checkStates(c *checker, path []any, st *States) {
	columns := []struct{ key, column string }{{"id", st.ID}, {"from", st.From}, {"to", st.To}, {"start", st.Start}, {"stop", st.Stop}}
	switch {
	case (st.Cohort == "") == (st.Data == ""):
		c.add(path, "states: name either a cohort built by time_zero or data of kind flat")
	case st.Cohort != "":
		if co := s.cohortRef(c, at(path, "cohort"), st.Cohort); co != nil && co.TimeZero == nil {
			c.add(at(path, "cohort"), "states needs a cohort that is built by time_zero")
		} else if co != nil && st.Tau > float64(co.TimeZero.FollowUp) {
			c.add(at(path, "tau"), "states: tau reaches beyond the cohort's follow_up of %d months", co.TimeZero.FollowUp)
		}
		for _, x := range append(columns, struct{ key, column string }{"by", st.By}) {
			if x.column != "" {
				c.add(at(path, x.key), "states: %s is used with data, not with a cohort", x.key)
			}
		}
	case s.data(c, at(path, "data"), st.Data):
		for _, x := range columns {
			if x.column == "" {
				c.add(path, "states: %s: name the column", x.key)
			} else {
				s.column(c, at(path, x.key), st.Data, x.column)
			}
		}
		if st.By != "" {
			s.column(c, at(path, "by"), st.Data, st.By)
		} else if st.Ladder != nil {
			c.add(path, "states: a ladder compares two groups: give by")
		}
	}
	if st.Tau <= 0 {
		c.add(path, "states: tau: give the horizon, in the time unit of the spells")
	}
	for i, t := range st.At {
		if t < 0 || t > st.Tau {
			c.add(at(path, "at", i), "states: times must lie between 0 and tau")
		}
		if slices.Contains(st.At[:i], t) {
			c.add(at(path, "at", i), "states: time %g is asked for twice", t)
		}
	}
	for _, from := range sortedKeys(st.Merge) {
		if to := st.Merge[from]; to != from {
			if _, chain := st.Merge[to]; chain {
				c.add(at(path, "merge", from), "states: merge: %q becomes %q, which becomes another state itself: name the last one", from, to)
			}
		}
	}
	for i, name := range st.Order {
		if slices.Contains(st.Order[:i], name) {
			c.add(at(path, "order", i), "states: order names %q twice", name)
		}
	}
	if len(st.Orders) > 0 && len(st.Ladder) == 0 {
		c.add(at(path, "alternative_ladders"), "states: alternative ladders need a ladder")
	}
}
