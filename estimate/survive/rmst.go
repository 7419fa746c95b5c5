package survive

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// RMST estimates the restricted mean survival time of each group, the mean of min(T, τ),
// and compares every other group with the first:
//
//	m = ∫_0^τ S(t)dt,  difference m_B − m_A,  ratio m_B/m_A,  ratio of time lost (τ−m_B)/(τ−m_A)
//
// with S Kaplan–Meier's curve, integrated exactly. With A(t) = ∫_t^τ S, the variance of m is
// Σ_{t_k≤τ} A(t_k)²·d_k/(Y_k(Y_k−d_k)), without a finite-sample factor; with sampling or
// matching weights or clusters it comes from the influence function (METHODS.md; factor
// G/(G−1) with clusters). Ratios have the interval r·exp(±z·se(log r)) and a test of 1 on the log.
//
// Estimates: term group=G (overall without groups), measure restricted-mean-time; then for
// each other group B and the first A contrast=B-A (restricted-mean-time-difference) and
// contrast=B/A (restricted-mean-time-ratio, time-lost-ratio). Details: tau, groups ([]RMSTGroup), vcov.
//
// Errors: those of [Times.Check]; [estimate.ErrWeights] for frequency weights with clusters;
// [estimate.ErrTooFew]; [estimate.ErrNotIdentified] if τ lies beyond the last time of a
// group whose curve is above 0 there.
//
// Source: Royston and Parmar 2013; Uno et al. 2014.
type RMST struct {
	Tau     float64 // horizon; 0 takes the longest that all groups allow
	Workers int     // goroutines; 0 means all cores. Never changes a result
}

// An RMSTGroup is a row of details.groups. Events are those up to tau.
type RMSTGroup struct {
	Group  string  `json:"group,omitempty"`
	Units  int     `json:"units"`
	Events int     `json:"events"`
	Lost   float64 `json:"time_lost"`
}

// Fit estimates from times, which it does not change.
func (e RMST) Fit(ctx context.Context, f *Times) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("restricted mean: %w", err)
	}
	return res, nil
}

func (e RMST) fit(ctx context.Context, f *Times) (*estimate.Result, error) {
	if !(e.Tau >= 0) || math.IsInf(e.Tau, 0) {
		return nil, fmt.Errorf("tau %v must be finite and above 0, or 0 for the longest", e.Tau)
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Weight.Kind == estimate.Frequency && f.Cluster != nil {
		return nil, fmt.Errorf("%w: frequency weights with clusters; write one unit a row", estimate.ErrWeights)
	}
	curves, err := f.curves(e.Workers)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "rmst", InfluenceUnit: f.Unit, Fit: estimate.Convergence{Converged: true}, Notes: weightNote(f.Weight),
	}
	tau, err := e.horizon(curves, res)
	if err != nil {
		return nil, err
	}
	G := len(curves)
	mean, vcov := make([]float64, G), mat.NewSymDense(G, nil)
	inf := mat.NewDense(len(f.Time), G, nil)
	var groups []RMSTGroup
	for g, c := range curves {
		a := c.area(tau)
		mean[g] = a.tail[0]
		vcov.SetSym(g, g, a.variance)
		a.influence(inf, g, e.Workers)
		groups = append(groups, RMSTGroup{Group: c.group, Units: len(c.rows), Events: c.eventsTo(a.steps), Lost: tau - mean[g]})
		res.N.Units += len(c.rows)
		res.N.Events += c.eventsTo(a.steps)
		if c.lateAfterZero > 0 {
			res.Notes = append(res.Notes, table.Note{
				Code: "late-entry-zero", Text: "The curve reached 0 while later entrants were still to come: with so few at risk early on, start the clock later.",
				Args: map[string]any{"group": c.group, "entering": c.lateAfterZero},
			})
		}
	}
	name := "greenwood"
	if f.robust() {
		order, err := idOrder(f.Unit)
		if err != nil {
			return nil, err
		}
		if vcov, res.N.Clusters, err = Covariance(inf, active(f.Weight.Values, order), f.Cluster, e.Workers); err != nil {
			return nil, err
		}
		name = vcovName(res.N.Clusters)
		sayFewClusters(res)
	}
	rmstEstimates(res, curves, mean, vcov, inf, tau, f.Level)
	if dropped := len(f.Time) - res.N.Units; dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	res.Details = map[string]any{"tau": tau, "groups": groups, "vcov": name}
	return res, nil
}

