package panel

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

const (
	penalties    = 20   // steps of the grid of penalties
	penaltyRange = 1e-8 // smallest over largest
)

// augment adds to the weights of sc what a ridge regression of outcomes on earlier outcomes makes of the gap left before treatment.
func (s *Synthetic) augment(b *block, w *synthWeights) error {
	noise := b.noise()
	base, kkt, err := b.unitWeights(flat*noise, false)
	if err != nil {
		return err
	}
	w.unitKKT, w.details["noise"], w.details["zeta"] = kkt, noise, flat*noise
	all := make([]int, b.t0)
	for t := range all {
		all[t] = t
	}
	var lambda float64
	if s.Lambda != nil {
		lambda = *s.Lambda
	} else if lambda, err = b.crossValidate(noise); err != nil {
		return err
	}
	r, err := b.ridge(all)
	if err != nil {
		return err
	}
	w.omega = r.weights(base, lambda)
	w.details["lambda"] = lambda
	below := 0.0
	for _, v := range w.omega {
		below += max(0, -v)
	}
	w.details["negative_weight"] = below
	return nil
}

// ridge is X'X = QDQ' of the controls' outcomes in some periods, less their means.
type ridge struct {
	x      *mat.Dense // n0×k
	target []float64  // k, of the treated, less the controls' means
	q      *mat.Dense
	d      []float64
}

func (b *block) ridge(periods []int) (*ridge, error) {
	k := len(periods)
	r := &ridge{x: mat.NewDense(b.n0, k, nil), target: make([]float64, k), q: &mat.Dense{}}
	for j, t := range periods {
		column := make([]float64, b.n0)
		for i := range column {
			column[i] = b.y[i][t]
		}
		mean := num.Sum(column) / float64(b.n0)
		for i, v := range column {
			r.x.Set(i, j, v-mean)
		}
		r.target[j] = b.treatedMean(t) - mean
	}
	var square mat.SymDense
	square.SymOuterK(1, r.x.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(&square, true) {
		return nil, fmt.Errorf("%w: eigenvalues of the outcomes before treatment", estimate.ErrNotConverged)
	}
	r.d = eigen.Values(nil)
	eigen.VectorsTo(r.q)
	for i, v := range r.d {
		r.d[i] = max(v, 0)
	}
	return r, nil
}

// weights are base + X(X'X + λI)⁻¹(target - X'base).
func (r *ridge) weights(base []float64, lambda float64) []float64 {
	n, k := r.x.Dims()
	gap := mat.NewVecDense(k, slices.Clone(r.target))
	var fit, turned, coef, add mat.VecDense
	fit.MulVec(r.x.T(), mat.NewVecDense(n, base))
	gap.SubVec(gap, &fit)
	turned.MulVec(r.q.T(), gap)
	for j, d := range r.d {
		turned.SetVec(j, turned.AtVec(j)/(d+lambda))
	}
	coef.MulVec(r.q, &turned)
	add.MulVec(r.x, &coef)
	out := slices.Clone(base)
	for i := range out {
		out[i] += add.AtVec(i)
	}
	return out
}

// crossValidate leaves out one period before treatment after the other and takes the largest penalty whose mean squared
// error lies within one standard error of the least.
func (b *block) crossValidate(noise float64) (float64, error) {
	all := make([]int, b.t0)
	for t := range all {
		all[t] = t
	}
	whole, err := b.ridge(all)
	if err != nil {
		return 0, err
	}
	top := slices.Max(whole.d)
	if top == 0 {
		return 1, nil // controls that are all alike: no regression, whatever the penalty
	}
	grid := make([]float64, penalties+1)
	for j := range grid {
		grid[j] = top * math.Pow(penaltyRange, float64(j)/penalties)
	}
	squares := make([][]float64, len(grid))
	for t := range b.t0 {
		rest := slices.Delete(slices.Clone(all), t, t+1)
		less := &block{y: make([][]float64, len(b.y)), n0: b.n0, t0: b.t0 - 1, periods: make([]int, b.t0-1)}
		for i, y := range b.y {
			less.y[i] = slices.Delete(slices.Clone(y[:b.t0]), t, t+1)
		}
		base, _, err := less.unitWeights(flat*noise, false)
		if err != nil {
			return 0, err
		}
		r, err := b.ridge(rest)
		if err != nil {
			return 0, err
		}
		for j, lambda := range grid {
			miss := b.treatedMean(t)
			for i, v := range r.weights(base, lambda) {
				miss -= float64(v * b.y[i][t])
			}
			squares[j] = append(squares[j], float64(miss*miss))
		}
	}
	mean := func(j int) float64 { return num.Sum(squares[j]) / float64(b.t0) }
	best := 0
	for j := range grid {
		if mean(j) < mean(best) {
			best = j
		}
	}
	limit := mean(best) + deviation(squares[best], 1)/math.Sqrt(float64(b.t0))
	for j := range grid {
		if mean(j) <= limit {
			return grid[j], nil
		}
	}
	return grid[best], nil
}
