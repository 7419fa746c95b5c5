package panel

// The four groups of rows of a cross-section cell.
const (
	treatedBefore = iota
	treatedAfter
	otherBefore
	otherAfter
)

// crossCell estimates one cell of repeated cross-sections: rows of the treated
// before and after, then of the comparison group before and after, with borders
// border[b] … border[b+1]-1. It returns the effect and its influence function
// divided by the number of rows. METHODS.md derives the terms.
func crossCell(l *layout, spans []span, border [5]int, g GroupTime) (float64, []float64, *design, error) {
	t, method := border[otherBefore], g.Method
	d := l.gather(spans, t, 0, 0)
	y := make([]float64, d.n)
	at := 0
	for _, s := range spans {
		at += copy(y[at:], l.y[0][s.lo:s.hi])
	}
	c := &cross{design: d, border: border, y: y, inf: make([]float64, d.n), scratch: make([]float64, d.n)}
	if l.k == 0 {
		return c.fourMeans(d.w), c.inf, d, nil
	}
	if method != Regression {
		if err := d.score(l); err != nil {
			return 0, nil, nil, err
		}
	}
	if method != Weighting {
		for b, group := range [4]string{"the treated before", "the treated after", "the comparison rows before", "the comparison rows after"} {
			if b <= treatedAfter && method == Regression {
				continue
			}
			ls, err := d.regression(l, border[b], border[b+1], group)
			if err != nil {
				return 0, nil, nil, err
			}
			c.ls[b] = ls
			c.beta[b] = ls.coef(y[border[b]:border[b+1]], c.scratch)
		}
	}
	switch method {
	case Regression:
		return c.regressionEffect(), c.inf, d, nil
	case Weighting:
		effect := c.fourMeans(c.weights())
		c.propensity()
		return effect, c.inf, d, nil
	}
	return c.doublyRobust(g.Reproduce == DidVersion), c.inf, d, nil
}

type cross struct {
	*design
	border          [5]int
	y, inf, scratch []float64
	ls              [4]*leastSquares
	beta            [4][]float64
}

// weights are w for the treated and w·p/(1-p) for the comparison rows.
func (c *cross) weights() []float64 {
	out := append([]float64(nil), c.w...)
	for i, o := range c.odds {
		out[c.treated+i] *= o
	}
	return out
}

// fourMeans returns (after - before) of the treated minus that of the others, with
// the weighted means' influence in inf.
func (c *cross) fourMeans(w []float64) float64 {
	var effect float64
	for b, sign := range [4]float64{-1, 1, 1, -1} {
		lo, hi := c.border[b], c.border[b+1]
		effect += sign * weightedMean(c.y[lo:hi], w[lo:hi], c.inf[lo:hi])
		if sign < 0 {
			for i := lo; i < hi; i++ {
				c.inf[i] = -c.inf[i]
			}
		}
	}
	return effect
}

// propensity adds the influence of the estimated propensity, given that inf holds
// that of the four means: the derivative of the effect in the propensity's
// coefficients is Σ inf·x over the comparison rows.
func (c *cross) propensity() {
	m := make([]float64, c.k)
	for i := c.treated; i < c.n; i++ {
		for j, v := range c.x[i*c.k : (i+1)*c.k] {
			m[j] += float64(c.inf[i] * v)
		}
	}
	u := c.solveCov(m)
	for i := range c.n {
		s := -c.p[i]
		if i < c.treated {
			s = 1 - c.p[i]
		}
		c.inf[i] += float64(c.w[i] * s * c.product(i, u))
	}
}

// regressionInfluence adds the influence of the regression in block b, whose
// residuals are e, when the derivative of the effect in its coefficients is m.
func (c *cross) regressionInfluence(b int, e, m []float64) {
	v := c.ls[b].solveGram(m)
	for i := c.border[b]; i < c.border[b+1]; i++ {
		c.inf[i] += float64(c.w[i] * e[i] * c.product(i, v))
	}
}

