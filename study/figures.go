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
		if q, ok := r.spec.ask().(drawer); ok && r.alone == nil {
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
