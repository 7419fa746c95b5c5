package panel

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// completion is the matrix problem of mc: least ½Σ (y - α - δ - L)² + λ|L|* over the rows that are in.
type completion struct {
	p     *factorPanel
	in    [][]bool
	told  bool         // period effects can be told from unit effects
	chol  mat.Cholesky // of the period effects once unit effects are out, the first period left out
	count []float64    // rows in of each unit
	low   *mat.Dense   // L
	alpha []float64
	delta []float64
	steps int
	moved float64 // largest change of L in the last step, in the size of L
	rank  int
}

// newCompletion takes the untreated rows but for those held out.
func newCompletion(p *factorPanel, out func(u, t int) bool) *completion {
	n, k := len(p.y), len(p.periods)
	c := &completion{p: p, in: make([][]bool, n), count: make([]float64, n), low: mat.NewDense(n, k, nil), alpha: make([]float64, n), delta: make([]float64, k)}
	for u := range c.in {
		c.in[u] = make([]bool, k)
		for t := range k {
			if c.in[u][t] = t < p.start[u] && (out == nil || !out(u, t)); c.in[u][t] {
				c.count[u]++
			}
		}
	}
	square := mat.NewSymDense(k-1, nil)
	for u, in := range c.in {
		for a := 1; a < k; a++ {
			if !in[a] {
				continue
			}
			square.SetSym(a-1, a-1, square.At(a-1, a-1)+1)
			for b := 1; b <= a; b++ {
				if in[b] {
					square.SetSym(a-1, b-1, square.At(a-1, b-1)-1/c.count[u])
				}
			}
		}
	}
	c.told = c.chol.Factorize(square)
	return c
}

// effects are unit and period effects by least squares given L.
func (c *completion) effects() error {
	if !c.told {
		return fmt.Errorf("%w: period effects cannot be told from unit effects", estimate.ErrCollinear)
	}
	k := len(c.p.periods)
	right := mat.NewVecDense(k-1, nil)
	mean := make([]float64, len(c.p.y))
	for u, y := range c.p.y {
		for t, in := range c.in[u] {
			if in {
				mean[u] += y[t] - c.low.At(u, t)
			}
		}
		if c.count[u] > 0 {
			mean[u] /= c.count[u]
		}
		for t := 1; t < k; t++ {
			if c.in[u][t] {
				right.SetVec(t-1, right.AtVec(t-1)+y[t]-c.low.At(u, t)-mean[u])
			}
		}
	}
	var delta mat.VecDense
	if err := c.chol.SolveVecTo(&delta, right); err != nil {
		return fmt.Errorf("%w: period effects cannot be told from unit effects", estimate.ErrCollinear)
	}
	for t := 1; t < k; t++ {
		c.delta[t] = delta.AtVec(t - 1)
	}
	for u := range c.p.y {
		off := 0.0
		for t, in := range c.in[u] {
			if in {
				off += c.delta[t]
			}
		}
		c.alpha[u] = mean[u]
		if c.count[u] > 0 {
			c.alpha[u] -= off / c.count[u]
		}
	}
	return nil
}

// solve goes on from the L that there is: residuals of the rows in, L elsewhere, singular values made smaller by λ, until nothing moves.
func (c *completion) solve(lambda, tolerance float64) error {
	n, k := len(c.p.y), len(c.p.periods)
	z := mat.NewDense(n, k, nil)
	var gram mat.SymDense
	for c.steps = 1; c.steps <= completionSteps; c.steps++ {
		if err := c.effects(); err != nil {
			return err
		}
		size := 0.0
		for u, y := range c.p.y {
			for t := range k {
				v := c.low.At(u, t)
				if c.in[u][t] {
					v = y[t] - c.alpha[u] - c.delta[t]
				}
				size = math.Max(size, math.Abs(v))
				z.Set(u, t, v)
			}
		}
		gram.Reset()
		gram.SymOuterK(1, z.T())
		var eigen mat.EigenSym
		if !eigen.Factorize(&gram, true) {
			return fmt.Errorf("%w: singular values", estimate.ErrNotConverged)
		}
		var v, left, next mat.Dense
		eigen.VectorsTo(&v)
		c.rank = 0
		scaled := mat.NewDense(k, k, nil)
		for j, square := range eigen.Values(nil) {
			sigma := math.Sqrt(math.Max(square, 0))
			if sigma > lambda {
				c.rank++
				f := 1 - lambda/sigma
				for i := range k {
					scaled.Set(i, j, v.At(i, j)*f)
				}
			}
		}
		left.Mul(z, scaled)
		next.Mul(&left, v.T())
		c.moved = 0
		for u := range n {
			for t := range k {
				c.moved = math.Max(c.moved, math.Abs(next.At(u, t)-c.low.At(u, t)))
			}
		}
		c.low.Copy(&next)
		if size > 0 {
			c.moved /= size
		}
		if c.moved <= tolerance {
			return c.effects()
		}
	}
	return fmt.Errorf("%w: matrix completion still moves by %.2g of the outcomes' spread after %d steps; give a larger lambda", estimate.ErrNotConverged, c.moved, completionSteps)
}

