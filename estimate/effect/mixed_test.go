package effect

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func grouped(y ...[]float64) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95}
	for g, ys := range y {
		for _, v := range ys {
			f.Y, f.Cluster, f.Unit = append(f.Y, v), append(f.Cluster, g), append(f.Unit, strconv.Itoa(len(f.Y)))
		}
	}
	return f
}

// A balanced one-way layout: groups {1,3}, {5,9}, {6,12} have means 2, 7, 9 about 6:
// MSB = 2·(16+1+9)/2 = 26, MSW = (2+8+18)/3 = 28/3. REML: σ² = MSW, σ_u² = (MSB-MSW)/2 =
// 25/3, the mean's variance MSB/6. A group's intercept is (ȳ_g-6)·(1-MSW/MSB), its
// conditional variance σ_u²·MSW/MSB. ML: the same with SSB/3 = 52/3 in the place of MSB.
func TestMixedByHand(t *testing.T) {
	f := grouped([]float64{1, 3}, []float64{5, 9}, []float64{6, 12})
	for _, c := range []struct {
		ml  bool
		msb float64
	}{{false, 26}, {true, 52.0 / 3}} {
		res := mustFit(t, Mixed{ML: c.ml, Groups: []string{"a", "b", "c"}}, f)
		msw := 28.0 / 3
		d := res.Details
		reftest.Agree(t, "mean", res.Estimates[0].Value, 6, 12)
		reftest.Agree(t, "se", res.Estimates[0].SE, math.Sqrt(c.msb/6), 10)
		reftest.Agree(t, "sd residual", d["sd_residual"].(float64), math.Sqrt(msw), 10)
		reftest.Agree(t, "sd group", d["sd_group"].(float64), math.Sqrt((c.msb-msw)/2), 9)
		reftest.Agree(t, "icc", d["icc"].(float64), (c.msb-msw)/(c.msb+msw), 9)
		random, variance := d["random"].(map[string]float64), d["random_variance"].(map[string]float64)
		for g, dev := range map[string]float64{"a": -4, "b": 1, "c": 3} {
			reftest.Agree(t, "random "+g, random[g], dev*(1-msw/c.msb), 9)
			reftest.Agree(t, "variance "+g, variance[g], (c.msb-msw)/2*msw/c.msb, 9)
		}
		// Σlog eigenvalues of V: 3 of σ², 3 of σ²+2σ_u² = msb; REML adds log|X'V⁻¹X| = log(6/msb).
		ll := -0.5 * (6*math.Log(2*math.Pi) + 3*math.Log(msw) + 3*math.Log(c.msb) + 28/msw + 52/c.msb)
		if !c.ml {
			ll = -0.5 * (5*math.Log(2*math.Pi) + 3*math.Log(msw) + 2*math.Log(c.msb) + math.Log(6) + 28/msw + 52/c.msb)
		}
		reftest.Agree(t, "logLik", d["logLik"].(float64), ll, 11)
	}
	// Means that differ less than chance would make them: the fit is the plain mean.
	flat := grouped([]float64{1, 9}, []float64{2, 8}, []float64{4, 7})
	res, ols := mustFit(t, Mixed{}, flat), mustFit(t, OLS{Vcov: IID}, withoutClusters(flat))
	if !hasNote(res, "group-variance-zero") || res.Details["sd_group"].(float64) != 0 {
		t.Errorf("flat groups: %v", res.Details)
	}
	reftest.Agree(t, "flat se", res.Estimates[0].SE, ols.Estimates[0].SE, 12)
}

func withoutClusters(f *estimate.Frame) *estimate.Frame {
	g := *f
	g.Cluster = nil
	return &g
}

