package survive

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// coxUnits are the units of rows that are intervals of their time: rows with a weight, in the order of units and time,
// lie at first[u] up to first[u+1].
type coxUnits struct {
	order   []int32
	first   []int
	names   []string
	cluster []int // of the units; nil if independent
	again   int   // units that are at risk after an event
}

// intervals orders rows by unit and entry, and checks that those of a unit follow each other.
func (f *Covaried) intervals() (*coxUnits, error) {
	if f.Entry == nil {
		return nil, fmt.Errorf("%w: rows that are intervals need entry times", estimate.ErrInvalidFrame)
	}
	order := make([]int32, len(f.Unit))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(f.Unit[a], f.Unit[b]), cmp.Compare(f.Entry[a], f.Entry[b]), cmp.Compare(f.Time[a], f.Time[b]))
	})
	u := &coxUnits{order: active(f.Weight.Values, order)}
	again := false
	for r, i := range order {
		if r == 0 || f.Unit[i] != f.Unit[order[r-1]] {
			continue
		}
		switch before := order[r-1]; {
		case f.Entry[i] < f.Time[before]:
			return nil, &estimate.RowError{Row: int(i), Err: ErrOverlap}
		case f.Cluster != nil && f.Cluster[i] != f.Cluster[before]:
			return nil, &estimate.RowError{Row: int(i), Err: ErrVaries}
		}
	}
	for r, i := range u.order {
		if r == 0 || f.Unit[i] != f.Unit[u.order[r-1]] {
			u.first, u.names, again = append(u.first, r), append(u.names, f.Unit[i]), false
			if f.Cluster != nil {
				u.cluster = append(u.cluster, f.Cluster[i])
			}
		} else if f.Event[u.order[r-1]] && !again {
			again = true
			u.again++
		}
	}
	u.first = append(u.first, len(u.order))
	return u, nil
}

// sum adds up the influence of the rows of each unit.
func (u *coxUnits) sum(inf *mat.Dense) *mat.Dense {
	_, k := inf.Dims()
	out := mat.NewDense(len(u.names), k, nil)
	for p := range u.names {
		to := out.RawRowView(p)
		for _, i := range u.order[u.first[p]:u.first[p+1]] {
			for a, x := range inf.RawRowView(int(i)) {
				to[a] += x
			}
		}
	}
	return out
}

// all are the places of the units.
func (u *coxUnits) all() []int32 {
	out := make([]int32, len(u.names))
	for p := range out {
		out[p] = int32(p)
	}
	return out
}
