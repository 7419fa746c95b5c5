package cohort

import (
	"math"

	"utfall/internal/num"
)

// comparison holds what the rows of a balance table share; its slices follow u.order.
type comparison struct {
	u   *units
	o   BalanceOptions
	all sample
}

// scratch is what one worker needs to look at one column.
type scratch struct {
	x      []float64
	tag    []uint8
	weight [][]float64
	rank   num.Ranker
	cells  []float64
}

// Bits of a tag.
const (
	treatedTag = 1
	idleTag    = 2 // weight 0 in every design
)

// sample is the units that have a value, in the order in which sums are formed.
type sample struct {
	x      []float64
	tag    []uint8
	weight [][]float64 // by design
	n      [2]int
	sumW   [][2]float64
	sumW2  [][2]float64 // of weights scaled to add up to 1
	some   [][2]int     // units with a weight above 0
}

func newComparison(u *units, o BalanceOptions, designs [][]float64, workers int) *comparison {
	c := &comparison{u: u, o: o}
	c.all.tag = make([]uint8, u.n)
	c.all.weight = make([][]float64, len(designs))
	for d := range designs {
		c.all.weight[d] = make([]float64, u.n)
	}
	num.ForChunks(u.n, workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			r := u.order[i]
			tag := uint8(idleTag)
			for d, w := range designs {
				c.all.weight[d][i] = w[r]
				if w[r] > 0 {
					tag = 0
				}
			}
			c.all.tag[i] = tag | uint8(arm(u.treated[r]))
		}
	})
	c.all.totals()
	return c
}

// totals counts the sample and adds up its weights.
func (s *sample) totals() {
	s.n = [2]int{}
	for _, t := range s.tag {
		s.n[t&treatedTag]++
	}
	k := len(s.weight)
	s.sumW, s.sumW2, s.some = make([][2]float64, k), make([][2]float64, k), make([][2]int, k)
	for d, weight := range s.weight {
		some := &s.some[d]
		sums := num.SumChunks(len(s.tag), 4, 1, func(lo, hi int, acc []float64) {
			for i := lo; i < hi; i++ {
				a, w := s.tag[i]&treatedTag, weight[i]
				acc[a] += w
				acc[2+a] += float64(w * w)
				if w > 0 {
					some[a]++
				}
			}
		})
		for a := range 2 {
			s.sumW[d][a] = sums[a]
			s.sumW2[d][a] = sums[2+a] / sums[a] / sums[a]
		}
	}
}

// moments are means and variances by group: before, then each design.
type moments struct {
	mean, variance [][2]float64
	lo, hi         [2]float64 // of all units of the group
	binary         bool       // all values are 0 or 1
	whole          bool       // all values are whole numbers
}

func (s *sample) moments() *moments {
	k := len(s.weight)
	m := &moments{mean: make([][2]float64, 1+k), variance: make([][2]float64, 1+k), binary: true, whole: true}
	inf := math.Inf(1)
	lo, hi := make([][2]float64, 1+k), make([][2]float64, 1+k) // of units with a weight
	for d := range lo {
		lo[d], hi[d] = [2]float64{inf, inf}, [2]float64{-inf, -inf}
	}
	s.sum(func(d int, weight []float64, from, to int, acc []float64) {
		for i := from; i < to; i++ {
			a, v, w := s.tag[i]&treatedTag, s.x[i], 1.0
			if weight != nil {
				w = weight[i]
			} else {
				m.binary = m.binary && (v == 0 || v == 1)
				m.whole = m.whole && v == math.Trunc(v)
			}
			acc[a] += float64(w * v)
			if w > 0 {
				if v < lo[d][a] {
					lo[d][a] = v
				}
				if v > hi[d][a] {
					hi[d][a] = v
				}
			}
		}
	}, m.mean, 0)
	m.lo, m.hi = lo[0], hi[0]
	if m.binary {
		for d := range m.mean {
			for a, p := range m.mean[d] {
				m.variance[d][a] = p * (1 - p)
			}
		}
		return m
	}
	s.sum(func(d int, weight []float64, from, to int, acc []float64) {
		for i := from; i < to; i++ {
			a := s.tag[i] & treatedTag
			e := s.x[i] - m.mean[d][a]
			if weight != nil {
				acc[a] += float64(weight[i] * float64(e*e))
			} else {
				acc[a] += float64(e * e)
			}
		}
	}, m.variance, 1)
	for d := range m.variance {
		for a := range 2 {
			switch {
			case d == 0:
			case s.some[d-1][a] < 2:
				m.variance[d][a] = math.NaN()
			default:
				m.variance[d][a] /= 1 - s.sumW2[d-1][a]
			}
			if m.variance[d][a] >= 0 && lo[d][a] == hi[d][a] { // one value, whatever rounding made of its mean
				m.mean[d][a], m.variance[d][a] = lo[d][a], 0
			}
		}
	}
	return m
}

// sum forms sums by group: before over the number of units less lost, then by design
// over the sum of the weights.
func (s *sample) sum(add func(d int, weight []float64, from, to int, acc []float64), out [][2]float64, lost int) {
	for d := range out {
		var weight []float64
		total := [2]float64{float64(s.n[0] - lost), float64(s.n[1] - lost)}
		if d > 0 {
			weight, total = s.weight[d-1], s.sumW[d-1]
		}
		sums := num.SumChunks(len(s.x), 2, 1, func(from, to int, acc []float64) { add(d, weight, from, to, acc) })
		for a := range 2 {
			out[d][a] = sums[a] / total[a]
		}
	}
}

