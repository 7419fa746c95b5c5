package study

import (
	"math"
	"strconv"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/plots"
	"utfall/study/report"
)

// money writes an amount with three digits and its unit left to the sentence.
func (s *state) money(v float64) string { return s.lang.Significant(v, 3) }

// moneyInterval writes an interval of amounts.
func (s *state) moneyInterval(ci estimate.Interval) string {
	scale := math.Max(math.Abs(ci.Lo), math.Abs(ci.Hi))
	step := math.Pow(10, math.Max(math.Floor(math.Log10(math.Max(scale, 1)))-2, 0))
	return s.lang.Interval(math.Round(ci.Lo/step)*step, math.Round(ci.Hi/step)*step, 0)
}

// direction is the word for an interval of a difference in costs: more, less or open.
func direction(ci estimate.Interval) string {
	switch {
	case ci.Lo > 0:
		return "more"
	case ci.Hi < 0:
		return "less"
	}
	return "open"
}

// say tells in all and payer by payer what participants cost more, and what a net month cost, from the intervals alone.
func (q *Costs) say(s *state, r *analysisResult) []string {
	l := s.lang
	total, ok := s.releasedNumber(r, "total", estimate.MeanDifference)
	if !ok {
		return nil
	}
	co := s.spec.findCohort(q.Cohort)
	args := []any{"treated", s.group(co, "treated"), "control", s.group(co, "control"), "months", q.Months, "interval", s.moneyInterval(total.Number.CI)}
	way := direction(total.Number.CI)
	if way != "open" {
		args = append(args, "amount", s.money(math.Abs(total.Number.Value)))
	}
	first := l.Text("study.costs-say-"+way, args...)
	if r.kind != "effect" {
		first += " " + l.Text("study.progress-say-association")
	}
	out := []string{first}
	by := map[string][]string{}
	for _, name := range q.Payers {
		if re, ok := s.releasedNumber(r, "payer="+name, estimate.MeanDifference); ok {
			d := direction(re.Number.CI)
			by[d] = append(by[d], s.label(name))
		}
	}
	for _, d := range []string{"more", "less", "open"} {
		if len(by[d]) > 0 {
			out = append(out, l.Text("study.costs-say-payers-"+d, "payers", l.And(by[d])))
		}
	}
	if say := q.sayRatio(s, r); say != "" {
		out = append(out, say)
	}
	if re, ok := s.releasedNumber(r, "break-even", breakEvenMonth); ok {
		out = append(out, l.Text("study.costs-say-break-even", "month", int(re.Number.Value)))
	}
	return append(out, q.sayMoney(s))
}

// sayRatio is what may be said of the cost of a net month: a price only where more was gained for sure.
func (q *Costs) sayRatio(s *state, r *analysisResult) string {
	re, ok := s.releasedNumber(r, "ratio", progress.CostPerUnit)
	if !ok {
		return ""
	}
	words := r.own.(*costsResult).words
	var args []any
	switch words {
	case progress.CostsDearer:
		args = []any{"amount", s.money(math.Abs(re.Number.Value)), "interval", s.moneyInterval(re.Number.CI)}
	case progress.CostsEither:
		args = []any{"interval", s.moneyInterval(re.Number.CI)}
	}
	text := s.lang.Text("study.costs-say-"+string(words), args...)
	if words == progress.CostsLoss {
		return text
	}
	for _, v := range q.Willingness {
		if p, ok := s.releasedNumber(r, "willingness="+survive.FormatTime(v), progress.Acceptability); ok {
			switch sure := p.Number.Value; {
			case sure < 0.01:
				text += " " + s.lang.Text("study.costs-say-willingness-no", "price", s.money(v))
			case sure > 0.99:
				text += " " + s.lang.Text("study.costs-say-willingness-yes", "price", s.money(v))
			default:
				text += " " + s.lang.Text("study.costs-say-willingness", "price", s.money(v), "sure", sure)
			}
		}
	}
	return text
}

// pricedMonths are what a net month of an analysis cost, as rows beside its net months.
func (s *state) pricedMonths(name string) []report.Row {
	var out []report.Row
	for i := range s.results {
		r := &s.results[i]
		if r.spec.Costs == nil || r.spec.Costs.Effect != name {
			continue
		}
		for _, n := range r.numbers {
			if address := r.spec.Name + "/" + n.term + "/" + string(n.e.Measure); n.e.Measure == progress.CostPerUnit && n.not == nil {
				out = append(out, report.Row{Address: address, Label: s.termLabel(r.spec, n), Unit: report.Kronor, Estimate: s.bundle.findings[address], Notes: s.releaseNotes(n.notes)})
			}
		}
	}
	return out
}

