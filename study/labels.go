package study

import (
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/study/report"
)

// restrictedMeanDifference is the difference in mean time in a state up to the horizon.
const restrictedMeanDifference estimate.Measure = "restricted-mean-time-difference"

// shownRow reports whether the report's tables have a number. All numbers are in results.jsonl.
func (s *state) shownRow(a *Analysis, n found) bool {
	q, ok := a.ask().(namer)
	return !ok || q.shows(a, n)
}

// unitOf is the unit of a number: that of the analysis, except where the method says another.
func unitOf(a *Analysis, n found) report.Unit {
	if n.e.Measure == adjustedP {
		return report.PValue
	}
	if q, ok := a.ask().(namer); ok {
		if u := q.unit(a, n); u != "" {
			return u
		}
	}
	return report.Unit(a.Unit)
}

// termParts are the key=value parts of a term.
func termParts(term string) map[string]string {
	parts := map[string]string{}
	for _, p := range strings.Split(term, ",") {
		if k, v, ok := strings.Cut(p, "="); ok {
			parts[k] = v
		}
	}
	return parts
}

// termLabel names a number of an analysis for the reader: as its method does, or by the
// usual words for its term.
func (s *state) termLabel(a *Analysis, n found) string {
	if family := termParts(n.term)["family"]; family != "" {
		return s.familyLabel(n, family)
	}
	if q, ok := a.ask().(namer); ok {
		if text := q.label(s, a, n); text != "" {
			return text
		}
	}
	parts := termParts(n.term)
	whole := func(key string) int { v, _ := strconv.Atoi(parts[key]); return v }
	switch {
	case parts["event"] != "":
		return s.eventLabel(whole("event"))
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

// eventLabel names a year by how far it is from the start.
func (s *state) eventLabel(e int) string {
	switch {
	case e < 0:
		return s.lang.Text("study.term-event-before", "e", -e)
	case e == 0:
		return s.lang.Text("study.term-event-at")
	}
	return s.lang.Text("study.term-event", "e", e)
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
