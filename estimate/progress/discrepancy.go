package progress

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// A Discrepancy says how much of the distances between people goes with their group: a description of how unlike the
// groups' courses are, without a direction.
type Discrepancy struct {
	Groups  int
	Total   float64 // Σ_{i<j} d_ij/n
	Within  float64 // the same within each group, added up
	R2      float64 // 1 − within/total
	F       float64 // (total − within)/(groups − 1) over within/(n − groups)
	P       float64 // (1 + permutations with as large an F)/(1 + permutations); NaN without permutations
	Permute int
}

// Discrepancies compares n×n distances within groups (0 to groups − 1) with all of them (Studer, Ritschard, Gabadinho and
// Müller 2011). unit orders the people, so that neither rows nor workers change a permutation. With blocks (from 0; nil =
// one) labels are exchanged within them only: those of a matched set, as a draw within it would have done.
func Discrepancies(distance []float64, group []int, unit []string, block []int, permutations int, seed uint64, workers int) (*Discrepancy, error) {
	n := len(group)
	switch {
	case len(distance) != n*n || len(unit) != n:
		return nil, invalid("%d distances and %d units for %d people", len(distance), len(unit), n)
	case block != nil && len(block) != n:
		return nil, invalid("%d block numbers for %d people", len(block), n)
	case permutations < 0:
		return nil, invalid("%d permutations", permutations)
	}
	d := &Discrepancy{P: math.NaN(), Permute: permutations}
	size := map[int]int{}
	for _, g := range group {
		if g < 0 {
			return nil, invalid("a group below 0")
		}
		size[g]++
		d.Groups = max(d.Groups, g+1)
	}
	for g := range d.Groups {
		if size[g] == 0 {
			return nil, invalid("group %d has nobody", g)
		}
	}
	if d.Groups < 2 || n <= d.Groups {
		return nil, estimate.ErrTooFew
	}
	order := byUnit(unit)
	total := make([]float64, n)
	for a, i := range order {
		for _, j := range order[:a] {
			total[a] += distance[i*n+j]
		}
	}
	d.Total = num.Sum(total) / float64(n)
	label := make([]int, n)
	for a, i := range order {
		label[a] = group[i]
	}
	within := func(label []int) float64 {
		sum := make([]float64, d.Groups)
		for a, i := range order {
			row := distance[i*n : (i+1)*n]
			for b, j := range order[:a] {
				if label[a] == label[b] {
					sum[label[a]] += row[j]
				}
			}
		}
		w := 0.0
		for g := range sum {
			w += sum[g] / float64(size[g])
		}
		return w
	}
	f := func(w float64) float64 {
		return (d.Total - w) / float64(d.Groups-1) / (w / float64(n-d.Groups))
	}
	d.Within = within(label)
	if d.Total == 0 {
		return nil, fmt.Errorf("%w: nobody differs from anybody", estimate.ErrNotIdentified)
	}
	d.R2, d.F = 1-d.Within/d.Total, f(d.Within)
	if permutations == 0 {
		return d, nil
	}
	places := [][]int{make([]int, n)} // of each block, in order of their first units
	if block == nil {
		for a := range n {
			places[0][a] = a
		}
	} else {
		places = nil
		number := map[int]int{}
		for a, i := range order {
			k, ok := number[block[i]]
			if !ok {
				k, places = len(places), append(places, nil)
				number[block[i]] = k
			}
			places[k] = append(places[k], a)
		}
	}
	larger := make([]bool, permutations)
	num.ForEach(permutations, workers, func(k int) {
		s := num.NewStream(seed, "discrepancy", uint64(k))
		mixed := append([]int(nil), label...)
		for _, p := range places {
			for a := len(p) - 1; a > 0; a-- {
				b := s.Intn(a + 1)
				mixed[p[a]], mixed[p[b]] = mixed[p[b]], mixed[p[a]]
			}
		}
		larger[k] = f(within(mixed)) >= d.F
	})
	count := 1
	for _, l := range larger {
		if l {
			count++
		}
	}
	d.P = float64(count) / float64(permutations+1)
	return d, nil
}
