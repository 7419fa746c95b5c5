package panel

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

const (
	alike       = 1e-10 // ridge of the weights, over the largest squared distance of a control from the treated: makes them unique
	searchFrom  = 3     // starts of the search for V that are followed
	finestStep  = 0.02  // in log V
	lowestShare = 1e-8  // of a predictor in V
)

// weighPredictors finds ω from predictors, with V given or searched.
func (s *Synthetic) weighPredictors(b *block, w *synthWeights) error {
	k := len(b.xnames)
	scaled := make([][]float64, len(b.x))
	for u := range scaled {
		scaled[u] = make([]float64, k)
	}
	for j, name := range b.xnames {
		column := make([]float64, len(b.x))
		for u, x := range b.x {
			column[u] = x[j]
		}
		sd := deviation(column, 1)
		if !(sd > 0) {
			return fmt.Errorf("%w: predictor %q is the same for all units; leave it out", estimate.ErrCollinear, name)
		}
		for u := range scaled {
			scaled[u][j] = b.x[u][j] / sd
		}
	}
	target := make([]float64, k)
	for _, x := range scaled[b.n0:] {
		for j, v := range x {
			target[j] += v / float64(len(b.y)-b.n0)
		}
	}
	solve := func(v []float64) num.SimplexWeights {
		q := num.SimplexQP{Rows: k, A: make([]float64, 0, k*b.n0), B: make([]float64, k)}
		for j, t := range target {
			q.B[j] = math.Sqrt(v[j]) * t
		}
		for _, x := range scaled[:b.n0] {
			far := 0.0
			for j, z := range x {
				d := math.Sqrt(v[j]) * z
				q.A = append(q.A, d)
				far += float64((d - q.B[j]) * (d - q.B[j]))
			}
			q.Ridge = max(q.Ridge, alike*far)
		}
		return q.Solve()
	}
	loss := func(omega []float64) float64 {
		sum := 0.0
		for t := range b.t0 {
			gap := b.treatedMean(t)
			for i, o := range omega {
				gap -= float64(o * b.y[i][t])
			}
			sum += float64(gap * gap)
		}
		return sum / float64(b.t0)
	}
	v := shares(s.PredictorWeights)
	if v == nil {
		v = searchV(k, func(v []float64) float64 { return loss(solve(v).W) })
	}
	got := solve(v)
	if !(got.KKT <= num.Solved) {
		return fmt.Errorf("%w: the unit weights miss the conditions of the optimum by %.2g", estimate.ErrNotConverged, got.KKT)
	}
	w.omega, w.unitKKT = got.W, got.KKT
	rows := make([]map[string]any, k)
	for j, name := range b.xnames {
		treated, synthetic, mean := 0.0, 0.0, 0.0
		for _, x := range b.x[b.n0:] {
			treated += x[j] / float64(len(b.y)-b.n0)
		}
		for i, x := range b.x[:b.n0] {
			synthetic += float64(got.W[i] * x[j])
			mean += x[j] / float64(b.n0)
		}
		rows[j] = map[string]any{"predictor": name, "treated": treated, "synthetic": synthetic, "controls": mean, "weight": v[j]}
	}
	w.details["predictors"], w.details["loss_v"] = rows, loss(got.W)
	return nil
}

// shares scales to a sum of 1; nil stays nil.
func shares(v []float64) []float64 {
	if v == nil {
		return nil
	}
	sum := num.Sum(v)
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / sum
	}
	return out
}

// searchV looks for the V with the least loss: from equal shares and from half the weight on each predictor, the best few
// followed by steps in one logarithm at a time that halve when none helps. The least loss is not convex in V.
func searchV(k int, loss func(v []float64) float64) []float64 {
	type start struct {
		v    []float64
		loss float64
	}
	var starts []start
	for j := -1; j < k; j++ {
		v := slices.Repeat([]float64{1}, k)
		if j >= 0 && k > 1 {
			v[j] = float64(k - 1)
		}
		v = shares(v)
		starts = append(starts, start{v, loss(v)})
	}
	slices.SortStableFunc(starts, func(a, b start) int { return cmp.Compare(a.loss, b.loss) })
	best := starts[0]
	for _, at := range starts[:min(searchFrom, len(starts))] {
		for step := 2.0; step >= finestStep; {
			moved := false
			for j := range k {
				for _, sign := range []float64{1, -1} {
					v := slices.Clone(at.v)
					v[j] = max(v[j]*math.Exp(sign*step), lowestShare)
					v = shares(v)
					if l := loss(v); l < at.loss-float64(1e-12*math.Abs(at.loss)) {
						at, moved = start{v, l}, true
						break
					}
				}
			}
			if !moved {
				step /= 2
			}
		}
		if at.loss < best.loss {
			best = at
		}
	}
	return best.v
}
