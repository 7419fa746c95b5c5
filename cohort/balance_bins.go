package cohort

import (
	"fmt"
	"math"
	"sort"

	"utfall/internal/num"
	"utfall/table"
)

// Bins are the units of each group in the bins of a number: what a mirrored histogram
// or the distribution functions of a covariate are drawn from. They are counts of
// people, so that whoever releases them can merge bins before anything is drawn.
type Bins struct {
	Edges []float64 // ascending, one more than there are bins; [Edges[k], Edges[k+1]), the last closed
	Bins  []Bin
}

// Bin is the units of one bin: all, those with a weight above 0, and the sums of the weights.
type Bin struct {
	TreatedBefore, ControlBefore int
	TreatedAfter, ControlAfter   int
	WeightTreated, WeightControl float64
}

func (b Bin) plus(c Bin) Bin {
	return Bin{b.TreatedBefore + c.TreatedBefore, b.ControlBefore + c.ControlBefore, b.TreatedAfter + c.TreatedAfter, b.ControlAfter + c.ControlAfter,
		b.WeightTreated + c.WeightTreated, b.WeightControl + c.WeightControl}
}

// EvenEdges are n bins of one width from lo to hi.
func EvenEdges(lo, hi float64, n int) ([]float64, error) {
	if n < 1 || !(lo < hi) || math.IsInf(hi-lo, 0) {
		return nil, fmt.Errorf("%w: %d bins of one width need two finite ends", ErrOption, n)
	}
	out := make([]float64, n+1)
	for k := range out {
		out[k] = lo + float64((hi-lo)*float64(k)/float64(n))
	}
	out[n] = hi
	return out, nil
}

// CountBins counts the units of t by bins of x, which follows the rows of t; rows
// where x has no value are left out. weight is the design, nil = none, when the counts
// after are 0. A value outside the edges is an error: nobody is left out silently.
func CountBins(t *table.Table, d Spec, x table.Floats, weight []float64, edges []float64) (Bins, error) {
	u, err := readUnits(t, d)
	if err != nil {
		return Bins{}, err
	}
	if len(x.Values) != u.n || weight != nil && len(weight) != u.n {
		return Bins{}, fmt.Errorf("bins: %d values and %d weights for %d rows", len(x.Values), len(weight), u.n)
	}
	if len(edges) < 2 {
		return Bins{}, fmt.Errorf("%w: bins need two edges at least", ErrOption)
	}
	for k, e := range edges {
		if e-e != 0 || k > 0 && e <= edges[k-1] {
			return Bins{}, fmt.Errorf("%w: edges of bins are finite and ascend", ErrOption)
		}
	}
	k := len(edges) - 1
	const kinds = 6
	sums := num.SumChunks(u.n, kinds*k+1, d.Workers, func(lo, hi int, acc []float64) {
		for _, r := range u.order[lo:hi] {
			if !x.Has(int(r)) {
				continue
			}
			v := x.Values[r]
			at := sort.SearchFloat64s(edges, v)
			if at == len(edges) || edges[at] != v || at == k { // the edge above v, or the last
				at--
			}
			if !(v >= edges[0] && v <= edges[k]) {
				acc[kinds*k]++
				continue
			}
			a := arm(u.treated[r])
			acc[kinds*at+a]++
			if weight != nil && weight[r] > 0 {
				acc[kinds*at+2+a]++
				acc[kinds*at+4+a] += weight[r]
			}
		}
	})
	if outside := sums[kinds*k]; outside > 0 {
		return Bins{}, fmt.Errorf("bins: %d values lie outside the edges", int(outside))
	}
	out := Bins{Edges: append([]float64(nil), edges...), Bins: make([]Bin, k)}
	for i := range out.Bins {
		c := sums[kinds*i : kinds*(i+1)]
		out.Bins[i] = Bin{TreatedBefore: int(c[1]), ControlBefore: int(c[0]), TreatedAfter: int(c[3]), ControlAfter: int(c[2]), WeightTreated: c[5], WeightControl: c[4]}
	}
	return out, nil
}

// Merge joins neighbours, from the left, until each bin may be kept; what is left at
// the right joins the last kept one. Without one that may be kept there are no bins.
func (b Bins) Merge(keep func(Bin) bool) Bins {
	out := Bins{}
	if len(b.Bins) == 0 {
		return out
	}
	out.Edges = []float64{b.Edges[0]}
	var open Bin
	pending := false
	for k, bin := range b.Bins {
		open, pending = open.plus(bin), true
		if keep(open) {
			out.Bins, out.Edges = append(out.Bins, open), append(out.Edges, b.Edges[k+1])
			open, pending = Bin{}, false
		}
	}
	if len(out.Bins) == 0 {
		return Bins{}
	}
	if pending {
		last := len(out.Bins) - 1
		out.Bins[last], out.Edges[last+1] = out.Bins[last].plus(open), b.Edges[len(b.Edges)-1]
	}
	return out
}
