package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/estimate/survive"
	"utfall/table"
)

// Measures of how many changed.
const (
	ShareImproved estimate.Measure = "share-improved"
	ShareWorsened estimate.Measure = "share-worsened"
	ShareMixed    estimate.Measure = "share-mixed"
	ShareSame     estimate.Measure = "share-unchanged"
	NetImproved   estimate.Measure = "net-improved"
)

// Persons are n persons whose change is judged, in one group or two.
type Persons struct {
	Unit    []string
	Treated []bool // nil = one group
	Weight  estimate.Weights
	Cluster []int // n, dense from 0; nil if persons are independent
	Level   float64
}

// BeyondChange counts who changed by more than is error and matters: improved if the change is
// above max(MIC, SDC), worsened if below −max(MIC, SDC). For each group the weighted shares
// improved and worsened and their difference, net; for two groups the net share of participants less that
// of comparison people. Variance Σ IF² with IF_i = w_i·(d_i − mean)/Σw in each group (with clusters
// G/(G−1)·Σ_c(Σ IF)²), where the limit counts as known.
//
// One data set of observed changes needs an SDC: a single person's change is told from error
// by it alone. Plausible changes ([PlausibleValues]) hold the error already, so that MIC is
// enough; the data sets are joined by Rubin's rules.
//
// Estimates: difference (net-improved), then for each group share-improved, share-worsened,
// net-improved with term group=G (overall for one). Details: limit, data_sets, fmi.
//
// Errors: [estimate.ErrTooFew] below MinPerArm persons in a group (gate G8);
// [estimate.ErrNoTreated], [estimate.ErrNoControls]; [estimate.ErrInvalidFrame].
type BeyondChange struct {
	MIC       float64 // minimal important change, in units of the change; 0 = none known
	SDC       float64 // smallest detectable change; 0 for plausible values
	MinPerArm int     // fewest persons per group; 0 means 15
	Workers   int     // goroutines; 0 means all cores. Never changes a result
}

// Limit is max(MIC, SDC).
func (e BeyondChange) Limit() float64 { return max(e.MIC, e.SDC) }

// Classify is 1 for each person who improved, −1 who worsened, 0 for the others; NaN changes give 0 and
// false.
func (e BeyondChange) Classify(change []float64) (class []int, known []bool) {
	class, known = make([]int, len(change)), make([]bool, len(change))
	for i, v := range change {
		known[i] = !math.IsNaN(v)
		switch {
		case v > e.Limit():
			class[i] = 1
		case v < -e.Limit():
			class[i] = -1
		}
	}
	return class, known
}

// Fit counts in one data set of changes, or several completed ones.
func (e BeyondChange) Fit(ctx context.Context, p *Persons, change ...[]float64) (*estimate.Result, error) {
	res, err := e.fit(ctx, p, change)
	if err != nil {
		return nil, fmt.Errorf("change beyond a limit: %w", err)
	}
	return res, nil
}

func (e BeyondChange) fit(ctx context.Context, p *Persons, change [][]float64) (*estimate.Result, error) {
	switch {
	case len(change) == 0:
		return nil, invalid("no changes")
	case e.MIC < 0 || e.SDC < 0 || math.IsNaN(e.MIC+e.SDC) || math.IsInf(e.MIC+e.SDC, 0):
		return nil, invalid("a limit below 0 or not finite")
	case e.Limit() == 0:
		return nil, invalid("neither an important nor a detectable change: any change would count")
	case len(change) == 1 && e.SDC == 0:
		return nil, invalid("observed changes need the smallest detectable change: less than it cannot be told from error")
	case len(change) > 1 && e.SDC > 0:
		return nil, invalid("plausible changes hold the error already; leave the smallest detectable change out")
	}
	var tables []combine.Imputed
	var one *estimate.Result
	for k, c := range change {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		class, known := e.Classify(c)
		if len(c) != len(p.Unit) {
			return nil, invalid("%d changes for %d persons", len(c), len(p.Unit))
		}
		r, err := netShares(p, class, known, []shareOf{{ShareImproved, 1}, {ShareWorsened, -1}}, e.MinPerArm, e.Workers)
		if err != nil {
			return nil, err
		}
		tables = append(tables, combine.Imputed{Name: fmt.Sprint("data set ", k+1), Estimates: r.Estimates})
		one = r
	}
	res := one
	if len(change) > 1 {
		pooled, err := combine.Rubin{Level: p.Level}.Pool(tables)
		if err != nil {
			return nil, err
		}
		res = &estimate.Result{Estimates: pooled.Estimates, N: one.N, Notes: append(one.Notes, pooled.Notes...), Details: map[string]any{"fmi": pooled.Details["fmi"]}}
	}
	res.Method = "change-beyond-limit"
	res.Fit.Converged = true
	res.Details["limit"], res.Details["data_sets"] = e.Limit(), len(change)
	return res, nil
}