// Against the likelihood with the full covariance matrix, written out: no step in σ_u,
// σ or a slope raises it; M24, M27, M36, workers.
func TestMixedIsTheMaximum(t *testing.T) {
	f := simFrame(11, 0, 9, 6, 2, 0.8)
	f.Y, f.Unit, f.Cluster, f.X = f.Y[:50], f.Unit[:50], f.Cluster[:50], mat.DenseCopyOf(f.X.Slice(0, 50, 0, 2)) // unequal groups
	f.Treated = nil
	like := func(b []float64, su, s float64) float64 {
		v := mat.NewSymDense(50, nil)
		e := mat.NewVecDense(50, nil)
		for i := range 50 {
			for j := range i + 1 {
				if f.Cluster[i] == f.Cluster[j] {
					v.SetSym(i, j, su*su)
				}
			}
			v.SetSym(i, i, su*su+s*s)
			e.SetVec(i, f.Y[i]-b[0]-b[1]*f.X.At(i, 0)-b[2]*f.X.At(i, 1))
		}
		var c mat.Cholesky
		c.Factorize(v)
		var x mat.VecDense
		if err := c.SolveVecTo(&x, e); err != nil {
			t.Fatal(err)
		}
		return -0.5 * (50*math.Log(2*math.Pi) + c.LogDet() + mat.Dot(e, &x))
	}
	res := mustFit(t, Mixed{ML: true}, f)
	par := []float64{res.Estimates[0].Value, res.Estimates[1].Value, res.Estimates[2].Value, res.Details["sd_group"].(float64), res.Details["sd_residual"].(float64)}
	at := like(par[:3], par[3], par[4])
	reftest.Agree(t, "logLik", res.Details["logLik"].(float64), at, 11)
	for j := range par {
		for _, h := range []float64{1e-3, -1e-3} {
			q := append([]float64(nil), par...)
			q[j] += h
			if like(q[:3], q[3], q[4]) >= at {
				t.Errorf("the likelihood rises along %d", j)
			}
		}
	}
	reml := mustFit(t, Mixed{}, f)
	g := *f
	g.Y = nil
	for _, y := range f.Y {
		g.Y = append(g.Y, 8*y+1e5)
	}
	scaled := mustFit(t, Mixed{Workers: 3}, &g)
	reftest.Agree(t, "outcome times 8", scaled.Estimates[1].Value, 8*reml.Estimates[1].Value, 8)
	reftest.Agree(t, "se times 8", scaled.Estimates[1].SE, 8*reml.Estimates[1].SE, 8)
	h := *f
	h.XNames, h.X = []string{"x1", "sum", "x2"}, mat.NewDense(50, 3, nil)
	for i := range 50 {
		h.X.SetRow(i, []float64{f.X.At(i, 0), 1 - f.X.At(i, 0), f.X.At(i, 1)})
	}
	b := mustFit(t, Mixed{}, &h)
	if !hasNote(b, "collinear-dropped") || !math.IsNaN(b.Estimates[2].Value) {
		t.Errorf("collinear: %v", b.Estimates)
	}
	reftest.Agree(t, "collinear", b.Estimates[3].Value, reml.Estimates[2].Value, 9)
}

