package cohort

import (
	"context"
	"math"

	"utfall/internal/num"
)

// boosted fits boosted trees, see [num.Boost]: F(x) = log odds of the share treated plus
// shrinkage times one tree after another, each of the residuals of those before. The
// number of trees is that with the least held-out deviance (stop cv), that with the least
// mean over the columns of |standardised mean difference| under inverse-probability
// weights of the estimand (stop balance), or Rounds (stop none). The first two give up
// after 50 trees that brought nothing.
//
// Sources: Friedman (2001), Ann. Stat. 29; McCaffrey, Ridgeway and Morral (2004),
// Psychol. Methods 9 (boosting for propensity scores, stopped by balance).
func (p *propensityData) boosted(ctx context.Context) (*PropensityFit, error) {
	const patience = 50
	s := p.s
	d := num.BoostData{
		N: p.u.n, K: len(p.x.Columns) - 1, Y: p.y, Depth: s.Depth, MinLeaf: s.MinLeaf, Bins: 256, Rounds: s.Rounds, Shrinkage: s.Shrinkage,
		Patience: patience, Fold: p.fold, Folds: p.folds, HeldOut: s.CrossFit, Workers: p.d.Workers,
	}
	d.X = make([]float64, 0, d.N*d.K)
	for i := range p.u.n {
		d.X = append(d.X, p.x.Values[i*(d.K+1)+1:(i+1)*(d.K+1)]...)
	}
	if d.Depth == 0 {
		d.Depth = 3
	}
	if d.MinLeaf == 0 {
		d.MinLeaf = 20
	}
	if d.Rounds == 0 {
		d.Rounds = defaultRounds
	}
	if d.Shrinkage == 0 {
		d.Shrinkage = 0.1
	}
	stop := s.Stop
	switch stop {
	case "":
		stop = CVStop
	case NoStop:
		d.Patience = 0
	case BalanceStop:
		estimand := s.Estimand
		if estimand == "" {
			estimand = ATT
		}
		d.Loss = p.imbalance(d.X, d.K, estimand)
	}
	fit, err := num.Boost(ctx, d)
	if err != nil {
		return nil, propensityError(err, p.x, p.cov, p.u)
	}
	if stop != NoStop && fit.Rounds == d.Rounds {
		p.note("rounds-all-used", map[string]any{"rounds": d.Rounds}, "The last of the %d trees that were allowed was still of use: allow more rounds, or a larger shrinkage.", d.Rounds)
	}
	if fit.Rounds == 0 {
		p.note("no-tree", nil, "No tree is of use, so that all units have the same score: the covariates say next to nothing about who is treated, or the leaves are too large.")
	}
	linear := fit.Linear
	if s.CrossFit {
		linear = fit.HeldOut
	}
	out := p.result(BoostedModel, linear, s.CrossFit)
	out.Deviance = fit.Deviance[fit.Rounds]
	out.LogLik, out.Iterations = -out.Deviance/2, fit.Rounds
	out.Boosted = &BoostedFit{
		Rounds: fit.Rounds, Depth: d.Depth, Shrinkage: d.Shrinkage, MinLeaf: d.MinLeaf, Stop: stop, Deviance: fit.Deviance,
		Balance: fit.Loss, Names: p.x.Names()[1:], Influence: fit.Gain,
	}
	if fit.CV != nil {
		out.Boosted.Mean, out.Boosted.SE = fit.CV.Mean, fit.CV.SE
	}
	return out, ctx.Err()
}

// imbalance is the mean over the columns of |mean₁ - mean₀|/SD under the weights of the
// estimand. SD, before weighting and with divisor n-1, is of the treated (att), the
// untreated (atc) or the root of the mean of both variances (ate); columns without spread
// there are left out.
func (p *propensityData) imbalance(x []float64, k int, estimand string) func([]float64) float64 {
	w := Weighting{Estimand: estimand}
	means := func(weight func(i int) float64) [2][]float64 {
		s := num.SumChunks(p.u.n, 2*(k+1), p.d.Workers, func(lo, hi int, acc []float64) {
			for i := lo; i < hi; i++ {
				a := acc[int(p.y[i])*(k+1):][:k+1]
				v := weight(i)
				a[k] += v
				for j, z := range x[i*k : (i+1)*k] {
					a[j] += float64(v * z)
				}
			}
		})
		for j := range s {
			if j%(k+1) < k {
				s[j] /= s[j-j%(k+1)+k]
			}
		}
		return [2][]float64{s[:k], s[k+1 : 2*k+1]}
	}
	before := means(func(int) float64 { return 1 })
	ss := num.SumChunks(p.u.n, 2*k, p.d.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			a := int(p.y[i])
			for j, z := range x[i*k : (i+1)*k] {
				dev := z - before[a][j]
				acc[a*k+j] += float64(dev * dev)
			}
		}
	})
	sd := make([]float64, k)
	for j := range k {
		v0, v1 := ss[j]/float64(p.u.n-p.u.count-1), ss[k+j]/float64(p.u.count-1)
		sd[j] = math.Sqrt(map[string]float64{ATT: v1, ATC: v0, ATE: (v0 + v1) / 2}[estimand])
	}
	return func(linear []float64) float64 {
		m := means(func(i int) float64 {
			return w.of(num.LogitLink.Mean(linear[i]), num.LogitLink.Mean(-linear[i]), p.y[i] == 1)
		})
		sum, columns := 0.0, 0
		for j := range k {
			if sd[j] > 0 {
				sum += math.Abs(m[1][j]-m[0][j]) / sd[j]
				columns++
			}
		}
		return sum / math.Max(float64(columns), 1)
	}
}
