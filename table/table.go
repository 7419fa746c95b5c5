package table

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Errors of the package. Test with [errors.Is].
var (
	ErrNoColumn = errors.New("no such column")
	ErrKind     = errors.New("column is of another kind")
	ErrShape    = errors.New("columns differ in length or share a name")
)

// Table is an immutable set of columns of one length.
type Table struct {
	rows  int
	cols  []Column
	index map[string]int
}

// New makes a table of columns with distinct names and one length. A table without
// columns has no rows.
func New(cols ...Column) (*Table, error) {
	t := &Table{index: make(map[string]int, len(cols))}
	for i, c := range cols {
		if _, dup := t.index[c.Name]; dup {
			return nil, fmt.Errorf("column %q twice: %w", c.Name, ErrShape)
		}
		if i == 0 {
			t.rows = c.Len()
		} else if c.Len() != t.rows {
			return nil, fmt.Errorf("column %q has %d rows, the first one %d: %w", c.Name, c.Len(), t.rows, ErrShape)
		}
		t.index[c.Name] = i
		t.cols = append(t.cols, c)
	}
	return t, nil
}

// Rows is the number of rows.
func (t *Table) Rows() int { return t.rows }

// Fields lists the columns in order.
func (t *Table) Fields() []Field {
	out := make([]Field, len(t.cols))
	for i, c := range t.cols {
		out[i] = c.Field
	}
	return out
}

// Has reports whether the table has a column of the name.
func (t *Table) Has(name string) bool { _, ok := t.index[name]; return ok }

// Column returns a column; the error lists the names there are.
func (t *Table) Column(name string) (Column, error) {
	i, ok := t.index[name]
	if !ok {
		return Column{}, fmt.Errorf("column %q: %w (there are: %s)", name, ErrNoColumn, t.names())
	}
	return t.cols[i], nil
}

func (t *Table) names() string {
	s := ""
	for i, c := range t.cols {
		if i > 0 {
			s += ", "
		}
		if i == 40 {
			return s + fmt.Sprintf("and %d more", len(t.cols)-i)
		}
		s += c.Name
	}
	return s
}

// With returns the table with a column added, or replaced where the name exists.
func (t *Table) With(c Column) (*Table, error) {
	cols := append([]Column(nil), t.cols...)
	if i, ok := t.index[c.Name]; ok {
		cols[i] = c
	} else {
		cols = append(cols, c)
	}
	return New(cols...)
}

// Without returns the table without the named columns; a name it does not have is no error.
func (t *Table) Without(names ...string) *Table {
	drop := map[string]bool{}
	for _, n := range names {
		drop[n] = true
	}
	out := &Table{rows: t.rows, index: map[string]int{}}
	for _, c := range t.cols {
		if !drop[c.Name] {
			out.index[c.Name] = len(out.cols)
			out.cols = append(out.cols, c)
		}
	}
	return out
}

// Floats is a numeric view: Values[i] is meaningful where Valid is nil or Valid[i].
// The slices are shared and must not be written to.
type Floats struct {
	Field
	Values []float64
	Valid  []bool
}

// Has reports whether row i has a value.
func (f Floats) Has(i int) bool { return f.Valid == nil || f.Valid[i] }

// Float returns a numeric view of a number, integer, boolean (0 and 1) or date
// (days) column; numbers without copying. Other kinds are [ErrKind].
func (t *Table) Float(name string) (Floats, error) {
	c, err := t.Column(name)
	if err != nil {
		return Floats{}, err
	}
	out := Floats{Field: c.Field, Valid: valid(c.data)}
	switch a := c.data.(type) {
	case *array.Float64:
		out.Values = a.Float64Values()
	case *array.Int64:
		out.Values = make([]float64, a.Len())
		for i, v := range a.Int64Values() {
			out.Values[i] = float64(v)
		}
	case *array.Date32:
		out.Values = make([]float64, a.Len())
		for i, v := range a.Date32Values() {
			out.Values[i] = float64(v)
		}
	case *array.Boolean:
		out.Values = make([]float64, a.Len())
		for i := range out.Values {
			if a.Value(i) {
				out.Values[i] = 1
			}
		}
	default:
		return Floats{}, fmt.Errorf("column %q is %s, a number is needed: %w", name, c.Kind, ErrKind)
	}
	return out, nil
}

// Integers is a view of whole numbers; see [Floats].
type Integers struct {
	Field
	Values []int64
	Valid  []bool
}

// Has reports whether row i has a value.
func (f Integers) Has(i int) bool { return f.Valid == nil || f.Valid[i] }

// Integer returns a view of an integer, boolean or date column, or of a number
// column whose values are all whole. Other kinds are [ErrKind].
func (t *Table) Integer(name string) (Integers, error) {
	c, err := t.Column(name)
	if err != nil {
		return Integers{}, err
	}
	if a, ok := c.data.(*array.Int64); ok {
		return Integers{c.Field, a.Int64Values(), valid(c.data)}, nil
	}
	f, err := t.Float(name)
	if err != nil {
		return Integers{}, err
	}
	out := Integers{Field: c.Field, Values: make([]int64, len(f.Values)), Valid: f.Valid}
	for i, v := range f.Values {
		if f.Has(i) {
			// 2^63 itself converts to another number on each processor.
			if out.Values[i] = int64(v); !(math.Abs(v) < 1<<63) || float64(out.Values[i]) != v {
				return Integers{}, fmt.Errorf("column %q has a value in row %d that is not a whole number: %w", name, i+1, ErrKind)
			}
		}
	}
	return out, nil
}

