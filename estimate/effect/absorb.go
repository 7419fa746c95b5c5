package effect

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// effects are sets of dummies to absorb: one dense code per row and set.
type effects struct {
	codes  [][]int
	levels []int
	total  [][]float64 // per set and level, its weight
	weight []float64
	pair   *pairOfSets // of two sets
}

func newEffects(codes [][]int, weight []float64) *effects {
	e := &effects{weight: weight}
	for _, c := range codes {
		d, g := dense(c)
		total := make([]float64, g)
		for r, l := range d {
			total[l] += e.w(r)
		}
		e.codes, e.levels, e.total = append(e.codes, d), append(e.levels, g), append(e.total, total)
	}
	if len(codes) == 2 {
		e.pair = newPairOfSets(e)
	}
	return e
}

func (e *effects) w(r int) float64 {
	if e.weight == nil {
		return 1
	}
	return e.weight[r]
}

// demean subtracts from x its weighted mean in each level of set s.
func (e *effects) demean(s int, x []float64) {
	codes := e.codes[s]
	sum := make([]float64, e.levels[s])
	if e.weight == nil {
		for r, v := range x {
			sum[codes[r]] += v
		}
	} else {
		for r, v := range x {
			sum[codes[r]] += float64(e.weight[r] * v)
		}
	}
	for g, t := range e.total[s] {
		sum[g] /= t
	}
	for r := range x {
		x[r] -= sum[codes[r]]
	}
}

// sweep is the symmetric Gauss–Seidel pass: the sets in order and back.
func (e *effects) sweep(x []float64) {
	for s := range e.codes {
		e.demean(s, x)
	}
	for s := len(e.codes) - 2; s >= 0; s-- {
		e.demean(s, x)
	}
}

func (e *effects) dot(a, b []float64) float64 {
	var parts float64
	for lo := 0; lo < len(a); lo += num.Chunk {
		var t float64
		for i := lo; i < min(lo+num.Chunk, len(a)); i++ {
			t += float64(e.w(i) * float64(a[i]*b[i]))
		}
		parts += t
	}
	return parts
}

// absorb overwrites x with its residual from all the dummies and returns the largest
// movement, relative to the length of x, of one more demeaning: the tolerance
// reached. With S the symmetric sweep the residual is x - d, where d solves
// (I-S)d = (I-S)x by conjugate gradients; (I-S) is positive definite on the span of
// the dummies (Gaure 2013; Hestenes and Stiefel 1952). Two sets are solved for their
// coefficients instead: see [pairOfSets].
func (e *effects) absorb(ctx context.Context, x []float64) (float64, error) {
	length := math.Sqrt(e.dot(x, x))
	if length == 0 {
		return 0, nil
	}
	if e.pair != nil {
		return e.pair.absorb(ctx, x, length)
	}
	if len(e.codes) > 1 {
		r := append([]float64(nil), x...)
		e.sweep(r)
		for i := range r {
			r[i] = x[i] - r[i]
		}
		p := append([]float64(nil), r...)
		ap := make([]float64, len(x))
		rho := e.dot(r, r)
		for iter := 0; math.Sqrt(rho) > 1e-15*length && iter < 2000; iter++ {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			copy(ap, p)
			e.sweep(ap)
			for i := range ap {
				ap[i] = p[i] - ap[i]
			}
			curve := e.dot(p, ap)
			if !(curve > 0) {
				break
			}
			alpha := rho / curve
			for i := range x {
				x[i] -= float64(alpha * p[i])
				r[i] -= float64(alpha * ap[i])
			}
			next := e.dot(r, r)
			beta := next / rho
			rho = next
			for i := range p {
				p[i] = r[i] + float64(beta*p[i])
			}
		}
	}
	// Two plain passes clean the rounding of the first set's means and end the fit.
	for range 2 {
		e.sweep(x)
	}
	worst := 0.0
	probe := make([]float64, len(x))
	for s := range e.codes {
		copy(probe, x)
		e.demean(s, probe)
		for i := range probe {
			probe[i] = x[i] - probe[i]
		}
		worst = math.Max(worst, math.Sqrt(e.dot(probe, probe))/length)
	}
	return worst, notAbsorbed(worst)
}

func notAbsorbed(worst float64) error {
	if worst <= 1e-12 {
		return nil
	}
	return fmt.Errorf("%w: absorbed effects leave group means of %.1e of the column", estimate.ErrNotConverged, worst)
}

// rank returns the number of coefficients that the effects take: the levels of the
// first set, then for each further set its levels less the connected parts in which
// it hangs together with an earlier set (exact for two sets; for more the largest
// number over the pairs, which can only count too many coefficients).
func (e *effects) rank() int {
	total := 0
	for s, g := range e.levels {
		free := g
		for t := range s {
			free = min(free, g-e.parts(s, t))
		}
		total += free
	}
	return total
}

// parts counts the connected components of the graph whose nodes are the levels of
// two sets and whose edges are the rows.
func (e *effects) parts(a, b int) int {
	parent := make([]int, e.levels[a]+e.levels[b])
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	count := len(parent)
	for r, i := range e.codes[a] {
		x, y := find(i), find(e.levels[a]+e.codes[b][r])
		if x != y {
			parent[x] = y
			count--
		}
	}
	return count
}

// open returns the coefficients to count beside clusters (fixest's rule): a set
// whose levels each lie within one cluster, of one way of clustering, counts as one
// coefficient.
func (e *effects) open(clusters ...[]int) int {
	k := e.rank()
	for s := range e.codes {
		nested := false
		for _, c := range clusters {
			nested = nested || c != nil && e.nested(s, c)
		}
		if nested {
			k -= e.levels[s] - 1
		}
	}
	return max(k, 1)
}

// nested reports whether each level of a set lies within one cluster.
func (e *effects) nested(s int, cluster []int) bool {
	first := make([]int, e.levels[s])
	for l := range first {
		first[l] = -1
	}
	for r, l := range e.codes[s] {
		if first[l] < 0 {
			first[l] = r
		} else if cluster[r] != cluster[first[l]] {
			return false
		}
	}
	return true
}
