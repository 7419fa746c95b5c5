package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// DIFLikelihoodRatio tests by item response models whether an item works alike in two groups
// (Group 0 and 1 of the answers), whose traits have means and variances of their own:
//
//	2·(ℓ with the item's slope and thresholds free in each group − ℓ with them equal)
//
// on as many degrees of freedom as parameters are freed, the other unflagged items equal
// (anchors). Flagged: p after Benjamini and Hochberg below Alpha and |effect| at least MinEffect,
//
//	effect = E[E(Y | θ, group 1) − E(Y | θ, group 0)]/(categories − 1)
//
// over the trait in group 1. Purified: the item that stands out most (largest statistic per degree of
// freedom) is freed, all are tested again with it free, and so on until the flags stay; an item that no longer
// stands out is put back.
//
// What matters is what it does to the comparison: the difference of the groups' means with all
// items equal and with the flagged ones free. If sign or significance change, the groups
// must not be compared by this scale.
//
// Estimates: ITEM/total (chi-square) for each item, then difference,items=all and
// difference,items=invariant (trait-mean). Details: items ([]DIFItem; no uniform and
// non-uniform parts), rounds, verdict (agree, disagree). Errors as [DIFLogistic] and the model's;
// [estimate.ErrNotIdentified] if fewer than 2 items are left as anchors.
//
// Thissen, Steinberg and Wainer (1993); Lord (1980) for purification.
type DIFLikelihoodRatio struct {
	Model     ItemModel // "" = graded
	Alpha     float64   // 0 = .05
	MinEffect float64   // 0 = .05 of the item's range
	Workers   int       // goroutines; 0 means all cores. Never changes a result
}

// Fit tests every item.
func (e DIFLikelihoodRatio) Fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	res, err := e.fit(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("differential item functioning: %w", err)
	}
	return res, nil
}

func (e DIFLikelihoodRatio) fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	if err := difAnswers(a); err != nil {
		return nil, err
	}
	if e.Alpha < 0 || e.Alpha >= 1 || e.MinEffect < 0 || e.MinEffect >= 1 {
		return nil, invalid("Alpha and MinEffect are shares")
	}
	if e.Alpha == 0 {
		e.Alpha = 0.05
	}
	if e.MinEffect == 0 {
		e.MinEffect = 0.05
	}
	if e.Model == "" {
		e.Model = Graded
	}
	d, kind, err := a.data(e.Model)
	if err != nil {
		return nil, err
	}
	var count [2]int
	for _, i := range d.order {
		count[d.group[i]]++
	}
	if min(count[0], count[1]) < difLeast {
		return nil, fmt.Errorf("%w: a group has %d persons; at least %d are needed", estimate.ErrTooFew, min(count[0], count[1]), difLeast)
	}
	free := make([]bool, len(d.items))
	fits := map[string]*irtFit{}
	fit := func(free []bool, errors bool) (*irtFit, error) {
		key := fmt.Sprint(free, errors)
		if f, done := fits[key]; done {
			return f, nil
		}
		f, err := fitIRT(ctx, d.split(free), kind.fixedSlope, errors, e.Workers)
		if err != nil {
			return nil, err
		}
		fits[key] = f
		return f, nil
	}
	items := make([]DIFItem, len(d.items))
	rounds := 0
	for range difRounds + 2*len(d.items) {
		rounds++
		for j, it := range d.items {
			items[j] = DIFItem{Item: it.name, Uniform: math.NaN(), NonUniform: math.NaN(), Total: math.NaN(), P: math.NaN(), Effect: math.NaN()}
			if !d.testable(j) {
				continue
			}
			with, without := make([]bool, len(free)), make([]bool, len(free))
			copy(with, free)
			copy(without, free)
			with[j], without[j] = true, false
			big, err := fit(with, false)
			if err != nil {
				return nil, fmt.Errorf("item %q free in each group: %w", it.name, err)
			}
			small, err := fit(without, false)
			if err != nil {
				return nil, err
			}
			items[j].Tested = true
			items[j].Total = 2 * (big.post.ll - small.post.ll)
			items[j].DF = big.m.parameters() - small.m.parameters()
			items[j].P = num.ChiSquareTail(items[j].Total, float64(items[j].DF))
			items[j].Effect = big.answerDifference(it.name)
		}
		benjaminiHochberg(items)
		// One item at a time is freed, the one that stands out most: with it among the anchors the others stand out too.
		next, worst, top := make([]bool, len(free)), -1, 0.0
		for j := range items {
			items[j].Flagged = items[j].Tested && items[j].PBH < e.Alpha && math.Abs(items[j].Effect) >= e.MinEffect
			next[j] = free[j] && items[j].Flagged
			if chi := items[j].Total / float64(items[j].DF); items[j].Flagged && !free[j] && chi > top {
				worst, top = j, chi
			}
		}
		if worst >= 0 {
			next[worst] = true
		}
		anchors := 0
		for _, f := range next {
			if !f {
				anchors++
			}
		}
		if anchors < 2 {
			return nil, fmt.Errorf("%w: fewer than 2 items work alike in the groups, so that nothing anchors the scale", estimate.ErrNotIdentified)
		}
		if slices.Equal(next, free) {
			break
		}
		free = next
	}
	for j := range items {
		items[j].Flagged = free[j]
	}
	all, err := fit(make([]bool, len(free)), true)
	if err != nil {
		return nil, err
	}
	invariant, err := fit(free, true)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "dif-likelihood-ratio", Fit: invariant.conv, N: estimate.Counts{Units: count[0] + count[1]}, Details: map[string]any{}, Notes: d.notes}
	res.Estimates = difEstimates(items, false)
	verdict := "agree"
	var both [2]estimate.Estimate
	for k, f := range []*irtFit{all, invariant} {
		rows := &irtRows{}
		rows.traits(f.m, []string{"0", "1"})
		for r, term := range rows.terms {
			if term == "trait/mean,group=1" {
				se := quadratic(rows.jac[r], f.v)
				both[k] = estimate.Wald([]string{"difference,items=all", "difference,items=invariant"}[k], TraitMean, rows.values[r], math.Sqrt(se), math.Inf(1), d.level)
			}
		}
		res.Estimates = append(res.Estimates, both[k])
	}
	if side := func(e estimate.Estimate) int {
		switch {
		case e.CI.Lo > 0:
			return 1
		case e.CI.Hi < 0:
			return -1
		}
		return 0
	}; side(both[0]) != side(both[1]) || both[0].Value*both[1].Value < 0 {
		verdict = "disagree"
		res.Notes = append(res.Notes, table.Note{Code: "dif-changes-comparison", Text: "Whether the groups differ hangs on items that work differently in them: do not compare them by this scale."})
	}
	res.Notes = append(res.Notes, difNotes(items)...)
	res.Details["items"], res.Details["rounds"], res.Details["verdict"] = items, rounds, verdict
	return res, nil
}

