package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// IndexQuality asks whether surrogates predict an outcome of 0 and 1 better than covariates alone, for
// people who were not used to make the prediction (gate G2). Among the older cohort, with p the logistic
// prediction from X and S and q that from X alone, both fitted without the fold of the person,
//
//	gain = Σ[y·log(p/q) + (1−y)·log((1−p)/(1−q))]/n,  IF_i = (gain_i − gain)/n
//	slope b of logit P(Y=1) = a + b·logit p,  off = Σ(p − y)/n, overall and in each group
//
// Predictions count as given. Clusters stay in one fold; V = Σ IF², by cluster G/(G−1)·Σ(Σ IF)².
type IndexQuality struct {
	Folds   int // at least 2
	Seed    uint64
	Workers int // goroutines; 0 means all cores. Never changes a result
}

// Quality is what [IndexQuality] found.
type Quality struct {
	Gain    estimate.Estimate // in log score per person, normal interval
	Slope   float64           // of the calibration; NaN where there is none
	Off     float64           // mean prediction less mean outcome
	Groups  []float64         // the same in each group; NaN for one without people
	Persons int
}

// Fit judges the predictions for the people of the older cohort whose outcome is known. groups marks
// the rows of the sample that are in each group; nil for none.
func (e IndexQuality) Fit(ctx context.Context, s *SurrogateSample, groups [][]bool) (*Quality, error) {
	q, err := e.fit(ctx, s, groups)
	if err != nil {
		return nil, fmt.Errorf("quality of the index: %w", err)
	}
	return q, nil
}

func (e IndexQuality) fit(ctx context.Context, s *SurrogateSample, groups [][]bool) (*Quality, error) {
	if e.Folds < 2 {
		return nil, invalid("%d folds; predictions for people who were not used need at least 2", e.Folds)
	}
	for _, g := range groups {
		if len(g) != len(s.Unit) {
			return nil, invalid("%d group marks for %d people", len(g), len(s.Unit))
		}
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	f, err := newSurrogateFit(Surrogate{Folds: e.Folds, Seed: e.Seed, MinPerArm: 1, Workers: e.Workers}, s)
	if err != nil {
		return nil, err
	}
	if f.outcome != "logistic" {
		return nil, invalid("the log score is for an outcome of 0 and 1")
	}
	p, q := make([]float64, f.n), make([]float64, f.n)
	for k := range f.folds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		fit := func(i int) bool { return f.older[i] && f.fold[i] != k }
		to := func(i int) bool { return f.older[i] && f.fold[i] == k }
		if err := f.model("the outcome", true, len(f.names), f.y, p, fit, to); err != nil {
			return nil, err
		}
		if err := f.model("the outcome", true, f.base, f.y, q, fit, to); err != nil {
			return nil, err
		}
	}
	return f.quality(p, q, groups)
}

func (f *surrogateFit) quality(p, q []float64, groups [][]bool) (*Quality, error) {
	var gains, off, y, x []float64
	var rows []int
	for i, old := range f.older {
		if !old {
			continue
		}
		// A prediction that rounds to 0 or 1 is as sure as a number can be.
		a, b := clampShare(p[i]), clampShare(q[i])
		g := math.Log(a / b)
		if f.y[i] == 0 {
			g = math.Log((1 - a) / (1 - b))
		}
		gains, off, y, rows = append(gains, g), append(off, p[i]-f.y[i]), append(y, f.y[i]), append(rows, i)
		x = append(x, 1, math.Log(a/(1-a)))
	}
	weight, n := make([]float64, len(rows)), 0.0
	for k, i := range rows {
		weight[k] = f.weight(i)
		n += weight[k]
	}
	mean := num.Dot(weight, gains) / n
	inf := mat.NewDense(f.n, 1, nil)
	for k, i := range rows {
		inf.Set(i, 0, weight[k]*(gains[k]-mean)/n)
	}
	order := make([]int32, len(rows))
	for k, i := range rows {
		order[k] = int32(i)
	}
	cov, _, err := survive.Covariance(inf, order, f.cluster, f.e.Workers)
	if err != nil {
		return nil, err
	}
	out := &Quality{Persons: len(rows), Off: num.Dot(weight, off) / n, Slope: math.NaN()}
	out.Gain = estimate.Wald("gain", "log-score", mean, math.Sqrt(cov.At(0, 0)), math.Inf(1), f.s.Level)
	if fit, err := num.Logit(num.LogitData{N: len(rows), K: 2, X: x, Y: y, Weight: f.weightsOf(rows), Workers: f.e.Workers}); err == nil {
		out.Slope = fit.Coef[1]
	}
	for _, in := range groups {
		sum, people := 0.0, 0.0
		for k, i := range rows {
			if in[f.rows[i]] {
				sum, people = sum+float64(weight[k]*off[k]), people+weight[k]
			}
		}
		out.Groups = append(out.Groups, sum/people)
	}
	return out, nil
}

func clampShare(p float64) float64 { return math.Min(math.Max(p, 1e-12), 1-1e-12) }
