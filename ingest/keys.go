package ingest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"utfall/table"
)

// rowBytes encodes columns of a table row by row, the same for any order of rows and
// any file format: see [LogicalHash].
type rowBytes struct {
	cols []func(b []byte, i int) []byte
}

// Marks before each value, so that no two rows of different values share an encoding.
const (
	nullMark = iota
	numberMark
	integerMark
	textMark
)

func newRowBytes(t *table.Table, names []string) (*rowBytes, error) {
	out := &rowBytes{}
	for _, name := range names {
		c, err := t.Column(name)
		if err != nil {
			return nil, err
		}
		switch c.Kind {
		case table.FloatKind:
			v, err := t.Float(name)
			if err != nil {
				return nil, err
			}
			out.cols = append(out.cols, func(b []byte, i int) []byte {
				if !v.Has(i) {
					return append(b, nullMark)
				}
				return binary.BigEndian.AppendUint64(append(b, numberMark), math.Float64bits(v.Values[i]+0)) // -0 is 0
			})
		case table.TextKind, table.CategoryKind:
			v, ok, err := t.Text(name)
			if err != nil {
				return nil, err
			}
			out.cols = append(out.cols, func(b []byte, i int) []byte {
				if ok != nil && !ok[i] {
					return append(b, nullMark)
				}
				b = binary.AppendUvarint(append(b, textMark), uint64(len(v[i])))
				return append(b, v[i]...)
			})
		default:
			v, err := t.Integer(name)
			if err != nil {
				return nil, err
			}
			out.cols = append(out.cols, func(b []byte, i int) []byte {
				if !v.Has(i) {
					return append(b, nullMark)
				}
				return binary.BigEndian.AppendUint64(append(b, integerMark), uint64(v.Values[i]))
			})
		}
	}
	return out, nil
}

func (r *rowBytes) append(b []byte, i int) []byte {
	for _, f := range r.cols {
		b = f(b, i)
	}
	return b
}

// keyCheck finds rows that share the values of some columns: it keeps 128 bits of hash
// a row and sorts them when all rows have come.
type keyCheck struct {
	names []string
	seed  [2]maphash.Seed
	rows  []keyRow
}

type keyRow struct {
	hash      [2]uint64
	line, row int
}

// newKeyChecks gives one check for the key and one for each unique column.
func newKeyChecks(src *Source) (out []*keyCheck) {
	add := func(names []string) {
		out = append(out, &keyCheck{names: names, seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}})
	}
	if len(src.Key) > 0 {
		add(src.Key)
	}
	for i := range src.Columns {
		if src.Columns[i].Unique {
			add([]string{src.Columns[i].Name})
		}
	}
	return out
}

// add takes in the rows of a table. Rows without a value in a column are not compared.
func (k *keyCheck) add(t *table.Table, line func(row int) int) error {
	enc, err := newRowBytes(t, k.names)
	if err != nil {
		return err
	}
	var buf []byte
rows:
	for i := range t.Rows() {
		buf = buf[:0]
		for _, f := range enc.cols {
			at := len(buf)
			if buf = f(buf, i); buf[at] == nullMark {
				continue rows
			}
		}
		k.rows = append(k.rows, keyRow{[2]uint64{maphash.Bytes(k.seed[0], buf), maphash.Bytes(k.seed[1], buf)}, line(i), i})
	}
	return nil
}

// groups calls each with the rows of every key that comes more than once, in line order.
func (k *keyCheck) groups(each func([]keyRow)) {
	slices.SortFunc(k.rows, func(a, b keyRow) int {
		return cmp.Or(cmp.Compare(a.hash[0], b.hash[0]), cmp.Compare(a.hash[1], b.hash[1]), cmp.Compare(a.line, b.line))
	})
	for i := 0; i < len(k.rows); {
		j := i + 1
		for j < len(k.rows) && k.rows[j].hash == k.rows[i].hash {
			j++
		}
		if j > i+1 {
			each(k.rows[i:j])
		}
		i = j
	}
}

