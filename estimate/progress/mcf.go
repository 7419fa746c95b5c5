package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// Measures of repeated events.
const (
	MeanCount           estimate.Measure = "mean-cumulative-count"
	MeanCountDifference estimate.Measure = "mean-cumulative-count-difference"
	MeanCountRatio      estimate.Measure = "mean-cumulative-count-ratio"
	LogRateRatio        estimate.Measure = "log-rate-ratio"
)

// MeanCumulative estimates how many events a person has on average up to a time:
//
//	μ(t) = ∫_0^t S(u−)·dN(u)/Y(u)
//
// with S the Kaplan–Meier curve of the terminal event (Ghosh and Lin 2000), or S = 1 where no
// row has one (Nelson; Lawless and Nadeau). Robust variance Σ_i IF_i² over persons, no
// factor; with clusters G/(G−1)·Σ_c(Σ_{i∈c} IF_i)². With two groups also difference and ratio at each time, and, unless there are
// terminal events, the marginal rate ratio (Lin, Wei, Yang and Ying) with the sandwich over persons.
//
// Estimates, in this order: for each group G and time T time=T[,group=G]
// (mean-cumulative-count, log interval); with two groups A, B for each time
// time=T,contrast=B-A (mean-cumulative-count-difference) and time=T,contrast=B/A
// (mean-cumulative-count-ratio, log interval), then contrast=B/A (log-rate-ratio).
//
// Details: groups ([]EventGroup), curve ([]MCFPoint), terminal, ties, naive_std_error (of
// the log rate ratio), vcov.
//
// Errors: [estimate.ErrInvalidFrame] for rows that break the contract of [Recurrent];
// [estimate.ErrWeights] for frequency weights; [estimate.ErrTooFew] for a group with one
// person; [estimate.ErrNotConverged].
type MeanCumulative struct {
	At      []float64 // times to report; required
	Ties    string    // of the rate ratio: "efron" (""), "breslow"
	Workers int       // goroutines; 0 means all cores. Never changes a result
}

// EventGroup is a row of details.groups.
type EventGroup struct {
	Group    string  `json:"group"`
	Persons  int     `json:"persons"`
	Events   int     `json:"events"`
	Terminal int     `json:"terminal"`
	Exposure float64 `json:"exposure"` // time at risk
	Rate     float64 `json:"rate"`     // events over exposure, both weighted
}

// MCFPoint is a row of details.curve.
type MCFPoint struct {
	Group  string  `json:"group"`
	Time   float64 `json:"time"`
	AtRisk float64 `json:"at_risk"`
	Events float64 `json:"events"`
	Mean   float64 `json:"mean"`
}

// Fit estimates from rows, which it does not change.
func (e MeanCumulative) Fit(ctx context.Context, r *Recurrent) (*estimate.Result, error) {
	res, err := e.fit(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("mean cumulative function: %w", err)
	}
	return res, nil
}

func (e MeanCumulative) fit(ctx context.Context, r *Recurrent) (*estimate.Result, error) {
	if len(e.At) == 0 {
		return nil, fmt.Errorf("times to report are needed: the time is part of what is estimated")
	}
	seen := map[float64]bool{}
	for _, t := range e.At {
		if !(t > 0) || math.IsInf(t, 1) || seen[t] {
			return nil, fmt.Errorf("time %v: times to report must be finite, above 0, and asked for once", t)
		}
		seen[t] = true
	}
	if e.Ties != "" && e.Ties != "efron" && e.Ties != "breslow" {
		return nil, fmt.Errorf("ties %q are not one of efron, breslow", e.Ties)
	}
	persons, never, err := r.persons()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names := r.GroupNames
	if r.Group == nil {
		names = []string{""}
	}
	f := &mcfFit{e: e, r: r, names: names, res: &estimate.Result{Method: "mean-cumulative", Fit: estimate.Convergence{Converged: true}}}
	if err := f.split(persons, never); err != nil {
		return nil, err
	}
	return f.run()
}

type mcfFit struct {
	e       MeanCumulative
	r       *Recurrent
	names   []string
	curves  []*mcfCurve
	persons int
	deaths  int
	order   []int32     // persons of weight above 0
	cluster []int       // of each person; nil = independent
	columns [][]float64 // influence by column
	res     *estimate.Result
}

