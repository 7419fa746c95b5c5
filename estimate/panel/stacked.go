package panel

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
)

// Stacked compares each cohort a with clean controls in a window around its own entry,
// stacks these sub-experiments and averages them by the cohorts' numbers of units. Clean
// controls of cohort a are units that are not treated, nor within the anticipation, by
// the end of its window a - Before … a + After. With s[a] the share of cohort a among
// all treated units (sums of weights) and r = -1 - Anticipation the reference event,
//
//	event=e: Σ_a s[a]·(mean of y[a+e] - y[a+r] of the cohort - the same of its controls)
//	overall: the mean over e = 0 … After
//
// which is the coefficient of treated × event in the regression on treated, event and
// their interactions over the stack, weighted by 1 for treated rows and by
// s[a]/(share of stack a among all control rows) for controls. Without these corrective
// weights the stack compares cohorts with controls of other stacks.
//
// Errors are cr1 of that regression by cluster (default: the unit, which is one cluster in
// all its stacks): G/(G-1)·(N-1)/(N-K), N rows of the stack, K = 2·events; t on G - 1.
// Differences between cohorts count as noise. The same cohorts are behind every event.
//
// With Control "never" clean controls are never-treated units only.
//
// Units not observed in all periods are left out and counted; weights are those of the first. Cohorts whose window
// reaches beyond the data, or for whose window nobody is a clean control, are left out and
// named (stack-cohort-left-out). Periods are consecutive whole numbers. Details:
// estimator, window, stacks, reference_event, bands.
//
// Errors: as [GroupTime.Fit]; [ErrOption] for covariates, which it does not use;
// [estimate.ErrNoControls] when no cohort is left.
//
// Source: Cengiz, Dube, Lindner and Zipperer (2019), QJE 134(3); weights: Wing, Freedman
// and Hollingsworth (2024), NBER 32054.
type Stacked struct {
	EventOptions
	// Before and After are the window in time units: events -Before … After. nil = the
	// widest that keeps every cohort. Before is at least 1 + Anticipation, After at least 0.
	Before, After *int
	Control       string // "not-yet" (default): units untreated until the end of the window too; "never": the never treated alone
}

// Fit estimates. f is read only.
func (e Stacked) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("stacked: %w", err)
	}
	return res, nil
}

