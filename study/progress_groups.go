package study

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// fewAnswersInGroup is how many people of a group must have answered both times for the questions to be scaled among them: with fewer
// the slopes are badly known.
const fewAnswersInGroup = 200

// inGroup is a headline's number within a group of people.
type inGroup struct {
	estimate  estimate.Estimate
	gates     []progress.Gate
	benchmark float64
	basis     release.Basis
}

// byGroup asks the second and the third question within each level of the columns named in groups, where everybody's has an answer:
// each group with models and gates of its own, exploratory. A group that is too small is refused.
func (s *state) byGroup(r *analysisResult, p *Headlines, u *progressUnits) error {
	own := r.own.(*progressResult)
	for _, h := range own.heads {
		if h.within == nil || h.not != nil {
			continue
		}
		for _, column := range p.Groups {
			c, err := u.b.table.Category(column)
			if err != nil {
				return fmt.Errorf("%w: groups: %w", ErrSpec, err)
			}
			for level, name := range c.Levels {
				in := make([]bool, len(u.id))
				for i := range in {
					in[i] = c.Has(i) && int(c.Codes[i]) == level
				}
				if !slices.Contains(in, true) {
					continue
				}
				if err := s.oneGroup(r, h, column, name, in); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *state) oneGroup(r *analysisResult, h *headline, column, level string, in []bool) error {
	own := r.own.(*progressResult)
	term := fmt.Sprintf("%s,%s=%s", h.term, column, level)
	n, err := h.within(in)
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return err
		}
		r.numbers = append(r.numbers, refuse(term, h.measure, why.why, why.fix))
		return nil
	}
	f := progress.Claim{Estimate: n.estimate, Compared: true, Designed: r.kind == "effect", Benchmark: n.benchmark, Gates: n.gates}.Judge()
	if f.Kind == progress.Refused {
		r.numbers = append(r.numbers, refuse(term, h.measure, *f.Reason, *f.Fix))
		return nil
	}
	e := n.estimate
	e.Term, e.Measure, e.CI = term, h.measure, f.Interval
	notes := append([]table.Note{{Code: "exploratory-group", Text: "Groups of people are looked at without a common error level: exploratory."}}, f.Cautions...) // without what the gates were decided by: shares of few people
	if f.Unconfirmed {
		notes = append(notes, unconfirmedNote(n.benchmark))
	}
	r.numbers = append(r.numbers, found{term: term, e: e, basis: n.basis, notes: notes, kind: string(f.Kind)})
	own.groups[h.term] = append(own.groups[h.term], groupMonths{column: column, level: level, e: e, basis: n.basis})
	return nil
}

// lifeWithin is the net share among the units of a group: the questions are scaled among them, in the standard deviation of its comparison people
// at the start; who answered again is modelled among everybody, items are freed as they are for everybody.
func (s *state) lifeWithin(u *progressUnits, q *Assessments, w *answers, x *standIns, latent progress.LatentChange, in []bool) (*inGroup, error) {
	start, again := w.marked(u, in, false), w.marked(u, in, true)
	var at []int
	for k, row := range x.rows {
		if in[w.unit[row]] {
			at = append(at, k)
		}
	}
	if min(again.Treated, again.Control) < progress.MinArm || len(at) < fewAnswersInGroup {
		return nil, fmt.Errorf("%w: fewer than %d people of the group answered both times", estimate.ErrTooFew, fewAnswersInGroup)
	}
	rows := make([]int, len(at))
	for k, i := range at {
		rows[k] = x.rows[i]
	}
	count := progress.PlausibleShares{MIC: q.MIC, Draws: q.Draws, Seed: s.seedOf("progress-life"), Workers: s.o.Workers}
	res, err := count.Fit(s.ctx, w.pick(rows).weighted(u, q, s.spec.Level, pickFloat(x.weight, at)), latent)
	if err != nil {
		return nil, err
	}
	part := *x
	part.rows = rows
	_, cov, err := part.carry(w, u, res.Influence)
	if err != nil {
		return nil, err
	}
	e := res.Estimates[0]
	response := [2]float64{share(again.Control, start.Control), share(again.Treated, start.Treated)}
	return &inGroup{
		estimate: estimate.Wald(e.Term, e.Measure, e.Value, math.Sqrt(cov.At(0, 0)+res.Details["draw_variance"].([]float64)[0]), math.Inf(1), s.spec.Level),
		gates:    []progress.Gate{progress.ArmSize(again.Treated, again.Control), progress.Response(response[1], response[0]), progress.ResponseGap(response[1], response[0])},
		basis:    release.Basis{Treated: again.Treated, Control: again.Control, Cohort: u.sizes, DF: math.Inf(1)},
	}, nil
}

// marked counts those of a group who answered at the start, or of them those who answered again.
func (w *answers) marked(u *progressUnits, in []bool, again bool) release.Arms {
	only := make([]bool, len(w.unit))
	for k, i := range w.unit {
		only[k] = in[i] && (w.again[k] || !again)
	}
	return w.arms(u, only)
}

// forecastWithin is the forecast for the units of a group, learnt from older people of the same group and tried on them.
func (s *state) forecastWithin(u *progressUnits, d *forecastData, f *Forecast, fit progress.Surrogate, in []bool) (*inGroup, error) {
	mine := func(k int) bool { return in[d.unit[k]] }
	older := 0
	for k, old := range d.older {
		if old && mine(k) && !math.IsNaN(d.y[k]) {
			older++
		}
	}
	if older < fewInGroup {
		return nil, fmt.Errorf("%w: fewer than %d older people of the group", estimate.ErrTooFew, fewInGroup)
	}
	fit.Region = nil
	sample := someRows(d.sample, mine)
	res, err := f.fitted(s, fit, sample)
	if err != nil {
		return nil, err
	}
	main := 0
	if name, _ := res.Details["headline"].(string); name != "" {
		main = slices.IndexFunc(res.Estimates, func(e estimate.Estimate) bool { return e.Term == name })
	}
	counts := d.arms(u, func(k int) bool { return !d.older[k] && mine(k) })
	g := &inGroup{
		estimate: res.Estimates[main], gates: []progress.Gate{progress.ArmSize(counts.Treated, counts.Control)},
		basis: release.Basis{Treated: counts.Treated, Control: counts.Control, Cohort: u.sizes, DF: math.Inf(1)},
	}
	if res.Estimates[main].Term == "rectified" { // the group's own outcomes lead
		return g, nil
	}
	var tests []progress.SurrogateTruth
	truths := res.Details["truth"].([]progress.SurrogateTruth)
	if f.bridges() {
		var years []int
		for k, year := range d.olderYears(u) {
			if mine(k) {
				years = append(years, year)
			}
		}
		if truths, err = progress.OutcomeBridge(fit).Truths(s.ctx, sample, years); err != nil {
			return nil, err
		}
	}
	for _, row := range truths {
		if row.Sample == "older" {
			tests, g.benchmark = append(tests, row), math.Abs(row.Difference)
		}
	}
	g.gates = append(g.gates, progress.Truth(tests...))
	return g, nil
}