// check is an error that names the first row whose key came before.
func (k *keyCheck) check(file string) error {
	first, before, count := math.MaxInt, 0, 0
	k.groups(func(g []keyRow) {
		count += len(g) - 1
		if g[1].line < first {
			first, before = g[1].line, g[0].line
		}
	})
	if count == 0 {
		return nil
	}
	text := fmt.Sprintf("the same value as in line %d", before)
	p := problem(file, first, "", "duplicate-key", "")
	if len(k.names) == 1 {
		p.Column = k.names[0]
	} else {
		q := make([]string, len(k.names))
		for i, n := range k.names {
			q[i] = fmt.Sprintf("%q", n)
		}
		text = "columns " + strings.Join(q, ", ") + ": the same values as in line " + fmt.Sprint(before)
	}
	if count > 1 {
		text += fmt.Sprintf(" (and %d more such rows)", count-1)
	}
	p.Text = text
	return p
}

// duplicates applies the key and the unique columns to the table that was read.
func (r *Result) duplicates(src *Source) error {
	for i, k := range newKeyChecks(src) {
		if err := k.add(r.Table, r.Line); err != nil {
			return err
		}
		if i > 0 || len(src.Key) == 0 || src.Duplicates != "quarantine" {
			if err := k.check(r.Report.File); err != nil {
				return err
			}
			continue
		}
		var drop []dropped
		if err := sameRows(r.Table, k, func(row int, code string) { drop = append(drop, dropped{row, "", code}) }); err != nil {
			return err
		}
		r.drop(drop)
	}
	return nil
}

// sameRows gives the rows that share a key: the copies of a row that is the same in every
// column, and all rows of a key that differ.
func sameRows(t *table.Table, k *keyCheck, drop func(row int, code string)) error {
	all := make([]string, 0, len(t.Fields()))
	for _, f := range t.Fields() {
		all = append(all, f.Name)
	}
	enc, err := newRowBytes(t, all)
	if err != nil {
		return err
	}
	k.groups(func(g []keyRow) {
		one, same := enc.append(nil, g[0].row), true
		for _, q := range g[1:] {
			same = same && bytes.Equal(one, enc.append(nil, q.row))
		}
		for n, q := range g {
			switch {
			case !same:
				drop(q.row, "duplicate-key")
			case n > 0:
				drop(q.row, "duplicate-row")
			}
		}
	})
	return nil
}

// dropped is a row of the table that a check across rows rejects.
type dropped struct {
	row    int
	column string
	code   string
}

// drop moves rows of the table into quarantine.
func (r *Result) drop(rows []dropped) {
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, func(a, b dropped) int {
		return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.column, b.column), cmp.Compare(a.code, b.code))
	})
	rows = slices.Compact(rows)
	out := make([]bool, r.Table.Rows())
	rejects := make([]Reject, len(rows))
	n := 0
	for i, d := range rows {
		if !out[d.row] {
			n++
		}
		out[d.row] = true
		rejects[i] = Reject{r.Line(d.row), d.column, d.code}
	}
	order := map[string]int{"": -1}
	for i, f := range r.Table.Fields() {
		order[f.Name] = i
	}
	r.count(order, rejects)
	slices.SortStableFunc(r.Quarantine, func(a, b Reject) int { return cmp.Compare(a.Line, b.Line) })
	keep := make([]int, 0, len(out)-n)
	var lines []lineBreak
	for i, gone := range out {
		if !gone {
			if line := r.Line(i); line > 0 {
				lines = append(lines, lineBreak{len(keep), line})
				lines = mergeLast(lines)
			}
			keep = append(keep, i)
		}
	}
	r.Table, r.lines = r.Table.Take(keep), lines
	r.Report.Kept -= n
	r.Report.Rejected += n
	for i, c := range r.Report.Columns {
		if col, err := r.Table.Column(c.Name); err == nil {
			r.Report.Columns[i].Missing = col.Missing()
		}
	}
}

// mergeLast drops the last break where the one before foretells it.
func mergeLast(l []lineBreak) []lineBreak {
	if n := len(l); n > 1 && l[n-2].line+l[n-1].row-l[n-2].row == l[n-1].line {
		return l[:n-1]
	}
	return l
}
