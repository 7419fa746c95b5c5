package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"utfall/estimate"
	"utfall/plots"
	"utfall/study/release"
)

// progressShown is what of a result may be drawn.
type progressShown struct {
	flow  [2]release.Crosstab // of comparison people and participants
	bands []plots.Panel       // a panel a step
	items *itemInformation
	tip   *tippingCurve
}

// stepLabel is what a step is called.
func (s *state) stepLabel(l *Ladder, k int) string {
	if t, ok := l.Labels[k]; ok {
		return t.In(s.spec.Language)
	}
	return s.lang.Text("study.progress-step", "k", k)
}

// release releases what the figures draw.
func (p *Headlines) release(s *state, a *assembled, r *analysisResult, keep func([]release.Withheld)) error {
	own := r.own.(*progressResult)
	u, err := newProgressUnits(s.cohorts[p.Cohort])
	if err != nil {
		return err
	}
	shown := &progressShown{}
	if evenWeights(u.b) {
		for g, n := range flowCounts(p, u, own.ladder) {
			c, w, err := s.policy.Crosstab(fmt.Sprintf("%s/flow/%s", r.spec.Name, []string{"control", "treated"}[g]), n)
			if err != nil {
				return err
			}
			keep(w)
			shown.flow[g] = c
		}
	}
	if b := own.bands; b != nil {
		for k := len(b.steps) - 1; k >= 0; k-- {
			series := plots.Series{Name: "difference"}
			hidden := 0
			for m := range b.months {
				e := estimate.Estimate{Term: strconv.Itoa(m), Value: b.value[k][m]}
				re, _ := s.policy.Estimate("", e, b.basis[k][m])
				if !re.Shown || math.IsNaN(b.value[k][m]) {
					hidden++
					continue
				}
				series.X, series.Y = append(series.X, b.months[m]), append(series.Y, b.value[k][m])
				series.Lo, series.Hi = append(series.Lo, b.lo[k][m]), append(series.Hi, b.hi[k][m])
			}
			if hidden > 0 {
				keep([]release.Withheld{{Place: r.spec.Name + "/steps/" + strconv.Itoa(b.steps[k]), Why: release.EventCell, Cells: hidden}})
			}
			if len(series.X) > 1 {
				shown.bands = append(shown.bands, plots.Panel{Name: stepName(b.steps[k]), Series: []plots.Series{series}})
			}
		}
	}
	if i := own.items; i != nil && min(i.basis.Treated, i.basis.Control) >= s.policy.Threshold() {
		shown.items = i
	}
	if t := own.tip; t != nil && min(t.basis.Treated, t.basis.Control, own.lost) >= s.policy.Threshold() { // its slope is their share
		shown.tip = t
	}
	a.progress[r.spec.Name] = shown
	return nil
}

func (p *Headlines) figures(s *state, r *analysisResult) []drawing {
	own, name := r.own.(*progressResult), r.spec.Name
	shown := s.bundle.progress[name]
	var out []drawing
	if shown.flow[1].Cells != nil {
		out = append(out, drawing{"flow", s.ladderFlowFigure})
	}
	if len(shown.bands) > 0 {
		out = append(out, drawing{"steps", s.stepsFigure})
	}
	if len(own.forest) > 0 {
		out = append(out, drawing{"groups", s.monthsForest})
	}
	for _, term := range []string{termForecast, termLife} {
		if len(own.groups[term]) > 0 {
			out = append(out, drawing{term + "-groups", s.headForest(term)})
		}
	}
	if len(own.tests) > 1 {
		out = append(out, drawing{"graded", s.gradedFigure})
	}
	if shown.items != nil {
		out = append(out, drawing{"information", s.informationFigure})
	}
	if shown.tip != nil {
		out = append(out, drawing{"tipping", s.tippingFigure})
	}
	return out
}

// figuresOf are the endings of the figures that stand with each headline.
func figuresOf(term string) []string {
	switch term {
	case termMonths:
		return []string{"flow", "steps", "groups"}
	case termForecast:
		return []string{"graded", "forecast-groups"}
	}
	return []string{"life-groups", "tipping", "information"}
}

