package num

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// BoostData is what [Boost] fits. Nothing in it is changed.
type BoostData struct {
	N, K      int
	X         []float64 // N×K by rows, without a constant column
	Y         []float64 // N numbers, 0 or 1; any numbers with Squared
	Squared   bool      // squared error instead of the logistic likelihood
	Depth     int       // splits between root and leaf, at most 10
	MinLeaf   int       // fewest rows of a leaf
	Bins      int       // at most 256 values of a column are told apart
	Rounds    int       // most trees
	Shrinkage float64   // share of each tree that is added, in (0, 1]
	// Patience > 0 chooses the number of trees, by cross-validation or by Loss, and gives
	// up after so many rounds that brought nothing; 0 takes Rounds.
	Patience int
	// Loss is asked for the linear predictors of the rows after every round and after none.
	Loss    func(linear []float64) float64
	Fold    []int32 // N numbers from 0 to Folds-1; nil = none
	Folds   int
	HeldOut bool      // also the linear predictor of each row from the trees of the other folds
	New     []float64 // M×K: rows that take no part and are predicted too; not with Loss
	Workers int       // < 1 = GOMAXPROCS; never changes the result
}

// BoostFit is a sum of trees.
type BoostFit struct {
	Rounds   int       // trees used
	Linear   []float64 // N
	Deviance []float64 // -2 log-likelihood after 0, 1, … trees, as far as they were grown
	Loss     []float64 // of Loss, after 0, 1, … trees; nil without
	CV       *PenalisedCV
	HeldOut  []float64
	New      []float64 // M linear predictors; nil without New
	Gain     []float64 // of each column, its share of the squared error that the splits took away
}

// Boost fits a logistic model by gradient boosting (Friedman 2001, algorithm 5): from
// F = log odds of the mean, trees are added one by one,
//
//	F ← F + shrinkage·Σ_leaf 1[x in leaf]·Σ(y-p)/Σp(1-p),   p = logistic(F).
//
// A tree is grown level by level to its depth; a node is split where
// (ΣL r)²/nL + (ΣR r)²/nR - (Σ r)²/n, r = y - p, is largest and both sides keep MinLeaf
// rows; equal gains go to the first column and the lowest cut. Cuts lie half-way between
// neighbouring values of a column, of which those at Bins equal shares of the rows are kept
// where there are more. There is no random part.
//
// Cross-validation grows trees without each fold in turn and takes the mean deviance of its
// rows (p kept within 1e-5 and 1-1e-5), folds weighted by their rows.
//
// With Squared F starts at the mean of Y, a tree adds shrinkage·mean of y - F in its leaf,
// and deviance is the residual sum of squares (its cross-validated mean: per row).
func Boost(ctx context.Context, d BoostData) (*BoostFit, error) {
	if d.Squared {
		return boostSquared(ctx, d)
	}
	return boost(ctx, d)
}

func boost(ctx context.Context, d BoostData) (*BoostFit, error) {
	switch {
	case len(d.X) != d.N*d.K || len(d.Y) != d.N || d.K < 1:
		panic("num: Boost with data of inconsistent lengths")
	case d.Depth < 1 || d.Depth > 10 || d.MinLeaf < 1 || d.Bins < 2 || d.Bins > 256 || d.Rounds < 1 || !(d.Shrinkage > 0 && d.Shrinkage <= 1):
		panic("num: Boost with options out of range")
	case len(d.New)%d.K != 0 || d.New != nil && d.Loss != nil:
		panic("num: Boost with new rows of another width, or with Loss")
	}
	b := newBoostBins(d)
	all := make([]int32, d.N)
	for i := range all {
		all[i] = int32(i)
	}
	fit := &BoostFit{Rounds: d.Rounds}
	byFolds := d.Fold != nil && d.Patience > 0 && d.Loss == nil
	if byFolds {
		if err := fit.validate(ctx, d, b); err != nil {
			return nil, err
		}
	}
	m, err := newBoosting(d, b, all, d.Workers)
	if err != nil {
		return nil, err
	}
	fit.Deviance = append(fit.Deviance, m.deviance())
	news := b.place(d)
	if d.New != nil {
		fit.New = slices.Repeat([]float64{m.start}, len(d.New)/d.K)
	}
	best := math.Inf(1)
	ask := func(round int) bool {
		if d.Loss == nil {
			return true
		}
		fit.Loss = append(fit.Loss, d.Loss(m.f))
		if d.Patience == 0 {
			return true
		}
		if v := fit.Loss[round]; v < best {
			best, fit.Rounds = v, round
			fit.Linear, fit.Gain = append(fit.Linear[:0], m.f...), append(fit.Gain[:0], m.gain...)
		}
		return round < fit.Rounds+d.Patience
	}
	most := d.Rounds
	if byFolds {
		most = fit.Rounds
	}
	grown := 0
	for more := ask(0); more && grown < most; more = ask(grown) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !m.grow() {
			break
		}
		grown++
		for i := range fit.New {
			fit.New[i] += m.tree.at(news, int32(i))
		}
		fit.Deviance = append(fit.Deviance, m.deviance())
	}
	if fit.Linear == nil {
		fit.Rounds, fit.Linear, fit.Gain = grown, m.f, m.gain
	}
	total := Sum(fit.Gain)
	for j := range fit.Gain {
		if total > 0 {
			fit.Gain[j] /= total
		}
	}
	if d.HeldOut && !byFolds {
		if err := fit.holdOut(ctx, d, b); err != nil {
			return nil, err
		}
	}
	return fit, nil
}

