package study

import (
	"slices"
	"strings"

	"utfall/cohort"
	"utfall/study/release"
	"utfall/study/report"
	"utfall/table"
)

// TrialItem is one component of the trial that a cohort emulates beside its emulation,
// as the TARGET statement asks: the protocol of the target trial, and how the data
// stand in for it. Every number in the emulation names where it can be looked up.
type TrialItem struct {
	Cohort    string        `json:"cohort"`
	Item      string        `json:"item"` // eligibility, strategies, assignment, follow-up, outcomes, contrast, assumptions, analysis
	Target    string        `json:"target"`
	Emulation string        `json:"emulation"`
	Numbers   []TrialNumber `json:"numbers"`
}

// TrialNumber is a released number in the text of an item.
type TrialNumber struct {
	Name   string `json:"name"`
	Value  string `json:"value"`  // as written; ".." where withheld
	Source string `json:"source"` // file and row: attrition.csv:COHORT/STEP, balance.csv, manifest.json:plan/gate
}

// trials are the target trials of the study, one list for all cohorts.
func (s *state) trials() []TrialItem {
	out := []TrialItem{}
	for i := range s.spec.Cohorts {
		out = append(out, s.trial(&s.spec.Cohorts[i])...)
	}
	return out
}

// trial says what would be done if people could be drawn by lot, and what was done instead.
func (s *state) trial(co *Cohort) []TrialItem {
	given := co.Trial
	if given == nil {
		given = &Trial{}
	}
	l := s.spec.Language
	text := func(own Text, key string, args ...any) string {
		if t := own.In(l); t != "" {
			return t
		}
		return s.lang.Text("study.trial-"+key, args...)
	}
	treated := []any{"treated", s.group(co, "treated")}
	kind, wait := "flat", ""
	var follow, emulated, grace, waits []any
	if t := co.TimeZero; t != nil {
		kind = "register"
		follow = []any{"months", t.FollowUp}
		if t.Later == cohort.LaterCensors {
			wait = "-censored"
		}
		if t.Design == cohort.GracePeriod {
			grace = []any{"months", t.Grace}
			if wait == "" {
				waits = grace
			}
		}
		emulated = append(follow, "back", slices.Max(t.LookBack))
	}
	b := s.cohorts[co.Name]
	strategies, whom := kind, ""
	if b.grace() {
		strategies, whom = "grace", "-grace"
	}
	items := []TrialItem{
		{Item: "eligibility", Target: text(given.Eligibility, "eligibility", "rules", s.ruleNames(co))},
		{Item: "strategies", Target: text(given.Treated, "treated-"+strategies, grace...) + " " + text(given.Control, "control-"+strategies+wait, waits...)},
		{Item: "assignment", Target: text(given.Assignment, "assignment")},
		{Item: "follow-up", Target: text(given.FollowUp, "follow-up-"+kind, follow...)},
		{Item: "outcomes", Target: text(given.Outcomes, "outcomes", "outcomes", s.outcomeNames(co))},
		{Item: "contrast", Target: text(given.Contrast, "contrast"+whom)},
		{Item: "assumptions", Target: text(given.Assumptions, "assumptions")},
		{Item: "analysis", Target: text(given.Analysis, "analysis")},
	}
	say := func(i int, key string, args ...any) {
		if items[i].Emulation != "" {
			items[i].Emulation += " "
		}
		items[i].Emulation += s.lang.Text("study.emulation-"+key, args...)
	}
	number := func(i int, name, value, source string) {
		items[i].Numbers = append(items[i].Numbers, TrialNumber{name, value, source})
	}
	if flow, ok := s.bundle.attrition[co.Name]; ok && len(flow.Steps) > 0 {
		first, last := flow.Start, flow.Steps[len(flow.Steps)-1]
		if b.grace() {
			say(0, "eligibility-grace", "start", s.counted(first.Control), "left", s.counted(last.Left.Control))
			number(0, "start", first.Control.String(), attritionCSV+":"+co.Name+"/start/control_kept")
			number(0, "left", last.Left.Control.String(), attritionCSV+":"+co.Name+"/"+last.Name+"/control_kept")
		} else {
			say(0, "eligibility", append(treated, "control", s.group(co, "control"), "start", s.counted(first.Treated), "left", s.counted(last.Left.Treated), "controls", s.counted(last.Left.Control))...)
			number(0, "start", first.Treated.String(), attritionCSV+":"+co.Name+"/start/treated_kept")
			number(0, "left", last.Left.Treated.String(), attritionCSV+":"+co.Name+"/"+last.Name+"/treated_kept")
			number(0, "controls", last.Left.Control.String(), attritionCSV+":"+co.Name+"/"+last.Name+"/control_kept")
		}
	} else {
		say(0, "eligibility-none")
	}
	if kind == "register" {
		rule := or(co.TimeZero.Participation, cohort.FirstParticipation)
		var months []any
		if rule == cohort.WashoutParticipation {
			months = []any{"months", co.TimeZero.Washout}
		}
		say(1, "participation-"+rule, months...)
	}
	say(1, "strategies-"+strategies+wait)
	if b.designed() {
		say(2, "assignment", "design", s.designWords(co), "covariates", s.covariateNames(co))
		for _, g := range s.gate {
			if g.Cohort == co.Name && g.Check == "smd" && g.Value != nil {
				say(2, "balance", "smd", s.lang.Number(*g.Value, 2))
				number(2, "smd", s.lang.Number(*g.Value, 2), manifestFile+":plan/gate/"+co.Name+"/smd")
			}
		}
	} else if s.adjusted(co) {
		say(2, "assignment-adjusted")
	} else {
		say(2, "assignment-none"+whom)
	}
	say(3, "follow-up-"+kind, emulated...)
	say(4, "outcomes-"+kind)
	contrast := "contrast"
	if slices.ContainsFunc(b.notes, func(n table.Note) bool { return n.Code == "estimand-changed" || n.Code == "estimand-renamed" }) {
		contrast = "contrast-matched"
	}
	switch {
	case b.grace():
		contrast, treated = "contrast-grace", nil
	case b.spec.Weight != nil && b.estimand != cohort.ATT:
		contrast, treated = "contrast-weighted", []any{"estimand", b.estimand}
	case !b.designed() && !s.adjusted(co):
		contrast = "contrast-none"
	}
	if contrast == "contrast-none" {
		treated = nil
	}
	say(5, contrast, treated...)
	say(6, "assumptions")
	for _, g := range s.gate {
		if g.Cohort == co.Name && g.Check == "support" && g.Value != nil {
			say(6, "support", "share", s.lang.Number(100**g.Value, 0))
			number(6, "support", s.lang.Number(100**g.Value, 0), manifestFile+":plan/gate/"+co.Name+"/support")
		}
	}
	say(7, "analysis", "methods", strings.Join(s.methodNames(co), "; "))
	for i := range items {
		items[i].Cohort = co.Name
		if items[i].Numbers == nil {
			items[i].Numbers = []TrialNumber{}
		}
	}
	return items
}

