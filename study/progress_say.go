package study

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/report"
)

// label names a number of the method.
func (p *Headlines) label(s *state, a *Analysis, n found) string {
	l := s.lang
	head, rest, _ := strings.Cut(n.term, ",")
	parts := termParts(n.term)
	group := func() string { return s.group(s.spec.findCohort(p.Cohort), parts["group"]) }
	switch head {
	case termMonths:
		switch {
		case parts["order"] != "":
			return l.Text("study.term-net-order", "order", s.label(parts["order"]))
		case slices.Contains([]string{leaveLastStep, leaveLowest, leaveCensored}, parts["leaving"]):
			return l.Text("study.progress-term-leaving-" + parts["leaving"])
		case parts["administrative"] != "":
			return l.Text("study.progress-term-merged")
		case rest != "":
			column, level, _ := strings.Cut(rest, "=")
			return l.Text("study.progress-term-group", "column", s.label(column), "level", s.label(level))
		}
		return l.Text("study.term-net")
	case termDominance:
		return l.Text("study.progress-term-dominance", "t", parts["time"])
	case "win-months":
		return l.Text("study.term-win")
	case "loss-months":
		return l.Text("study.term-loss")
	case termBefore:
		return l.Text("study.progress-term-before")
	case "months":
		return l.Text("study.progress-term-step", "step", s.stepLabel(s.ladders[p.Ladder], atoi(parts["step"])))
	case termSupport:
		if parts["group"] != "" {
			return l.Text("study.progress-term-support-group", "group", group())
		}
		return l.Text("study.progress-term-support")
	case "truth":
		return s.truthLabel(a, parts)
	case termForecast:
		if parts["tilt"] != "" {
			return s.tiltLabel(parts)
		}
		if column, level, ok := strings.Cut(rest, "="); ok && column != "part" {
			return l.Text("study.progress-term-forecast-in", "column", s.label(column), "level", s.label(level))
		}
		if part := parts["part"]; part != "" {
			return l.Text("study.progress-term-forecast-" + part)
		}
		return l.Text("study.progress-term-forecast")
	case termLife:
		if column, level, ok := strings.Cut(rest, "="); ok && parts["group"] == "" {
			return l.Text("study.progress-term-life-in", "column", s.label(column), "level", s.label(level))
		}
		key := "study.progress-term-life"
		if word := strings.TrimSuffix(rest, ",group="+parts["group"]); word != "" && rest != "" {
			key += "-" + word
		}
		if parts["group"] != "" {
			return l.Text(key+"-group", "group", group())
		}
		return l.Text(key)
	case "response":
		return l.Text("study.progress-term-response", "group", group())
	case termBouncing, termStableExit, termReturn:
		return p.processLabel(s, head, n.term, parts)
	}
	switch n.e.Measure {
	case estimate.WinProbability:
		return l.Text("study.term-win-at", "t", parts["time"])
	case estimate.LossProbability:
		return l.Text("study.term-loss-at", "t", parts["time"])
	}
	return ""
}

// processLabel names a measure of how people are passed about.
func (p *Headlines) processLabel(s *state, head, term string, parts map[string]string) string {
	name := head
	if head == termBouncing {
		name = strings.Split(term+",,", ",")[1]
	}
	what := s.lang.Text("study.progress-process-" + name)
	if parts["group"] != "" {
		return s.lang.Text("study.progress-of-group", "what", what, "group", s.group(s.spec.findCohort(p.Cohort), parts["group"]))
	}
	return s.lang.Text("study.progress-of-difference", "what", what)
}

func atoi(text string) int {
	n := 0
	for _, r := range text {
		if r >= '0' && r <= '9' {
			n = 10*n + int(r-'0')
		}
	}
	return n
}