// shareOf is a share to report and the class it counts.
type shareOf struct {
	measure estimate.Measure
	class   int
}

// netShares are the shares of classes in each group, net = classes 1 less −1, and its difference.
func netShares(p *Persons, class []int, known []bool, shares []shareOf, least, workers int) (*estimate.Result, error) {
	n := len(p.Unit)
	f := &estimate.Frame{Unit: p.Unit, Y: make([]float64, n), Treated: p.Treated, Weight: p.Weight, Cluster: p.Cluster, Level: p.Level}
	if err := f.Check(); err != nil {
		return nil, err
	}
	if p.Weight.Kind == estimate.Frequency {
		return nil, fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	}
	if least == 0 {
		least = 15
	}
	group, count, total := make([]int, n), [2]int{}, [2]float64{}
	weight := make([]float64, n)
	order := make([]int32, 0, n)
	unknown := 0
	for _, i := range byUnit(p.Unit) {
		if p.Treated != nil && p.Treated[i] {
			group[i] = 1
		}
		w := 1.0
		if p.Weight.Values != nil {
			w = p.Weight.Values[i]
		}
		if !known[i] {
			unknown++
			continue
		}
		if w > 0 {
			weight[i] = w
			count[group[i]]++
			total[group[i]] += w
			order = append(order, int32(i))
		}
	}
	groups := 1
	if p.Treated != nil {
		groups = 2
	}
	switch {
	case groups == 2 && count[1] == 0:
		return nil, estimate.ErrNoTreated
	case groups == 2 && count[0] == 0:
		return nil, estimate.ErrNoControls
	}
	for g := range groups {
		if count[g] < least {
			return nil, fmt.Errorf("%w: a group has %d persons with a known change; at least %d are needed", estimate.ErrTooFew, count[g], least)
		}
	}
	res := &estimate.Result{Details: map[string]any{}, InfluenceUnit: p.Unit, N: estimate.Counts{Units: len(order)}}
	if groups == 2 {
		res.N.Treated = count[1]
	}
	var values []float64
	var terms []string
	var measures []estimate.Measure
	cols := [][]float64{}
	put := func(term string, m estimate.Measure, of func(i int) float64, g int) {
		mean, inf := 0.0, make([]float64, n)
		for _, i := range order {
			if group[i] == g {
				mean += float64(weight[i] / total[g] * of(int(i)))
			}
		}
		for _, i := range order {
			if group[i] == g {
				inf[i] = weight[i] / total[g] * (of(int(i)) - mean)
			}
		}
		terms, measures, values, cols = append(terms, term), append(measures, m), append(values, mean), append(cols, inf)
	}
	net := func(i int) float64 {
		if class[i] == 1 || class[i] == -1 {
			return float64(class[i])
		}
		return 0
	}
	var nets []int
	if groups == 2 { // filled from the nets below
		terms, measures, values, cols = append(terms, "difference"), append(measures, NetImproved), append(values, 0), append(cols, make([]float64, n))
	}
	for g := range groups {
		name := "overall"
		if groups == 2 {
			name = fmt.Sprint("group=", g)
		}
		for _, s := range shares {
			put(name, s.measure, func(i int) float64 {
				if class[i] == s.class {
					return 1
				}
				return 0
			}, g)
		}
		put(name, NetImproved, net, g)
		nets = append(nets, len(values)-1)
	}
	if groups == 2 {
		values[0] = values[nets[1]] - values[nets[0]]
		for i := range cols[0] {
			cols[0][i] = cols[nets[1]][i] - cols[nets[0]][i]
		}
	}
	res.Influence = mat.NewDense(n, len(values), nil)
	for a, c := range cols {
		res.Influence.SetCol(a, c)
	}
	var err error
	if res.Cov, res.N.Clusters, err = survive.Covariance(res.Influence, order, p.Cluster, workers); err != nil {
		return nil, err
	}
	if p.Cluster == nil {
		res.N.Clusters = 0
	}
	for a := range values {
		e := estimate.Wald(terms[a], measures[a], values[a], math.Sqrt(res.Cov.At(a, a)), math.Inf(1), p.Level)
		if measures[a] != NetImproved {
			e.Test = noTest()
		}
		res.Estimates = append(res.Estimates, e)
	}
	if unknown > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "change-unknown", Text: "For some persons the change is not known; they were left out.", Args: map[string]any{"persons": unknown}})
	}
	if p.Weight.Values != nil {
		res.Notes = append(res.Notes, table.Note{Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them."})
	}
	return res, nil
}
