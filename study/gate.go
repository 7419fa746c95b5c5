package study

import (
	"fmt"
	"math"
	"strings"

	"utfall/cohort"
	"utfall/estimate/effect"
	"utfall/internal/lang"
	"utfall/table"
)

// GateResult is one test of a design before outcomes are opened. Values are rounded,
// counts released.
type GateResult struct {
	Cohort    string   `json:"cohort"`
	Check     string   `json:"check"`              // treated, ess, smd, undefined, kept, support, power or simulated
	Analysis  string   `json:"analysis,omitempty"` // of power and simulated
	Value     *float64 `json:"value"`              // null where it cannot be known
	Threshold float64  `json:"threshold"`
	AtLeast   bool     `json:"at_least"` // the value must be at least the threshold; else at most
	Passed    bool     `json:"passed"`
}

// defaults writes out the thresholds.
func (g *Gate) defaults() {
	real := func(p **float64, v float64) {
		if *p == nil {
			*p = &v
		}
	}
	real(&g.MaxSMD, 0.1)
	real(&g.MinKept, 0.8)
	real(&g.MinSupport, 0.9)
	real(&g.MinESS, 50)
	real(&g.Power, 0.8)
	if g.MinTreated == nil {
		n := 50
		g.MinTreated = &n
	}
}

func (g Gate) check(c *checker, path []any) {
	for _, x := range []struct {
		key    string
		value  float64
		lo, hi float64
	}{
		{"max_smd", *g.MaxSMD, 0, 1}, {"min_kept", *g.MinKept, 0, 1}, {"min_support", *g.MinSupport, 0, 1},
		{"min_treated", float64(*g.MinTreated), 1, 1e9}, {"min_ess", *g.MinESS, 1, 1e9},
	} {
		if !(x.value >= x.lo && x.value <= x.hi) {
			c.add(at(path, x.key), "gate: %s must lie between %g and %g", x.key, x.lo, x.hi)
		}
	}
	if !(*g.Power > 0.5 && *g.Power < 1) {
		c.add(at(path, "power"), "gate: power must lie between 0.5 and 1")
	}
	if g.Simulate != 0 && (g.Simulate < 100 || g.Simulate > 100000) {
		c.add(at(path, "simulate"), "gate: simulate must lie between 100 and 100000 replicates")
	}
}

// gateOf are the thresholds of the study: its own, or the usual ones.
func (s *Spec) gateOf() Gate {
	g := Gate{}
	if s.Lock != nil {
		g = s.Lock.Gate
	}
	g.defaults()
	return g
}

