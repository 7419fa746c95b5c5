package progress

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// ResponseShift tests item by item whether people answer differently at the same trait after than
// before, against a model in which all items are equal in both waves:
//
//	2·(ℓ with the item's thresholds moved by one amount − ℓ equal)                    (1 df)
//	2·(ℓ moved by one amount more for participants − ℓ moved by the same for all)     (1 df, two groups)
//
// A shift of everybody biases the level of the change and hardly the difference of the groups;
// one of participants only biases the difference: free such items ([LatentChange].Differ) or do not compare.
// Flagged: p after Benjamini and Hochberg over the items below Alpha and a shift of at least
// MinShift. All other items are the anchors: with a large shift others stand out, too; free the
// largest and test again.
//
// Estimates: ITEM/shift and, with two groups, ITEM/shift-difference (chi-square). Details: shifts and
// differences ([]DIFItem: total, p, p_bh; effect is the shift on the scale of the trait).
// Errors as [LatentChange].
//
// Oort (2005); Verdam, Oort and Sprangers (2016).
type ResponseShift struct {
	Model    ItemModel // "" = graded
	Alpha    float64   // 0 = .05
	MinShift float64   // in units of the trait; 0 = .2
	Workers  int       // goroutines; 0 means all cores. Never changes a result
}

// Fit tests every item.
func (e ResponseShift) Fit(ctx context.Context, w *Waves) (*estimate.Result, error) {
	res, err := e.fit(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("response shift: %w", err)
	}
	return res, nil
}

func (e ResponseShift) fit(ctx context.Context, w *Waves) (*estimate.Result, error) {
	if e.Alpha < 0 || e.Alpha >= 1 || e.MinShift < 0 {
		return nil, invalid("Alpha is a share and MinShift at least 0")
	}
	if w.Weight.Values != nil || w.Cluster != nil {
		return nil, fmt.Errorf("%w: likelihood ratios have no meaning with weights or clusters", estimate.ErrWeights)
	}
	if e.Alpha == 0 {
		e.Alpha = 0.05
	}
	if e.MinShift == 0 {
		e.MinShift = 0.2
	}
	model := LatentChange{Model: e.Model, NoErrors: true, Workers: e.Workers}
	equal, err := model.fitWaves(ctx, w)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "response-shift", Fit: equal.conv, Details: map[string]any{}, Notes: equal.d.notes}
	res.N.Units = len(equal.d.order)
	var shifts, differences []DIFItem
	one := func(item string, chi, by float64) DIFItem {
		return DIFItem{Item: item, Uniform: math.NaN(), NonUniform: math.NaN(), Total: chi, DF: 1, P: num.ChiSquareTail(chi, 1), Effect: by, Tested: true}
	}
	for j, item := range w.Names {
		model.Shift, model.Differ = []string{item}, nil
		moved, err := model.fitWaves(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("item %q moved: %w", item, err)
		}
		shifts = append(shifts, one(item, 2*(moved.post.ll-equal.post.ll), -moved.free[moved.at["shift/"+item]]/moved.d.items[j].a))
		if w.Treated == nil {
			continue
		}
		model.Differ = model.Shift
		more, err := model.fitWaves(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("item %q moved for participants: %w", item, err)
		}
		differences = append(differences, one(item, 2*(more.post.ll-moved.post.ll), -more.free[more.at["differ/"+item]]/more.d.items[j].a))
	}
	for k, list := range [][]DIFItem{shifts, differences} {
		benjaminiHochberg(list)
		for i := range list {
			it := &list[i]
			it.Flagged = it.PBH < e.Alpha && math.Abs(it.Effect) >= e.MinShift
			term := "/shift"
			note := table.Note{Code: "response-shift", Text: "An item is answered differently after at the same trait: the level of the change hangs on it.", Args: map[string]any{"item": it.Item}}
			if k == 1 {
				term = "/shift-difference"
				note = table.Note{Code: "response-shift-differs", Text: "An item is answered differently after by participants only: the difference of the groups hangs on it.", Args: note.Args}
			}
			res.Estimates = append(res.Estimates, estimate.Estimate{Term: it.Item + term, Measure: ChiSquare, Value: it.Total, SE: math.NaN(), CI: noInterval(),
				Test: estimate.Test{Stat: it.Total, DF: 1, P: it.P}})
			if it.Flagged {
				res.Notes = append(res.Notes, note)
			}
		}
	}
	res.Details["shifts"] = shifts
	if differences != nil {
		res.Details["differences"] = differences
	}
	return res, nil
}
