package cohort

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// Exact matches units that are equal in every column: a cell is one combination of
// values, and the cells with units of both groups are the sets. Everyone in them is
// kept; see [Matched] for numbers and weights of sets without pairs. Numbers are equal
// when their float64 are, categories when their text is.
//
// Estimand att (default) keeps the treated's distribution over the sets, atc that of
// the untreated, ate that of both. Units outside the sets are left out; if one of them
// is of the estimand's group, the estimand becomes atm with a note.
//
// Errors: [ErrOption], [ErrCovariate], [ErrNoTreated], [ErrNoControls]; [ErrNoSupport]
// when no cell has both groups. Source: Ho, Imai, King and Stuart (2011), J. Stat.
// Softw. 42(8). Registry: cohort/METHODS.md#exact-and-coarsened-exact.
type Exact struct {
	Columns  []string // any without missing values; nil = the covariates of Spec
	Estimand string   // att (default), atc or ate
}

// Match runs the design on all rows of the table.
func (m Exact) Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error) {
	columns := m.Columns
	if columns == nil {
		columns = d.Covariates
	}
	if errs := append(checkCellEstimand(m.Estimand), checkCells(d, columns)...); len(errs) > 0 {
		return nil, joined(errs)
	}
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	s := newStrata(u, d, m.Estimand)
	for _, name := range columns {
		codes, problem := cellCodes(t, name, slices.Contains(d.Categorical, name))
		if problem != "" {
			return nil, fmt.Errorf("%w: exact: %s", ErrCovariate, problem)
		}
		s.split(codes)
	}
	if err := s.finishCells(columns); err != nil {
		return nil, err
	}
	if err := VerifyExact(t, d, m, s.out); err != nil {
		return nil, err
	}
	return s.out, ctx.Err()
}

func checkCellEstimand(estimand string) []error {
	switch estimand {
	case "", ATT, ATC, ATE:
		return nil
	}
	return []error{fmt.Errorf("%w: estimand %q does not exist; there are: att, atc, ate", ErrOption, estimand)}
}

func checkCells(d Spec, columns []string) []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	if len(columns) == 0 {
		bad("matching in cells needs at least one column")
	}
	if d.Score != "" {
		bad("score column %q has no use in matching in cells", d.Score)
	}
	for i, c := range columns {
		switch {
		case slices.Contains(columns[:i], c):
			bad("column %q is named twice", c)
		case c == d.Treatment || c == d.ID:
			bad("column %q is the treatment or the id", c)
		}
	}
	for _, c := range d.Categorical {
		if !slices.Contains(columns, c) && !slices.Contains(d.Covariates, c) {
			bad("column %q is called categorical but is not among the columns", c)
		}
	}
	return errs
}

// cellCodes numbers the values of a column; categorical is for numbers that are categories.
func cellCodes(t *table.Table, name string, categorical bool) ([]int32, string) {
	if !categorical {
		return exactCodes(t, name)
	}
	c, problem := readCovariate(t, name, true)
	return c.codes, problem
}

// strata is a design that sorts units into sets of any size.
type strata struct {
	u     *units
	d     Spec
	aim   string // att, atc or ate
	cell  []int32
	cells int
	out   *Matched
}

func newStrata(u *units, d Spec, estimand string) *strata {
	if estimand == "" {
		estimand = ATT
	}
	return &strata{u: u, d: d, aim: estimand, cell: make([]int32, u.n), cells: 1, out: &Matched{}}
}

// split divides every cell by the codes.
func (s *strata) split(codes []int32) {
	seen := make(map[[2]int32]int32, s.cells)
	for i, c := range codes {
		key := [2]int32{s.cell[i], c}
		b, ok := seen[key]
		if !ok {
			b = int32(len(seen))
			seen[key] = b
		}
		s.cell[i] = b
	}
	s.cells = len(seen)
}

