package panel

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"utfall/estimate"
	"utfall/table"
)

// A span is the positions lo, …, hi-1.
type span struct{ lo, hi int }

func (s span) len() int { return s.hi - s.lo }

func length(spans []span) int {
	n := 0
	for _, s := range spans {
		n += s.len()
	}
	return n
}

// never is the code of units that are never treated inside the window. It sorts last.
const never = math.MaxInt

// layout is the frame in the order the estimators work in. Positions (units of a
// panel, rows of cross-sections) are sorted by cohort, never treated last, so that
// every comparison group is one or two runs of positions. Within a cohort the order
// depends on the data only and not on the order of the rows.
type layout struct {
	crossSection bool
	periods      []int // ascending
	cohorts      []int // ascending; never last if there are any
	start        []int // cohort c is at positions start[c] … start[c+1]-1
	n            int
	unit         []string
	y            [][]float64 // panel: one of length n for each period; cross-sections: one
	k            int
	xnames       []string
	// One sheet, or, where the values of a unit change over time, one for each period.
	x          [][]float64 // n×k by rows
	w          [][]float64 // n
	unweighted bool
	cluster    []int32 // n, dense; nil = each position is its own
	clusters   int
	cell       [][]int // cross-sections: period p of cohort c is at cell[c][p] … cell[c][p+1]-1
	notes      []table.Note
}

func sheet(s [][]float64, period int) int {
	if len(s) == 1 {
		return 0
	}
	return period
}

// cohortWeight returns the weight of each cohort in the aggregates: the sum of its
// units' weights in the first period (of its rows' weights in cross-sections).
func (l *layout) cohortWeight() []float64 {
	out := make([]float64, len(l.cohorts))
	for c := range out {
		for i := l.start[c]; i < l.start[c+1]; i++ {
			out[c] += l.w[0][i]
		}
	}
	return out
}

// kept says which rows stay and what their cohorts are once the window is known.
type kept struct {
	periods []int
	period  []int32 // of each row
	cohort  []int   // of each row, never for never treated
	drop    []bool  // always treated
}

// window reads periods and cohorts. Rows of units that are treated in the first
// period or before it have no untreated period and are dropped; cohorts that start
// so late that even anticipation falls outside the window are never treated in it.
func window(f *Frame, anticipation int, notes *[]table.Note) (*kept, error) {
	n := len(f.Y)
	seen := map[int]int32{}
	for _, t := range f.Time {
		seen[t] = 0
	}
	k := &kept{periods: make([]int, 0, len(seen)), period: make([]int32, n), cohort: make([]int, n), drop: make([]bool, n)}
	for t := range seen {
		k.periods = append(k.periods, t)
	}
	slices.Sort(k.periods)
	if len(k.periods) < 2 {
		return nil, fmt.Errorf("%w: the data have one period only", ErrOnePeriod)
	}
	for p, t := range k.periods {
		seen[t] = int32(p)
	}
	first, last := k.periods[0], k.periods[len(k.periods)-1]
	if first <= 0 && last >= 0 {
		*notes = append(*notes, table.Note{Code: "cohort-zero-is-a-period", Text: "Cohort 0 was read as never treated although 0 lies within the periods of the data."})
	}
	always, late := map[string]bool{}, map[string]bool{}
	alwaysRows, lateRows := 0, 0
	for i, g := range f.Cohort {
		k.period[i] = seen[f.Time[i]]
		k.cohort[i] = g
		switch {
		case g == 0:
			k.cohort[i] = never
		case g <= first:
			k.drop[i] = true
			alwaysRows++
			if f.Unit != nil {
				always[f.Unit[i]] = true
			}
		case g > last:
			lateRows++
			if f.Unit != nil {
				late[f.Unit[i]] = true
			}
			if g > last+anticipation {
				k.cohort[i] = never
			}
		}
	}
	if alwaysRows > 0 {
		*notes = append(*notes, table.Note{Code: "always-treated-dropped",
			Text: fmt.Sprintf("%d units (%d rows) treated from the first period or before it have no untreated period and were left out.", len(always), alwaysRows),
			Args: map[string]any{"units": len(always), "rows": alwaysRows}})
	}
	if lateRows > 0 {
		*notes = append(*notes, table.Note{Code: "cohort-after-window",
			Text: fmt.Sprintf("%d units (%d rows) are first treated after the last period: they served as comparison units and have no effect of their own.", len(late), lateRows),
			Args: map[string]any{"units": len(late), "rows": lateRows}})
	}
	return k, nil
}

