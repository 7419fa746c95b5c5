package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/ingest"
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
	return d, d.name(cols.unique)
}

// dataRead says how the file was read: what was found out is never silent.
func dataRead(r *ingest.Report) table.Note {
	text := fmt.Sprintf("%s: %d rows read as %s", r.File, r.Kept, r.Format)
	args := map[string]any{"file": r.File, "format": r.Format, "rows": r.Kept}
	if r.Separator != "" {
		text += fmt.Sprintf(", separator %s, decimal %s, encoding %s", r.Separator, r.Decimal, r.Encoding)
		args["separator"], args["decimal"], args["encoding"] = r.Separator, r.Decimal, r.Encoding
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
	d.t, d.rows = d.t.Take(rows), file
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
func (d *fitData) name(unique bool) error {
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
	if !unique {
		return nil
	}
	first := make(map[string]int, len(ids))
	for i, id := range ids {
		if f, twice := first[id]; twice {
			return d.at(i, d.id, fmt.Errorf("the row has the id of line %d; one row per unit is needed", d.line(f)))
		}
		first[id] = i
	}
	return nil
}

// line is the line of the file of a row.
func (d *fitData) line(row int) int { return d.read.Line(d.rows[row]) }

// at is an error about a row.
func (d *fitData) at(row int, column string, err error) *ingest.Problem {
	return &ingest.Problem{File: d.file, Line: d.line(row), Column: column, Code: "row", Text: err.Error()}
}

// text reads a column of names; a missing value is instead, or an error if instead is "".
func (d *fitData) text(name, instead string) ([]string, error) {
	c, err := d.t.Column(name)
	if err != nil {
		return nil, err
	}
	out := make([]string, d.t.Rows())
	if c.Kind == table.FloatKind {
		f, err := d.t.Float(name)
		if err != nil {
			return nil, err
		}
		for i, v := range f.Values {
			out[i] = strconv.FormatFloat(v, 'f', -1, 64)
		}
	} else if out, _, err = d.t.Text(name); err != nil {
		return nil, err
	}
	if c.Missing() == 0 {
		return out, nil
	}
	out = slices.Clone(out)
	for i := range out {
		if !c.Has(i) {
			if instead == "" {
				return nil, d.at(i, name, fmt.Errorf("the row has no value"))
			}
			out[i] = instead
		}
	}
	return out, nil
}

// numbers reads a column of numbers without missing values.
func (d *fitData) numbers(name string) ([]float64, error) {
	c, err := d.t.Column(name)
	if err != nil {
		return nil, err
	}
	if c.Kind == table.CategoryKind {
		if out := truth(d.t, name); out != nil {
			return out, nil
		}
		values, err := d.text(name, "")
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			if _, err := strconv.ParseFloat(v, 64); err != nil {
				return nil, d.at(i, name, fmt.Errorf("text where a number is needed"))
			}
		}
		return nil, &ingest.Problem{File: d.file, Column: name, Code: "not-a-number", Text: "a number is needed; the column is read as categories"}
	}
	f, err := d.t.Float(name)
	if err != nil {
		return nil, err
	}
	for i, v := range f.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, d.at(i, name, fmt.Errorf("not a finite number"))
		}
	}
	return f.Values, nil
}

// truth reads a category of the words true and false as 1 and 0; nil if it is another.
func truth(t *table.Table, name string) []float64 {
	c, err := t.Category(name)
	if err != nil {
		return nil
	}
	value := make([]float64, len(c.Levels))
	for l, s := range c.Levels {
		switch strings.ToLower(s) {
		case "true":
			value[l] = 1
		case "false":
		default:
			return nil
		}
	}
	out := make([]float64, len(c.Codes))
	for i, code := range c.Codes {
		if !c.Has(i) {
			return nil
		}
		out[i] = value[code]
	}
	return out
}

