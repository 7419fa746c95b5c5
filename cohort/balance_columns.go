package cohort

import (
	"fmt"
	"math"

	"utfall/internal/num"
	"utfall/table"
)

// factor is one of the at most two parts of a row: a number, a level of a category,
// or whether a value is missing. The zero factor is 1 everywhere.
type factor struct {
	col   *covariate
	level int32 // of a category
	gone  bool  // 1 where there is no value
}

func (f factor) has(row int) bool {
	return f.col == nil || f.gone || f.col.has == nil || f.col.has[row]
}

func (f factor) value(row int) float64 {
	switch {
	case f.col == nil:
		return 1
	case f.gone:
		return float64(arm(!f.col.has[row]))
	case f.col.codes != nil:
		return float64(arm(f.col.codes[row] == f.level))
	}
	return f.col.values[row]
}

func (f factor) name() string {
	switch {
	case f.gone:
		return f.col.name + "[missing]"
	case f.col.codes != nil:
		return f.col.name + "[" + f.col.levels[f.level] + "]"
	}
	return f.col.name
}

func (f factor) levelName() string {
	if f.col != nil && f.col.codes != nil && !f.gone {
		return f.col.levels[f.level]
	}
	return ""
}

// observed is the sample of the units that have a value of a·b.
func (c *comparison) observed(a, b factor, sc *scratch) sample {
	n := c.u.n
	if cap(sc.x) < n {
		sc.x = make([]float64, n)
	}
	x := sc.x[:n]
	whole := func(f factor) bool { return f.col == nil || f.gone || f.col.has == nil }
	if whole(a) && whole(b) {
		if b.col == nil && !a.gone && a.col.values != nil {
			for i, r := range c.u.order {
				x[i] = a.col.values[r] + 0 // -0 counts as 0
			}
		} else {
			for i, r := range c.u.order {
				x[i] = a.value(int(r))*b.value(int(r)) + 0
			}
		}
		s := c.all
		s.x = x
		return s
	}
	if cap(sc.tag) < n {
		sc.tag, sc.weight = make([]uint8, n), make([][]float64, len(c.all.weight))
		for d := range sc.weight {
			sc.weight[d] = make([]float64, n)
		}
	}
	k := 0
	tag := sc.tag[:n]
	for i, row := range c.u.order {
		r := int(row)
		if !a.has(r) || !b.has(r) {
			continue
		}
		x[k], tag[k] = a.value(r)*b.value(r)+0, c.all.tag[i]
		for d := range sc.weight {
			sc.weight[d][k] = c.all.weight[d][i]
		}
		k++
	}
	s := sample{x: x[:k], tag: tag[:k], weight: make([][]float64, len(sc.weight))}
	for d := range s.weight {
		s.weight[d] = sc.weight[d][:k]
	}
	s.totals()
	return s
}

// plan lists what the rows of the table are made by, in their order: the score, each
// covariate with its missing values, squares, interactions.
func (c *comparison) plan(score *covariate, cov []covariate) []func(sc *scratch) []BalanceRow {
	var out []func(sc *scratch) []BalanceRow
	one := func(row BalanceRow, a, b factor) {
		out = append(out, func(sc *scratch) []BalanceRow { return []BalanceRow{c.number(row, a, b, sc)} })
	}
	if score != nil {
		one(BalanceRow{Variable: score.name, Kind: ScoreRow, Column: score.name}, factor{col: score}, factor{})
	}
	var factors []factor
	for i := range cov {
		v := &cov[i]
		if v.codes != nil {
			out = append(out, func(*scratch) []BalanceRow { return c.category(*v) })
			for l := range v.levels {
				factors = append(factors, factor{col: v, level: int32(l)})
			}
		} else {
			one(BalanceRow{Variable: v.name, Kind: NumberRow, Column: v.name}, factor{col: v}, factor{})
			factors = append(factors, factor{col: v})
		}
		if v.has != nil {
			f := factor{col: v, gone: true}
			one(BalanceRow{Variable: f.name(), Kind: MissingRow, Column: v.name}, f, factor{})
		}
	}
	if c.o.Squares {
		for i := range cov {
			if v := &cov[i]; v.codes == nil && !binaryColumn(v) {
				one(BalanceRow{Variable: v.name + "^2", Kind: SquareRow, Column: v.name}, factor{col: v}, factor{col: v})
			}
		}
	}
	if c.o.Interactions {
		for i, a := range factors {
			for _, b := range factors[i+1:] {
				if a.col != b.col {
					one(BalanceRow{Variable: a.name() + "*" + b.name(), Kind: InteractionRow, Column: a.col.name, Level: a.levelName(),
						Column2: b.col.name, Level2: b.levelName()}, a, b)
				}
			}
		}
	}
	return out
}

func binaryColumn(v *covariate) bool {
	for i, x := range v.values {
		if (v.has == nil || v.has[i]) && x != 0 && x != 1 {
			return false
		}
	}
	return true
}

// overflows names the number columns of which squares and products would not be finite.
func overflows(cov []covariate) (names []string) {
	const most = 1e150
	for i := range cov {
		for r, x := range cov[i].values {
			if (cov[i].has == nil || cov[i].has[r]) && math.Abs(x) > most {
				names = append(names, cov[i].name)
				break
			}
		}
	}
	return names
}

// readWithMissing reads a covariate of which some values may be missing.
func readWithMissing(t *table.Table, name string, categorical bool) (covariate, string) {
	c := covariate{name: name}
	col, err := t.Column(name)
	if err != nil {
		return c, err.Error()
	}
	if col.Missing() == 0 {
		return readCovariate(t, name, categorical)
	}
	c.has = make([]bool, t.Rows())
	for i := range c.has {
		c.has[i] = col.Has(i)
	}
	if categorical || col.Kind == table.CategoryKind || col.Kind == table.TextKind {
		cat, err := t.Category(name)
		if err != nil {
			return c, err.Error()
		}
		c.codes, c.levels = observedLevels(cat, c.has)
		return c, ""
	}
	f, err := t.Float(name)
	if err != nil {
		return c, err.Error()
	}
	c.values = f.Values
	bad := 0
	for i, v := range f.Values {
		if c.has[i] && v-v != 0 {
			bad++
		}
	}
	if bad > 0 {
		return c, fmt.Sprintf("column %q has %d values that are not finite numbers", name, bad)
	}
	return c, ""
}

// run makes the rows, at most workers at a time.
func runPlan(plan []func(sc *scratch) []BalanceRow, workers int, done func() bool) [][]BalanceRow {
	rows := make([][]BalanceRow, len(plan))
	free := make(chan *scratch, len(plan)) // buffers that no worker uses now
	num.ForEach(len(plan), workers, func(i int) {
		if done() {
			return
		}
		var sc *scratch
		select {
		case sc = <-free:
		default:
			sc = &scratch{}
		}
		rows[i] = plan[i](sc)
		free <- sc
	})
	return rows
}
