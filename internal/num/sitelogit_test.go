package num

import (
	"fmt"
	"math"
	"testing"

	"utfall/internal/reftest"
)

// By hand: one site with y = 1 and one with y = 0, a constant alone. By symmetry β = 0
// and each site's likelihood is E logistic(σb) = 1/2 for every σ, so that quadrature gives
// log ½ for each. Laplace at σ: f(b) = log logistic(σb) - b²/2.
func TestSiteLogitMarginalLikelihoodByHand(t *testing.T) {
	d := SiteLogitData{N: 2, K: 1, X: []float64{1, 1}, Y: []float64{1, 0}, Site: []int32{0, 1}, Sites: 2, Nodes: 25}
	m, err := newLogitModel(LogitData{N: 2, K: 1, X: d.X, Y: d.Y, Link: LogitLink})
	if err != nil {
		t.Fatal(err)
	}
	for _, sigma := range []float64{0.3, 1, 2} {
		reftest.Agree(t, "quadrature", newSiteModel(m, d).eval([]float64{0, sigma}).value, -2*math.Ln2, 7)
		d1 := d
		d1.Nodes = 1
		got := newSiteModel(m, d1).eval([]float64{0, sigma}).value
		b := 0.0 // the mode solves σ(1-logistic(σb)) = b
		for range 200 {
			b = 0.5*b + 0.5*sigma*LogitLink.Mean(-sigma*b)
		}
		p := LogitLink.Mean(sigma * b)
		want := 2 * (math.Log(p) - b*b/2 - math.Log(1+sigma*sigma*p*(1-p))/2)
		reftest.Agree(t, "Laplace", got, want, 12)
	}
}

// The gradient, which follows mode and spread, against differences of the value.
func TestSiteLogitGradient(t *testing.T) {
	x, y, site := arithmeticData()
	m, err := newLogitModel(LogitData{N: 240, K: 5, X: x, Y: y, Link: LogitLink})
	if err != nil {
		t.Fatal(err)
	}
	for _, nodes := range []int{1, 2, 5} {
		s := newSiteModel(m, SiteLogitData{N: 240, K: 5, X: x, Y: y, Site: site, Sites: 12, Nodes: nodes})
		theta := []float64{0.2, 0.5, -0.3, 0.4, -0.1, 0.9}
		at := s.eval(theta)
		for j := range theta {
			const h = 1e-5
			up, down := append([]float64(nil), theta...), append([]float64(nil), theta...)
			up[j] += h
			down[j] -= h
			want := (s.eval(up).value - s.eval(down).value) / (2 * h)
			reftest.Near(t, fmt.Sprintf("%d nodes, derivative %d", nodes, j), at.grad[j], want, 1e-6)
		}
	}
}

