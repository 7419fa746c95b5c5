package panel

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// ErrNoReference is an event study whose effects before treatment are not distances to one reference event. Test with [errors.Is].
var ErrNoReference = errors.New("effects before treatment are not counted from one reference event")

// An EventCurve is what [Honest] and [PreTestPower] need of an event study: the effects by time since treatment, counted from one
// reference event, and the reported overall effect as a weighted mean of effects by event.
type EventCurve struct {
	Event     []int     // ascending; the reference event is not among them
	Value     []float64 // of each event
	Reference int       // the event whose effect is 0 by definition
	Overall   float64   // NaN if there is none
	Weight    []float64 // of each event in Overall, 0 before treatment; nil without Overall
	// Cov is that of Value and, last, of Overall if there is one.
	Cov *mat.SymDense
}

// Curve returns the effects by event and the overall effect of an aggregation ([Cells] has none). An event's weight in Overall is the sum
// of the weights of its cells, so that a departure from parallel trends that at each event is the same for all cohorts moves Overall by
// Σ weight·departure.
//
// Errors: [ErrOption]; [ErrNoReference] with base "varying", whose effects before treatment are steps, and where gaps between periods
// give cohorts reference events of their own.
func (r *GroupTimeResult) Curve(kind Aggregation, o AggregateOptions) (*EventCurve, error) {
	c, err := r.curve(kind, o)
	if err != nil {
		return nil, fmt.Errorf("att(g,t), curve of %s: %w", kind, err)
	}
	return c, nil
}

func (r *GroupTimeResult) curve(kind Aggregation, o AggregateOptions) (*EventCurve, error) {
	if r.Options.Base != Universal {
		return nil, fmt.Errorf("%w: base %s gives steps; use base universal", ErrNoReference, r.Options.Base)
	}
	point := AggregateOptions{Bands: Pointwise, Level: o.Level, BalanceEvent: o.BalanceEvent}
	if err := point.check(kind); err != nil {
		return nil, err
	}
	dynamic, err := r.aggregate(Dynamic, point)
	if err != nil {
		return nil, err
	}
	base := map[int]bool{}
	for i := range r.Cells {
		if r.Cells[i].Reference {
			base[r.Cells[i].Time-r.Cells[i].Group] = true
		}
	}
	if len(base) > 1 {
		return nil, fmt.Errorf("%w: gaps between periods give cohorts reference events of their own", ErrNoReference)
	}
	res := dynamic
	if kind != Dynamic && kind != Cells {
		if res, err = r.aggregate(kind, point); err != nil {
			return nil, err
		}
	}
	last := len(res.Estimates) - 1
	var weight map[int]float64
	if kind != Cells {
		weight = eventWeights(res)
	}
	sums := func(res *estimate.Result, j int) []float64 {
		column := mat.Col(nil, j, res.Influence)
		if r.layout.cluster == nil {
			return column
		}
		return r.layout.clusterSums([]span{{0, r.layout.n}}, column)
	}
	return newCurve(dynamic, weight, res.Estimates[last].Value, func(j int) []float64 {
		if j < 0 {
			return sums(res, last)
		}
		return sums(dynamic, j)
	})
}

// eventWeights are the weights of events in the overall of an aggregate, from its weights of cells.
func eventWeights(res *estimate.Result) map[int]float64 {
	rows, _ := res.Details["weights"].([]map[string]any)
	of := map[string]float64{} // weight of a term in overall
	parts := false
	for _, row := range rows {
		if name, ok := row["of"].(string); ok && row["term"] == Overall {
			of[name] += row["weight"].(float64)
			parts = true
		}
	}
	out := map[int]float64{}
	for _, row := range rows {
		group, ok := row["group"].(int)
		if !ok {
			continue
		}
		times := of[row["term"].(string)]
		if !parts && row["term"] == Overall {
			times = 1
		}
		if times != 0 {
			out[row["time"].(int)-group] += float64(times * row["weight"].(float64))
		}
	}
	return out
}

// newCurve collects the terms event=E of a result; column(j) is the influence of its j-th estimate by cluster, column(-1) that of overall.
func newCurve(res *estimate.Result, weight map[int]float64, overall float64, column func(j int) []float64) (*EventCurve, error) {
	c := &EventCurve{Overall: math.NaN()}
	var sums [][]float64
	references := 0
	for j, e := range res.Estimates {
		text, ok := strings.CutPrefix(e.Term, "event=")
		event, err := strconv.Atoi(text)
		switch {
		case !ok || err != nil:
		case !finite(e.Value):
			return nil, fmt.Errorf("%w: an effect by event does not exist", ErrNoReference)
		case !e.HasSE():
			c.Reference = event
			references++
		default:
			c.Event, c.Value = append(c.Event, event), append(c.Value, e.Value)
			sums = append(sums, column(j))
		}
	}
	if references != 1 {
		return nil, fmt.Errorf("%w: there are %d", ErrNoReference, references)
	}
	if weight != nil {
		c.Overall, c.Weight = overall, make([]float64, len(c.Event))
		for i, e := range c.Event {
			c.Weight[i] = weight[e]
		}
		sums = append(sums, column(-1))
	}
	c.Cov = covarianceOf(sums, 1)
	return c, nil
}

// overallWeights notes in the details how events count in overall.
func overallWeights(res *estimate.Result, weight map[int]float64) {
	rows := make([]map[string]any, 0, len(weight))
	for _, e := range res.Estimates {
		var event int
		if n, _ := fmt.Sscanf(e.Term, "event=%d", &event); n == 1 {
			if w, ok := weight[event]; ok {
				rows = append(rows, map[string]any{"event": event, "weight": w})
			}
		}
	}
	res.Details["overall_weights"] = rows
}

