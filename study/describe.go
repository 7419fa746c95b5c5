package study

import (
	"fmt"
	"math"
	"slices"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/internal/num"
	"utfall/study/release"
	"utfall/table"
)

// Measures of descriptions: they are never effects.
const (
	beforeMean estimate.Measure = "share-before"
	afterMean  estimate.Measure = "share-after"
	change     estimate.Measure = "change-before-after"
	rows       estimate.Measure = "count"
)

// trendPoint is a month of the before/after figure: the share in the states among
// participants and among their comparison people.
type trendPoint struct {
	month            int
	treated, control float64
	inTreated        int // people in the states, for disclosure control
	inControl        int
	nTreated         int
	nControl         int
}

// beforeAfter describes the participants' own change in the share in some states,
// with the standard error of the paired difference, and the monthly shares of both groups.
func (s *state) beforeAfter(a *Analysis) (analysisResult, error) {
	ba, b := a.BeforeAfter, s.cohorts[a.BeforeAfter.Cohort]
	r := analysisResult{method: "before_after", kind: "description"}
	counts, err := countedStates(b.paths.States, ba.States)
	if err != nil {
		return r, err
	}
	var before, after, diff []float64
	unseen := 0
	for u, treated := range b.treated {
		x, y := b.paths.At(u, -ba.Before), b.paths.At(u, ba.After)
		if !treated {
			continue
		}
		if x < 0 || y < 0 {
			unseen++
			continue
		}
		p, q := indicator(counts[x]), indicator(counts[y])
		before, after, diff = append(before, p), append(after, q), append(diff, q-p)
	}
	n := len(diff)
	if n < 2 {
		return r, fmt.Errorf("%w: before_after: fewer than two participants are observed at both times", estimate.ErrTooFew)
	}
	add := func(m estimate.Measure, v []float64) {
		mean, se := meanSE(v)
		e := estimate.Wald("participants", m, mean, se, float64(n-1), s.spec.Level)
		basis := release.Basis{Single: true, Treated: n, DF: float64(n - 1)}
		if m != change {
			basis.Events = &release.Arms{Treated: int(math.Round(mean * float64(n)))}
		}
		r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: basis})
	}
	add(beforeMean, before)
	add(afterMean, after)
	add(change, diff)
	r.notes = append(r.notes, table.Note{
		Code: "before-after-is-no-effect",
		Text: "this is how the participants themselves changed; people who start when things are at their worst would have improved anyway, so it is not an effect",
	})
	if unseen > 0 {
		r.notes = append(r.notes, table.Note{
			Code: "not-observed-twice", Text: fmt.Sprintf("%d participants are not observed both before and after and were left out", unseen),
			Args: map[string]any{"participants": unseen},
		})
	}
	r.trend = trend(b, counts, -slices.Max(b.spec.TimeZero.LookBack), b.paths.After-1)
	return r, nil
}

