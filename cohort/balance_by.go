package cohort

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// StratumBalance is the balance among the units with one combination of values.
type StratumBalance struct {
	Levels         []string // of the columns that make the strata, in their order
	Units, Treated int
	// Balance is empty where a group is missing from the stratum, or has no weight above
	// 0 there; Gone then says which: ErrNoTreated or ErrNoControls.
	Balance Balance
	Gone    error
}

// CompareBy is [Compare] within each combination of the values of the columns by that
// occurs: exact strata, or sites. Strata come in byte order of their levels. Everything
// is of the stratum's own units: means, distribution functions, and the SD that
// differences are divided by. Pairs of which one unit is elsewhere are left out. A
// column of by without a value in some row is [ErrCovariate].
//
// Notes count strata: those with one group only, those where a covariate has no spread.
func CompareBy(ctx context.Context, t *table.Table, d Spec, o BalanceOptions, by []string) ([]StratumBalance, []table.Note, error) {
	if len(by) == 0 {
		return nil, nil, fmt.Errorf("%w: strata need at least one column", ErrOption)
	}
	u, err := readUnits(t, d)
	if err != nil {
		return nil, nil, err
	}
	if err := o.check(u); err != nil {
		return nil, nil, err
	}
	cov, err := readColumns(t, by, nil, readStrata)
	if err != nil {
		return nil, nil, err
	}
	// Rows by stratum. Codes are in byte order of the levels, so strata are too.
	rows := make([]int, u.n)
	for i := range rows {
		rows[i] = i
	}
	order := func(a, b int) int {
		for _, c := range cov {
			if c.codes[a] != c.codes[b] {
				return int(c.codes[a]) - int(c.codes[b])
			}
		}
		return 0
	}
	slices.SortStableFunc(rows, order)
	needed := append(slices.Clone(d.Covariates), d.Treatment)
	if d.ID != "" {
		needed = append(needed, d.ID)
	}
	var others []string
	for _, f := range t.Fields() {
		if !slices.Contains(needed, f.Name) {
			others = append(others, f.Name)
		}
	}
	t = t.Without(others...)
	stratum := make([]int, u.n)
	var out []StratumBalance
	var bounds []int
	for i, r := range rows {
		if i == 0 || order(rows[i-1], r) != 0 {
			s := StratumBalance{Levels: make([]string, len(cov))}
			for j, c := range cov {
				s.Levels[j] = c.levels[c.codes[r]]
			}
			out, bounds = append(out, s), append(bounds, i)
		}
		s := &out[len(out)-1]
		s.Units++
		s.Treated += arm(u.treated[r])
		stratum[r] = len(out) - 1
	}
	bounds = append(bounds, u.n)
	pairs := make([][][2]int, len(out))
	for _, p := range o.Pairs {
		if s := stratum[p[0]]; s == stratum[p[1]] {
			pairs[s] = append(pairs[s], p)
		}
	}
	alone, flat := 0, 0
	for s := range out {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		in := rows[bounds[s]:bounds[s+1]]
		so := o.within(in, pairs[s])
		if out[s].Gone = so.gone(u, in); out[s].Gone != nil {
			alone++
			continue
		}
		b, notes, err := Compare(ctx, t.Take(in), d, so)
		if err != nil {
			return nil, nil, fmt.Errorf("in a stratum of %s: %w", strings.Join(by, " and "), err)
		}
		out[s].Balance = b
		if slices.ContainsFunc(notes, func(n table.Note) bool { return n.Code != "collinear-covariate" }) {
			flat++
		}
	}
	var notes []table.Note
	if alone > 0 {
		notes = append(notes, table.Note{Code: "stratum-one-group", Args: map[string]any{"n": alone, "of": len(out)},
			Text: fmt.Sprintf("%d of %d strata have one group only, or no weight in one of them, so that nothing can be compared there.", alone, len(out))})
	}
	if flat > 0 {
		notes = append(notes, table.Note{Code: "stratum-no-spread", Args: map[string]any{"n": flat, "of": len(out)},
			Text: fmt.Sprintf("In %d of %d strata some columns have no spread or no value, so that their standardised differences do not exist.", flat, len(out))})
	}
	return out, notes, nil
}

// readStrata reads a column whose values make strata: a category, or any numbers, whose
// levels are then their shortest decimal form.
func readStrata(t *table.Table, name string, _ bool) (covariate, string) {
	col, err := t.Column(name)
	if err != nil {
		return covariate{name: name}, err.Error()
	}
	if col.Kind != table.FloatKind {
		return readCovariate(t, name, true)
	}
	c, problem := readCovariate(t, name, false)
	if problem != "" {
		return c, problem
	}
	distinct, rank := num.Ranks(c.values)
	text := make([]string, len(distinct))
	for i, v := range distinct {
		text[i] = strconv.FormatFloat(v, 'f', -1, 64)
	}
	c.codes, c.levels = observedLevels(table.Categories{Codes: rank, Levels: text}, nil)
	return c, ""
}

// within are the options for some rows of the table.
func (o BalanceOptions) within(rows []int, pairs [][2]int) BalanceOptions {
	pick := func(v []float64) []float64 {
		if v == nil {
			return nil
		}
		out := make([]float64, len(rows))
		for i, r := range rows {
			out[i] = v[r]
		}
		return out
	}
	out := o
	out.Weight, out.Score, out.Others, out.Pairs = pick(o.Weight), pick(o.Score), nil, nil
	for _, w := range o.Others {
		out.Others = append(out.Others, NamedWeight{w.Name, pick(w.Weight)})
	}
	if len(pairs) == 0 {
		return out
	}
	at := make(map[int]int, len(rows))
	for i, r := range rows {
		at[r] = i
	}
	for _, p := range pairs {
		out.Pairs = append(out.Pairs, [2]int{at[p[0]], at[p[1]]})
	}
	return out
}

// gone says which group the rows do not have, with a weight above 0 in every design.
func (o BalanceOptions) gone(u *units, rows []int) error {
	designs := [][]float64{nil}
	if o.Weight != nil {
		designs = append(designs, o.Weight)
	}
	for _, w := range o.Others {
		designs = append(designs, w.Weight)
	}
	for _, weight := range designs {
		var some [2]bool
		for i, r := range rows {
			if weight == nil || weight[i] > 0 {
				some[arm(u.treated[r])] = true
			}
		}
		switch {
		case !some[1]:
			return ErrNoTreated
		case !some[0]:
			return ErrNoControls
		}
	}
	return nil
}