func (s *state) ladderFlowFigure(r *analysisResult) (plots.Figure, error) {
	own, p := r.own.(*progressResult), r.spec.Progress
	co := s.spec.findCohort(p.Cohort)
	d := plots.FlowData{FromLabel: capital(s.lang.Text("study.start")), ToLabel: s.lang.Text("study.progress-after", "months", p.Tau)}
	labels := plots.Labels{}
	for _, k := range own.ladder.values() {
		d.Steps = append(d.Steps, stepName(k))
		labels[stepName(k)] = s.stepLabel(own.ladder, k)
	}
	shown := s.bundle.progress[r.spec.Name]
	rest := 0.0
	for _, g := range []int{1, 0} {
		c := shown.flow[g]
		if c.N.Suppressed() {
			return plots.Figure{}, errWithheld
		}
		group := plots.FlowGroup{Name: capital(s.group(co, []string{"control", "treated"}[g])), From: c.From, To: c.To}
		for _, row := range c.Cells {
			line := make([]float64, len(row))
			for j, v := range row {
				line[j], _ = v.Float()
			}
			group.P = append(group.P, line)
		}
		rest = math.Max(rest, c.Rest)
		d.Groups = append(d.Groups, group)
	}
	style := s.style(s.spec.uses(r.spec), s.lang.Text("study.progress-flow-title"), s.lang.Text("study.progress-flow-subtitle", "months", p.Tau))
	if rest > 0 {
		style.Caption = s.lang.Text("study.progress-flow-rest", "share", rest) + " " + style.Caption
	}
	return plots.Flow(d, labels, style)
}

func (s *state) stepsFigure(r *analysisResult) (plots.Figure, error) {
	own, p := r.own.(*progressResult), r.spec.Progress
	labels := plots.Labels{}
	for _, k := range own.ladder.values() {
		labels[stepName(k)] = s.stepLabel(own.ladder, k)
	}
	co := s.spec.findCohort(p.Cohort)
	d := plots.PanelData{
		Panels: s.bundle.progress[r.spec.Name].bands, Level: s.spec.Level, Simultaneous: true, PercentagePoints: true,
		XLabel: s.lang.Text("study.progress-months"), YLabel: s.lang.Text("study.progress-less", "treated", capital(s.group(co, "treated")), "control", s.group(co, "control")),
	}
	return plots.Panels(d, labels, s.style(s.spec.uses(r.spec), s.lang.Text("study.progress-steps-title"), s.lang.Text("study.progress-steps-subtitle")))
}

// released finds a released number of the analysis.
func (s *state) releasedNumber(r *analysisResult, term string, m estimate.Measure) (release.Estimate, bool) {
	re, ok := s.bundle.findings[r.spec.Name+"/"+term+"/"+string(m)]
	return re, ok && re.Shown
}

func (s *state) monthsForest(r *analysisResult) (plots.Figure, error) {
	return s.groupsForest(r, r.own.(*progressResult).forest, estimate.NetMonths, plots.ForestData{XLabel: s.lang.Text("study.term-net"), Decimals: -1}, s.lang.Text("study.progress-groups-title"))
}

// headForest draws the second or the third headline in groups of people.
func (s *state) headForest(term string) func(r *analysisResult) (plots.Figure, error) {
	return func(r *analysisResult) (plots.Figure, error) {
		own := r.own.(*progressResult)
		d := plots.ForestData{XLabel: s.lang.Text("study.progress-term-" + term), Decimals: -1, PercentagePoints: true}
		at := slices.IndexFunc(own.heads, func(h *headline) bool { return h.term == term })
		return s.groupsForest(r, own.groups[term], own.heads[at].measure, d, s.lang.Text("study.progress-groups-title-"+term))
	}
}

func (s *state) groupsForest(r *analysisResult, groups []groupMonths, m estimate.Measure, d plots.ForestData, title string) (plots.Figure, error) {
	heading := ""
	for _, g := range groups {
		re, ok := s.releasedNumber(r, g.e.Term, m)
		if !ok {
			continue
		}
		if g.column != heading {
			heading = g.column
			d.Groups = append(d.Groups, plots.ForestGroup{Heading: s.label(heading)})
		}
		rows := &d.Groups[len(d.Groups)-1].Rows
		row := plots.ForestRow{Label: capital(s.label(g.level)), Estimate: re.Number}
		if v, ok := s.truthOf(r.spec, g.e.Term); ok {
			row.Known = &v
		}
		*rows = append(*rows, row)
	}
	if len(d.Groups) == 0 {
		return plots.Figure{}, errWithheld
	}
	return plots.Forest(d, s.labels(), s.style(s.spec.uses(r.spec), title, s.lang.Text("study.progress-groups-subtitle")))
}

