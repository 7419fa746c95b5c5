package study

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"utfall/cohort"
	"utfall/plots"
	"utfall/study/release"
)

// figure is a rendered figure and what it belongs to.
type figure struct {
	name     string // file name without ending
	cohort   string // the cohort it is about, or
	analysis string // the analysis; neither = all effects
	drawn    plots.Rendered
}

// drawing is a figure that a method makes of its result; its file is ANALYSIS-name.
type drawing struct {
	name  string
	build func(r *analysisResult) (plots.Figure, error)
}

// draw makes the figures of the study from released numbers alone.
func (s *state) draw() error {
	type job struct {
		fig   figure
		build func() (plots.Figure, error)
	}
	var jobs []job
	for i := range s.spec.Cohorts {
		co := &s.spec.Cohorts[i]
		if placeboTime(co) {
			continue // its tables are enough
		}
		if t, ok := s.bundle.attrition[co.Name]; ok {
			jobs = append(jobs, job{figure{name: co.Name + "-flow", cohort: co.Name}, func() (plots.Figure, error) { return s.flowFigure(co, t) }})
		}
		if t, ok := s.bundle.balance[co.Name]; ok {
			jobs = append(jobs, job{figure{name: co.Name + "-balance", cohort: co.Name}, func() (plots.Figure, error) { return s.loveFigure(co, t) }})
		}
	}
	for i := range s.spec.Cohorts {
		co := &s.spec.Cohorts[i]
		if placeboTime(co) {
			continue
		}
		parts := s.spec.cohortParts(co.Name)
		sub := s.lang.Text("study.distribution-subtitle", "treated", capital(s.group(co, "treated")), "control", s.group(co, "control"))
		if d, ok := s.bundle.scores[co.Name]; ok {
			jobs = append(jobs, job{figure{name: co.Name + "-score", cohort: co.Name}, func() (plots.Figure, error) {
				return plots.Mirrored(*d, s.style(parts, s.lang.Text("study.score-title"), sub))
			}})
		}
		if d, ok := s.bundle.covariates[co.Name]; ok {
			jobs = append(jobs, job{figure{name: co.Name + "-covariate", cohort: co.Name}, func() (plots.Figure, error) {
				return plots.ECDF(*d, s.style(parts, s.lang.Text("study.covariate-title"), sub))
			}})
		}
	}
	for i := range s.results {
		r := &s.results[i]
		name := r.spec.Name
		if q, ok := r.spec.ask().(drawer); ok {
			for _, d := range q.figures(s, r) {
				jobs = append(jobs, job{figure{name: name + "-" + d.name, analysis: name}, func() (plots.Figure, error) { return d.build(r) }})
			}
		}
	}
	for _, unit := range units {
		if len(s.forestRows(unit)) > 1 {
			jobs = append(jobs, job{figure{name: "effects-" + unit}, func() (plots.Figure, error) { return s.forestFigure(unit) }})
		}
	}
	for i, j := range jobs {
		s.o.report("plot", j.fig.name, i, len(jobs))
		f, err := j.build()
		if errors.Is(err, plots.ErrEmpty) || errors.Is(err, errWithheld) {
			continue // all of it was withheld; the protocol says so
		}
		if err != nil {
			return fmt.Errorf("figure %s: %w", j.fig.name, err)
		}
		if j.fig.drawn, err = f.Render(s.ctx); err != nil {
			return fmt.Errorf("figure %s: %w", j.fig.name, err)
		}
		s.figures = append(s.figures, j.fig)
	}
	s.o.report("plot", "", len(jobs), len(jobs))
	return nil
}

// errWithheld says that disclosure control left nothing of a figure.
var errWithheld = errors.New("withheld")

// label is what the study file calls a name, or the name.
func (s *state) label(name string) string {
	if t, ok := s.spec.Labels[name]; ok {
		return t.In(s.spec.Language)
	}
	return name
}

// labels are all of the study file's labels in the report's language.
func (s *state) labels() plots.Labels {
	out := plots.Labels{}
	for name, t := range s.spec.Labels {
		out[name] = t.In(s.spec.Language)
	}
	return out
}

// group is what the cohort's arms are called.
func (s *state) group(co *Cohort, arm string) string {
	if co != nil {
		if t, ok := co.Groups[arm]; ok {
			return t.In(s.spec.Language)
		}
	}
	if arm == "treated" {
		return s.lang.Text("study.treated")
	}
	return s.lang.Text("study.control")
}

// capital begins a text with a capital letter.
func capital(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:]
}

func (s *state) caption() string {
	if s.spec.KnownTruth != "" {
		return s.lang.Text("study.source-simulated")
	}
	return s.lang.Text("study.source")
}

// style is that of a figure which rests on the given parts of the study; a figure that
// departs from the locked plan says so.
func (s *state) style(parts []string, title, subtitle string) plots.Style {
	st := plots.Style{Lang: s.lang, Title: title, Subtitle: subtitle, Caption: s.caption()}
	if slices.ContainsFunc(s.deviations, func(d Deviation) bool { return slices.Contains(parts, d.Part) }) {
		st.Caption += " " + s.lang.Text("study.deviation-figure")
	}
	return st
}

