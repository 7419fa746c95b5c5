package cohort

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// DesignOptions are the choices of [Design].
type DesignOptions struct {
	Categorical []string // covariates that are categories although their values are numbers
	Intercept   bool     // put a column of ones first, named "(intercept)"
	AllLevels   bool     // a dummy for the reference level too, as balance tables show
	Workers     int      // < 1 = all processors; never changes the result
}

// InterceptName is the name of the column of ones.
const InterceptName = "(intercept)"

// Matrix is a design matrix.
type Matrix struct {
	Rows    int
	Columns []MatrixColumn
	Values  []float64 // Rows×len(Columns) by rows
}

// MatrixColumn says what a column of a [Matrix] is: a number column as it is, or
// the dummy of one level of a category, named column[level].
type MatrixColumn struct{ Name, Source, Level string }

// Names lists the columns.
func (m *Matrix) Names() []string {
	out := make([]string, len(m.Columns))
	for j, c := range m.Columns {
		out[j] = c.Name
	}
	return out
}

// Design codes covariates as columns of numbers.
//
// A number, integer, boolean (0 and 1) or date (days since 1970-01-01) column is
// taken as it is. A category or text column, and any that o.Categorical names, gives
// one 0/1 dummy for each level that occurs, in byte order of the level's text,
// except the first, which is the reference (all of them with o.AllLevels).
//
// A covariate that is missing from the table, is named twice, or has missing or
// infinite values is [ErrCovariate] with every such column and its count: drop the
// rows, and count them, before. The design does not ask whether the columns are
// constant or collinear; what is fitted to them does.
func Design(t *table.Table, covariates []string, o DesignOptions) (*Matrix, error) {
	cov, err := readCovariates(t, covariates, o.Categorical)
	if err != nil {
		return nil, err
	}
	return fillDesign(cov, t.Rows(), o, nil), nil
}

// fillDesign writes the rows in the given order; nil is the table's.
func fillDesign(cov []covariate, n int, o DesignOptions, order []int32) *Matrix {
	m := &Matrix{Rows: n}
	first := 0
	if o.AllLevels {
		first = -1
	}
	if o.Intercept {
		m.Columns = append(m.Columns, MatrixColumn{Name: InterceptName})
	}
	at := make([]int, len(cov)) // first column of each covariate
	for c := range cov {
		at[c] = len(m.Columns)
		if cov[c].codes == nil {
			m.Columns = append(m.Columns, MatrixColumn{Name: cov[c].name, Source: cov[c].name})
			continue
		}
		for l := first + 1; l < len(cov[c].levels); l++ {
			level := cov[c].levels[l]
			m.Columns = append(m.Columns, MatrixColumn{Name: cov[c].name + "[" + level + "]", Source: cov[c].name, Level: level})
		}
	}
	k := len(m.Columns)
	m.Values = make([]float64, n*k)
	num.ForChunks(n, o.Workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			r := i
			if order != nil {
				r = int(order[i])
			}
			row := m.Values[i*k : (i+1)*k]
			if o.Intercept {
				row[0] = 1
			}
			for c := range cov {
				if cov[c].codes == nil {
					row[at[c]] = cov[c].values[r]
				} else if j := int(cov[c].codes[r]) - first - 1; j >= 0 {
					row[at[c]+j] = 1
				}
			}
		}
	})
	return m
}

// covariate is a column that takes part: numbers, or codes of levels in byte order.
type covariate struct {
	name   string
	values []float64
	codes  []int32
	levels []string // those that occur
	has    []bool   // nil = every row has a value, as everywhere but in a balance table; a code without one is -1
}

// readCovariates reads the columns and reports every one that cannot be used.
func readCovariates(t *table.Table, names, categorical []string) ([]covariate, error) {
	return readColumns(t, names, categorical, readCovariate)
}

func readColumns(t *table.Table, names, categorical []string, read func(t *table.Table, name string, categorical bool) (covariate, string)) ([]covariate, error) {
	var problems []string
	out := make([]covariate, 0, len(names))
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			problems = append(problems, fmt.Sprintf("column %q is named twice", name))
			continue
		}
		c, problem := read(t, name, slices.Contains(categorical, name))
		if problem != "" {
			problems = append(problems, problem)
		}
		out = append(out, c)
	}
	for _, name := range categorical {
		if !slices.Contains(names, name) {
			problems = append(problems, fmt.Sprintf("column %q is called categorical but is not among the covariates", name))
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrCovariate, strings.Join(problems, "; "))
	}
	return out, nil
}

func readCovariate(t *table.Table, name string, categorical bool) (covariate, string) {
	c := covariate{name: name}
	col, err := t.Column(name)
	if err != nil {
		return c, err.Error()
	}
	if missing := col.Missing(); missing > 0 {
		return c, fmt.Sprintf("column %q has %d missing values", name, missing)
	}
	if categorical || col.Kind == table.CategoryKind || col.Kind == table.TextKind {
		cat, err := t.Category(name)
		if err != nil {
			return c, err.Error()
		}
		c.codes, c.levels = observedLevels(cat, nil)
		return c, ""
	}
	f, err := t.Float(name)
	if err != nil {
		return c, err.Error()
	}
	c.values = f.Values
	bad := 0
	for _, v := range f.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			bad++
		}
	}
	if bad > 0 {
		return c, fmt.Sprintf("column %q has %d values that are not finite numbers", name, bad)
	}
	return c, ""
}

// observedLevels recodes to the levels that occur, in byte order; -1 is missing, has nil
// means that nothing is.
func observedLevels(cat table.Categories, has []bool) (codes []int32, levels []string) {
	occurs := make([]bool, len(cat.Levels))
	for i, c := range cat.Codes {
		if has == nil || has[i] {
			occurs[c] = true
		}
	}
	for l, ok := range occurs {
		if ok {
			levels = append(levels, cat.Levels[l])
		}
	}
	slices.Sort(levels)
	to := make([]int32, len(cat.Levels))
	for l, ok := range occurs {
		if ok {
			j, _ := slices.BinarySearch(levels, cat.Levels[l])
			to[l] = int32(j)
		}
	}
	codes = make([]int32, len(cat.Codes))
	for i, c := range cat.Codes {
		codes[i] = -1
		if has == nil || has[i] {
			codes[i] = to[c]
		}
	}
	return codes, levels
}