// split makes the curve of each group.
func (f *mcfFit) split(persons, never []*recurrent) error {
	lists, rows := make([][]*recurrent, len(f.names)), make([][]int, len(f.names))
	open, zero := 0, 0
	for i, p := range persons {
		f.res.InfluenceUnit = append(f.res.InfluenceUnit, p.id)
		if f.r.Cluster != nil {
			f.cluster = append(f.cluster, p.cluster)
		}
		if p.weight == 0 {
			zero++
			continue
		}
		f.order = append(f.order, int32(i))
		lists[p.group] = append(lists[p.group], p)
		rows[p.group] = append(rows[p.group], len(f.res.InfluenceUnit)-1)
		if p.lastIsMark {
			open++
		}
	}
	f.persons = len(persons)
	for g, list := range lists {
		if len(list) < 2 {
			return fmt.Errorf("%w: group %q has %d persons of weight above 0; a standard error needs 2", estimate.ErrTooFew, f.names[g], len(list))
		}
		m := newMCF(list, rows[g])
		f.curves = append(f.curves, m)
		f.deaths += m.deaths
		f.res.N.Units += len(list)
		f.res.N.Events += m.events
	}
	add := func(code, text string, args map[string]any) {
		f.res.Notes = append(f.res.Notes, table.Note{Code: code, Text: text, Args: args})
	}
	if len(never) > 0 {
		died := 0
		for _, p := range never {
			if !math.IsNaN(p.terminal) {
				died++
			}
		}
		add("never-at-risk", "Some persons have rows at time 0 only: they were never at risk and are left out.", map[string]any{"persons": len(never), "count": died})
	}
	if zero > 0 {
		add("zero-weight", "Persons with weight 0 take no part.", map[string]any{"persons": zero})
	}
	if f.r.Weight.Values != nil {
		add("weights-fixed", "Standard errors take the weights as known; the step that estimated them is not in them.", map[string]any{"kind": string(f.r.Weight.Kind)})
	}
	if open > 0 {
		add("ends-with-event", "The last row of some persons is an event: they count as observed only up to it. If they were followed for longer, add a row without event.", map[string]any{"persons": open})
	}
	return nil
}

// add appends an estimate and its influence function.
func (f *mcfFit) add(est estimate.Estimate, inf []float64) {
	f.res.Estimates, f.columns = append(f.res.Estimates, est), append(f.columns, inf)
}

func (f *mcfFit) run() (*estimate.Result, error) {
	for g, m := range f.curves {
		for _, t := range f.e.At {
			inf := make([]float64, f.persons)
			value := m.step(m.mean, t)
			if !m.known(t) {
				value = math.NaN()
				f.res.Notes = append(f.res.Notes, table.Note{Code: "beyond-follow-up", Text: "Nobody of the group is observed at this time any more, so its number does not exist.",
					Args: map[string]any{"time": t, "group": f.names[g], "last": m.last}})
			}
			num.ForChunks(len(m.persons), f.e.Workers, func(_, lo, hi int) {
				for k := lo; k < hi; k++ {
					inf[m.index[k]] = m.influence(m.persons[k], t)
					if math.IsNaN(value) {
						inf[m.index[k]] = math.NaN()
					}
				}
			})
			term := "time=" + survive.FormatTime(t)
			if f.r.Group != nil {
				term += ",group=" + f.names[g]
			}
			f.add(positive(term, MeanCount, value, f.spread(inf), f.r.Level, false), inf)
		}
	}
	f.res.Details = map[string]any{"terminal": f.deaths > 0, "vcov": "influence over persons"}
	if f.cluster != nil {
		f.res.Details["vcov"] = "influence, clustered, factor G/(G-1)"
	}
	if len(f.curves) == 2 {
		if err := f.contrast(); err != nil {
			return nil, err
		}
	}
	f.details()
	m := len(f.columns)
	f.res.Influence = mat.NewDense(f.persons, m, nil)
	for a, col := range f.columns {
		f.res.Influence.SetCol(a, col)
	}
	var err error
	f.res.Cov, f.res.N.Clusters, err = survive.Covariance(f.res.Influence, f.order, f.cluster, f.e.Workers)
	return f.res, err
}