// findings are the three answers, each with its own sentence, and what always stands beside them.
func (p *Headlines) findings(s *state, r *analysisResult) []report.Finding {
	own, a := r.own.(*progressResult), r.spec
	var out []report.Finding
	for _, h := range own.heads {
		f := s.progressFinding(r, h.term, h.measure)
		f.Headline, f.Relevance = a.Headline, h.relevance
		f.Outcome, f.Question = s.lang.Text("study.progress-outcome-"+h.term), s.lang.Text("study.progress-question-"+h.term)
		f.Kind, f.Good = report.Kind(h.finding.Kind), report.Up
		for _, g := range h.gates {
			f.Gates = append(f.Gates, s.progressGate(g))
		}
		if x := h.not; x != nil {
			f.Kind, f.Why, f.Fix = report.Refused, s.lang.Note(x.why.Code, x.why.Text, x.why.Args), s.lang.Note(x.fix.Code, x.fix.Text, x.fix.Args)
		} else {
			f.Says = s.headlineSays(r, h)
		}
		f.Notes = s.releaseNotes(own.notes[h.term])
		if h.term == termMonths {
			f.Notes = s.releaseNotes(append(slices.Clone(own.notes[h.term]), s.ownNotes(r)...))
		}
		f.Figures = s.reportFigures(func(g figure) bool {
			end, ok := strings.CutPrefix(g.name, a.Name+"-")
			return ok && g.analysis == a.Name && slices.Contains(figuresOf(h.term), end)
		})
		if v, ok := s.truthOf(a, h.term); ok {
			f.Truth = &report.Truth{Value: v}
		}
		f.Rows = s.progressRows(r, p, h.term)
		if h.term == termMonths {
			f.Rows = append(f.Rows, s.pricedMonths(a.Name)...)
		}
		out = append(out, f)
	}
	if f := s.progressFinding(r, termSupport, estimate.RiskDifference); f.Address != "" {
		f.Outcome, f.Question = s.lang.Text("study.progress-outcome-support", "months", p.Tau), s.lang.Text("study.progress-question-support")
		f.Kind, f.Good, f.Beside = report.Kind(r.kind), report.Up, a.Headline
		if v, ok := s.truthOf(a, termSupport); ok {
			f.Truth = &report.Truth{Value: v}
		}
		f.Rows = s.progressRows(r, p, termSupport)
		out = append(out, f)
	}
	if n := processes(r); n != nil {
		f := s.progressFinding(r, n.term, n.e.Measure)
		f.Outcome, f.Question = s.lang.Text("study.progress-outcome-bouncing"), s.lang.Text("study.progress-question-bouncing")
		f.Kind = report.Description
		if x := n.not; x != nil {
			f.Kind, f.Why, f.Fix = report.Refused, s.lang.Note(x.why.Code, x.why.Text, x.why.Args), s.lang.Note(x.fix.Code, x.fix.Text, x.fix.Args)
		} else {
			f.Row, f.Says = p.label(s, a, *n), []string{s.lang.Text("study.progress-say-bouncing")}
		}
		f.Notes = s.releaseNotes(n.notes)
		f.Rows = s.progressRows(r, p, termBouncing)
		out = append(out, f)
	}
	return out
}

// processes is the number that the description of how people are passed about leads with; nil if there is none.
func processes(r *analysisResult) *found {
	for _, first := range []string{"bouncing,authority-changes,difference", termBouncing, termStableExit} {
		for i := range r.numbers {
			n := &r.numbers[i]
			if n.term == first || first == termStableExit && strings.HasPrefix(n.term, first) && (n.not != nil || strings.HasSuffix(n.term, "difference")) {
				return n
			}
		}
	}
	return nil
}

// progressFinding is the finding about one number; its address is "" where there is no such number.
func (s *state) progressFinding(r *analysisResult, term string, m estimate.Measure) report.Finding {
	a := r.spec
	for _, n := range r.numbers {
		if n.term != term || n.e.Measure != m {
			continue
		}
		address := a.Name + "/" + term + "/" + string(m)
		f := report.Finding{Address: address, Unit: unitOf(a, n), Comparison: comparison(a), Estimate: s.bundle.findings[address], Method: s.methodOf(r)}
		if s.standing(a) == PlanDeviation {
			f.Deviation = s.lang.Text("study.deviation")
		}
		return f
	}
	return report.Finding{}
}

// partOf says which finding a number stands under.
func (p *Headlines) partOf(term string) string {
	head, _, _ := strings.Cut(term, ",")
	switch head {
	case termForecast, termSupport:
		return head
	case "truth":
		return termForecast
	case termLife, "response":
		return termLife
	case termBouncing, termStableExit, termReturn:
		return termBouncing
	}
	return termMonths
}

// progressRows are the further numbers of a finding.
func (s *state) progressRows(r *analysisResult, p *Headlines, part string) []report.Row {
	a := r.spec
	var out []report.Row
	lead := ""
	if n := processes(r); part == termBouncing && n != nil {
		lead = n.term
	}
	for _, n := range r.numbers {
		main := n.term == part || n.term == lead
		if main || p.partOf(n.term) != part || n.not != nil || !p.shows(a, n) {
			continue
		}
		address := a.Name + "/" + n.term + "/" + string(n.e.Measure)
		row := report.Row{Address: address, Label: s.termLabel(a, n), Unit: unitOf(a, n), Estimate: s.bundle.findings[address]}
		if part != termBouncing {
			row.Notes = s.releaseNotes(n.notes)
		}
		out = append(out, row)
	}
	return out
}

