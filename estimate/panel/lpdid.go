package panel

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
)

// LocalProjections regresses, for each time h since treatment by itself, the change of the
// outcome from the reference event r = -1 - Anticipation on entering treatment at t and
// period effects, among units that enter at t and clean controls, which are untreated and
// outside the anticipation until t + max(h, 0):
//
//	y[i,t+h] - y[i,t+r] = β[h]·1{G[i] = t} + λ[t] + error        event=h: β[h], h = -Before … After
//	overall: the same for the mean of y[i,t] … y[i,t+After], controls clean until t + After
//
// β[h] is a mean of the cohorts' differences of means with weights W_D·W_C/(W_D + W_C), of the
// sums of weights of those who enter and their controls: all above 0, but larger where more
// controls are. With Reweight they are W_D, and β[h] is the mean over the treated.
//
// Errors are cr1 by cluster (default: the unit): G/(G-1)·(N-1)/(N-K), N rows of the horizon
// in periods with and (but for Reweight) without entry, K = 1 + their periods, G clusters
// that have any; t on G - 1. Differences between
// cohorts count as noise. Weights are those of the reference row.
//
// Units may lack periods: a row takes part where both its periods are there. Cohorts without a
// clean control (with Control "never": a never-treated unit) at a horizon are left out there and named (cells-not-compared). Details:
// estimator, window, weighting, pooled_pre (as overall, for the mean of events -Before … r - 1),
// reference_event, bands.
//
// Errors: as [GroupTime.Fit]; [ErrOption] for covariates, which it does not use;
// [estimate.ErrNoControls] when no cohort can be compared.
//
// Source: Dube, Girardi, Jordà and Taylor (2023), NBER 31184; (2025), J. Applied Econometrics.
type LocalProjections struct {
	EventOptions
	// Before and After are the events shown, in time units: -Before … After. nil = as many as
	// every cohort has. Before is at least 1 + Anticipation, After at least 0.
	Before, After *int
	Control       string // "not-yet" (default): units untreated for long enough too; "never": the never treated alone
	Reweight      bool   // true: mean over the treated instead of weights by variance
}

// Fit estimates. f is read only.
func (e LocalProjections) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("local projections: %w", err)
	}
	return res, nil
}

