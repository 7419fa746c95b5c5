package study

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/plots"
)

// eventFigure draws the effects by event within a window; nil = all of them. subtitle is the key of a text.
func (s *state) eventFigure(r *analysisResult, window []int, subtitle string) (plots.Figure, error) {
	d := plots.EventStudyData{YLabel: r.spec.Outcome.In(s.spec.Language), PercentagePoints: r.spec.Unit == "percentage-points"}
	if r.spec.Unit == "points" {
		d.YLabel = s.lang.Text("plots.points", "label", d.YLabel)
	}
	for _, n := range r.event {
		re, ok := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
		var e int
		fmt.Sscanf(n.term, "event=%d", &e)
		if !ok || !re.Shown || (window != nil && (e < window[0] || e > window[1])) {
			continue
		}
		d.Estimates = append(d.Estimates, re.Number)
	}
	if len(d.Estimates) == 0 {
		return plots.Figure{}, errWithheld
	}
	d.Known = s.knownEvents(r, d.Estimates)
	return plots.EventStudy(d, s.style(s.spec.uses(r.spec), r.spec.Question.In(s.spec.Language), s.lang.Text(subtitle)))
}

func (s *state) statesFigure(r *analysisResult) (plots.Figure, error) {
	st := r.spec.States
	order := st.Order
	if order == nil {
		order = r.states.states
	}
	var d plots.StateData
	curves := s.bundle.curves[r.spec.Name]
	cut := math.MaxInt
	for _, c := range curves {
		cut = min(cut, len(c.Times))
	}
	if cut == 0 || len(curves) == 0 {
		return plots.Figure{}, errWithheld
	}
	d.Times = curves[0].Times[:cut]
	for _, name := range order {
		d.States = append(d.States, plots.State{Name: name})
	}
	const together = "withheld-states"
	hidden := false
	for _, c := range curves {
		for t := range d.Times {
			if x, ok := c.Together[t].Float(); ok && x > 0 {
				hidden = true
			}
		}
	}
	if hidden {
		d.States = append(d.States, plots.State{Name: together})
	}
	var co *Cohort
	if st.Cohort != "" {
		co = s.spec.findCohort(st.Cohort)
	}
	for g, c := range curves {
		name := r.states.groups[g]
		if co != nil {
			name = capital(s.group(co, name))
		} else if name != "" {
			name = s.label(st.By) + ": " + s.label(name)
		}
		group := plots.StateGroup{Name: name}
		for t := range d.Times {
			row := make([]float64, len(d.States))
			for k, sname := range order {
				for j, have := range c.States {
					if have == sname {
						if x, ok := c.P[t][j].Float(); ok {
							row[k] = x
						}
					}
				}
			}
			if hidden {
				if x, ok := c.Together[t].Float(); ok {
					row[len(row)-1] = x
				}
			}
			group.P = append(group.P, row)
		}
		d.Groups = append(d.Groups, group)
	}
	labels := s.labels()
	labels[together] = s.lang.Text("study.together")
	return plots.States(d, labels, s.style(s.spec.uses(r.spec), s.lang.Text("study.states-title"), s.lang.Text("study.states-subtitle")))
}

func (s *state) trendFigure(r *analysisResult) (plots.Figure, error) {
	t := s.bundle.trends[r.spec.Name]
	if len(t.treated) < 2 || len(t.control) < 2 {
		return plots.Figure{}, errWithheld
	}
	co := s.spec.findCohort(r.spec.BeforeAfter.Cohort)
	d := plots.TrendData{Percent: true, YLabel: r.spec.Outcome.In(s.spec.Language), Marks: []plots.Mark{{X: 0, Label: s.lang.Text("study.start")}}}
	for _, side := range []struct {
		arm string
		pts []point
	}{{"treated", t.treated}, {"control", t.control}} {
		g := plots.Series{Name: capital(s.group(co, side.arm))}
		for _, p := range side.pts {
			g.X, g.Y = append(g.X, p.x), append(g.Y, p.y)
		}
		d.Series = append(d.Series, g)
	}
	sub := s.lang.Text("study.trend-subtitle", "outcome", strings.ToLower(or(r.spec.Outcome.In(s.spec.Language), r.spec.Name)))
	return plots.Trend(d, s.labels(), s.style(s.spec.uses(r.spec), s.lang.Text("study.trend-title"), sub))
}

// forestRows are the main effects of the study in one unit.
func (s *state) forestRows(unit string) []plots.ForestRow {
	var out []plots.ForestRow
	for i := range s.results {
		r := &s.results[i]
		if r.spec.Effect == nil || r.spec.Role != "" || r.spec.Unit != unit {
			continue
		}
		for _, n := range r.numbers {
			if termParts(n.term)["family"] != "" {
				continue // the same difference, tested with others
			}
			re, ok := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
			label := r.spec.Outcome.In(s.spec.Language)
			switch {
			case isSubgroup(n.term) && s.asked(r, unit, re.Number):
				continue // the same people have an analysis of their own, and its row
			case isSubgroup(n.term):
				label += ": " + s.termLabel(r.spec, n)
			case n.term != r.numbers[0].term || n.e.Measure != r.numbers[0].e.Measure:
				continue
			}
			if ok && re.Shown {
				row := plots.ForestRow{Label: label, Estimate: re.Number}
				if v, ok := s.truthOf(r.spec, n.term); ok {
					row.Known = &v
				}
				out = append(out, row)
			}
		}
	}
	return out
}

// asked reports whether the main number of another analysis in the unit is this very estimate.
func (s *state) asked(r *analysisResult, unit string, e estimate.Estimate) bool {
	return slices.ContainsFunc(s.results, func(o analysisResult) bool {
		if o.spec == r.spec || o.spec.Effect == nil || o.spec.Role != "" || o.spec.Unit != unit || len(o.numbers) == 0 {
			return false
		}
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(a)) }
		main := o.numbers[0].e
		return main.Measure == e.Measure && near(main.Value, e.Value) && near(main.CI.Lo, e.CI.Lo) && near(main.CI.Hi, e.CI.Hi)
	})
}

func (s *state) forestFigure(unit string) (plots.Figure, error) {
	name := s.lang.Text("study.unit-" + unit)
	d := plots.ForestData{
		Groups: []plots.ForestGroup{{Rows: s.forestRows(unit)}}, XLabel: s.lang.Text("study.difference"), PercentagePoints: unit == "percentage-points", Decimals: -1,
	}
	var parts []string
	for i := range s.spec.Analyses {
		if a := &s.spec.Analyses[i]; a.Effect != nil && a.Role == "" && a.Unit == unit {
			parts = append(parts, s.spec.uses(a)...)
		}
	}
	level := strings.TrimRight(strings.TrimRight(s.lang.Number(s.spec.Level*100, 1), "0"), ",.")
	return plots.Forest(d, s.labels(), s.style(parts, s.lang.Text("study.forest-title", "unit", name), s.lang.Text("study.forest-subtitle", "level", level)))
}
