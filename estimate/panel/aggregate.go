package panel

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Aggregation says what the cells are averaged into.
type Aggregation string

// The aggregations. Every term but those of Cells is an average of cells in which
// cohort g counts by its share p[g] of the treated; Overall comes last.
const (
	Cells    Aggregation = "none"     // the cells: group=G,time=T
	Simple   Aggregation = "simple"   // overall: all cells from treatment on, by p[g]
	Group    Aggregation = "group"    // group=G: mean over its periods; overall by p[g]
	Dynamic  Aggregation = "dynamic"  // event=E: cells with T-G = E by p[g]; overall: mean over E ≥ 0
	Calendar Aggregation = "calendar" // time=T: treated cells of period T by p[g]; overall: mean over T
)

// Overall is the term of the one-number summary.
const Overall = "overall"

// Kinds of interval.
const (
	Pointwise = "pointwise"
	Uniform   = "uniform"
)

// AggregateOptions are the options of [GroupTimeResult.Aggregate].
type AggregateOptions struct {
	// BalanceEvent, for Dynamic: only cohorts that are seen for this many time units
	// after treatment, and only the events at which each of them is seen. nil = all.
	BalanceEvent *int
	// Bands is "uniform" (one band that covers all terms but overall at once) or
	// "pointwise". Default: uniform when there is more than one such term.
	Bands string
	// Replicates is the number of draws of the multiplier bootstrap; 0 = 999. At
	// least 99; it must be 0 with pointwise intervals.
	Replicates int
	Seed       uint64
	Level      float64 // 0 = the frame's
}

// target is a term: Σ weight·cell, or for an overall of terms Σ weight·term.
type target struct {
	term    string
	cells   []int
	parts   []int // indices of earlier targets instead of cells
	weights []float64
	shares  bool // weights are estimated cohort shares, whose error counts
	value   float64
	se      float64
	inf     []float64 // n; nil for a mean of reference cells
}

// Aggregate averages the cells. The standard errors include the estimation of the
// cohort shares: with S the cells of a term, θ = Σ_S p[g]·ATT(g,t)/Σ_S p[g] and W[g]
// the weight of cohort g,
//
//	ψ[i] = Σ_S p[g]·ψ_gt[i]/Σ_S p[g] + w[i]·Σ_{S: g = G[i]} (ATT(g,t) - θ) / Σ_S W[g]
//
// Uniform bands are value ± c·SE with c the level-quantile over draws of
// max |Σ_c v[c]·ψ[c]|/SE over the terms other than overall, v[c] = ±1 with equal
// probability for each cluster's sum ψ[c], and never below the pointwise quantile.
// Tests are pointwise. Influence has one column for each estimate and the rows of
// InfluenceUnit.
//
// Errors: [ErrOption]; [estimate.ErrNotIdentified] when a summary has no cell.
func (r *GroupTimeResult) Aggregate(kind Aggregation, o AggregateOptions) (*estimate.Result, error) {
	res, err := r.aggregate(kind, o)
	if err != nil {
		return nil, fmt.Errorf("att(g,t), aggregate %s: %w", kind, err)
	}
	return res, nil
}