// denominator is the SD that the options ask for, before any design. mean and
// variance are those of the groups before; binary variances have the divisor n.
func (c *comparison) denominator(n [2]int, mean, variance [2]float64, binary bool) float64 {
	switch c.o.Denominator {
	case ControlSD:
		return math.Sqrt(variance[0])
	case PooledSD:
		return math.Sqrt((variance[0] + variance[1]) / 2)
	case AllSD:
		n0, n1 := float64(n[0]), float64(n[1])
		gap := mean[1] - mean[0]
		between := float64(n0 * n1 / (n0 + n1) * float64(gap*gap))
		if binary {
			return math.Sqrt((float64(n0*variance[0]) + float64(n1*variance[1]) + between) / (n0 + n1))
		}
		within := 0.0 // a group of one has no variance of its own, and no spread either
		for a, k := range [2]float64{n0, n1} {
			if k > 1 {
				within += float64((k - 1) * variance[a])
			}
		}
		return math.Sqrt((within + between) / (n0 + n1 - 1))
	}
	return math.Sqrt(variance[1])
}

// ratio is NaN where the denominator is 0 or does not exist.
func ratio(x, y float64) float64 {
	if !(y > 0) || math.IsInf(y, 1) {
		return math.NaN()
	}
	return x / y
}

// fill puts the numbers of a row together; ecdf and overlap are by design, nil for a binary row.
func (c *comparison) fill(row *BalanceRow, s *sample, m *moments, ecdf [][2]float64, overlap []float64, pairs float64) {
	sd := c.denominator(s.n, m.mean[0], m.variance[0], m.binary)
	row.Binary, row.Control, row.Treated = m.binary, s.n[0], s.n[1]
	stats := make([]BalanceStat, 0, len(m.mean))
	for d, mean := range m.mean {
		st := missingStat()
		st.MeanTreated, st.MeanControl = mean[1], mean[0]
		st.SMD = ratio(mean[1]-mean[0], sd)
		if m.binary {
			gap := math.Abs(mean[1] - mean[0])
			st.ECDFMean, st.ECDFMax, st.Overlap = gap, gap, 1-gap
		} else {
			st.VarianceRatio = ratio(m.variance[d][1], m.variance[d][0])
			st.ECDFMean, st.ECDFMax, st.Overlap = ecdf[d][0], ecdf[d][1], overlap[d]
		}
		stats = append(stats, st)
	}
	row.Before, row.After = stats[0], missingStat()
	rest := stats[1:]
	if c.o.Weight != nil {
		row.After, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		row.Others = rest
	}
	row.After.PairDistance = ratio(pairs, sd)
}

// category gives a row for every level. A level's mean is its share.
func (c *comparison) category(v covariate) []BalanceRow {
	k, designs := len(v.levels), len(c.all.weight)
	var has sample // the units with a value
	s := c.all
	if v.has != nil {
		has = c.observed(factor{col: &v}, factor{}, &scratch{})
		s = has
	}
	cells := num.SumChunks(c.u.n, 2*(1+designs)*k, 1, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			at := int(v.codes[c.u.order[i]])
			if at < 0 {
				continue
			}
			a := int(c.all.tag[i] & treatedTag)
			acc[a*k+at]++
			if c.all.tag[i]&idleTag != 0 {
				continue
			}
			for d := range designs {
				acc[(2*(1+d)+a)*k+at] += c.all.weight[d][i]
			}
		}
	})
	apart, pairs := make([]int, k), 0 // pairs of which one is in the level
	for _, p := range c.o.Pairs {
		x, y := v.codes[p[0]], v.codes[p[1]]
		if x < 0 || y < 0 {
			continue
		}
		pairs++
		if x != y {
			apart[x]++
			apart[y]++
		}
	}
	rows := make([]BalanceRow, k)
	for l := range k {
		m := &moments{binary: true, mean: make([][2]float64, 1+designs), variance: make([][2]float64, 1+designs)}
		for d := range m.mean {
			total := [2]float64{float64(s.n[0]), float64(s.n[1])}
			if d > 0 {
				total = s.sumW[d-1]
			}
			for a := range 2 {
				p := cells[(2*d+a)*k+l] / total[a]
				m.mean[d][a], m.variance[d][a] = p, p*(1-p)
			}
		}
		rows[l] = BalanceRow{Variable: v.name + "[" + v.levels[l] + "]", Kind: LevelRow, Column: v.name, Level: v.levels[l]}
		c.fill(&rows[l], &s, m, nil, nil, float64(apart[l])/float64(pairs))
	}
	return rows
}

// number gives the row of a number, of missing values, of a square or an interaction.
func (c *comparison) number(row BalanceRow, a, b factor, sc *scratch) BalanceRow {
	s := c.observed(a, b, sc)
	m := s.moments()
	apart := make([]float64, 0, len(c.o.Pairs))
	for _, p := range c.o.Pairs {
		if a.has(p[0]) && b.has(p[0]) && a.has(p[1]) && b.has(p[1]) {
			apart = append(apart, math.Abs(float64(a.value(p[0])*b.value(p[0]))-float64(a.value(p[1])*b.value(p[1]))))
		}
	}
	var ecdf [][2]float64
	var overlap []float64
	if !m.binary {
		ecdf, overlap = s.distances(m, sc)
	}
	c.fill(&row, &s, m, ecdf, overlap, num.Sum(apart)/float64(len(apart)))
	return row
}