// moment returns the sum of by[h] times the mean covariates of block h, the last
// entry standing for all treated rows.
func (c *cross) moment(w []float64, by map[int]float64) []float64 {
	m := make([]float64, c.k)
	for h := range 5 {
		sign, ok := by[h]
		if !ok {
			continue
		}
		lo, hi := 0, c.treated
		if h < allTreated {
			lo, hi = c.border[h], c.border[h+1]
		}
		c.mean(lo, hi, w[lo:hi], sign, m)
	}
	return m
}

const allTreated = 4

// addMean adds sign times the w-weighted mean of g over rows lo … hi-1 to the effect
// that it returns and its influence to inf.
func (c *cross) addMean(g []float64, lo, hi int, sign float64) float64 {
	out := c.scratch[:hi-lo]
	mean := weightedMean(g[lo:hi], c.w[lo:hi], out)
	for i, v := range out {
		c.inf[lo+i] += sign * v
	}
	return sign * mean
}

// fitted returns x·(a-b) of the treated rows; b may be nil.
func (c *cross) fitted(a, b []float64) []float64 {
	diff := append([]float64(nil), a...)
	for j := range b {
		diff[j] -= b[j]
	}
	out := make([]float64, c.treated)
	for i := range out {
		out[i] = c.product(i, diff)
	}
	return out
}

// subtract takes x·beta from y in block b.
func (c *cross) subtract(b int, beta []float64) {
	for i := c.border[b]; i < c.border[b+1]; i++ {
		c.y[i] -= c.product(i, beta)
	}
}

// regressionEffect is the change of the treated minus the change that the two
// regressions of the comparison rows predict for them.
func (c *cross) regressionEffect() float64 {
	b := c.border
	effect := c.addMean(c.y, b[treatedAfter], b[otherBefore], 1) + c.addMean(c.y, 0, b[treatedAfter], -1)
	effect += c.addMean(c.fitted(c.beta[otherAfter], c.beta[otherBefore]), 0, c.treated, -1)
	c.subtract(otherBefore, c.beta[otherBefore])
	c.subtract(otherAfter, c.beta[otherAfter])
	m := c.moment(c.w, map[int]float64{allTreated: 1})
	c.regressionInfluence(otherBefore, c.y, m)
	for j := range m {
		m[j] = -m[j]
	}
	c.regressionInfluence(otherAfter, c.y, m)
	return effect
}

// doublyRobust is the locally efficient estimator: regressions of the treated too.
// asDRDID takes the influence of the comparison rows' regression before with the
// sign that DRDID 1.0.7 gives the part of it that its first formula has.
func (c *cross) doublyRobust(asDRDID bool) float64 {
	c.subtract(treatedBefore, c.beta[otherBefore])
	c.subtract(otherBefore, c.beta[otherBefore])
	c.subtract(treatedAfter, c.beta[otherAfter])
	c.subtract(otherAfter, c.beta[otherAfter])
	w := c.weights()
	effect := c.fourMeans(w)
	c.propensity()

	after := c.fitted(c.beta[treatedAfter], c.beta[otherAfter])
	before := c.fitted(c.beta[treatedBefore], c.beta[otherBefore])
	split := c.border[treatedAfter]
	effect += c.addMean(after, 0, c.treated, 1) + c.addMean(after, split, c.treated, -1)
	effect += c.addMean(before, 0, c.treated, -1) + c.addMean(before, 0, split, 1)

	for i := range c.treated { // residuals of the treated's own regressions
		if i < split {
			c.y[i] -= before[i]
		} else {
			c.y[i] -= after[i]
		}
	}
	c.regressionInfluence(otherAfter, c.y, c.moment(w, map[int]float64{otherAfter: 1, allTreated: -1}))
	before0 := map[int]float64{allTreated: 1, otherBefore: -1}
	if asDRDID {
		before0 = map[int]float64{allTreated: 1, treatedBefore: -2, otherBefore: 1}
	}
	c.regressionInfluence(otherBefore, c.y, c.moment(w, before0))
	c.regressionInfluence(treatedAfter, c.y, c.moment(w, map[int]float64{allTreated: 1, treatedAfter: -1}))
	c.regressionInfluence(treatedBefore, c.y, c.moment(w, map[int]float64{treatedBefore: 1, allTreated: -1}))
	return effect
}