// binary reads a column of 0 and 1, or false and true.
func (d *fitData) binary(name string) ([]bool, error) {
	v, err := d.numbers(name)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(v))
	for i, x := range v {
		if x != 0 && x != 1 {
			return nil, d.at(i, name, fmt.Errorf("a value other than 0 and 1"))
		}
		out[i] = x == 1
	}
	return out, nil
}

// weights reads a column of weights: at least 0 and not all 0.
func (d *fitData) weights(name string) ([]float64, error) {
	if name == "" {
		return nil, nil
	}
	v, err := d.numbers(name)
	if err != nil {
		return nil, err
	}
	sum := 0.0
	for i, w := range v {
		if w < 0 {
			return nil, d.at(i, name, fmt.Errorf("a weight below 0"))
		}
		sum += w
	}
	if sum == 0 {
		return nil, &ingest.Problem{File: d.file, Column: name, Code: "no-weight", Text: "every weight is 0"}
	}
	return v, nil
}

// integers reads a column of whole numbers.
func (d *fitData) integers(name string) ([]int, error) {
	v, err := d.numbers(name)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(v))
	for i, x := range v {
		if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			return nil, d.at(i, name, fmt.Errorf("not a whole number"))
		}
		out[i] = int(x)
	}
	return out, nil
}

// codes numbers the values of a column from 0 in byte order; a missing one is -1.
func (d *fitData) codes(name string) (codes []int, names []string, err error) {
	const none = "\x00"
	text, err := d.text(name, none)
	if err != nil {
		return nil, nil, err
	}
	names = slices.Compact(slices.Sorted(slices.Values(text)))
	if len(names) > 0 && names[0] == none {
		names = names[1:]
	}
	index := make(map[string]int, len(names))
	for i, n := range names {
		index[n] = i
	}
	codes = make([]int, len(text))
	for i, v := range text {
		if c, ok := index[v]; ok {
			codes[i] = c
		} else {
			codes[i] = -1
		}
	}
	return codes, names, nil
}

// design codes covariates as numbers; nil without covariates.
func (d *fitData) design(covariates []string) (*mat.Dense, []string, error) {
	if len(covariates) == 0 {
		return nil, nil, nil
	}
	m, err := cohort.Design(d.t, covariates, cohort.DesignOptions{Workers: d.workers})
	if err != nil {
		return nil, nil, err
	}
	if len(m.Columns) == 0 {
		return nil, nil, fmt.Errorf("%w: each of %s has one value only", cohort.ErrCovariate, strings.Join(covariates, ", "))
	}
	return mat.NewDense(m.Rows, len(m.Columns), m.Values), m.Names(), nil
}

// sort puts the rows into an order that their values decide, so that sums, and with
// them the last digit of an estimate, do not depend on the order of the file.
func (d *fitData) sort(cols fitColumns) error {
	type key struct {
		number []float64
		text   []string
	}
	var keys []key
	for _, c := range cols.list {
		col, err := d.t.Column(c.name)
		if err != nil {
			return err
		}
		if col.Kind == table.CategoryKind || col.Kind == table.TextKind {
			text, err := d.text(c.name, "\x00")
			if err != nil {
				return err
			}
			keys = append(keys, key{text: text})
			continue
		}
		f, err := d.t.Float(c.name)
		if err != nil {
			return err
		}
		v := f.Values
		if col.Missing() > 0 {
			v = slices.Clone(v)
			for i := range v {
				if !f.Has(i) {
					v[i] = math.Inf(-1)
				}
			}
		}
		keys = append(keys, key{number: v})
	}
	rows := make([]int, d.t.Rows())
	for i := range rows {
		rows[i] = i
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		for _, k := range keys {
			if k.text != nil {
				if c := strings.Compare(k.text[a], k.text[b]); c != 0 {
					return c
				}
			} else if k.number[a] != k.number[b] {
				if k.number[a] < k.number[b] {
					return -1
				}
				return 1
			}
		}
		return 0
	})
	d.take(rows)
	if d.id == "" { // a name that follows the row would bring the order of the file back
		for i := range d.units {
			d.units[i] = strconv.Itoa(i + 1)
		}
	}
	return nil
}
