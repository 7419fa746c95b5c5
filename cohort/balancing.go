package cohort

import (
	"context"
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/table"
)

// solved is the largest standardised imbalance that counts as none.
const solved = 1e-10

// balancing is a search for weights that balance means. Its rows are those of u.order.
type balancing struct {
	u       *units
	workers int
	x       *Matrix
	treated []bool
	mean    []float64 // of all units
	sd      []float64 // of all units, divisor n-1
	arms    [2][]float64
}

func (w Weighting) balance(ctx context.Context, t *table.Table, d Spec, u *units, m momentSet, out *Weighted) error {
	b, implied, err := newBalancing(t, d, u, m)
	if err != nil {
		return err
	}
	if len(implied) > 0 {
		out.Notes = append(out.Notes, table.Note{
			Code: "moments-implied", Args: map[string]any{"n": len(implied), "columns": implied},
			Text: fmt.Sprintf("%d moments follow from the others, so that they are balanced with them: %s.", len(implied), quoted(implied)),
		})
	}
	if w.Method == CBPSMethod {
		err = b.cbps(ctx, w, out)
	} else {
		err = b.entropy(ctx, w.Estimand, out)
	}
	if err != nil {
		return err
	}
	return b.check(w.Estimand, out)
}

func newBalancing(t *table.Table, d Spec, u *units, m momentSet) (b *balancing, implied []string, err error) {
	if err := notTheTreatment(d.Covariates, d); err != nil {
		return nil, nil, err
	}
	cov, err := readCovariates(t, d.Covariates, d.Categorical)
	if err != nil {
		return nil, nil, err
	}
	if names := constantColumns(cov); len(names) > 0 {
		return nil, nil, fmt.Errorf("%w: constant in all of the %d rows: %s; leave it out", ErrCovariate, u.n, strings.Join(names, ", "))
	}
	if names := collinear(cov, u, d.Workers); len(names) > 0 {
		return nil, nil, fmt.Errorf("%w: a linear combination of the columns before: %s; leave it out", ErrCovariate, strings.Join(names, ", "))
	}
	b = &balancing{u: u, workers: d.Workers, treated: make([]bool, u.n)}
	b.x = fillDesign(cov, u.n, DesignOptions{Workers: d.Workers}, u.order)
	implied = m.add(b.x, d.Workers)
	for i, r := range u.order {
		b.treated[i] = u.treated[r]
	}
	k := len(b.x.Columns)
	sum := num.SumChunks(u.n, 2*k, d.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			a := k * arm(b.treated[i])
			for j, v := range b.x.Values[i*k : (i+1)*k] {
				acc[a+j] += v
			}
		}
	})
	b.mean, b.sd = make([]float64, k), make([]float64, k)
	b.arms = [2][]float64{make([]float64, k), make([]float64, k)}
	for j := range k {
		b.mean[j] = (sum[j] + sum[k+j]) / float64(u.n)
		b.arms[0][j], b.arms[1][j] = sum[j]/float64(u.n-u.count), sum[k+j]/float64(u.count)
	}
	ss := num.SumChunks(u.n, k, d.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			for j, v := range b.x.Values[i*k : (i+1)*k] {
				acc[j] += float64((v - b.mean[j]) * (v - b.mean[j]))
			}
		}
	})
	for j := range k {
		b.sd[j] = math.Sqrt(ss[j] / float64(u.n-1))
	}
	return b, implied, nil
}

// targets are the means that a group must have; nil = it keeps its own.
func (b *balancing) targets(estimand string) [2][]float64 {
	switch estimand {
	case ATT:
		return [2][]float64{b.arms[1], nil}
	case ATC:
		return [2][]float64{nil, b.arms[0]}
	}
	return [2][]float64{b.mean, b.mean}
}

func (b *balancing) entropy(ctx context.Context, estimand string, out *Weighted) error {
	for a, target := range b.targets(estimand) {
		size := float64(b.u.n - b.u.count)
		if a == 1 {
			size = float64(b.u.count)
		}
		if target == nil {
			for i, r := range b.u.order {
				if arm(b.treated[i]) == a {
					out.Weight[r] = 1
				}
			}
			continue
		}
		if err := b.inside(a, target); err != nil {
			return err
		}
		k := len(target)
		z, rows := make([]float64, 0, int(size)*k), make([]int32, 0, int(size))
		for i, r := range b.u.order {
			if arm(b.treated[i]) == a {
				rows = append(rows, r)
				for j, v := range b.x.Values[i*k : (i+1)*k] {
					z = append(z, (v-target[j])/b.sd[j])
				}
			}
		}
		dual := func(lambda []float64) point { return logSumExp(z, k, len(rows), lambda, b.workers) }
		lambda, steps, err := minimise(ctx, dual, make([]float64, k))
		if err != nil {
			return b.unsolved(err, dual(lambda).gradient)
		}
		out.Iterations = max(out.Iterations, steps)
		eta, top := make([]float64, len(rows)), math.Inf(-1)
		for i := range eta {
			eta[i] = num.Dot(z[i*k:(i+1)*k], lambda)
			top = math.Max(top, eta[i])
		}
		for i := range eta {
			eta[i] = math.Exp(eta[i] - top)
		}
		total := num.Sum(eta)
		for i, r := range rows {
			out.Weight[r] = eta[i] / total * size
		}
	}
	return nil
}

