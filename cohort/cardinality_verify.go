package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"utfall/table"
)

func (v *cellVerifier) cardinality(m Cardinality) error {
	g, fit := v.got, v.got.Cardinality
	if fit == nil {
		return fmt.Errorf("there is no record of the search")
	}
	served, partners := 1, 0
	if m.Estimand == ATC {
		served, partners = 0, 1
	}
	size := make([][2]int, v.sets+1)
	for i, s := range g.Set {
		size[s][arm(v.treated[i] == 1)]++
	}
	kept := 0
	for s, n := range size[1:] {
		if n[partners] != m.Ratio*n[served] || m.PairWithin && n[served] != 1 {
			return fmt.Errorf("set %d has %d treated and %d untreated units for a ratio of %d", s+1, n[1], n[0], m.Ratio)
		}
		kept += n[served]
	}
	if fit.Kept != kept || fit.Gap != fit.Bound-kept || fit.Gap < 0 || fit.Optimal != (fit.Gap == 0) || fit.Bound > fit.RootBound {
		return fmt.Errorf("the record of the search is of %d units of at most %d, and %d are kept", fit.Kept, fit.Bound, kept)
	}
	cell, cells, err := v.cellsOf(m.Exact)
	if err != nil {
		return err
	}
	if err := v.pairsOf(m, cell); err != nil {
		return err
	}
	v.cells = cells
	x, err := Design(v.t, v.d.Covariates, DesignOptions{Categorical: v.d.Categorical, AllLevels: true})
	if err != nil {
		return err
	}
	k := len(x.Columns)
	balanced := 0
	for _, w := range fit.Width {
		if !math.IsNaN(w) {
			balanced++
		}
	}
	if len(fit.Columns) != k || len(fit.Width) != k || len(fit.Price) != 2*balanced+cells {
		return fmt.Errorf("%d columns of %d are in the record of the search", len(fit.Columns), k)
	}
	reduced := make([]float64, x.Rows)
	for i := range reduced {
		if arm(v.treated[i] == 1) == served {
			reduced[i] = 1
		}
	}
	price, perCell := 0, fit.Price[len(fit.Price)-cells:]
	for j, c := range x.Columns {
		width, mean, sd, constant := v.width(x, j, served, m)
		if constant != math.IsNaN(fit.Width[j]) || x.Columns[j].Name != fit.Columns[j] {
			return fmt.Errorf("column %q is not what the record of the search says", c.Name)
		}
		if constant {
			continue
		}
		if !(math.Abs(fit.Width[j]-width) <= 1e-9*(1+width)) {
			return fmt.Errorf("the width of column %q is not its tolerance", c.Name)
		}
		var sum, n [2]float64
		tol := width / sd
		up, down := fit.Price[price], fit.Price[price+1]
		price += 2
		up, down = max(up, 0), min(down, 0)
		for i := range x.Rows {
			a, z := arm(v.treated[i] == 1), (x.Values[i*k+j]-mean)/sd
			if g.Set[i] > 0 {
				sum[a] += z
				n[a]++
			}
			if a == served {
				reduced[i] += float64(m.Ratio) * (up*(z+tol+balanceSlack) + down*(z-tol-balanceSlack))
			} else {
				reduced[i] -= (up + down) * z
			}
		}
		if gap := math.Abs(sum[1]/n[1] - sum[0]/n[0]); gap > tol+2*balanceSlack {
			return fmt.Errorf("the means of column %q are not within its tolerance", c.Name)
		}
	}
	bound := 0.0
	for i := range x.Rows {
		if p := perCell[cell[i]]; arm(v.treated[i] == 1) == served {
			reduced[i] += p * float64(m.Ratio)
		} else {
			reduced[i] -= p
		}
		bound += max(reduced[i], 0)
	}
	if fit.RootBound < int(math.Floor(bound-1e-4)) || fit.RootBound > int(math.Floor(bound+1e-4)) {
		return fmt.Errorf("the bound %d is not what the prices prove", fit.RootBound)
	}
	return nil
}

