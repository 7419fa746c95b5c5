package study

import (
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/study/report"
	"utfall/table"
)

// reportInput gathers what the report says, all of it released.
func (s *state) reportInput(specDigest string) (report.Input, error) {
	l := s.spec.Language
	in := report.Input{
		Lang: s.lang, Title: s.spec.Title.In(l), Question: s.spec.Question.In(l), Background: s.spec.Background.In(l),
		Publisher: s.spec.Report.Contact.In(l), Period: s.period(), Simulated: s.spec.KnownTruth != "",
		Protocol: s.bundle.protocol,
	}
	in.Title = or(in.Title, s.spec.Name)
	in.Question = or(in.Question, in.Title)
	if t := s.spec.Report.Caveats.In(l); t != "" {
		in.CannotSay = strings.Split(strings.TrimSpace(t), "\n")
	}
	in.Plan = s.reportPlan()
	for _, name := range sortedKeys(s.data) {
		in.Sources = append(in.Sources, s.reportSource(name))
		if s.spec.Data[name].Published {
			in.Published = append(in.Published, s.label(name))
		}
	}
	for i := range s.spec.Cohorts {
		in.Comparisons = append(in.Comparisons, s.reportComparison(&s.spec.Cohorts[i]))
	}
	seen := map[string]bool{}
	for i := range s.spec.Analyses {
		if q, ok := s.spec.Analyses[i].ask().(inPanel); ok && !seen[q.rests().compared] {
			seen[q.rests().compared] = true
			in.Comparisons = append(in.Comparisons, q.comparison(s))
		}
	}
	naive := s.naive()
	for i := range s.results {
		r := &s.results[i]
		if r.spec.Role != "" {
			continue // it stands in the rows of the analysis of trust that asks for it
		}
		if q, ok := r.spec.ask().(finder); ok && r.alone == nil {
			in.Findings = append(in.Findings, q.findings(s, r)...)
		} else if f, ok := s.reportFinding(r, naive); ok {
			in.Findings = append(in.Findings, f)
		}
	}
	in.Findings = s.underTheirs(in.Findings)
	for _, d := range s.bundle.destinations {
		in.Destinations = append(in.Destinations, s.reportDestination(d))
	}
	build := thisBuild()
	in.Reproduction = report.Reproduction{
		Version: build.Version, Build: strings.TrimSpace(build.Revision + " " + build.Go + " " + build.Target), Seed: s.spec.Seed,
		Command: "utfall verify " + s.spec.Name + "-bundle --data DATA",
		Hashes:  []report.Hash{{File: specFile, SHA256: specDigest}},
	}
	for _, f := range s.inputs() {
		in.Reproduction.Hashes = append(in.Reproduction.Hashes, report.Hash{File: f.File, SHA256: f.SHA256})
	}
	return in, nil
}

// period is the span of time the study is about.
func (s *state) period() string {
	lo, hi := "", ""
	for i := range s.spec.Cohorts {
		if t := s.spec.Cohorts[i].TimeZero; t != nil {
			if lo == "" || t.From < lo {
				lo = t.From
			}
			hi = max(hi, t.To)
		}
	}
	if lo == "" {
		return ""
	}
	return lo + "–" + hi
}

func (s *state) reportSource(name string) report.Source {
	r := s.data[name].result.Report
	out := report.Source{Name: s.label(name), File: r.File, Rows: s.policy.Count(r.Rows), Notes: s.releaseNotes(r.Notes)}
	out.Rejected = s.rejected(r.Rejected, r.Rows)
	for _, q := range r.Reasons {
		text := q.Text
		if q.Column != "" {
			text = s.lang.Text("study.rejected", "column", q.Column, "reason", q.Text)
		}
		out.Reasons = append(out.Reasons, report.Reason{Text: text, Rows: s.policy.Count(q.Count)})
	}
	return out
}

func (s *state) reportFigures(mine func(f figure) bool) []report.Figure {
	var out []report.Figure
	for _, f := range s.figures {
		if mine(f) {
			out = append(out, report.Figure{SVG: f.drawn.SVG, Alt: f.drawn.Alt, CSV: figuresDir + "/" + f.name + ".csv", Wide: true})
		}
	}
	return out
}

