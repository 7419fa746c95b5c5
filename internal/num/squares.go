package num

// SumOfSquares returns Σ w·(y-m)², with m the weighted mean (centre) or 0; w nil is all 1. Both
// sums are carried in double-double and the mean is taken about the first value, so that a
// large common level costs no digits but those the data lack.
func SumOfSquares(y, w []float64, centre bool, workers int) float64 {
	if len(y) == 0 {
		return 0
	}
	weight := func(i int) float64 {
		if w == nil {
			return 1
		}
		return w[i]
	}
	m := dd{}
	if centre {
		t := sumChunksDD(len(y), 2, workers, func(lo, hi int, acc []dd) {
			for i := lo; i < hi; i++ {
				acc[0] = acc[0].add(dd{hi: weight(i)})
				acc[1] = acc[1].addProduct(weight(i), y[i]-y[0])
			}
		})
		m = dd{hi: y[0]}.add(dd{hi: t[1].hi / t[0].hi})
	}
	s := sumChunksDD(len(y), 1, workers, func(lo, hi int, acc []dd) {
		for i := lo; i < hi; i++ {
			d := (y[i] - m.hi) - m.lo
			acc[0] = acc[0].addProduct(float64(weight(i)*d), d)
		}
	})
	return s[0].hi + s[0].lo
}
