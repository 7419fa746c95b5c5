package num

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"utfall/internal/reftest"
)

// By hand: with one binary column the model is saturated, so that the fitted means
// are the cell shares. Shares 1/4 of 4 rows and 3/5 of 5 rows give
// β₀ = log(1/3), β₁ = log(3/2)-log(1/3) = log(9/2), variances 1/(n·p·(1-p)):
// Var β₀ = 1/(4·3/16) = 4/3 and Var β₁ = 4/3 + 1/(5·6/25) = 4/3 + 5/6 = 13/6.
func TestLogitByHand(t *testing.T) {
	d := LogitData{N: 9, K: 2, X: []float64{1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, Y: []float64{1, 0, 0, 0, 1, 1, 1, 0, 0}}
	f, err := Logit(d)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "intercept", f.Coef[0], math.Log(1.0/3), 14)
	reftest.Agree(t, "slope", f.Coef[1], math.Log(4.5), 14)
	// The information is of the point before the last step, at most 1e-13 away.
	reftest.Agree(t, "var intercept", f.Cov.At(0, 0), 4.0/3, 12)
	reftest.Agree(t, "var slope", f.Cov.At(1, 1), 13.0/6, 12)
	reftest.Agree(t, "covariance", f.Cov.At(0, 1), -4.0/3, 12)
	ll := math.Log(0.25) + 3*math.Log(0.75) + 3*math.Log(0.6) + 2*math.Log(0.4)
	reftest.Agree(t, "log-likelihood", f.LogLik, ll, 14)
	reftest.Agree(t, "deviance", f.Deviance, -2*ll, 14)
	reftest.Agree(t, "null deviance", f.NullDeviance, -2*(4*math.Log(4.0/9)+5*math.Log(5.0/9)), 14)
	reftest.Agree(t, "fitted", f.Fitted[8], 0.6, 12)

	// The same cells through the other links: only the scale of the shares changes.
	// Var = p(1-p)/(n·(dp/dη)²), with dη/dp at 1/4 and 3/5.
	for _, l := range []struct {
		link    Link
		eta     func(p float64) float64
		density func(p float64) float64
	}{
		{ProbitLink, NormalQuantile, func(p float64) float64 {
			z := NormalQuantile(p)
			return math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
		}},
		{CloglogLink, func(p float64) float64 { return math.Log(-math.Log(1 - p)) }, func(p float64) float64 { return -(1 - p) * math.Log(1-p) }},
	} {
		d.Link = l.link
		f, err := Logit(d)
		if err != nil {
			t.Fatal(err)
		}
		reftest.Agree(t, string(l.link)+" intercept", f.Coef[0], l.eta(0.25), 13)
		reftest.Agree(t, string(l.link)+" slope", f.Coef[1], l.eta(0.6)-l.eta(0.25), 13)
		v0 := 0.25 * 0.75 / 4 / math.Pow(l.density(0.25), 2)
		v1 := 0.6 * 0.4 / 5 / math.Pow(l.density(0.6), 2)
		reftest.Agree(t, string(l.link)+" var intercept", f.Cov.At(0, 0), v0, 12)
		reftest.Agree(t, string(l.link)+" var slope", f.Cov.At(1, 1), v0+v1, 12)
		reftest.Agree(t, string(l.link)+" log-likelihood", f.LogLik, ll, 14)
	}
}

// simLogit returns n rows of an intercept and k-1 columns of very different units.
func simLogit(seed uint64, n, k int) LogitData {
	s := NewStream(seed, "logit test", 0)
	d := LogitData{N: n, K: k, X: make([]float64, n*k), Y: make([]float64, n)}
	for i := range n {
		row := d.X[i*k : (i+1)*k]
		row[0] = 1
		eta := -1.0
		for j := 1; j < k; j++ {
			switch j % 3 {
			case 0:
				if s.Bernoulli(0.3) {
					row[j] = 1
				}
				eta += 0.5 * (row[j] - 0.3)
			case 1:
				z := s.Normal()
				row[j] = 250000 + 1e5*z
				eta += 0.4 * z
			default:
				z := s.Normal()
				row[j] = 1e-4 * z
				eta -= 0.3 * z
			}
		}
		if s.Bernoulli(LogitLink.Mean(eta)) {
			d.Y[i] = 1
		}
	}
	return d
}

