package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"utfall/ingest"
	"utfall/internal/lang"
	"utfall/table"
)

// fitColumn is a column that a flag names.
type fitColumn struct {
	flag, name string
	missing    bool // a row without a value in it stays
	apart      bool // the column may not have another part beside this one
}

// fitColumns are the columns that a method uses.
type fitColumns struct {
	list []fitColumn
	all  bool // the method carries every column of the file along
	// unique says that a row is a unit, so that --id may name no two.
	unique bool
	// perUnit says why, where there is more to say than that.
	perUnit string
}

func (c *fitColumns) add(flag, name string) { c.put(fitColumn{flag: flag, name: name}) }

func (c *fitColumns) put(col fitColumn) {
	if col.name != "" {
		c.list = append(c.list, col)
	}
}

// apart adds columns that may have no other part: a covariate is not the outcome.
func (c *fitColumns) apart(flag string, names ...string) {
	for _, n := range names {
		c.put(fitColumn{flag: flag, name: n, apart: true})
	}
}

// check lists columns that are named twice by one flag or have two parts.
func (c fitColumns) check() (problems []string) {
	for i, a := range c.list {
		for _, b := range c.list[:i] {
			switch {
			case a.name != b.name:
			case a.flag == b.flag:
				problems = append(problems, fmt.Sprintf("--%s names %q twice", a.flag, a.name))
			case a.apart && b.apart:
				problems = append(problems, fmt.Sprintf("column %q is named by --%s and by --%s", a.name, b.flag, a.flag))
			}
		}
	}
	return problems
}

// fitData is the table that an estimator sees: the rows that --where keeps and that
// have a value in every column used.
type fitData struct {
	t       *table.Table
	file    string
	rows    []int // of each row of t, its row in the file
	id      string
	units   []string // names of the rows: --id, or the row number in the file from 1
	order   []int    // rows in byte order of units, once it is asked for
	level   float64
	workers int
	notes   []table.Note
	read    *ingest.Result
}

func readFitData(ctx context.Context, c *fitCommon, cols fitColumns, workers int) (*fitData, error) {
	needed := []string{}
	for _, col := range append(slices.Clone(cols.list), fitColumn{name: c.id}) {
		if col.name != "" && !slices.Contains(needed, col.name) {
			needed = append(needed, col.name)
		}
	}
	o := ingest.FlatOptions{
		Separator: c.separator, Decimal: c.decimal, Encoding: c.encoding, Categorical: c.categorical,
		Needed: needed, Name: filepath.Base(c.data), Workers: workers,
	}
	if cols.all || c.where != "" || len(needed) == 0 {
		o.Needed = nil
	}
	read, err := ingest.ReadFlat(ctx, c.data, o)
	if err != nil {
		return nil, err
	}
	d := &fitData{t: read.Table, file: read.Report.File, id: c.id, level: c.level, workers: workers, read: read}
	d.notes = append(d.notes, dataRead(&read.Report))
	d.notes = append(d.notes, read.Report.Notes...)
	var missing ingest.Problems
	for _, n := range needed {
		if !d.t.Has(n) {
			missing = append(missing, &ingest.Problem{File: d.file, Line: 1, Column: n, Code: "missing-column", Text: "the file has no such column"})
		}
	}
	if len(missing) > 0 {
		return nil, missing
	}
	if d.t.Rows() == 0 {
		return nil, &ingest.Problem{File: d.file, Code: "no-rows", Text: "the file has a header and no rows"}
	}
	d.rows = make([]int, d.t.Rows())
	for i := range d.rows {
		d.rows[i] = i
	}
	if err := d.filter(c.where); err != nil {
		return nil, err
	}
	if err := d.dropMissing(cols); err != nil {
		return nil, err
	}
	return d, d.name(cols)
}

// dataRead says how the file was read: what was found out is never silent.
func dataRead(r *ingest.Report) table.Note {
	text := fmt.Sprintf("%s: %d rows read as %s", r.File, r.Kept, r.Format)
	args := map[string]any{"file": r.File, "format": r.Format, "rows": r.Kept}
	if r.Separator != "" {
		text += fmt.Sprintf(", separator %s, decimal %s, encoding %s", r.Separator, r.Decimal, r.Encoding)
		args["separator"], args["decimal"], args["encoding"] = r.Separator, r.Decimal, r.Encoding
	} else if r.Encoding != "" {
		text += ", encoding " + r.Encoding
		args["encoding"] = r.Encoding
	}
	if r.Blank > 0 {
		text += fmt.Sprintf("; %d empty lines passed over", r.Blank)
		args["blank"] = r.Blank
	}
	return table.Note{Code: "data-read", Text: text + ".", Args: args}
}