// countedStates marks the named states.
func countedStates(states, named []string) ([]bool, error) {
	counts := make([]bool, len(states))
	for _, name := range named {
		k := slices.Index(states, name)
		if k < 0 {
			return nil, fmt.Errorf("%w: before_after: states: no spell has the state %q", ErrSpec, name)
		}
		counts[k] = true
	}
	return counts, nil
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func meanSE(v []float64) (mean, se float64) {
	n := float64(len(v))
	mean = num.Sum(v) / n
	d := make([]float64, len(v))
	for i := range v {
		d[i] = (v[i] - mean) * (v[i] - mean)
	}
	return mean, math.Sqrt(num.Sum(d) / (n - 1) / n)
}

// trend is the weighted share in the states by month, in both groups.
func trend(b *built, counts []bool, from, to int) []trendPoint {
	var out []trendPoint
	for m := from; m <= to; m++ {
		p := trendPoint{month: m}
		var wt, wc float64
		for u, treated := range b.treated {
			code := b.paths.At(u, m)
			if code < 0 {
				continue
			}
			w := 1.0
			if b.weight != nil {
				w = b.weight[u]
			}
			in := counts[code]
			if treated {
				p.nTreated++
				wt += w
				if in {
					p.treated += w
					p.inTreated++
				}
			} else {
				p.nControl++
				wc += w
				if in {
					p.control += w
					p.inControl++
				}
			}
		}
		if wt > 0 && wc > 0 {
			p.treated /= wt
			p.control /= wc
			out = append(out, p)
		}
	}
	return out
}

// describe counts and averages columns.
func (s *state) describe(a *Analysis) (analysisResult, error) {
	d := a.Describe
	r := analysisResult{method: "describe", kind: "description"}
	t := s.describedTable(d)
	for _, name := range d.Columns {
		if err := s.namedLevels(d, t, name); err != nil {
			return r, err
		}
		err := describeColumn(&r, t, name, s.spec.Level)
		if not, ok := refusable(err); ok {
			r.numbers = append(r.numbers, refuse(name, estimate.Mean, not.why, not.fix))
		} else if err != nil {
			return r, err
		}
	}
	return r, nil
}

func (s *state) describedTable(d *Describe) *table.Table {
	if d.Cohort != "" {
		return s.cohorts[d.Cohort].table
	}
	return s.data[d.Data].table
}

// namedLevels tests that the levels of a column may be printed: they are written in the
// study file, or made by time zero from such. Text and levels found in the data may name a person.
func (s *state) namedLevels(d *Describe, t *table.Table, name string) error {
	c, err := t.Column(name)
	if err != nil || (c.Kind != table.CategoryKind && c.Kind != table.TextKind) {
		return err
	}
	source, column := d.Data, name
	if co := s.spec.findCohort(d.Cohort); co != nil {
		source = co.Base
		switch {
		case co.TimeZero != nil && name == cohort.QuarterColumn:
			return nil
		case co.TimeZero != nil && name == cohort.LastStateColumn:
			source, column = co.TimeZero.Spells, "state"
		}
	}
	for _, col := range s.spec.Data[source].Columns {
		if col.Name == column && len(col.Levels) > 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: describe: column %q: its values would be printed as names of levels: declare it as a category with levels", ErrSpec, name)
}

func describeColumn(r *analysisResult, t *table.Table, name string, level float64) error {
	c, err := t.Column(name)
	if err != nil {
		return err
	}
	if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
		cat, err := t.Category(name)
		if err != nil {
			return err
		}
		n := make([]int, len(cat.Levels))
		total := 0
		for i, code := range cat.Codes {
			if cat.Has(i) {
				n[code]++
				total++
			}
		}
		if total == 0 {
			return fmt.Errorf("%w: column %q has no value", estimate.ErrTooFew, name)
		}
		notes := valuesMissing(len(cat.Codes) - total)
		for k, level := range cat.Levels {
			e := estimate.Estimate{Term: name + "[" + level + "]", Measure: estimate.Mean, Value: float64(n[k]) / float64(total), SE: math.NaN()}
			e.CI, e.Test = noInterval()
			r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: release.Basis{Single: true, Treated: total, DF: math.Inf(1), Events: &release.Arms{Treated: n[k]}}, notes: notes})
		}
		return nil
	}
	f, err := t.Float(name)
	if err != nil {
		return err
	}
	var v []float64
	for i, x := range f.Values {
		if f.Has(i) {
			v = append(v, x)
		}
	}
	if len(v) < 2 {
		return fmt.Errorf("%w: column %q has fewer than two values", estimate.ErrTooFew, name)
	}
	mean, se := meanSE(v)
	e := estimate.Wald(name, estimate.Mean, mean, se, float64(len(v)-1), level)
	basis := release.Basis{Single: true, Treated: len(v), DF: float64(len(v) - 1)}
	if zeroOne(v) {
		basis.Events = &release.Arms{Treated: int(math.Round(num.Sum(v)))}
	}
	r.numbers = append(r.numbers, found{term: name, e: e, basis: basis, notes: valuesMissing(len(f.Values) - len(v))})
	return nil
}

func valuesMissing(rows int) []table.Note {
	if rows == 0 {
		return nil
	}
	return []table.Note{{Code: "rows-missing", Text: fmt.Sprintf("%d rows without a value in a needed column were left out", rows), Args: map[string]any{"rows": rows}}}
}

// noInterval is the interval and test of a number that has none.
func noInterval() (estimate.Interval, estimate.Test) {
	nan := math.NaN()
	return estimate.Interval{Lo: nan, Hi: nan}, estimate.Test{Stat: nan, DF: nan, P: nan}
}
