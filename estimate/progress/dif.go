package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/internal/num"
	"utfall/table"
)

// ChiSquare is the measure of a likelihood ratio statistic.
const ChiSquare estimate.Measure = "chi-square"

// DIFItem says whether an item works alike in two groups: details.items.
type DIFItem struct {
	Item       string  `json:"item"`
	Uniform    float64 `json:"chi2_uniform"`     // 1 df: one shift
	NonUniform float64 `json:"chi2_non_uniform"` // 1 df: another slope
	Total      float64 `json:"chi2_total"`
	DF         int     `json:"df"` // of the total
	P          float64 `json:"p"`
	PBH        float64 `json:"p_bh"` // Benjamini–Hochberg over the items
	// Effect is the gain in Nagelkerke's R² (DIFLogistic), or the mean difference of the
	// expected answer between the groups as a share of the item's range (DIFLikelihoodRatio).
	Effect  float64 `json:"effect"`
	Flagged bool    `json:"flagged"`
	Tested  bool    `json:"tested"`
}

// DIFLogistic tests by proportional odds regression whether people of two groups (Group 0 and
// 1 of the answers) who are alike on the rest of the scale answer an item alike:
//
//	logit P(Y ≥ k) = α_k + β·rest (+ γ·group (+ δ·rest·group))
//
// with rest the mean of the other unflagged items (of all others, if fewer than two are left).
// Uniform 2(ℓ1 − ℓ0), non-uniform 2(ℓ2 − ℓ1), total 2(ℓ2 − ℓ0) on 2 df; effect = R²_2 − R²_0
// (Nagelkerke). Flagged: p of the total after Benjamini and Hochberg below Alpha and effect at least
// MinEffect, so that a large sample alone flags nothing. The rest is purified: the item that stands out most leaves it, all are
// tested again (one strong item in the rest makes others stand out), and so on until the flags stay; an item that no
// longer stands out is put back.
//
// Persons who lack an answer are left out and counted (rows-incomplete). Estimates: for each item
// ITEM/uniform, ITEM/non-uniform, ITEM/total (chi-square). Details: items ([]DIFItem), rounds.
//
// Errors: [estimate.ErrTooFew] below 3 items or 50 persons in a group; [estimate.ErrInvalidFrame];
// [estimate.ErrWeights]; [estimate.ErrSeparated].
//
// Swaminathan and Rogers (1990); Zumbo (1999); Choi, Gibbons and Crane (2011).
type DIFLogistic struct {
	Alpha     float64 // 0 = .05
	MinEffect float64 // 0 = .035
	Workers   int     // goroutines; 0 means all cores. Never changes a result
}

const (
	difRounds = 10
	difLeast  = 50 // persons in a group
)

func (e DIFLogistic) check(a *Answers) error {
	if e.Alpha < 0 || e.Alpha >= 1 || e.MinEffect < 0 || e.MinEffect >= 1 {
		return invalid("Alpha and MinEffect are shares")
	}
	return difAnswers(a)
}

func difAnswers(a *Answers) error {
	switch {
	case a.X == nil:
		return invalid("no answers")
	case a.Weight.Values != nil || a.Cluster != nil:
		return fmt.Errorf("%w: likelihood ratios have no meaning with weights or clusters", estimate.ErrWeights)
	case a.Group == nil || len(a.GroupNames) != 2:
		return invalid("two groups are needed")
	case len(a.Names) < 3:
		return fmt.Errorf("%w: %d items; at least 3 are needed", estimate.ErrTooFew, len(a.Names))
	}
	return nil
}

// Fit tests every item.
func (e DIFLogistic) Fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	res, err := e.fit(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("differential item functioning: %w", err)
	}
	return res, nil
}

func (e DIFLogistic) fit(ctx context.Context, a *Answers) (*estimate.Result, error) {
	if err := e.check(a); err != nil {
		return nil, err
	}
	if e.Alpha == 0 {
		e.Alpha = 0.05
	}
	if e.MinEffect == 0 {
		e.MinEffect = 0.035
	}
	d, _, err := a.data(PartialCreditModel) // checks answers and items; no model is fitted
	if err != nil {
		return nil, err
	}
	var rows []int
	var count [2]int
	for i := range a.Unit {
		complete := true
		for _, c := range d.columns {
			complete = complete && c.x[i] >= 0
		}
		if complete {
			rows = append(rows, i)
			count[d.group[i]]++
		}
	}
	if min(count[0], count[1]) < difLeast {
		return nil, fmt.Errorf("%w: a group has %d complete rows; at least %d are needed", estimate.ErrTooFew, min(count[0], count[1]), difLeast)
	}
	res := &estimate.Result{Method: "dif-logistic", Fit: estimate.Convergence{Converged: true}, N: estimate.Counts{Units: len(rows)}, Details: map[string]any{}}
	if gone := len(a.Unit) - len(rows); gone > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "rows-incomplete", Text: "Persons who lack an answer were left out.", Args: map[string]any{"persons": gone}})
	}
	flagged := make([]bool, len(a.Names))
	var items []DIFItem
	rounds := 0
	for range difRounds * len(a.Names) {
		rounds++
		if items, err = e.round(ctx, d, a, rows, flagged); err != nil {
			return nil, err
		}
		next := make([]bool, len(items))
		benjaminiHochberg(items)
		strongest := -1
		for j := range items {
			items[j].Flagged = items[j].PBH < e.Alpha && items[j].Effect >= e.MinEffect
			next[j] = items[j].Flagged && flagged[j]
			if items[j].Flagged && !flagged[j] && (strongest < 0 || items[j].Total > items[strongest].Total) {
				strongest = j
			}
		}
		if strongest >= 0 {
			next[strongest] = true
		}
		if slices.Equal(next, flagged) {
			break
		}
		flagged = next
	}
	res.Estimates = difEstimates(items, true)
	res.Details["items"], res.Details["rounds"] = items, rounds
	res.Notes = append(res.Notes, difNotes(items)...)
	return res, nil
}

