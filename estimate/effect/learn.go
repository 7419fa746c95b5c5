package effect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Nuisance models of the estimators that cross-fit.
const (
	LogisticNuisance = "logistic" // logistic and linear regression on all covariates
	RidgeNuisance    = "ridge"
	LassoNuisance    = "lasso"
	BoostedNuisance  = "boosted"
)

// Nuisances returns the names of the nuisance models.
func Nuisances() []string {
	return []string{LogisticNuisance, RidgeNuisance, LassoNuisance, BoostedNuisance}
}

// innerFolds is the number of folds in which a penalty or a number of trees is chosen.
const innerFolds = 5

// learner fits a nuisance model on the rows of positive weight and predicts for all.
type learner struct {
	c    *causal
	ctx  context.Context
	kind string
	// order is that of the rows, or of the clusters, in which inner folds are dealt.
	order []int32
}

// learn sets the nuisance models of c. kind "" and [LogisticNuisance] are the models
// without a penalty.
func (c *causal) learn(ctx context.Context, kind string, s splitting) error {
	switch {
	case kind == "" || kind == LogisticNuisance:
		return nil
	case !slices.Contains(Nuisances(), kind):
		return fmt.Errorf("%w: nuisance %q; known are %v", ErrOption, kind, Nuisances())
	case s.folds == 0:
		return fmt.Errorf("%w: nuisance %s without folds has errors that are too small; give folds", ErrOption, kind)
	case c.weight != nil:
		return fmt.Errorf("%w: nuisance %s takes no weights; use logistic", estimate.ErrWeights, kind)
	case c.vcov == HC1 || c.vcov == CR1:
		return fmt.Errorf("%w: vcov %s counts parameters, which nuisance %s does not have; use hc0 or cr0", ErrOption, c.vcov, kind)
	}
	key := num.NewStream(s.seed, "inner folds", 0).Uint64()
	hash := make([]uint64, c.n)
	for i, r := range c.rows {
		hash[i] = num.KeyedHash(key, c.frame.Unit[r])
	}
	if c.cluster != nil {
		hash = least(hash, c.cluster, c.tally.Clusters)
	}
	c.guarded = true
	c.learner = &learner{c: c, ctx: ctx, kind: kind, order: num.OrderKeys(hash)}
	return nil
}

// least returns the smallest hash of each cluster.
func least(hash []uint64, cluster []int, clusters int) []uint64 {
	out := slices.Repeat([]uint64{math.MaxUint64}, clusters)
	for i, g := range cluster {
		out[g] = min(out[g], hash[i])
	}
	return out
}

// folds deals the rows that a model is fitted to, in the order of a keyed hash and by
// outcome where it is 0 or 1; clusters stay whole.
func (l *learner) folds(y []float64, use []float64) (fold []int32, folds int) {
	c := l.c
	at := make([]int32, c.n)
	if c.cluster != nil {
		used := make([]bool, c.tally.Clusters)
		for i, g := range c.cluster {
			used[g] = used[g] || use[i] > 0
		}
		place, next := make([]int32, len(used)), int32(0)
		for _, g := range l.order {
			if used[g] {
				place[g] = next % innerFolds
				next++
			}
		}
		folds = min(int(next), innerFolds)
		for i, g := range c.cluster {
			at[i] = place[g]
		}
	} else {
		next := [3]int32{}
		for _, i := range l.order {
			if use[i] == 0 {
				continue
			}
			s := 2
			if y[i] == 0 || y[i] == 1 {
				s = int(y[i])
			}
			at[i] = next[s] % innerFolds
			next[s]++
		}
		folds = int(min(max(next[0], next[1], next[2]), innerFolds))
	}
	for i, u := range use {
		if u > 0 {
			fold = append(fold, at[i])
		}
	}
	return fold, folds
}

// fit is a model of y, of the likelihood of shares (logit) or of squared errors.
func (l *learner) fit(what string, logit bool, y, use []float64) (*model, error) {
	c := l.c
	n, px, py, _ := c.part(y, use)
	fold, folds := l.folds(y, use)
	if folds < 2 {
		return nil, fmt.Errorf("%w: %s: too few units, or clusters, to choose a model by cross-validation", estimate.ErrTooFew, what)
	}
	m := &model{y: y, weight: use}
	var err error
	switch {
	case l.kind == BoostedNuisance:
		m.eta, err = l.boosted(logit, n, px, py, fold, folds)
	default:
		var coef []float64
		if coef, err = l.penalised(logit, n, px, py, fold, folds); err == nil {
			m.coef, m.eta = coef, c.linearPredictor(coef)
		}
	}
	if errors.Is(err, num.ErrDomain) || errors.Is(err, num.ErrSeparated) { // not by a direction: a penalty has no such end
		return nil, fmt.Errorf("%w: %s: the units that it is fitted to, or those of an inner fold, all have one outcome", estimate.ErrTooFew, what)
	}
	if err != nil {
		return nil, c.errModel(what, err)
	}
	m.mu = m.eta
	if logit {
		m.mu = make([]float64, c.n)
		for i, e := range m.eta {
			m.mu[i] = num.LogitLink.Mean(e)
		}
	}
	return m, nil
}