// A random-intercept logit against its likelihood by brute force: the integral over u
// on a fine grid, written out; shares of trials are the trials.
func TestMixedLogitIsTheMaximum(t *testing.T) {
	s := num.NewStream(4, "mixed test", 0)
	f := &estimate.Frame{Level: 0.95, XNames: []string{"x"}, X: mat.NewDense(80, 1, nil)}
	for i := range 80 {
		x := s.Normal()
		f.X.Set(i, 0, x)
		y, u := 0.0, math.Sin(float64(3*(i%10)))
		if s.Bernoulli(1 / (1 + math.Exp(-0.3-0.7*x-u))) {
			y = 1
		}
		f.Y, f.Cluster, f.Unit = append(f.Y, y), append(f.Cluster, i%10), append(f.Unit, strconv.Itoa(i))
	}
	like := func(b []float64, sd float64) (ll float64) {
		for g := range 10 {
			var sum float64
			const h = 0.02
			for z := -8.0; z <= 8; z += h {
				l := -z*z/2 - math.Log(2*math.Pi)/2
				for i := g; i < 80; i += 10 {
					eta := b[0] + b[1]*f.X.At(i, 0) + sd*z
					l += f.Y[i]*eta - math.Log1p(math.Exp(eta))
				}
				sum += h * math.Exp(l)
			}
			ll += math.Log(sum)
		}
		return ll
	}
	res, err := Mixed{Family: num.Binomial}.Fit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	par := []float64{res.Estimates[0].Value, res.Estimates[1].Value, res.Details["sd_group"].(float64)}
	at := like(par[:2], par[2])
	reftest.Agree(t, "logLik", res.Details["logLik"].(float64), at, 8)
	for j := range par {
		for _, h := range []float64{2e-3, -2e-3} {
			q := append([]float64(nil), par...)
			q[j] += h
			if like(q[:2], q[2]) >= at {
				t.Errorf("the likelihood rises along %d", j)
			}
		}
	}
	// Rows of one x put together as shares of trials.
	cells := grouped([]float64{0.5, 0.25}, []float64{1, 0.75}, []float64{0, 0.25})
	var trials []float64
	rows := &estimate.Frame{Level: 0.95}
	for i, y := range cells.Y {
		n := float64(4 + 4*(i%2))
		trials = append(trials, n)
		for k := range int(n) {
			v := 0.0
			if float64(k) < y*n {
				v = 1
			}
			rows.Y, rows.Cluster, rows.Unit = append(rows.Y, v), append(rows.Cluster, cells.Cluster[i]), append(rows.Unit, strconv.Itoa(len(rows.Y)))
		}
	}
	a, err := Mixed{Family: num.Binomial, Trials: trials}.Fit(t.Context(), cells)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Mixed{Family: num.Binomial}.Fit(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "trials", a.Estimates[0].Value, b.Estimates[0].Value, 9)
	reftest.Agree(t, "trials se", a.Estimates[0].SE, b.Estimates[0].SE, 6)
	// The conditional variance is one over the curvature at the mode: 1/σ² + Σtrials·p(1-p).
	sd, mode := res.Details["sd_group"].(float64), res.Details["random"].(map[string]float64)["4"]
	curve := 1 / (sd * sd)
	for i := 4; i < 80; i += 10 {
		p := 1 / (1 + math.Exp(-par[0]-par[1]*f.X.At(i, 0)-mode))
		curve += p * (1 - p)
	}
	reftest.Agree(t, "conditional variance", res.Details["random_variance"].(map[string]float64)["4"], 1/curve, 8)
}

func TestMixedErrors(t *testing.T) {
	f := grouped([]float64{1, 3}, []float64{5, 9}, []float64{6, 12})
	weighted, two, exact := *f, *f, grouped([]float64{1, 1}, []float64{5, 5}, []float64{6, 6})
	weighted.Weight = estimate.Weights{Kind: estimate.Frequency, Values: []float64{1, 1, 1, 1, 1, 1}}
	two.Cluster = []int{0, 0, 0, 1, 1, 1}
	for name, c := range map[string]struct {
		m    Mixed
		f    *estimate.Frame
		want error
	}{
		"weights":         {Mixed{}, &weighted, estimate.ErrWeights},
		"no groups":       {Mixed{}, withoutClusters(f), ErrOption},
		"two groups":      {Mixed{}, &two, estimate.ErrTooFew},
		"family":          {Mixed{Family: num.Poisson}, f, ErrOption},
		"nodes, gaussian": {Mixed{Nodes: 5}, f, ErrOption},
		"ml, binomial":    {Mixed{Family: num.Binomial, ML: true}, f, ErrOption},
		"too many nodes":  {Mixed{Family: num.Binomial, Nodes: 101}, f, ErrOption},
		"no 0 or 1":       {Mixed{Family: num.Binomial}, f, estimate.ErrInvalidFrame},
		"all 1":           {Mixed{Family: num.Binomial}, grouped([]float64{1, 1}, []float64{1, 1}, []float64{1, 1}), estimate.ErrSeparated},
	} {
		if res, err := c.m.Fit(t.Context(), c.f); res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if res, err := (Mixed{}).Fit(t.Context(), exact); res != nil || err == nil {
		t.Errorf("no variation within groups: %v", err)
	}
}
