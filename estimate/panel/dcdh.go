package panel

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Intertemporal estimates effects of treatments that may switch on and off, or change in size (de Chaisemartin and D'Haultfœuille): a
// unit u whose treatment changes first in period F[u] is compared with units that had the same treatment in the first period and have
// not changed it yet,
//
//	DID[u,e] = y[u,F+e] - y[u,F-1-K] - mean of the same change over units with D[·,1] = D[u,1] and F > F[u] + max(e,0) + K
//	event=E: Σ w·S·DID[u,e]/Σ w,   S = 1 if the first change is upwards, -1 downwards, K the anticipation
//	overall: Σ_e Σ_u w·S·DID[u,e] / Σ_e Σ_u w·S·(D[u,F+e] - D[u,1]), e ≥ 0: per unit and period of treatment
//
// An effect by event is that of the treatment path since the first change, not of the treatment in the period: a unit that has
// switched off counts. Events below -1-K are placebos, between the same units as the effect as many periods after. A unit that
// has been on both sides of its first treatment is left out from then on. details.normalised divides by the mean of the treatment
// cumulated until then; details.did_m has the contemporaneous estimator of joiners and leavers, which needs that effects do not last.
//
// Errors: analytic, given the treatments: SE² = Σ over clusters of squared sums of w·S·(Δ - mean over switchers of the same period, treatment and direction)
// and, for stayers, of minus (Σ w·S of their switchers/Σ w of theirs)·w·(Δ - mean), each side times √(n/(n-1)) of its units; normal. A switcher without another
// like it is counted from the mean of it and its controls. Or by a bootstrap of whole clusters. Weights are those of the base row.
//
// Covariates X, with their values in each period, are taken off first: y - x'θ, θ from changes of y on changes of x and period effects among units
// with the same first treatment before they change it. They must not react to treatment; see [adjustment].
//
// Fit needs Unit, Time, Y and either Cohort or Treatment. Units must be seen in all periods, and periods be one apart.
//
// Source: de Chaisemartin and D'Haultfœuille (2020), AER 110(9); (2024), Rev. Econ. Statistics. METHODS.md#dcdh.
type Intertemporal struct {
	EventOptions
	// Treatment is a number for each row: 0/1, or a size. nil = 1 from Cohort on.
	Treatment []float64
	// Before and After are the last events shown on each side, in periods. nil = as many as can be compared.
	Before, After *int
	// Bootstrap is the number of draws of clusters for errors and intervals; 0 = analytic. At least 99.
	Bootstrap int
}

// Fit estimates. f is read only.
func (e Intertemporal) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("de Chaisemartin-D'Haultfœuille: %w", err)
	}
	return res, nil
}

