package cohort

import (
	"slices"

	"utfall/table"
)

// Bytes per unit that the parts of a nearest-neighbour matching hold at their peak,
// counted from the slices that are alive together and checked against what a run
// takes by TestMemoryEstimate.
const (
	servingBytes = 116 // order and ties of the units, sorted scores, forests, sets and weights, or the verifier's own
	blockBytes   = 16  // codes and views of the exact columns
	modelBytes   = 48  // scores, fitted values and working weights of a propensity model beside its columns
	columnBytes  = 8   // one column of a propensity model
	metricBytes  = 36  // one column of a metric: itself, its coordinate, the tree's copy and boxes
)

// MemoryEstimate is about how many bytes of heap [Nearest.Match] needs at its peak
// beside the table, with n units, k columns of the propensity model where one is fitted
// and K of a metric, calipers on columns included, where there is one:
//
//	n·(116 + 16·[exact] + [model]·(48 + 8k) + [metric]·36K)
//
// It reads no rows, except to count the levels of covariates that are text, or are numbers
// called categorical. Errors: a covariate that is not a column, or cannot be a category.
func (m Nearest) MemoryEstimate(t *table.Table, d Spec) (int64, error) {
	columns := 1 // the intercept, which a metric has not
	for _, name := range d.Covariates {
		c, err := t.Column(name)
		if err != nil {
			return 0, err
		}
		if c.Kind != table.CategoryKind && c.Kind != table.TextKind && !slices.Contains(d.Categorical, name) {
			columns++
			continue
		}
		levels, err := t.Category(name)
		if err != nil {
			return 0, err
		}
		columns += len(levels.Levels)
	}
	each := servingBytes
	if len(m.Exact) > 0 {
		each += blockBytes
	}
	if d.Score == "" && (!m.metric() || m.CaliperScore > 0) {
		each += modelBytes + columnBytes*columns
	}
	if m.metric() {
		each += metricBytes * (columns - 1 + len(m.CaliperOn))
	}
	return int64(t.Rows()) * int64(each), nil
}