// penalised is a ridge or a lasso, its penalty that of the least held-out loss: for
// numbers on the path of [num.PenalisedLinear], for shares on 25 penalties from the
// smallest that leaves no slope (times 100 for a ridge) down to a thousandth of it.
func (l *learner) penalised(logit bool, n int, x, y []float64, fold []int32, folds int) ([]float64, error) {
	d := num.PenalisedData{N: n, K: l.c.k, X: x, Y: y, Fold: fold, Folds: folds, Workers: l.c.workers}
	if l.kind == LassoNuisance {
		d.Alpha = 1
	}
	fitting := num.PenalisedLinear
	if logit {
		fitting = num.PenalisedLogit
		d.Lambda = l.penalties(d)
	}
	fit, err := fitting(l.ctx, d)
	if err != nil {
		return nil, err
	}
	return fit.Coef[fit.Best], nil
}

func (l *learner) penalties(d num.PenalisedData) []float64 {
	const length, ratio = 25, 1e-3
	mean := num.Sum(d.Y) / float64(d.N)
	s := num.SumChunks(d.N, 3*d.K, d.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			for j, v := range d.X[i*d.K : (i+1)*d.K] {
				acc[3*j] += v
				acc[3*j+1] += float64(v * v)
				acc[3*j+2] += float64(v * (d.Y[i] - mean))
			}
		}
	})
	top := 0.0
	for j := 1; j < d.K; j++ {
		centre := s[3*j] / float64(d.N)
		if v := s[3*j+1]/float64(d.N) - float64(centre*centre); v > 1e-12*float64(centre*centre) {
			top = math.Max(top, math.Abs(s[3*j+2])/float64(d.N)/math.Sqrt(v))
		}
	}
	if top == 0 {
		top = 1
	}
	high, low := top, top*ratio
	if d.Alpha == 0 {
		high *= 100
	}
	out := make([]float64, length)
	for i := range out {
		out[i] = high * math.Pow(low/high, float64(i)/(length-1))
	}
	return out
}

// boosted is [num.Boost] with trees of depth 2 in steps of a tenth, their number that of
// the least held-out loss.
func (l *learner) boosted(logit bool, n int, x, y []float64, fold []int32, folds int) ([]float64, error) {
	c := l.c
	k := c.k - 1
	d := num.BoostData{N: n, K: k, Y: y, Squared: !logit, Depth: 2, MinLeaf: 10, Bins: 64, Rounds: 1000, Shrinkage: 0.1, Patience: 20, Fold: fold, Folds: folds, Workers: c.workers}
	d.X, d.New = make([]float64, 0, n*k), make([]float64, 0, c.n*k)
	for i := range n {
		d.X = append(d.X, x[i*c.k+1:(i+1)*c.k]...)
	}
	for i := range c.n {
		d.New = append(d.New, c.row(i)[1:]...)
	}
	fit, err := num.Boost(l.ctx, d)
	if err != nil {
		return nil, err
	}
	return fit.New, nil
}

// farthest is the least probability of a unit's own group that a weight is made of.
const farthest = 1e-8

// bounded keeps probabilities of treatment within bound and 1 - bound (0: as they are),
// and refuses those that would let one unit be everything.
func (c *causal) bounded(estimand string, eta []float64) error {
	if bound := c.bound; bound > 0 {
		limit, moved := math.Log((1-bound)/bound), 0.0
		for i, e := range eta {
			if math.Abs(e) > limit {
				eta[i] = math.Copysign(limit, e)
				moved += c.copies(i)
			}
		}
		if moved > 0 {
			c.notes = append(c.notes, table.Note{Code: "scores-bounded", Args: map[string]any{"n": int(moved), "all": int(c.units), "bound": bound},
				Text: fmt.Sprintf("%g of %g units had a probability of treatment beyond %g or 1 - %g, which was set to that bound: the effect rests more on the outcome model for them.", moved, c.units, bound, bound)})
		}
		return nil
	}
	limit := math.Log((1 - farthest) / farthest)
	for i, e := range eta {
		if estimand != "att" && c.treated[i] && e < -limit || estimand != "atc" && !c.treated[i] && e > limit {
			return fmt.Errorf("%w: a unit had next to no chance (below %g) of the group that it is in, so that its weight would decide alone; use the estimand ato, fewer covariates, or set a bound", estimate.ErrNotIdentified, farthest)
		}
	}
	return nil
}
