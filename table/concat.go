package table

import (
	"fmt"
	"slices"
	"sort"

	"github.com/apache/arrow/go/v15/arrow/array"
)

// Concat puts the rows of tables with the same fields below one another. Levels of a
// category stay as they are where all tables have the same; else they are the union
// in byte order. Tables of other fields are [ErrShape].
func Concat(ts ...*Table) (*Table, error) {
	if len(ts) == 0 {
		return New()
	}
	if len(ts) == 1 {
		return ts[0], nil
	}
	rows := 0
	for i, t := range ts {
		if !slices.Equal(t.Fields(), ts[0].Fields()) {
			return nil, fmt.Errorf("table %d has other columns than the first: %w", i+1, ErrShape)
		}
		rows += t.rows
	}
	cols := make([]Column, len(ts[0].cols))
	for k := range cols {
		parts := make([]Column, len(ts))
		for i, t := range ts {
			parts[i] = t.cols[k]
		}
		c, err := concat(parts, rows)
		if err != nil {
			return nil, err
		}
		cols[k] = c
	}
	return New(cols...)
}

func concat(parts []Column, rows int) (Column, error) {
	f := parts[0].Field
	var ok []bool
	if slices.ContainsFunc(parts, func(c Column) bool { return c.Missing() > 0 }) {
		ok = make([]bool, 0, rows)
		for _, c := range parts {
			for i := range c.Len() {
				ok = append(ok, c.data.IsValid(i))
			}
		}
	}
	switch f.Kind {
	case FloatKind:
		return NewFloat(f, gather(parts, rows, func(c Column) []float64 { return c.data.(*array.Float64).Float64Values() }), ok), nil
	case IntegerKind:
		return NewInteger(f, gather(parts, rows, func(c Column) []int64 { return c.data.(*array.Int64).Int64Values() }), ok), nil
	case DateKind:
		days := make([]int32, 0, rows)
		for _, c := range parts {
			for _, d := range c.data.(*array.Date32).Date32Values() {
				days = append(days, int32(d))
			}
		}
		return NewDate(f, days, ok), nil
	case BooleanKind:
		v := make([]bool, 0, rows)
		for _, c := range parts {
			a := c.data.(*array.Boolean)
			for i := range a.Len() {
				v = append(v, a.Value(i))
			}
		}
		return NewBoolean(f, v, ok), nil
	case TextKind:
		v := make([]string, 0, rows)
		for _, c := range parts {
			a := c.data.(*array.String)
			for i := range a.Len() {
				v = append(v, a.Value(i))
			}
		}
		return NewText(f, v, ok), nil
	}
	levels := parts[0].Levels()
	for _, c := range parts[1:] {
		if !slices.Equal(c.Levels(), levels) {
			levels = unionLevels(parts)
			break
		}
	}
	return recode(parts, rows, levels, ok)
}

func gather[T any](parts []Column, rows int, values func(Column) []T) []T {
	out := make([]T, 0, rows)
	for _, c := range parts {
		out = append(out, values(c)...)
	}
	return out
}

func unionLevels(parts []Column) []string {
	seen := map[string]bool{}
	var out []string
	for _, c := range parts {
		for _, l := range c.Levels() {
			if !seen[l] {
				seen[l] = true
				out = append(out, l)
			}
		}
	}
	sort.Strings(out)
	return out
}

// recode writes category columns with one set of levels.
func recode(parts []Column, rows int, levels []string, ok []bool) (Column, error) {
	at := make(map[string]int32, len(levels))
	for i, l := range levels {
		at[l] = int32(i)
	}
	codes := make([]int32, 0, rows)
	for _, c := range parts {
		from := c.Levels()
		to := make([]int32, len(from))
		for i, l := range from {
			k, known := at[l]
			if !known {
				k = -1 // an error below where a row has it
			}
			to[i] = k
		}
		for i, v := range c.data.(*array.Dictionary).Indices().(*array.Int32).Int32Values() {
			if c.data.IsValid(i) {
				v = to[v]
			}
			codes = append(codes, v)
		}
	}
	return NewCategory(parts[0].Field, codes, levels, ok)
}

// WithLevels returns the table with a category column written with the given levels,
// in their order; a value that is not among them is an error.
func (t *Table) WithLevels(name string, levels []string) (*Table, error) {
	c, err := t.Column(name)
	if err != nil {
		return nil, err
	}
	if c.Kind != CategoryKind {
		return nil, fmt.Errorf("column %q is %s, a category is needed: %w", name, c.Kind, ErrKind)
	}
	if slices.Equal(c.Levels(), levels) {
		return t, nil
	}
	out, err := recode([]Column{c}, t.rows, levels, valid(c.data))
	if err != nil {
		return nil, err
	}
	return t.With(out)
}
