package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/table"
)

// fitPool is Rubin's rules over one estimate table per imputation.
type fitPool struct {
	f     *flagSet
	files []string
	data  []*fitData
}

func (m *fitPool) flags(f *flagSet) {
	m.f = f
	if flag := f.cmd.Flags().Lookup("data"); flag != nil {
		flag.Usage = "`file`, one for each imputation: columns term, estimate, std_error and, where they have them, df and measure"
		flag.Value = &repeated{Value: flag.Value, list: &m.files}
	}
}

// repeated is a flag that may be given several times; the first value is the flag's own.
type repeated struct {
	pflag.Value
	list *[]string
}

func (r *repeated) Set(s string) error {
	*r.list = append(*r.list, s)
	if len(*r.list) > 1 {
		return nil
	}
	return r.Value.Set(s)
}

// GetSlice says to the parser that the flag may be repeated.
func (r *repeated) GetSlice() []string { return *r.list }

func (m *fitPool) columns() fitColumns {
	c := fitColumns{all: true}
	for _, n := range []string{"term", "estimate", "std_error"} {
		c.add(n, n)
	}
	return c
}

func (m *fitPool) check() (problems []string) {
	if len(m.files) == 1 {
		problems = append(problems, "--data is needed once for each imputation, at least twice")
	}
	for i, n := range m.files {
		if slices.Contains(m.files[:i], n) {
			problems = append(problems, fmt.Sprintf("--data names %s twice", n))
		}
	}
	if m.f.given("id") {
		problems = append(problems, "fit pool does not use --id: the column term names the rows")
	}
	return problems
}

// readFiles implements [filesReader].
func (m *fitPool) readFiles(ctx context.Context, c *fitCommon, workers int) (*fitData, error) {
	for _, file := range m.files {
		one := *c
		one.data = file
		d, err := readFitData(ctx, &one, m.columns(), workers)
		if err != nil {
			return nil, err
		}
		m.data = append(m.data, d)
	}
	all := *m.data[0]
	all.notes = nil
	for _, d := range m.data {
		all.notes = append(all.notes, d.notes...)
	}
	return &all, nil
}

func (m *fitPool) fit(_ context.Context, all *fitData) (*fitOutput, error) {
	var tables []combine.Imputed
	for i, d := range m.data {
		t, err := imputedTable(d)
		if err != nil {
			return nil, err
		}
		t.Name = filepath.Base(m.files[i])
		tables = append(tables, t)
	}
	r, err := combine.Rubin{Level: all.level}.Pool(tables)
	if err != nil {
		return nil, err
	}
	out := &fitOutput{estimates: r.Estimates, details: r.Details, notes: r.Notes, n: map[string]int{"imputations": len(tables)}}
	t := fitTable{title: "Missing information", header: []string{"term", "fmi", "df"}}
	for _, key := range sortedKeys(r.Details["fmi"].(map[string]float64)) {
		t.rows = append(t.rows, []any{key, r.Details["fmi"].(map[string]float64)[key], r.Details["df"].(map[string]float64)[key]})
	}
	out.tables = append(out.tables, t)
	for _, e := range r.Estimates {
		if strings.HasSuffix(string(e.Measure), "ratio") && !strings.HasPrefix(string(e.Measure), "log") {
			out.notes = append(out.notes, table.Note{Code: "ratios-pooled", Text: "Ratios were pooled as they are; pool their logarithms instead, on which scale they are nearly normal."})
			break
		}
	}
	return out, nil
}

func sortedKeys(m map[string]float64) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// imputedTable reads the estimates of one file.
func imputedTable(d *fitData) (t combine.Imputed, err error) {
	terms, err := d.text("term", "")
	if err != nil {
		return t, err
	}
	value, err := d.numbers("estimate")
	if err != nil {
		return t, err
	}
	se, err := d.numbers("std_error")
	if err != nil {
		return t, err
	}
	if i := d.first(func(i int) bool { return se[i] < 0 }); i >= 0 {
		return t, d.at(i, "std_error", fmt.Errorf("a standard error below 0"))
	}
	measure := make([]string, len(terms))
	for i := range measure {
		measure[i] = string(estimate.Coefficient)
	}
	if d.t.Has("measure") {
		if measure, err = d.text("measure", string(estimate.Coefficient)); err != nil {
			return t, err
		}
	}
	if t.DF, err = d.degrees(); err != nil {
		return t, err
	}
	for i, term := range terms {
		t.Estimates = append(t.Estimates, estimate.Estimate{Term: term, Measure: estimate.Measure(measure[i]), Value: value[i], SE: se[i]})
	}
	return t, nil
}

// degrees reads the column df: an empty cell, or Inf, is the normal distribution.
func (d *fitData) degrees() ([]float64, error) {
	if !d.t.Has("df") {
		return nil, nil
	}
	c, err := d.t.Column("df")
	if err != nil {
		return nil, err
	}
	if c.Missing() == d.t.Rows() {
		return nil, nil
	}
	out := make([]float64, d.t.Rows())
	if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
		// R writes Inf for the normal distribution.
		text, err := d.text("df", "Inf")
		if err != nil {
			return nil, err
		}
		for i, s := range text {
			if out[i], err = strconv.ParseFloat(s, 64); err != nil {
				return nil, d.at(i, "df", fmt.Errorf("text where a number is needed"))
			}
		}
	} else {
		f, err := d.t.Float("df")
		if err != nil {
			return nil, err
		}
		for i, v := range f.Values {
			if out[i] = v; !f.Has(i) {
				out[i] = math.Inf(1)
			}
		}
	}
	if i := d.first(func(i int) bool { return !(out[i] > 0) }); i >= 0 {
		return nil, d.at(i, "df", fmt.Errorf("degrees of freedom that are not above 0"))
	}
	return out, nil
}
