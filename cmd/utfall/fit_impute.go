package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/missing"
	"utfall/ingest"
	"utfall/table"
)

// fitImpute completes a file by chained equations.
type fitImpute struct {
	f                     *flagSet
	columnList            []string
	methods, ordered      []string
	by, out               string
	m, iterations, donors int
	seed                  uint64
	levels                map[string][]string
	method                map[string]missing.Method
}

func (m *fitImpute) flags(f *flagSet) {
	m.f = f
	f.list(&m.columnList, "columns", "`columns` that take part, the outcome among them: each that lacks values is drawn from the others")
	f.list(&m.methods, "method", "`column=method`: pmm (numbers), linear, logit (0 and 1), ordered, multinomial")
	f.list(&m.ordered, "ordered", "`column=low:middle:high`: a category whose levels have an order")
	f.column(&m.by, "by", "arms that are imputed apart, so that effects may differ between people")
	f.whole(&m.m, "m", 20, "completed data sets")
	f.whole(&m.iterations, "iterations", 10, "rounds over the columns")
	f.whole(&m.donors, "donors", 5, "of pmm: people alike, one of whom lends the value")
	f.seed(&m.seed, "of the draws")
	f.text(&m.out, "out", "", "`file` for each completed data set, as CSV, with %d for its number: imputed-%d.csv")
	f.need("columns")
}

func (m *fitImpute) columns() fitColumns {
	c := fitColumns{unique: true, all: m.out != ""}
	for _, n := range m.columnList {
		c.put(fitColumn{flag: "columns", name: n, missing: true, apart: true})
	}
	c.apart("by", m.by)
	return c
}

func (m *fitImpute) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	for flag, v := range map[string]int{"m": m.m, "iterations": m.iterations, "donors": m.donors} {
		if v < 1 || v > 10000 {
			bad("--%s must be between 1 and 10000", flag)
		}
	}
	if m.m == 1 {
		bad("--m 1 has no spread between completed data sets; give at least 2")
	}
	if m.out != "" && (strings.Count(m.out, "%d") != 1 || strings.Count(m.out, "%") != 1) {
		bad("--out needs %%d once, for the number of the data set: imputed-%%d.csv")
	}
	m.method, m.levels = map[string]missing.Method{}, map[string][]string{}
	pair := func(flag, s string) (name, value string, ok bool) {
		at := strings.LastIndex(s, "=")
		switch {
		case at < 1 || at == len(s)-1:
			bad("--%s: %q is not COLUMN=VALUE", flag, s)
		case !slices.Contains(m.columnList, s[:at]):
			bad("--%s: %q is not among --columns", flag, s[:at])
		default:
			return s[:at], s[at+1:], true
		}
		return "", "", false
	}
	for _, s := range m.methods {
		if name, value, ok := pair("method", s); ok {
			problems = append(problems, oneOf("method", value, "pmm", "linear", "logit", "ordered", "multinomial")...)
			if _, twice := m.method[name]; twice {
				bad("--method names %q twice", name)
			}
			m.method[name] = missing.Method(value)
		}
	}
	for _, s := range m.ordered {
		if name, value, ok := pair("ordered", s); ok {
			levels := strings.Split(value, ":")
			if len(levels) < 2 || len(slices.Compact(slices.Sorted(slices.Values(levels)))) != len(levels) {
				bad("--ordered: %q needs two levels at least, each once", name)
			}
			if _, twice := m.levels[name]; twice {
				bad("--ordered names %q twice", name)
			}
			m.levels[name] = levels
		}
	}
	slices.Sort(problems)
	return problems
}

// variable reads a column as one that may be imputed.
func (m *fitImpute) variable(d *fitData, name string) (v missing.Variable, err error) {
	col, err := d.t.Column(name)
	if err != nil {
		return v, err
	}
	n := d.t.Rows()
	v = missing.Variable{Name: name, Values: make([]float64, n), Missing: make([]bool, n), Method: m.method[name]}
	for i := range n {
		v.Missing[i] = !col.Has(i)
	}
	if col.Kind == table.DateKind {
		return v, &ingest.Problem{File: d.file, Column: name, Code: "date", Text: "a date is not imputed: leave the column out, or make it a number"}
	}
	if col.Kind != table.CategoryKind && col.Kind != table.TextKind && m.levels[name] == nil {
		v.Kind = missing.Binary
		f, err := d.t.Float(name)
		if err != nil {
			return v, err
		}
		if i := d.first(func(i int) bool { return f.Has(i) && (math.IsNaN(f.Values[i]) || math.IsInf(f.Values[i], 0)) }); i >= 0 {
			return v, d.at(i, name, fmt.Errorf("not a finite number"))
		}
		for i, x := range f.Values {
			if f.Has(i) {
				v.Values[i] = x
				if x != 0 && x != 1 {
					v.Kind = missing.Number
				}
			}
		}
		return v, nil
	}
	const none = "\x00"
	text, err := d.text(name, none)
	if err != nil {
		return v, err
	}
	v.Kind, v.Levels = missing.Ordered, m.levels[name]
	if v.Levels == nil {
		v.Kind = missing.Nominal
		v.Levels = slices.Compact(slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(text), func(s string) bool { return s == none }))))
	}
	if i := d.first(func(i int) bool { return !v.Missing[i] && !slices.Contains(v.Levels, text[i]) }); i >= 0 {
		return v, d.at(i, name, fmt.Errorf("a level that --ordered does not name"))
	}
	if len(v.Levels) == 1 {
		return v, &ingest.Problem{File: d.file, Column: name, Code: "one-level", Text: "every row has the same level, which tells nothing; leave the column out"}
	}
	for i, s := range text {
		if !v.Missing[i] {
			v.Values[i] = float64(slices.Index(v.Levels, s))
		}
	}
	return v, nil
}

