package study

import (
	"context"
	"errors"
	"fmt"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/estimate/missing"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/internal/num"
	"utfall/table"
)

// refusal is why a number is not given, and what would change that.
type refusal struct{ why, fix table.Note }

// Refused is a question that these data cannot answer: it is refused alone, and the others
// stand. Err is what the method said, for whoever runs the study; the report has Why and Fix.
type Refused struct {
	Analysis string
	Why, Fix string // in the language of the report
	Err      error
}

// errUnanswered says that an analysis rests on one that was refused.
var errUnanswered = errors.New("it rests on an answer that could not be given")

// answer asks one question. What these data cannot answer is refused alone; an error of the
// study file, a wrong row and an interruption stop the run.
func (s *state) answer(a *Analysis) (analysisResult, error) {
	if of := a.rests().of; len(of) > 0 && s.answered(of[0]).unanswered() {
		return s.refuseAlone(a, fmt.Errorf("%w: %s", errUnanswered, of[0])), nil
	}
	r, err := a.ask().estimate(s, a)
	if _, ok := refusable(err); ok {
		return s.refuseAlone(a, err), nil
	}
	if err != nil {
		return r, fmt.Errorf("analysis %s: %w", a.Name, cohortError(err))
	}
	r.spec = a
	if a.Role != "" {
		r.kind = "check"
	}
	return r, s.foundTruth(&r)
}

// refuseAlone stands in the place of an answer: one number, that the report would have led with.
func (s *state) refuseAlone(a *Analysis, err error) analysisResult {
	why, _ := refusable(err)
	method, term, m := chiefOf(s, a)
	return analysisResult{spec: a, method: method, kind: "refused", alone: err, numbers: []found{refuse(term, m, why.why, why.fix)}}
}

// unanswered reports whether the number that an analysis leads with was refused.
func (r *analysisResult) unanswered() bool {
	at := mainNumber(r)
	return at >= 0 && r.numbers[at].not != nil
}

// foundTruth tests that every truth that is named has a number to stand beside.
func (s *state) foundTruth(r *analysisResult) error {
	for _, term := range sortedKeys(r.spec.Truth) {
		there := term == "event"
		for _, n := range r.numbers {
			there = there || n.term == term
		}
		if !there && !r.unanswered() {
			return fmt.Errorf("%w: analysis %s: truth: no number has the term %q", ErrSpec, r.spec.Name, term)
		}
	}
	return nil
}

// refusedAlone are the questions of the run that were refused, in their order.
func (s *state) refusedAlone() []Refused {
	var out []Refused
	for i := range s.results {
		r := &s.results[i]
		if at := mainNumber(r); at >= 0 && r.numbers[at].not != nil {
			out = append(out, s.refusedOf(r.spec.Name, r.numbers[at].not, r.alone))
		}
	}
	return out
}

func (s *state) refusedOf(name string, not *refusal, err error) Refused {
	return Refused{Analysis: name, Why: s.lang.Note(not.why.Code, not.why.Text, not.why.Args), Fix: s.lang.Note(not.fix.Code, not.fix.Text, not.fix.Args), Err: err}
}

// RefusedLines say which questions were refused and why, with what the method said, in the language of the report.
func (o *Outcome) RefusedLines() []string {
	if len(o.Refused) == 0 {
		return nil
	}
	l := lang.Lang(o.Spec.Language)
	out := []string{l.Text("study.refused-count", "n", len(o.Refused))}
	for _, r := range o.Refused {
		line := l.Text("study.refused-line", "name", r.Analysis, "why", r.Why, "fix", r.Fix)
		if r.Err != nil {
			line += " (" + r.Err.Error() + ")"
		}
		out = append(out, line)
	}
	return out
}

// refusable turns what methods say when the data do not suffice into reasons. The second
// result is false for any other error: an option, a row or a frame that is wrong, an
// interruption, and what the program did not foresee.
func refusable(err error) (*refusal, bool) {
	var row *estimate.RowError
	if err == nil || errors.As(err, &row) {
		return nil, false
	}
	for _, stops := range []error{
		ErrSpec, ErrInput, ErrDisclosure, ErrResource, ErrLocked, context.Canceled, context.DeadlineExceeded, estimate.ErrInvalidFrame,
		cohort.ErrOption, cohort.ErrConstraint, effect.ErrOption, panel.ErrOption, missing.ErrOption, table.ErrNoColumn, table.ErrKind, table.ErrFilter,
	} {
		if errors.Is(err, stops) {
			return nil, false
		}
	}
	more := table.Note{Code: "fix-more-people", Text: "Join groups, add start years, or follow people for longer."}
	coarser := table.Note{Code: "fix-coarser", Text: "Use fewer or coarser background columns and steps, or more people."}
	few := &refusal{table.Note{Code: "refused-too-few", Text: "Too few people or events for this number."}, more}
	alike := &refusal{table.Note{Code: "refused-separated", Text: "Some background or steps decide the outcome, or who takes part, in these data: nobody is left to compare with."}, coarser}
	unstable := &refusal{table.Note{Code: "refused-unstable", Text: "The model found no answer in these data."}, coarser}
	constant := &refusal{table.Note{Code: "refused-constant", Text: "Everybody has the same value, so that there is nothing to tell apart."}, more}
	for _, c := range []struct {
		err error
		not *refusal
	}{
		{errUnanswered, &refusal{table.Note{Code: "refused-with-another", Text: "This rests on an answer that could not be given."},
			table.Note{Code: "fix-the-other", Text: "What would help the answer that it rests on helps here, too."}}},
		{estimate.ErrTooFew, few},
		{estimate.ErrNoTreated, few},
		{estimate.ErrNoControls, few},
		{cohort.ErrNoTreated, few},
		{cohort.ErrNoControls, few},
		{cohort.ErrNoSupport, alike},
		{estimate.ErrSeparated, alike},
		{cohort.ErrSeparation, alike},
		{num.ErrSeparated, alike},
		{estimate.ErrCollinear, &refusal{table.Note{Code: "refused-collinear", Text: "Columns of the model tell the same thing in these data, so that their parts cannot be told apart."}, coarser}},
		{estimate.ErrNotConverged, unstable},
		{num.ErrNoConvergence, unstable},
		{num.ErrUnderdispersed, unstable},
		{panel.ErrOnePeriod, &refusal{table.Note{Code: "refused-one-period", Text: "The data have fewer than two periods to compare."},
			table.Note{Code: "fix-more-periods", Text: "Take in more periods before and after the start."}}},
		{missing.ErrConstant, constant},
		{estimate.ErrNotIdentified, &refusal{table.Note{Code: "refused-not-identified", Text: "These data do not hold the answer."}, coarser}},
		{estimate.ErrWeights, weightsDiffer()},
	} {
		if errors.Is(err, c.err) {
			return c.not, true
		}
	}
	return nil, false
}

func weightsDiffer() *refusal {
	return &refusal{table.Note{Code: "refused-weights", Text: "The method cannot use weights that differ between people."},
		table.Note{Code: "fix-even-weights", Text: "Match participants to the same number of comparison people each, so that everybody counts the same."}}
}
