package study

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/study/release"
	"utfall/table"
)

// analysisResult is what one analysis found, before disclosure control.
type analysisResult struct {
	spec    *Analysis
	method  string // as in methodTexts
	kind    string // effect, association, description, refused, or check: how far another number may be trusted
	numbers []found
	notes   []table.Note
	fitted  *fitted   // for analyses that rest on this one; nil where none can
	own     any       // what the method keeps for its figures and sentences
	event   []found   // event study, for its figure
	mixed   *mixtures // what the numbers are sums of
	states  *stateCurves
	trend   []trendPoint
	alone   error // why the whole question was refused; nil where it was answered
}

// found is an estimate with the units it rests on.
type found struct {
	term  string
	e     estimate.Estimate
	basis release.Basis
	notes []table.Note
	kind  string   // "" = that of the result
	not   *refusal // nil where there is a number
}

// withoutWidth takes the interval off a number whose standard error is 0: nothing varied
// in the data, which does not make it certain.
func (n found) withoutWidth() found {
	n.e.CI.Lo, n.e.CI.Hi = math.NaN(), math.NaN()
	n.notes = append(slices.Clip(n.notes), table.Note{Code: "no-variation", Text: "The standard error is 0: nothing varied in the data, which does not make the number certain, and no interval is given."})
	return n
}

// refuse stands in the place of a number that is not given.
func refuse(term string, m estimate.Measure, why, fix table.Note) found {
	nan := math.NaN()
	e := estimate.Estimate{Term: term, Measure: m, Value: nan, SE: nan}
	e.CI, e.Test = noInterval()
	return found{term: term, e: e, kind: "refused", not: &refusal{why, fix}}
}

func (s *state) estimate() error {
	for i := range s.spec.Analyses {
		a := &s.spec.Analyses[i]
		s.o.report("estimate", a.Name, i, len(s.spec.Analyses))
		if err := s.ctx.Err(); err != nil {
			return err
		}
		r, err := s.answer(a)
		if err != nil {
			return err
		}
		s.results = append(s.results, r)
	}
	s.o.report("estimate", "", len(s.spec.Analyses), len(s.spec.Analyses))
	err := s.adjust()
	if err != nil {
		return cohortError(err)
	}
	s.bundle, err = s.assemble()
	return err
}

// effect estimates the effect of treatment on an outcome in a cohort.
func (s *state) effect(a *Analysis) (analysisResult, error) {
	e, b := a.Effect, s.cohorts[a.Effect.Cohort]
	r := analysisResult{method: "effect." + e.Method, kind: "association"}
	if b.designed() || b.censored != nil || e.adjusts() {
		r.kind = "effect"
	}
	rows, notes, err := s.effectRows(b, e)
	if err != nil {
		return r, err
	}
	f, err := s.effectFrame(b, e, rows)
	if err != nil {
		return r, err
	}
	res, err := s.estimator(e).Fit(s.ctx, f)
	if err != nil {
		return r, err
	}
	r.notes = append(append(notes, b.notes...), res.Notes...)
	r.fitted = &fitted{f, res, rows}
	if r.numbers, err = s.effectNumbers(e, b, f, res); err != nil {
		return r, err
	}
	if len(e.Subgroups) > 0 {
		more, notes, err := s.subgroups(b, e, r.numbers[0])
		if err != nil {
			return r, err
		}
		s.besideTruth(a, more)
		r.numbers, r.notes = append(r.numbers, more...), append(r.notes, notes...)
	}
	return r, nil
}

// besideTruth says beside each number what was put into a simulated register: the report
// shows that of the main number by itself.
func (s *state) besideTruth(a *Analysis, numbers []found) {
	for i := range numbers {
		v, ok := s.truthOf(a, numbers[i].term)
		if !ok || numbers[i].not != nil {
			continue
		}
		shown := math.Round(10*v) / 10
		note := table.Note{Code: "known-truth", Text: fmt.Sprintf("The effect that was put into the simulated register is %g.", shown), Args: map[string]any{"v": shown}}
		if numbers[i].e.Measure == estimate.RiskDifference {
			shown = math.Round(1000*v) / 10
			note = table.Note{Code: "known-truth-points", Text: fmt.Sprintf("The effect that was put into the simulated register is %g percentage points.", shown), Args: map[string]any{"v": shown}}
		}
		numbers[i].notes = append(numbers[i].notes, note)
	}
}

