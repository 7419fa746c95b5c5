package progress

import (
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// A SequenceRow describes one person's months. Nothing in it has a direction: who climbs and who falls score the same, and
// who is parked scores 0. It may describe, never evaluate (see [Bouncing] and [NetMonths] for what has a direction).
type SequenceRow struct {
	Months      int     // observed
	Transitions int     // changes of state
	Entropy     float64 // −Σ p log p / log(states), p the shares of the months by state; 0 with one state
	// Turbulence is log2(φ·(s²max + 1)/(s² + 1)): φ the number of distinct subsequences of the states passed through, the
	// empty one with them, s² the variance of the lengths of the spells, divisor their number, s²max = (k − 1)(1 − mean)²
	// its largest value for k spells of that mean.
	Turbulence float64
	Complexity float64 // √(transitions/(months − 1)·entropy); NaN with one month
	Distinct   float64 // φ
}

// DescribeSequences describes each person's months, in their order; a person without an observed month has NaN.
//
// Elzinga and Liefbroer (2007); Gabadinho, Ritschard, Müller and Studer (2011).
func DescribeSequences(m *Months) ([]SequenceRow, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	out := make([]SequenceRow, len(m.Unit))
	for i := range out {
		out[i] = describeSequence(m.seen(i), len(m.States))
	}
	return out, nil
}

func describeSequence(code []int8, states int) SequenceRow {
	r := SequenceRow{Months: len(code)}
	if len(code) == 0 {
		nan := math.NaN()
		r.Entropy, r.Turbulence, r.Complexity, r.Distinct = nan, nan, nan, nan
		return r
	}
	share := make([]float64, states)
	var length []float64
	// lastN[s] is the number of distinct subsequences before the last time s was passed.
	lastN := make([]float64, states)
	r.Distinct = 1
	for k, c := range code {
		share[c]++
		if k > 0 && c == code[k-1] {
			length[len(length)-1]++
			continue
		}
		length = append(length, 1)
		before := r.Distinct
		r.Distinct = 2*before - lastN[c]
		lastN[c] = before
	}
	r.Transitions = len(length) - 1
	for _, n := range share {
		if n > 0 {
			p := n / float64(len(code))
			r.Entropy -= float64(p * math.Log(p))
		}
	}
	if states > 1 { // in the only state there is, nothing is open
		r.Entropy /= math.Log(float64(states))
	}
	k := float64(len(length))
	mean := float64(len(code)) / k
	variance := 0.0
	for _, l := range length {
		variance += float64((l - mean) * (l - mean))
	}
	variance /= k
	largest := (k - 1) * (1 - mean) * (1 - mean)
	r.Turbulence = math.Log2(r.Distinct) + math.Log2((largest+1)/(variance+1))
	r.Complexity = math.NaN()
	if len(code) > 1 {
		r.Complexity = math.Sqrt(float64(r.Transitions) / float64(len(code)-1) * r.Entropy)
	}
	return r
}

// A SequenceMetric says how far apart two people's months are.
type SequenceMetric string

// The metrics. Hamming counts months in different states; dynamic-hamming weighs each by how seldom people move between
// the two states in that month: 4 − p_t(a|b) − p_t(b|a) − p_{t+1}(a|b) − p_{t+1}(b|a); lcs is 2·months less twice the
// longest common subsequence; optimal-matching the cheapest way of making one from the other, insertions and deletions at 1 and
// substitutions at 2, or, with optimal-matching-rates, 2 − p(a|b) − p(b|a) with the transition rates of everybody.
const (
	Hamming              SequenceMetric = "hamming"
	DynamicHamming       SequenceMetric = "dynamic-hamming"
	LongestCommon        SequenceMetric = "lcs"
	OptimalMatching      SequenceMetric = "optimal-matching"
	OptimalMatchingRates SequenceMetric = "optimal-matching-rates"
)

// transitionRates are the shares of months in state a that are followed by b, over the months from to to−1; the rate of a
// state that nobody leaves or is in is 0.
func transitionRates(m *Months, from, to int) []float64 {
	k := len(m.States)
	out := make([]float64, k*k)
	for i := range m.Unit {
		row := m.row(i)
		for t := from; t < to && t+1 < m.Length && row[t+1] >= 0; t++ {
			out[int(row[t])*k+int(row[t+1])]++
		}
	}
	for a := range k {
		total := 0.0
		for b := range k {
			total += out[a*k+b]
		}
		if total > 0 {
			for b := range k {
				out[a*k+b] /= total
			}
		}
	}
	return out
}

// costs gives the prices of putting state b for state a, by month; one table if they are the same in all.
func (s SequenceMetric) costs(m *Months) ([][]float64, error) {
	k := len(m.States)
	symmetric := func(base float64, rates ...[]float64) []float64 {
		c := make([]float64, k*k)
		for a := range k {
			for b := range k {
				if a == b {
					continue
				}
				c[a*k+b] = base
				for _, p := range rates {
					c[a*k+b] -= p[a*k+b] + p[b*k+a]
				}
			}
		}
		return c
	}
	switch s {
	case Hamming, OptimalMatching, LongestCommon:
		base := 2.0
		if s == Hamming {
			base = 1
		}
		return [][]float64{symmetric(base)}, nil
	case OptimalMatchingRates:
		return [][]float64{symmetric(2, transitionRates(m, 0, m.Length-1))}, nil
	case DynamicHamming:
		byMonth := make([][]float64, m.Length)
		for t := range byMonth {
			var rates [][]float64
			if t > 0 {
				rates = append(rates, transitionRates(m, t-1, t))
			}
			if t+1 < m.Length {
				rates = append(rates, transitionRates(m, t, t+1))
			}
			if len(rates) == 1 {
				rates = append(rates, rates[0])
			}
			byMonth[t] = symmetric(4, rates...)
		}
		return byMonth, nil
	}
	return nil, invalid("unknown distance %q", s)
}

// SequenceDistances gives the distances of the people of rows from each other, len(rows)×len(rows). Transition rates are those
// of everybody. People must be observed in all months. Distances serve typologies; groups found by them are no
// outcomes, as the same data would be used twice.
func SequenceDistances(m *Months, metric SequenceMetric, rows []int, workers int) ([]float64, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	cost, err := metric.costs(m)
	if err != nil {
		return nil, err
	}
	for _, i := range rows {
		if i < 0 || i >= len(m.Unit) {
			return nil, invalid("no person %d", i+1)
		}
		if len(m.seen(i)) < m.Length {
			return nil, &estimate.RowError{Row: i, Err: invalid("a distance needs all %d months of both people", m.Length)}
		}
	}
	n := len(rows)
	out := make([]float64, n*n)
	aligned := metric == OptimalMatching || metric == OptimalMatchingRates || metric == LongestCommon
	k := len(m.States)
	num.ForEach(n, workers, func(a int) {
		work := make([]float64, 2*(m.Length+1))
		for b := range a {
			x, y := m.row(rows[a]), m.row(rows[b])
			d := 0.0
			if aligned {
				d = edit(x, y, cost[0], k, work)
			} else {
				for t := range x {
					d += cost[t%len(cost)][int(x[t])*k+int(y[t])]
				}
			}
			out[a*n+b], out[b*n+a] = d, d
		}
	})
	return out, nil
}

// edit is the cheapest price of making y from x; insertions and deletions cost 1. With substitutions at 2 it is 2·months
// less twice the longest common subsequence.
func edit(x, y []int8, cost []float64, states int, work []float64) float64 {
	before, now := work[:len(y)+1], work[len(y)+1:2*(len(y)+1)]
	for j := range before {
		before[j] = float64(j)
	}
	for i, a := range x {
		price := cost[int(a)*states : (int(a)+1)*states]
		last := float64(i + 1)
		now[0] = last
		for j, b := range y {
			last = min(before[j]+price[b], before[j+1]+1, last+1)
			now[j+1] = last
		}
		before, now = now, before
	}
	return before[len(y)]
}
