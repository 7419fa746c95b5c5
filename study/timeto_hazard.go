package study

import (
	"errors"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/study/release"
	"utfall/table"
)

// add appends a number that rests on everybody up to the horizon.
func (t *timeToRun) add(term string, e estimate.Estimate, notes ...table.Note) {
	all, n := arms(t.treated), t.came(0, 0, t.b.paths.After)
	e.Term = term
	t.r.numbers = append(t.r.numbers, found{term: term, e: e, notes: notes, basis: release.Basis{Treated: all.Treated, Control: all.Control, DF: math.Inf(1), Events: &n}})
}

// hazards is the hazard ratio of the measure, as such: among those who have not come yet, or
// (fine-gray) among all who have not come.
func (t *timeToRun) hazards() error {
	x, names, err := t.s.timeToDesign(t.b, t.q, t.of)
	if err != nil {
		return err
	}
	if t.q.Model == "fine-gray" {
		f := &survive.CompetingCovaried{Competing: *t.competing(), X: x, XNames: names}
		f.Group, f.GroupNames = nil, nil
		res, err := survive.FineGray{Cause: reached}.Fit(t.s.ctx, f)
		if err != nil {
			return t.without(survive.LogSubdistributionHazardRatio, err)
		}
		t.add("treated", res.Estimates[0])
		return nil
	}
	f := &survive.Covaried{Stratified: survive.Stratified{Times: t.times()}, X: x, XNames: names}
	for _, c := range t.rows.cause {
		f.Event = append(f.Event, c == 0)
	}
	res, err := survive.Cox{Robust: true, Workers: t.s.o.Workers}.Fit(t.s.ctx, f)
	if err != nil {
		return t.without(estimate.LogHazardRatio, err)
	}
	var notes []table.Note
	rows, _ := res.Details["zph"].([]survive.ZPHRow)
	at := slices.IndexFunc(rows, func(r survive.ZPHRow) bool { return r.Term == names[0] })
	if at >= 0 && rows[at].P < 0.05 {
		notes = append(notes, table.Note{Code: "hazards-not-proportional", Text: "The ratio of the hazards changes over time, so that one number for all months is an average of different ones."})
	}
	t.add("treated", res.Estimates[0], notes...)
	if at >= 0 {
		nan := math.NaN()
		t.add("proportional", estimate.Estimate{Measure: survive.ChiSquare, Value: rows[at].Statistic, SE: nan, CI: estimate.Interval{Lo: nan, Hi: nan},
			Test: estimate.Test{Stat: rows[at].Statistic, DF: float64(rows[at].DF), P: rows[at].P}})
	}
	return nil
}

// without gives no hazard ratio where the model has none, and says why; other errors stand.
func (t *timeToRun) without(m estimate.Measure, err error) error {
	for _, none := range []error{estimate.ErrTooFew, estimate.ErrSeparated, estimate.ErrCollinear, estimate.ErrNotConverged} {
		if errors.Is(err, none) {
			t.r.numbers = append(t.r.numbers, refuse("treated", m,
				table.Note{Code: "no-hazard-ratio", Text: "The model of the hazard has no answer: " + none.Error() + "."},
				table.Note{Code: "no-hazard-ratio-fix", Text: "Fewer covariates, or categories merged, may give one; the shares and months above do not need it."}))
			return nil
		}
	}
	return err
}
