package study

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
)

// surrogates are the months on each step before the month of the forecast and the step in it. A step on which both outcomes do not occur
// often enough counts as one with the step below it (the lowest with the one above): left out, it would count as the step that the others are
// compared with, and whoever has come furthest as one who has not come anywhere. It says whether anything can be lost by that:
// nothing is where only the lowest step joins the one above it.
func (d *forecastData) surrogates(sample *progress.SurrogateSample, u *progressUnits, l *Ladder, f *Forecast) (joined bool) {
	values := l.values()
	n := len(d.unit)
	months, on := make([][]float64, len(values)), make([][]float64, len(values))
	for k := range values {
		months[k], on[k] = make([]float64, n), make([]float64, n)
	}
	step := func(c int8) int { return slices.Index(values, l.Steps[u.b.paths.States[c]]) }
	for i, unit := range d.unit {
		for m := range f.At {
			if c := u.b.paths.At(unit, m); c >= 0 {
				months[step(c)][i]++
			}
		}
		on[step(u.b.paths.At(unit, f.At))][i] = 1
	}
	var columns [][]float64
	for _, x := range []struct {
		name string
		of   [][]float64
	}{{"months on ", months}, {"on ", on}} {
		for k, g := range d.joined(x.of) {
			joined = joined || len(g.steps) > 1 && (k > 0 || slices.ContainsFunc(g.steps[1:], func(step int) bool { return !d.tells(x.of[step]) }))
			if k == 0 {
				continue // the others are compared with it
			}
			name := x.name
			for j, step := range g.steps {
				if j > 0 {
					name += " or "
				}
				name += stepName(values[step])
			}
			columns, sample.SNames = append(columns, g.of), append(sample.SNames, name)
		}
	}
	if len(columns) == 0 {
		return joined
	}
	sample.S = mat.NewDense(n, len(columns), nil)
	for k, v := range columns {
		sample.S.SetCol(k, v)
	}
	return joined
}

// joinedSteps are steps that count as one.
type joinedSteps struct {
	steps []int
	of    []float64 // sum of their columns
}

// joined joins neighbouring steps, columns of which are given from the lowest up, until each tells of the outcome or one is left: from the lowest
// up or from the highest down, whichever leaves more. Steps that nobody is ever on are left out.
func (d *forecastData) joined(columns [][]float64) []joinedSteps {
	var up, down []joinedSteps
	for k, v := range columns {
		if slices.Max(v) > 0 {
			up = append(up, joinedSteps{[]int{k}, v})
		}
	}
	down = slices.Clone(up)
	silent := func(g joinedSteps) bool { return !d.tells(g.of) }
	up = join(up, func(g []joinedSteps) int { return slices.IndexFunc(g, silent) })
	down = join(down, func(g []joinedSteps) int {
		k := len(g) - 1
		for k >= 0 && !silent(g[k]) {
			k--
		}
		return k
	})
	if len(down) > len(up) {
		return down
	}
	return up
}

// join joins the group that which points at with the one below it (the lowest with the one above) until it points at none.
func join(g []joinedSteps, which func([]joinedSteps) int) []joinedSteps {
	for k := which(g); k >= 0 && len(g) > 1; k = which(g) {
		low := max(k-1, 0)
		sum := slices.Clone(g[low].of)
		floats.Add(sum, g[low+1].of)
		g[low] = joinedSteps{slices.Concat(g[low].steps, g[low+1].steps), sum}
		g = slices.Delete(g, low+1, low+2)
	}
	return g
}

// tells reports whether a column that is 0 or above can say something about the outcome: among the
// people of the older cohorts who have some of it there are both outcomes.
func (d *forecastData) tells(v []float64) bool {
	with, without := 0, 0
	for i, x := range v {
		if x > 0 && d.older[i] && d.y[i] == 1 {
			with++
		}
		if x > 0 && d.older[i] && d.y[i] == 0 {
			without++
		}
	}
	return with >= fewOnStep && without >= fewOnStep
}

func (d *forecastData) arms(u *progressUnits, in func(i int) bool) release.Arms {
	var out release.Arms
	for i, unit := range d.unit {
		switch {
		case !in(i):
		case u.b.treated[unit]:
			out.Treated++
		default:
			out.Control++
		}
	}
	return out
}

// basis counts people with and without the outcome under a truth test.
func (d *forecastData) basis(u *progressUnits, in func(i int) bool) release.Basis {
	n := d.arms(u, in)
	ev := d.arms(u, func(i int) bool { return in(i) && d.y[i] == 1 })
	return release.Basis{Treated: n.Treated, Control: n.Control, Cohort: u.sizes, Events: &ev, DF: math.Inf(1)}
}

// years are the calendar years in which people of the older cohorts started.
func (d *forecastData) years(u *progressUnits) []int {
	var out []int
	for i, unit := range d.unit {
		if y := u.zero[unit] / 12; d.older[i] && !slices.Contains(out, y) {
			out = append(out, y)
		}
	}
	slices.Sort(out)
	return out
}

// someRows is a sample of some of the rows.
func someRows(s *progress.SurrogateSample, in func(i int) bool) *progress.SurrogateSample {
	var rows []int
	for i := range s.Unit {
		if in(i) {
			rows = append(rows, i)
		}
	}
	out := &progress.SurrogateSample{SNames: s.SNames, XNames: s.XNames, Level: s.Level, S: takeRows(s.S, rows), X: takeRows(s.X, rows)}
	for _, i := range rows {
		out.Unit, out.Older, out.Treated, out.Y = append(out.Unit, s.Unit[i]), append(out.Older, s.Older[i]), append(out.Treated, s.Treated[i]), append(out.Y, s.Y[i])
	}
	if s.Cluster != nil {
		out.Cluster = dense(s.Cluster, rows)
	}
	if s.Weight.Values != nil {
		out.Weight = estimate.Weights{Kind: s.Weight.Kind, Values: pickFloat(s.Weight.Values, rows)}
	}
	return out
}

func takeRows(x *mat.Dense, rows []int) *mat.Dense {
	if x == nil || len(rows) == 0 {
		return nil
	}
	_, k := x.Dims()
	out := mat.NewDense(len(rows), k, nil)
	for to, from := range rows {
		out.SetRow(to, x.RawRowView(from))
	}
	return out
}
