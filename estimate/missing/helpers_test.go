package missing

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func near(t *testing.T, want, got float64, digits reftest.Digits) {
	t.Helper()
	if d := reftest.LRE(got, want); d < digits {
		t.Errorf("got %.17g, want %.17g: %.1f digits", got, want, float64(d))
	}
}

// names gives n units names.
func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("u%06d", i)
	}
	return out
}

// derivative is that of a number by a row's weight, times the weight: what an influence
// function must equal, whatever its formula.
func derivative(w []float64, i int, at func(w []float64) float64) float64 {
	const h = 1e-5
	up, down := append([]float64{}, w...), append([]float64{}, w...)
	up[i] *= 1 + h
	down[i] *= 1 - h
	return (at(up) - at(down)) / (2 * h)
}

func frame(y []float64, treated []bool, w []float64) *estimate.Frame {
	f := &estimate.Frame{Unit: names(len(y)), Y: y, Treated: treated, Level: .95}
	if w != nil {
		f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: w}
	}
	return f
}

// mean is the analysis of the mean of a variable, as Student's.
func meanOf(j int) Analysis {
	return func(_ context.Context, _ []int, v []Variable) (*estimate.Result, error) {
		m, variance := meanVar(v[j].Values)
		n := float64(len(v[j].Values))
		return &estimate.Result{Estimates: []estimate.Estimate{estimate.Wald(v[j].Name, estimate.Mean, m, math.Sqrt(variance/n), n-1, .95)}}, nil
	}
}

// slopes is the analysis of the regression of variable 0 on the others.
func slopes(_ context.Context, _ []int, v []Variable) (*estimate.Result, error) {
	n, k := len(v[0].Values), len(v)
	x := make([]float64, n*k)
	for i := range n {
		x[i*k] = 1
		for j := 1; j < k; j++ {
			x[i*k+j] = v[j].Values[i]
		}
	}
	fit, err := num.LeastSquares(num.LsqData{N: n, K: k, X: x, Y: v[0].Values, Workers: 1})
	if err != nil {
		return nil, err
	}
	r := &estimate.Result{}
	for j := 1; j < k; j++ {
		se := math.Sqrt(fit.RSS / float64(n-k) * fit.Inverse.At(j, j))
		r.Estimates = append(r.Estimates, estimate.Wald(v[j].Name, estimate.Coefficient, fit.Coef[j], se, float64(n-k), .95))
	}
	return r, nil
}

func checkBounds(t *testing.T, r *estimate.Result) {
	t.Helper()
	l, u := r.Estimates[0], r.Estimates[1]
	require.LessOrEqual(t, l.Value, u.Value+1e-12)
	require.Less(t, l.CI.Lo, l.Value)
	require.Greater(t, u.CI.Hi, u.Value)
	require.Equal(t, l.CI, u.CI)
	near(t, l.SE*l.SE, r.Cov.At(0, 0), 13)
	require.Equal(t, len(r.InfluenceUnit), r.Influence.RawMatrix().Rows)
	for j := range 2 {
		var s float64
		for i := range r.InfluenceUnit {
			s += r.Influence.At(i, j)
		}
		require.InDelta(t, 0, s, 1e-12)
	}
}