// evenly is the same weight for events 0 … n-1.
func evenly(n int) map[int]float64 {
	out := map[int]float64{}
	for e := range n {
		out[e] = 1 / float64(n)
	}
	return out
}

// CurveOf returns the curve of an event study by regression ([SunAbraham], [Stacked], [LocalProjections], [TwoWay], [Intertemporal]).
// Where its overall effect is no mean of the effects by event, as that of two-way fixed effects, the curve has none.
//
// Errors: [ErrNoReference] for estimators that use every period before treatment as reference (imputation, two-stage, etwfe).
func CurveOf(res *estimate.Result) (*EventCurve, error) {
	var weight map[int]float64
	if rows, ok := res.Details["overall_weights"].([]map[string]any); ok {
		weight = map[int]float64{}
		for _, row := range rows {
			weight[row["event"].(int)] = row["weight"].(float64)
		}
	}
	overall, at := math.NaN(), -1
	for j, e := range res.Estimates {
		if e.Term == Overall {
			overall, at = e.Value, j
		}
	}
	var index []int
	c, err := newCurve(res, weight, overall, func(j int) []float64 {
		if j < 0 {
			j = at
		}
		index = append(index, j)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("curve of %v: %w", res.Details["estimator"], err)
	}
	// The covariance of the result holds clusters and finite-sample factors.
	c.Cov = mat.NewSymDense(len(index), nil)
	for a, i := range index {
		for b, j := range index[:a+1] {
			c.Cov.SetSym(a, b, res.Cov.At(i, j))
		}
	}
	return c, nil
}

// Coefficients returns the curve for [Honest] and the weights of a target: Overall, or a term event=E from treatment on.
//
// Overall of an aggregation by cohort is no function of the effects by event. Their values after treatment β are then replaced by
// β + l·(Overall - l'β)/l'l, l the weights: a difference that has mean 0 but for how effects vary, and no departure in it, so that
// l'β is Overall and its departure is still that of the events.
//
// Errors: [ErrOption] for a target that does not exist; [ErrNoReference] for events that are not one apart, or none before treatment.
func (c *EventCurve) Coefficients(target string) (Coefficients, []float64, error) {
	out, weights, err := c.coefficients(target)
	if err != nil {
		return out, nil, fmt.Errorf("curve: %w", err)
	}
	return out, weights, nil
}

func (c *EventCurve) coefficients(target string) (Coefficients, []float64, error) {
	var out Coefficients
	n := len(c.Event)
	previous := 0
	for i, e := range c.Event {
		if e < c.Reference {
			out.Pre++
		}
		at := e
		if i > 0 {
			step := 1
			if previous < c.Reference && e > c.Reference {
				step = 2
			}
			if at != previous+step {
				return out, nil, fmt.Errorf("%w: event %d follows %d; they must be one apart", ErrNoReference, e, previous)
			}
		}
		previous = at
	}
	if out.Pre == 0 || out.Pre == n {
		return out, nil, fmt.Errorf("%w: %d effects before the reference event %d and %d after it; one at least is needed on each side", ErrNoReference, out.Pre, c.Reference, n-out.Pre)
	}
	out.Value = slices.Clone(c.Value)
	out.Cov = mat.NewSymDense(n, nil)
	for i := range n {
		for j := range i + 1 {
			out.Cov.SetSym(i, j, c.Cov.At(i, j))
		}
	}
	weights := make([]float64, n-out.Pre)
	if target != Overall {
		at := slices.IndexFunc(c.Event, func(e int) bool { return eventTerm(e) == target })
		if at < out.Pre {
			return out, nil, fmt.Errorf("%w: the target %q is no effect by event after the reference event", ErrOption, target)
		}
		weights[at-out.Pre] = 1
		return out, weights, nil
	}
	if c.Weight == nil {
		return out, nil, fmt.Errorf("%w: the overall effect is no mean of the effects by event; name an event as target", ErrOption)
	}
	copy(weights, c.Weight[out.Pre:])
	c.recentre(&out, weights)
	return out, weights, nil
}

// recentre makes Σ weight·value the overall effect.
func (c *EventCurve) recentre(out *Coefficients, weights []float64) {
	n := len(c.Event)
	square, sum := 0.0, 0.0
	l := make([]float64, n+1) // overall less the weighted mean of events
	for i, w := range weights {
		square += float64(w * w)
		sum += float64(w * c.Value[out.Pre+i])
		l[out.Pre+i] = -w
	}
	l[n] = 1
	variance := mat.Inner(mat.NewVecDense(n+1, l), c.Cov, mat.NewVecDense(n+1, l))
	if variance <= 1e-12*c.Cov.At(n, n) {
		return // it is that mean already, up to rounding
	}
	turn := mat.NewDense(n, n+1, nil)
	for i := range n {
		turn.Set(i, i, 1)
		if i < out.Pre {
			continue
		}
		w := weights[i-out.Pre] / square
		out.Value[i] += float64(w * (c.Overall - sum))
		for j, v := range l {
			turn.Set(i, j, turn.At(i, j)+float64(w*v))
		}
	}
	var left, full mat.Dense
	left.Mul(turn, c.Cov)
	full.Mul(&left, turn.T())
	for i := range n {
		for j := range i + 1 {
			out.Cov.SetSym(i, j, (full.At(i, j)+full.At(j, i))/2)
		}
	}
}