// Categories is a coded view of text: row i has Levels[Codes[i]] where it is valid.
type Categories struct {
	Field
	Codes  []int32
	Levels []string
	Valid  []bool
}

// Has reports whether row i has a value.
func (c Categories) Has(i int) bool { return c.Valid == nil || c.Valid[i] }

// Category returns a coded view of a category, text, integer or boolean column.
// Levels of a category keep the column's order; those of the other kinds are the
// distinct values, text in byte order, numbers ascending. Other kinds are [ErrKind].
func (t *Table) Category(name string) (Categories, error) {
	c, err := t.Column(name)
	if err != nil {
		return Categories{}, err
	}
	out := Categories{Field: c.Field, Valid: valid(c.data)}
	switch a := c.data.(type) {
	case *array.Dictionary:
		out.Codes = a.Indices().(*array.Int32).Int32Values()
		dict := a.Dictionary().(*array.String)
		out.Levels = make([]string, dict.Len())
		for i := range out.Levels {
			out.Levels[i] = dict.Value(i)
		}
	case *array.String:
		out.Codes, out.Levels = code(a.Len(), out.Has, a.Value, func(x, y string) bool { return x < y })
	case *array.Int64:
		var nums []int64
		out.Codes, nums = code(a.Len(), out.Has, a.Value, func(x, y int64) bool { return x < y })
		for _, v := range nums {
			out.Levels = append(out.Levels, fmt.Sprint(v))
		}
	case *array.Boolean:
		out.Codes = make([]int32, a.Len())
		for i := range out.Codes {
			if a.Value(i) {
				out.Codes[i] = 1
			}
		}
		out.Levels = []string{"false", "true"}
	default:
		return Categories{}, fmt.Errorf("column %q is %s, a category is needed: %w", name, c.Kind, ErrKind)
	}
	return out, nil
}

func code[T comparable](n int, has func(int) bool, value func(int) T, less func(a, b T) bool) ([]int32, []T) {
	seen := map[T]int32{}
	var levels []T
	for i := range n {
		if v := value(i); has(i) {
			if _, ok := seen[v]; !ok {
				seen[v] = 0
				levels = append(levels, v)
			}
		}
	}
	sort.Slice(levels, func(i, j int) bool { return less(levels[i], levels[j]) })
	for i, l := range levels {
		seen[l] = int32(i)
	}
	codes := make([]int32, n)
	for i := range codes {
		if has(i) {
			codes[i] = seen[value(i)]
		}
	}
	return codes, levels
}

// Text returns every row's value as text ("" where missing), with validity: the
// way to read identifiers. Numbers and dates are [ErrKind]; integers and categories are not.
func (t *Table) Text(name string) (values []string, ok []bool, err error) {
	c, err := t.Column(name)
	if err != nil {
		return nil, nil, err
	}
	ok = valid(c.data)
	if a, is := c.data.(*array.String); is {
		values = make([]string, a.Len())
		for i := range values {
			if a.IsValid(i) {
				values[i] = a.Value(i)
			}
		}
		return values, ok, nil
	}
	if c.Kind == IntegerKind {
		a := c.data.(*array.Int64)
		values = make([]string, a.Len())
		for i := range values {
			if a.IsValid(i) {
				values[i] = fmt.Sprint(a.Value(i))
			}
		}
		return values, ok, nil
	}
	cat, err := t.Category(name)
	if err != nil {
		return nil, nil, err
	}
	values = make([]string, len(cat.Codes))
	for i, code := range cat.Codes {
		if cat.Has(i) {
			values[i] = cat.Levels[code]
		}
	}
	return values, ok, nil
}

// Take returns the table with the given rows, in the given order; a row may come twice.
func (t *Table) Take(rows []int) *Table {
	out := &Table{rows: len(rows), index: t.index}
	for _, c := range t.cols {
		out.cols = append(out.cols, c.take(rows))
	}
	return out
}

func (c Column) take(rows []int) Column {
	var ok []bool
	if c.data.NullN() > 0 {
		ok = make([]bool, len(rows))
		for i, r := range rows {
			ok[i] = c.data.IsValid(r)
		}
	}
	switch a := c.data.(type) {
	case *array.Float64:
		return NewFloat(c.Field, pick(a.Float64Values(), rows), ok)
	case *array.Int64:
		return NewInteger(c.Field, pick(a.Int64Values(), rows), ok)
	case *array.Date32:
		days := make([]int32, len(rows))
		for i, r := range rows {
			days[i] = int32(a.Value(r))
		}
		return NewDate(c.Field, days, ok)
	case *array.Boolean:
		v := make([]bool, len(rows))
		for i, r := range rows {
			v[i] = a.Value(r)
		}
		return NewBoolean(c.Field, v, ok)
	case *array.String:
		v := make([]string, len(rows))
		for i, r := range rows {
			v[i] = a.Value(r)
		}
		return NewText(c.Field, v, ok)
	case *array.Dictionary:
		codes := pick(a.Indices().(*array.Int32).Int32Values(), rows)
		idx := fixed(c.Field, arrow.PrimitiveTypes.Int32, arrow.Int32Traits.CastToBytes(codes), len(codes), ok).data
		return Column{c.Field, array.NewDictionaryArray(a.DataType(), idx, a.Dictionary())}
	}
	panic(fmt.Sprintf("table: column %q has an Arrow type that no constructor makes", c.Name))
}

func pick[T any](v []T, rows []int) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = v[r]
	}
	return out
}
