package release

import (
	"fmt"
	"math"
	"slices"

	"utfall/cohort"
)

// Arms is a number of people in each group.
type Arms struct{ Treated, Control int }

func (a Arms) minus(b Arms) Arms { return Arms{a.Treated - b.Treated, a.Control - b.Control} }

func (a Arms) plus(b Arms) Arms { return Arms{a.Treated + b.Treated, a.Control + b.Control} }

func (a Arms) least() int { return min(a.Treated, a.Control) }

// Covariate says what a row of a balance table is about.
type Covariate struct {
	// Group names the categorical covariate that the row is a level of; empty for a
	// number. A 0/1 column is a group with one listed level.
	Group string
	// Before and After count the people at the level, or with a value of the number,
	// before and after the design. People count once, whatever their weight.
	Before, After Arms
	// Undeclared says that the level was found in the data and stands nowhere in the
	// study file: where its numbers are withheld, its name is too.
	Undeclared bool
}

// WithheldLevel stands for the withheld levels of a covariate whose names may not be shown.
const WithheldLevel = ".."

// BalanceTable is a released balance table.
type BalanceTable struct {
	Denominator string       `json:"denominator"`
	Treated     Count        `json:"treated"`
	Control     Count        `json:"control"`
	Rows        []BalanceRow `json:"rows"`
}

// BalanceRow is one released covariate or level. N counts are after the design.
type BalanceRow struct {
	Variable string      `json:"variable"`
	Group    string      `json:"group,omitempty"`
	Before   BalanceSide `json:"before"`
	After    BalanceSide `json:"after"`
}

// BalanceSide is one side of a row. Means of a level are shares.
type BalanceSide struct {
	Treated       Count `json:"treated"`
	Control       Count `json:"control"`
	MeanTreated   Value `json:"mean_treated"`
	MeanControl   Value `json:"mean_control"`
	SMD           Value `json:"smd"`
	VarianceRatio Value `json:"variance_ratio"`
	ECDFMean      Value `json:"ecdf_mean"`
	ECDFMax       Value `json:"ecdf_max"`
}

// Balance releases a balance table. people are the arms before and after the
// design; about has one entry per row of b. box is the released box of the flow
// chart that holds the people before the design: where it is suppressed, or the zero
// Box, nothing that adds up to it is shown. Both arms must reach the threshold after
// the design, or nothing is shown at all.
//
//   - A level is withheld if its count in an arm is below the threshold or if it is
//     the whole arm, with complementary suppression over the levels of its group,
//     where the people at no listed level count as one more level. Withheld levels that
//     are Undeclared become one row without a name.
//   - Counts and means of before are shown only where, besides, the people whom the
//     design left out are 0 or enough, at the level, among the withheld levels
//     together, and in the arm as a whole: else they follow by subtraction.
//   - A number needs the threshold of values in both arms; its means are shown to
//     four significant digits from three times the threshold on, and not below.
//   - Shares are rounded to hundredths, or as coarsely as the rounding base is in the arm;
//     standardised differences to 0.001.
//
// The error wraps [ErrInput].
func (p Policy) Balance(b cohort.Balance, about []Covariate, before, after Arms, box Box) (BalanceTable, []Withheld, error) {
	if len(about) != len(b.Rows) {
		return BalanceTable{}, nil, fmt.Errorf("%w: %d balance rows described by %d covariates", ErrInput, len(b.Rows), len(about))
	}
	out := BalanceTable{Denominator: b.Denominator, Rows: make([]BalanceRow, len(b.Rows)),
		Treated: p.Count(after.Treated), Control: p.Count(after.Control)}
	withheld := []Withheld{}
	for i, r := range b.Rows {
		c := about[i]
		if c.After.least() < 0 || c.Before.minus(c.After).least() < 0 ||
			before.minus(c.Before).least() < 0 || after.minus(c.After).least() < 0 {
			return BalanceTable{}, nil, fmt.Errorf("%w: balance row %q", ErrInput, r.Variable)
		}
		out.Rows[i] = BalanceRow{Variable: r.Variable, Group: c.Group}
	}
	if after.least() < p.Threshold() {
		return BalanceTable{Denominator: b.Denominator, Rows: []BalanceRow{}},
			[]Withheld{{"balance", BelowMinimum, len(b.Rows)}}, nil
	}
	left := before.minus(after)
	arms := !p.small(left.Treated) && !p.small(left.Control) && !box.Units().Suppressed()
	for _, rows := range groups(about) {
		if about[rows[0]].Group == "" {
			withheld = append(withheld, p.number(&out, b, about, rows[0], arms)...)
			continue
		}
		w, err := p.group(&out, b, about, rows, before, after, arms)
		if err != nil {
			return BalanceTable{}, nil, err
		}
		withheld = append(withheld, w...)
	}
	nameless := map[string]bool{}
	out.Rows = slices.DeleteFunc(out.Rows, func(r BalanceRow) bool {
		again := r.Group != "" && nameless[r.Group] && r.Variable == r.Group+"["+WithheldLevel+"]"
		nameless[r.Group] = nameless[r.Group] || r.Variable == r.Group+"["+WithheldLevel+"]"
		return again
	})
	return out, withheld, nil
}