func (r *GroupTimeResult) aggregate(kind Aggregation, o AggregateOptions) (*estimate.Result, error) {
	if err := o.check(kind); err != nil {
		return nil, err
	}
	if o.Level == 0 {
		o.Level = r.Level
	}
	targets := r.targets(kind, o.BalanceEvent)
	if kind != Cells && len(targets[len(targets)-1].weights) == 0 {
		return nil, fmt.Errorf("%w: no cell from treatment on can be estimated", estimate.ErrNotIdentified)
	}
	k := len(targets)
	num.ForEach(k, r.Options.Workers, func(i int) {
		if targets[i].parts == nil {
			r.evaluate(&targets[i], nil)
		}
	})
	for i := range targets {
		if targets[i].parts != nil {
			r.evaluate(&targets[i], targets)
		}
	}
	sums := r.sums(targets)
	cov := covarianceOf(sums, r.Options.Workers)
	res := &estimate.Result{
		Method: "did", Cov: cov, N: r.counts(), Fit: estimate.Convergence{Converged: true},
		InfluenceUnit: r.layout.unit, Details: r.details(), Notes: slices.Clone(r.notes),
	}
	res.Details["aggregate"] = string(kind)
	res.Influence = mat.NewDense(r.layout.n, k, nil)
	data := res.Influence.RawMatrix().Data
	for j := range targets {
		t := &targets[j]
		t.se = math.NaN()
		if t.inf != nil {
			t.se = math.Sqrt(cov.At(j, j))
			for i, v := range t.inf {
				data[i*k+j] = v
			}
		}
		res.Estimates = append(res.Estimates, estimate.Wald(t.term, estimate.MeanDifference, t.value, t.se, math.Inf(1), o.Level))
	}
	if kind != Cells {
		res.Details["weights"] = r.weightRows(targets)
	}
	if o.BalanceEvent != nil {
		res.Details["balance_event"] = *o.BalanceEvent
	}
	r.addBands(res, targets, sums, o)
	if last := res.Estimates[k-1]; kind != Cells && (math.IsNaN(last.Value) || math.IsNaN(last.SE)) {
		return nil, fmt.Errorf("%w: the overall effect is not a number", estimate.ErrNotIdentified)
	}
	return res, nil
}

func (o AggregateOptions) check(kind Aggregation) error {
	kinds := []string{string(Cells), string(Simple), string(Group), string(Dynamic), string(Calendar)}
	switch {
	case !slices.Contains(kinds, string(kind)):
		return fmt.Errorf("%w: %q is not one of %s", ErrOption, kind, strings.Join(kinds, ", "))
	case o.BalanceEvent != nil && kind != Dynamic:
		return fmt.Errorf("%w: a balanced event time is for aggregate dynamic", ErrOption)
	case o.BalanceEvent != nil && *o.BalanceEvent < 0:
		return fmt.Errorf("%w: balanced event time %d is below 0", ErrOption, *o.BalanceEvent)
	case o.Bands != "" && o.Bands != Pointwise && o.Bands != Uniform:
		return fmt.Errorf("%w: bands %q is not one of %s, %s", ErrOption, o.Bands, Uniform, Pointwise)
	case o.Bands == Pointwise && o.Replicates != 0:
		return fmt.Errorf("%w: pointwise intervals use no replicates", ErrOption)
	case o.Replicates != 0 && o.Replicates < 99:
		return fmt.Errorf("%w: %d replicates; at least 99 are needed", ErrOption, o.Replicates)
	case o.Level != 0 && !(o.Level > 0 && o.Level < 1):
		return fmt.Errorf("%w: confidence level %v is not between 0 and 1", ErrOption, o.Level)
	}
	return nil
}

// evaluate computes value and influence of a target from its cells or its parts.
func (r *GroupTimeResult) evaluate(t *target, all []target) {
	l := r.layout
	cohort := func(i int) int { // index of the cohort of the i-th ingredient
		if t.parts != nil {
			return r.index[all[t.parts[i]].cells[0]].cohort
		}
		return r.index[t.cells[i]].cohort
	}
	values := make([]float64, len(t.weights))
	for i, w := range t.weights {
		if t.parts != nil {
			values[i] = all[t.parts[i]].value
		} else {
			values[i] = r.Cells[t.cells[i]].ATT
		}
		t.value += float64(w * values[i])
	}
	inf := make([]float64, l.n)
	estimated := false
	for i, w := range t.weights {
		if t.parts == nil {
			estimated = estimated || !r.Cells[t.cells[i]].Reference
			r.Influence(t.cells[i], w, inf)
			continue
		}
		if part := all[t.parts[i]].inf; part != nil {
			estimated = true
			for p, v := range part {
				inf[p] += float64(w * v)
			}
		}
	}
	if !estimated {
		return
	}
	t.inf = inf
	if !t.shares {
		return
	}
	weight := l.cohortWeight()
	total := 0.0
	for i := range t.weights {
		total += weight[cohort(i)]
	}
	shift := make([]float64, len(l.cohorts))
	for i, v := range values {
		c := cohort(i)
		if t.parts != nil && r.Options.Reproduce == DidVersion {
			c = r.index[i].cohort // it takes the cohort of the i-th cell for the i-th cohort
		}
		shift[c] += (v - t.value) / total
	}
	for c, s := range shift {
		if s == 0 {
			continue
		}
		for p := l.start[c]; p < l.start[c+1]; p++ {
			inf[p] += float64(s * l.w[0][p])
		}
	}
}