// finishCells makes sets of the cells that have both groups, numbered by the first id
// in them (shorter ids first, then bytes), so that the order of the rows plays no part.
func (s *strata) finishCells(columns []string) error {
	var both []bool
	arms := s.arms(s.cell, s.cells)
	for _, a := range arms {
		both = append(both, a[0] > 0 && a[1] > 0)
	}
	first := make([]int32, s.cells) // row + 1
	for i, c := range s.cell {
		if both[c] && (first[c] == 0 || idBefore(s.u.id(i), s.u.id(int(first[c]-1)))) {
			first[c] = int32(i + 1)
		}
	}
	var order []int32
	for c := range both {
		if both[c] {
			order = append(order, int32(c))
		}
	}
	if len(order) == 0 {
		return fmt.Errorf("%w: none of the %d cells of %s has both treated and untreated units", ErrNoSupport, s.cells, strings.Join(columns, ", "))
	}
	slices.SortFunc(order, func(a, b int32) int {
		if idBefore(s.u.id(int(first[a]-1)), s.u.id(int(first[b]-1))) {
			return -1
		}
		return 1
	})
	number := make([]int, s.cells)
	for i, c := range order {
		number[c] = i + 1
	}
	s.out.Set = make([]int, s.u.n)
	for i, c := range s.cell {
		s.out.Set[i] = number[c]
	}
	s.finish(len(order))
	return nil
}

// idBefore orders ids: shorter first, then by bytes.
func idBefore(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// arms counts untreated and treated by cell.
func (s *strata) arms(cell []int32, cells int) [][2]int {
	out := make([][2]int, cells)
	for i, c := range cell {
		out[c][arm(s.u.treated[i])]++
	}
	return out
}

// finish makes weights, counts and notes of out.Set, sets numbered 1 … sets.
func (s *strata) finish(sets int) {
	out := s.out
	arms := make([][2]float64, sets+1)
	for i, k := range out.Set {
		arms[k][arm(s.u.treated[i])]++
	}
	arms[0] = [2]float64{}
	out.Estimand, out.Weight = s.aim, make([]float64, s.u.n)
	raw := func(set, a int) float64 {
		n := arms[set]
		switch {
		case s.aim == ATE:
			return (n[0] + n[1]) / n[a]
		case a == arm(s.aim == ATT):
			return 1
		}
		return n[1-a] / n[a]
	}
	// The weights of a group add up to its number of units in sets.
	var in, sum [2]float64
	for a := range 2 {
		parts := make([]float64, sets)
		for k := 1; k <= sets; k++ {
			in[a] += arms[k][a]
			parts[k-1] = float64(arms[k][a] * raw(k, a))
		}
		sum[a] = num.Sum(parts)
	}
	for i, k := range out.Set {
		if k > 0 {
			a := arm(s.u.treated[i])
			out.Weight[i] = raw(k, a) * (in[a] / sum[a])
		}
	}
	c := &out.Counts
	c.Treated, c.Control, c.Blocks, c.Sets = s.u.count, s.u.n-s.u.count, s.cells, sets
	c.MatchedTreated, c.MatchedControl = int(in[1]), int(in[0])
	c.ESSTreated, c.ESSControl = kish(out.Weight, s.u, s.d.Workers)
	all, kept := c.Treated, c.MatchedTreated
	switch s.aim {
	case ATC:
		all, kept = c.Control, c.MatchedControl
	case ATE:
		all, kept = s.u.n, c.MatchedTreated+c.MatchedControl
	}
	if kept < all {
		share := float64(kept) / float64(all)
		out.Estimand = ATM
		s.note("estimand-changed", fmt.Sprintf("%d of %d units have someone of the other group in their set (%.1f %%); the effect is that on them, not on all of them.", kept, all, 100*share),
			map[string]any{"matched": kept, "all": all, "share": share, "from": s.aim, "to": ATM})
	}
}

func (s *strata) note(code, text string, args map[string]any) {
	s.out.Notes = append(s.out.Notes, table.Note{Code: code, Text: text, Args: args})
}
