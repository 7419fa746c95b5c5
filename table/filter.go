package table

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// ErrFilter says that an expression cannot be used as a filter. The error that
// wraps it is a [*FilterError].
var ErrFilter = errors.New("invalid filter expression")

// FilterError is a problem at a place in a filter expression.
type FilterError struct {
	Position int // characters from 1
	Text     string
}

func (e *FilterError) Error() string { return fmt.Sprintf("character %d: %s", e.Position, e.Text) }

// Unwrap makes every FilterError an [ErrFilter].
func (e *FilterError) Unwrap() error { return ErrFilter }

// maxFilter bounds the length of an expression in bytes: longer ones are mistakes.
const maxFilter = 10_000

// filterBlock is the number of rows evaluated at a time, so that scratch space
// does not grow with the table.
const filterBlock = 2048

// Filter is a compiled condition on the rows of a table. It may be used by several
// goroutines at once.
//
// The language: column names (column("a b") for a name that is not a word), numbers,
// "text", true and false; and, or, not; == != < <= > >=; + - * /; x in [a, b];
// between(x, low, high), bounds included; abs(x), min(a, b, …), max(a, b, …);
// date("2015-01-31"), year(d), month(d), day(d); is_missing(column).
// A date less a date is a number of days, a date plus or less a number of days a date.
//
// Logic is SQL's, with three values: a comparison with a missing value, a division
// by zero or a result that is not finite is unknown; unknown and false is false,
// unknown or true is true, every other combination with unknown is unknown.
type Filter struct {
	src     string
	columns []Field
	members []member
	root    boolExpr
}

// CompileFilter checks an expression against the columns that a table will have.
// The error is a [*FilterError] with the position of the first problem.
func CompileFilter(src string, fields []Field) (f *Filter, err error) {
	if len(src) > maxFilter {
		return nil, &FilterError{1, fmt.Sprintf("an expression may have at most %d characters", maxFilter)}
	}
	if !utf8.ValidString(src) {
		return nil, &FilterError{1, "the expression is not valid UTF-8"}
	}
	tree, err := parser.Parse(src)
	if err != nil {
		var e *file.Error
		if errors.As(err, &e) {
			return nil, &FilterError{e.From + 1, e.Message}
		}
		return nil, &FilterError{1, "the expression cannot be read"}
	}
	c := &compiler{f: &Filter{src: src}, fields: make(map[string]Field, len(fields)), slot: map[string]int{}}
	for _, fd := range fields {
		c.fields[fd.Name] = fd
		c.names = append(c.names, fd.Name)
	}
	v, err := c.compile(tree.Node)
	if err != nil {
		return nil, err
	}
	if c.f.root, err = c.boolean(v); err != nil {
		return nil, err
	}
	return c.f, nil
}

// String returns the expression as it was written.
func (f *Filter) String() string { return f.src }

// Columns lists the columns that the expression reads, in order of first use.
func (f *Filter) Columns() []string {
	out := make([]string, len(f.columns))
	for i, c := range f.columns {
		out[i] = c.Name
	}
	return out
}

// Apply evaluates the filter on every row: keep[i] says whether row i is kept.
// Rows for which the condition is unknown are not kept; missing counts them.
// It returns [ErrNoColumn] or [ErrKind] for a table that lacks a column or has it as
// another kind, and a [*FilterError] where text in the expression is not a level of
// the column it is compared with.
func (f *Filter) Apply(t *Table) (keep []bool, missing int, err error) {
	e := &filterEnv{cols: make([]boundColumn, len(f.columns)), members: make([]boundMember, len(f.members))}
	for i, c := range f.columns {
		if e.cols[i], err = bindColumn(t, c); err != nil {
			return nil, 0, fmt.Errorf("filter: %w", err)
		}
	}
	for i, m := range f.members {
		if e.members[i], err = m.bind(&e.cols[m.col], f.columns[m.col].Name); err != nil {
			return nil, 0, err
		}
	}
	keep = make([]bool, t.Rows())
	out := make([]tri, filterBlock)
	for lo := 0; lo < t.Rows(); lo += filterBlock {
		hi := min(lo+filterBlock, t.Rows())
		f.root(e, lo, hi, out)
		for i, v := range out[:hi-lo] {
			switch v {
			case yes:
				keep[lo+i] = true
			case unknown:
				missing++
			}
		}
	}
	return keep, missing, nil
}

// tri is a truth value of SQL's logic.
type tri int8

const (
	no tri = iota
	yes
	unknown
)

func truth(b bool) tri {
	if b {
		return yes
	}
	return no
}