// groups gives the rows of each categorical covariate, and each number alone, in
// the order of their first row.
func groups(about []Covariate) [][]int {
	var out [][]int
	at := map[string]int{}
	for i, c := range about {
		if g, ok := at[c.Group]; ok && c.Group != "" {
			out[g] = append(out[g], i)
			continue
		}
		at[c.Group] = len(out)
		out = append(out, []int{i})
	}
	return out
}

func (p Policy) number(out *BalanceTable, b cohort.Balance, about []Covariate, i int, arms bool) []Withheld {
	k, row, c := p.Threshold(), &out.Rows[i], about[i]
	if c.After.least() < k {
		return []Withheld{{"balance/" + row.Variable, BelowMinimum, 1}}
	}
	side := func(s *BalanceSide, stat cohort.BalanceStat, n Arms, means bool) {
		s.spread(stat)
		if means && n.least() >= 3*k {
			s.MeanTreated, s.MeanControl = show(significant(stat.MeanTreated, 4)), show(significant(stat.MeanControl, 4))
		}
	}
	side(&row.After, b.Rows[i].After, c.After, true)
	left := c.Before.minus(c.After)
	side(&row.Before, b.Rows[i].Before, c.Before, arms && !p.small(left.Treated) && !p.small(left.Control))
	var withheld []Withheld
	for _, s := range []BalanceSide{row.Before, row.After} {
		if s.MeanTreated.Suppressed() {
			withheld = append(withheld, Withheld{"balance/" + row.Variable, Difference, 2})
		}
	}
	return withheld
}

func (p Policy) group(out *BalanceTable, b cohort.Balance, about []Covariate, rows []int, before, after Arms, arms bool) ([]Withheld, error) {
	place := "balance/" + about[rows[0]].Group
	restAfter, restBefore := after, before
	var afterLevels, beforeLevels []level
	appendLevel := func(label string, wasIn, isIn Arms, rest bool) {
		left := wasIn.minus(isIn)
		whole := !rest && (isIn.Treated == after.Treated || isIn.Control == after.Control)
		afterLevels = append(afterLevels, level{label: label, rest: rest, whole: whole,
			positive: []int{isIn.Treated, isIn.Control}})
		beforeLevels = append(beforeLevels, level{label: label, rest: rest, whole: whole,
			positive: []int{wasIn.Treated, wasIn.Control}, zeroOr: []int{left.Treated, left.Control}})
	}
	for _, i := range rows {
		appendLevel(b.Rows[i].Variable, about[i].Before, about[i].After, false)
		restAfter, restBefore = restAfter.minus(about[i].After), restBefore.minus(about[i].Before)
	}
	if restAfter.least() < 0 || restBefore.least() < 0 {
		return nil, fmt.Errorf("%w: levels of %q add up to more than the arms", ErrInput, about[rows[0]].Group)
	}
	if restBefore != (Arms{}) {
		appendLevel("", restBefore, restAfter, true)
	}
	hidden := p.hide(afterLevels)
	hiddenBefore := p.hide(beforeLevels)
	var withheld []Withheld
	for j, i := range rows {
		row, r := &out.Rows[i], b.Rows[i]
		if why, ok := hidden[j]; ok {
			withheld = append(withheld, Withheld{place, why, 1})
			if about[i].Undeclared {
				row.Variable = row.Group + "[" + WithheldLevel + "]"
			}
			continue
		}
		p.level(&row.After, r.After, about[i].After, after)
		if _, ok := hiddenBefore[j]; ok || !arms {
			// Of a share, the difference and the standardised difference together give the share back.
			row.Before.SMD = show(math.Round(r.Before.SMD*1000) / 1000)
			withheld = append(withheld, Withheld{place, Difference, 2})
			continue
		}
		p.level(&row.Before, r.Before, about[i].Before, before)
	}
	return withheld, nil
}

// level fills one side of a row that may be shown.
func (p Policy) level(s *BalanceSide, stat cohort.BalanceStat, n, total Arms) {
	s.spread(stat)
	s.Treated, s.Control = p.Count(n.Treated), p.Count(n.Control)
	s.MeanTreated, s.MeanControl = show(p.share(stat.MeanTreated, total.Treated)), show(p.share(stat.MeanControl, total.Control))
}

// share rounds a share of n people to the first of 0.01, 0.02, 0.05, 0.1 that is no
// finer than the rounding base, so that it says no more than the rounded count.
func (p Policy) share(x float64, n int) float64 {
	steps := []int{100, 50, 20, 10} // parts of 1
	i := slices.IndexFunc(steps, func(s int) bool { return n >= s*p.must().RoundTo })
	if i < 0 {
		i = len(steps) - 1
	}
	return math.Round(x*float64(steps[i])) / float64(steps[i])
}

// spread fills the numbers that say how far apart the groups are.
func (s *BalanceSide) spread(stat cohort.BalanceStat) {
	s.SMD = show(math.Round(stat.SMD*1000) / 1000)
	s.VarianceRatio = show(significant(stat.VarianceRatio, 3))
	s.ECDFMean, s.ECDFMax = show(significant(stat.ECDFMean, 3)), show(significant(stat.ECDFMax, 3))
}

// Above counts the shown rows whose absolute standardised difference after the
// design exceeds limit, and the shown rows with a defined difference.
func (t BalanceTable) Above(limit float64) (above, of int) {
	for _, r := range t.Rows {
		if d, ok := r.After.SMD.Float(); ok {
			of++
			if math.Abs(d) > limit {
				above++
			}
		}
	}
	return above, of
}