// pass tests the design of every cohort. It sees no outcome.
func (s *state) pass() error {
	g := s.spec.gateOf()
	s.gate = nil
	for i := range s.spec.Cohorts {
		b := s.cohorts[s.spec.Cohorts[i].Name]
		s.gateCohort(b, g)
		if err := s.gatePower(b, g); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) gateCohort(b *built, g Gate) {
	all := make([]int, b.table.Rows())
	for i := range all {
		all[i] = i
	}
	treated, ess := b.sizes(all)
	if b.grace() { // everybody is cloned into both arms
		treated, ess = len(all), float64(len(all))
	}
	name := b.spec.Name
	// A count of few people is shown rounded down, as everywhere.
	released := func(n int) *float64 {
		v, ok := s.policy.Count(n).Int()
		if !ok {
			return nil
		}
		f := float64(v)
		return &f
	}
	s.gate = append(s.gate,
		GateResult{Cohort: name, Check: "treated", Value: released(treated), Threshold: float64(*g.MinTreated), AtLeast: true, Passed: treated >= *g.MinTreated},
		GateResult{Cohort: name, Check: "ess", Value: released(int(ess)), Threshold: *g.MinESS, AtLeast: true, Passed: ess >= *g.MinESS})
	if !b.designed() {
		return
	}
	sum := b.balance.SummaryAfter(*g.MaxSMD)
	smd := sum.MaxSMD
	if math.IsNaN(smd) {
		smd = 0
	}
	if sum.Undefined > 0 {
		n := float64(sum.Undefined)
		s.gate = append(s.gate, GateResult{Cohort: name, Check: "undefined", Value: &n})
	}
	kept := float64(treated) / float64(arms(b.beforeIn).Treated)
	s.gate = append(s.gate,
		GateResult{Cohort: name, Check: "smd", Value: rounded(smd, 3), Threshold: *g.MaxSMD, Passed: smd <= *g.MaxSMD},
		GateResult{Cohort: name, Check: "kept", Value: rounded(kept, 2), Threshold: *g.MinKept, AtLeast: true, Passed: kept >= *g.MinKept})
	if support := b.support(); !math.IsNaN(support) {
		s.gate = append(s.gate, GateResult{Cohort: name, Check: "support", Value: rounded(support, 2), Threshold: *g.MinSupport, AtLeast: true, Passed: support >= *g.MinSupport})
	}
}

// gatePower tests whether the differences that matter can be found, for analyses that
// say how large they are and what is expected of the comparison people.
func (s *state) gatePower(b *built, g Gate) error {
	for i := range s.spec.Analyses {
		a := &s.spec.Analyses[i]
		if a.Effect == nil || a.Effect.Cohort != b.spec.Name || a.Expect == nil || a.Relevant == 0 {
			continue
		}
		sd := a.Expect.SD
		if p := a.Expect.Share; p > 0 {
			sd = math.Sqrt(p * (1 - p))
		}
		rows, err := s.ofSubgroup(b, a.Effect.Where)
		if err != nil {
			return fmt.Errorf("analysis %s: %w", a.Name, err)
		}
		n, ess := b.sizes(rows)
		if b.grace() {
			n, ess = len(rows), float64(len(rows))
		}
		mde, err := effect.MinimumDetectable(float64(n), ess, sd, s.spec.Level, *g.Power)
		if err != nil {
			return fmt.Errorf("analysis %s: power: %w", a.Name, err)
		}
		s.gate = append(s.gate, GateResult{Cohort: b.spec.Name, Check: "power", Analysis: a.Name, Value: rounded(mde, 4), Threshold: a.Relevant, Passed: mde <= a.Relevant})
		if m := a.Effect.Method; g.Simulate > 0 && !b.grace() && (m == "difference" || m == "regression") {
			r, err := s.simulatePower(b, a, rows, g)
			if err != nil {
				return fmt.Errorf("analysis %s: power: %w", a.Name, err)
			}
			s.gate = append(s.gate, r)
		}
	}
	return nil
}

// rounded keeps so many decimals: enough to judge, too few to work a count out of.
func rounded(v float64, decimals int) *float64 {
	p := math.Pow10(decimals)
	v = math.Round(v*p) / p
	return &v
}

// sizes are the number of treated units and the effective number of comparison units,
// (Σw)²/Σw², among some rows.
func (b *built) sizes(rows []int) (treated int, ess float64) {
	var sum, squares float64
	for _, i := range rows {
		w := 1.0
		if b.weight != nil {
			w = b.weight[i]
		}
		if b.treated[i] {
			treated++
		} else {
			sum += w
			squares += float64(w * w)
		}
	}
	return treated, sum * sum / squares
}

// ofSubgroup are the rows of a cohort in a subgroup; "" is all.
func (s *state) ofSubgroup(b *built, where string) ([]int, error) {
	n := b.table.Rows()
	rows := make([]int, 0, n)
	keep := func(int) bool { return true }
	if where != "" {
		columns, err := table.FilterColumns(where)
		if err != nil {
			return nil, fmt.Errorf("where: %w", err)
		}
		if err := s.spec.afterZero(b.spec, "where", columns); err != nil {
			return nil, err
		}
		rule, err := table.CompileFilter(where, b.table.Fields())
		if err != nil {
			return nil, fmt.Errorf("where: %w", err)
		}
		in, _, err := rule.Apply(b.table)
		if err != nil {
			return nil, fmt.Errorf("where: %w", err)
		}
		keep = func(i int) bool { return in[i] }
	}
	for i := range n {
		if keep(i) {
			rows = append(rows, i)
		}
	}
	return rows, nil
}

// designed reports whether the cohort's comparison people were chosen or weighted.
func (b *built) designed() bool { return b.weight != nil }

// grace reports whether the cohort compares strategies with a grace period: who follows
// which is not known before outcomes are open.
func (b *built) grace() bool { return graceOf(b.spec) }

func graceOf(co *Cohort) bool {
	return co.TimeZero != nil && co.TimeZero.Design == cohort.GracePeriod
}

// support is the share of the treated before the design whose score lies within the
// range of the comparison units' scores; NaN without a score.
func (b *built) support() float64 {
	if b.score == nil {
		return math.NaN()
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, v := range b.score {
		if !b.beforeIn[i] {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	in, n := 0, 0
	for i, v := range b.score {
		if b.beforeIn[i] {
			n++
			if v >= lo && v <= hi {
				in++
			}
		}
	}
	return float64(in) / float64(n)
}

// gateError is nil where every test was passed.
func gateError(gate []GateResult) error {
	var failed []string
	for _, g := range gate {
		if !g.Passed {
			failed = append(failed, g.text(lang.EN))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the design does not pass the gate, and the outcomes stay closed:\n%s", ErrLocked, strings.Join(failed, "\n"))
}

// text says a result in one line.
func (g GateResult) text(l lang.Lang) string {
	value := ".."
	if g.Value != nil {
		value = l.Number(*g.Value, g.decimals())
	}
	key := "study.gate-at-most"
	if g.AtLeast {
		key = "study.gate-at-least"
	}
	what := l.Text("study.gate-" + g.Check)
	if g.Analysis != "" {
		what += " (" + g.Analysis + ")"
	}
	return l.Text(key, "cohort", g.Cohort, "what", what, "value", value, "threshold", l.Number(g.Threshold, g.decimals()))
}

func (g GateResult) decimals() int {
	switch g.Check {
	case "smd":
		return 3
	case "kept", "support", "simulated":
		return 2
	case "power":
		return 4
	}
	return 0
}

func (s *state) gateLines() []string {
	var out []string
	for _, g := range s.gate {
		mark := s.lang.Text("study.gate-passed")
		if !g.Passed {
			mark = s.lang.Text("study.gate-failed")
		}
		out = append(out, mark+" "+g.text(s.lang))
	}
	return out
}
