package panel

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// synthWeights are the weights of controls and of periods before treatment.
type synthWeights struct {
	omega, lambda    []float64
	unitKKT, timeKKT float64
	details          map[string]any
}

// flat is the ridge, in noise, of weights that are to be unique and otherwise free.
const flat = 1e-6

func (s *Synthetic) weigh(b *block) (*synthWeights, error) {
	w := &synthWeights{lambda: make([]float64, b.t0), details: map[string]any{}}
	var err error
	switch {
	case s.Method == DifferenceInMeans:
		w.omega = make([]float64, b.n0)
		for i := range w.omega {
			w.omega[i] = 1 / float64(b.n0)
		}
		for t := range w.lambda {
			w.lambda[t] = 1 / float64(b.t0)
		}
		return w, nil
	case len(s.Predictors) > 0:
		err = s.weighPredictors(b, w)
	case s.Method == SyntheticControl:
		noise := b.noise()
		w.omega, w.unitKKT, err = b.unitWeights(flat*noise, false)
		w.details["noise"], w.details["zeta"] = noise, flat*noise
	case s.Method == SyntheticDID:
		noise := b.noise()
		zeta := math.Sqrt(math.Sqrt(float64((len(b.y)-b.n0)*(len(b.periods)-b.t0)))) * noise
		if w.omega, w.unitKKT, err = b.unitWeights(zeta, true); err != nil {
			return nil, err
		}
		w.lambda, w.timeKKT, err = b.timeWeights(flat * noise)
		w.details["noise"], w.details["zeta"] = noise, zeta
	default:
		err = s.augment(b, w)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// unitWeights solves for ω; free = the level of the synthetic control does not matter.
func (b *block) unitWeights(zeta float64, free bool) ([]float64, float64, error) {
	q := num.SimplexQP{Rows: b.t0, Ridge: float64(b.t0) * zeta * zeta, A: make([]float64, 0, b.n0*b.t0), B: make([]float64, b.t0)}
	for t := range q.B {
		q.B[t] = b.treatedMean(t)
	}
	for _, y := range b.y[:b.n0] {
		q.A = append(q.A, y[:b.t0]...)
		if free {
			centre(q.A[len(q.A)-b.t0:])
		}
	}
	if free {
		centre(q.B)
	}
	return solved(&q, "unit")
}

// timeWeights solves for λ, the level left free.
func (b *block) timeWeights(zeta float64) ([]float64, float64, error) {
	q := num.SimplexQP{Rows: b.n0, Ridge: float64(b.n0) * zeta * zeta, A: make([]float64, b.t0*b.n0), B: make([]float64, b.n0)}
	for i, y := range b.y[:b.n0] {
		for t := range b.t0 {
			q.A[t*b.n0+i] = y[t]
		}
		q.B[i] = num.Sum(y[b.t0:]) / float64(len(y)-b.t0)
	}
	for t := range b.t0 {
		centre(q.A[t*b.n0 : (t+1)*b.n0])
	}
	centre(q.B)
	return solved(&q, "time")
}

// centre takes the mean off.
func centre(v []float64) {
	mean := num.Sum(v) / float64(len(v))
	for i := range v {
		v[i] -= mean
	}
}

// solved refuses weights that are not the optimum.
func solved(q *num.SimplexQP, what string) ([]float64, float64, error) {
	s := q.Solve()
	if !(s.KKT <= num.Solved) {
		return nil, 0, fmt.Errorf("%w: the %s weights miss the conditions of the optimum by %.2g; rescale the outcome", estimate.ErrNotConverged, what, s.KKT)
	}
	return s.W, s.KKT, nil
}
