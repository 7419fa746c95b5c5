package study

import (
	"fmt"
	"math"
	"strconv"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/study/release"
	"utfall/table"
)

// courseMonths are the people of a course and where they are: levels[k] is 1 for those in
// the states in month from+k.
type courseMonths struct {
	rows   []int
	levels [][]float64
}

// courseMonths selects those who are seen in every month, so that all months are about the
// same people; in a matched cohort a set stays only if all its members do.
func (s *state) courseMonths(b *built, k *Course) (*courseMonths, []table.Note, error) {
	counts, err := countedStates(b.paths.States, k.States)
	if err != nil {
		return nil, nil, err
	}
	n := b.table.Rows()
	ok := make([]bool, n)
	for i := range ok {
		ok[i] = true
		for m := k.From; m <= k.To; m++ {
			ok[i] = ok[i] && b.paths.At(i, m) >= 0
		}
	}
	for _, name := range k.Covariates {
		c, err := b.table.Column(name)
		if err != nil {
			return nil, nil, err
		}
		for i := range ok {
			ok[i] = ok[i] && c.Has(i)
		}
	}
	gone := map[int]bool{}
	for i := range ok {
		if b.whole && !ok[i] {
			gone[b.set[i]] = true
		}
	}
	out := &courseMonths{}
	for i := range ok {
		if ok[i] && !(b.whole && gone[b.set[i]]) {
			out.rows = append(out.rows, i)
		}
	}
	var notes []table.Note
	if left := n - len(out.rows); left > 0 {
		notes = []table.Note{{Code: "not-seen-throughout", Args: map[string]any{"rows": left},
			Text: fmt.Sprintf("%d rows are left out because somebody in them, or in their matched set, is not seen in every month or lacks a covariate.", left)}}
	}
	if len(out.rows) == 0 {
		return nil, nil, fmt.Errorf("%w: course: nobody of cohort %s is seen in every month from %d to %d", ErrSpec, b.spec.Name, k.From, k.To)
	}
	for m := k.From; m <= k.To; m++ {
		y := make([]float64, len(out.rows))
		for j, i := range out.rows {
			y[j] = indicator(counts[b.paths.At(i, m)])
		}
		out.levels = append(out.levels, y)
	}
	return out, notes, nil
}

// course estimates the effect in each month, of levels or of changes since the base month,
// with a band over all months, and its mean over the months after the start.
func (s *state) course(a *Analysis) (analysisResult, error) {
	k, b := a.Course, s.cohorts[a.Course.Cohort]
	r := analysisResult{method: "course", kind: "association"}
	if b.designed() {
		r.kind = "effect"
	}
	months, notes, err := s.courseMonths(b, k)
	if err != nil {
		return r, err
	}
	f, err := s.frameOf(b, k.effect(), months.rows, months.levels[0], b.weight)
	if err != nil {
		return r, err
	}
	each := effect.Simultaneous{
		Each: s.estimator(k.effect()), Term: "att", Pointwise: k.Bands == "pointwise", Replicates: k.Replicates, Seed: s.seedOf("course/" + a.Name), Workers: s.o.Workers,
	}
	if each.Pointwise {
		each.Replicates = 0
	}
	for i, level := range months.levels {
		m := k.From + i
		if k.Base != nil {
			if m == *k.Base {
				continue
			}
			y := make([]float64, len(level))
			for j, v := range level {
				y[j] = v - months.levels[*k.Base-k.From][j]
			}
			level = y
		}
		each.Outcomes = append(each.Outcomes, effect.Outcome{Name: strconv.Itoa(m), Y: level})
	}
	res, err := each.Fit(s.ctx, f)
	if err != nil {
		return r, err
	}
	r.notes = append(append(notes, b.notes...), res.Notes...)
	basis := func(m int) release.Basis {
		g := *f
		g.Y = months.levels[m-k.From]
		return effectBasis(&g)
	}
	var after []int
	at := 0
	for m := k.From; m <= k.To; m++ {
		n := found{term: "event=" + strconv.Itoa(m), basis: basis(m)}
		if k.Base != nil && m == *k.Base {
			// A zero by definition, known without anybody's data.
			n.e = estimate.Estimate{Measure: estimate.RiskDifference, SE: math.NaN()}
			n.e.CI, n.e.Test = noInterval()
			n.notes = []table.Note{{Code: "reference-period", Text: "the month that changes are counted from: 0 by definition, without a standard error"}}
			n.basis.Events, n.basis.DF = nil, math.Inf(1)
		} else {
			n.e = res.Estimates[at]
			n.e.Measure = estimate.RiskDifference // a change of a share, too
			n.basis.DF = n.e.Test.DF
			if n.e.SE == 0 && !each.Pointwise {
				n.e.CI.Method = "uniform-band" // a month in which nobody moved: the point is its own band
			}
			if k.Base != nil {
				n.basis.Events = smallest(n.basis, basis(*k.Base))
			}
			if m > 0 {
				after = append(after, at)
			}
			at++
		}
		n.e.Term = n.term
		r.event = append(r.event, n)
	}
	mean, err := effect.Average(res, after, "overall", s.spec.Level)
	if err != nil {
		return r, err
	}
	mean.Measure = estimate.RiskDifference
	whole := basis(k.To)
	whole.Events, whole.DF = nil, mean.Test.DF
	r.numbers = append([]found{{term: "overall", e: mean, basis: whole}}, r.event...)
	return r, nil
}
