package missing

import (
	"math"
	"slices"
	"sort"

	"utfall/internal/num"
)

// donors are observed rows by their predicted value.
type donors struct {
	value []float64 // distinct predictions, ascending
	first []int     // of each, where its rows begin in order; one more at the end
	order []int     // rows by (prediction, row)
}

// sameTo is how near two predictions must be, relative to their size, to be equal: rows
// with the same covariates must not be told apart by the rounding of their sums.
const sameTo = 1e-12

func newDonors(n int, predict func(i int) float64) *donors {
	d := &donors{order: make([]int, n)}
	p := make([]float64, n)
	for i := range p {
		d.order[i], p[i] = i, predict(i)
	}
	slices.SortStableFunc(d.order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	for at, i := range d.order {
		if last := len(d.value) - 1; last < 0 || p[i]-d.value[last] > sameTo*math.Max(1, math.Abs(p[i])) {
			d.value, d.first = append(d.value, p[i]), append(d.first, at)
		}
	}
	d.first = append(d.first, n)
	return d
}

// pick draws one of the k rows nearest to a prediction; of rows at the same distance as
// the k-th, those that count among the k are drawn at random.
func (d *donors) pick(target float64, k int, s *num.Stream) int {
	n := len(d.order)
	k = min(k, n)
	// Runs lo..hi-1 of distinct values are strictly nearer than the next ones.
	hi := sort.SearchFloat64s(d.value, target)
	lo := hi
	near := 0
	for {
		left, right := math.Inf(1), math.Inf(1)
		if lo > 0 {
			left = target - d.value[lo-1]
		}
		if hi < len(d.value) {
			right = d.value[hi] - target
		}
		least := math.Min(left, right)
		var tied [2][2]int // ranges of order
		count := 0
		if left <= least {
			tied[0] = [2]int{d.first[lo-1], d.first[lo]}
			count += d.first[lo] - d.first[lo-1]
		}
		if right <= least {
			tied[1] = [2]int{d.first[hi], d.first[hi+1]}
			count += d.first[hi+1] - d.first[hi]
		}
		if near+count < k {
			near += count
			if left <= least {
				lo--
			}
			if right <= least {
				hi++
			}
			continue
		}
		r := s.Intn(k)
		if r < near {
			return d.order[d.first[lo]+r]
		}
		r = s.Intn(count)
		if size := tied[0][1] - tied[0][0]; r >= size {
			return d.order[tied[1][0]+r-size]
		}
		return d.order[tied[0][0]+r]
	}
}
