package study

import (
	"slices"

	"utfall/estimate"
	"utfall/study/release"
	"utfall/study/report"
)

// States is where people are, month by month, and how long they are on a higher step.
type States struct {
	Cohort string `yaml:"cohort,omitempty"` // a cohort built by time_zero …
	Data   string `yaml:"data,omitempty"`   // … or a table of spells with the columns below
	ID     string `yaml:"id,omitempty"`
	From   string `yaml:"from,omitempty"`
	To     string `yaml:"to,omitempty"`
	Start  string `yaml:"start,omitempty"`
	Stop   string `yaml:"stop,omitempty"`
	By     string `yaml:"by,omitempty"`

	ReweighLoss bool `yaml:"reweigh_loss,omitempty"` // those still followed stand in for those lost in the same state at the same time

	At     []float64                 `yaml:"at,omitempty"`
	Tau    float64                   `yaml:"tau,omitempty"`
	Merge  map[string]string         `yaml:"merge,omitempty"`  // state → shown state
	Order  []string                  `yaml:"order,omitempty"`  // of states in figures, lowest first
	Ladder map[string]int            `yaml:"ladder,omitempty"` // state → step
	Orders map[string]map[string]int `yaml:"alternative_ladders,omitempty"`
}

var (
	_ question = (*States)(nil)
	_ namer    = (*States)(nil)
	_ drawer   = (*States)(nil)
	_ releaser = (*States)(nil)
)

func (st *States) defaults(*Spec, *Analysis) {}

func (st *States) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.checkSteady(c, path[:len(path)-1], a, st.Cohort)
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

func (st *States) rests() basis {
	if st.Cohort != "" {
		return basis{cohort: st.Cohort}
	}
	return basis{data: []string{st.Data}}
}

func (st *States) dry(s *state, _ *Analysis) error {
	_, err := s.spells(st)
	return err
}

func (st *States) estimate(s *state, a *Analysis) (analysisResult, error) { return s.states(a) }

func (st *States) words(*state, *analysisResult) (estimand, errors, also string) {
	return "states", "influence", ""
}

// shows leaves out shares month by month and levels of both groups: the figure and
// "where 100 people went" show them.
func (st *States) shows(_ *Analysis, n found) bool {
	switch n.e.Measure {
	case estimate.Occupation, estimate.RiskDifference:
		return false
	case estimate.RestrictedMeanTime:
		return st.Cohort == ""
	}
	return true
}

func (st *States) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case estimate.NetMonths, estimate.WinMonths, estimate.LossMonths, estimate.RestrictedMeanTime, restrictedMeanDifference:
		return report.Months
	case estimate.WinProbability, estimate.LossProbability, estimate.Occupation, estimate.RiskDifference:
		return report.PercentagePoints
	}
	return ""
}

func (st *States) label(s *state, a *Analysis, n found) string {
	parts := termParts(n.term)
	switch n.e.Measure {
	case estimate.NetMonths:
		if o, ok := parts["order"]; ok {
			return s.lang.Text("study.term-net-order", "order", s.label(o))
		}
		return s.lang.Text("study.term-net")
	case estimate.WinMonths:
		return s.lang.Text("study.term-win")
	case estimate.LossMonths:
		return s.lang.Text("study.term-loss")
	case estimate.WinProbability:
		return s.lang.Text("study.term-win-at", "t", parts["time"])
	case estimate.LossProbability:
		return s.lang.Text("study.term-loss-at", "t", parts["time"])
	}
	if state, ok := parts["state"]; ok {
		return s.stateLabel(a, parts, state)
	}
	return ""
}

func (st *States) figures(s *state, r *analysisResult) []drawing {
	return []drawing{{"states", s.statesFigure}}
}

// release releases the curves that the figure draws.
func (st *States) release(s *state, a *assembled, r *analysisResult, keep func([]release.Withheld)) error {
	for g, occ := range r.states.occ {
		c, w, err := s.policy.Curve(r.spec.Name+"/"+r.states.groups[g], occ)
		if err != nil {
			return err
		}
		keep(w)
		a.curves[r.spec.Name] = append(a.curves[r.spec.Name], c)
	}
	return nil
}

func (st *States) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	if len(st.Ladder) > 0 {
		return "states", "net-months", estimate.NetMonths
	}
	return "states", "answer", estimate.Occupation
}