// naive finds, per cohort, the before/after description that stands beside effects on
// the same states.
func (s *state) naive() map[string]*report.Naive {
	out := map[string]*report.Naive{}
	for i := range s.results {
		r := &s.results[i]
		if r.spec.BeforeAfter == nil || r.alone != nil {
			continue
		}
		n := &report.Naive{}
		for _, x := range r.numbers {
			addr := r.spec.Name + "/" + x.term + "/" + string(x.e.Measure)
			re := s.bundle.findings[addr]
			mean, _ := s.policy.Proportion(addr, 0, 0)
			if re.Shown && x.basis.Events != nil {
				mean, _ = s.policy.Proportion(addr, x.basis.Events.Treated, x.basis.Treated)
			}
			switch x.e.Measure {
			case beforeMean:
				n.Before = mean
			case afterMean:
				n.After = mean
			case change:
				n.Address, n.Change = addr, re
			}
		}
		out[r.spec.BeforeAfter.Cohort+"\x00"+stateKey(r.spec.BeforeAfter.States)] = n
	}
	return out
}

func stateKey(states []string) string {
	sorted := slices.Clone(states)
	slices.Sort(sorted)
	return strings.Join(sorted, "\x00")
}

// naiveFor finds the before/after description that belongs beside an effect: the same
// cohort, and an outcome made of the same states.
func (s *state) naiveFor(a *Analysis, naive map[string]*report.Naive) *report.Naive {
	if a.Effect == nil || a.Effect.Where != "" {
		return nil
	}
	co := s.spec.findCohort(a.Effect.Cohort)
	if co.TimeZero == nil {
		return nil
	}
	for _, o := range co.TimeZero.Outcomes {
		if o.Name == a.Effect.Outcome && o.At > 0 {
			return naive[co.Name+"\x00"+stateKey(o.States)]
		}
	}
	return nil
}

// reportFinding makes one finding of an analysis: its main number, with the others as
// rows. A before/after description that stands beside an effect is not shown again.
func (s *state) reportFinding(r *analysisResult, naive map[string]*report.Naive) (report.Finding, bool) {
	l, a := s.spec.Language, r.spec
	main := mainNumber(r)
	if main < 0 {
		return report.Finding{}, false
	}
	addr := func(n found) string { return a.Name + "/" + n.term + "/" + string(n.e.Measure) }
	n := r.numbers[main]
	f := report.Finding{
		Address: addr(n), Outcome: or(a.Outcome.In(l), a.Name), Question: a.Question.In(l), Kind: report.Kind(r.kind), Headline: a.Headline,
		Unit: unitOf(a, n), Good: report.Direction(a.Good), Relevance: a.Relevant, Estimate: s.bundle.findings[addr(n)],
		Notes:   s.releaseNotes(s.ownNotes(r)),
		Figures: s.reportFigures(func(g figure) bool { return g.analysis == a.Name }),
		Naive:   s.naiveFor(a, naive),
	}
	if q, ok := a.ask().(sentencer); ok && r.alone == nil {
		f.Says = q.say(s, r)
	}
	if r.alone == nil {
		f.Method = s.methodOf(r)
		if f.Kind == report.Check || a.Pairs != nil || a.Steps != nil || a.FollowUp != nil || a.Recurrent != nil || a.Costs != nil || a.Landmark != nil || a.Sequences != nil || a.Instrument != nil || a.Distance != nil || a.Spillover != nil || a.Displacement != nil {
			f.Row = s.termLabel(a, n)
		}
	}
	if a.Reconcile != nil { // whose counts they are
		f.Notes = s.releaseNotes(append(s.ownNotes(r), n.notes...))
	}
	f.Signed = a.Places != nil
	if a.Landmark != nil {
		f.Apart = s.lang.Text("study.landmark-apart")
	}
	if x := n.not; x != nil {
		f.Kind, f.Why, f.Fix = report.Refused, s.lang.Note(x.why.Code, x.why.Text, x.why.Args), s.lang.Note(x.fix.Code, x.fix.Text, x.fix.Args)
	}
	if s.standing(a) == PlanDeviation {
		f.Deviation = s.lang.Text("study.deviation")
	}
	f.Comparison = comparison(a)
	if f.Naive != nil {
		described, _, _ := strings.Cut(f.Naive.Address, "/")
		f.Figures = append(f.Figures, s.reportFigures(func(g figure) bool { return g.analysis == described })...)
	}
	if s.firstInUnit(a) {
		f.Figures = append(f.Figures, s.reportFigures(func(g figure) bool { return g.name == "effects-"+a.Unit })...)
	}
	if v, ok := s.truthOf(a, n.term); ok {
		f.Truth = &report.Truth{Value: v}
	}
	for i, x := range r.numbers {
		if i == main || !s.shownRow(a, x) {
			continue
		}
		notes := x.notes
		if x.not != nil { // a row that is not given says why
			notes = append([]table.Note{x.not.why, x.not.fix}, notes...)
		}
		f.Rows = append(f.Rows, report.Row{Address: addr(x), Label: s.termLabel(a, x), Unit: unitOf(a, x), Estimate: s.bundle.findings[addr(x)], Notes: s.releaseNotes(notes)})
	}
	if a.BeforeAfter != nil {
		for _, other := range s.spec.Analyses {
			if n := s.naiveFor(&other, naive); n != nil && strings.HasPrefix(n.Address, a.Name+"/") {
				f.Figures = nil // they are shown with the effect
			}
		}
	}
	return f, true
}