// adjusted reports whether an effect in the cohort is adjusted by models.
func (s *state) adjusted(co *Cohort) bool {
	return slices.ContainsFunc(s.spec.Analyses, func(a Analysis) bool {
		return a.Effect != nil && a.Effect.Cohort == co.Name && slices.Contains(adjusting, a.Effect.Method)
	})
}

// ruleNames are the rules of eligibility in the reader's words.
func (s *state) ruleNames(co *Cohort) string {
	var names []string
	for _, f := range co.Eligibility {
		names = append(names, strings.ToLower(or(f.Label.In(s.spec.Language), f.Keep)))
	}
	if names == nil {
		return s.lang.Text("study.trial-everybody")
	}
	return strings.Join(names, "; ")
}

// outcomeNames are what the analyses of the cohort measure.
func (s *state) outcomeNames(co *Cohort) string {
	var names []string
	for i := range s.spec.Analyses {
		a := &s.spec.Analyses[i]
		if a.Role != "" {
			continue // a check, and no outcome of the trial
		}
		if (a.Effect != nil && a.Effect.Cohort == co.Name && a.Effect.Where == "") || (a.Effect == nil && a.Describe == nil && a.BeforeAfter == nil && a.rests().cohort == co.Name) {
			if n := or(a.Outcome.In(s.spec.Language), a.Name); !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	if names == nil {
		return s.lang.Text("study.trial-outcomes-none")
	}
	return strings.Join(names, "; ")
}

// covariateNames are the background that people were made alike in: by name where that
// can be read, else their number.
func (s *state) covariateNames(co *Cohort) string {
	const readable = 8
	if n := len(co.Propensity.Covariates); n > readable {
		return s.lang.Text("study.emulation-covariates", "n", n)
	}
	var names []string
	for _, c := range co.Propensity.Covariates {
		names = append(names, strings.ToLower(s.derivedLabel(c)))
	}
	return strings.Join(names, "; ")
}

// counted writes a released count as the report does.
func (s *state) counted(c release.Count) string {
	if n, ok := c.Int(); ok {
		return s.lang.Int(n)
	}
	return c.String()
}

// methodNames are the methods of the analyses of the cohort, each once.
func (s *state) methodNames(co *Cohort) []string {
	var names []string
	for i := range s.results {
		r := &s.results[i]
		if r.spec.rests().cohort == co.Name && r.kind != "description" {
			n := s.lang.Text("study.method-" + strings.ReplaceAll(r.method, ".", "-"))
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	if names == nil {
		return []string{"–"}
	}
	return names
}

// reportTrial is the table of a comparison in the report.
func (s *state) reportTrial(co *Cohort) []report.TrialRow {
	var out []report.TrialRow
	for _, it := range s.trial(co) {
		row := report.TrialRow{Item: s.lang.Text("study.trial-item-" + it.Item), Target: it.Target, Emulation: it.Emulation}
		for _, n := range it.Numbers {
			row.Sources = append(row.Sources, n.Source)
		}
		out = append(out, row)
	}
	return out
}