func (s *state) gradedFigure(r *analysisResult) (plots.Figure, error) {
	own, f := r.own.(*progressResult), r.spec.Progress.Forecast
	d := plots.GradedData{XLabel: s.lang.Text("study.progress-graded-x", "months", f.Within), PercentagePoints: true}
	for _, t := range own.tests {
		if t.label == "" {
			continue
		}
		term := "truth,year=" + t.label + ",part="
		forecast, ok := s.releasedNumber(r, term+"index", estimate.RiskDifference)
		came, also := s.releasedNumber(r, term+"long-term", estimate.RiskDifference)
		if !ok || !also {
			continue
		}
		d.Rows = append(d.Rows, plots.GradedRow{
			Label: s.lang.Text("study.progress-graded-year", "year", t.label), Forecast: forecast.Number, Outcome: &came.Number,
			Verdict: s.lang.Text("study.progress-verdict-" + t.row.Verdict),
		})
	}
	if re, ok := s.releasedNumber(r, termForecast, estimate.RiskDifference); ok {
		row := plots.GradedRow{Label: s.lang.Text("study.progress-graded-now"), Forecast: re.Number, Verdict: s.lang.Text("study.progress-verdict-open")}
		if own.rectified {
			row.Verdict = s.lang.Text("study.progress-verdict-partly")
		}
		if v, ok := s.truthOf(r.spec, termForecast); ok {
			row.Known = &v
		}
		d.Rows = append(d.Rows, row)
	}
	if len(d.Rows) == 0 {
		return plots.Figure{}, errWithheld
	}
	style := s.style(s.spec.uses(r.spec), s.lang.Text("study.progress-graded-title"), s.lang.Text("study.progress-graded-subtitle"))
	style.Caption = s.lang.Text("study.progress-graded-caption") + " " + style.Caption
	return plots.Graded(d, style)
}

func (s *state) informationFigure(r *analysisResult) (plots.Figure, error) {
	items := s.bundle.progress[r.spec.Name].items
	var each []plots.Series
	for k, name := range items.items {
		if k == 5 { // more lines, and that of all, cannot be told apart
			break
		}
		each = append(each, plots.Series{Name: name, X: items.at, Y: items.of[k]})
	}
	d := plots.PanelData{Columns: 2, OwnY: true, XLabel: s.lang.Text("study.progress-information-x"), Panels: []plots.Panel{
		{Name: s.lang.Text("study.progress-information-each"), Series: each},
		{Name: s.lang.Text("study.progress-information-all"), Series: []plots.Series{{Name: s.lang.Text("study.progress-information-all"), X: items.at, Y: items.test}}},
	}}
	return plots.Panels(d, s.labels(), s.style(s.spec.uses(r.spec), s.lang.Text("study.progress-information-title"), s.lang.Text("study.progress-information-subtitle")))
}

func (s *state) tippingFigure(r *analysisResult) (plots.Figure, error) {
	t := s.bundle.progress[r.spec.Name].tip
	d := plots.TrendData{
		Series: []plots.Series{{Name: s.lang.Text("study.progress-tipping-series"), X: t.Delta, Y: t.Value, Lo: t.Lo, Hi: t.Hi}}, Level: s.spec.Level,
		XLabel: s.lang.Text("study.progress-tipping-x"), YLabel: s.lang.Text("study.progress-tipping-y"),
	}
	if t.Point > 0 && t.Point <= t.Delta[len(t.Delta)-1] {
		d.Marks = []plots.Mark{{X: t.Point, Label: s.lang.Text("study.progress-tipping-mark")}}
	}
	return plots.Trend(d, nil, s.style(s.spec.uses(r.spec), s.lang.Text("study.progress-tipping-title"), s.lang.Text("study.progress-tipping-subtitle")))
}