// R 4.2.2, lme4 1.1-31: glmer(nAGQ = q, bobyqa to 1e-10, tolPwrss = 1e-13). Its standard
// errors are from differences of the deviance.
func TestSiteLogitAgreesWithLme4(t *testing.T) {
	x, y, site := arithmeticData()
	for _, c := range []struct {
		nodes          int
		coef, se       []float64
		sd, loglik     float64
		effect, fitted []float64
	}{
		{1, []float64{-1.53129618702, 0.291585080609, -0.16995437859, 0.267092668838, -0.191616905238},
			[]float64{0.532003588122, 0.0801038393117, 0.0576775787068, 0.123638825798, 0.475840059268},
			0.561086865054, -130.038667572,
			[]float64{-0.141520686965, 0.247897709188, 0.136811592209, -0.0313246159547, 0.304541344738, 0.601593934668},
			[]float64{0.444261111862, 0.914752728376, 0.227765735422, 0.695512729001}},
		{9, []float64{-1.53141353332, 0.291554112258, -0.16999911157, 0.267215356337, -0.191559905755},
			[]float64{0.532546865901, 0.0800986228114, 0.057684159741, 0.123648460127, 0.477735074432},
			0.565271610683, -130.015137687,
			[]float64{-0.142586712221, 0.249617976788, 0.13775001741, -0.0316280907389, 0.306672077843, 0.60583558008},
			[]float64{0.444670034823, 0.914858829951, 0.227752174692, 0.695987163221}},
		{25, []float64{-1.53141362749, 0.291554076779, -0.16999909487, 0.267215376465, -0.191559720752},
			[]float64{0.532547091803, 0.0800986208608, 0.0576841582104, 0.123648472494, 0.477735042605},
			0.565271508263, -130.015137685,
			[]float64{-0.142586730452, 0.249617979633, 0.137750039322, -0.0316281445143, 0.306672063297, 0.605835516398},
			[]float64{0.444670018115, 0.914858815391, 0.227752210351, 0.695987127054}},
	} {
		f, err := SiteLogit(t.Context(), SiteLogitData{N: 240, K: 5, X: x, Y: y, Site: site, Sites: 12, Nodes: c.nodes})
		if err != nil {
			t.Fatal(err)
		}
		for j := range c.coef {
			reftest.Agree(t, fmt.Sprintf("%d nodes, coefficient %d", c.nodes, j), f.Coef[j], c.coef[j], 5)
			reftest.Agree(t, fmt.Sprintf("%d nodes, error %d", c.nodes, j), math.Sqrt(f.Cov.At(j, j)), c.se[j], 5)
		}
		reftest.Agree(t, "SD", f.SD, c.sd, 5)
		reftest.Agree(t, "log-likelihood", f.LogLik, c.loglik, 10)
		reftest.Agree(t, "log-likelihood without sites", f.NullLogLik, -132.010942688, 10)
		for j, want := range c.effect {
			reftest.Agree(t, "effect of a site", f.Effect[j], want, 4)
		}
		for i, want := range c.fitted {
			eta := f.Effect[site[i]]
			for j, b := range f.Coef {
				eta += b * x[5*i+j]
			}
			reftest.Agree(t, "fitted", LogitLink.Mean(eta), want, 5)
		}
		if f.Gradient > 1e-10 {
			t.Errorf("%d nodes: gradient %g", c.nodes, f.Gradient)
		}
	}
}

func TestSiteLogitRelations(t *testing.T) {
	x, y, site := arithmeticData()
	d := SiteLogitData{N: 240, K: 5, X: x, Y: y, Site: site, Sites: 12, Nodes: 1}
	base, err := SiteLogit(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []int{1, 2, 5} {
		d.Workers = w
		f, err := SiteLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if f.Coef[2] != base.Coef[2] || f.SD != base.SD || f.Cov.At(1, 1) != base.Cov.At(1, 1) {
			t.Errorf("workers %d change a bit", w)
		}
	}
	flip := d // M38
	flip.Y = make([]float64, 240)
	for i, v := range y {
		flip.Y[i] = 1 - v
	}
	f, err := SiteLogit(t.Context(), flip)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "flipped outcome", f.Coef[1], -base.Coef[1], 8)
	reftest.Agree(t, "flipped outcome, SD", f.SD, base.SD, 8)

	// A column in other units.
	s := d
	s.X = append([]float64(nil), x...)
	for i := range 240 {
		s.X[5*i+1] = 7000 - 20*s.X[5*i+1]
	}
	if f, err = SiteLogit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "slope in other units", -20*f.Coef[1], base.Coef[1], 8)
	reftest.Agree(t, "its error", 20*math.Sqrt(f.Cov.At(1, 1)), math.Sqrt(base.Cov.At(1, 1)), 6)

	// Sites that tell nothing: the likelihood is largest without them.
	none := d
	none.Site = make([]int32, 240)
	none.Y = make([]float64, 240)
	for i := range 240 {
		none.Site[i] = int32(i / 2 % 12)
		none.Y[i] = float64(i % 2)
	}
	none.K, none.X = 2, nil
	for i := range 240 {
		none.X = append(none.X, 1, x[5*i+1])
	}
	if f, err = SiteLogit(t.Context(), none); err != nil {
		t.Fatal(err)
	}
	if f.SD != 0 || f.Effect[3] != 0 {
		t.Errorf("SD %g, effect %g", f.SD, f.Effect[3])
	}
	reftest.Agree(t, "log-likelihood as without sites", f.LogLik, f.NullLogLik, 9)
}
