package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/table"
)

// fitDescribe is n, missing, mean, standard deviation and quantiles of columns.
type fitDescribe struct {
	names []string
	by    string
}

func (m *fitDescribe) flags(f *flagSet) {
	f.list(&m.names, "columns", "`columns` to describe (default: all)")
	f.column(&m.by, "by", "one description for each of its values")
}

func (m *fitDescribe) check() []string { return nil }

func (m *fitDescribe) columns() fitColumns {
	c := fitColumns{all: len(m.names) == 0}
	for _, n := range m.names {
		c.put(fitColumn{flag: "columns", name: n, missing: true})
	}
	c.add("by", m.by)
	return c
}

// describeProbs are the quantiles shown, with the measure each is given.
var describeProbs = []struct {
	p       float64
	measure estimate.Measure
}{{0, "min"}, {0.1, "p10"}, {0.25, "p25"}, {0.5, "median"}, {0.75, "p75"}, {0.9, "p90"}, {1, "max"}}

func (m *fitDescribe) fit(_ context.Context, d *fitData) (*fitOutput, error) {
	names := m.names
	if len(names) == 0 {
		for _, f := range d.t.Fields() {
			if f.Name != m.by && f.Name != d.id {
				names = append(names, f.Name)
			}
		}
	}
	groups, member := []string{""}, make([]int, d.t.Rows())
	if m.by != "" {
		var err error
		if member, groups, err = d.codes(m.by); err != nil {
			return nil, err
		}
	}
	out := &fitOutput{n: map[string]int{"units": d.t.Rows()}, details: map[string]any{}}
	t := fitTable{header: []string{"column", "n", "missing", "mean", "sd"}}
	for _, p := range describeProbs {
		t.header = append(t.header, string(p.measure))
	}
	var rows []any
	for _, name := range names {
		col, err := d.t.Column(name)
		if err != nil {
			return nil, err
		}
		for g, group := range groups {
			suffix := ""
			if m.by != "" {
				suffix = ",group=" + group
			}
			in := func(i int) bool { return member[i] == g }
			var row map[string]any
			if col.Kind == table.CategoryKind || col.Kind == table.TextKind {
				row, err = m.levels(d, out, &t, name, suffix, in)
			} else {
				row, err = m.numbers(d, out, &t, name, suffix, in)
			}
			if err != nil {
				return nil, err
			}
			row["column"] = name
			if m.by != "" {
				row["group"] = group
			}
			rows = append(rows, row)
		}
	}
	out.details["columns"], out.details["quantile_type"] = rows, 7
	out.tables, out.tablesOnly = []fitTable{t}, true
	return out, nil
}

func (m *fitDescribe) numbers(d *fitData, out *fitOutput, t *fitTable, name, suffix string, in func(int) bool) (map[string]any, error) {
	f, err := d.t.Float(name)
	if err != nil {
		return nil, err
	}
	var x []float64
	missing := 0
	for i, v := range f.Values {
		switch {
		case !in(i):
		case f.Has(i):
			x = append(x, v)
		default:
			missing++
		}
	}
	slices.Sort(x)
	mean, sd := meanSD(x)
	n := float64(len(x))
	term := name + suffix
	plainly := func(measure estimate.Measure, v float64) {
		out.estimates = append(out.estimates, noError(term, measure, v))
	}
	plainly("n", n)
	plainly("missing", float64(missing))
	if len(x) > 1 {
		se := sd / math.Sqrt(n)
		e := estimate.Wald(term, estimate.Mean, mean, se, n-1, d.level)
		e.Test = estimate.Test{Stat: math.NaN(), DF: math.NaN(), P: math.NaN()} // nobody asked whether ages are 0
		out.estimates = append(out.estimates, e)
	} else {
		plainly(estimate.Mean, mean)
	}
	plainly("sd", sd)
	row := map[string]any{"kind": "number", "n": len(x), "missing": missing, "mean": mean, "sd": sd}
	line := []any{term, len(x), missing, mean, sd}
	quantiles := map[string]any{}
	for _, p := range describeProbs {
		q := quantile(x, p.p)
		plainly(p.measure, q)
		quantiles[shortest(p.p)] = q
		row[string(p.measure)] = q
		line = append(line, q)
	}
	row["quantiles"] = quantiles
	t.rows = append(t.rows, line)
	return row, nil
}

func (m *fitDescribe) levels(d *fitData, out *fitOutput, t *fitTable, name, suffix string, in func(int) bool) (map[string]any, error) {
	codes, levels, err := d.codes(name)
	if err != nil {
		return nil, err
	}
	count, n, missing := make([]int, len(levels)), 0, 0
	for i, c := range codes {
		switch {
		case !in(i):
		case c < 0:
			missing++
		default:
			count[c]++
			n++
		}
	}
	out.estimates = append(out.estimates, noError(name+suffix, "n", float64(n)), noError(name+suffix, "missing", float64(missing)))
	t.rows = append(t.rows, append([]any{name + suffix, n, missing}, make([]any, len(describeProbs)+2)...))
	var rows []any
	for l, level := range levels {
		share := float64(count[l]) / float64(n)
		term := fmt.Sprintf("%s[%s]%s", name, level, suffix)
		out.estimates = append(out.estimates, noError(term, "count", float64(count[l])), noError(term, "share", share))
		rows = append(rows, map[string]any{"level": level, "n": count[l], "share": share})
		t.rows = append(t.rows, append([]any{term, count[l], nil, share}, make([]any, len(describeProbs)+1)...))
	}
	return map[string]any{"kind": "category", "n": n, "missing": missing, "levels": rows}, nil
}

// noError is a number that describes the data and has no standard error.
func noError(term string, m estimate.Measure, v float64) estimate.Estimate {
	nan := math.NaN()
	return estimate.Estimate{Term: term, Measure: m, Value: v, SE: nan,
		CI: estimate.Interval{Lo: nan, Hi: nan}, Test: estimate.Test{Stat: nan, DF: nan, P: nan}}
}

// meanSD returns mean and standard deviation (divisor n-1). Sums carry the part that
// rounding takes away (Neumaier 1974), and deviations are corrected by their own sum,
// so that numbers such as 1000000.1, 1000000.2 keep their digits.
func meanSD(x []float64) (mean, sd float64) {
	n := float64(len(x))
	if len(x) == 0 {
		return math.NaN(), math.NaN()
	}
	mean = compensated(x, func(v float64) float64 { return v }) / n
	rest := compensated(x, func(v float64) float64 { return v - mean })
	mean += rest / n
	if len(x) == 1 {
		return mean, math.NaN()
	}
	rest = compensated(x, func(v float64) float64 { return v - mean })
	ss := compensated(x, func(v float64) float64 { return (v - mean) * (v - mean) })
	return mean, math.Sqrt(math.Max(0, ss-rest*rest/n) / (n - 1))
}

func compensated(x []float64, f func(float64) float64) float64 {
	sum, lost := 0.0, 0.0
	for _, v := range x {
		v = f(v)
		t := sum + v
		if math.Abs(sum) >= math.Abs(v) {
			lost += (sum - t) + v
		} else {
			lost += (v - t) + sum
		}
		sum = t
	}
	return sum + lost
}

// quantile interpolates between order statistics (type 7 of Hyndman and Fan 1996, R's default).
func quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	h := p * float64(len(sorted)-1)
	i := int(math.Floor(h))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + float64((h-float64(i))*(sorted[i+1]-sorted[i]))
}