// order fixes the cohorts and their runs of positions from the cohort of each
// position, which must be sorted.
func (l *layout) order(cohortOf func(pos int) int) {
	l.cohorts, l.start = nil, nil
	for i := range l.n {
		g := cohortOf(i)
		if i == 0 || g != l.cohorts[len(l.cohorts)-1] {
			l.cohorts = append(l.cohorts, g)
			l.start = append(l.start, i)
		}
	}
	l.start = append(l.start, l.n)
}

// setClusters numbers the clusters in the order of their names.
func (l *layout) setClusters(name func(pos int) string) {
	index := map[string]int32{}
	names := []string{}
	for i := range l.n {
		s := name(i)
		if _, ok := index[s]; !ok {
			index[s] = 0
			names = append(names, s)
		}
	}
	sort.Strings(names)
	for c, s := range names {
		index[s] = int32(c)
	}
	l.cluster, l.clusters = make([]int32, l.n), len(names)
	for i := range l.cluster {
		l.cluster[i] = index[name(i)]
	}
}

// layCrossSections sorts the rows by cohort, period and then by their values.
func layCrossSections(f *Frame, anticipation int) (*layout, error) {
	l := &layout{crossSection: true, unweighted: f.Weight == nil, xnames: f.XNames, k: len(f.XNames)}
	k, err := window(f, anticipation, &l.notes)
	if err != nil {
		return nil, err
	}
	l.periods = k.periods
	rows := make([]int, 0, len(f.Y))
	for i := range f.Y {
		if !k.drop[i] {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: every row is treated from the first period", estimate.ErrNoControls)
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		c := cmp.Or(cmp.Compare(k.cohort[a], k.cohort[b]), cmp.Compare(k.period[a], k.period[b]), cmp.Compare(f.Y[a], f.Y[b]))
		if c == 0 && l.k > 0 {
			c = slices.Compare(f.X.RawRowView(a), f.X.RawRowView(b))
		}
		if c == 0 && f.Weight != nil {
			c = cmp.Compare(f.Weight[a], f.Weight[b])
		}
		if c == 0 && f.Cluster != nil {
			c = cmp.Compare(f.Cluster[a], f.Cluster[b])
		}
		if c == 0 && f.Unit != nil {
			c = cmp.Compare(f.Unit[a], f.Unit[b])
		}
		return c
	})
	l.n = len(rows)
	l.unit = make([]string, l.n)
	y, w, x := make([]float64, l.n), make([]float64, l.n), make([]float64, l.n*l.k)
	names := make(map[string]struct{}, l.n)
	for i, r := range rows {
		y[i], w[i] = f.Y[r], 1
		if f.Weight != nil {
			w[i] = f.Weight[r]
		}
		if l.k > 0 {
			copy(x[i*l.k:(i+1)*l.k], f.X.RawRowView(r))
		}
		if f.Unit != nil {
			l.unit[i] = f.Unit[r]
			names[f.Unit[r]] = struct{}{}
		} else {
			l.unit[i] = strconv.Itoa(r + 1)
		}
	}
	l.y, l.x, l.w = [][]float64{y}, [][]float64{x}, [][]float64{w}
	l.order(func(i int) int { return k.cohort[rows[i]] })
	l.cell = make([][]int, len(l.cohorts))
	for c := range l.cohorts {
		border := make([]int, len(l.periods)+1)
		at := l.start[c]
		for p := range l.periods {
			border[p] = at
			for at < l.start[c+1] && k.period[rows[at]] == int32(p) {
				at++
			}
		}
		border[len(l.periods)] = at
		l.cell[c] = border
	}
	l.clusters = l.n
	if f.Cluster != nil {
		l.setClusters(func(i int) string { return f.Cluster[rows[i]] })
	} else if f.Unit != nil && len(names) < l.n {
		l.notes = append(l.notes, table.Note{Code: "repeated-units-as-independent",
			Text: fmt.Sprintf("%d rows come from %d units but were treated as independent observations; name the unit as cluster to allow for the dependence.", l.n, len(names)),
			Args: map[string]any{"rows": l.n, "units": len(names)}})
	}
	return l, nil
}
