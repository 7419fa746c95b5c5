package study

import (
	"fmt"
	"slices"
	"strconv"

	"utfall/cohort"
	"utfall/study/release"
)

// stratum is how alike the groups are within one level of a column: of a municipality,
// say. It holds no count of people, so that none can be worked out from others.
type stratum struct {
	cohort, column, level string
	shown                 bool // both groups are large enough, before and after the design
	before, after         cohort.BalanceSummary
}

// strataOf compares the groups within each level of the columns of balance_by.
func (s *state) strataOf(b *built) ([]stratum, []release.Withheld, error) {
	var out []stratum
	withheld := map[string]int{}
	for _, column := range b.spec.BalanceBy {
		if !b.before.Has(column) {
			return nil, nil, fmt.Errorf("%w: balance_by: the cohort has no column %q", ErrSpec, column)
		}
		covariates := slices.DeleteFunc(slices.Clone(b.spec.Balance), func(c string) bool { return c == column })
		d := cohort.Spec{Treatment: b.spec.Treatment, ID: b.spec.ID, Covariates: covariates, Workers: s.o.Workers}
		found, _, err := cohort.CompareBy(s.ctx, b.before, d, cohort.BalanceOptions{Weight: b.full, Denominator: denominator(b.estimand)}, []string{column})
		if err != nil {
			return nil, nil, fmt.Errorf("balance_by %s: %w", column, err)
		}
		for _, f := range found {
			st := stratum{cohort: b.spec.Name, column: column, level: f.Levels[0]}
			after := int(min(f.Balance.ESSTreated, f.Balance.ESSControl))
			if f.Gone == nil && min(f.Treated, f.Units-f.Treated, after) >= s.policy.Threshold() {
				st.shown, st.before, st.after = true, f.Balance.SummaryBefore(cohort.SmallSMD), f.Balance.SummaryAfter(cohort.SmallSMD)
			} else {
				st.level = ".."
				withheld[column]++
			}
			out = append(out, st)
		}
	}
	var hidden []release.Withheld
	for _, column := range b.spec.BalanceBy {
		if n := withheld[column]; n > 0 {
			hidden = append(hidden, release.Withheld{Place: b.spec.Name + "/balance-by/" + column, Why: release.BelowMinimum, Cells: n})
		}
	}
	return out, hidden, nil
}

var strataHeader = []string{"cohort", "column", "level", "rows", "max_smd_before", "max_smd_after", "mean_smd_after", "above_before", "above_after"}

func (s *state) strataRows() [][]string {
	var out [][]string
	for _, st := range s.bundle.strata {
		row := []string{st.cohort, st.column, st.level}
		if !st.shown {
			out = append(out, append(row, "..", "..", "..", "..", "..", ".."))
			continue
		}
		out = append(out, append(row, strconv.Itoa(st.after.Rows), float(rounded(st.before.MaxSMD, 2)), float(rounded(st.after.MaxSMD, 2)), float(rounded(st.after.MeanSMD, 2)),
			strconv.Itoa(st.before.Above), strconv.Itoa(st.after.Above)))
	}
	return out
}
