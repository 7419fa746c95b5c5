package panel

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

// spread is the standard error of θ and what describes it.
func (s *Synthetic) spread(ctx context.Context, b *block, w *synthWeights, theta float64) (float64, map[string]any, error) {
	switch s.Errors {
	case NoErrors, ConformalErrors:
		return math.NaN(), nil, nil
	case JackknifeErrors:
		se, err := b.jackknife(w)
		return se, nil, err
	case BootstrapErrors:
		return s.bootstrap(ctx, b)
	}
	return s.placebo(ctx, b, theta)
}

func (s *Synthetic) replicates() int {
	if s.Replicates == 0 {
		return defaultReplicates
	}
	return s.Replicates
}

// repeat estimates n blocks, the same whatever the number of workers.
func (s *Synthetic) repeat(ctx context.Context, n int, draw func(i int) *block) ([]float64, error) {
	values, errs := make([]float64, n), make([]error, n)
	num.ForEach(n, s.Workers, func(i int) {
		if errs[i] = ctx.Err(); errs[i] != nil {
			return
		}
		b := draw(i)
		w, err := s.weigh(b)
		if err != nil {
			errs[i] = fmt.Errorf("%s %d: %w", s.Errors, i+1, err)
			return
		}
		values[i], _ = b.effect(w)
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}

// placebo calls as many controls treated as there are treated units, which are left out themselves: every choice where
// they are no more than the replicates, else random ones. SE² is the variance of the effects, divisor their number.
func (s *Synthetic) placebo(ctx context.Context, b *block, theta float64) (float64, map[string]any, error) {
	n1 := len(b.y) - b.n0
	if b.n0 <= n1 {
		return 0, nil, fmt.Errorf("%w: placebo errors need more controls (%d) than treated units (%d); use the jackknife or the bootstrap", estimate.ErrTooFew, b.n0, n1)
	}
	chosen, all := choices(b.n0, n1, s.replicates())
	if !all {
		for i := range s.replicates() {
			chosen = append(chosen, choose(num.NewStream(s.Seed, "synth-placebo", uint64(i)), b.n0, n1))
		}
	}
	if len(chosen) < 2 {
		return 0, nil, fmt.Errorf("%w: %d controls allow one placebo only", estimate.ErrTooFew, b.n0)
	}
	values, err := s.repeat(ctx, len(chosen), func(i int) *block {
		units := make([]int, 0, b.n0)
		for u := range b.n0 {
			if !slices.Contains(chosen[i], u) {
				units = append(units, u)
			}
		}
		return b.pick(append(units, chosen[i]...), b.n0-n1)
	})
	if err != nil {
		return 0, nil, err
	}
	larger := 0
	for _, v := range values {
		if math.Abs(v) >= math.Abs(theta) {
			larger++
		}
	}
	out := map[string]any{"draws": len(values), "all": all, "p_value": float64(1+larger) / float64(1+len(values))}
	if n1 == 1 && all {
		each := map[string]float64{}
		for i, c := range chosen {
			each[b.names[c[0]]] = values[i]
		}
		out["effects"] = each
	}
	return deviation(values, 0), out, nil
}

// choices lists every way to take k of n if they are at most limit.
func choices(n, k, limit int) (out [][]int, all bool) {
	count := 1.0
	for i := range k {
		count *= float64(n-i) / float64(i+1)
	}
	if math.Round(count) > float64(limit) {
		return nil, false
	}
	at := make([]int, k)
	for i := range at {
		at[i] = i
	}
	for {
		out = append(out, slices.Clone(at))
		i := k - 1
		for i >= 0 && at[i] == n-k+i {
			i--
		}
		if i < 0 {
			return out, true
		}
		at[i]++
		for j := i + 1; j < k; j++ {
			at[j] = at[j-1] + 1
		}
	}
}

// choose draws k of n without replacement.
func choose(r *num.Stream, n, k int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for i := range k {
		j := i + r.Intn(n-i)
		order[i], order[j] = order[j], order[i]
	}
	slices.Sort(order[:k])
	return order[:k]
}

// jackknife leaves out one unit after the other with the weights of the others as they are, scaled to add up to 1:
// SE² = (n-1)/n·Σ(θ[-i] - mean)².
func (b *block) jackknife(w *synthWeights) (float64, error) {
	positive := 0
	for _, v := range w.omega {
		if v > 0 {
			positive++
		}
	}
	n := len(b.y)
	switch {
	case n-b.n0 < 2:
		return 0, fmt.Errorf("%w: the jackknife needs two treated units or more; use placebo errors", estimate.ErrTooFew)
	case positive < 2:
		return 0, fmt.Errorf("%w: one control has all the weight, so that none can be left out; use placebo errors", estimate.ErrTooFew)
	}
	values := make([]float64, n)
	for out := range n {
		units := make([]int, 0, n-1)
		one := &synthWeights{lambda: w.lambda}
		sum, n0 := 0.0, b.n0
		for u := range n {
			if u == out {
				continue
			}
			units = append(units, u)
			if u < b.n0 {
				one.omega = append(one.omega, w.omega[u])
				sum += w.omega[u]
			}
		}
		if out < b.n0 {
			n0--
		}
		for i := range one.omega {
			one.omega[i] /= sum
		}
		values[out], _ = b.pick(units, n0).effect(one)
	}
	return deviation(values, 0) * math.Sqrt(float64(n-1)), nil
}

// bootstrap draws units with replacement, again where none is treated or none is a control; the variance has the number of draws as divisor.
func (s *Synthetic) bootstrap(ctx context.Context, b *block) (float64, map[string]any, error) {
	n := len(b.y)
	if n-b.n0 < 2 || b.n0 < 2 {
		return 0, nil, fmt.Errorf("%w: the bootstrap needs two treated units and two controls or more; use placebo errors", estimate.ErrTooFew)
	}
	values, err := s.repeat(ctx, s.replicates(), func(i int) *block {
		r := num.NewStream(s.Seed, "synth-bootstrap", uint64(i))
		for {
			units := make([]int, n)
			n0 := 0
			for k := range units {
				units[k] = r.Intn(n)
				if units[k] < b.n0 {
					n0++
				}
			}
			if n0 > 0 && n0 < n {
				slices.Sort(units)
				return b.pick(units, n0)
			}
		}
	})
	if err != nil {
		return 0, nil, err
	}
	return deviation(values, 0), map[string]any{"draws": len(values)}, nil
}
