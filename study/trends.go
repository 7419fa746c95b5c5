package study

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/study/release"
	"utfall/table"
)

// Measures of numbers that say how far an effect can be trusted.
const (
	breakdownValue  estimate.Measure = "breakdown"
	weightShare     estimate.Measure = "share"
	chiSquare       estimate.Measure = "chi-square"
	slopePerPeriod  estimate.Measure = "slope"
	biasUndetected  estimate.Measure = "bias"
	detectablePower                  = 0.8
)

// trendsRun answers one trends analysis.
type trendsRun struct {
	s     *state
	q     *Trends
	a     *Analysis
	of    *DID
	fit   *panelFit
	kind  panel.Aggregation // whose overall effect is asked about
	basis release.Basis
	r     analysisResult
}

func (t *trendsRun) run() (analysisResult, error) {
	t.r = analysisResult{method: "trends", kind: "check"}
	earlier := t.s.answered(t.q.Of)
	if earlier == nil {
		return t.r, fmt.Errorf("analysis %s has no result", t.q.Of)
	}
	t.fit, t.of = earlier.own.(*panelFit), earlier.spec.DID
	if err := t.overall(); err != nil {
		return t.r, err
	}
	for _, step := range []func() error{t.estimators, t.honest, t.placebos, t.negative} {
		if err := t.s.ctx.Err(); err != nil {
			return t.r, err
		}
		if err := step(); err != nil {
			return t.r, err
		}
	}
	return t.r, nil
}

// overall finds whose overall effect the analysis reports first, and what it rests on.
func (t *trendsRun) overall() error {
	at := slices.IndexFunc(t.of.Aggregate, func(k string) bool { return k != "none" })
	t.kind = panel.Simple
	if at >= 0 {
		t.kind = panel.Aggregation(t.of.Aggregate[at])
	}
	if slices.Contains(t.of.Aggregate, "simple") {
		t.kind = panel.Simple
	}
	o := panel.AggregateOptions{Bands: panel.Pointwise}
	if t.kind == panel.Dynamic {
		o.BalanceEvent = t.of.BalanceEvent
	}
	res, err := t.fit.cells.Aggregate(t.kind, o)
	if err != nil {
		return err
	}
	bases, _ := didBases(t.fit.cells, string(t.kind), res)
	t.basis = bases[len(bases)-1]
	t.basis.Published = t.s.spec.Data[t.of.Data].Published
	return nil
}

func (t *trendsRun) add(term string, m estimate.Measure, value float64) {
	e := estimate.Estimate{Term: term, Measure: m, Value: value, SE: math.NaN()}
	e.CI, e.Test = noInterval()
	t.r.numbers = append(t.r.numbers, found{term: term, e: e, basis: t.basis})
}

// estimators are other answers to the same question.
func (t *trendsRun) estimators() error {
	f := t.fit.frame
	varying, constant := splitCovariates(f)
	for _, name := range t.q.Estimators {
		o := panel.EventOptions{Anticipation: t.of.Anticipation, Bands: panel.Pointwise, Workers: t.s.o.Workers}
		with := byPeriod(f, varying, constant)
		bare := *f
		bare.X, bare.XNames = nil, nil
		without := f.X != nil && (name == "stacked" || name == "lpdid")
		var res *estimate.Result
		var err error
		switch name {
		case "sun-abraham":
			res, err = panel.SunAbraham{EventOptions: o}.Fit(t.s.ctx, with)
		case "imputation":
			res, err = panel.Imputation{EventOptions: o}.Fit(t.s.ctx, with)
		case "two-stage":
			res, err = panel.TwoStage{EventOptions: o}.Fit(t.s.ctx, with)
		case "etwfe":
			res, err = panel.ExtendedTwoWay{EventOptions: o}.Fit(t.s.ctx, f)
		case "stacked":
			res, err = panel.Stacked{EventOptions: o}.Fit(t.s.ctx, &bare)
		case "lpdid":
			res, err = panel.LocalProjections{EventOptions: o}.Fit(t.s.ctx, &bare)
		case "dcdh":
			if res, err = (panel.Intertemporal{EventOptions: o}).Fit(t.s.ctx, with); f.X != nil && (errors.Is(err, estimate.ErrCollinear) || errors.Is(err, estimate.ErrTooFew)) {
				without = true // no unit is untreated long enough to tell what background does in each period
				res, err = panel.Intertemporal{EventOptions: o}.Fit(t.s.ctx, &bare)
			}
		case "twfe":
			res, err = panel.TwoWay{EventOptions: o}.Fit(t.s.ctx, with)
		}
		if err != nil {
			return fmt.Errorf("estimator %s: %w", name, t.s.panelError(t.of.columns(), err))
		}
		e := res.Estimates[len(res.Estimates)-1]
		e.Term = "estimator=" + name
		n := found{term: e.Term, e: e, basis: t.basis}
		if without {
			n.notes = append(n.notes, table.Note{Code: "estimator-without-covariates", Text: "This estimator takes no background: trends are compared as they are."})
		}
		t.r.numbers = append(t.r.numbers, n)
		if name == "twfe" {
			if err := t.forbidden(&bare); err != nil {
				return err
			}
		}
	}
	return nil
}