func (d *fitData) note(code string, args map[string]any, format string, a ...any) {
	d.notes = append(d.notes, table.Note{Code: code, Text: fmt.Sprintf(format, a...), Args: args})
}

func (d *fitData) take(rows []int) {
	file := make([]int, len(rows))
	for i, r := range rows {
		file[i] = d.rows[r]
	}
	d.t, d.rows, d.order = d.t.Take(rows), file, nil
	if d.units != nil {
		units := make([]string, len(rows))
		for i, r := range rows {
			units[i] = d.units[r]
		}
		d.units = units
	}
}

func (d *fitData) filter(where string) error {
	if where == "" {
		return nil
	}
	f, err := table.CompileFilter(where, d.t.Fields())
	if err != nil {
		return err
	}
	keep, unknown, err := f.Apply(d.t)
	if err != nil {
		return err
	}
	all := d.t.Rows()
	var rows []int
	for i, k := range keep {
		if k {
			rows = append(rows, i)
		}
	}
	d.note("rows-filtered", map[string]any{"kept": len(rows), "of": all, "unknown": unknown},
		"--where keeps %d of %d rows; for %d of the others it cannot be told, because a value is missing.", len(rows), all, unknown)
	if len(rows) == 0 {
		return &ingest.Problem{File: d.file, Code: "no-rows", Text: fmt.Sprintf("--where keeps none of the %d rows", all)}
	}
	d.take(rows)
	return nil
}

// dropMissing leaves out the rows without a value in a column used, and counts them.
func (d *fitData) dropMissing(cols fitColumns) error {
	n := d.t.Rows()
	drop := make([]bool, n)
	by := map[string]any{}
	var parts []string
	for _, c := range cols.list {
		col, err := d.t.Column(c.name)
		if err != nil {
			return err
		}
		gone := col.Missing()
		if gone == n && !c.missing {
			return &ingest.Problem{File: d.file, Column: c.name, Code: "all-missing",
				Text: fmt.Sprintf("none of the %d rows has a value, so that nothing can be estimated (--%s)", n, c.flag)}
		}
		if _, twice := by[c.name]; c.missing || gone == 0 || twice {
			continue
		}
		by[c.name] = gone
		parts = append(parts, fmt.Sprintf("%s %d", c.name, gone))
		for i := range n {
			drop[i] = drop[i] || !col.Has(i)
		}
	}
	var rows []int
	for i, gone := range drop {
		if !gone {
			rows = append(rows, i)
		}
	}
	if len(rows) == n {
		return nil
	}
	if len(rows) == 0 {
		return &ingest.Problem{File: d.file, Code: "no-complete-row",
			Text: fmt.Sprintf("none of the %d rows has a value in every column used; missing values: %s", n, strings.Join(parts, ", "))}
	}
	d.note("rows-dropped", map[string]any{"rows": n - len(rows), "of": n, "missing": by},
		"%d of %d rows are left out because a value is missing (%s).", n-len(rows), n, strings.Join(parts, ", "))
	d.take(rows)
	return nil
}

// name gives the rows their names.
func (d *fitData) name(cols fitColumns) error {
	if d.id == "" {
		d.units = make([]string, len(d.rows))
		for i, r := range d.rows {
			d.units[i] = strconv.Itoa(r + 1)
		}
		return nil
	}
	ids, err := d.text(d.id, "")
	if err != nil {
		return err
	}
	d.units = ids
	if !cols.unique {
		return nil
	}
	first := make(map[string]int, len(ids))
	for i, id := range ids {
		if f, twice := first[id]; twice {
			return d.at(i, d.id, fmt.Errorf("the row has the id of line %d; one row per unit is needed%s", d.line(f), cols.perUnit))
		}
		first[id] = i
	}
	return nil
}

// dataReadIn says the same in the words of a language.
func dataReadIn(l lang.Lang, args map[string]any) string {
	text := l.Text("cli.data-read", "file", args["file"], "rows", args["rows"], "format", args["format"])
	for _, part := range []string{"separator", "decimal", "encoding", "blank"} {
		if v, ok := args[part]; ok {
			text += l.Text("cli.data-read-"+part, part, v)
		}
	}
	return text + "."
}
