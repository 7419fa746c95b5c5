package panel

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// long is the frame for the estimators that are regressions: its rows sorted by cohort
// (never treated last), unit and period, so that nothing depends on the order in which
// they were given. Units may lack periods.
type long struct {
	periods  []int     // ascending
	period   []int     // of each row, index into periods
	unit     []int     // of each row, dense in row order
	cohort   []int     // of each row, first treated period; never for never treated
	y        []float64 // n
	w        []float64 // n; nil = 1
	x        [][]float64
	xnames   []string
	names    []string // of units
	cluster  []int    // of each unit
	clusters int
	notes    []table.Note
}

// layLong sorts the rows. Units treated from the first period on have no untreated row:
// they are left out and counted, or kept if the estimator compares with them.
func layLong(f *Frame, anticipation int, keepAlways bool) (*long, error) {
	if err := f.check(false); err != nil {
		return nil, err
	}
	l := &long{xnames: f.XNames}
	k, err := window(f, anticipation, &l.notes)
	if err != nil {
		return nil, err
	}
	rows := make([]int, 0, len(f.Y))
	for i := range f.Y {
		if keepAlways || !k.drop[i] {
			rows = append(rows, i)
		}
	}
	if keepAlways {
		l.compareAlways()
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: every row is treated from the first period", estimate.ErrNoControls)
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		return cmp.Or(cmp.Compare(k.cohort[a], k.cohort[b]), cmp.Compare(f.Unit[a], f.Unit[b]), cmp.Compare(k.period[a], k.period[b]))
	})
	seen := map[string]int{}
	for at, i := range rows {
		first, known := seen[f.Unit[i]]
		if !known {
			seen[f.Unit[i]] = i
			first = i
		}
		switch {
		case k.cohort[i] != k.cohort[first]:
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: row %d of the same unit has another; a unit has one first treated period, in all its rows", ErrCohortChanges, first+1)}
		case known && k.period[i] == k.period[rows[at-1]]:
			return nil, &estimate.RowError{Row: max(i, rows[at-1]), Err: fmt.Errorf("%w: period %d of this unit is already in row %d; keep one of them", ErrDuplicate, f.Time[i], min(i, rows[at-1])+1)}
		case f.Cluster != nil && f.Cluster[i] != f.Cluster[first]:
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: it must be the same in all periods", ErrNotNested)}
		}
	}
	l.periods = k.periods
	l.fill(f, k, rows)
	return l, nil
}

// compareAlways replaces the note that units treated throughout were dropped.
func (l *long) compareAlways() {
	at := slices.IndexFunc(l.notes, func(n table.Note) bool { return n.Code == "always-treated-dropped" })
	if at < 0 {
		return
	}
	args := l.notes[at].Args
	l.notes = slices.Delete(l.notes, at, at+1)
	l.note("always-treated-compared", map[string]any{"units": args["units"], "rows": args["rows"]},
		"%v units (%v rows) are treated from the first period on and serve as comparison units.", args["units"], args["rows"])
}

// fill copies the rows in their order.
func (l *long) fill(f *Frame, k *kept, rows []int) {
	n := len(rows)
	l.period, l.unit, l.cohort, l.y = make([]int, n), make([]int, n), make([]int, n), make([]float64, n)
	if f.Weight != nil {
		l.w = make([]float64, n)
	}
	l.x = make([][]float64, len(f.XNames))
	for j := range l.x {
		l.x[j] = make([]float64, n)
	}
	var clusters []string
	for at, i := range rows {
		if at == 0 || f.Unit[i] != f.Unit[rows[at-1]] {
			l.names = append(l.names, f.Unit[i])
			if f.Cluster != nil {
				clusters = append(clusters, f.Cluster[i])
			}
		}
		l.unit[at], l.period[at], l.cohort[at], l.y[at] = len(l.names)-1, int(k.period[i]), k.cohort[i], f.Y[i]
		if l.w != nil {
			l.w[at] = f.Weight[i]
		}
		for j := range l.x {
			l.x[j][at] = f.X.At(i, j)
		}
	}
	if f.Cluster == nil {
		l.cluster, l.clusters = make([]int, len(l.names)), len(l.names)
		for u := range l.cluster {
			l.cluster[u] = u
		}
		return
	}
	order := slices.Compact(slices.Sorted(slices.Values(clusters)))
	l.clusters = len(order)
	for _, c := range clusters {
		at, _ := slices.BinarySearch(order, c)
		l.cluster = append(l.cluster, at)
	}
}

// keep drops the rows for which ok is false, and the periods, units and clusters that
// have none left.
func (l *long) keep(ok func(row int) bool) {
	out := &long{xnames: l.xnames, notes: l.notes, x: make([][]float64, len(l.x))}
	unit, period, cluster := -1, map[int]int{}, map[int]int{}
	for i := range l.y {
		if ok(i) {
			period[l.period[i]] = 0
		}
	}
	for p, t := range l.periods {
		if _, has := period[p]; has {
			period[p] = len(out.periods)
			out.periods = append(out.periods, t)
		}
	}
	for i := range l.y {
		if !ok(i) {
			continue
		}
		if l.unit[i] != unit {
			unit = l.unit[i]
			out.names = append(out.names, l.names[unit])
			c, known := cluster[l.cluster[unit]]
			if !known {
				c = len(cluster)
				cluster[l.cluster[unit]] = c
			}
			out.cluster = append(out.cluster, c)
		}
		out.unit = append(out.unit, len(out.names)-1)
		out.period = append(out.period, period[l.period[i]])
		out.cohort = append(out.cohort, l.cohort[i])
		out.y = append(out.y, l.y[i])
		if l.w != nil {
			out.w = append(out.w, l.w[i])
		}
		for j := range l.x {
			out.x[j] = append(out.x[j], l.x[j][i])
		}
	}
	out.clusters = len(cluster)
	*l = *out
}

