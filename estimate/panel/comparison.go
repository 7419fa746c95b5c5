package panel

import (
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/table"
)

// FewComparison is the number of comparison units below which normal intervals of effects by event are known to be too narrow: on the
// synthetic register 95 % intervals cover 0.93 to 0.97 at events with 50 or more and 0.82 to 0.90 at events with 20 to 40 (40 panels).
const FewComparison = 40

// ComparedWith returns, for each estimate of an aggregation, with how many units the typical treated unit under it is compared: the mean of
// the cells' numbers of comparison units by their treated units, +Inf where there is none (the base period). Of cross-sections it counts rows.
func (r *GroupTimeResult) ComparedWith(kind Aggregation, o AggregateOptions) []float64 {
	targets := r.targets(kind, o.BalanceEvent)
	out := make([]float64, len(targets))
	for i := range targets {
		var cells []int
		for _, part := range targets[i].parts {
			cells = append(cells, targets[part].cells...)
		}
		sum, treated := 0.0, 0.0
		for _, c := range append(cells, targets[i].cells...) {
			cell := &r.Cells[c]
			if n := cell.Fewest(); n > 0 && !cell.Reference {
				sum += float64(cell.Treated * n)
				treated += float64(cell.Treated)
			}
		}
		out[i] = math.Inf(1)
		if treated > 0 {
			out[i] = sum / treated
		}
	}
	return out
}

// FewToCompare is a note that names the estimates of an aggregation with fewer than [FewComparison] units to compare with, if there are any.
func (r *GroupTimeResult) FewToCompare(kind Aggregation, o AggregateOptions, res *estimate.Result) []table.Note {
	var names []string
	for i, n := range r.ComparedWith(kind, o) {
		if e := res.Estimates[i]; e.HasSE() && n < FewComparison {
			names = append(names, e.Term)
		}
	}
	if names == nil {
		return nil
	}
	return []table.Note{{Code: "few-comparison-terms", Args: map[string]any{"estimates": len(names), "below": FewComparison, "terms": names},
		Text: fmt.Sprintf("Fewer than %d units are left to compare with, so that the interval is likely to be too narrow (fit inference takes that into account): %s.", FewComparison, strings.Join(names, "; "))}}
}