func (e LocalProjections) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	l, err := eventWindow{"lpdid", e.EventOptions, e.Before, e.After, e.Control}.lay(ctx, f)
	if err != nil {
		return nil, err
	}
	l.noteGaps()
	p := newProjections(l, e)
	if p.after < 0 {
		return nil, fmt.Errorf("%w: no cohort has a period before treatment and units that are untreated when it enters (periods must be consecutive whole numbers)", estimate.ErrNoControls)
	}
	var terms []term
	reference := -1 - e.Anticipation
	for h := -p.before; h <= p.after; h++ {
		if h == reference {
			terms = append(terms, term{name: eventTerm(h), df: float64(l.clusters - 1)})
			continue
		}
		t, err := p.project(eventTerm(h), []int{h}, max(h, 0))
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	var pre, post []int
	for h := -p.before; h < reference; h++ {
		pre = append(pre, h)
	}
	for h := range p.after + 1 {
		post = append(post, h)
	}
	overall, err := p.project(Overall, post, p.after)
	if err != nil {
		return nil, err
	}
	var pooled any
	if len(pre) > 0 {
		t, err := p.project("events before treatment together", pre, 0)
		if err != nil {
			return nil, err
		}
		sums := 0.0
		for _, v := range l.clusterTotals(t.inf) {
			sums += float64(v * v)
		}
		pooled = map[string]any{"estimate": t.value, "std_error": math.Sqrt(sums)}
	}
	if len(p.lost) > 0 {
		l.note("cells-not-compared", map[string]any{"cells": len(p.lost), "names": p.lost},
			"%d cells have no unit that is untreated for long enough to compare with, or lack rows, and are left out: %s.", len(p.lost), strings.Join(p.lost, "; "))
	}
	res, err := l.finish("lpdid", append(terms, overall), e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	res.Details["window"] = map[string]any{"before": p.before, "after": p.after}
	res.Details["weighting"] = map[bool]string{false: "variance", true: "treated"}[e.Reweight]
	res.Details["pooled_pre"], res.Details["reference_event"] = pooled, reference
	overallWeights(res, evenly(p.after+1))
	return res, nil
}

// clusterTotals adds up what units have by cluster.
func (l *long) clusterTotals(inf []float64) []float64 {
	sums := make([]float64, l.clusters)
	for u, v := range inf {
		sums[l.cluster[u]] += v
	}
	return sums
}

// projections holds what the horizons share.
type projections struct {
	l             *long
	o             LocalProjections
	before, after int
	row           [][]int // of each unit and period; -1 = not there
	start         []int   // cohort of each unit
	lost          []string
}

func newProjections(l *long, e LocalProjections) *projections {
	p := &projections{l: l, o: e, row: make([][]int, len(l.names)), start: make([]int, len(l.names))}
	for u := range p.row {
		p.row[u] = make([]int, len(l.periods))
		for t := range p.row[u] {
			p.row[u][t] = -1
		}
	}
	for i, u := range l.unit {
		p.row[u][l.period[i]], p.start[u] = i, l.cohort[i]
	}
	p.before, p.after = l.commonWindow(e.Anticipation, e.Control == NeverTreated)
	if p.after >= 0 {
		if e.Before != nil {
			p.before = *e.Before
		}
		if e.After != nil {
			p.after = *e.After
		}
	}
	return p
}

// change is a row of a horizon: the change of a unit's outcome.
type change struct {
	unit    int
	entered bool
	w, y    float64
}

// project is the coefficient of entering for the mean of the outcomes at the events, with
// controls that are clean until lead.
func (p *projections) project(name string, events []int, lead int) (term, error) {
	l := p.l
	type cell struct {
		rows           []change
		treated, total float64 // sums of weights
		mean, by       float64
	}
	var cells []cell
	rows, clusters := 0, map[int]bool{}
	for _, t := range l.periods {
		c := cell{rows: p.changes(t, events, lead)}
		entering := false
		for _, r := range c.rows {
			c.total += r.w
			c.mean += float64(r.w * r.y)
			if r.entered {
				c.treated += r.w
				entering = true
			}
		}
		c.mean /= c.total
		c.by = 1
		alone := entering && !slices.ContainsFunc(c.rows, func(r change) bool { return !r.entered })
		if alone || !entering && slices.Contains(p.start, t) {
			p.lost = append(p.lost, fmt.Sprintf("group=%d,%s", t, name))
		}
		if len(c.rows) == 0 {
			continue
		}
		if p.o.Reweight {
			if !entering || alone {
				continue
			}
			c.by = c.total / (c.total - c.treated)
		}
		rows += len(c.rows)
		for _, r := range c.rows {
			clusters[l.cluster[r.unit]] = true
		}
		cells = append(cells, c)
	}
	var slope, square float64
	for _, c := range cells {
		for _, r := range c.rows {
			d := dummy(r.entered) - c.treated/c.total
			slope += float64(c.by * r.w * d * (r.y - c.mean))
			square += float64(c.by * r.w * d * d)
		}
	}
	if !(square > 0) {
		return term{}, fmt.Errorf("%w: %s has no cohort with rows and units to compare with; shorten the window", estimate.ErrNoControls, name)
	}
	g, n, k := float64(len(clusters)), float64(rows), float64(1+len(cells))
	if n <= k || g < 2 {
		return term{}, fmt.Errorf("%w: %s has %d rows in %d clusters for %d coefficients", estimate.ErrTooFew, name, rows, len(clusters), 1+len(cells))
	}
	t := term{name: name, value: slope / square, inf: make([]float64, len(l.names)), df: g - 1}
	root := math.Sqrt(g / (g - 1) * (n - 1) / (n - k))
	for _, c := range cells {
		for _, r := range c.rows {
			d := dummy(r.entered) - c.treated/c.total
			t.inf[r.unit] += float64(root * (c.by * r.w * d / square) * (r.y - c.mean - float64(t.value*d)))
		}
	}
	return t, nil
}

func dummy(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// changes lists the units that enter at t and its clean controls with their changes.
func (p *projections) changes(t int, events []int, lead int) []change {
	l := p.l
	base := slices.Index(l.periods, t-1-p.o.Anticipation)
	at := make([]int, len(events))
	for i, h := range events {
		if at[i] = slices.Index(l.periods, t+h); at[i] < 0 {
			return nil
		}
	}
	if base < 0 {
		return nil
	}
	only := p.o.Control == NeverTreated
	var out []change
	for u, g := range p.start {
		if g != t && g != never && (only || g-p.o.Anticipation <= t+lead) || p.row[u][base] < 0 {
			continue
		}
		from := l.y[p.row[u][base]]
		sum, whole := 0.0, true
		for _, q := range at {
			if whole = whole && p.row[u][q] >= 0; whole {
				sum += l.y[p.row[u][q]] - from
			}
		}
		if whole {
			out = append(out, change{u, g == t, l.weight(p.row[u][base]), sum / float64(len(events))})
		}
	}
	return out
}
