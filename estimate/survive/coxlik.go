package survive

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// columnScale returns the weighted mean and standard deviation of each column over rows in the given order.
func columnScale(x *mat.Dense, names []string, weight []float64, order []int32, workers int) (mean, sd []float64, err error) {
	k := len(names)
	w := func(r int32) float64 {
		if weight == nil {
			return 1
		}
		return weight[r]
	}
	sums := num.SumChunks(len(order), 1+k, workers, func(lo, hi int, acc []float64) {
		for _, r := range order[lo:hi] {
			acc[0] += w(r)
			for j, v := range x.RawRowView(int(r)) {
				acc[1+j] += float64(w(r) * v)
			}
		}
	})
	mean = sums[1:]
	for j := range mean {
		mean[j] /= sums[0]
	}
	sd = num.SumChunks(len(order), k, workers, func(lo, hi int, acc []float64) {
		for _, r := range order[lo:hi] {
			for j, v := range x.RawRowView(int(r)) {
				acc[j] += float64(w(r) * (v - mean[j]) * (v - mean[j]))
			}
		}
	})
	for j := range sd {
		sd[j] = math.Sqrt(sd[j] / sums[0])
		if !(sd[j] > 1e-12*math.Abs(mean[j])) {
			return nil, nil, fmt.Errorf("%w: %q has one value only", estimate.ErrCollinear, names[j])
		}
	}
	return mean, sd, nil
}

// coxPoint is the likelihood at b, in the scale of z.
type coxPoint struct {
	b          []float64
	eta, r     []float64 // linear predictor, e^η
	ll         float64
	u          []float64 // score
	info       *mat.SymDense
	centre     []float64 // what the information of each column was left by: Σ w̄·e², the square of the mean in the risk set
	chol       []float64
	iterations int
	tolerance  float64

	null, loglik, score float64
}

// coxIterations is enough for any likelihood with a maximum: Newton's method converges in
// under ten steps, while without one the linear predictor grows by about 1 a step.
const coxIterations = 60

// newton maximises the likelihood. A pivot of the information that falls to 1e-9 of what it is
// at β = 0 says that the likelihood has no maximum in that direction.
func newton(ctx context.Context, names []string, point func(b []float64) *coxPoint) (*coxPoint, error) {
	k := len(names)
	p := point(make([]float64, k))
	start := mat.NewSymDense(k, nil)
	start.CopySym(p.info)
	p.chol = make([]float64, k*k)
	dependent := cholesky(p.info, p.chol, 1e-10)
	for j := 0; j < k && dependent < 0; j++ {
		if !(p.info.At(j, j) > 1e-12*p.centre[j]) { // no more than rounding
			dependent = j
		}
	}
	if dependent >= 0 {
		return nil, fmt.Errorf("%w: %q is constant or follows from the columns before it among those at risk", estimate.ErrCollinear, names[dependent])
	}
	pivots := make([]float64, k)
	for j := range k {
		pivots[j] = p.chol[j*k+j] * p.chol[j*k+j]
	}
	null, score, last := p.ll, 0.0, math.Inf(1)
	for it := 1; it <= coxIterations; it++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		step := slices.Clone(p.u)
		forwardSolve(p.chol, k, step)
		gain := 0.0 // twice what a quadratic likelihood would still gain
		for _, x := range step {
			gain += float64(x * x)
		}
		if it == 1 {
			score = gain
		}
		backSolve(p.chol, k, step)
		// A step of 1e-13 standard errors or below the rounding of the coefficients, or the floor of rounding on the way to it.
		if gain <= 1e-26 || gain <= 1e-13 && (gain > last/4 || largest(step) <= 4e-15*largest(p.b)) {
			p.iterations, p.tolerance, p.null, p.loglik, p.score = it-1, gain, null, p.ll, score
			return p, nil
		}
		last = gain
		b, at := make([]float64, k), p
		for half := 1.0; ; half /= 2 {
			for j := range b {
				b[j] = at.b[j] + float64(half*step[j])
			}
			p = point(b)
			// Rounding of a sum of this size may hide the last gains.
			if p.ll >= at.ll-1e-12*(1+math.Abs(at.ll)) {
				break
			}
			if half < 1e-6 {
				return nil, fmt.Errorf("%w: no step of Newton's method raises the likelihood", estimate.ErrNotConverged)
			}
		}
		p.chol = make([]float64, k*k)
		bad := cholesky(p.info, p.chol, 0)
		for j := 0; j < k && bad < 0; j++ {
			if p.chol[j*k+j]*p.chol[j*k+j] < 1e-9*pivots[j] {
				bad = j
			}
		}
		if bad >= 0 {
			return nil, separated(names, p.b)
		}
	}
	return nil, fmt.Errorf("%w: Newton's method took %d steps", estimate.ErrNotConverged, coxIterations)
}

func largest(x []float64) (most float64) {
	for _, v := range x {
		most = max(most, math.Abs(v))
	}
	return most
}

// separated names the column whose effect has run furthest.
func separated(names []string, b []float64) error {
	far := 0
	for j := range b {
		if math.Abs(b[j]) > math.Abs(b[far]) {
			far = j
		}
	}
	return fmt.Errorf("%w: the likelihood has no maximum; %q, alone or with others, decides who has the event; leave it out or merge categories", estimate.ErrSeparated, names[far])
}

// cholesky factors v = L·L' into l, row-major. It returns the first column whose pivot is not above tol
// times its diagonal, or -1.
func cholesky(v *mat.SymDense, l []float64, tol float64) int {
	k, _ := v.Dims()
	for j := range k {
		for i := j; i < k; i++ {
			x := v.At(i, j)
			for c := range j {
				x -= float64(l[i*k+c] * l[j*k+c])
			}
			if i == j {
				if !(x > tol*v.At(j, j)) || math.IsInf(x, 0) {
					return j
				}
				l[j*k+j] = math.Sqrt(x)
				continue
			}
			l[i*k+j] = x / l[j*k+j]
		}
	}
	return -1
}

// forwardSolve solves L·y = b in place, backSolve L'·x = b.
func forwardSolve(l []float64, k int, b []float64) {
	for i := range k {
		for c := range i {
			b[i] -= float64(l[i*k+c] * b[c])
		}
		b[i] /= l[i*k+i]
	}
}

func backSolve(l []float64, k int, b []float64) {
	for i := k - 1; i >= 0; i-- {
		for c := i + 1; c < k; c++ {
			b[i] -= float64(l[c*k+i] * b[c])
		}
		b[i] /= l[i*k+i]
	}
}