// forbidden is the share of the two-way fixed-effects coefficient that compares with units already treated.
func (t *trendsRun) forbidden(f *panel.Frame) error {
	plain := *f
	plain.Weight, plain.Cluster = nil, nil // the shares are of the unweighted regression
	treated := make([]bool, len(f.Y))
	for i, g := range f.Cohort {
		treated[i] = g != 0 && f.Time[i] >= g
	}
	res, err := panel.Bacon{}.Fit(t.s.ctx, &plain, treated)
	if err != nil {
		return fmt.Errorf("decomposition of two-way fixed effects: %w", err)
	}
	share := 0.0
	for _, c := range res.Details["components"].([]panel.BaconComponent) {
		if c.Type == "Later vs Earlier Treated" || c.Type == "Later vs Always Treated" {
			share += c.Weight
		}
	}
	t.add("twfe-forbidden-share", weightShare, share)
	return nil
}

// splitCovariates finds the covariates that change over time within some unit, and those that do not.
func splitCovariates(f *panel.Frame) (varying, constant []int) {
	first := map[string]int{}
	for j := range f.XNames {
		same := true
		for i, u := range f.Unit {
			if _, ok := first[u]; !ok {
				first[u] = i
			}
			same = same && f.X.At(i, j) == f.X.At(first[u], j)
		}
		if same {
			constant = append(constant, j)
		} else {
			varying = append(varying, j)
		}
	}
	return varying, constant
}

// byPeriod gives covariates that stay the same a coefficient in each period but the first: unit effects take up all else of them.
func byPeriod(f *panel.Frame, varying, constant []int) *panel.Frame {
	if f.X == nil {
		return f
	}
	periods := slices.Compact(slices.Sorted(slices.Values(f.Time)))
	out := *f
	out.XNames = nil
	out.X = mat.NewDense(len(f.Y), len(varying)+len(constant)*(len(periods)-1), nil)
	at := 0
	for _, j := range varying {
		for i := range f.Y {
			out.X.Set(i, at, f.X.At(i, j))
		}
		out.XNames = append(out.XNames, f.XNames[j])
		at++
	}
	for _, j := range constant {
		mean := mat.Sum(f.X.ColView(j)) / float64(len(f.Y))
		for _, p := range periods[1:] {
			for i := range f.Y {
				if f.Time[i] == p {
					out.X.Set(i, at, f.X.At(i, j)-mean)
				}
			}
			out.XNames = append(out.XNames, fmt.Sprintf("%s in %d", f.XNames[j], p))
			at++
		}
	}
	return &out
}

// honest asks how far trends may depart before the effect is gone, and what the test before entry could have found.
func (t *trendsRun) honest() error {
	h := t.q.Honest
	if h == nil {
		return nil
	}
	o := panel.AggregateOptions{}
	if t.kind == panel.Dynamic {
		o.BalanceEvent = t.of.BalanceEvent
	}
	curve, err := t.fit.cells.Curve(t.kind, o)
	if err != nil {
		return err
	}
	c, target, err := curve.Coefficients(panel.Overall)
	if err != nil {
		return err
	}
	option := panel.Honest{Type: h.Type, M: h.M, Target: target, Level: t.s.spec.Level, Workers: t.s.o.Workers}
	if h.Type == panel.RelativeMagnitudes {
		option.Seed = t.s.seedOf("trends/" + t.a.Name)
	}
	res, err := option.Fit(t.s.ctx, c)
	if err != nil {
		return err
	}
	for i, e := range res.Estimates {
		e.Term = "honest:M=" + fmt.Sprint(h.M[i])
		e.Test.Null = h.M[i] // for its label; there is no test
		t.r.numbers = append(t.r.numbers, found{term: e.Term, e: e, basis: t.basis, notes: res.Notes})
	}
	t.add("breakdown", breakdownValue, res.Details["breakdown"].(float64))
	power, err := panel.PreTestPower{Power: []float64{detectablePower}, Test: "joint"}.Fit(t.s.ctx, c, curve.Event, curve.Reference, target)
	if err != nil {
		return err
	}
	test := estimate.Estimate{Term: "pretest", Measure: chiSquare, Value: power.Stat, SE: math.NaN()}
	test.CI, test.Test = noInterval()
	test.Test = estimate.Test{Stat: power.Stat, DF: power.DF, P: power.P}
	t.r.numbers = append(t.r.numbers, found{term: test.Term, e: test, basis: t.basis})
	t.add("detectable-slope", slopePerPeriod, power.Trends[0].Slope)
	t.add("bias-of-slope", biasUndetected, power.Trends[0].BiasNotRejected)
	return nil
}