// rowsOfUnits counts the rows of each unit.
func (l *long) rowsOfUnits() []int {
	count := make([]int, len(l.names))
	for _, u := range l.unit {
		count[u]++
	}
	return count
}

// balance leaves out the units that are not observed in all periods.
func (l *long) balance() error {
	count := l.rowsOfUnits()
	units, rows := 0, 0
	for _, c := range count {
		if c < len(l.periods) {
			units++
			rows += c
		}
	}
	if units == 0 {
		return nil
	}
	if units == len(count) {
		return fmt.Errorf("%w: no unit is observed in all %d periods", estimate.ErrTooFew, len(l.periods))
	}
	l.note("unbalanced-units-dropped", map[string]any{"units": units, "rows": rows, "periods": len(l.periods)},
		"%d units (%d rows) are not observed in all %d periods and were left out.", units, rows, len(l.periods))
	l.keep(func(i int) bool { return count[l.unit[i]] == len(l.periods) })
	return nil
}

// noteGaps says that units lack periods where the estimator can use them.
func (l *long) noteGaps() {
	units := 0
	for _, c := range l.rowsOfUnits() {
		if c < len(l.periods) {
			units++
		}
	}
	if units > 0 {
		l.note("unbalanced-units-kept", map[string]any{"units": units, "of": len(l.names), "periods": len(l.periods)},
			"%d of %d units are not observed in all %d periods; their rows take part, so that periods rest on different units.", units, len(l.names), len(l.periods))
	}
}

func (l *long) note(code string, args map[string]any, format string, a ...any) {
	l.notes = append(l.notes, table.Note{Code: code, Text: fmt.Sprintf(format, a...), Args: args})
}

// treated reports whether the unit of a row is treated, or will be within lead time units.
func (l *long) treated(i, lead int) bool {
	return l.cohort[i] != never && l.periods[l.period[i]]+lead >= l.cohort[i]
}

// event is the time since the first treated period of a row that is not never treated.
func (l *long) event(i int) int { return l.periods[l.period[i]] - l.cohort[i] }

func (l *long) weight(i int) float64 {
	if l.w == nil {
		return 1
	}
	return l.w[i]
}

// hasNever reports whether a unit is never treated within the window.
func (l *long) hasNever() bool { return l.cohort[len(l.cohort)-1] == never }

// cohortsIn lists the cohorts that are treated within the window, ascending.
func (l *long) cohortsIn() []int {
	var out []int
	last := l.periods[len(l.periods)-1]
	for _, g := range l.cohort {
		if g <= last && (len(out) == 0 || out[len(out)-1] != g) {
			out = append(out, g)
		}
	}
	return out
}

// base is the last period before g and its anticipation; ok is false if there is none.
func (l *long) base(g, anticipation int) (t int, ok bool) {
	for _, p := range l.periods {
		if p+anticipation < g {
			t, ok = p, true
		}
	}
	return t, ok
}

// spread is the largest distance of an outcome from the first.
func (l *long) spread() float64 {
	m := 0.0
	for _, v := range l.y {
		m = math.Max(m, math.Abs(v-l.y[0]))
	}
	return m
}

// A term is a number with its influence on the scale SE² = Σ over clusters of its
// squared sums; the finite-sample factor's root is in it.
type term struct {
	name  string
	value float64
	inf   []float64 // of each unit; nil = no standard error
	df    float64
}

// result makes estimates of the terms, Student's t on the term's df, and counts.
func (l *long) result(method string, terms []term, level float64) (*estimate.Result, error) {
	res := &estimate.Result{Method: method, InfluenceUnit: l.names, Notes: slices.Clone(l.notes), Details: map[string]any{},
		N: estimate.Counts{Units: len(l.names), Clusters: l.clusters}, Fit: estimate.Convergence{Converged: true}}
	last := l.periods[len(l.periods)-1]
	for i, g := range l.cohort {
		if g <= last && (i == 0 || l.unit[i] != l.unit[i-1]) {
			res.N.Treated++
		}
	}
	sums := make([][]float64, len(terms))
	columns := make([][]float64, len(terms))
	for j, t := range terms {
		columns[j] = make([]float64, len(l.names))
		if t.inf == nil {
			continue
		}
		columns[j] = t.inf
		sums[j] = make([]float64, l.clusters)
		for u, v := range t.inf {
			sums[j][l.cluster[u]] += v
		}
	}
	res.Influence = denseOf(columns, len(l.names))
	res.Cov = covarianceOf(sums, 1)
	for j, t := range terms {
		se := math.NaN()
		if t.inf != nil {
			se = math.Sqrt(num.Dot(sums[j], sums[j]))
		}
		if t.name == Overall && !finite(t.value, se) {
			return nil, fmt.Errorf("%w: the overall effect is not a number", estimate.ErrNotIdentified)
		}
		res.Estimates = append(res.Estimates, estimate.Wald(t.name, estimate.MeanDifference, t.value, se, t.df, level))
	}
	return res, nil
}

func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
