package study

import (
	"fmt"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/study/report"
)

// shownRow leaves out of the report what its figures show: shares month by month,
// levels of both groups, and events outside the window. All numbers are in results.jsonl.
func (s *state) shownRow(a *Analysis, n found) bool {
	if a.States != nil {
		switch n.e.Measure {
		case estimate.Occupation, estimate.RiskDifference:
			return false
		case estimate.RestrictedMeanTime:
			return a.States.Cohort == "" // the figure and "where 100 people went" show the levels
		}
	}
	if a.DID != nil && a.DID.Window != nil {
		var e int
		if k, _ := fmt.Sscanf(n.term, "event=%d", &e); k == 1 {
			return e >= a.DID.Window[0] && e <= a.DID.Window[1]
		}
	}
	return true
}

// unitOf is the unit of a number: that of the analysis, except where the measure has its own.
func unitOf(a *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case estimate.NetMonths, estimate.WinMonths, estimate.LossMonths, estimate.RestrictedMeanTime, "restricted-mean-time-difference":
		return report.Months
	case estimate.WinProbability, estimate.LossProbability, estimate.Occupation, estimate.RiskDifference, beforeMean, afterMean, change:
		return report.PercentagePoints
	}
	return report.Unit(a.Unit)
}

// termLabel names a number of an analysis for the reader.
func (s *state) termLabel(a *Analysis, n found) string {
	parts := map[string]string{}
	for _, p := range strings.Split(n.term, ",") {
		if k, v, ok := strings.Cut(p, "="); ok {
			parts[k] = v
		}
	}
	whole := func(key string) int { v, _ := strconv.Atoi(parts[key]); return v }
	switch n.e.Measure {
	case beforeMean:
		return s.lang.Text("study.term-before")
	case afterMean:
		return s.lang.Text("study.term-after")
	case change:
		return s.lang.Text("study.term-change")
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
	switch {
	case parts["event"] != "":
		return s.lang.Text("study.term-event", "e", whole("event"))
	case parts["group"] != "" && parts["time"] != "":
		return s.lang.Text("study.term-cell", "g", whole("group"), "t", whole("time"))
	case parts["group"] != "":
		return s.lang.Text("study.term-group", "g", whole("group"))
	case parts["time"] != "":
		return s.lang.Text("study.term-year", "t", whole("time"))
	case n.term == "overall":
		return s.lang.Text("study.term-overall")
	case strings.HasSuffix(n.term, ":overall"):
		return s.lang.Text("study.term-" + strings.TrimSuffix(n.term, ":overall") + "-overall")
	}
	if col, level, ok := strings.Cut(strings.TrimSuffix(n.term, "]"), "["); ok {
		return s.label(col) + ": " + s.label(level)
	}
	return s.label(n.term)
}

func (s *state) stateLabel(a *Analysis, parts map[string]string, state string) string {
	text := s.lang.Text("study.term-state", "state", s.label(state))
	if t, ok := parts["time"]; ok {
		text = s.lang.Text("study.term-state-at", "state", s.label(state), "t", t)
	}
	if _, ok := parts["contrast"]; ok {
		return s.lang.Text("study.term-difference", "label", text)
	}
	if g, ok := parts["group"]; ok {
		name := s.label(g)
		if co := s.spec.findCohort(a.States.Cohort); co != nil {
			name = s.group(co, g)
		}
		return text + ", " + strings.ToLower(name)
	}
	return text
}