// width is the tolerance of a column in its own units, with the moments of the group of the estimand.
func (v *cellVerifier) width(x *Matrix, j, served int, m Cardinality) (width, mean, sd float64, constant bool) {
	k, n, ss := len(x.Columns), 0.0, 0.0
	constant, binary := true, true
	for i := range x.Rows {
		value := x.Values[i*k+j]
		constant = constant && value == x.Values[j]
		binary = binary && (value == 0 || value == 1)
		if arm(v.treated[i] == 1) == served {
			n++
			step := value - mean
			mean += step / n
			ss += step * (value - mean)
		}
	}
	sd = math.Sqrt(ss / (n - 1))
	if binary {
		sd = math.Sqrt(ss / n)
	}
	tol := *m.Tolerance
	if own, ok := m.ToleranceOn[x.Columns[j].Source]; ok {
		tol = own
	}
	return tol * sd, mean, sd, constant
}

// cellsOf numbers the groups of rows that are equal in the columns by their first id, as the prices are.
func (v *cellVerifier) cellsOf(columns []string) (cell []int, cells int, err error) {
	n := v.t.Rows()
	for _, name := range columns {
		col, err := v.t.Column(name)
		if err != nil {
			return nil, 0, err
		}
		if col.Kind == table.CategoryKind || col.Kind == table.TextKind {
			text, _, err := v.t.Text(name)
			if err != nil {
				return nil, 0, err
			}
			for i, s := range text {
				v.key[i].WriteString(strconv.Quote(s))
			}
			continue
		}
		f, err := v.t.Float(name)
		if err != nil {
			return nil, 0, err
		}
		for i, x := range f.Values {
			v.key[i].WriteString(strconv.FormatFloat(x+0, 'g', -1, 64))
			v.key[i].WriteByte(';')
		}
	}
	id := make([]string, n)
	for i := range id {
		id[i] = strconv.Itoa(i + 1)
	}
	if v.d.ID != "" {
		if id, _, err = v.t.Text(v.d.ID); err != nil {
			return nil, 0, err
		}
	}
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	sort.Slice(rows, func(a, b int) bool {
		x, y := id[rows[a]], id[rows[b]]
		return len(x) < len(y) || len(x) == len(y) && x < y
	})
	at := map[string]int{}
	cell = make([]int, n)
	for _, r := range rows {
		k := v.key[r].String()
		c, ok := at[k]
		if !ok {
			c = len(at)
			at[k] = c
		}
		cell[r] = c
	}
	return cell, len(at), nil
}

// pairsOf checks that every set is within a cell, and that pairs are those of the sets.
func (v *cellVerifier) pairsOf(m Cardinality, cell []int) error {
	g := v.got
	of := make([]int, v.sets+1)
	for i, s := range g.Set {
		if s == 0 {
			continue
		}
		if of[s] != 0 && of[s] != cell[i]+1 {
			return fmt.Errorf("row %d differs from its set in an exact variable", i+1)
		}
		of[s] = cell[i] + 1
	}
	if !m.PairWithin {
		if len(g.Pairs) > 0 {
			return fmt.Errorf("there are pairs that the design does not have")
		}
		return nil
	}
	seen := map[[2]int]bool{}
	for i, p := range g.Pairs {
		if p[0] < 0 || p[0] >= len(g.Set) || p[1] < 0 || p[1] >= len(g.Set) || v.treated[p[0]] != 1 || v.treated[p[1]] != 0 {
			return fmt.Errorf("pair %d is not of a treated and an untreated unit", i+1)
		}
		if g.Set[p[0]] == 0 || g.Set[p[0]] != g.Set[p[1]] || seen[p] {
			return fmt.Errorf("pair %d is not one of its set", i+1)
		}
		seen[p] = true
	}
	if len(g.Pairs) != v.sets*m.Ratio || slices.ContainsFunc(g.PairDistance, func(d float64) bool { return !(d >= 0) }) {
		return fmt.Errorf("%d sets with %d partners have %d pairs", v.sets, m.Ratio, len(g.Pairs))
	}
	return nil
}