// inside names the columns whose target a group's values do not lie around: no
// positive weights reach it.
func (b *balancing) inside(a int, target []float64) error {
	k := len(target)
	lo, hi := make([]float64, k), make([]float64, k)
	for j := range k {
		lo[j], hi[j] = math.Inf(1), math.Inf(-1)
	}
	for i := range b.treated {
		if arm(b.treated[i]) == a {
			for j, v := range b.x.Values[i*k : (i+1)*k] {
				lo[j], hi[j] = math.Min(lo[j], v), math.Max(hi[j], v)
			}
		}
	}
	var names []string
	for j := range k {
		constant := lo[j] == hi[j] && math.Abs(lo[j]-target[j]) <= solved*b.sd[j]
		if !constant && !(lo[j] < target[j] && target[j] < hi[j]) {
			names = append(names, fmt.Sprintf("%q", b.x.Columns[j].Name))
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: the mean to reach lies outside of the values of the %s in column %s", ErrNoSupport, armName(a), strings.Join(names, ", "))
	}
	return nil
}

func armName(a int) string { return [2]string{"untreated", "treated"}[a] }

// unsolved names the columns that are furthest from balance.
func (b *balancing) unsolved(err error, gradient []float64) error {
	worst := 0.0
	for j := range b.x.Columns {
		worst = math.Max(worst, math.Abs(gradient[len(gradient)-len(b.x.Columns)+j]))
	}
	var names []string
	for j, c := range b.x.Columns {
		if math.Abs(gradient[len(gradient)-len(b.x.Columns)+j]) >= worst/2 {
			names = append(names, fmt.Sprintf("%q", c.Name))
		}
	}
	return fmt.Errorf("%w: no weights balance the means of all columns together (%w); furthest off: %s. Use fewer columns, or leave out units that nobody resembles", ErrNoSupport, err, strings.Join(names, ", "))
}

// check recomputes, by a plain pass over the rows, the weighted means of every column
// in both groups against what they must be.
func (b *balancing) check(estimand string, out *Weighted) error {
	k := len(b.x.Columns)
	mean, sum := [2][]float64{make([]float64, k), make([]float64, k)}, [2]float64{}
	for i, r := range b.u.order {
		a, w := arm(b.treated[i]), out.Weight[r]
		sum[a] += w
		for j, v := range b.x.Values[i*k : (i+1)*k] {
			mean[a][j] += float64(w * (v - b.mean[j]))
		}
	}
	targets := b.targets(estimand)
	if out.Method == CBPSMethod && estimand == ATE {
		targets = [2][]float64{nil, nil} // the groups' means are equal, wherever they are
	}
	out.Imbalance = 0
	for j := range k {
		got := [2]float64{mean[0][j]/sum[0] + b.mean[j], mean[1][j]/sum[1] + b.mean[j]}
		gap := math.Abs(got[0] - got[1])
		for a, target := range targets {
			if target != nil {
				gap = math.Max(gap, math.Abs(got[a]-target[j]))
			}
		}
		out.Imbalance = math.Max(out.Imbalance, gap/b.sd[j])
	}
	if !(out.Imbalance <= 1e-8) {
		return fmt.Errorf("%w: the weighted means are still %.1e SD apart", ErrNoSupport, out.Imbalance)
	}
	return nil
}

// cbps maximises the concave function whose gradient is the balance of the weighted
// sums: ate Σ A(η - e^-η) - (1-A)(η + e^η), att Σ Aη - (1-A)e^η, atc -Σ (1-A)η + A e^-η.
func (b *balancing) cbps(ctx context.Context, w Weighting, out *Weighted) error {
	k := len(b.x.Columns) + 1
	z := make([]float64, b.u.n*k)
	for i := range b.u.n {
		z[i*k] = 1
		for j, v := range b.x.Values[i*(k-1) : (i+1)*(k-1)] {
			z[i*k+1+j] = (v - b.mean[j]) / b.sd[j]
		}
	}
	share := float64(b.u.count) / float64(b.u.n)
	start := make([]float64, k)
	start[0] = math.Log(share / (1 - share))
	loss := func(beta []float64) point {
		return sumLoss(z, k, b.u.n, beta, b.workers, func(i int, eta float64) (f, d1, d2 float64) {
			return tailored(w.Estimand, b.treated[i], eta)
		})
	}
	beta, steps, err := minimise(ctx, loss, start)
	if err != nil {
		return b.unsolved(err, loss(beta).gradient)
	}
	out.Iterations, out.Score = steps, make([]float64, b.u.n)
	for i, r := range b.u.order {
		eta := num.Dot(z[i*k:(i+1)*k], beta)
		p, q := num.LogitLink.Mean(eta), num.LogitLink.Mean(-eta)
		out.Score[r], out.Weight[r] = p, w.of(p, q, b.treated[i])
	}
	out.Names, out.Coef = append([]string{InterceptName}, b.x.Names()...), make([]float64, k)
	out.Coef[0] = beta[0]
	for j := range b.sd {
		out.Coef[1+j] = beta[1+j] / b.sd[j]
		out.Coef[0] -= out.Coef[1+j] * b.mean[j]
	}
	return nil
}

// tailored is a unit's loss with its first and second derivative in η.
func tailored(estimand string, treated bool, eta float64) (f, d1, d2 float64) {
	up, down := math.Exp(eta), math.Exp(-eta)
	switch {
	case estimand == ATE && treated:
		return down - eta, -down - 1, down
	case estimand == ATE:
		return up + eta, up + 1, up
	case estimand == ATT && treated:
		return -eta, -1, 0
	case estimand == ATT:
		return up, up, up
	case treated:
		return down, -down, down
	}
	return eta, 1, 0
}

// point is a function's value with gradient and Hessian.
type point struct {
	value    float64
	gradient []float64
	hessian  *mat.SymDense
}
