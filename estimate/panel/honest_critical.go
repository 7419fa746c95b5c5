package panel

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

// The least-favourable critical value of the first stage of [relative].

// draw fills steps.
func (r *relative) draw() {
	if r.steps != nil {
		return
	}
	n := r.pre + r.post
	r.steps = make([][]float64, leastFavourable)
	for d := range r.steps {
		s := num.NewStream(r.seed, "honest-did", uint64(d))
		z := make([]float64, n)
		for i := range z {
			z[i] = s.Normal()
		}
		x := make([]float64, n+1) // the reference period is 0
		for i := range z {
			at := i
			if i >= r.pre {
				at++
			}
			for j := 0; j <= i; j++ {
				x[at] += float64(r.half.At(i, j) * z[j])
			}
		}
		r.steps[d] = make([]float64, n)
		for p := range n {
			r.steps[d][p] = x[p+1] - x[p]
		}
	}
}

// inequalities fills y with A times a draw of the coefficients, by its steps.
func (r *relative) inequalities(p *polyhedron, steps, y []float64) {
	bound := p.factor * steps[p.largest]
	for t := range r.post {
		v := steps[r.pre+t]
		y[t], y[t+r.post] = v-bound, -v-bound
	}
}

// above is no smaller than the critical value: with τ = 0 the statistic is the largest inequality in its errors, which needs no programme.
func (r *relative) above(p *polyhedron) float64 {
	tops, y := make([]float64, len(r.steps)), make([]float64, p.size)
	for d, steps := range r.steps {
		r.inequalities(p, steps, y)
		top := math.Inf(-1)
		for i, v := range y {
			switch sd := p.w[i*r.post]; {
			case sd > 0:
				top = max(top, v/sd)
			case v > 0: // without sampling error τ must meet it
				top = math.Inf(1)
			}
		}
		tops[d] = top
	}
	return r.firstStage(tops)
}

// critical is the least-favourable critical value of a set, by programmes for blocks of draws.
func (r *relative) critical(p *polyhedron) (float64, error) {
	if !math.IsNaN(p.limit) {
		return p.limit, nil
	}
	const block = 250
	etas := make([]float64, len(r.steps))
	failed := make([]bool, (len(etas)+block-1)/block)
	num.ForEach(len(failed), r.workers, func(b int) {
		lp, y := p.programme(), make([]float64, p.size)
		for d := b * block; d < min((b+1)*block, len(etas)); d++ {
			r.inequalities(p, r.steps[d], y)
			var ok bool
			etas[d], ok = lp.Solve(y)
			failed[b] = failed[b] || !ok
		}
	})
	if slices.Contains(failed, true) {
		return 0, fmt.Errorf("%w: linear programme of the least-favourable critical value", estimate.ErrNotConverged)
	}
	p.limit = r.firstStage(etas)
	return p.limit, nil
}

// firstStage sorts the statistics of the draws and returns the quantile that the first stage tests with.
func (r *relative) firstStage(etas []float64) float64 {
	slices.Sort(etas)
	h := float64(len(etas)-1) * (1 - r.alpha/stages)
	low := int(h)
	out := etas[low]
	if low+1 < len(etas) && h > float64(low) {
		out += float64((h - float64(low)) * (etas[low+1] - etas[low]))
	}
	return out
}
