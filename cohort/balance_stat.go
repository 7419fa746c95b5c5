package cohort

import (
	"math"

	"utfall/internal/num"
)

// comparison holds what the rows of a balance table share; its slices follow u.order.
type comparison struct {
	u       *units
	o       BalanceOptions
	treated []bool
	weight  []float64 // nil = no design
	n       [2]float64
	sumW    [2]float64
	sumW2   [2]float64 // of weights scaled to add up to 1
}

func newComparison(u *units, o BalanceOptions) *comparison {
	c := &comparison{u: u, o: o, treated: make([]bool, u.n), n: [2]float64{float64(u.n - u.count), float64(u.count)}}
	for i, r := range u.order {
		c.treated[i] = u.treated[r]
	}
	if o.Weight == nil {
		return c
	}
	c.weight = make([]float64, u.n)
	for i, r := range u.order {
		c.weight[i] = o.Weight[r]
	}
	s := num.SumChunks(u.n, 4, 1, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			a, w := arm(c.treated[i]), c.weight[i]
			acc[a] += w
			acc[2+a] += float64(w * w)
		}
	})
	for a := range 2 {
		c.sumW[a] = s[a]
		c.sumW2[a] = s[2+a] / s[a] / s[a]
	}
	return c
}

// category gives a row for every level. A level's mean is its share.
func (c *comparison) category(v covariate) []BalanceRow {
	k := len(v.levels)
	s := num.SumChunks(c.u.n, 4*k, 1, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			at := int(v.codes[c.u.order[i]])
			a := arm(c.treated[i])
			acc[a*k+at]++
			if c.weight != nil {
				acc[(2+a)*k+at] += c.weight[i]
			}
		}
	})
	apart := make([]int, k) // pairs of which one is in the level
	for _, p := range c.o.Pairs {
		if x, y := v.codes[p[0]], v.codes[p[1]]; x != y {
			apart[x]++
			apart[y]++
		}
	}
	rows := make([]BalanceRow, k)
	for l := range k {
		before := [2]float64{s[l] / c.n[0], s[k+l] / c.n[1]}
		after := [2]float64{math.NaN(), math.NaN()}
		if c.weight != nil {
			after = [2]float64{s[2*k+l] / c.sumW[0], s[3*k+l] / c.sumW[1]}
		}
		rows[l] = c.binary(v.name+"["+v.levels[l]+"]", before, after, float64(apart[l]))
	}
	return rows
}

// binary makes the row of a 0/1 column from its means and the number of pairs that it tells apart.
func (c *comparison) binary(name string, before, after [2]float64, apart float64) BalanceRow {
	sd := c.denominator([2]float64{before[0] * (1 - before[0]), before[1] * (1 - before[1])})
	stat := func(m [2]float64) BalanceStat {
		gap := math.Abs(m[1] - m[0])
		return BalanceStat{
			MeanTreated: m[1], MeanControl: m[0], SMD: ratio(m[1]-m[0], sd), VarianceRatio: math.NaN(),
			ECDFMean: gap, ECDFMax: gap, PairDistance: math.NaN(),
		}
	}
	row := BalanceRow{Variable: name, Before: stat(before), After: stat(after)}
	if len(c.o.Pairs) > 0 {
		row.After.PairDistance = ratio(apart/float64(len(c.o.Pairs)), sd)
	}
	return row
}

// denominator is the SD that the options ask for, of the groups' variances before matching.
func (c *comparison) denominator(variance [2]float64) float64 {
	switch c.o.Denominator {
	case ControlSD:
		return math.Sqrt(variance[0])
	case PooledSD:
		return math.Sqrt((variance[0] + variance[1]) / 2)
	}
	return math.Sqrt(variance[1])
}

// ratio is NaN where the denominator is 0 or does not exist.
func ratio(x, y float64) float64 {
	if !(y > 0) {
		return math.NaN()
	}
	return x / y
}