// sums returns each target's influence summed by cluster (nil without influence).
func (r *GroupTimeResult) sums(targets []target) [][]float64 {
	out := make([][]float64, len(targets))
	for i := range targets {
		out[i] = targets[i].inf
		if r.layout.cluster != nil && out[i] != nil {
			out[i] = r.layout.clusterSums([]span{{0, r.layout.n}}, out[i])
		}
	}
	return out
}

func covarianceOf(sums [][]float64, workers int) *mat.SymDense {
	v := mat.NewSymDense(len(sums), nil)
	num.ForEach(len(sums), workers, func(a int) {
		for b := range a + 1 {
			if sums[a] != nil && sums[b] != nil {
				v.SetSym(a, b, num.Dot(sums[a], sums[b]))
			}
		}
	})
	return v
}

// weightRows lists what each term is an average of.
func (r *GroupTimeResult) weightRows(targets []target) []map[string]any {
	var rows []map[string]any
	for i := range targets {
		for j, w := range targets[i].weights {
			row := map[string]any{"term": targets[i].term, "weight": w}
			if targets[i].parts != nil {
				row["of"] = targets[targets[i].parts[j]].term
			} else {
				c := &r.Cells[targets[i].cells[j]]
				row["group"], row["time"] = c.Group, c.Time
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// addBands replaces the intervals of all terms but overall (or of overall alone) by
// a uniform band.
func (r *GroupTimeResult) addBands(res *estimate.Result, targets []target, sums [][]float64, o AggregateOptions) {
	var family []int
	for i, t := range targets {
		if t.se > 0 && (t.term != Overall || len(targets) == 1) {
			family = append(family, i)
		}
	}
	if o.Bands == Pointwise || (o.Bands == "" && len(family) < 2) || len(family) == 0 {
		res.Details["bands"] = map[string]any{"type": Pointwise}
		return
	}
	if o.Replicates == 0 {
		o.Replicates = 999
	}
	scaled := make([][]float64, len(family))
	for a, i := range family {
		scaled[a] = make([]float64, len(sums[i]))
		for c, v := range sums[i] {
			scaled[a][c] = v / targets[i].se
		}
	}
	b := supremumQuantile(scaled, o.Level, o.Replicates, o.Seed, r.Options.Workers)
	if z := num.StudentQuantile(o.Level, math.Inf(1)); b.critical < z {
		b.critical = z
		res.Notes = append(res.Notes, table.Note{Code: "band-at-pointwise",
			Text: "The simulated critical value of the uniform band was below that of a pointwise interval, which was used instead."})
	}
	for _, i := range family {
		e := &res.Estimates[i]
		half := float64(b.critical * e.SE)
		e.CI = estimate.Interval{Lo: e.Value - half, Hi: e.Value + half, Level: o.Level, Method: "uniform-band"}
	}
	res.Details["bands"] = map[string]any{"type": Uniform, "critical_value": b.critical, "critical_value_mc_error": b.mcError,
		"replicates": o.Replicates, "seed": o.Seed, "terms": len(family), "multiplier": "rademacher"}
}
