package study

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/sensitivity"
	"utfall/study/release"
	"utfall/table"
)

// Roles of an analysis whose answer says how far another may be trusted: what it is
// about cannot have been changed by the measure.
const (
	negativeControl = "negative-control" // background settled before the start
	placebo         = "placebo"          // at a placebo time zero, or of a placebo outcome
)

// trustRun is one analysis of trust at work.
type trustRun struct {
	s     *state
	q     *Trust
	of    *analysisResult
	b     *built
	basis release.Basis
	e     estimate.Estimate // the claimed effect
	r     *analysisResult
}

// trust asks how far an effect may be trusted.
func (s *state) trust(a *Analysis) (analysisResult, error) {
	r := analysisResult{method: "trust", kind: "check"}
	t := &trustRun{s: s, q: a.Trust, of: s.answered(a.Trust.Of), r: &r}
	t.b = s.cohorts[t.of.spec.Effect.Cohort]
	t.e, t.basis = t.of.numbers[0].e, t.of.numbers[0].basis
	for _, part := range []struct {
		asked bool
		do    func() error
		term  string // of its first number
		m     estimate.Measure
	}{
		{t.q.EValue, t.evalue, "evalue", sensitivity.EValueMeasure}, {t.q.Rosenbaum != nil, t.pairs, "gamma", sensitivity.GammaValue},
		{t.q.Omitted != nil, t.omitted, "robustness", sensitivity.RobustnessValue}, {t.q.LeaveOut != "", t.leaveOut, "without-smallest", t.e.Measure},
		{t.q.Tipping != nil, t.tipping, "tipping,path=opposite", sensitivity.Shift}, {len(t.q.Controls) > 0, t.controls, "calibrated", t.e.Measure},
		{t.q.Placebo != nil, t.placebos, "placebo", sensitivity.ShareOfClaim},
	} {
		if !part.asked {
			continue
		}
		if err := s.ctx.Err(); err != nil {
			return r, err
		}
		err := part.do()
		if _, ok := refusable(err); ok { // the answer that is checked stands
			t.refuse(part.term, part.m, note("trust-too-little", "There are too few people, or too little differs among them, for this check."), note("trust-more-people", "More people would make the comparison sharper."))
			continue
		}
		if err != nil {
			if errors.Is(err, sensitivity.ErrOption) || errors.Is(err, sensitivity.ErrBenchmark) {
				err = fmt.Errorf("%w: %w", ErrSpec, err)
			}
			return r, err
		}
	}
	return r, nil
}

// add keeps a number with the units it rests on; cells are further counts that must
// reach the smallest count that is shown, or the number is withheld.
func (t *trustRun) add(e estimate.Estimate, notes []table.Note, cells ...int) {
	on := t.basis
	for _, n := range cells {
		if n < t.s.policy.Threshold() {
			on = release.Basis{Treated: n, Control: n, DF: math.Inf(1)}
			break
		}
	}
	t.r.numbers = append(t.r.numbers, found{term: e.Term, e: e, basis: on, notes: notes})
}

func (t *trustRun) refuse(term string, m estimate.Measure, why, fix table.Note) {
	t.r.numbers = append(t.r.numbers, refuse(term, m, why, fix))
}

// column is where the analysis's first number stands in what its method gave.
func (r *analysisResult) column() int {
	main := r.numbers[0].e
	return slices.IndexFunc(r.fitted.result.Estimates, func(e estimate.Estimate) bool {
		return e.Measure == main.Measure && e.Value == main.Value && e.SE == main.SE
	})
}

// frame is that of the claimed effect.
func (t *trustRun) frame() *estimate.Frame { return t.of.fitted.frame }

// evalue is of the claimed difference. The comparison group's share is rounded to whole
// per cent and a standard deviation to two digits, so that no count can be worked out.
func (t *trustRun) evalue() error {
	o := sensitivity.EValue{Measure: "md", Estimate: t.e.Value, ConfLow: t.e.CI.Lo, ConfHi: t.e.CI.Hi, StdError: math.NaN(), Level: t.e.CI.Level}
	if t.e.Measure == estimate.RiskDifference {
		o.Measure, o.Baseline = "rd", math.Round(100*armMean(t.frame(), false))/100
		if !(o.Baseline > 0 && o.Baseline < 1) || !(o.Baseline+o.Estimate > 0 && o.Baseline+o.Estimate <= 1) {
			t.refuse("evalue", sensitivity.EValueMeasure, note("trust-share-extreme", "The comparison group's share is too near to 0 or 1 for a ratio."), note("trust-look-elsewhere", "The other checks do not need it."))
			return nil
		}
	} else {
		o.SD = spread(t.frame())
	}
	res, err := o.Value()
	if err != nil {
		return err
	}
	for _, e := range res.Estimates {
		switch e.Term {
		case "point":
			e.Term = "evalue"
			t.add(e, nil)
		case "interval":
			e.Term = "evalue-limit"
			t.add(e, nil)
		}
	}
	return nil
}

