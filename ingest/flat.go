package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"utfall/table"
)

// FlatOptions say how a flat analysis file is read without a declaration.
type FlatOptions struct {
	Separator, Decimal, Encoding string   // as in Source; sniffed if empty
	Categorical                  []string // columns whose values are categories, also where they are numbers
	Needed                       []string // columns to read; all if empty
	Name                         string   // what messages call the file
	Workers                      int
}

// flatMissing are the marks of a missing value; numberMissing those that are only in a
// column that otherwise holds numbers, as Stata, R and Python write them.
var (
	flatMissing   = []string{"NA"}
	numberMissing = []string{".", "NaN", "nan"}
)

// guess collects what the values of each column could be.
type guess struct {
	cols    []guessColumn
	width   int
	mark    byte
	blank   int
	problem *Problem
	file    string
}

type guessColumn struct {
	values  int
	other   int // neither a number nor one of numberMissing
	whole   int
	point   int // one of numberMissing
	zero    int // digits after a leading zero: a code, not a number
	swapped int // numbers if the decimal mark were the other one
	big     int // whole numbers that 64 bits do not hold
	wide    int // whole numbers that float64 does not hold
}

func (g *guess) blankLine() { g.blank++ }

func (g *guess) badRow(line int, code string) {
	if g.problem == nil {
		g.problem = problem(g.file, line, "", code, "%s", reasonText[code])
	}
}

func (g *guess) row(line int, fields [][]byte) {
	if len(fields) != g.width {
		if g.problem == nil {
			g.problem = problem(g.file, line, "", "ragged", "the row has %d fields, the header %d", len(fields), g.width)
		}
		return
	}
	for j, f := range fields {
		g.cols[j].add(trim(f), g.mark)
	}
}

func (c *guessColumn) add(b []byte, mark byte) {
	if len(b) == 0 || string(b) == flatMissing[0] {
		return
	}
	if slices.Contains(numberMissing, string(b)) {
		c.point++
		return
	}
	c.values++
	s, ok := scanNumber(b, mark)
	if !ok {
		c.other++
		if _, ok = scanNumber(b, '.'+','-mark); ok {
			c.swapped++
		}
		return
	}
	if b[0] == '-' || b[0] == '+' {
		b = b[1:]
	}
	if len(b) > 1 && b[0] == '0' && b[1]-'0' <= 9 {
		c.zero++
	}
	if _, code := parseInteger(b, mark); code == "" {
		c.whole++
		if s.mant > 1<<53 && s.exp >= 0 {
			c.wide++
		}
	} else if code == "overflow" && onlyDigits(b) {
		c.big++
	}
}

func (c *guessColumn) merge(o guessColumn) {
	c.values += o.values
	c.other += o.other
	c.whole += o.whole
	c.point += o.point
	c.zero += o.zero
	c.swapped += o.swapped
	c.big += o.big
	c.wide += o.wide
}

// kind decides: whole numbers, numbers, else a category. Codes such as 0114 and whole
// numbers too large to be held exactly are categories: as numbers they would be others.
func (c *guessColumn) kind() (typ string, missing []string) {
	switch {
	case c.other > 0 || c.zero > 0 || c.big > 0 || c.wide > 0 && c.whole < c.values:
		return "category", flatMissing
	case c.values > 0 && c.whole == c.values:
		return "integer", append(slices.Clone(numberMissing), flatMissing...)
	}
	return "number", append(slices.Clone(numberMissing), flatMissing...)
}

