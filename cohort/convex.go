package cohort

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

var errNotSolved = errors.New("the search came to no end")

// logSumExp is log Σ exp(λ'zᵢ) with the weighted mean and covariance of z.
func logSumExp(z []float64, k, n int, lambda []float64, workers int) point {
	top := math.Inf(-1)
	eta := make([]float64, n)
	for i := range eta {
		eta[i] = num.Dot(z[i*k:(i+1)*k], lambda)
		top = math.Max(top, eta[i])
	}
	s := num.SumChunks(n, 1+k+k*k, workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			addMoments(acc, z[i*k:(i+1)*k], math.Exp(eta[i]-top), math.Exp(eta[i]-top), math.Exp(eta[i]-top))
		}
	})
	p := unpack(s, k, s[0])
	for i := range k {
		for j := i; j < k; j++ {
			p.hessian.SetSym(i, j, p.hessian.At(i, j)-float64(p.gradient[i]*p.gradient[j]))
		}
	}
	p.value = top + math.Log(s[0])
	return p
}

// sumLoss is the mean of f(i, θ'zᵢ).
func sumLoss(z []float64, k, n int, theta []float64, workers int, f func(i int, eta float64) (f, d1, d2 float64)) point {
	s := num.SumChunks(n, 1+k+k*k, workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			row := z[i*k : (i+1)*k]
			v, d1, d2 := f(i, num.Dot(row, theta))
			addMoments(acc, row, v, d1, d2)
		}
	})
	p := unpack(s, k, float64(n))
	p.value = s[0] / float64(n)
	return p
}

// addMoments adds v, d1·z and the upper half of d2·zz'.
func addMoments(acc, z []float64, v, d1, d2 float64) {
	k := len(z)
	acc[0] += v
	for i, x := range z {
		acc[1+i] += float64(d1 * x)
		g := d2 * x
		h := acc[1+k+i*k : 1+k+(i+1)*k]
		for j := i; j < k; j++ {
			h[j] += float64(g * z[j])
		}
	}
}

func unpack(s []float64, k int, total float64) point {
	p := point{gradient: make([]float64, k), hessian: mat.NewSymDense(k, nil)}
	for i := range k {
		p.gradient[i] = s[1+i] / total
		for j := i; j < k; j++ {
			p.hessian.SetSym(i, j, s[1+k+i*k+j]/total)
		}
	}
	return p
}

// minimise finds where the gradient of a smooth convex function is below [solved], by
// Newton steps that are halved until they go down. It returns where it stopped.
func minimise(ctx context.Context, f func([]float64) point, theta []float64) ([]float64, int, error) {
	const most = 200
	at := f(theta)
	for step := range most {
		if err := ctx.Err(); err != nil {
			return theta, step, err
		}
		size := largest(at.gradient)
		if size <= solved/100 {
			return theta, step, nil
		}
		move, err := newtonStep(at)
		if err != nil {
			return theta, step, err
		}
		slope := num.Dot(move, at.gradient)
		moved := false
		for t := 1.0; t > 1e-12; t /= 2 {
			next := make([]float64, len(theta))
			for j := range next {
				next[j] = theta[j] + float64(t*move[j])
			}
			p := f(next)
			// Near the end the values no longer tell steps apart and the gradients do.
			if p.value <= at.value+1e-4*t*slope && p.value < at.value || largest(p.gradient) < size/2 && p.value <= at.value+1e-12*math.Abs(at.value) {
				theta, at, moved = next, p, true
				break
			}
		}
		if !moved {
			if size <= solved {
				return theta, step, nil
			}
			return theta, step, fmt.Errorf("%w after %d steps", errNotSolved, step)
		}
		if largest(theta) > 1e4 {
			return theta, step, fmt.Errorf("%w: the coefficients grow without bound", errNotSolved)
		}
	}
	if largest(at.gradient) <= solved {
		return theta, most, nil
	}
	return theta, most, fmt.Errorf("%w after %d steps", errNotSolved, most)
}

func largest(x []float64) float64 {
	out := 0.0
	for _, v := range x {
		if math.IsNaN(v) {
			return math.Inf(1)
		}
		out = math.Max(out, math.Abs(v))
	}
	return out
}

// newtonStep is -H⁺g; directions in which the function is flat (eigenvalues below
// 1e-13 of the largest) are left as they are: what depends on them shows in the means.
func newtonStep(at point) ([]float64, error) {
	var e mat.EigenSym
	if !e.Factorize(at.hessian, true) {
		return nil, errNotSolved
	}
	k := len(at.gradient)
	var v mat.Dense
	e.VectorsTo(&v)
	values := e.Values(nil)
	move := make([]float64, k)
	for c, l := range values {
		if !(l > 1e-13*values[k-1]) {
			continue
		}
		along := 0.0
		for j := range k {
			along += float64(v.At(j, c) * at.gradient[j])
		}
		for j := range k {
			move[j] -= float64(along / l * v.At(j, c))
		}
	}
	return move, nil
}