func note(code, text string) table.Note { return table.Note{Code: code, Text: text} }

// pairs bounds what a hidden cause can do in matched pairs; only there.
func (t *trustRun) pairs() error {
	f := *t.frame()
	f.Cluster, f.X, f.XNames = nil, nil, nil
	if !even(f.Weight.Values) || f.Set == nil {
		t.refuse("gamma", sensitivity.GammaValue, note("trust-no-pairs", "The bounds need pairs: one comparison person for each participant."), note("trust-match-pairs", "A match with ratio 1 makes pairs."))
		return nil
	}
	f.Weight = estimate.Weights{}
	o := sensitivity.Rosenbaum{Gamma: t.q.Rosenbaum.Gamma, Alternative: "greater", Binary: zeroOne(f.Y)}
	if t.e.Value < 0 {
		o.Alternative = "less"
	}
	res, err := o.Fit(t.s.ctx, &f)
	if errors.Is(err, sensitivity.ErrNotPairs) {
		t.refuse("gamma", sensitivity.GammaValue, note("trust-no-pairs", "The bounds need pairs: one comparison person for each participant."), note("trust-match-pairs", "A match with ratio 1 makes pairs."))
		return nil
	}
	if err != nil {
		return err
	}
	var cells []int
	if o.Binary {
		cells = []int{res.Details["discordant_treated_only"].(int), res.Details["discordant_control_only"].(int)}
	}
	last := res.Estimates[len(res.Estimates)-1]
	last.Term = "gamma"
	if math.IsNaN(last.Value) {
		t.refuse("gamma", sensitivity.GammaValue, note("trust-pairs-unclear", "The pairs alone do not establish the difference, so that there is nothing to explain away."), note("trust-more-people", "More people would make the comparison sharper."))
	} else {
		t.add(last, nil, cells...)
	}
	for _, e := range res.Estimates[:len(res.Estimates)-1] {
		if !math.IsNaN(e.Value) {
			t.add(e, nil, cells...)
		}
	}
	return nil
}

// even says that all weights are the same.
func even(w []float64) bool {
	for _, v := range w {
		if v != w[0] {
			return false
		}
	}
	return true
}

// omitted compares a hidden covariate with measured ones.
func (t *trustRun) omitted() error {
	f := *t.frame()
	if !even(f.Weight.Values) {
		t.refuse("robustness", sensitivity.RobustnessValue, note("trust-weighted", "The bounds hold for a comparison without weights, and people count differently here."), note("trust-match-pairs", "A match with ratio 1 makes pairs."))
		return nil
	}
	const treatment = "\x00treatment"
	n, k := len(f.Y), len(f.XNames)
	x := mat.NewDense(n, k+1, nil)
	for i := range n {
		if f.Treated[i] {
			x.Set(i, 0, 1)
		}
		for j := range k {
			x.Set(i, j+1, f.X.At(i, j))
		}
	}
	f.XNames, f.X = append([]string{treatment}, f.XNames...), x
	f.Weight, f.Cluster, f.Set = estimate.Weights{}, nil, nil
	o := sensitivity.OmittedVariable{Treatment: treatment, Strength: t.q.Omitted.Strength, Workers: t.s.o.Workers}
	all := sensitivity.Benchmark{Name: strings.Join(t.q.Omitted.Benchmarks, "+")}
	for _, name := range t.q.Omitted.Benchmarks {
		m := sensitivity.Benchmark{Name: name}
		for _, c := range f.XNames {
			if c == name || strings.HasPrefix(c, name+"[") && strings.HasSuffix(c, "]") {
				m.Columns = append(m.Columns, c)
			}
		}
		all.Columns = append(all.Columns, m.Columns...)
		o.Benchmarks = append(o.Benchmarks, m)
	}
	if t.q.Omitted.Together {
		o.Benchmarks = append(o.Benchmarks, all)
	}
	res, err := o.Fit(t.s.ctx, &f)
	if err != nil {
		return err
	}
	for _, e := range res.Estimates {
		switch {
		case e.Term == "rv_q":
			e.Term = "robustness"
		case e.Term == "rv_qa":
			e.Term = "robustness-limit"
		case e.Term == treatment || e.Term == "r2yd.x":
			continue
		default:
			e.Term = "omitted=" + e.Term
			if e.Measure == estimate.Coefficient {
				e.Measure = t.e.Measure
			}
		}
		t.add(e, nil)
	}
	t.r.notes = append(t.r.notes, res.Notes...)
	return nil
}