// stepLabels are the reader's names of a cohort's attrition steps.
func (s *state) stepLabels(co *Cohort) plots.Labels {
	out := plots.Labels{}
	for _, name := range []string{"candidates", "at-risk", "look-back", "covariates-known", "matched", "weighted", "observed", "risk-set", "draws"} {
		out[name] = s.lang.Text("study.step-" + name)
	}
	if riskSet(co) {
		out["candidates"] = s.lang.Text("study.step-candidates-risk-set")
	}
	for _, f := range co.Eligibility {
		if len(f.Label) > 0 {
			out[f.Name] = f.Label.In(s.spec.Language)
		}
	}
	return out
}

// riskSet reports whether a comparison person stands in the cohort once for each month.
func riskSet(co *Cohort) bool { return co.TimeZero != nil && co.TimeZero.Design == cohort.RiskSet }

func (s *state) flowFigure(co *Cohort, t release.Attrition) (plots.Figure, error) {
	units := func(b release.Box) (all, treated int, ok bool) {
		n, shown := b.Treated.Int()
		m, also := b.Control.Int()
		return n + m, n, shown && also
	}
	var steps []cohort.Step
	all, treated, ok := units(t.Start)
	if !ok {
		return plots.Figure{}, errWithheld
	}
	for _, st := range t.Steps {
		n, tr, ok := units(st.Left)
		if !ok {
			continue // merged with the next step that is shown
		}
		steps = append(steps, cohort.Step{Name: st.Name, Rule: st.Rule, UnitsIn: all, TreatedIn: treated, UnitsOut: n, TreatedOut: tr})
		all, treated = n, tr
	}
	style := s.style(s.spec.cohortParts(co.Name), s.lang.Text("study.flow-title"), "")
	if riskSet(co) {
		style.Caption = s.lang.Text("study.flow-person-months") + " " + style.Caption
	}
	return plots.Attrition(steps, s.stepLabels(co), style)
}

func (s *state) loveFigure(co *Cohort, t release.BalanceTable) (plots.Figure, error) {
	b := cohort.Balance{Denominator: t.Denominator}
	for _, row := range t.Rows {
		before, ok := row.Before.SMD.Float()
		after, also := row.After.SMD.Float()
		if !ok || !also || math.IsNaN(before) || math.IsNaN(after) {
			continue
		}
		b.Rows = append(b.Rows, cohort.BalanceRow{Variable: row.Variable, Before: cohort.BalanceStat{SMD: before}, After: cohort.BalanceStat{SMD: after}})
	}
	sub := s.lang.Text("study.love-subtitle", "treated", s.group(co, "treated"), "control", s.group(co, "control"))
	return plots.Love(b, s.rowLabels(), s.style(s.spec.cohortParts(co.Name), s.lang.Text("study.love-title"), sub))
}

// rowLabels names the rows of balance tables: columns, and column[level] from the
// labels of both.
func (s *state) rowLabels() plots.Labels {
	out := s.labels()
	for _, t := range s.bundle.balance {
		for _, row := range t.Rows {
			if _, ok := out[row.Variable]; ok {
				continue
			}
			if col, level, ok := strings.Cut(strings.TrimSuffix(row.Variable, "]"), "["); ok {
				out[row.Variable] = s.label(col) + ": " + s.label(level)
			} else {
				out[row.Variable] = s.derivedLabel(row.Variable)
			}
		}
	}
	return out
}

// derivedLabel names a look-back column, such as "months_STATE_12" or "changes_24", from
// the label of its pattern (months_STATE_N, changes_N) and of the state.
func (s *state) derivedLabel(name string) string {
	if _, ok := s.spec.Labels[name]; ok {
		return s.label(name)
	}
	i := strings.LastIndex(name, "_")
	if i < 0 {
		return name
	}
	head, months := name[:i], name[i+1:]
	if t, ok := s.spec.Labels[head+"_N"]; ok {
		return strings.ReplaceAll(t.In(s.spec.Language), "N", months)
	}
	for _, pattern := range sortedKeys(s.spec.Labels) {
		prefix, ok := strings.CutSuffix(pattern, "_STATE_N")
		if state, found := strings.CutPrefix(head, prefix+"_"); ok && found {
			return strings.NewReplacer("STATE", s.label(state), "N", months).Replace(s.spec.Labels[pattern].In(s.spec.Language))
		}
	}
	return name
}

func (s *state) eventFigure(r *analysisResult) (plots.Figure, error) {
	d := plots.EventStudyData{YLabel: r.spec.Outcome.In(s.spec.Language), PercentagePoints: r.spec.Unit == "percentage-points"}
	if r.spec.Unit == "points" {
		d.YLabel = s.lang.Text("plots.points", "label", d.YLabel)
	}
	window := r.spec.DID.Window
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
	return plots.EventStudy(d, s.style(s.spec.uses(r.spec), r.spec.Question.In(s.spec.Language), s.lang.Text("study.event-subtitle")))
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
	sub := s.lang.Text("study.trend-subtitle", "outcome", strings.ToLower(r.spec.Outcome.In(s.spec.Language)))
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