func (c *completion) fitted() [][]float64 {
	out := make([][]float64, len(c.p.y))
	for u := range out {
		out[u] = make([]float64, len(c.p.periods))
		for t := range out[u] {
			out[u][t] = c.alpha[u] + c.delta[t] + c.low.At(u, t)
		}
	}
	return out
}

// largest is the largest singular value of the residuals without L: the penalty from which L is 0.
func (c *completion) largest() (float64, error) {
	if err := c.effects(); err != nil {
		return 0, err
	}
	n, k := len(c.p.y), len(c.p.periods)
	z := mat.NewDense(n, k, nil)
	for u, y := range c.p.y {
		for t, in := range c.in[u] {
			if in {
				z.Set(u, t, y[t]-c.alpha[u]-c.delta[t])
			}
		}
	}
	var svd mat.SVD
	if !svd.Factorize(z, mat.SVDNone) {
		return 0, fmt.Errorf("%w: singular values", estimate.ErrNotConverged)
	}
	return slices.Max(svd.Values(nil)), nil
}

// chooseLambda holds out a fifth of each unit's untreated rows at a time, by a keyed hash of unit and period, and takes the penalty with the least squared error there.
func (p *factorPanel) chooseLambda(ctx context.Context, seed uint64, workers int) (float64, error) {
	top, err := newCompletion(p, nil).largest()
	if err != nil || top == 0 {
		return 0, err
	}
	fold := make([][]int, len(p.y))
	for u := range fold {
		fold[u] = slices.Repeat([]int{-1}, len(p.periods))
		order := make([]int, p.start[u])
		key := make([]uint64, p.start[u])
		for t := range order {
			order[t], key[t] = t, num.KeyedHash(seed, fmt.Sprintf("%s|%d", p.names[u], p.periods[t]))
		}
		if len(order) < 2 {
			continue // its only row cannot be held out
		}
		slices.SortStableFunc(order, func(a, b int) int {
			if key[a] < key[b] {
				return -1
			}
			return 1
		})
		for i, t := range order {
			fold[u][t] = (i + int(num.KeyedHash(seed, p.names[u])%factorFolds)) % factorFolds
		}
	}
	squares, fails := make([][]float64, factorFolds), make([]error, factorFolds)
	num.ForEach(factorFolds, workers, func(f int) {
		c := newCompletion(p, func(u, t int) bool { return fold[u][t] == f })
		squares[f] = make([]float64, factorPenalties+1)
		for j := range squares[f] {
			if fails[f] = ctx.Err(); fails[f] != nil {
				return
			}
			if fails[f] = c.solve(top*math.Pow(factorPenaltyRange, float64(j)/factorPenalties), 1e-4); fails[f] != nil {
				return
			}
			fitted := c.fitted()
			for u, y := range p.y {
				for t := range y {
					if fold[u][t] == f {
						squares[f][j] += float64((y[t] - fitted[u][t]) * (y[t] - fitted[u][t]))
					}
				}
			}
		}
	})
	for _, err := range fails {
		if err != nil {
			return 0, err
		}
	}
	best, least := 0, math.Inf(1)
	for j := range factorPenalties + 1 {
		sum := 0.0
		for f := range factorFolds {
			sum += squares[f][j]
		}
		if sum < least {
			best, least = j, sum
		}
	}
	return top * math.Pow(factorPenaltyRange, float64(best)/factorPenalties), nil
}
