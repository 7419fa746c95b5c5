package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/ingest"
	"utfall/table"
)

// line is the line of the file of a row.
func (d *fitData) line(row int) int { return d.read.Line(d.rows[row]) }

// at is an error about a row.
func (d *fitData) at(row int, column string, err error) *ingest.Problem {
	return &ingest.Problem{File: d.file, Line: d.line(row), Column: column, Code: "row", Text: err.Error()}
}

// first is the row that comes first in the file among those for which bad is true; -1 if none.
func (d *fitData) first(bad func(i int) bool) int {
	at := -1
	for i, r := range d.rows {
		if bad(i) && (at < 0 || r < d.rows[at]) {
			at = i
		}
	}
	return at
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
		return nil, d.notNumber(name)
	}
	f, err := d.t.Float(name)
	if err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return math.IsNaN(f.Values[i]) || math.IsInf(f.Values[i], 0) }); i >= 0 {
		return nil, d.at(i, name, fmt.Errorf("not a finite number"))
	}
	return f.Values, nil
}

// notNumber names the first row of a column of categories that is no number, as the file writes numbers.
func (d *fitData) notNumber(name string) error {
	const none = "\x00"
	values, err := d.text(name, none)
	if err != nil {
		return err
	}
	if i := d.first(func(i int) bool {
		v := strings.TrimSpace(values[i])
		if d.read.Report.Decimal == "comma" {
			v = strings.Replace(v, ",", ".", 1)
		}
		x, err := strconv.ParseFloat(v, 64)
		return values[i] != none && (err != nil || math.IsInf(x, 0))
	}); i >= 0 {
		if _, err := strconv.ParseFloat(values[i], 64); err == nil {
			return d.at(i, name, fmt.Errorf("not a finite number"))
		}
		return d.at(i, name, fmt.Errorf("text where a number is needed"))
	}
	return &ingest.Problem{File: d.file, Column: name, Code: "not-a-number", Text: "a number is needed; the column is read as categories"}
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
	if i := d.first(func(i int) bool { return v[i] != 0 && v[i] != 1 }); i >= 0 {
		return nil, d.at(i, name, fmt.Errorf("a value other than 0 and 1"))
	}
	for i, x := range v {
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
	if i := d.first(func(i int) bool { return v[i] < 0 }); i >= 0 {
		return nil, d.at(i, name, fmt.Errorf("a weight below 0"))
	}
	for _, w := range v {
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
	if i := d.first(func(i int) bool { return v[i] != math.Trunc(v[i]) || math.Abs(v[i]) > 1<<53 }); i >= 0 {
		return nil, d.at(i, name, fmt.Errorf("not a whole number"))
	}
	for i, x := range v {
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
	var single []string // categories of one level leave no column that could be null
	for _, c := range covariates {
		if !slices.ContainsFunc(m.Columns, func(k cohort.MatrixColumn) bool { return k.Source == c }) {
			single = append(single, c)
		}
	}
	if len(single) > 0 {
		d.note("one-valued-covariate", map[string]any{"columns": single, "count": len(single)},
			"%d categories have one value only in the rows used and are no part of the model: %s.", len(single), strings.Join(single, ", "))
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
