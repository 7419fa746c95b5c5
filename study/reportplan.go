package study

import (
	"strings"

	"utfall/study/report"
)

// reportPlan says whether there was a plan before outcomes were opened, what the design
// had to meet, and what was done otherwise.
func (s *state) reportPlan() *report.Plan {
	p := &report.Plan{Say: s.lang.Text("study.plan-none")}
	if s.locked != nil {
		p.Digest = digest(s.lockBytes)
		p.Say = s.lang.Text("study.plan-kept")
		if len(s.deviations) > 0 {
			p.Say = s.lang.Text("study.plan-deviations")
		}
	}
	for _, g := range s.gate {
		p.Gate = append(p.Gate, s.gateRow(g))
	}
	for _, d := range s.deviations {
		p.Deviations = append(p.Deviations, s.deviationText(d))
	}
	return p
}

func (s *state) gateRow(g GateResult) report.GateRow {
	l := s.lang
	row := report.GateRow{What: l.Text("study.gate-" + g.Check), Value: "..", Passed: g.Passed}
	if len(s.spec.Cohorts) > 1 {
		row.What = or(s.spec.findCohort(g.Cohort).Label.In(s.spec.Language), g.Cohort) + ": " + row.What
	}
	if g.Analysis != "" {
		for i := range s.spec.Analyses {
			if a := &s.spec.Analyses[i]; a.Name == g.Analysis {
				row.What += " (" + strings.ToLower(or(a.Outcome.In(s.spec.Language), a.Name)) + ")"
			}
		}
	}
	if g.Value != nil {
		row.Value = l.Number(*g.Value, g.decimals())
	}
	key := "study.gate-must-most"
	if g.AtLeast {
		key = "study.gate-must-least"
	}
	row.Must = l.Text(key, "threshold", l.Number(g.Threshold, g.decimals()))
	return row
}

// deviationText says a deviation in the reader's words.
func (s *state) deviationText(d Deviation) string {
	kind, name, _ := strings.Cut(d.Part, "/")
	return s.lang.Text("study.deviation-part", "part", s.lang.Text("study.part-"+kind), "name", name, "what", s.lang.Text("study.was-"+d.What))
}
