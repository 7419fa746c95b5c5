package ingest

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"golang.org/x/text/unicode/norm"

	"utfall/table"
)

// assemble joins the parts of a file, in order, column by column; each part's values
// are let go as soon as they are copied.
func assemble(p *plan, parts []*part) (*table.Table, error) {
	rows := 0
	for _, q := range parts {
		rows += q.rows
	}
	cols := make([]table.Column, len(p.targets))
	for k := range p.targets {
		c, err := column(&p.targets[k], k, parts, rows)
		if err != nil {
			return nil, err
		}
		cols[k] = c
		for _, q := range parts {
			q.vecs[k] = vec{}
		}
	}
	return table.New(cols...)
}

func column(t *target, k int, parts []*part, rows int) (table.Column, error) {
	f := table.Field{Name: t.Name, Unit: t.Unit, Role: table.Role(t.Role)}
	var valid []bool
	if slices.ContainsFunc(parts, func(q *part) bool { return slices.Contains(q.vecs[k].valid, false) }) {
		valid = make([]bool, 0, rows)
		for _, q := range parts {
			if v := q.vecs[k].valid; v != nil {
				valid = append(valid, v...)
			} else {
				valid = append(valid, slices.Repeat([]bool{true}, q.rows)...)
			}
		}
	}
	switch t.kind {
	case table.FloatKind:
		return table.NewFloat(f, join(parts, rows, func(q *part) []float64 { return q.vecs[k].f }), valid), nil
	case table.IntegerKind:
		return table.NewInteger(f, join(parts, rows, func(q *part) []int64 { return q.vecs[k].n }), valid), nil
	case table.BooleanKind:
		return table.NewBoolean(f, join(parts, rows, func(q *part) []bool { return q.vecs[k].b }), valid), nil
	case table.DateKind:
		return table.NewDate(f, join(parts, rows, func(q *part) []int32 { return q.vecs[k].d }), valid), nil
	case table.CategoryKind:
		levels := unite(t, k, parts)
		return table.NewCategory(f, join(parts, rows, func(q *part) []int32 { return q.vecs[k].d }), levels, valid)
	}
	size := 0
	for _, q := range parts {
		size += len(q.vecs[k].text)
	}
	if size > math.MaxInt32 {
		return table.Column{}, fmt.Errorf("column %q holds more than 2 GiB of text: %w", t.Name, ErrResource)
	}
	text, off := make([]byte, 0, size), make([]int32, 1, rows+1)
	for _, q := range parts {
		base := int32(len(text))
		text = append(text, q.vecs[k].text...)
		for _, o := range q.vecs[k].off[1:] {
			off = append(off, base+o)
		}
	}
	return table.NewTextBytes(f, text, off, valid)
}

func join[T any](parts []*part, rows int, values func(*part) []T) []T {
	if len(parts) == 1 && cap(values(parts[0])) < rows+rows/4+16 {
		return values(parts[0])
	}
	out := make([]T, 0, rows)
	for _, q := range parts {
		out = append(out, values(q)...)
	}
	return out
}

// unite gives the parts of a category one set of levels: the declared ones, or those of
// kept rows in byte order.
func unite(t *target, k int, parts []*part) []string {
	if t.Levels != nil {
		levels := make([]string, len(t.Levels))
		for i, l := range t.Levels {
			levels[i] = norm.NFC.String(l)
		}
		return levels
	}
	code := map[string]int32{}
	used := make([][]bool, len(parts))
	for i, q := range parts {
		v := &q.vecs[k]
		used[i] = make([]bool, len(v.levels))
		for r, c := range v.d {
			if v.valid == nil || v.valid[r] {
				used[i][c] = true
			}
		}
		for c, u := range used[i] {
			if u {
				code[v.levels[c]] = 0
			}
		}
	}
	levels := make([]string, 0, len(code))
	for l := range code {
		levels = append(levels, l)
	}
	sort.Strings(levels)
	for i, l := range levels {
		code[l] = int32(i)
	}
	for _, q := range parts {
		v := &q.vecs[k]
		to := make([]int32, len(v.levels))
		for c, l := range v.levels {
			to[c] = code[l]
		}
		for r, c := range v.d {
			if v.valid == nil || v.valid[r] {
				v.d[r] = to[c]
			}
		}
	}
	return levels
}