// horizon checks tau against the follow-up of every group, or finds the longest.
func (e RMST) horizon(curves []*kmCurve, res *estimate.Result) (float64, error) {
	tau, last := math.Inf(1), 0.0
	for _, c := range curves {
		last = max(last, c.last)
		if end := c.surv[len(c.surv)-1]; end > 0 { // a curve at 0 stays there
			tau = min(tau, c.last)
			if e.Tau > c.last {
				where := ""
				if c.group != "" {
					where = fmt.Sprintf(" of group %q", c.group)
				}
				return 0, fmt.Errorf("%w: nobody%s is observed after time %s, so that the mean to tau %s does not exist; choose tau of at most %s",
					estimate.ErrNotIdentified, where, FormatTime(c.last), FormatTime(e.Tau), FormatTime(c.last))
			}
		}
	}
	if e.Tau > 0 {
		return e.Tau, nil
	}
	if math.IsInf(tau, 1) {
		tau = last
	}
	if tau == 0 {
		return 0, fmt.Errorf("%w: the last time of a group is 0", estimate.ErrNotIdentified)
	}
	res.Notes = append(res.Notes, table.Note{
		Code: "tau-default", Text: "The horizon was not given; the last time at which every group is still observed, or nobody in it is left, was taken.",
		Args: map[string]any{"tau": tau},
	})
	return tau, nil
}

// rmstEstimates adds the means of the groups and the contrasts with the first: all are
// smooth functions of the means, with gradient rows of J.
func rmstEstimates(res *estimate.Result, curves []*kmCurve, mean []float64, vcov *mat.SymDense, inf *mat.Dense, tau, lvl float64) {
	G := len(mean)
	J := mat.NewDense(G+3*(G-1), G, nil)
	row, undefined := 0, 0
	se := func() float64 {
		v := 0.0
		for a := range G {
			for b := range G {
				v += float64(J.At(row, a) * vcov.At(a, b) * J.At(row, b))
			}
		}
		return math.Sqrt(max(0, v))
	}
	add := func(e estimate.Estimate) {
		if !(e.SE > 0) { // an interval without width would claim to be certain
			undefined++
			e.CI.Lo, e.CI.Hi = math.NaN(), math.NaN()
		}
		res.Estimates = append(res.Estimates, e)
		row++
	}
	for g, c := range curves {
		J.Set(row, g, 1)
		term := "overall"
		if c.group != "" {
			term = "group=" + c.group
		}
		w := estimate.Wald(term, estimate.RestrictedMeanTime, mean[g], se(), math.Inf(1), lvl)
		add(level(term, w.Measure, w.Value, w.SE, w.CI))
	}
	for g := 1; g < G; g++ {
		b, a := curves[g].group, curves[0].group
		J.Set(row, 0, -1)
		J.Set(row, g, 1)
		add(estimate.Wald("contrast="+b+"-"+a, RestrictedMeanTimeDifference, mean[g]-mean[0], se(), math.Inf(1), lvl))
		for _, r := range []struct {
			m      estimate.Measure
			up, lo float64
			sign   float64
		}{{RestrictedMeanTimeRatio, mean[g], mean[0], 1}, {TimeLostRatio, tau - mean[g], tau - mean[0], -1}} {
			ratio := r.up / r.lo
			J.Set(row, g, r.sign/r.lo)
			J.Set(row, 0, -r.sign*ratio/r.lo)
			add(ratioEstimate("contrast="+b+"/"+a, r.m, ratio, se(), lvl))
		}
	}
	if undefined > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "boundary", Text: "Some estimates are exactly on the boundary of what is possible, or constant; their standard error is 0 and says nothing.",
			Args: map[string]any{"estimates": undefined, "of": len(res.Estimates)},
		})
	}
	k := len(res.Estimates)
	var full, jv mat.Dense
	jv.Mul(J, vcov)
	full.Mul(&jv, J.T())
	res.Cov = mat.NewSymDense(k, nil)
	for a := range k {
		for b := a; b < k; b++ {
			res.Cov.SetSym(a, b, full.At(a, b))
		}
	}
	n, _ := inf.Dims()
	res.Influence = mat.NewDense(n, k, nil)
	res.Influence.Mul(inf, J.T())
}