// A numExpr fills out and ok for rows lo to hi; a boolExpr fills out.
type (
	numExpr  func(e *filterEnv, lo, hi int, out []float64, ok []bool)
	boolExpr func(e *filterEnv, lo, hi int, out []tri)
)

// filterEnv is one evaluation: the columns bound to a table, and scratch space.
type filterEnv struct {
	cols    []boundColumn
	members []boundMember
	freeNum [][]float64
	freeOK  [][]bool
	freeTri [][]tri
}

func (e *filterEnv) scratch() ([]float64, []bool) {
	if n := len(e.freeNum); n > 0 {
		a, b := e.freeNum[n-1], e.freeOK[n-1]
		e.freeNum, e.freeOK = e.freeNum[:n-1], e.freeOK[:n-1]
		return a, b
	}
	return make([]float64, filterBlock), make([]bool, filterBlock)
}

func (e *filterEnv) release(a []float64, b []bool) {
	e.freeNum, e.freeOK = append(e.freeNum, a), append(e.freeOK, b)
}

func (e *filterEnv) scratchTri() []tri {
	if n := len(e.freeTri); n > 0 {
		a := e.freeTri[n-1]
		e.freeTri = e.freeTri[:n-1]
		return a
	}
	return make([]tri, filterBlock)
}

func (e *filterEnv) releaseTri(a []tri) { e.freeTri = append(e.freeTri, a) }

// boundColumn is a column of the table at hand: numbers for everything that can be
// computed with, codes or strings for text.
type boundColumn struct {
	values []float64
	valid  []bool
	codes  []int32
	levels []string
	text   *array.String
}

func (b *boundColumn) has(i int) bool { return b.valid == nil || b.valid[i] }

func (b *boundColumn) string(i int) string {
	if b.text != nil {
		return b.text.Value(i)
	}
	return b.levels[b.codes[i]]
}

// exactInteger bounds the whole numbers that are exact as float64: at 2^53 itself the
// next one up rounds to the same number.
const exactInteger = 1 << 53

func bindColumn(t *Table, want Field) (b boundColumn, err error) {
	c, err := t.Column(want.Name)
	if err != nil {
		return b, err
	}
	if c.Kind != want.Kind {
		return b, fmt.Errorf("column %q is %s, the filter was made for %s: %w", c.Name, c.Kind, want.Kind, ErrKind)
	}
	switch a := c.data.(type) {
	case *array.String:
		b.text, b.valid = a, valid(a)
	case *array.Dictionary:
		v, err := t.Category(want.Name)
		if err != nil {
			return b, err
		}
		b.codes, b.levels, b.valid = v.Codes, v.Levels, v.Valid
	default:
		v, err := t.Float(want.Name)
		if err != nil {
			return b, err
		}
		b.values, b.valid = v.Values, v.Valid
		if c.Kind == IntegerKind {
			for i, x := range b.values {
				if b.has(i) && (x >= exactInteger || x <= -exactInteger) {
					return b, fmt.Errorf("column %q has whole numbers of 2^53 and more, which a filter cannot compare exactly: declare it as text: %w", c.Name, ErrKind)
				}
			}
		}
	}
	return b, nil
}

// member is the condition that a text column equals one of some constants.
type member struct {
	col    int
	values []string
	pos    int
}

// boundMember is a member with the truth of every level, or the set for text.
type boundMember struct {
	level []tri
	set   map[string]bool
}

func (m member) bind(c *boundColumn, name string) (boundMember, error) {
	set := make(map[string]bool, len(m.values))
	for _, v := range m.values {
		set[v] = true
	}
	if c.text != nil {
		return boundMember{set: set}, nil
	}
	known := make(map[string]bool, len(c.levels))
	out := boundMember{level: make([]tri, len(c.levels))}
	for i, l := range c.levels {
		known[l] = true
		out.level[i] = truth(set[l])
	}
	for _, v := range m.values {
		if !known[v] {
			return boundMember{}, &FilterError{m.pos, fmt.Sprintf("%q is not a level of column %q", v, name)}
		}
	}
	return out, nil
}

func memberExpr(col, index int) boolExpr {
	return func(e *filterEnv, lo, hi int, out []tri) {
		c, m := &e.cols[col], &e.members[index]
		for i := lo; i < hi; i++ {
			switch {
			case !c.has(i):
				out[i-lo] = unknown
			case m.level != nil:
				out[i-lo] = m.level[c.codes[i]]
			default:
				out[i-lo] = truth(m.set[c.text.Value(i)])
			}
		}
	}
}
