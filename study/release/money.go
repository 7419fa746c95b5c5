package release

import "math"

// How much of a sum of money may be one person's, or two persons', and how much of the squares that its
// standard error is made of.
const (
	mostOfOne     = 0.5
	mostOfTwo     = 0.9
	mostOfSquares = 0.9
)

// Money is what a sum or mean of money rests on beside the people under it.
type Money struct {
	Contributors Arms // people with an amount other than 0
	// Dominated says that in a group one or two people make up nearly all of it.
	Dominated bool
}

// NewMoney looks at the amounts of the people of both groups, each as it counts (weighted). Signs do not matter: who
// pays much tells as much as who gets much.
func NewMoney(treated, control []float64) *Money {
	m := &Money{}
	for g, amounts := range [][]float64{treated, control} {
		n := 0
		for _, v := range amounts {
			if v != 0 {
				n++
			}
		}
		if g == 0 {
			m.Contributors.Treated = n
		} else {
			m.Contributors.Control = n
		}
		m.Dominated = m.Dominated || dominated(amounts)
	}
	return m
}

// dominated is the (1, ½) and the (2, 0.9) rule on the sum of absolute amounts, and a (1, 0.9) rule on the sum of their squared
// deviations from the mean, which is what a standard error gives away. The (2, 0.9) rule has the 10 % rule in it: if what is left beside the
// two largest is under a tenth of the largest, it is under a tenth of all.
func dominated(amounts []float64) bool {
	var first, second, sum, mean float64
	for _, v := range amounts {
		mean += v / float64(len(amounts))
		v = math.Abs(v)
		sum += v
		if v > first {
			first, second = v, first
		} else {
			second = max(second, v)
		}
	}
	if sum == 0 {
		return false // nobody has anything
	}
	var squares, largest float64
	for _, v := range amounts {
		d := (v - mean) * (v - mean)
		squares, largest = squares+d, max(largest, d)
	}
	return first > mostOfOne*sum || first+second > mostOfTwo*sum || largest > mostOfSquares*squares && squares > 0
}

// least is the smallest number of people who have something of a group's sum; a group in which nobody has is
// no cell.
func (m *Money) least() (int, Why) {
	if m.Dominated {
		return 0, Dominance
	}
	n := math.MaxInt
	for _, c := range []int{m.Contributors.Treated, m.Contributors.Control} {
		if c > 0 {
			n = min(n, c)
		}
	}
	return n, FewContributors
}