// spread is the standard error of a number with this influence function.
func (f *mcfFit) spread(inf []float64) float64 {
	if f.cluster == nil {
		return math.Sqrt(num.Dot(inf, inf))
	}
	sum := make([]float64, slices.Max(f.cluster)+1)
	seen := make([]bool, len(sum))
	groups := 0.0
	for _, i := range f.order {
		c := f.cluster[i]
		if !seen[c] {
			seen[c] = true
			groups++
		}
		sum[c] += inf[i]
	}
	return math.Sqrt(num.Dot(sum, sum) * groups / (groups - 1))
}

// positive is the estimate of a number above 0, with the interval and, for a ratio, the test of its logarithm.
func positive(term string, measure estimate.Measure, value, se, level float64, ratio bool) estimate.Estimate {
	est := estimate.Estimate{Term: term, Measure: measure, Value: value, SE: se, CI: noInterval(), Test: noTest()}
	if !(value > 0) || !(est.SE > 0) {
		est.SE = math.NaN() // a mean of 0 has no spread to estimate one from
		return est
	}
	log := LogRatio{math.Log(value), est.SE / value}
	est.CI = logInterval(log, level)
	if ratio {
		est.Test = logTest(log)
	}
	return est
}

// contrast compares the second group with the first.
func (f *mcfFit) contrast() error {
	n := len(f.e.At)
	a, b := f.names[0], f.names[1]
	for k, t := range f.e.At {
		first, second := f.res.Estimates[k], f.res.Estimates[n+k]
		diff, ratio := make([]float64, f.persons), make([]float64, f.persons)
		value := second.Value / first.Value
		if !(first.Value > 0) {
			value = math.NaN()
		}
		for i := range diff {
			x, y := f.columns[k][i], f.columns[n+k][i]
			diff[i] = y - x
			ratio[i] = y/first.Value - float64(value*x/first.Value)
		}
		term := "time=" + survive.FormatTime(t) + ",contrast=" + b
		f.add(estimate.Wald(term+"-"+a, MeanCountDifference, second.Value-first.Value, f.spread(diff), math.Inf(1), f.r.Level), diff)
		f.add(positive(term+"/"+a, MeanCountRatio, value, f.spread(ratio), f.r.Level, true), ratio)
	}
	if f.deaths > 0 {
		return nil // the ratio of rates among the living is another question
	}
	inf := make([]float64, f.persons)
	est := estimate.Wald("contrast="+b+"/"+a, LogRateRatio, math.NaN(), math.NaN(), math.Inf(1), f.r.Level)
	if f.curves[0].events == 0 || f.curves[1].events == 0 {
		f.res.Notes = append(f.res.Notes, table.Note{Code: "no-rate-ratio", Text: "One of the groups has no event: the rate ratio does not exist.", Args: map[string]any{}})
		for i := range inf {
			inf[i] = math.NaN()
		}
		f.add(est, inf)
		return nil
	}
	m, err := fitRates([2]*mcfCurve(f.curves), f.e.Ties != "breslow")
	if err != nil {
		return err
	}
	for x, g := range f.curves {
		for k, p := range g.persons {
			inf[g.index[k]] = m.influence(p, x)
		}
	}
	f.add(estimate.Wald(est.Term, est.Measure, m.beta, f.spread(inf), math.Inf(1), f.r.Level), inf)
	f.res.Fit = estimate.Convergence{Converged: true, Iterations: m.iters, Tolerance: m.moved}
	ties := "efron"
	if !m.efron {
		ties = "breslow"
	}
	f.res.Details["ties"], f.res.Details["naive_std_error"] = ties, math.Sqrt(m.naive)
	return nil
}

func (f *mcfFit) details() {
	var groups []EventGroup
	var curve []MCFPoint
	for g, m := range f.curves {
		row := EventGroup{Group: f.names[g], Persons: len(m.persons), Events: m.events, Terminal: m.deaths}
		var rate float64
		for _, p := range m.persons {
			for k := range p.start {
				row.Exposure += p.stop[k] - p.start[k]
				rate += float64(p.weight * (p.stop[k] - p.start[k]))
			}
		}
		row.Rate = num.Sum(slices.Clone(m.count)) / rate
		groups = append(groups, row)
		for k, t := range m.at {
			if m.count[k] > 0 {
				curve = append(curve, MCFPoint{f.names[g], t, m.risk[k], m.count[k], m.mean[k]})
			}
		}
	}
	f.res.Details["groups"], f.res.Details["curve"] = groups, curve
}
