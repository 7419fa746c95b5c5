package panel

import "utfall/internal/num"

// The estimators of one two-by-two comparison.
const (
	DoublyRobust = "dr"
	Weighting    = "ipw"
	Regression   = "reg"
)

// panelDesign is the design of all panel cells with one set of treated and
// comparison units.
type panelDesign struct {
	*design
	method string
	ls     *leastSquares
	wOdds  []float64 // n-treated: weight × odds
	v      []float64 // k: (X'WX)⁻¹·(mean covariates of the treated minus those of the weighted comparison units)
}

// newPanelDesign fits the propensity and factorises the regression, each if used.
func newPanelDesign(l *layout, spans []span, treated, xsheet, wsheet int, method string) (*panelDesign, error) {
	d := &panelDesign{design: l.gather(spans, treated, xsheet, wsheet), method: method}
	if l.k == 0 {
		return d, nil // all three methods are the difference of two means
	}
	if method != Regression {
		if err := d.score(l); err != nil {
			return nil, err
		}
		d.wOdds = make([]float64, len(d.odds))
		for i, o := range d.odds {
			d.wOdds[i] = d.w[treated+i] * o
		}
	}
	if method == Weighting {
		return d, nil
	}
	ls, err := d.regression(l, treated, d.n, "the comparison units")
	if err != nil {
		return nil, err
	}
	d.ls = ls
	m := make([]float64, d.k)
	d.mean(0, treated, d.w[:treated], 1, m)
	if method == DoublyRobust {
		d.mean(treated, d.n, d.wOdds, -1, m)
	}
	d.v = ls.solveGram(m)
	return d, nil
}

// estimate returns the effect and writes its influence function, divided by the
// number of units, to inf (n). dy is the change of the outcome (n); it is
// overwritten by the residuals. METHODS.md derives the terms; with D treated,
// o = p/(1-p), r = Δy - x'β (β = 0 for ipw):
//
//	dr, ipw  θ = Σ wDr/ΣwD - Σ w(1-D)o·r/Σ w(1-D)o
//	reg      θ = Σ wDr/ΣwD
func (d *panelDesign) estimate(dy, inf, scratch []float64) float64 {
	t := d.treated
	if d.x == nil {
		a := weightedMean(dy[:t], d.w[:t], inf[:t])
		b := weightedMean(dy[t:], d.w[t:], inf[t:])
		for i := t; i < d.n; i++ {
			inf[i] = -inf[i]
		}
		return a - b
	}
	if d.ls != nil {
		beta := d.ls.coef(dy[t:], scratch)
		for i := range dy {
			dy[i] -= d.product(i, beta)
		}
	}
	effect := weightedMean(dy[:t], d.w[:t], inf[:t])
	if d.method == Regression {
		for i := t; i < d.n; i++ {
			inf[i] = -float64(d.w[i] * dy[i] * d.product(i, d.v))
		}
		return effect
	}
	other := weightedMean(dy[t:], d.wOdds, inf[t:])
	// inf[t:] now holds wo(r-η)/Σwo, whose covariate moments carry the estimation
	// of the propensity.
	m := make([]float64, d.k)
	for i := t; i < d.n; i++ {
		e := inf[i]
		for j, v := range d.x[i*d.k : (i+1)*d.k] {
			m[j] += float64(e * v)
		}
	}
	u := d.solveCov(m)
	for i := range t {
		inf[i] -= float64(d.w[i] * (1 - d.p[i]) * d.product(i, u))
	}
	for i := t; i < d.n; i++ {
		e := float64(d.w[i]*d.p[i]*d.product(i, u)) - inf[i]
		if d.v != nil {
			e -= float64(d.w[i] * dy[i] * d.product(i, d.v))
		}
		inf[i] = e
	}
	return effect - other
}

// change writes y[after]-y[before] of the spans to dy.
func (l *layout) change(spans []span, before, after int, dy []float64) {
	at := 0
	for _, s := range spans {
		a, b := l.y[after][s.lo:s.hi], l.y[before][s.lo:s.hi]
		for i := range a {
			dy[at+i] = a[i] - b[i]
		}
		at += s.len()
	}
}

// sumSquares is the variance of a cell whose positions are independent.
func sumSquares(inf []float64) float64 { return num.Dot(inf, inf) }
