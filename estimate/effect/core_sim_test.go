package effect

import (
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// coreFrame is a sample of clusters of six with a shared shock on the linear predictor,
// a covariate of rows and one of clusters; draw makes the outcome.
func coreFrame(s *num.Stream, clusters int, shock float64, draw func(eta float64) float64) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95, XNames: []string{"row", "cluster"}}
	var x []float64
	for c := range clusters {
		u, z := shock*s.Normal(), float64(c%2)
		for range 6 {
			r := s.Normal()
			x = append(x, r, z)
			f.Y, f.Cluster, f.Set = append(f.Y, draw(0.2+0.5*r-0.4*z+u)), append(f.Cluster, c), append(f.Set, c)
			f.Unit = append(f.Unit, strconv.Itoa(len(f.Y)))
		}
	}
	f.X = mat.NewDense(len(f.Y), 2, x)
	return f
}

// Coverage of the row slope 0.5 and the cluster slope -0.4 over 400 samples of 60
// clusters. A shock that only the clustered errors see makes hc1 of the cluster slope
// fail; conditional and mixed models see it too.
func TestCoreCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation")
	}
	count := func(s *num.Stream, mu float64) (y float64) {
		for sum := s.Exp(); sum < mu; sum += s.Exp() {
			y++
		}
		return y
	}
	logistic := func(s *num.Stream) float64 { u := s.Float(); return math.Log(u / (1 - u)) }
	poisson := func(s *num.Stream) func(float64) float64 {
		return func(eta float64) float64 { return count(s, math.Exp(eta)) }
	}
	negbin := func(s *num.Stream) func(float64) float64 { // θ = 2
		return func(eta float64) float64 { return count(s, math.Exp(eta)*(s.Exp()+s.Exp())/2) }
	}
	binary := func(s *num.Stream) func(float64) float64 {
		return func(eta float64) float64 { return math.Round((1 + math.Copysign(1, eta+logistic(s))) / 2) }
	}
	levels := func(s *num.Stream) func(float64) float64 {
		return func(eta float64) float64 {
			v, y := eta+logistic(s), 0.0
			for _, cut := range []float64{-1, 0.5, 1.5} {
				if v > cut {
					y++
				}
			}
			return y
		}
	}
	linear := func(s *num.Stream) func(float64) float64 {
		return func(eta float64) float64 { return eta + s.Normal() }
	}
	const wide = 0.0359
	for name, c := range map[string]struct {
		shock    float64
		draw     func(*num.Stream) func(float64) float64
		e        estimate.Estimator
		clusters bool
		at       int     // estimate looked at
		truth    float64 // of it
		low      bool    // coverage must fall short
	}{
		"poisson iid":          {0, poisson, GLM{Family: num.Poisson, Vcov: IID}, false, 1, 0.5, false},
		"poisson cr1":          {0.4, poisson, GLM{Family: num.Poisson}, true, 2, -0.4, false},
		"poisson iid, shock":   {0.4, poisson, GLM{Family: num.Poisson, Vcov: IID}, false, 2, -0.4, true},
		"negbin iid":           {0, negbin, GLM{Family: num.NegBin}, false, 1, 0.5, false},
		"logit iid":            {0, binary, GLM{}, false, 1, 0.5, false},
		"logit cr1, no shock":  {0, binary, GLM{}, true, 2, -0.4, false},
		"ordinal iid":          {0, levels, Ordinal{Levels: four}, false, 0, 0.5, false},
		"ordinal cr1":          {0, levels, Ordinal{Levels: four}, true, 1, -0.4, false},
		"clogit, shock":        {1, binary, CLogit{Vcov: IID}, false, 0, 0.5, false},
		"mixed, shock":         {1, linear, Mixed{}, true, 2, -0.4, false},
		"mixed logit, shock":   {1, binary, Mixed{Family: num.Binomial, Nodes: 3}, true, 2, -0.4, false},
		"gee, shock":           {1, linear, GEE{}, true, 2, -0.4, false},
		"ols hc1, shock":       {1, linear, OLS{Vcov: HC1}, false, 2, -0.4, true},
		"two-way, shock":       {1, linear, OLS{Vcov: CR1}, true, 2, -0.4, false},
		"ols jackknife, shock": {1, linear, OLS{Vcov: Jackknife}, true, 2, -0.4, false},
	} {
		hit, n := 0, 0
		for rep := range 400 * sim.Factor {
			s := num.NewStream(77, name, uint64(rep))
			f := coreFrame(s, 60, c.shock, c.draw(s))
			if !c.clusters {
				f.Cluster = nil
			}
			if name == "two-way, shock" {
				o := OLS{Vcov: CR1}
				for i := range f.Y {
					o.Second = append(o.Second, (i*7)%40)
				}
				c.e = o
			}
			res, err := c.e.Fit(t.Context(), f)
			if err != nil {
				t.Fatalf("%s, sample %d: %v", name, rep, err)
			}
			n++
			if e := res.Estimates[c.at]; e.CI.Lo <= c.truth && c.truth <= e.CI.Hi {
				hit++
			}
		}
		share := float64(hit) / float64(n)
		label := name
		if c.low {
			label += " (must fail)"
		}
		sim.Share(t, label, share, n)
		if c.low == (math.Abs(share-0.95) <= wide) {
			t.Errorf("%s covers %.4f", name, share)
		}
	}
}