// headlineSays are the sentences of a headline: what was found and how sure it is, from the
// interval only; then who decided the order, what the gates said, and what else must be known.
func (s *state) headlineSays(r *analysisResult, h *headline) []string {
	own, p, l := r.own.(*progressResult), r.spec.Progress, s.lang
	re, ok := s.releasedNumber(r, h.term, h.measure)
	if !ok {
		return nil
	}
	e := re.Number
	decimals, scale := 1, 1.0
	if h.term != termMonths {
		decimals, scale = 0, 100
		if b := []float64{e.CI.Lo, e.CI.Hi}; slices.ContainsFunc(b, func(v float64) bool { return v != 0 && math.Round(100*v) == 0 }) {
			decimals = 1 // a bound beside zero is not written as zero: the words are about its side
		}
	}
	amount := l.Number(math.Abs(e.Value*scale), decimals)
	interval := l.Interval(e.CI.Lo*scale, e.CI.Hi*scale, decimals)
	co := s.spec.findCohort(p.Cohort)
	args := []any{"treated", s.group(co, "treated"), "control", s.group(co, "control"), "interval", interval}
	key := "study.progress-say-" + h.term + "-" + string(h.finding.Word)
	switch h.finding.Word {
	case progress.Better, progress.Worse:
		args = append(args, "amount", amount)
	}
	switch h.term {
	case termMonths:
		args = append(args, "months", p.Tau)
	case termForecast:
		args = append(args, "within", p.Forecast.Within, "run", p.Forecast.Run)
	}
	first := l.Text(key, args...) + " " + l.Text("study.progress-sure-"+string(h.finding.Word))
	switch {
	case h.term == termForecast && own.rectified:
		first += " " + l.Text("study.progress-say-rectified", "share", own.arrived)
	case h.term == termForecast && h.finding.Unconfirmed && h.benchmark == 0:
		first += " " + l.Text("study.progress-say-untried")
	case h.term == termForecast && h.finding.Unconfirmed:
		first += " " + l.Text("study.progress-say-unconfirmed")
	case h.term == termForecast:
		first += " " + l.Text("study.progress-say-confirmed")
	}
	if r.kind != "effect" {
		first += " " + l.Text("study.progress-say-association")
	}
	out := []string{first}
	met := 0
	for _, g := range h.gates {
		if g.Status == progress.Met {
			met++
		}
	}
	out = append(out, l.Text("study.progress-say-gates", "met", met, "all", len(h.gates)))
	if h.term == termMonths {
		out = append(out, l.Text("study.progress-say-ladder", "by", own.ladder.DecidedBy, "on", own.ladder.DecidedOn, "hash", own.ladder.digest[:12]))
		if say := s.dominanceSays(r, p); say != "" {
			out = append(out, say)
		}
		if own.share > 0.5 {
			out = append(out, l.Text("study.progress-say-administrative"))
		}
	}
	if h.term == termForecast {
		out = append(out, s.forecastSays(r, h)...)
	}
	if h.finding.Exploratory {
		out = append(out, l.Text("study.progress-say-exploratory"))
	}
	return out
}

// dominanceSays is the sentence that rests on the tests of dominance at all times together: the largest p-value is theirs.
func (s *state) dominanceSays(r *analysisResult, p *Headlines) string {
	largest := 0.0
	var at []float64
	for _, m := range p.At {
		at = append(at, float64(m))
		re, ok := s.releasedNumber(r, termDominance+",time="+strconv.Itoa(m), progress.LargestShareDifference)
		if !ok {
			return ""
		}
		largest = max(largest, re.Number.Test.P)
	}
	if !progress.DominatesAt(r.own.(*progressResult).dominance, at...) {
		return ""
	}
	return s.lang.Text("study.progress-say-dominance", "p", s.lang.PValue(largest))
}

// progressGate is a gate as the report shows it.
func (s *state) progressGate(g progress.Gate) report.Gate {
	l := s.lang
	out := report.Gate{
		What:   l.Text("study.progress-gate-"+g.Check) + " (" + g.ID + ")",
		Status: l.Text("study.progress-status-" + string(g.Status)), Met: g.Status == progress.Met,
		Means: l.Note(g.Meaning.Code, g.Meaning.Text, nil), Value: "–", Must: "–",
	}
	decimals := 2
	if g.Whole {
		decimals = 0
	}
	switch v, ok := s.gateValue(g); {
	case !ok:
		out.Value = ".."
	case math.IsInf(v, 1):
		out.Value = "∞"
	case !math.IsNaN(v):
		out.Value = l.Number(v, decimals)
	}
	if !math.IsNaN(g.Limit) {
		key := "study.gate-must-most"
		if g.AtLeast {
			key = "study.gate-must-least"
		}
		out.Must = l.Text(key, "threshold", l.Number(hundredths(g.Limit), decimals))
	}
	if g.Consequence != progress.NoConsequence {
		out.Consequence = l.Text("study.progress-consequence-" + string(g.Consequence))
	}
	return out
}
