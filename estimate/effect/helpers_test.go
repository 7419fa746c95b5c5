package effect

import (
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// mustFit fits and checks what must hold for every result of the package.
func mustFit(t testing.TB, e estimate.Estimator, f *estimate.Frame) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	checkResult(t, f, res)
	return res
}

func checkResult(t testing.TB, f *estimate.Frame, res *estimate.Result) {
	t.Helper()
	n, k := res.Influence.Dims()
	if n != len(f.Y) || k != len(res.Estimates) || len(res.InfluenceUnit) != n || res.Cov.SymmetricDim() != k || !res.Fit.Converged {
		t.Fatalf("influence %d×%d, %d estimates, covariance %d", n, k, len(res.Estimates), res.Cov.SymmetricDim())
	}
	for j, e := range res.Estimates {
		if math.IsNaN(e.Value) {
			if e.HasSE() {
				t.Errorf("%s has a standard error but no value", e.Term)
			}
			continue
		}
		reftest.Agree(t, e.Term+" SE² = Cov", e.SE*e.SE, res.Cov.At(j, j), 12)
		if !(e.CI.Lo <= e.Value && e.Value <= e.CI.Hi) || e.CI.Level != f.Level {
			t.Errorf("%s: interval [%g, %g] at %g about %g", e.Term, e.CI.Lo, e.CI.Hi, e.CI.Level, e.Value)
		}
		var sum, size float64
		for i := range n {
			v := res.Influence.At(i, j)
			sum += v
			size += math.Abs(v)
		}
		if math.Abs(sum) > 1e-10*size {
			t.Errorf("%s: influence sums to %g of %g", e.Term, sum, size)
		}
		if e.SE > 0 { // M37, the half about the test
			if outside := e.CI.Lo > 0 || e.CI.Hi < 0; outside != (e.Test.P < 1-f.Level) {
				t.Errorf("%s: p = %g beside [%g, %g]", e.Term, e.Test.P, e.CI.Lo, e.CI.Hi)
			}
		}
	}
}

// clusterVar is Σ over clusters of the squared sums of influence column j: SE² of cr0
// (of hc0 with every row its own cluster).
func clusterVar(res *estimate.Result, cluster []int, j int) float64 {
	sums := map[int]float64{}
	n, _ := res.Influence.Dims()
	for i := range n {
		c := i
		if cluster != nil {
			c = cluster[i]
		}
		sums[c] += res.Influence.At(i, j)
	}
	var v float64
	for _, s := range sums {
		v += s * s
	}
	return v
}

// simFrame is a cohort of clusters with a common shock of the given SD per cluster,
// treatment at cluster level, and an effect of 1.
func simFrame(seed, rep uint64, clusters, size, k int, shock float64) *estimate.Frame {
	s := num.NewStream(seed, "effect test", rep)
	n := clusters * size
	f := &estimate.Frame{Level: 0.95, Y: make([]float64, n), Treated: make([]bool, n), Cluster: make([]int, n)}
	if k > 0 {
		f.X = mat.NewDense(n, k, nil)
	}
	for j := range k {
		f.XNames = append(f.XNames, "x"+strconv.Itoa(j+1))
	}
	for i := range n {
		f.Unit = append(f.Unit, strconv.Itoa(i))
	}
	for c := range clusters {
		u := shock * s.Normal()
		for r := range size {
			i := c*size + r
			f.Cluster[i] = c
			f.Treated[i] = c%2 == 0
			f.Y[i] = 2 + u + s.Normal()
			if f.Treated[i] {
				f.Y[i]++
			}
			for j := range k {
				x := s.Normal()
				f.X.Set(i, j, x)
				f.Y[i] += x / float64(j+2)
			}
		}
	}
	return f
}
