package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/study/release"
	"utfall/table"
)

// mostLost is the share of a group that may be lost in a month whose steps are compared: what those lost would have been counts for nothing.
const mostLost = 0.2

// ladderRun is the comparison of steps of one cohort.
type ladderRun struct {
	s      *state
	q      *Steps
	b      *built
	u      *progressUnits
	file   *Ladder
	ladder progress.Ladder
	orders map[string]progress.Ladder
	strata []int // by row of the cohort; nil = one
	names  []string
	r      *analysisResult
}

func (s *state) newLadderRun(q *Steps) (*ladderRun, error) {
	b := s.cohorts[q.Cohort]
	u, err := newProgressUnits(b)
	if err != nil {
		return nil, err
	}
	run := &ladderRun{s: s, q: q, b: b, u: u, file: s.ladders[q.Ladder]}
	if run.ladder, err = run.file.of(b.paths.States); err != nil {
		return nil, err
	}
	if run.orders, err = run.file.orders(b.paths.States); err != nil {
		return nil, err
	}
	if err := s.checkAbsorbing(u, run.file); err != nil {
		return nil, err
	}
	if len(q.Strata) == 0 {
		return run, nil
	}
	cell := make([]string, len(u.id))
	for _, name := range q.Strata {
		c, err := b.table.Category(name)
		if err != nil {
			return nil, fmt.Errorf("%w: strata: %w", ErrSpec, err)
		}
		for i := range cell {
			level := "" // a level of its own: not known
			if c.Has(i) {
				level = c.Levels[c.Codes[i]]
			}
			cell[i] += "/" + level
		}
	}
	run.names = slices.Compact(slices.Sorted(slices.Values(cell)))
	run.strata = make([]int, len(cell))
	for i, v := range cell {
		run.strata[i], _ = slices.BinarySearch(run.names, v)
	}
	return run, nil
}

func (s *state) ladderSteps(a *Analysis) (analysisResult, error) {
	q := a.Steps
	r := analysisResult{method: "ladder", kind: "association", notes: slices.Clone(s.cohorts[q.Cohort].notes)}
	run, err := s.newLadderRun(q)
	if err != nil {
		return r, err
	}
	if run.b.designed() {
		r.kind = "effect"
	}
	run.r = &r
	months := slices.Sorted(slices.Values(q.At))
	slices.Reverse(months) // the main number is that of the last
	for _, m := range months {
		if err := run.month(m); err != nil {
			return r, err
		}
	}
	return r, nil
}

// month compares the steps of one month.
func (t *ladderRun) month(m int) error {
	at := "time=" + strconv.Itoa(m)
	rows, gone := t.b.complete(func(i int) bool { return t.b.paths.At(i, m) >= 0 })
	treated := pickBool(t.b.treated, rows)
	sizes, all := arms(treated), arms(t.b.treated)
	lost := func(left, of int) bool { return float64(of-left) > mostLost*float64(of) }
	if lost(sizes.Treated, all.Treated) || lost(sizes.Control, all.Control) {
		t.r.numbers = append(t.r.numbers, refuse(at, progress.NetBenefit,
			table.Note{Code: "refused-many-lost", Text: "More than a fifth of a group is not followed to that month, and nobody stands in for them."},
			table.Note{Code: "fix-earlier-month", Text: "Ask about an earlier month, or about net months, which take in people for as long as they are followed."}))
		return nil
	}
	var notes []table.Note
	if gone > 0 {
		notes = append(notes, table.Note{Code: "not-seen-at", Text: "Some people are not seen in that month and are left out, with those who were matched to them.", Args: map[string]any{"rows": gone, "t": m}})
	}
	x := &progress.Steps{Frame: estimate.Frame{Treated: treated, Level: t.s.spec.Level}}
	state := make([]string, len(rows))
	for k, i := range rows {
		x.Unit = append(x.Unit, t.u.id[i])
		state[k] = t.b.paths.States[t.b.paths.At(i, m)]
	}
	if t.b.weight != nil {
		x.Weight = estimate.Weights{Kind: estimate.Matching, Values: pickFloat(t.b.weight, rows)}
	}
	if t.b.cluster != nil {
		x.Cluster = dense(t.b.cluster, rows)
	}
	if t.strata != nil {
		x.StratumNames = t.names
		for _, i := range rows {
			x.Stratum = append(x.Stratum, t.strata[i])
		}
	}
	x.Y = onLadder(state, t.ladder)
	on := stepsBasis(x.Y, treated, all)
	res, ok, err := t.wins(x, at)
	if err != nil || !ok {
		return err
	}
	notes = append(notes, res.Notes...)
	add := func(term string, e estimate.Estimate, basis release.Basis, notes ...table.Note) {
		e.Term = term
		t.r.numbers = append(t.r.numbers, found{term: term, e: e, basis: basis, notes: notes})
	}
	for _, measure := range []estimate.Measure{progress.NetBenefit, estimate.WinProbability, progress.WinOdds, progress.WinRatio} {
		for _, e := range res.Estimates {
			if e.Measure == measure {
				add(at, e, on, notes...)
				notes = nil
			}
		}
	}
	for _, part := range []struct{ name, key string }{{pairsWon, "win_share"}, {pairsLost, "loss_share"}, {pairsLeft, "tie_share"}} {
		share, _ := res.Details[part.key].(float64)
		n := bare(at+",part="+part.name, pairShare, share)
		n.basis = on
		t.r.numbers = append(t.r.numbers, n)
	}
	for _, name := range sortedKeys(t.orders) {
		if err := t.order(x, state, name, at, all); err != nil {
			return err
		}
	}
	if t.q.Odds {
		return t.odds(x, at, on)
	}
	return nil
}