// round tests every item against the mean of the others that are not flagged.
func (e DIFLogistic) round(ctx context.Context, d *irtData, a *Answers, rows []int, flagged []bool) ([]DIFItem, error) {
	items := make([]DIFItem, len(a.Names))
	for j, it := range d.items {
		anchors := []int{}
		for k := range d.items {
			if k != j && !flagged[k] {
				anchors = append(anchors, k)
			}
		}
		if len(anchors) < 2 {
			anchors = anchors[:0]
			for k := range d.items {
				if k != j {
					anchors = append(anchors, k)
				}
			}
		}
		n := len(rows)
		f := &estimate.Frame{Level: d.level, Y: make([]float64, n), Unit: make([]string, n)}
		x := mat.NewDense(n, 3, nil)
		used := make([]bool, it.cats)
		for r, i := range rows {
			rest := 0.0
			for _, k := range anchors {
				rest += a.X.At(i, k)
			}
			rest /= float64(len(anchors))
			g := float64(d.group[i])
			x.SetRow(r, []float64{rest, g, rest * g})
			f.Y[r], f.Unit[r] = float64(d.columns[j].x[i]), a.Unit[i]
			used[d.columns[j].x[i]] = true
		}
		var levels []string
		code := make([]float64, it.cats) // categories that complete rows have
		for k, has := range used {
			if code[k] = float64(len(levels)); has {
				levels = append(levels, fmt.Sprint(k))
			}
		}
		for r := range f.Y {
			f.Y[r] = code[int(f.Y[r])]
		}
		var ll [3]float64
		var null float64
		for m := range ll {
			f.X, f.XNames = x.Slice(0, n, 0, m+1).(*mat.Dense), []string{"rest", "group", "rest:group"}[:m+1]
			f.X = mat.DenseCopyOf(f.X)
			r, err := effect.Ordinal{Levels: levels, Vcov: "iid", Workers: e.Workers}.Fit(ctx, f)
			if err != nil {
				return nil, fmt.Errorf("item %q: %w", it.name, err)
			}
			ll[m], null = r.Details["logLik"].(float64), r.Details["null_logLik"].(float64)
		}
		nagelkerke := func(l float64) float64 {
			return -math.Expm1(2/float64(n)*(null-l)) / -math.Expm1(2/float64(n)*null)
		}
		items[j] = DIFItem{Item: it.name, Uniform: 2 * (ll[1] - ll[0]), NonUniform: 2 * (ll[2] - ll[1]), Total: 2 * (ll[2] - ll[0]), DF: 2,
			Effect: nagelkerke(ll[2]) - nagelkerke(ll[0]), Tested: true}
		items[j].P = num.ChiSquareTail(items[j].Total, 2)
	}
	return items, nil
}

// benjaminiHochberg adjusts the p-values of the items that were tested.
func benjaminiHochberg(items []DIFItem) {
	var order []int
	for j := range items {
		if items[j].PBH = math.NaN(); items[j].Tested {
			order = append(order, j)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case items[a].P > items[b].P:
			return -1
		case items[a].P < items[b].P:
			return 1
		}
		return 0
	})
	m, least := float64(len(order)), 1.0
	for r, j := range order {
		least = min(least, items[j].P*m/(m-float64(r)))
		items[j].PBH = least
	}
}

func difEstimates(items []DIFItem, parts bool) (out []estimate.Estimate) {
	put := func(term string, chi, df float64) {
		e := estimate.Estimate{Term: term, Measure: ChiSquare, Value: chi, SE: math.NaN(), CI: noInterval(), Test: estimate.Test{Stat: chi, DF: df, P: num.ChiSquareTail(chi, df)}}
		if math.IsNaN(chi) {
			e.Test = noTest()
		}
		out = append(out, e)
	}
	for _, it := range items {
		if parts {
			put(it.Item+"/uniform", it.Uniform, 1)
			put(it.Item+"/non-uniform", it.NonUniform, 1)
		}
		put(it.Item+"/total", it.Total, float64(it.DF))
	}
	return out
}

func difNotes(items []DIFItem) (out []table.Note) {
	for _, it := range items {
		switch {
		case !it.Tested:
			out = append(out, table.Note{Code: "dif-not-tested", Text: "In one group all answers to an item are the same: whether it works alike cannot be told.", Args: map[string]any{"item": it.Item}})
		case it.Flagged:
			out = append(out, table.Note{Code: "dif-found", Text: "An item works differently in the two groups: people who are alike otherwise answer it differently.", Args: map[string]any{"item": it.Item}})
		}
	}
	return out
}
