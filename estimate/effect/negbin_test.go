package effect

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// counts is a frame of overdispersed counts with two covariates.
func counts(seed uint64, n int, theta float64) *estimate.Frame {
	s := num.NewStream(seed, "glm test", 0)
	f := &estimate.Frame{Level: 0.95, XNames: []string{"x1", "x2"}, X: mat.NewDense(n, 2, nil), Y: make([]float64, n), Cluster: make([]int, n)}
	for i := range n {
		x1, x2 := s.Normal(), s.Float()
		f.X.SetRow(i, []float64{x1, x2})
		mu := math.Exp(0.5 + 0.4*x1 - 0.3*x2)
		if theta > 0 { // a gamma with a whole number of stages
			g := 0.0
			for range int(theta) {
				g += s.Exp()
			}
			mu *= g / theta
		}
		for sum := s.Exp(); sum < mu; sum += s.Exp() {
			f.Y[i]++
		}
		f.Unit, f.Cluster[i] = append(f.Unit, strconv.Itoa(i)), i%9
	}
	return f
}

// At the maximum the scores of the coefficients and of θ are 0: the latter by a
// difference quotient of the likelihood refitted at nearby θ, written out anew here.
func TestNegBinIsTheMaximum(t *testing.T) {
	f := counts(3, 400, 2)
	res := mustFit(t, GLM{Family: num.NegBin}, f)
	theta := res.Details["theta"].(float64)
	like := func(theta float64, b []float64) (ll float64) {
		for i, y := range f.Y {
			mu := math.Exp(b[0] + b[1]*f.X.At(i, 0) + b[2]*f.X.At(i, 1))
			p := theta / (theta + mu)
			a, _ := math.Lgamma(y + theta)
			c, _ := math.Lgamma(theta)
			d, _ := math.Lgamma(y + 1)
			ll += a - c - d + theta*math.Log(p) + y*math.Log(1-p)
		}
		return ll
	}
	b := []float64{res.Estimates[0].Value, res.Estimates[1].Value, res.Estimates[2].Value}
	at := like(theta, b)
	reftest.Agree(t, "logLik", res.Details["logLik"].(float64), at, 12)
	for j := range 4 {
		for _, h := range []float64{1e-3, -1e-3} {
			v, th := slices.Clone(b), theta
			if j < 3 {
				v[j] += h
			} else {
				th *= 1 + h
			}
			if like(th, v) >= at {
				t.Errorf("the likelihood rises along %d", j)
			}
		}
	}
	if math.Abs(theta-2) > 0.8 || !(res.Details["se_theta"].(float64) > 0) {
		t.Errorf("θ %g", theta)
	}
	// The error of θ by the second difference at fixed means.
	h := 1e-4 * theta
	second := (like(theta+h, b) - 2*at + like(theta-h, b)) / (h * h)
	reftest.Agree(t, "se theta", res.Details["se_theta"].(float64), 1/math.Sqrt(-second), 5)
	// Two groups: the error of a group's log mean is √((1/μ + 1/θ)/n).
	g := groups([]float64{0, 1, 7, 2, 0, 9}, []float64{1, 12, 0, 5, 30, 3, 2})
	two := mustFit(t, GLM{Family: num.NegBin}, g)
	r := two.Details["theta"].(float64)
	reftest.Agree(t, "two groups", two.Estimates[1].Value, math.Log(53.0/7)-math.Log(19.0/6), 10)
	reftest.Agree(t, "two groups se", two.Estimates[1].SE, math.Sqrt((6.0/19+1/r)/6+(7.0/53+1/r)/7), 10)
	if _, err := (GLM{Family: num.NegBin}).Fit(t.Context(), groups([]float64{2, 2, 2, 3}, []float64{4, 4, 5, 4})); !errors.Is(err, estimate.ErrNotIdentified) {
		t.Errorf("less varied than Poisson: %v", err)
	}
}