func (e Stacked) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	l, err := eventWindow{"stacked", e.EventOptions, e.Before, e.After, e.Control}.lay(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := l.balance(); err != nil {
		return nil, err
	}
	s, err := l.stack(e)
	if err != nil {
		return nil, err
	}
	var terms []term
	overall := make([]float64, s.before+1+s.after)
	reference := s.before - 1 - e.Anticipation
	for at := range overall {
		v := at - s.before
		if at == reference {
			terms = append(terms, term{name: eventTerm(v), df: float64(l.clusters - 1)})
			continue
		}
		c := make([]float64, len(overall))
		c[at], c[reference] = 1, -1
		terms = append(terms, s.contrast(eventTerm(v), c))
		if v >= 0 {
			overall[at] += 1 / float64(s.after+1)
			overall[reference] -= 1 / float64(s.after+1)
		}
	}
	terms = append(terms, s.contrast(Overall, overall))
	res, err := l.finish("stacked", terms, e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	rows := make([]map[string]any, len(s.stacks))
	for i, k := range s.stacks {
		rows[i] = map[string]any{"group": k.group, "treated": len(k.treated), "controls": len(k.controls), "share": k.share}
	}
	res.Details["stacks"], res.Details["reference_event"] = rows, -1-e.Anticipation
	overallWeights(res, evenly(s.after+1))
	res.Details["window"] = map[string]any{"before": s.before, "after": s.after}
	return res, nil
}

// stacks are the sub-experiments of a balanced panel.
type stacks struct {
	l             *long
	before, after int
	stacks        []subExperiment
	rows          int // of the stack
}

type subExperiment struct {
	group             int
	base              int // index of the period of the window's first event
	treated, controls []int
	share             float64 // of the cohort among the treated
	weight, comparing float64 // sums of weights of treated and controls
}

// stack finds the window and its cohorts, and leaves out the units that take no part.
func (l *long) stack(e Stacked) (*stacks, error) {
	s := &stacks{l: l}
	only := e.Control == NeverTreated
	s.before, s.after = l.commonWindow(e.Anticipation, only)
	if e.Before != nil {
		s.before = *e.Before
	}
	if e.After != nil {
		s.after = *e.After
	}
	for _, g := range l.cohortsIn() {
		if before, after := l.reach(g, e.Anticipation, only); before > e.Anticipation && before >= s.before && after >= s.after {
			s.stacks = append(s.stacks, subExperiment{group: g})
		} else {
			l.note("stack-cohort-left-out", map[string]any{"group": g},
				"Cohort %d is not seen in the whole window around its entry with units to compare with, and has no part in the effects.", g)
		}
	}
	if len(s.stacks) == 0 || s.after < 0 {
		return nil, fmt.Errorf("%w: no cohort is seen in the whole window around its entry beside units that are untreated until its end; shorten the window (periods must be consecutive whole numbers)", estimate.ErrNoControls)
	}
	clean := func(cohort, group int) bool { return cohort == never || !only && cohort-e.Anticipation > group+s.after }
	l.keep(func(i int) bool {
		return slices.ContainsFunc(s.stacks, func(k subExperiment) bool { return k.group == l.cohort[i] || clean(l.cohort[i], k.group) })
	})
	width := len(l.periods)
	treated := 0.0
	for j := range s.stacks {
		k := &s.stacks[j]
		k.base = slices.Index(l.periods, k.group-s.before)
		for u := range l.names {
			switch w, g := l.weight(u*width), l.cohort[u*width]; {
			case g == k.group:
				k.treated, k.weight = append(k.treated, u), k.weight+w
			case clean(g, k.group):
				k.controls, k.comparing = append(k.controls, u), k.comparing+w
			}
		}
		if len(k.controls) == 0 { // reach looks at the cohort treated last, which is a control of all others
			return nil, fmt.Errorf("%w: cohort %d has nobody to compare with", estimate.ErrNoControls, k.group)
		}
		treated += k.weight
		s.rows += (len(k.treated) + len(k.controls)) * (s.before + 1 + s.after)
	}
	for j := range s.stacks {
		s.stacks[j].share = s.stacks[j].weight / treated
	}
	if k := 2 * (s.before + 1 + s.after); s.rows <= k || l.clusters < 2 {
		return nil, fmt.Errorf("%w: %d rows in %d clusters for %d coefficients", estimate.ErrTooFew, s.rows, l.clusters, k)
	}
	return s, nil
}

// reach is how far cohort g is seen before and after its entry, the latter with units that
// are not yet (only: never) treated; -1 after if there is none when it enters.
func (l *long) reach(g, anticipation int, only bool) (before, after int) {
	last := l.cohort[len(l.cohort)-1] // never, or the cohort treated last
	after = -1
	if only && last != never {
		return 0, after
	}
	for slices.Contains(l.periods, g+after+1) && (last == never || last-anticipation > g+after+1) {
		after++
	}
	for slices.Contains(l.periods, g-before-1) {
		before++
	}
	return before, after
}

// commonWindow is the widest window that keeps every cohort that can be compared at all;
// after is -1 if none can.
func (l *long) commonWindow(anticipation int, only bool) (before, after int) {
	before, after = math.MaxInt, math.MaxInt
	for _, g := range l.cohortsIn() {
		if b, a := l.reach(g, anticipation, only); b > anticipation && a >= 0 {
			before, after = min(before, b), min(after, a)
		}
	}
	if before == math.MaxInt {
		return 0, -1
	}
	return before, after
}

// contrast is the mean of Σ c·y over the window's events, treated less controls.
func (s *stacks) contrast(name string, c []float64) term {
	l := s.l
	width := len(l.periods)
	value := func(k subExperiment, u int) float64 {
		sum := 0.0
		for at, v := range c {
			sum += float64(v * (l.y[u*width+k.base+at] - l.y[u*width]))
		}
		return sum
	}
	var treated, controls float64
	for _, k := range s.stacks {
		for _, u := range k.treated {
			treated += float64(l.weight(u*width) / k.weight * k.share * value(k, u))
		}
		for _, u := range k.controls {
			controls += float64(l.weight(u*width) / k.comparing * k.share * value(k, u))
		}
	}
	g, n, params := float64(l.clusters), float64(s.rows), float64(2*len(c))
	root := math.Sqrt(g / (g - 1) * (n - 1) / (n - params))
	t := term{name: name, value: treated - controls, inf: make([]float64, len(l.names)), df: g - 1}
	for _, k := range s.stacks {
		for _, u := range k.treated {
			t.inf[u] += float64(root * (l.weight(u*width) / k.weight * k.share) * (value(k, u) - treated))
		}
		for _, u := range k.controls {
			t.inf[u] -= float64(root * (l.weight(u*width) / k.comparing * k.share) * (value(k, u) - controls))
		}
	}
	return t
}
