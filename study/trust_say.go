package study

import (
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/sensitivity"
	"utfall/study/report"
)

// say puts in plain sentences what each check means. Only released numbers are said.
func (q *Trust) say(s *state, r *analysisResult) []string {
	get := func(term string, m estimate.Measure) (estimate.Estimate, bool) {
		re, ok := s.bundle.findings[r.spec.Name+"/"+term+"/"+string(m)]
		return re.Number, ok && re.Shown && !math.IsNaN(re.Number.Value)
	}
	of := s.answered(q.Of)
	claim := of.numbers[0]
	text := func(key string, args ...any) string { return s.lang.Text("study.trust-say-"+key, args...) }
	w := trustWords{s, unitOf(of.spec, claim)}
	main := s.bundle.findings[q.Of+"/"+claim.term+"/"+string(claim.e.Measure)]
	if !main.Shown {
		return []string{text("hidden")}
	}
	ci := main.Number.CI
	established := excludesZero(ci)
	var out []string
	if !established {
		out = append(out, text("unclear"))
	}
	measure := claim.e.Measure
	if e, ok := get("evalue", sensitivity.EValueMeasure); ok && established {
		limit, _ := get("evalue-limit", sensitivity.EValueMeasure)
		out = append(out, text("evalue", "point", s.lang.Number(e.Value, 1), "limit", s.lang.Number(limit.Value, 1)))
	}
	if e, ok := get("gamma", sensitivity.GammaValue); ok && established {
		out = append(out, text("gamma", "gamma", s.lang.Number(e.Value, 1)))
	}
	if e, ok := get("robustness-limit", sensitivity.RobustnessValue); ok && established {
		out = append(out, text("robustness", "share", s.lang.Percent(e.Value, 1)))
	}
	if q.Omitted != nil && established {
		out = append(out, q.sayBenchmarks(s, r, w, measure)...)
	}
	if lo, ok := get("without-smallest", measure); ok {
		if hi, ok := get("without-largest", measure); ok {
			key := "without"
			if !excludesZero(lo.CI) || !excludesZero(hi.CI) {
				key = "without-unclear"
			}
			if !established {
				key = "without-range"
			}
			out = append(out, text(key, "column", strings.ToLower(s.label(q.LeaveOut)), "range", w.between(lo.Value, hi.Value)))
		}
	}
	if q.Tipping != nil {
		out = append(out, q.sayTipping(get, text, w, established)...)
	}
	if n, ok := r.own.(controlCount); ok {
		out = append(out, text("controls", "of", n.of, "n", n.significant))
		if e, ok := get("calibrated", measure); ok {
			key := "calibrated"
			if !excludesZero(e.CI) {
				key = "calibrated-unclear"
			}
			out = append(out, text(key, "value", w.signed(e.Value), "interval", w.between(e.CI.Lo, e.CI.Hi)))
		}
	}
	if q.Placebo != nil {
		for _, name := range q.Placebo.Analyses {
			p, shown := s.placeboFound(name)
			e, ok := get("placebo="+name, sensitivity.EquivalenceTest)
			if !ok || !shown {
				continue
			}
			key := "placebo-not-small"
			if e.Test.P < 1-s.spec.Level {
				key = "placebo-small"
			}
			say := text(key, "name", s.outcomeOf(name), "value", w.signed(p.Value), "interval", w.between(p.CI.Lo, p.CI.Hi), "share", s.lang.Percent(q.Placebo.Share, 0))
			if key != "placebo-small" && placeboTime(s.spec.findCohort(s.spec.findAnalysis(name).Effect.Cohort)) {
				say += " " + text("placebo-way-down")
			}
			out = append(out, say)
		}
	}
	var why []string // numbers that are not given
	for _, n := range r.numbers {
		if n.not == nil {
			continue
		}
		if say := s.lang.Note(n.not.why.Code, n.not.why.Text, n.not.why.Args); !slices.Contains(why, say) {
			why = append(why, say)
		}
	}
	out = append(out, why...)
	if len(out) == 0 {
		out = append(out, text("nothing"))
	}
	return out
}

// placeboFound is the released number of an analysis that must find nothing.
func (s *state) placeboFound(name string) (estimate.Estimate, bool) {
	p := s.answered(name)
	re := s.bundle.findings[name+"/"+p.numbers[0].term+"/"+string(p.numbers[0].e.Measure)]
	return re.Number, re.Shown
}

// sayBenchmarks says what a hidden cause as strong as the strongest benchmark would leave.
func (q *Trust) sayBenchmarks(s *state, r *analysisResult, w trustWords, measure estimate.Measure) []string {
	var worst *estimate.Estimate
	claim := s.answered(q.Of).numbers[0].e
	for _, n := range r.numbers {
		if !strings.HasPrefix(n.term, "omitted=") || n.e.Measure != measure {
			continue
		}
		re := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
		if !re.Shown || worst != nil && math.Abs(re.Number.Value-claim.Value) <= math.Abs(worst.Value-claim.Value) {
			continue
		}
		worst = &re.Number
	}
	if worst == nil {
		return nil
	}
	times, name, _ := strings.Cut(strings.TrimPrefix(worst.Term, "omitted="), "x ")
	key := "study.trust-say-omitted"
	if !excludesZero(worst.CI) {
		key = "study.trust-say-omitted-unclear"
	}
	return []string{s.lang.Text(key, "times", s.decimal(times), "name", s.labelsOf(name), "value", w.signed(worst.Value))}
}

func (q *Trust) sayTipping(get func(string, estimate.Measure) (estimate.Estimate, bool), text func(string, ...any) string, w trustWords, established bool) []string {
	treated, ok := get("arm=treated", sensitivity.MissingShare)
	control, also := get("arm=control", sensitivity.MissingShare)
	if !ok || !also {
		return nil
	}
	shares := []any{"treated", w.s.lang.Percent(treated.Value, 1), "control", w.s.lang.Percent(control.Value, 1)}
	tip, ok := get("tipping,path=opposite", sensitivity.Shift)
	switch {
	case !established:
		return []string{text("missing", shares...)}
	case !ok:
		return []string{text("tipping-never", shares...)}
	}
	key := "tipping-lower"
	if tip.Value > 0 {
		key = "tipping-higher"
	}
	return []string{text(key, append(shares, "shift", w.amount(math.Abs(tip.Value)))...)}
}

// trustWords writes differences in the unit of the claimed effect.
type trustWords struct {
	s    *state
	unit report.Unit
}

func (w trustWords) decimals() (scale float64, decimals int) {
	switch w.unit {
	case report.PercentagePoints, report.Percent:
		return 100, 1
	case report.Months:
		return 1, 1
	case report.Kronor:
		return 1, 0
	}
	return 1, 2
}

func (w trustWords) name(number string) string {
	if w.unit == report.Plain || w.unit == "" {
		return number
	}
	return number + "\u00a0" + w.s.lang.Text("report.unit-"+string(w.unit))
}

func (w trustWords) amount(v float64) string {
	scale, d := w.decimals()
	return w.name(w.s.lang.Number(scale*v, d))
}

func (w trustWords) signed(v float64) string {
	scale, d := w.decimals()
	return w.name(w.s.lang.Signed(scale*v, d))
}

func (w trustWords) between(lo, hi float64) string {
	scale, d := w.decimals()
	return w.name(w.s.lang.Interval(scale*lo, scale*hi, d))
}

// excludesZero reports whether an interval lies on one side of zero; one that is not given does not.
func excludesZero(ci estimate.Interval) bool { return ci.Lo > 0 || ci.Hi < 0 }