// ReadFlat reads a flat analysis file without a declaration. A column of whole numbers
// becomes integer, of numbers number, every other one a category with levels in byte
// order; so do codes with leading zeros and the columns named in Categorical. Missing
// are the empty field, NA, and ".", NaN and nan in a column of numbers. A column of which
// nine values in ten are numbers and the others words has the note mostly-numbers. Every
// broken row is an error: there is no quarantine here. The file is read twice.
func ReadFlat(ctx context.Context, path string, o FlatOptions) (*Result, error) {
	src := Source{Path: o.Name, Separator: o.Separator, Decimal: o.Decimal, Encoding: o.Encoding}
	probe := src
	probe.Path, probe.Columns = "x", []Column{{Name: "x", Type: "text"}}
	if errs := probe.Check(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	opts := Options{Name: o.Name, Workers: o.Workers}
	var rep Report
	in, err := openFile(path, &src, opts, &rep, nil)
	if err != nil {
		return nil, err
	}
	names, mark, file := in.names(), in.mark(), in.name()
	if t, ok := in.(*textInput); ok && !t.d.Header {
		in.close()
		return nil, problem(file, 1, "", "no-header", "the first line looks like data: a line that names the columns is needed")
	}
	_, ps, err := headerNames(file, names, true)
	if err == nil && len(ps) > 0 {
		err = ps
	}
	if err != nil {
		in.close()
		return nil, err
	}
	all, err := flatKinds(ctx, in, opts, names, mark)
	if l, ok := in.(interface{ labelled(field int) bool }); ok {
		for j := range all {
			if l.labelled(j) { // a category, also where its labels look like numbers
				all[j] = guessColumn{values: 1, other: 1}
			}
		}
	}
	in.close()
	if err != nil {
		return nil, err
	}
	clean := make([]string, len(names))
	for i, n := range names {
		clean[i] = headerName(n)
	}
	for _, list := range [][]string{o.Needed, o.Categorical} {
		for _, n := range list {
			if !slices.Contains(clean, n) {
				ps = append(ps, problem(file, 1, n, "missing-column", "the file has no such column (it has: %s)", shortList(clean)))
			}
		}
	}
	if len(ps) > 0 {
		return nil, slices.CompactFunc(ps, func(a, b *Problem) bool { return a.Column == b.Column })
	}
	src.Path, src.Extra = file, "ignore"
	zero := 0.0
	src.MaxRejected = &zero
	var notes []table.Note
	for j, n := range clean {
		if len(o.Needed) > 0 && !slices.Contains(o.Needed, n) || n == "" {
			continue
		}
		c := Column{Name: n}
		c.Type, c.Missing = all[j].kind()
		if slices.Contains(o.Categorical, n) {
			if c.Type != "category" {
				c.Missing = append(slices.Clone(numberMissing), flatMissing...)
			}
			c.Type = "category"
		}
		if g := all[j]; c.Type == "category" && g.other > 0 && g.other == g.swapped && !slices.Contains(o.Categorical, n) {
			other := decimalNames['.'+','-mark]
			return nil, problem(file, 0, n, "decimal", "the values are numbers if the decimal mark is a %s: declare decimal %s (or name the column as categorical)", other, other)
		}
		if all[j].zero > 0 && all[j].other == 0 {
			notes = append(notes, table.Note{Code: "codes-kept", Text: fmt.Sprintf("%s: column %q has digits after a leading zero and is read as categories, not as numbers.", file, n),
				Args: map[string]any{"file": file, "column": n}})
		}
		if g := all[j]; c.Type == "category" && g.other > 0 && 10*g.other <= g.values && !slices.Contains(o.Categorical, n) {
			notes = append(notes, table.Note{Code: "mostly-numbers", Args: map[string]any{"file": file, "column": n, "numbers": g.values - g.other, "of": g.values},
				Text: fmt.Sprintf("%s: column %q is read as categories, although %d of its %d values are numbers: leave the field empty where a value is missing, or name the column as categorical.", file, n, g.values-g.other, g.values)})
		}
		src.Columns = append(src.Columns, c)
	}
	src.Separator, src.Decimal, src.Encoding = rep.Separator, rep.Decimal, rep.Encoding
	if strings.TrimSpace(strings.Join(clean, "")) == "" {
		return nil, problem(file, 1, "", "empty-header", "the header names no column")
	}
	r, err := Read(ctx, path, src, opts)
	if r != nil {
		r.Report.Notes = append(notes, r.Report.Notes...)
	}
	return r, err
}

func shortList(names []string) string {
	if len(names) > 40 {
		return strings.Join(names[:40], ", ") + fmt.Sprintf(" and %d more", len(names)-40)
	}
	return strings.Join(names, ", ")
}

// flatKinds is the first pass.
func flatKinds(ctx context.Context, in input, o Options, names []string, mark byte) ([]guessColumn, error) {
	file := in.name()
	all := make([]guessColumn, len(names))
	in.plan(nil)
	err := in.kinds(ctx, o.workers(), func() *guess {
		return &guess{cols: make([]guessColumn, len(names)), width: len(names), mark: mark, file: file}
	}, func(g *guess) error {
		if g.problem != nil {
			return g.problem
		}
		for j := range all {
			all[j].merge(g.cols[j])
		}
		return nil
	})
	return all, err
}
