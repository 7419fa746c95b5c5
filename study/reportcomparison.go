package study

import (
	"strings"

	"utfall/cohort"
	"utfall/study/report"
)

func (s *state) reportComparison(co *Cohort) report.Comparison {
	l := s.spec.Language
	c := report.Comparison{
		Name: co.Name, Label: or(co.Label.In(l), co.Name), Treated: s.group(co, "treated"), Control: s.group(co, "control"),
		TimeZero: s.lang.Text("study.time-zero-data"), Notes: s.releaseNotes(s.cohorts[co.Name].notes),
	}
	if co.TimeZero != nil {
		c.TimeZero = s.lang.Text("study.time-zero-risk")
		if riskSet(co) {
			c.TimeZero = s.lang.Text("study.time-zero-riskset")
		}
		c.Known = s.knownWords(s.cohorts[co.Name])
		c.Period = co.TimeZero.From + "–" + co.TimeZero.To
	}
	c.Design, c.Trial = s.designWords(co), s.reportTrial(co)
	if flow, ok := s.bundle.attrition[co.Name]; ok {
		c.Attrition = &flow
		c.StepLabels = s.stepLabels(co)
	}
	if t, ok := s.bundle.balance[co.Name]; ok {
		c.Balance = &t
		c.RowLabels = s.rowLabels()
	}
	c.Figures = s.reportFigures(func(f figure) bool { return f.cohort == co.Name })
	return c
}

// knownWords say when the background columns were known, a line for each source and way.
func (s *state) knownWords(b *built) []string {
	type group struct {
		known, source string
		from, to      int
	}
	var order []group
	count := map[group]int{}
	for _, f := range b.made.Features {
		g := group{known: f.Known}
		switch f.Known {
		case cohort.KnownLookBack:
			g.source, g.from, g.to = f.Source, f.From, f.To
		case cohort.KnownDated, cohort.KnownTaken:
			g.source = f.Source
		}
		if count[g] == 0 {
			order = append(order, g)
		}
		count[g]++
	}
	var out []string
	for _, g := range order {
		args := []any{"n", count[g]}
		if g.source != "" {
			args = append(args, "source", strings.ToLower(s.label(g.source)))
		}
		key := "study.known-" + g.known
		switch {
		case g.known != cohort.KnownLookBack:
		case g.from == g.to+1:
			key, args = "study.known-one-month", append(args, "to", g.from)
		default:
			args = append(args, "from", g.from, "to", g.to+1)
		}
		out = append(out, s.lang.Text(key, args...))
	}
	return out
}

// designWords say how the comparison people were chosen.
func (s *state) designWords(co *Cohort) string {
	if graceOf(co) {
		return s.lang.Text("study.design-grace")
	}
	if w := co.Weight; w != nil {
		return s.lang.Text("study.design-" + w.Method)
	}
	m := co.Match
	if m == nil {
		return s.lang.Text("study.design-none")
	}
	exact := ""
	if len(m.Exact) > 0 {
		var names []string
		for _, col := range m.Exact {
			names = append(names, strings.ToLower(s.label(col)))
		}
		exact = s.lang.Text("study.design-exact", "columns", s.lang.And(names))
	}
	switch m.Method {
	case cohort.NearestMethod, cohort.OptimalMethod:
		return s.lang.Text("study.design-"+m.Method, "ratio", m.Ratio, "exact", exact)
	case cohort.FullMethod:
		return s.lang.Text("study.design-full", "exact", exact)
	}
	if m.Method == cohort.ExactMethod {
		return s.lang.Text("study.design-exact-cells")
	}
	return s.lang.Text("study.design-" + m.Method)
}

// panelName names the comparison that analyses of one panel share.
func panelName(d *DID) string { return "panel/" + d.Data + "/" + d.Cohort + "/" + d.Control }