func (m *fitImpute) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	data := missing.Data{Unit: d.units}
	var typed []missing.Typed
	for _, name := range m.columnList {
		v, err := m.variable(d, name)
		if err != nil {
			return nil, err
		}
		data.Variables = append(data.Variables, v)
		r := missing.Typed{Name: name, Reason: make([]missing.Reason, len(v.Missing))}
		for i, gone := range v.Missing {
			if gone {
				r.Reason[i] = missing.Unknown
			}
		}
		typed = append(typed, r)
	}
	_, counts, _, err := missing.CompleteCases(len(d.units), typed)
	if err != nil {
		return nil, err
	}
	if m.by != "" {
		if data.Arm, _, err = d.codes(m.by); err != nil {
			return nil, err
		}
	}
	o := missing.Impute{M: m.m, Iterations: m.iterations, Seed: m.seed, Workers: d.workers}
	if m.f.given("donors") {
		o.Donors = m.donors
	}
	im, err := o.Run(ctx, data)
	if err != nil {
		return nil, err
	}
	out, err := m.means(ctx, d, im)
	if err != nil {
		return nil, err
	}
	var rows []map[string]any
	t := fitTable{title: "Imputed", header: []string{"column", "missing"}}
	for _, v := range im.Imputed {
		rows = append(rows, map[string]any{"column": v.Name, "missing": v.Missing, "method": v.Method, "rhat_mean": orNull(v.MeanRhat), "rhat_sd": orNull(v.SDRhat)})
		t.rows = append(t.rows, []any{v.Name, v.Missing})
	}
	patterns := []map[string]any{}
	for _, p := range counts.Patterns {
		patterns = append(patterns, map[string]any{"missing": p.Missing, "rows": p.Rows})
	}
	out.tables = append(out.tables, t)
	out.n = map[string]int{"units": len(d.units), "complete": counts.Complete, "imputations": im.M}
	out.details["imputed"], out.details["patterns"], out.details["iterations"] = rows, patterns, im.Iterations
	if m.out == "" {
		return out, nil
	}
	var files []string
	for k := range im.M {
		name := fmt.Sprintf(m.out, k+1)
		if err := m.write(d, im.Completed(k), name); err != nil {
			return nil, err
		}
		files = append(files, name)
	}
	out.details["out"] = map[string]any{"files": len(files), "rows": d.t.Rows()}
	return out, nil
}

// means are the pooled mean of each imputed number and share of each imputed level.
func (m *fitImpute) means(ctx context.Context, d *fitData, im *missing.Imputations) (*fitOutput, error) {
	imputed := map[string]bool{}
	for _, v := range im.Imputed {
		imputed[v.Name] = true
	}
	if len(imputed) == 0 {
		return nil, &ingest.Problem{File: d.file, Code: "nothing-missing", Text: "no column of --columns lacks a value, so that there is nothing to impute"}
	}
	order := d.ordered()
	res, err := im.Pool(ctx, d.level, d.workers, func(_ context.Context, _ []int, vars []missing.Variable) (*estimate.Result, error) {
		r := &estimate.Result{}
		for _, v := range vars {
			if !imputed[v.Name] {
				continue
			}
			one := func(term string, value func(i int) float64) {
				n := float64(len(v.Values))
				var sum, ss float64
				for _, i := range order {
					sum += value(i)
				}
				mean := sum / n
				for _, i := range order {
					ss += float64((value(i) - mean) * (value(i) - mean))
				}
				r.Estimates = append(r.Estimates, estimate.Wald(term, estimate.Mean, mean, math.Sqrt(ss/(n-1)/n), n-1, d.level))
			}
			if v.Levels == nil {
				one(v.Name, func(i int) float64 { return v.Values[i] })
				continue
			}
			for l, name := range v.Levels {
				one(v.Name+"["+name+"]", func(i int) float64 {
					if v.Values[i] == float64(l) {
						return 1
					}
					return 0
				})
			}
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return &fitOutput{estimates: res.Estimates, details: res.Details, notes: res.Notes}, nil
}

// write puts a completed data set into a file: every column of the data, rows as there.
func (m *fitImpute) write(d *fitData, vars []missing.Variable, name string) error {
	t := d.t
	for _, v := range vars {
		if v.Missing != nil { // lacked nothing
			continue
		}
		col := table.NewFloat(table.Field{Name: v.Name}, v.Values, nil)
		if v.Levels != nil {
			codes := make([]int32, len(v.Values))
			for i, x := range v.Values {
				codes[i] = int32(x)
			}
			var err error
			if col, err = table.NewCategory(table.Field{Name: v.Name}, codes, v.Levels, nil); err != nil {
				return err
			}
		}
		var err error
		if t, err = t.With(col); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := writeTable(&b, t); err != nil {
		return err
	}
	return replaceFile(name, b.Bytes())
}
