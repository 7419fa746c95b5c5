package panel

import (
	"cmp"
	"fmt"
	"slices"

	"utfall/estimate"
	"utfall/table"
)

// layPanel turns long rows into one position for each unit that is observed in
// every period.
func layPanel(f *Frame, anticipation int) (*layout, error) {
	l := &layout{unweighted: f.Weight == nil, xnames: f.XNames, k: len(f.XNames)}
	k, err := window(f, anticipation, &l.notes)
	if err != nil {
		return nil, err
	}
	l.periods = k.periods
	unitOf, first, err := units(f, k)
	if err != nil {
		return nil, err
	}
	periods := len(l.periods)
	rowOf := make([]int32, len(first)*periods) // row + 1 of each unit and period
	observed := make([]int32, len(first))
	for i, u := range unitOf {
		if u < 0 {
			continue
		}
		at := int(u)*periods + int(k.period[i])
		if rowOf[at] != 0 {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: period %d of this unit is already in row %d; keep one of them, or set the data up as repeated cross-sections", ErrDuplicate, f.Time[i], rowOf[at])}
		}
		rowOf[at] = int32(i) + 1
		observed[u]++
	}
	order := make([]int32, 0, len(first))
	gaps, gapRows := 0, 0
	for u, c := range observed {
		if int(c) == periods {
			order = append(order, int32(u))
			continue
		}
		gaps++
		gapRows += int(c)
	}
	if gaps > 0 {
		l.notes = append(l.notes, table.Note{Code: "unbalanced-units-dropped",
			Text: fmt.Sprintf("%d units (%d rows) are not observed in all %d periods and were left out.", gaps, gapRows, periods),
			Args: map[string]any{"units": gaps, "rows": gapRows, "periods": periods}})
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("%w: no unit with an untreated period is observed in all %d periods", estimate.ErrTooFew, periods)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(k.cohort[first[a]], k.cohort[first[b]]), cmp.Compare(f.Unit[first[a]], f.Unit[first[b]]))
	})
	l.n = len(order)
	l.unit = make([]string, l.n)
	for i, u := range order {
		l.unit[i] = f.Unit[first[u]]
	}
	l.order(func(i int) int { return k.cohort[first[order[i]]] })
	row := func(i, p int) int { return int(rowOf[int(order[i])*periods+p]) - 1 }

	l.y = make([][]float64, periods)
	for p := range l.y {
		l.y[p] = make([]float64, l.n)
		for i := range l.n {
			l.y[p][i] = f.Y[row(i, p)]
		}
	}
	weight := func(r int) []float64 { return f.Weight[r : r+1] }
	if f.Weight == nil {
		one := []float64{1}
		weight = func(int) []float64 { return one }
	}
	l.w = l.sheets(row, 1, f.Weight == nil, weight)
	if l.k > 0 {
		l.x = l.sheets(row, l.k, false, f.X.RawRowView)
	} else {
		l.x = [][]float64{nil}
	}
	l.clusters = l.n
	if f.Cluster != nil {
		for i := range l.n {
			for p := 1; p < periods; p++ {
				if f.Cluster[row(i, p)] != f.Cluster[row(i, 0)] {
					return nil, &estimate.RowError{Row: row(i, p), Err: fmt.Errorf("%w: it must be the same in all periods", ErrNotNested)}
				}
			}
		}
		l.setClusters(func(i int) string { return f.Cluster[row(i, 0)] })
	}
	return l, nil
}

// units numbers the units that are not dropped in the order they appear and checks
// that each has one cohort. It returns the unit of each row, -1 where dropped, and
// the first row of each unit.
func units(f *Frame, k *kept) (unitOf, first []int32, err error) {
	unitOf = make([]int32, len(f.Y))
	index := make(map[string]int32, len(f.Y)/len(k.periods)+1)
	all := []int32{} // first row of each unit, dropped ones too
	number := []int32{}
	last := int32(-1)
	for i, name := range f.Unit {
		u := last
		if u < 0 || f.Unit[i-1] != name {
			var ok bool
			if u, ok = index[name]; !ok {
				u = int32(len(all))
				index[name] = u
				all = append(all, int32(i))
				number = append(number, -1)
				if !k.drop[i] {
					number[u] = int32(len(first))
					first = append(first, int32(i))
				}
			}
		}
		last = u
		if f.Cohort[i] != f.Cohort[all[u]] {
			return nil, nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: row %d of the same unit has another; a unit has one first treated period, in all its rows", ErrCohortChanges, all[u]+1)}
		}
		unitOf[i] = number[u]
	}
	return unitOf, first, nil
}

// sheets copies width values of each unit: once if they are constant over time,
// else for each period.
func (l *layout) sheets(row func(i, p int) int, width int, constant bool, values func(row int) []float64) [][]float64 {
	n := len(l.periods)
	if !constant {
		constant = true
		for i := 0; i < l.n && constant; i++ {
			v := values(row(i, 0))
			for p := 1; p < n && constant; p++ {
				constant = slices.Equal(v, values(row(i, p)))
			}
		}
	}
	if constant {
		n = 1
	}
	out := make([][]float64, n)
	for p := range out {
		out[p] = make([]float64, l.n*width)
		for i := range l.n {
			copy(out[p][i*width:(i+1)*width], values(row(i, p)))
		}
	}
	return out
}
