package effect

import (
	"context"
	"math"
	"slices"
)

// pairOfSets solves for the coefficients of two sets of dummies. With the larger set A
// eliminated those of the smaller, B, solve
//
//	(N_B - C'N_A⁻¹C)·β = B'W(x - mean_A x),  C = A'WB
//
// by conjugate gradients with N_B as preconditioner: the matrix is never formed, for
// its product with β is one pass over the rows in the order of A, which needs no more
// of a row than its level of B. What is left of x after that is solved for again until
// its means are rounding.
type pairOfSets struct {
	order  []int32 // rows in the order of A; nil if they are
	start  []int32 // of each level of A in that order, and the end
	b      []int32 // level of B in that order
	w      []float64
	na, nb []float64
}

func newPairOfSets(e *effects) *pairOfSets {
	a, b := 0, 1
	if e.levels[1] > e.levels[0] {
		a, b = 1, 0
	}
	n := len(e.codes[a])
	p := &pairOfSets{start: make([]int32, e.levels[a]+1), b: make([]int32, n), na: e.total[a], nb: e.total[b]}
	for _, l := range e.codes[a] {
		p.start[l+1]++
	}
	for l := range e.levels[a] {
		p.start[l+1] += p.start[l]
	}
	if !slices.IsSorted(e.codes[a]) {
		p.order = make([]int32, n)
		next := slices.Clone(p.start)
		for r, l := range e.codes[a] {
			p.order[next[l]] = int32(r)
			next[l]++
		}
	}
	if e.weight != nil {
		p.w = make([]float64, n)
	}
	for i := range n {
		r := p.row(i)
		p.b[i] = int32(e.codes[b][r])
		if p.w != nil {
			p.w[i] = e.weight[r]
		}
	}
	return p
}

func (p *pairOfSets) row(i int) int {
	if p.order == nil {
		return i
	}
	return int(p.order[i])
}

// times stores (N_B - C'N_A⁻¹C)·β in out.
func (p *pairOfSets) times(beta, out []float64) {
	for j, v := range beta {
		out[j] = p.nb[j] * v
	}
	for g := range p.na {
		lo, hi := p.start[g], p.start[g+1]
		rows := p.b[lo:hi]
		if p.w == nil {
			var sum float64
			for _, j := range rows {
				sum += beta[j]
			}
			mean := sum / p.na[g]
			for _, j := range rows {
				out[j] -= mean
			}
			continue
		}
		w := p.w[lo:hi]
		var sum float64
		for i, j := range rows {
			sum += float64(w[i] * beta[j])
		}
		mean := sum / p.na[g]
		for i, j := range rows {
			out[j] -= float64(w[i] * mean)
		}
	}
}

// left subtracts the means in A from x (in the order of A) and returns the sums of what
// is left by level of B and the length of their projection.
func (p *pairOfSets) left(x, sums []float64) float64 {
	clear(sums)
	for g := range p.na {
		lo, hi := p.start[g], p.start[g+1]
		part, rows := x[lo:hi], p.b[lo:hi]
		var sum float64
		if p.w == nil {
			for _, v := range part {
				sum += v
			}
		} else {
			for i, v := range part {
				sum += float64(p.w[int(lo)+i] * v)
			}
		}
		mean := sum / p.na[g]
		for i := range part {
			part[i] -= mean
			v := part[i]
			if p.w != nil {
				v = float64(p.w[int(lo)+i] * v)
			}
			sums[rows[i]] += v
		}
	}
	var length float64
	for j, s := range sums {
		length += float64(s / p.nb[j] * s)
	}
	return math.Sqrt(length)
}

// absorb overwrites x with its residual from both sets.
func (p *pairOfSets) absorb(ctx context.Context, x []float64, length float64) (float64, error) {
	work := x
	if p.order != nil {
		work = make([]float64, len(x))
		for i, r := range p.order {
			work[i] = x[r]
		}
	}
	sums, beta := make([]float64, len(p.nb)), make([]float64, len(p.nb))
	reached := p.left(work, sums)
	for round := 0; round < 6 && reached > 1e-15*length; round++ {
		if err := p.solve(ctx, sums, beta, 1e-16*length); err != nil {
			return 0, err
		}
		for i, j := range p.b {
			work[i] -= beta[j]
		}
		before := reached
		if reached = p.left(work, sums); reached > before/2 {
			break // rounding
		}
	}
	if p.order != nil {
		for i, r := range p.order {
			x[r] = work[i]
		}
	}
	return reached / length, notAbsorbed(reached / length)
}

// solve overwrites beta with the solution for the right-hand side r, which it uses up,
// to a residual of the length enough or 1e-9 of its first.
func (p *pairOfSets) solve(ctx context.Context, r, beta []float64, enough float64) error {
	m := len(r)
	clear(beta)
	z, d, ad := make([]float64, m), make([]float64, m), make([]float64, m)
	precondition := func() (rho float64) {
		for j, v := range r {
			z[j] = v / p.nb[j]
			rho += float64(v * z[j])
		}
		return rho
	}
	rho := precondition()
	copy(d, z)
	enough = math.Max(enough*enough, 1e-18*rho)
	for iter := 0; rho > enough && iter < 5000; iter++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.times(d, ad)
		var curve, size float64
		for j, v := range d {
			curve += float64(v * ad[j])
			size += float64(float64(v*v) * p.nb[j])
		}
		// A direction that the matrix takes to rounding is its null space, as levels count from any zero: a step along it has no end.
		if !(curve > 1e-13*size) {
			return nil
		}
		alpha := rho / curve
		for j := range r {
			beta[j] += float64(alpha * d[j])
			r[j] -= float64(alpha * ad[j])
		}
		next := precondition()
		for j := range d {
			d[j] = z[j] + float64(next/rho*d[j])
		}
		rho = next
	}
	return nil
}