// sayMoney says in what money the amounts are.
func (q *Costs) sayMoney(s *state) string {
	switch {
	case q.PriceYear != 0 && q.Discount > 0:
		return s.lang.Text("study.costs-say-prices-discount", "year", strconv.Itoa(q.PriceYear), "rate", q.Discount)
	case q.PriceYear != 0:
		return s.lang.Text("study.costs-say-prices", "year", strconv.Itoa(q.PriceYear))
	case q.Discount > 0:
		return s.lang.Text("study.costs-say-discount", "rate", q.Discount)
	}
	return s.lang.Text("study.costs-say-current")
}

// payersFigure draws the differences by payer, and in total.
func (s *state) payersFigure(r *analysisResult) (plots.Figure, error) {
	q := r.spec.Costs
	d := plots.ForestData{XLabel: s.lang.Text("study.costs-x"), Decimals: 0, Groups: make([]plots.ForestGroup, 1)}
	put := func(term, label string) {
		re, ok := s.releasedNumber(r, term, estimate.MeanDifference)
		if !ok || math.IsNaN(re.Number.CI.Lo) {
			return
		}
		row := plots.ForestRow{Label: label, Estimate: re.Number}
		if v, ok := s.truthOf(r.spec, term); ok {
			row.Known = &v
		}
		d.Groups[0].Rows = append(d.Groups[0].Rows, row)
	}
	if len(q.Payers) > 1 {
		for _, name := range q.Payers {
			put("payer="+name, capital(s.label(name)))
		}
	}
	put("total", s.lang.Text("study.costs-all"))
	if len(d.Groups[0].Rows) == 0 {
		return plots.Figure{}, errWithheld
	}
	return plots.Forest(d, s.labels(), s.style(s.spec.uses(r.spec), s.lang.Text("study.costs-title"), s.lang.Text("study.costs-subtitle", "months", q.Months)))
}

// costMonthsFigure draws what has added up, month by month.
func (s *state) costMonthsFigure(r *analysisResult) (plots.Figure, error) {
	shown := r.own.(*costsResult).shown
	if _, ok := s.releasedNumber(r, "total", estimate.MeanDifference); !ok || len(shown) < 2 {
		return plots.Figure{}, errWithheld
	}
	line := plots.Series{Name: s.lang.Text("study.costs-months-line")}
	for _, m := range shown {
		line.X, line.Y = append(line.X, float64(m.month)), append(line.Y, m.value)
		line.Lo, line.Hi = append(line.Lo, m.lo), append(line.Hi, m.hi)
	}
	d := plots.TrendData{Series: []plots.Series{line}, Level: s.spec.Level, XLabel: s.lang.Text("study.time-to-x"), YLabel: s.lang.Text("study.costs-x")}
	return plots.Trend(d, s.labels(), s.style(s.spec.uses(r.spec), s.lang.Text("study.costs-months-title"), s.lang.Text("study.costs-months-subtitle")))
}

// acceptabilityFigure draws how sure it is, by the price of a net month, that it was worth its cost.
func (s *state) acceptabilityFigure(r *analysisResult) (plots.Figure, error) {
	if _, ok := s.releasedNumber(r, "ratio", progress.CostPerUnit); !ok {
		return plots.Figure{}, errWithheld
	}
	line := plots.Series{Name: s.lang.Text("study.costs-acceptability-line")}
	for _, p := range r.own.(*costsResult).acceptable {
		line.X, line.Y = append(line.X, p.Willingness), append(line.Y, math.Round(1000*p.Probability)/1000)
	}
	d := plots.TrendData{Series: []plots.Series{line}, Percent: true, Level: s.spec.Level, XLabel: s.lang.Text("study.costs-acceptability-x"), YLabel: s.lang.Text("study.costs-acceptability-y")}
	return plots.Trend(d, s.labels(), s.style(s.spec.uses(r.spec), s.lang.Text("study.costs-acceptability-title"), s.lang.Text("study.costs-acceptability-subtitle")))
}