// firstInUnit reports whether the analysis is the first effect in its unit: the figure
// of all of them stands with it.
func (s *state) firstInUnit(a *Analysis) bool {
	for i := range s.spec.Analyses {
		if b := &s.spec.Analyses[i]; b.Effect != nil && b.Role == "" && b.Unit == a.Unit {
			return b == a
		}
	}
	return false
}

// mainNumber is the number an analysis is about: net months of a ladder, the overall
// effect of a panel, the effect, the change.
func mainNumber(r *analysisResult) int {
	prefer := []estimate.Measure{estimate.NetMonths, change}
	for _, m := range prefer {
		for i, n := range r.numbers {
			if n.e.Measure == m {
				return i
			}
		}
	}
	for i, n := range r.numbers {
		if n.term == "overall" || n.term == "att" {
			return i
		}
	}
	for i, n := range r.numbers {
		if strings.HasSuffix(n.term, ":overall") {
			return i
		}
	}
	if len(r.numbers) == 0 {
		return -1
	}
	if r.spec != nil && r.spec.Trust != nil { // a check that cannot be made hides no other
		return max(slices.IndexFunc(r.numbers, func(n found) bool { return n.not == nil }), 0)
	}
	return 0
}

// methodOf says in words how the numbers of an analysis were made.
func (s *state) methodOf(r *analysisResult) *report.Method {
	base := strings.ReplaceAll(r.method, ".", "-")
	estimand, errs, also := r.spec.ask().words(s, r)
	return &report.Method{
		Estimand: s.lang.Text("study.estimand-"+estimand) + also, Method: s.lang.Text("study.method-" + base), StandardErrors: s.lang.Text("study.errors-" + errs),
	}
}

// ownNotes are the caveats of an analysis beside those of its cohort, which stand
// where the comparison is described.
func (s *state) ownNotes(r *analysisResult) []table.Note {
	name := r.spec.rests().cohort
	b, ok := s.cohorts[name]
	if !ok {
		return r.notes
	}
	common := map[string]bool{}
	for _, n := range b.notes {
		common[n.Code+n.Text] = true
	}
	var out []table.Note
	for _, n := range r.notes {
		if !common[n.Code+n.Text] {
			out = append(out, n)
		}
	}
	return out
}

// comparison names the comparison of the report that an analysis belongs to; that of
// the analysis it is about, where it has none itself.
func comparison(a *Analysis) string {
	rests := a.rests()
	return or(rests.compared, rests.cohort)
}

// underTheirs puts the findings that are about another one right behind it.
func (s *state) underTheirs(all []report.Finding) []report.Finding {
	of := map[string]string{}
	for i := range s.spec.Analyses {
		if a := &s.spec.Analyses[i]; len(a.rests().of) > 0 {
			of[a.Name] = a.rests().of[0]
		}
	}
	return nested(all, of)
}

// nested orders findings so that each stands behind the one of the analysis it is of, or behind the last of them.
func nested(all []report.Finding, of map[string]string) []report.Finding {
	name := func(f report.Finding) string { n, _, _ := strings.Cut(f.Address, "/"); return n }
	last := map[string]string{} // by analysis, the address of its last finding
	for _, f := range all {
		last[name(f)] = f.Address
	}
	var out []report.Finding
	var put func(f report.Finding, under bool)
	put = func(f report.Finding, under bool) {
		f.Under = under
		out = append(out, f)
		for _, g := range all {
			if of[name(g)] == name(f) && f.Address == last[name(f)] && f.Address != g.Address {
				put(g, true)
			}
		}
	}
	for _, f := range all {
		if parent := of[name(f)]; parent == "" || last[parent] == "" {
			put(f, false)
		}
	}
	return out
}