// boostFold is the trees without a fold and the predictions of the fold's rows.
type boostFold struct {
	m    *boosting
	test []int32
	f    []float64
}

func newBoostFolds(d BoostData, b *boostBins) ([]*boostFold, error) {
	out := make([]*boostFold, d.Folds)
	errs := make([]error, d.Folds)
	ForEach(d.Folds, d.Workers, func(k int) {
		p := &boostFold{}
		var train []int32
		for i, f := range d.Fold {
			if int(f) == k {
				p.test = append(p.test, int32(i))
			} else {
				train = append(train, int32(i))
			}
		}
		p.m, errs[k] = newBoosting(d, b, train, 1)
		if errs[k] == nil && len(p.test) == 0 {
			errs[k] = fmt.Errorf("%w: fold %d of %d is empty", ErrDomain, k+1, d.Folds)
		}
		if errs[k] == nil {
			p.f = slices.Repeat([]float64{p.m.start}, len(p.test))
		}
		out[k] = p
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// step grows one tree and adds it to the fold's rows; false when none could be grown.
func (p *boostFold) step() bool {
	if !p.m.grow() {
		return false
	}
	for i, r := range p.test {
		p.f[i] += p.m.tree.at(p.m.all, r)
	}
	return true
}

func (p *boostFold) loss(y []float64) float64 {
	s := 0.0
	for i, r := range p.test {
		if p.m.d.Squared {
			s += float64((y[r] - p.f[i]) * (y[r] - p.f[i]))
			continue
		}
		mu := math.Min(math.Max(LogitLink.Mean(p.f[i]), 1e-5), 1-1e-5)
		s -= 2 * (float64(y[r]*math.Log(mu)) + float64((1-y[r])*math.Log1p(-mu)))
	}
	return s / float64(len(p.test))
}

// validate chooses the number of trees. All folds take a round together, so that the
// search can end.
func (f *BoostFit) validate(ctx context.Context, d BoostData, b *boostBins) error {
	folds, err := newBoostFolds(d, b)
	if err != nil {
		return err
	}
	f.CV = &PenalisedCV{}
	for round := 0; ; round++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		loss := make([]float64, d.Folds)
		grew := make([]bool, d.Folds)
		ForEach(d.Folds, d.Workers, func(k int) {
			if round > 0 {
				grew[k] = folds[k].step()
			}
			loss[k] = folds[k].loss(d.Y)
		})
		mean, ss := 0.0, 0.0
		for k, p := range folds {
			mean += loss[k] * float64(len(p.test)) / float64(d.N)
		}
		for k, p := range folds {
			ss += float64((loss[k]-mean)*(loss[k]-mean)) * float64(len(p.test)) / float64(d.N)
		}
		f.CV.Mean, f.CV.SE = append(f.CV.Mean, mean), append(f.CV.SE, math.Sqrt(ss/float64(d.Folds-1)))
		if round == 0 || mean < f.CV.Mean[f.CV.Min] {
			f.CV.Min = round
			if d.HeldOut {
				f.keep(d.N, folds)
			}
		}
		if round == d.Rounds || round >= f.CV.Min+d.Patience || round > 0 && !slices.Contains(grew, true) {
			break
		}
	}
	for f.CV.Mean[f.CV.OneSE] > f.CV.Mean[f.CV.Min]+f.CV.SE[f.CV.Min] {
		f.CV.OneSE++
	}
	f.Rounds = f.CV.Min
	return nil
}

func (f *BoostFit) keep(n int, folds []*boostFold) {
	if f.HeldOut == nil {
		f.HeldOut = make([]float64, n)
	}
	for _, p := range folds {
		for i, r := range p.test {
			f.HeldOut[r] = p.f[i]
		}
	}
}

func (f *BoostFit) holdOut(ctx context.Context, d BoostData, b *boostBins) error {
	folds, err := newBoostFolds(d, b)
	if err != nil {
		return err
	}
	ForEach(d.Folds, d.Workers, func(k int) {
		for range f.Rounds {
			if ctx.Err() != nil || !folds[k].step() {
				return
			}
		}
	})
	f.keep(d.N, folds)
	return ctx.Err()
}