// ratioEstimate is a positive ratio with the interval and the test of 1 on the log scale.
func ratioEstimate(term string, m estimate.Measure, ratio, se, lvl float64) estimate.Estimate {
	e := estimate.Estimate{Term: term, Measure: m, Value: ratio, SE: se}
	e.CI = estimate.Interval{Lo: math.NaN(), Hi: math.NaN()}
	e.Test = estimate.Test{Stat: math.NaN(), DF: math.Inf(1), P: math.NaN(), Null: 1}
	switch {
	case math.IsNaN(ratio) || math.IsInf(ratio, 0) || math.IsNaN(se):
		e.Value, e.SE = math.NaN(), math.NaN()
	case ratio > 0:
		log := estimate.Wald(term, m, math.Log(ratio), se/ratio, math.Inf(1), lvl)
		e.CI = estimate.Interval{Lo: math.Exp(log.CI.Lo), Hi: math.Exp(log.CI.Hi), Level: lvl, Method: "log"}
		e.Test.Stat, e.Test.P = log.Test.Stat, log.Test.P
	}
	return e
}

// kmArea is the curve of a group integrated to a horizon.
type kmArea struct {
	c        *kmCurve
	steps    int       // event times up to the horizon
	tail     []float64 // by step: area from its start to the horizon
	done     []float64 // by step: Σ over steps up to it of tail·d/(Y(Y−d))
	variance float64
}

func (c *kmCurve) area(tau float64) *kmArea {
	a := &kmArea{c: c}
	for a.steps < len(c.time) && c.time[a.steps] <= tau {
		a.steps++
	}
	a.tail, a.done = make([]float64, a.steps+1), make([]float64, a.steps+1)
	end := tau
	for s := a.steps; s >= 0; s-- {
		a.tail[s] = float64(c.surv[s] * (end - c.stepTime(s)))
		if s < a.steps {
			a.tail[s] += a.tail[s+1]
		}
		end = c.stepTime(s)
	}
	for r := range c.distinct {
		p := &c.place[r]
		s := int(p.step)
		if p.event == 0 || s > a.steps {
			continue
		}
		a.done[s] = a.done[s-1]
		if stay := p.risk - p.die; p.event < p.number { // else nothing is left: the area is 0
			h := p.die / p.risk / stay
			a.done[s] += float64(a.tail[s] * h)
			a.variance += float64(a.tail[s] * a.tail[s] * h)
		}
	}
	return a
}

// influence writes column g of the influence function.
func (a *kmArea) influence(dst *mat.Dense, g, workers int) {
	c, f := a.c, a.c.f
	num.ForChunks(len(c.rows), workers, func(_, lo, hi int) {
		for _, i := range c.rows[lo:hi] {
			own, in := int(c.place[c.rank[i]].step), 0
			if f.Entry != nil {
				in = int(c.place[c.rank[len(f.Time)+int(i)]].step)
			}
			w := f.weight(i)
			if f.Weight.Kind == estimate.Frequency {
				w = math.Sqrt(w)
			}
			x := a.done[min(in, a.steps)] - a.done[min(own, a.steps)]
			if f.Event[i] && own <= a.steps && a.tail[own] > 0 {
				x += float64(a.tail[own] * c.gain[own])
			}
			dst.Set(int(i), g, -w*x)
		}
	})
}
