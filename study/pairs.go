package study

import (
	"errors"
	"math"
	"slices"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/study/release"
	"utfall/table"
)

// pairSamples are the people with what disclosure needs of each outcome.
type pairSamples struct {
	sample *progress.PairSample
	sizes  release.Arms
	events []release.Arms // of each outcome: those who came by the horizon, have a 1, or differ from the usual number
	notes  []table.Note
}

// whole gives the rows of a cohort that have what is needed, whole sets where sets belong together.
func (b *built) complete(has func(i int) bool) (rows []int, gone int) {
	bad := map[int]bool{}
	n := b.table.Rows()
	ok := make([]bool, n)
	for i := range n {
		if ok[i] = has(i); !ok[i] && b.whole {
			bad[b.set[i]] = true
		}
	}
	for i := range n {
		if ok[i] && !(b.whole && bad[b.set[i]]) {
			rows = append(rows, i)
		}
	}
	return rows, n - len(rows)
}

// pairSample makes the outcomes of the cohort's people.
func (s *state) pairSample(b *built, q *Pairs) (*pairSamples, []int, error) {
	columns := make([]table.Floats, len(q.Outcomes))
	for k, o := range q.Outcomes {
		if o.timed() {
			continue
		}
		var err error
		if columns[k], err = b.table.Float(o.Outcome); err != nil {
			return nil, nil, err
		}
	}
	rows, gone := b.complete(func(i int) bool {
		for k, o := range q.Outcomes {
			if !o.timed() && !columns[k].Has(i) {
				return false
			}
		}
		return true
	})
	out := &pairSamples{}
	if gone > 0 {
		out.notes = append(out.notes, withoutValue(gone))
	}
	t := b.table.Take(rows)
	p := &progress.PairSample{}
	var err error
	if p.Unit, _, err = t.Text(b.unitColumn()); err != nil {
		return nil, nil, err
	}
	p.Treated, p.Level = pickBool(b.treated, rows), s.spec.Level
	if b.weight != nil {
		p.Weight = estimate.Weights{Kind: estimate.Matching, Values: pickFloat(b.weight, rows)}
	}
	if b.cluster != nil {
		p.Cluster = dense(b.cluster, rows)
	}
	out.sample, out.sizes = p, arms(p.Treated)
	for k, o := range q.Outcomes {
		x := progress.Outcome{Name: o.Name, Threshold: o.Threshold, Lower: o.Better == "less" || o.Better == "earlier"}
		count := func(yes func(i int) bool) release.Arms {
			n := release.Arms{}
			for i, treated := range p.Treated {
				switch {
				case !yes(i):
				case treated:
					n.Treated++
				default:
					n.Control++
				}
			}
			return n
		}
		if o.timed() {
			came, err := (&TimeTo{States: o.States, Stable: o.Stable}).rows(b.paths.Take(rows), len(rows))
			if err != nil {
				return nil, nil, err
			}
			x.Value = came.time
			for _, c := range came.cause {
				x.Event = append(x.Event, c != survive.Censored)
			}
			out.events = append(out.events, count(func(i int) bool { return x.Event[i] && x.Value[i] <= float64(q.Horizon) }))
		} else {
			x.Value = pickFloat(columns[k].Values, rows)
			if zeroOne(x.Value) {
				out.events = append(out.events, count(func(i int) bool { return x.Value[i] == 1 }))
			} else {
				out.events = append(out.events, release.Arms{Treated: unusual(x.Value, p.Treated, true, o.Threshold), Control: unusual(x.Value, p.Treated, false, o.Threshold)})
			}
		}
		p.Outcomes = append(p.Outcomes, x)
	}
	return out, rows, nil
}

// unusual counts the people of a group whose number differs from the usual one: outside the interval, as long as the smallest
// difference that decides a pair, with most people in it; with no such difference, from the most common number. A share of pairs
// that few of them decide gives them away. It is at most half of the group: numbers that are all different have nobody few
// to hide, and no usual number either.
func unusual(value []float64, treated []bool, arm bool, threshold float64) int {
	var y []float64
	for i, v := range value {
		if treated[i] == arm {
			y = append(y, v)
		}
	}
	slices.Sort(y)
	most, from := 0, 0
	for to, v := range y {
		for v-y[from] > 0 && v-y[from] >= threshold {
			from++
		}
		most = max(most, to-from+1)
	}
	return min(len(y)-most, len(y)/2)
}

// unitColumn names the rows of the cohort.
func (b *built) unitColumn() string {
	if b.spec.TimeZero != nil {
		return cohort.UnitColumn
	}
	return b.spec.ID
}

// basis is what a number rests on that uses outcomes up to one of them: the one with the smallest cell.
func (p *pairSamples) basis(upTo int) release.Basis {
	b := release.Basis{Treated: p.sizes.Treated, Control: p.sizes.Control, DF: math.Inf(1)}
	least := math.MaxInt
	for _, n := range p.events[:upTo] {
		if cell := min(n.Treated, p.sizes.Treated-n.Treated, n.Control, p.sizes.Control-n.Control); cell < least {
			least, b.Events = cell, &n
		}
	}
	return b
}

func (s *state) pairs(a *Analysis) (analysisResult, error) {
	q, b := a.Pairs, s.cohorts[a.Pairs.Cohort]
	r := analysisResult{method: "pairs", kind: "association", notes: slices.Clone(b.notes)}
	if b.designed() {
		r.kind = "effect"
	}
	p, _, err := s.pairSample(b, q)
	if err != nil {
		return r, err
	}
	r.notes = append(r.notes, p.notes...)
	stop := func(why, fix table.Note) (analysisResult, error) {
		r.numbers = []found{refuse("overall", progress.NetBenefit, why, fix)}
		return r, nil
	}
	if p.sizes.Treated*p.sizes.Control > progress.MostPairs {
		return stop(table.Note{Code: "refused-many-pairs", Text: "There are too many pairs to compare one by one."},
			table.Note{Code: "fix-fewer-pairs", Text: "Ask about some of the people, by eligibility; net months and the probability of being on a higher step take everybody."})
	}
	res, err := progress.PrioritisedPairs{Horizon: float64(q.Horizon), Workers: s.o.Workers}.Fit(s.ctx, p.sample)
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return r, err
		}
		return stop(why.why, why.fix)
	}
	r.notes = append(r.notes, res.Notes...)
	for _, e := range res.Estimates {
		n := found{term: e.Term, e: e, basis: p.basis(len(q.Outcomes))}
		if e.Measure == progress.NetBenefit {
			r.numbers = append([]found{n}, r.numbers...)
		} else {
			r.numbers = append(r.numbers, n)
		}
	}
	levels, ok := res.Details["levels"].([]progress.OutcomeLevel)
	if !ok {
		return r, errors.New("the pairs have no levels")
	}
	for k, l := range levels {
		for _, x := range []struct {
			part  string
			share float64
		}{{pairsWon, l.Won}, {pairsLost, l.Lost}, {pairsLeft, l.Undecided}} {
			n := bare("outcome="+l.Outcome+",part="+x.part, pairShare, x.share)
			n.basis = p.basis(k + 1)
			r.numbers = append(r.numbers, n)
		}
	}
	return r, nil
}

// bare is a description without an error.
func bare(term string, m estimate.Measure, v float64) found {
	e := estimate.Estimate{Term: term, Measure: m, Value: v, SE: math.NaN()}
	e.CI, e.Test = noInterval()
	return found{term: term, e: e, kind: "description"}
}
