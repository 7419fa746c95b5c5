package release

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
)

// Basis is what an estimate rests on, as far as disclosure is concerned.
type Basis struct {
	// Treated and Control count the people (or other units) under the estimate in
	// each group.
	Treated, Control int
	// Single marks a number about the treated alone: Control is not used.
	Single bool
	// Cohort is the people of the cohort in each group, whose number is shown
	// elsewhere. The zero value means the same as Treated and Control.
	Cohort Arms
	// DF is the residual degrees of freedom, +Inf for a method that has none. The
	// zero value withholds the estimate.
	DF float64
	// Events counts, for an outcome that is 0 or 1, the people with a 1 in each
	// group; nil for other outcomes.
	Events *Arms
	// Money says of a sum or mean of money whether few people make it up; nil for other numbers.
	Money *Money
	// Published marks a number whose units are places with published statistics, no
	// people: it may rest on one of them, and their counts are shown as they are.
	Published bool
}

// Estimate is an estimate that went through disclosure control. When it is withheld
// Number has its term and measure, and NaN for every number.
type Estimate struct {
	Number  estimate.Estimate
	Shown   bool
	Why     Why // why it is withheld; empty when shown
	Treated Count
	Control Count
	Single  bool // about the treated alone: there is no Control
}

// least is the smallest cell under an estimate, with the reason to withhold on it.
func (b Basis) least() (int, Why) {
	if b.DF < fewestDF || math.IsNaN(b.DF) {
		return 0, FewDF
	}
	if b.Published {
		return math.MaxInt, ""
	}
	n := b.Treated
	if !b.Single {
		n = min(n, b.Control)
	}
	if b.Money != nil {
		if c, why := b.Money.least(); c < n {
			return c, why
		}
	}
	if b.Events == nil {
		return n, BelowMinimum
	}
	cells := min(b.Events.Treated, b.Treated-b.Events.Treated)
	if !b.Single {
		cells = min(cells, b.Events.Control, b.Control-b.Events.Control)
	}
	if cells < n {
		return cells, EventCell
	}
	return n, BelowMinimum
}

// Estimate releases one estimate: both groups must reach the threshold, there must
// be 10 residual degrees of freedom and, for an outcome of 0 or 1, the event and its
// absence must each reach the threshold in both groups. The value of the estimate
// plays no part in it.
func (p Policy) Estimate(place string, e estimate.Estimate, on Basis) (Estimate, []Withheld) {
	out, w, _ := p.Series(place, []estimate.Estimate{e}, []Basis{on}, false)
	return out[0], w
}

// Series releases estimates of one kind, such as the event times of an event study.
// pooled says that an average over the series is released as well: then a single
// withheld estimate takes the one with the next smallest basis with it, because the
// average would otherwise give it away. The error wraps [ErrInput].
func (p Policy) Series(place string, es []estimate.Estimate, on []Basis, pooled bool) ([]Estimate, []Withheld, error) {
	if len(es) != len(on) {
		return nil, nil, fmt.Errorf("%w: %d estimates on %d bases", ErrInput, len(es), len(on))
	}
	order := make([]int, len(es))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, _ := on[a].least()
		y, _ := on[b].least()
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(es[a].Term, es[b].Term), cmp.Compare(a, b))
	})
	hidden := make(map[int]Why)
	for _, i := range order {
		if n, why := on[i].least(); n < p.Threshold() {
			hidden[i] = why
		}
	}
	if pooled && len(hidden) == 1 && len(order) > 1 {
		hidden[order[1]] = Complementary
	}
	out, withheld := make([]Estimate, len(es)), []Withheld{}
	for i, e := range es {
		if why, ok := hidden[i]; ok {
			out[i] = Estimate{Number: blank(e), Why: why, Single: on[i].Single}
			withheld = append(withheld, Withheld{place, why, 1})
			continue
		}
		b := on[i]
		if b.Cohort == (Arms{}) {
			b.Cohort = Arms{b.Treated, b.Control}
		}
		if b.Published {
			out[i] = Estimate{Number: e, Shown: true, Single: b.Single, Treated: exact(b.Treated)}
			if !b.Single {
				out[i].Control = exact(b.Control)
			}
			continue
		}
		out[i] = Estimate{Number: e, Shown: true, Single: b.Single, Treated: p.Part(b.Treated, b.Cohort.Treated)}
		if !b.Single {
			out[i].Control = p.Part(b.Control, b.Cohort.Control)
		}
	}
	return out, withheld, nil
}

// blank keeps the name of an estimate and none of its numbers.
func blank(e estimate.Estimate) estimate.Estimate {
	nan := math.NaN()
	return estimate.Estimate{Term: e.Term, Measure: e.Measure, Value: nan, SE: nan,
		CI:   estimate.Interval{Lo: nan, Hi: nan, Level: e.CI.Level, Method: e.CI.Method},
		Test: estimate.Test{Stat: nan, DF: nan, P: nan, Null: e.Test.Null}}
}

// Mean is a released group mean.
type Mean struct {
	N     Count `json:"n"`
	Value Value `json:"mean"`
}

// Mean releases the mean of n people: to four significant digits from three times
// the threshold on, else to two, because a mean times its count is the sum over few.
func (p Policy) Mean(place string, x float64, n int) (Mean, []Withheld) {
	if n < p.Threshold() {
		return Mean{}, []Withheld{{place, BelowMinimum, 1}}
	}
	digits := 2
	if n >= 3*p.Threshold() {
		digits = 4
	}
	return Mean{N: p.Count(n), Value: show(significant(x, digits))}, nil
}

// Proportion releases the share of n people who have something: they and the others
// must both reach the threshold. The share is rounded like that of a level.
func (p Policy) Proportion(place string, events, n int) (Mean, []Withheld) {
	d, withheld := p.Distribution(place, []Class{{Label: "1", N: events}, {Label: "0", N: n - events}})
	s := d.Classes[0]
	if s.Value.Suppressed() {
		return Mean{N: d.N}, withheld[:1]
	}
	return Mean{N: d.N, Value: s.Value}, nil
}