func (c *comparison) number(v covariate) []BalanceRow {
	x := make([]float64, c.u.n)
	for i, r := range c.u.order {
		x[i] = v.values[r]
	}
	apart := make([]float64, len(c.o.Pairs))
	for i, p := range c.o.Pairs {
		apart[i] = math.Abs(v.values[p[0]] - v.values[p[1]])
	}
	mean := c.means(x)
	if zeroOne(x) {
		return []BalanceRow{c.binary(v.name, mean[0], mean[1], num.Sum(apart))}
	}
	variance := c.variances(x, mean)
	sd := c.denominator(variance[0])
	row := BalanceRow{Variable: v.name}
	ecdf := c.ecdf(x)
	for k, s := range []*BalanceStat{&row.Before, &row.After} {
		*s = BalanceStat{
			MeanTreated: mean[k][1], MeanControl: mean[k][0], SMD: ratio(mean[k][1]-mean[k][0], sd),
			VarianceRatio: ratio(variance[k][1], variance[k][0]), ECDFMean: ecdf[k][0], ECDFMax: ecdf[k][1], PairDistance: math.NaN(),
		}
	}
	if len(apart) > 0 {
		row.After.PairDistance = ratio(num.Sum(apart)/float64(len(apart)), sd)
	}
	return []BalanceRow{row}
}

// means returns the group means, before and after.
func (c *comparison) means(x []float64) [2][2]float64 {
	s := num.SumChunks(len(x), 4, 1, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			a := arm(c.treated[i])
			acc[a] += x[i]
			if c.weight != nil {
				acc[2+a] += float64(c.weight[i] * x[i])
			}
		}
	})
	out := [2][2]float64{{s[0] / c.n[0], s[1] / c.n[1]}, {math.NaN(), math.NaN()}}
	if c.weight != nil {
		out[1] = [2]float64{s[2] / c.sumW[0], s[3] / c.sumW[1]}
	}
	return out
}

func (c *comparison) variances(x []float64, mean [2][2]float64) [2][2]float64 {
	s := num.SumChunks(len(x), 4, 1, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			a := arm(c.treated[i])
			d := x[i] - mean[0][a]
			acc[a] += float64(d * d)
			if c.weight != nil {
				d = x[i] - mean[1][a]
				acc[2+a] += float64(c.weight[i] * float64(d*d))
			}
		}
	})
	out := [2][2]float64{{s[0] / (c.n[0] - 1), s[1] / (c.n[1] - 1)}, {math.NaN(), math.NaN()}}
	if c.weight != nil {
		for a := range 2 {
			out[1][a] = s[2+a] / c.sumW[a] / (1 - c.sumW2[a])
		}
	}
	return out
}

// cell is what a distribution function needs of a row, in one place: rows are visited
// in the order of their values, and each visit costs one look at memory.
type cell struct {
	x, weight float64
	arm       int
}

// ecdf returns mean and largest distance of the distribution functions over the
// distinct values of all rows, before and after.
func (c *comparison) ecdf(x []float64) [2][2]float64 {
	cells := make([]cell, len(x))
	for i, v := range x {
		cells[i] = cell{x: v, arm: arm(c.treated[i])}
		if c.weight != nil {
			cells[i].weight = c.weight[i]
		}
	}
	order := num.OrderFloats(x)
	var count, cum [2]float64
	var sum, top [2]float64
	distinct := 0.0
	now := cells[order[0]]
	for r := range order {
		here := now
		count[here.arm]++
		cum[here.arm] += here.weight
		if r+1 < len(order) {
			if now = cells[order[r+1]]; now.x == here.x {
				continue
			}
		}
		distinct++
		gap := math.Abs(count[1]/c.n[1] - count[0]/c.n[0])
		sum[0] += gap
		top[0] = math.Max(top[0], gap)
		if c.weight != nil {
			gap = math.Abs(cum[1]/c.sumW[1] - cum[0]/c.sumW[0])
			sum[1] += gap
			top[1] = math.Max(top[1], gap)
		}
	}
	out := [2][2]float64{{sum[0] / distinct, top[0]}, {math.NaN(), math.NaN()}}
	if c.weight != nil {
		out[1] = [2]float64{sum[1] / distinct, top[1]}
	}
	return out
}