func (e Intertemporal) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	switch err := e.check(); {
	case err != nil:
		return nil, err
	case e.Before != nil && *e.Before < 1+e.Anticipation:
		return nil, fmt.Errorf("%w: %d periods before treatment are too few for a reference before %d periods of anticipation", ErrOption, *e.Before, e.Anticipation)
	case e.After != nil && *e.After < 0:
		return nil, fmt.Errorf("%w: the window ends %d periods before treatment", ErrOption, -*e.After)
	case e.Bootstrap != 0 && e.Bootstrap < 99:
		return nil, fmt.Errorf("%w: %d draws of the bootstrap; at least 99 are needed", ErrOption, e.Bootstrap)
	case e.Bootstrap != 0 && e.Replicates != 0:
		return nil, fmt.Errorf("%w: replicates are for the bands of analytic errors; the bootstrap's are its own draws", ErrOption)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	s, err := laySwitching(f, e.Treatment, e.Anticipation)
	if err != nil {
		return nil, err
	}
	l := s.l
	if s.adjust, err = s.adjusted(e.Anticipation, nil); err != nil {
		return nil, err
	}
	p := e.path(s, nil, true)
	if len(p.effects) == 0 {
		return nil, fmt.Errorf("%w: no unit that changes its treatment has a period before it and units with the same treatment that do not change", estimate.ErrNoControls)
	}
	if !(p.dose > 0) {
		return nil, fmt.Errorf("%w: the treatment after the first changes adds up to nothing", estimate.ErrNotIdentified)
	}
	if len(p.lost) > 0 {
		l.note("cells-not-compared", map[string]any{"cells": len(p.lost), "names": p.lost},
			"%d cells have no unit that is untreated for long enough to compare with, or lack rows, and are left out: %s.", len(p.lost), strings.Join(p.lost, "; "))
	}
	if len(p.alone) > 0 {
		l.note("switchers-alone", map[string]any{"units": len(p.alone)},
			"%d units change their treatment without another unit like them: their error is counted from the mean of them and those they are compared with.", len(p.alone))
	}
	if len(p.turned) > 0 {
		l.note("switchers-turned", map[string]any{"units": len(p.turned)},
			"%d units crossed their first treatment in both directions: from then on they are in no effect.", len(p.turned))
	}
	res, err := l.finish("dcdh", p.terms(e.Anticipation), e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	share := map[int]float64{}
	for _, h := range p.effects {
		if h.event >= 0 {
			share[h.event] = h.weight / p.dose
		}
	}
	overallWeights(res, share)
	res.Details["reference_event"] = -1 - e.Anticipation
	res.Details["normalised"] = p.normalised(l)
	res.Details["compared"] = p.compared()
	if s.adjust == nil {
		res.Details["did_m"] = s.contemporaneous(nil, true).json(l)
	} else {
		res.Details["covariates"] = s.adjust.json(l)
	}
	res.Details["errors"] = "analytic"
	if e.Bootstrap > 0 {
		e.bootstrap(ctx, s, p, res, f.Level)
	}
	return res, ctx.Err()
}

// pathEffect is the effect at an event.
type pathEffect struct {
	event  int
	value  float64
	inf    []float64
	weight float64 // Σ w of its switchers
	dose   float64 // Σ w·S·(D - D[1]) at the event
	sum    float64 // the same, cumulated since the first change
	units  int
	fewest int // stayers of any of its comparisons
	met    int // Σ over switchers of the stayers that they are compared with
}

// path is what one data set gives.
type path struct {
	effects []pathEffect // by event; without the reference
	dose    float64      // Σ over events from 0 on
	total   float64      // Σ w·S·DID over events from 0 on
	inf     []float64    // of overall
	lost    []string
	alone   map[int]bool // units without another like them at some event
	units   map[int]bool // in an effect from event 0 on
	turned  map[int]bool // units left out of events after they went beyond their first treatment
}

// path estimates all events; times is how often each unit counts.
func (e Intertemporal) path(s *switching, times []float64, influence bool) *path {
	l, n := s.l, len(s.l.periods)
	out := &path{turned: map[int]bool{}, alone: map[int]bool{}, units: map[int]bool{}}
	groups := s.starts()
	before, after := n, n
	if e.Before != nil {
		before = *e.Before
	}
	if e.After != nil {
		after = *e.After
	}
	reference := -1 - e.Anticipation
	if influence {
		out.inf = make([]float64, len(l.names))
	}
	for h := -min(before, n); h <= min(after, n); h++ {
		if h == reference {
			continue
		}
		lead := max(h, 0)
		if h < reference {
			lead = reference - h - 1
		}
		c := compared{}
		if influence {
			c.inf = make([]float64, len(l.names))
		}
		moved := map[float64][]float64{} // by first treatment, what the covariates move
		var dose, sum float64
		for _, g := range groups {
			at := s.start[g[0]]
			base, to := at+reference, at+h
			if base < 0 || to < 0 || to >= n || at+lead >= n {
				continue
			}
			m := match{from: base, to: to, sign: s.sign}
			for _, u := range g {
				if h < 0 || s.oneWay(u, to) {
					m.switchers = append(m.switchers, u)
				} else {
					out.turned[u] = true
				}
			}
			for u := range s.start {
				if s.d[u][0] == s.d[g[0]][0] && s.start[u] > at+lead+e.Anticipation {
					m.stayers = append(m.stayers, u)
				}
			}
			if len(m.switchers) == 0 {
				continue
			}
			if !s.add(&c, m, times) {
				if influence {
					out.lost = append(out.lost, fmt.Sprintf("group=%d,%s", l.periods[at], eventTerm(h)))
				}
				continue
			}
			if influence {
				s.move(moved, m)
			}
			for _, u := range m.switchers {
				w := float64(s.weight(u, base, times) * s.sign(u))
				for p := at; p <= to; p++ {
					sum += float64(w * (s.d[u][p] - s.d[u][0]))
				}
				if h >= 0 {
					out.units[u] = true
					dose += float64(w * (s.d[u][to] - s.d[u][0]))
				}
			}
		}
		if c.units == 0 {
			continue
		}
		s.adjust.spread(c.inf, moved)
		if h >= 0 {
			out.dose += dose
			out.total += c.total
			for u, v := range c.inf {
				out.inf[u] += v
			}
		}
		for u := range c.inf {
			c.inf[u] /= c.weight
		}
		for _, u := range c.alone {
			out.alone[u] = true
		}
		out.effects = append(out.effects, pathEffect{event: h, value: c.total / c.weight, inf: c.inf, weight: c.weight, dose: dose, sum: sum, units: c.units, fewest: c.fewest, met: c.met})
	}
	if !slices.ContainsFunc(out.effects, func(p pathEffect) bool { return p.event >= 0 }) {
		out.effects = nil
	}
	for u := range out.inf {
		out.inf[u] /= out.dose
	}
	return out
}

// bootstrap replaces errors and intervals: clusters drawn with replacement, each with all its units.
func (e Intertemporal) bootstrap(ctx context.Context, s *switching, p *path, res *estimate.Result, level float64) {
	l, k := s.l, len(res.Estimates)
	draws := make([][]float64, e.Bootstrap)
	members := make([][]int, l.clusters)
	for u, c := range l.cluster {
		members[c] = append(members[c], u)
	}
	num.ForEach(e.Bootstrap, e.Workers, func(b int) {
		if ctx.Err() != nil {
			return
		}
		r := num.NewStream(e.Seed, "dcdh-bootstrap", uint64(b))
		times := make([]float64, len(l.names))
		for range l.clusters {
			for _, u := range members[r.Intn(l.clusters)] {
				times[u]++
			}
		}
		got := map[string]float64{}
		drawn := *s
		var err error
		if drawn.adjust, err = s.adjusted(e.Anticipation, times); err == nil { // else the draw lacks all of it
			q := e.path(&drawn, times, false)
			for _, h := range q.effects {
				got[eventTerm(h.event)] = h.value
			}
			if q.dose > 0 {
				got[Overall] = q.total / q.dose
			}
		}
		row := make([]float64, k)
		for j, t := range res.Estimates {
			v, ok := got[t.Term]
			if !ok {
				v = math.NaN()
			}
			row[j] = v
		}
		draws[b] = row
	})
	if ctx.Err() != nil {
		return
	}
	cov := mat.NewSymDense(k, nil)
	mean, lacking := make([]float64, k), 0
	column := func(j int) (v []float64) {
		for _, row := range draws {
			if finite(row[j]) {
				v = append(v, row[j])
			}
		}
		return v
	}
	for j, t := range res.Estimates {
		v := column(j)
		if t.HasSE() {
			lacking = max(lacking, len(draws)-len(v))
		}
		mean[j] = num.Sum(v) / float64(len(v))
	}
	for i := range k {
		for j := range i + 1 {
			if !res.Estimates[i].HasSE() || !res.Estimates[j].HasSE() {
				continue
			}
			var products []float64
			for _, row := range draws {
				if finite(row[i], row[j]) {
					products = append(products, float64((row[i]-mean[i])*(row[j]-mean[j])))
				}
			}
			cov.SetSym(i, j, num.Sum(products)/float64(len(products)-1))
		}
	}
	var family []int
	for j, t := range res.Estimates {
		if !t.HasSE() {
			continue
		}
		res.Estimates[j] = estimate.Wald(t.Term, t.Measure, t.Value, math.Sqrt(cov.At(j, j)), math.Inf(1), level)
		if t.Term != Overall && cov.At(j, j) > 0 {
			family = append(family, j)
		}
	}
	res.Cov, res.Influence, res.InfluenceUnit = cov, nil, nil
	res.Details["errors"], res.Details["bootstrap"] = "bootstrap", map[string]any{"draws": len(draws), "lacking": lacking}
	res.Details["bands"] = map[string]any{"type": Pointwise}
	if lacking > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "bootstrap-draws-lacking", Args: map[string]any{"draws": lacking, "of": len(draws)},
			Text: fmt.Sprintf("In up to %d of %d draws of the bootstrap an effect cannot be compared; its error rests on the others.", lacking, len(draws))})
	}
	if e.Bands == Pointwise || len(family) < 2 {
		return
	}
	var largest []float64
	for _, row := range draws {
		m := 0.0
		for _, j := range family {
			if finite(row[j]) {
				m = math.Max(m, math.Abs(row[j]-mean[j])/res.Estimates[j].SE)
			}
		}
		largest = append(largest, m)
	}
	slices.Sort(largest)
	critical := math.Max(largest[min(int(math.Ceil(float64(len(draws))*level))-1, len(draws)-1)], num.StudentQuantile(level, math.Inf(1)))
	for _, j := range family {
		t := &res.Estimates[j]
		half := float64(critical * t.SE)
		t.CI = estimate.Interval{Lo: t.Value - half, Hi: t.Value + half, Level: level, Method: "uniform-band"}
	}
	res.Details["bands"] = map[string]any{"type": Uniform, "critical_value": critical, "replicates": len(draws), "seed": e.Seed, "terms": len(family), "multiplier": "bootstrap of clusters"}
}