// effectNumbers are the effect and what stands beside it: a ratio that was asked for,
// and quantiles. Coefficients of the outcome model are no results of the study.
func (s *state) effectNumbers(e *Effect, b *built, f *estimate.Frame, res *estimate.Result) ([]found, error) {
	about := or(e.Estimand, cohort.ATT) // the estimator's word for whom the effect is about
	whole := effectBasis(f)
	var out []found
	for _, est := range res.Estimates {
		n := found{term: est.Term, e: est, basis: whole}
		n.basis.DF = est.Test.DF
		switch p, quantile := strings.CutPrefix(est.Term, about+",quantile="); {
		case quantile:
			// People beyond the quantile are what it rests on.
			share, err := strconv.ParseFloat(p, 64)
			if err != nil {
				return nil, err
			}
			share = min(share, 1-share)
			n.basis.Events = nil
			n.basis.Cohort = release.Arms{Treated: whole.Treated, Control: whole.Control}
			n.basis.Treated, n.basis.Control = int(share*float64(whole.Treated)), int(share*float64(whole.Control))
		case est.Term != about:
			continue
		case est.Measure == effect.RiskRatio || est.Measure == effect.OddsRatio:
			if string(est.Measure) != e.Measure {
				continue
			}
		case len(out) == 0:
			if e.Measure != "" && !e.ratios() && string(est.Measure) != e.Measure {
				return nil, fmt.Errorf("%w: measure %s is of another kind of outcome: this one gives a %s", ErrSpec, e.Measure, est.Measure)
			}
		}
		if !e.adjusts() || b.spec.Match != nil {
			n.term = strings.Replace(n.term, about, b.term(), 1)
		}
		n.e.Term = n.term
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, errors.New("the method gave no effect")
	}
	return out, nil
}

// effectBasis counts the people of a frame by group and, for an outcome of 0 or 1, those with a 1.
func effectBasis(f *estimate.Frame) release.Basis {
	var n, events release.Arms
	for i, treated := range f.Treated {
		if treated {
			n.Treated++
			events.Treated += int(indicator(f.Y[i] == 1))
		} else {
			n.Control++
			events.Control += int(indicator(f.Y[i] == 1))
		}
	}
	out := release.Basis{Treated: n.Treated, Control: n.Control}
	if zeroOne(f.Y) {
		out.Events = &events
	}
	return out
}

func zeroOne(y []float64) bool {
	for _, v := range y {
		if v != 0 && v != 1 {
			return false
		}
	}
	return true
}

// term names whom the effect of the cohort is about: weights may be for others than the
// participants, and clones stand for everybody. A match serves participants; that some
// found nobody is said beside it.
func (b *built) term() string {
	switch {
	case b.grace():
		return cohort.ATE
	case b.spec.Weight != nil:
		return b.estimand
	}
	return cohort.ATT
}

// estimator is the method of an effect.
func (s *state) estimator(e *Effect) estimate.Estimator {
	vcov, workers := effect.Vcov(e.Vcov), s.o.Workers
	var seed uint64
	if e.Folds > 0 {
		seed = s.seedOf("effect/folds")
	}
	switch e.Method {
	case "regression":
		return effect.Regression{Vcov: vcov, Interactions: e.Interactions}
	case "g-computation":
		return effect.GComputation{Estimand: e.Estimand, OutcomeModel: e.OutcomeModel, Vcov: vcov, Ratios: e.ratios(), Workers: workers}
	case "ipw":
		return effect.IPW{Estimand: e.Estimand, Vcov: vcov, Ratios: e.ratios(), Quantiles: e.Quantiles, Workers: workers}
	case "aipw":
		d := effect.AIPW{Estimand: e.Estimand, OutcomeModel: e.OutcomeModel, Folds: e.Folds, Repeats: e.Repeats, Seed: seed, Nuisance: e.Nuisance, Vcov: vcov, Ratios: e.ratios(), Workers: workers}
		if e.Folds == 0 {
			d.Errors = "stacked"
		}
		return d
	case "tmle":
		return effect.TMLE{Estimand: e.Estimand, Folds: e.Folds, Repeats: e.Repeats, Seed: seed, Nuisance: e.Nuisance, Vcov: vcov, Ratios: e.ratios(), Workers: workers}
	case "dml":
		return effect.DML{Estimand: e.Estimand, OutcomeModel: e.OutcomeModel, Nuisance: e.Nuisance, Folds: e.Folds, Repeats: e.Repeats, Seed: seed, Vcov: vcov, Ratios: e.ratios(), Workers: workers}
	case "bias-corrected-matching":
		return effect.BiasCorrectedMatching{Estimand: e.Estimand, Variance: nearestForVariance, Workers: workers}
	}
	return effect.Difference{Vcov: vcov}
}

// nearestForVariance is how many people of the same group tell the spread of an outcome
// given background, in bias-corrected matching.
const nearestForVariance = 4
