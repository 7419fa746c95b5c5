package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// Measures of ratios of totals.
const (
	PerPersonYear           estimate.Measure = "per-person-year"
	PerPersonYearDifference estimate.Measure = "per-person-year-difference"
	// PerMonth is a mean over months.
	PerMonth           estimate.Measure = "per-month"
	PerMonthDifference estimate.Measure = "per-month-difference"
)

// Bouncing describes how people are sent between authorities: process measures, never success, as somebody who is parked
// in one place scores best. Over the observed months before a person leaves, in each group
//
//	rate = Σ w·events / Σ w·years,  IF_i = w_i(events_i − rate·years_i)/Σ w·years
//
// authority-changes: months in which another authority is responsible than the last one was, months with nobody in
// between not counting, and none across own support. gap-months: months with nobody responsible and no support of
// one's own. ping-pong: returns to authority A at most PingPong months after it was left for authority B. steps-up and
// steps-down, with a Ladder: months in which the step is higher, lower, than the month before; they say where to.
// parallel-authorities, where known: mean number of authorities over months in which one is responsible.
//
// Estimates, measure by measure in this order: MEASURE,difference (participants less comparison people, with two groups),
// MEASURE,group=0, MEASURE,group=1 (MEASURE,overall for one group); measure per-person-year (per-month for
// parallel-authorities) and -difference. Variance Σ IF², with clusters G/(G−1)·Σ_c(Σ IF)²; normal intervals; rates of 0 have
// none. Details: events (counts by measure and group), months (observed, by group), vcov.
//
// Errors: [estimate.ErrInvalidFrame]; [estimate.ErrTooFew] under MinPerArm persons (gate G8) or without an observed month.
type Bouncing struct {
	Authority Map    // who is responsible in each state
	Ladder    Ladder // for the direction; nil for none
	PingPong  int    // months; 0 means 6
	MinPerArm int    // 0 means 15
	Workers   int    // never changes a result
	// ReweighLoss lets those still followed stand in for those lost in the same state in the same month (METHODS.md).
	ReweighLoss bool
}

// bounceMeasures are the measures in their order.
var bounceMeasures = [...]string{"authority-changes", "gap-months", "ping-pong", "steps-up", "steps-down", "parallel-authorities"}

const (
	bounceChange = iota
	bounceGap
	bouncePingPong
	bounceUp
	bounceDown
	bounceParallel
	bounceAll
)

// Fit describes the months, which it does not change.
func (e Bouncing) Fit(ctx context.Context, m *Months) (*estimate.Result, error) {
	res, err := e.fit(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("bouncing between authorities: %w", err)
	}
	return res, nil
}

// bounceTally is what one person adds up to.
type bounceTally struct {
	event    [bounceAll]float64 // as many as they stand for
	count    [bounceAll]float64 // as many as there are
	months   float64            // before the person leaves, as many as they stand for
	observed float64            // as many as there are
	attended float64            // in which an authority is responsible
}

// episode is a time with one authority, months with nobody counting to it.
type episode struct {
	authority Authority
	last      int // month in which it was responsible
}

func (e Bouncing) tally(code, parallel []int8, who []Authority, step []int, weight []float64) bounceTally {
	var t bounceTally
	w := 1.0
	add := func(q int, n float64) {
		t.event[q] += float64(w * n)
		t.count[q] += n
	}
	var now, before episode
	for k, c := range code {
		a := who[c]
		if a == Left {
			break
		}
		if weight != nil {
			w = weight[k]
		}
		t.months += w
		t.observed++
		if step != nil && k > 0 {
			switch d := step[c] - step[code[k-1]]; {
			case d > 0:
				add(bounceUp, 1)
			case d < 0:
				add(bounceDown, 1)
			}
		}
		switch a {
		case Nobody:
			add(bounceGap, 1)
			continue
		case OwnSupport:
			now, before = episode{}, episode{}
			continue
		}
		t.attended += w
		if parallel != nil {
			add(bounceParallel, float64(parallel[k]))
		}
		switch now.authority {
		case a:
			now.last = k
			continue
		case Nobody:
		default:
			add(bounceChange, 1)
			if before.authority == a && k-before.last-1 <= e.PingPong {
				add(bouncePingPong, 1)
			}
			before = now
		}
		now = episode{a, k}
	}
	return t
}