func onLadder(state []string, l progress.Ladder) []float64 {
	y := make([]float64, len(state))
	for i, name := range state {
		y[i] = float64(l[name])
	}
	return y
}

// stepsBasis counts the people who are not on the most common step of their group.
func stepsBasis(y []float64, treated []bool, cohort release.Arms) release.Basis {
	n := arms(treated)
	return release.Basis{Treated: n.Treated, Control: n.Control, Cohort: cohort, DF: math.Inf(1),
		Events: &release.Arms{Treated: unusual(y, treated, true, 0), Control: unusual(y, treated, false, 0)}}
}

// wins is not ok where the method has no answer, which then stands in the place of the number.
func (t *ladderRun) wins(x *progress.Steps, term string) (res *estimate.Result, ok bool, err error) {
	res, err = progress.Wins{Workers: t.s.o.Workers}.Fit(t.s.ctx, x)
	if err == nil {
		return res, true, nil
	}
	why, refused := refusable(err)
	if !refused {
		return nil, false, err
	}
	t.r.numbers = append(t.r.numbers, refuse(term, progress.NetBenefit, why.why, why.fix))
	return nil, false, nil
}

// order is the net benefit under another order. Its difference to the ladder's is about the people in the states that it moves.
func (t *ladderRun) order(x *progress.Steps, state []string, name, at string, all release.Arms) error {
	other := *x
	other.Y = onLadder(state, t.orders[name])
	term := at + ",order=" + name
	res, ok, err := t.wins(&other, term)
	if err != nil || !ok {
		return err
	}
	on, moved := stepsBasis(other.Y, x.Treated, all), release.Arms{}
	for i, s := range state {
		if t.orders[name][s] == t.ladder[s] {
			continue
		}
		if x.Treated[i] {
			moved.Treated++
		} else {
			moved.Control++
		}
	}
	if moved.Treated > 0 {
		on.Events.Treated = min(on.Events.Treated, moved.Treated)
	}
	if moved.Control > 0 {
		on.Events.Control = min(on.Events.Control, moved.Control)
	}
	for _, e := range res.Estimates {
		if e.Measure == progress.NetBenefit {
			e.Term = term
			t.r.numbers = append(t.r.numbers, found{term: term, e: e, basis: on})
		}
	}
	return nil
}

// odds are those of being on a step or above, one for all steps and each by itself.
func (t *ladderRun) odds(x *progress.Steps, at string, on release.Basis) error {
	f := x.Frame
	res, err := progress.StepOdds{Workers: t.s.o.Workers}.Fit(t.s.ctx, &f)
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return err
		}
		t.r.numbers = append(t.r.numbers, refuse(at+",odds=all", estimate.LogOddsRatio, why.why, why.fix))
		return nil
	}
	steps, ok := res.Details["steps"].([]float64)
	if !ok {
		return fmt.Errorf("the odds have no steps")
	}
	count := map[float64]*release.Arms{}
	for _, k := range steps {
		count[k] = &release.Arms{}
	}
	for i, k := range x.Y {
		if x.Treated[i] {
			count[k].Treated++
		} else {
			count[k].Control++
		}
	}
	for k, e := range res.Estimates {
		n := found{term: at + ",odds=all", e: e, basis: on}
		if k > 0 {
			above, below := count[steps[k]], count[steps[k-1]]
			n.term = at + ",odds=step-" + survive.FormatTime(steps[k])
			n.basis.Events = &release.Arms{Treated: min(above.Treated, below.Treated), Control: min(above.Control, below.Control)}
		}
		n.e.Term = n.term
		t.r.numbers = append(t.r.numbers, n)
	}
	if h, ok := res.Details["proportional_odds_wald"].(progress.Heterogeneity); ok && h.DF > 0 {
		n := bare(at+",steps=alike", survive.ChiSquare, h.Statistic)
		n.e.Test = estimate.Test{Stat: h.Statistic, DF: float64(h.DF), P: h.P}
		n.kind, n.basis = "check", on
		t.r.numbers = append(t.r.numbers, n)
	}
	return nil
}
