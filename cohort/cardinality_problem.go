package cohort

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// cardinality is the integer programme: x of each group of equal units, 0 ≤ x ≤ its size.
type cardinality struct {
	ratio  int
	kinds  []kind
	cells  int
	limit  []float64 // of each balanced column, in SD
	sd     []float64
	work   int
	fit    *CardinalityFit
	member func(row int) bool // of the estimand's group
}

// kind is a group of units of one arm and cell that are equal in all covariates.
type kind struct {
	cell   int32
	served bool
	rows   []int32   // by (KeyedHash(Seed, id), id)
	at     []float64 // by balanced column: (x - mean)/SD
}

// problem reads the covariates.
func (m Cardinality) problem(t *table.Table, s *strata) (*cardinality, error) {
	cov, err := readCovariates(t, s.d.Covariates, s.d.Categorical)
	if err != nil {
		return nil, err
	}
	u := s.u
	x := fillDesign(cov, u.n, DesignOptions{AllLevels: true, Workers: s.d.Workers}, nil)
	p := &cardinality{ratio: m.Ratio, work: m.Work, fit: &CardinalityFit{}, member: func(row int) bool { return u.treated[row] == (m.Estimand == ATT) }}
	k := len(x.Columns)
	mean, sd := make([]float64, k), make([]float64, k)
	var none []string
	column := make([]float64, 0, u.n)
	for j, c := range x.Columns {
		column = column[:0]
		lo, hi, binary := math.Inf(1), math.Inf(-1), true
		for i := range u.n {
			v := x.Values[i*k+j]
			lo, hi, binary = min(lo, v), max(hi, v), binary && (v == 0 || v == 1)
			if p.member(i) {
				column = append(column, v)
			}
		}
		slices.Sort(column) // so that the order of the rows plays no part in the sums
		mean[j], sd[j] = meanSD(column, binary)
		p.fit.Columns = append(p.fit.Columns, c.Name)
		switch {
		case lo == hi:
			sd[j] = math.NaN()
		case !(sd[j] > 0):
			what := fmt.Sprintf("column %q", c.Name)
			if c.Name != c.Source {
				what = fmt.Sprintf("a level of column %q", c.Source) // a level is a value, and no message shows one
			}
			none = append(none, fmt.Sprintf("%s does not vary in the group that the estimand is about, so that a tolerance in its SD has no width: leave it out, or name it in exact", what))
		}
		p.fit.Width = append(p.fit.Width, m.tolerance(c.Source)*sd[j])
	}
	if len(none) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrCovariate, strings.Join(none, "; "))
	}
	for j, c := range x.Columns {
		if !math.IsNaN(sd[j]) {
			p.limit, p.sd = append(p.limit, m.tolerance(c.Source)), append(p.sd, sd[j])
		}
	}
	// Kinds are numbered by their first unit in the order of the hash, cells by their first id.
	hash := make([]uint64, u.n)
	rows, first := make([]int32, u.n), make([]int32, s.cells) // first: row + 1
	for i := range rows {
		rows[i], hash[i] = int32(i), num.KeyedHash(m.Seed, u.id(i))
		if f := &first[s.cell[i]]; *f == 0 || idBefore(u.id(i), u.id(int(*f-1))) {
			*f = int32(i + 1)
		}
	}
	slices.SortFunc(rows, func(a, b int32) int {
		return cmp.Or(cmp.Compare(hash[a], hash[b]), strings.Compare(u.id(int(a)), u.id(int(b))))
	})
	order, cellOf := make([]int32, s.cells), make([]int32, s.cells)
	for c := range order {
		order[c] = int32(c)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if idBefore(u.id(int(first[a]-1)), u.id(int(first[b]-1))) {
			return -1
		}
		return 1
	})
	for place, c := range order {
		cellOf[c] = int32(place)
	}
	p.cells = s.cells
	of := map[string]int{}
	key := make([]byte, 0, 8*k+8)
	for _, r := range rows {
		c := cellOf[s.cell[r]]
		key = fmt.Appendf(key[:0], "%d;%t", c, p.member(int(r)))
		for j := range k {
			key = fmt.Appendf(key, ";%x", math.Float64bits(x.Values[int(r)*k+j]+0))
		}
		g, ok := of[string(key)]
		if !ok {
			g = len(p.kinds)
			of[string(key)] = g
			var at []float64
			for j := range k {
				if !math.IsNaN(sd[j]) {
					at = append(at, (x.Values[int(r)*k+j]-mean[j])/sd[j])
				}
			}
			p.kinds = append(p.kinds, kind{cell: c, served: p.member(int(r)), at: at})
		}
		p.kinds[g].rows = append(p.kinds[g].rows, r)
	}
	return p, nil
}

func (m Cardinality) tolerance(column string) float64 {
	if v, ok := m.ToleranceOn[column]; ok {
		return v
	}
	return *m.Tolerance
}

// meanSD has the divisor n - 1, and for a column of only 0 and 1 the variance p(1-p), as balance tables have.
func meanSD(x []float64, binary bool) (mean, sd float64) {
	n := float64(len(x))
	mean = num.Sum(x) / n
	if binary {
		return mean, math.Sqrt(mean * (1 - mean))
	}
	ss := make([]float64, len(x))
	for i, v := range x {
		ss[i] = (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(num.Sum(ss) / (n - 1))
}

// relaxation is the linear programme: maximise Σ of the served subject to, for each column,
//
//	Σ partners a·x - Ratio·Σ served (a + tolerance)·x ≤ 0 ≤ Σ partners a·x - Ratio·Σ served (a - tolerance)·x
//
// and in each cell Σ partners x = Ratio·Σ served x.
func (p *cardinality) relaxation() *num.BoxLP {
	k := len(p.limit)
	lp := &num.BoxLP{Rows: 2*k + p.cells, A: make([]float64, len(p.kinds)*(2*k+p.cells))}
	for g, kd := range p.kinds {
		row := lp.A[g*lp.Rows : (g+1)*lp.Rows]
		c := 0.0
		for j, a := range kd.at {
			if kd.served {
				tol := p.limit[j] + balanceSlack
				row[2*j], row[2*j+1] = -float64(p.ratio)*(a+tol), -float64(p.ratio)*(a-tol)
			} else {
				row[2*j], row[2*j+1] = a, a
			}
		}
		row[2*k+int(kd.cell)] = 1
		if kd.served {
			row[2*k+int(kd.cell)], c = -float64(p.ratio), 1
		}
		lp.C, lp.Lower, lp.Upper = append(lp.C, c), append(lp.Lower, 0), append(lp.Upper, float64(len(kd.rows)))
	}
	for range k {
		lp.RowLower, lp.RowUpper = append(lp.RowLower, math.Inf(-1), 0), append(lp.RowUpper, 0, math.Inf(1))
	}
	for range p.cells {
		lp.RowLower, lp.RowUpper = append(lp.RowLower, 0), append(lp.RowUpper, 0)
	}
	return lp
}

// rows are the units of a choice: of each kind those that come first by the hash.
func (p *cardinality) rows(x []int) []int {
	var out []int
	for g, n := range x {
		for _, r := range p.kinds[g].rows[:n] {
			out = append(out, int(r))
		}
	}
	return out
}