// quadratic is j'Vj.
func quadratic(j []float64, v interface{ At(i, k int) float64 }) float64 {
	total := 0.0
	for a, x := range j {
		for b, y := range j {
			total += float64(x * y * v.At(a, b))
		}
	}
	return total
}

// testable says that both groups have two categories of the item or more.
func (d *irtData) testable(j int) bool {
	var low, high [2]int16
	low = [2]int16{math.MaxInt16, math.MaxInt16}
	for _, i := range d.order {
		if x, g := d.columns[j].x[i], d.group[i]; x >= 0 {
			low[g], high[g] = min(low[g], x), max(high[g], x)
		}
	}
	return low[0] < high[0] && low[1] < high[1]
}

// split is the same data in which free items are an item of their own in each group, with the
// categories that the group uses. Items and notes are copies.
func (d *irtData) split(free []bool) *irtData {
	out := *d
	out.items, out.columns, out.notes = nil, nil, nil
	for j, it := range d.items {
		groups := 1
		if free[j] {
			groups = 2
		}
		for g := range groups {
			used := make([]float64, it.cats)
			for _, i := range d.order {
				if x := d.columns[j].x[i]; x >= 0 && (groups == 1 || d.group[i] == g) {
					used[x]++
				}
			}
			c := *it
			c.cats, c.values, c.used = 0, nil, nil
			code := make([]int16, it.cats)
			for k, n := range used {
				code[k] = -1
				if n > 0 {
					code[k] = int16(c.cats)
					c.cats++
					c.values, c.used = append(c.values, it.values[k]), append(c.used, n)
				}
			}
			c.d = make([]float64, c.cats-1)
			col := irtColumn{item: len(out.items), x: make([]int16, len(d.unit))}
			for i, x := range d.columns[j].x {
				if col.x[i] = -1; x >= 0 && (groups == 1 || d.group[i] == g) {
					col.x[i] = code[x]
				}
			}
			out.items, out.columns = append(out.items, &c), append(out.columns, col)
		}
	}
	out.layout()
	out.sort()
	return &out
}

// answerDifference is the expected answer to a split item in group 1 less that in group 0, as
// a share of its range, over the trait in group 1.
func (f *irtFit) answerDifference(item string) float64 {
	var its []*irtItem
	for _, it := range f.m.items {
		if it.name == item {
			its = append(its, it)
		}
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, it := range its {
		low, high = min(low, it.values[0]), max(high, it.values[it.cats-1])
	}
	t := f.m.latent[1]
	w := num.NormalWeights(f.m.theta, t.mean(), t.sd())
	total := 0.0
	for k, it := range its {
		_, p := flat(it.cats, len(w))
		it.probabilities(f.m.theta, p)
		sign := float64(2*k - 1)
		for c := range p {
			total += float64(sign * it.values[c] * num.Dot(p[c], w))
		}
	}
	return total / (high - low)
}