// placebos move entry earlier.
func (t *trendsRun) placebos() error {
	for _, k := range t.q.PlaceboDates {
		e, n, err := t.fit.cells.PlaceboDate(k)
		if errors.Is(err, estimate.ErrNotIdentified) {
			return fmt.Errorf("%w; leave it out of placebo_dates", err)
		}
		if err != nil {
			return err
		}
		t.r.numbers = append(t.r.numbers, found{term: e.Term, e: e, basis: t.s.placesBasis(t.of.Data, n.Treated, n.Units-n.Treated)})
	}
	return nil
}

// negative estimates the same effect on outcomes that entry cannot change.
func (t *trendsRun) negative() error {
	for _, column := range t.q.NegativeOutcomes {
		d := *t.of
		d.Outcome = column
		f, notes, err := t.s.panelFrame(&d)
		if err != nil {
			return err
		}
		gt, err := panel.GroupTime{Method: d.Method, Control: d.Control, Base: d.Base, Anticipation: d.Anticipation, Workers: t.s.o.Workers}.Fit(t.s.ctx, f)
		if err != nil {
			return fmt.Errorf("negative outcome %s: %w", column, t.s.panelError(d.columns(), err))
		}
		o := panel.AggregateOptions{Bands: panel.Pointwise}
		if t.kind == panel.Dynamic {
			o.BalanceEvent = d.BalanceEvent
		}
		res, err := gt.Aggregate(t.kind, o)
		if err != nil {
			return fmt.Errorf("negative outcome %s: %w", column, err)
		}
		bases, _ := didBases(gt, string(t.kind), res)
		e := res.Estimates[len(res.Estimates)-1]
		e.Term = "negative=" + column
		t.r.numbers = append(t.r.numbers, found{term: e.Term, e: e, basis: bases[len(bases)-1], notes: notes})
	}
	return nil
}

// say puts what was found in sentences, of released numbers only.
func (q *Trends) say(s *state, r *analysisResult) []string {
	get := func(term string) (estimate.Estimate, bool) {
		for _, n := range r.numbers {
			if n.term == term {
				re := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
				return re.Number, re.Shown
			}
		}
		return estimate.Estimate{}, false
	}
	two := func(v float64) string { return s.lang.Significant(v, 2) }
	var out []string
	lo, hi, others := math.Inf(1), math.Inf(-1), 0
	for _, name := range q.Estimators {
		if e, ok := get("estimator=" + name); ok && !slices.Contains([]string{"twfe", "stacked", "lpdid"}, name) { // the last two are about the first years only
			lo, hi = math.Min(lo, e.Value), math.Max(hi, e.Value)
			others++
		}
	}
	switch {
	case others == 1:
		out = append(out, s.lang.Text("study.trends-say-other", "value", two(lo)))
	case others > 1 && two(lo) == two(hi):
		out = append(out, s.lang.Text("study.trends-say-same", "n", others, "value", two(lo)))
	case others > 1:
		out = append(out, s.lang.Text("study.trends-say-others", "n", others, "lo", two(lo), "hi", two(hi)))
	}
	if e, ok := get("estimator=twfe"); ok {
		if share, ok := get("twfe-forbidden-share"); ok {
			out = append(out, s.lang.Text("study.trends-say-twfe", "value", two(e.Value), "share", s.lang.Percent(share.Value, 0)))
		}
	}
	if b, ok := get("breakdown"); ok {
		key := "study.trends-say-breakdown-" + q.Honest.Type
		switch {
		case b.Value == 0:
			key = "study.trends-say-breakdown-zero"
		case math.IsNaN(b.Value):
			key = "study.trends-say-breakdown-none"
		}
		out = append(out, s.lang.Text(key, "m", two(b.Value)))
	}
	if e, ok := get("pretest"); ok {
		slope, _ := get("detectable-slope")
		bias, _ := get("bias-of-slope")
		key := "study.trends-say-pretest"
		if e.Test.P < 0.05 {
			key = "study.trends-say-pretest-rejects"
		}
		out = append(out, s.lang.Text(key, "p", s.lang.PValue(e.Test.P), "slope", two(slope.Value), "bias", two(bias.Value)))
	}
	outside := func(terms []string) (n, of int) {
		for _, term := range terms {
			if e, ok := get(term); ok {
				of++
				if e.CI.Lo > 0 || e.CI.Hi < 0 {
					n++
				}
			}
		}
		return n, of
	}
	var dates, columns []string
	for _, k := range q.PlaceboDates {
		dates = append(dates, fmt.Sprintf("placebo-date=%d", k))
	}
	for _, c := range q.NegativeOutcomes {
		columns = append(columns, "negative="+c)
	}
	if n, of := outside(dates); of > 0 {
		out = append(out, s.lang.Text("study.trends-say-placebo", "n", n, "of", of))
	}
	if n, of := outside(columns); of > 0 {
		out = append(out, s.lang.Text("study.trends-say-negative", "n", n, "of", of))
	}
	if len(out) == 0 {
		out = append(out, s.lang.Text("study.trends-say-nothing"))
	}
	return out
}