func (e Bouncing) fit(ctx context.Context, m *Months) (*estimate.Result, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if e.PingPong == 0 {
		e.PingPong = 6
	}
	if e.PingPong < 0 || e.MinPerArm < 0 {
		return nil, invalid("months of ping-pong and persons per group cannot be below 0")
	}
	who, err := e.Authority.of(m.States)
	if err != nil {
		return nil, err
	}
	var step []int
	if e.Ladder != nil {
		if step, err = e.Ladder.steps(m.States); err != nil {
			return nil, err
		}
	}
	order, groups, err := m.order(e.MinPerArm)
	if err != nil {
		return nil, err
	}
	var weights *monthWeights
	if e.ReweighLoss {
		weights = m.lossWeights(order)
	}
	sums := make([]bounceTally, len(m.Unit))
	num.ForEach(len(order), e.Workers, func(k int) {
		i := int(order[k])
		var parallel []int8
		if m.Parallel != nil {
			parallel = m.Parallel[i*m.Length : (i+1)*m.Length]
		}
		var inverse []float64
		if weights != nil {
			inverse = weights.of(i)
		}
		sums[i] = e.tally(m.seen(i), parallel, who, step, inverse)
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &ratios{m: m, order: order, groups: groups}
	events, months := map[string][]float64{}, make([]float64, groups)
	for q, name := range bounceMeasures {
		if (q == bounceUp || q == bounceDown) && step == nil || q == bounceParallel && m.Parallel == nil {
			continue
		}
		measures := [2]estimate.Measure{PerPersonYear, PerPersonYearDifference}
		below := func(i int) float64 { return sums[i].months / 12 }
		if q == bounceParallel {
			measures = [2]estimate.Measure{PerMonth, PerMonthDifference}
			below = func(i int) float64 { return sums[i].attended }
		}
		if err := r.add(name, measures, func(i int) float64 { return sums[i].event[q] }, below); err != nil {
			return nil, err
		}
		events[name] = make([]float64, groups)
		for _, i := range order {
			events[name][m.group(int(i))] += sums[i].count[q]
		}
	}
	for _, i := range order {
		months[m.group(int(i))] += sums[i].observed
	}
	res, err := r.result("bouncing", e.Workers)
	if err != nil {
		return nil, err
	}
	res.Details["events"], res.Details["months"] = events, months
	if weights != nil {
		res.Notes = append(res.Notes, weights.note())
	}
	res.Notes = append(res.Notes, table.Note{Code: "process-measure", Text: "These numbers say how people were sent about, not how it went for them: somebody who is parked in one place scores best."})
	return res, nil
}

// order gives the persons of weight above 0, by unit, and the number of groups.
func (m *Months) order(least int) ([]int32, int, error) {
	if least == 0 {
		least = MinArm
	}
	groups, count := 1, [2]int{}
	if m.Treated != nil {
		groups = 2
	}
	var order []int32
	for _, i := range byUnit(m.Unit) {
		if m.weight(i) > 0 && m.row(i)[0] >= 0 {
			order = append(order, int32(i))
			count[m.group(i)]++
		}
	}
	for g := range groups {
		if count[g] < least {
			return nil, 0, fmt.Errorf("%w: a group has %d persons, at least %d are needed: join groups or add start years", estimate.ErrTooFew, count[g], least)
		}
	}
	return order, groups, nil
}

// ratios are ratios of weighted totals in each group, and their differences.
type ratios struct {
	m      *Months
	order  []int32
	groups int

	est []estimate.Estimate
	col [][]float64
}

func (r *ratios) add(name string, measure [2]estimate.Measure, above, below func(i int) float64) error {
	n := len(r.m.Unit)
	var value [2]float64
	var inf [2][]float64
	for g := range r.groups {
		var a, b []float64
		for _, p := range r.order {
			if i := int(p); r.m.group(i) == g {
				a, b = append(a, r.m.weight(i)*above(i)), append(b, r.m.weight(i)*below(i))
			}
		}
		total := num.Sum(b)
		inf[g] = make([]float64, n)
		value[g] = num.Sum(a) / total
		if total == 0 {
			value[g] = math.NaN() // nobody has a month that counts
		}
		for _, p := range r.order {
			if i := int(p); r.m.group(i) == g {
				inf[g][i] = r.m.weight(i) * (above(i) - float64(value[g]*below(i))) / total
			}
		}
	}
	put := func(term string, m estimate.Measure, v float64, c []float64) {
		r.est = append(r.est, estimate.Estimate{Term: name + "," + term, Measure: m, Value: v})
		r.col = append(r.col, c)
	}
	if r.groups == 1 {
		put("overall", measure[0], value[0], inf[0])
		return nil
	}
	d := make([]float64, n)
	for i := range d {
		d[i] = inf[1][i] - inf[0][i]
	}
	put("difference", measure[1], value[1]-value[0], d)
	put("group=0", measure[0], value[0], inf[0])
	put("group=1", measure[0], value[1], inf[1])
	return nil
}

func (r *ratios) result(method string, workers int) (*estimate.Result, error) {
	n := len(r.m.Unit)
	res := &estimate.Result{Method: method, InfluenceUnit: r.m.Unit, Influence: mat.NewDense(n, len(r.col), nil), Fit: estimate.Convergence{Converged: true},
		Details: map[string]any{"vcov": "influence"}, N: estimate.Counts{Units: len(r.order)}}
	for _, i := range r.order {
		res.N.Treated += r.m.group(int(i))
	}
	for k, c := range r.col {
		res.Influence.SetCol(k, c)
	}
	var err error
	if res.Cov, res.N.Clusters, err = survive.Covariance(res.Influence, r.order, r.m.Cluster, workers); err != nil {
		return nil, err
	}
	if r.m.Cluster != nil {
		res.Details["vcov"] = "influence, clustered, factor G/(G-1)"
	}
	for k, e := range r.est {
		w := estimate.Wald(e.Term, e.Measure, e.Value, math.Sqrt(res.Cov.At(k, k)), math.Inf(1), r.m.Level)
		if e.Measure == PerPersonYear || e.Measure == PerMonth {
			w.Test = noTest()
		}
		if w.SE == 0 {
			w.SE, w.CI = math.NaN(), noInterval()
			w.Test = noTest()
		}
		res.Estimates = append(res.Estimates, w)
	}
	if r.m.Weight.Values != nil {
		res.Notes = append(res.Notes, table.Note{Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them.", Args: map[string]any{"kind": string(r.m.Weight.Kind)}})
	}
	if out := n - len(r.order); out > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "persons-unobserved", Text: "Persons without an observed month, or with weight 0, take no part.", Args: map[string]any{"persons": out}})
	}
	return res, nil
}