func mustLogit(t testing.TB, d LogitData) LogitFit {
	t.Helper()
	f, err := Logit(d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The defining equations, checked without the kernel: X'(y-μ) = 0 and Cov = (X'WX)⁻¹.
func TestLogitSolvesTheScoreEquations(t *testing.T) {
	for _, link := range []Link{LogitLink, ProbitLink, CloglogLink} {
		for _, k := range []int{1, 2, 3, 4, 7} {
			d := simLogit(11, 5000, k)
			d.Link = link
			f := mustLogit(t, d)
			if f.Gradient > 1e-13 {
				t.Errorf("%s k=%d: gradient %g", link, k, f.Gradient)
			}
			info := make([]float64, k*k)
			score, size := make([]float64, k), make([]float64, k)
			for i := range d.N {
				eta := 0.0
				for j := range k {
					eta += d.X[i*k+j] * f.Coef[j]
				}
				p := link.at(eta)
				reftest.Agree(t, "fitted", f.Fitted[i], p.mu, 9)
				s := d.Y[i]*p.a - (1-d.Y[i])*p.b
				for j := range k {
					score[j] += s * d.X[i*k+j]
					size[j] += math.Abs(s * d.X[i*k+j])
					for l := range k {
						info[j*k+l] += p.a * p.b * d.X[i*k+j] * d.X[i*k+l]
					}
				}
			}
			for j := range k {
				if math.Abs(score[j]) > 1e-9*size[j] {
					t.Errorf("%s k=%d: score %d is %g of %g", link, k, j, score[j], size[j])
				}
				for l := range k { // info·cov = 1
					var p float64
					for h := range k {
						p += info[j*k+h] * f.Cov.At(h, l)
					}
					want := 0.0
					if j == l {
						want = 1
					}
					tol := 1e-7 * math.Sqrt(info[j*k+j]*f.Cov.At(l, l))
					reftest.Near(t, fmt.Sprintf("%s k=%d info·cov[%d,%d]", link, k, j, l), p, want, tol)
				}
			}
		}
	}
}

func TestLogitRelations(t *testing.T) {
	d := simLogit(3, 9000, 6)
	for i := range d.Y { // fractions are allowed
		if i%50 == 0 {
			d.Y[i] = 0.25
		}
	}
	base := mustLogit(t, d)
	close := func(what string, got, want []float64, digits reftest.Digits) {
		t.Helper()
		for j := range want {
			reftest.Agree(t, fmt.Sprintf("%s %d", what, j), got[j], want[j], digits)
		}
	}

	flip := d // M38
	flip.Y = make([]float64, d.N)
	for i, y := range d.Y {
		flip.Y[i] = 1 - y
	}
	neg := mustLogit(t, flip)
	for j := range neg.Coef {
		reftest.Agree(t, "flipped outcome", neg.Coef[j], -base.Coef[j], 10)
	}

	weighted, copies := d, d // M30 and M31
	weighted.Weight = make([]float64, d.N)
	copies.N, copies.X, copies.Y = 0, nil, nil
	for i := range d.N {
		weighted.Weight[i] = float64(i % 3)
		for range i % 3 {
			copies.X = append(copies.X, d.X[i*d.K:(i+1)*d.K]...)
			copies.Y = append(copies.Y, d.Y[i])
			copies.N++
		}
	}
	w, c := mustLogit(t, weighted), mustLogit(t, copies)
	close("weights as copies", w.Coef, c.Coef, 10)
	reftest.Agree(t, "log-likelihood of copies", w.LogLik, c.LogLik, 12)
	reftest.Agree(t, "deviance of copies", w.Deviance, c.Deviance, 11)
	reftest.Agree(t, "null deviance of copies", w.NullDeviance, c.NullDeviance, 11)
	reftest.Agree(t, "variance of copies", w.Cov.At(1, 1), c.Cov.At(1, 1), 10)
	for i := range weighted.Weight {
		weighted.Weight[i] *= 7
	}
	w7 := mustLogit(t, weighted)
	close("weights × 7", w7.Coef, w.Coef, 10)
	reftest.Agree(t, "variance of weights × 7", w7.Cov.At(2, 2), w.Cov.At(2, 2)/7, 10)

	ones := d
	ones.Weight = make([]float64, d.N)
	for i := range ones.Weight {
		ones.Weight[i] = 1
	}
	close("weights of 1", mustLogit(t, ones).Coef, base.Coef, 12) // the two branches of points

	shifted := d // an affine map of a column maps its coefficient
	shifted.X = append([]float64(nil), d.X...)
	for i := range d.N {
		shifted.X[i*d.K+3] = 1000 - 40*shifted.X[i*d.K+3]
	}
	sh := mustLogit(t, shifted)
	reftest.Agree(t, "affine slope", sh.Coef[3], -base.Coef[3]/40, 9)
	reftest.Agree(t, "affine SE", sh.Cov.At(3, 3), base.Cov.At(3, 3)/1600, 9)
	reftest.Agree(t, "affine other", sh.Coef[4], base.Coef[4], 9)

	for _, workers := range []int{1, 2, 3, 8} {
		d.Workers = workers
		f := mustLogit(t, d)
		for j := range f.Coef {
			if f.Coef[j] != base.Coef[j] || f.Cov.At(j, j) != base.Cov.At(j, j) {
				t.Fatalf("workers %d change a bit of column %d", workers, j)
			}
		}
	}
}

// Without a constant column, dummies for both groups give the cell shares.
func TestLogitWithoutConstant(t *testing.T) {
	d := LogitData{N: 9, K: 2, X: []float64{1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, Y: []float64{1, 0, 0, 0, 1, 1, 1, 0, 0}}
	f := mustLogit(t, d)
	reftest.Agree(t, "first cell", f.Coef[0], math.Log(1.0/3), 14)
	reftest.Agree(t, "second cell", f.Coef[1], math.Log(1.5), 14)
	reftest.Agree(t, "null deviance", f.NullDeviance, 18*math.Ln2, 14)
}

// A thinned start must lead to the same maximum as a cold one.
func TestLogitThinnedStart(t *testing.T) {
	d := simLogit(5, 80000, 5)
	f := mustLogit(t, d)
	m, err := newLogitModel(d)
	if err != nil {
		t.Fatal(err)
	}
	if m.thin() == nil {
		t.Fatal("no thinned start at 80,000 rows")
	}
	g, ev, iter, err := m.newton(m.coldStart(), 1e-13)
	if err != nil {
		t.Fatal(err)
	}
	coef, _ := m.mapBack(g, ev.chol)
	for j := range coef {
		reftest.Agree(t, "coefficient", f.Coef[j], coef[j], 11)
	}
	if f.Iterations >= iter {
		t.Errorf("%d steps from the thinned start, %d from the cold one", f.Iterations, iter)
	}
}

func TestLogitSeparation(t *testing.T) {
	column := func(x ...float64) []float64 {
		out := []float64{}
		for _, v := range x {
			out = append(out, 1, v)
		}
		return out
	}
	s := NewStream(9, "separation", 0)
	lone := simLogit(21, 4000, 4) // one treated row is alone in its category
	for i := range lone.N {
		lone.X[i*4+3] = 0
	}
	lone.X[17*4+3], lone.Y[17] = 1, 1
	lone3 := simLogit(21, 4000, 4) // a category of three, all treated, among other columns
	for i := range lone3.N {
		lone3.X[i*4+3] = 0
		if i%1500 == 7 {
			lone3.X[i*4+3], lone3.Y[i] = 1, 1
		}
	}
	oblique := LogitData{N: 300, K: 3, X: make([]float64, 900), Y: make([]float64, 300)}
	for i := range 300 {
		x, z := s.Normal(), s.Normal()
		copy(oblique.X[i*3:], []float64{1, x, 1e4 * z})
		if x+z > 0.3 {
			oblique.Y[i] = 1
		}
	}
	big := simLogit(4, 70000, 3) // with a thinned start
	for i := range big.N {
		big.Y[i] = 0
		if big.X[i*3+1] > 250000 {
			big.Y[i] = 1
		}
	}
	for name, d := range map[string]LogitData{
		"perfect":           {N: 4, K: 2, X: column(1, 2, 3, 4), Y: []float64{0, 0, 1, 1}},
		"perfect, reversed": {N: 4, K: 2, X: column(1, 2, 3, 4), Y: []float64{1, 1, 0, 0}},
		"quasi, one tie":    {N: 6, K: 2, X: column(1, 2, 3, 3, 4, 5), Y: []float64{0, 0, 0, 1, 1, 1}},
		"all outcomes 1":    {N: 3, K: 2, X: column(1, 2, 4), Y: []float64{1, 1, 1}},
		"lone category":     lone,
		"category of three": lone3,
		"oblique":           oblique,
		"large":             big,
		"no constant":       {N: 4, K: 1, X: []float64{1, 2, -1, -3}, Y: []float64{1, 1, 0, 0}},
	} {
		for _, link := range []Link{LogitLink, ProbitLink, CloglogLink} {
			for _, unit := range []float64{1, 1e-6, 3e7} {
				e := d
				e.Link = link
				e.X = append([]float64(nil), d.X...)
				for i := range e.N {
					e.X[i*e.K+e.K-1] *= unit
				}
				f, err := Logit(e)
				if !errors.Is(err, ErrSeparated) || f.Coef != nil {
					t.Errorf("%s, %s, unit %g: %v, coefficients %v", name, link, unit, err, f.Coef)
				}
			}
		}
	}
	// One row of overlap is enough for a finite maximum, however steep.
	d := LogitData{N: 8, K: 2, X: column(1, 2, 3, 4, 4.001, 5, 6, 7), Y: []float64{0, 0, 0, 1, 0, 1, 1, 1}}
	if _, err := Logit(d); err != nil {
		t.Errorf("overlap: %v", err)
	}
}

func TestLogitErrors(t *testing.T) {
	d := simLogit(2, 500, 4)
	with := func(f func(e *LogitData)) error {
		e := d
		e.X = append([]float64(nil), d.X...)
		e.Y = append([]float64(nil), d.Y...)
		f(&e)
		fit, err := Logit(e)
		if err == nil || fit.Coef != nil {
			t.Fatalf("error %v, coefficients %v", err, fit.Coef)
		}
		return err
	}
	var sing *SingularColumn
	err := with(func(e *LogitData) {
		for i := range e.N {
			e.X[i*4+3] = 2*e.X[i*4+1] - 3e9*e.X[i*4+2] + 5
		}
	})
	if !errors.As(err, &sing) || sing.Column != 3 || !errors.Is(err, ErrSingular) {
		t.Errorf("collinear: %v", err)
	}
	err = with(func(e *LogitData) {
		for i := range e.N {
			e.X[i*4+2] = 7
		}
	})
	if !errors.As(err, &sing) || sing.Column != 2 {
		t.Errorf("second constant: %v", err)
	}
	for name, f := range map[string]func(e *LogitData){
		"NaN":              func(e *LogitData) { e.X[77*4+1] = math.NaN() },
		"infinite":         func(e *LogitData) { e.X[1] = math.Inf(1) },
		"outcome 2":        func(e *LogitData) { e.Y[3] = 2 },
		"outcome NaN":      func(e *LogitData) { e.Y[3] = math.NaN() },
		"negative weight":  func(e *LogitData) { e.Weight = make([]float64, e.N); e.Weight[0] = -1 },
		"no weight at all": func(e *LogitData) { e.Weight = make([]float64, e.N) },
	} {
		if err := with(f); !errors.Is(err, ErrDomain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	with(func(e *LogitData) { e.Link = "cauchit" })
}
