package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/missing"
)

// fitBounds is what a difference can be where outcomes are missing.
type fitBounds struct {
	f                  *flagSet
	kind               string
	treatment, outcome string
	rng, cells         []string
	weights            fitWeights
	cluster            string
	low, high          float64
}

func (m *fitBounds) flags(f *flagSet) {
	m.f = f
	f.text(&m.kind, "kind", "", "manski (any reason for missing, outcome within a range) or lee (taking part changes who is known in one direction)")
	f.column(&m.treatment, "treatment", "0 or 1")
	f.column(&m.outcome, "outcome", "a number; empty = missing, and the row stays")
	f.list(&m.rng, "range", "manski: `low,high` that an outcome can be (default 0,1 for an outcome of 0 and 1)")
	f.list(&m.cells, "cells", "lee: `columns` within whose combinations outcomes are trimmed")
	m.weights.flags(f, "matching", "")
	f.column(&m.cluster, "cluster", "rows with its same value are dependent")
	f.need("kind", "treatment", "outcome")
}

func (m *fitBounds) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.put(fitColumn{flag: "outcome", name: m.outcome, missing: true, apart: true})
	c.apart("cells", m.cells...)
	c.add("weights", m.weights.column)
	c.add("cluster", m.cluster)
	return c
}

func (m *fitBounds) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	problems = append(problems, oneOf("kind", m.kind, "manski", "lee")...)
	problems = append(problems, m.weights.check(m.f)...)
	if m.weights.kind == string(estimate.Frequency) {
		bad("bounds do not use --weight-kind frequency; write a row for each copy")
	}
	switch m.kind {
	case "manski":
		if m.f.given("cells") {
			bad("--kind manski does not use --cells: they do not narrow it")
		}
	case "lee":
		if m.f.given("range") {
			bad("--kind lee does not use --range")
		}
	}
	if len(m.rng) == 0 {
		return problems
	}
	var ends []float64
	for _, s := range m.rng {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			bad("--range: %q is not a number", s)
		}
		ends = append(ends, v)
	}
	if len(ends) != 2 || !(ends[0] < ends[1]) {
		bad("--range is two numbers, the lower one first")
	} else {
		m.low, m.high = ends[0], ends[1]
	}
	return problems
}

// mayLack reads a column of numbers that rows may lack.
func (d *fitData) mayLack(name string) (v []float64, has []bool, err error) {
	col, err := d.t.Column(name)
	if err != nil {
		return nil, nil, err
	}
	has = make([]bool, d.t.Rows())
	var rows []int
	for i := range has {
		if has[i] = col.Has(i); has[i] {
			rows = append(rows, i)
		}
	}
	part := *d
	part.take(rows)
	known, err := part.numbers(name)
	if err != nil {
		return nil, nil, err
	}
	v = make([]float64, len(has))
	for k, i := range rows {
		v[i] = known[k]
	}
	return v, has, nil
}

func (m *fitBounds) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	y, has, err := d.mayLack(m.outcome)
	if err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: d.units, Y: y, Level: d.level}
	if f.Treated, err = d.treated(m.treatment); err != nil {
		return nil, err
	}
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.cluster != "" {
		if f.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	var e estimate.Estimator
	if m.kind == "lee" {
		cells, err := d.crossed(m.cells)
		if err != nil {
			return nil, err
		}
		e = missing.Lee{Observed: has, Cells: cells}
	} else {
		low, high := m.low, m.high
		if len(m.rng) == 0 {
			low, high = 0, 1
			if i := d.first(func(i int) bool { return has[i] && y[i] != 0 && y[i] != 1 }); i >= 0 {
				return nil, usage("--kind manski needs --range: the outcome is not 0 and 1")
			}
		}
		e = missing.Manski{Observed: has, Low: low, High: high}
	}
	r, err := e.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r, "treated"), nil
}

// crossed numbers the combinations of values of columns; nil without columns.
func (d *fitData) crossed(columns []string) ([]int, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	out := make([]int, d.t.Rows())
	for _, n := range columns {
		codes, names, err := d.codes(n)
		if err != nil {
			return nil, err
		}
		seen := map[int]int{}
		for i := range out {
			c := out[i]*len(names) + codes[i]
			if _, ok := seen[c]; !ok {
				seen[c] = len(seen)
			}
			out[i] = seen[c]
		}
	}
	return out, nil
}
