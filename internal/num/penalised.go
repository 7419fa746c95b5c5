package num

import (
	"context"
	"fmt"
	"math"
)

// PenalisedData is what [PenalisedLogit] fits. Nothing in it is changed.
type PenalisedData struct {
	N, K    int
	X       []float64 // N×K by rows, with a constant column, which is not penalised
	Y       []float64 // N numbers from 0 to 1
	Alpha   float64   // 0 = ridge … 1 = lasso
	Lambda  []float64 // falling; nil = a path of 100 from the smallest that leaves all slopes 0
	Fold    []int32   // N numbers from 0 to Folds-1 for cross-validation; nil = none
	Folds   int
	OneSE   bool // choose by one standard error, not by the smallest deviance
	HeldOut bool // also the linear predictor of each row from the other folds' fit
	Workers int  // < 1 = GOMAXPROCS; never changes the result
}

// PenalisedFit is a path of penalised fits; slices by λ follow Lambda.
type PenalisedFit struct {
	Lambda   []float64
	Coef     [][]float64 // K each, for the columns as given
	Deviance []float64   // -2 log-likelihood of each, without the saturated model
	NullDev  float64     // of the constant alone
	NonZero  []int       // slopes that are not 0
	Gap      []float64   // largest breach of the stationarity conditions, per row and SD of a column
	SD       []float64   // of the columns, divisor N
	CV       *PenalisedCV
	Best     int       // the chosen λ: the only one, or by cross-validation
	HeldOut  []float64 // linear predictors from the other folds at λ[Best]; nil unless asked for
}

// PenalisedCV is the mean deviance a held-out row, by λ.
type PenalisedCV struct {
	Mean, SE   []float64
	Min, OneSE int // the least; the largest λ whose mean is within one SE of it
}

// PenalisedLogit minimises, for each λ of a falling path,
//
//	-(1/N)·Σ [yᵢ log pᵢ + (1-yᵢ) log(1-pᵢ)] + λ·[(1-α)/2·Σ (sⱼβⱼ)² + α·Σ |sⱼβⱼ|],
//
// p = logistic(x'β), sⱼ the SD of column j (divisor N): the objective of glmnet with
// standardised columns. Newton steps (halved until they go down) on the quadratic
// approximation, which is solved by Cholesky (α = 0) or by coordinate descent and then
// exactly on the columns that it left in; the fit of one λ starts the next. It ends when
// the stationarity conditions hold to 1e-10, and no fit is given that breaks them by 1e-7.
//
// The path that it makes itself ends early, as glmnet's, where a
// thousandth of the null deviance is left or, from the fifth λ on, a step explains less
// than 1e-5 of it (and, other than there, less than a thousandth of what is explained: the
// first steps of a ridge explain little and must not end it).
//
// Cross-validation fits the same λ without each fold in turn (columns standardised anew)
// and takes the deviance of its rows, p kept within 1e-5 and 1-1e-5; Mean is the mean of
// the folds' means weighted by their rows, SE = √(weighted mean of (fold - Mean)² / (F-1)).
//
// Source: Friedman, Hastie and Tibshirani (2010), J. Stat. Softw. 33(1).
func PenalisedLogit(ctx context.Context, d PenalisedData) (*PenalisedFit, error) {
	m, err := newLogitModel(LogitData{N: d.N, K: d.K, X: d.X, Y: d.Y, Link: LogitLink, Workers: d.Workers})
	if err != nil {
		return nil, err
	}
	if m.constant < 0 {
		panic("num: PenalisedLogit without a constant column")
	}
	p := newPenalised(m, d.Alpha)
	fit := &PenalisedFit{SD: make([]float64, d.K), Lambda: d.Lambda}
	for j := range d.K {
		fit.SD[j] = p.size[j] / m.scale[j]
	}
	null := m.eval(m.coldStart())
	fit.NullDev = -2 * null.loglik
	own := d.Lambda == nil
	if own {
		fit.Lambda = p.path(null)
	}
	gamma := m.coldStart()
	for i, lambda := range fit.Lambda {
		ev, gap, err := p.solve(ctx, gamma, lambda, 1e-10)
		if err != nil {
			return nil, fmt.Errorf("λ %d of %d: %w", i+1, len(fit.Lambda), err)
		}
		fit.add(m, gamma, ev, gap)
		if own && fit.ends() {
			fit.Lambda = fit.Lambda[:i+1]
			break
		}
	}
	fit.Best = len(fit.Lambda) - 1
	if d.Fold == nil {
		return fit, nil
	}
	if len(fit.Lambda) > 1 {
		if err := fit.validate(ctx, m, d); err != nil {
			return nil, err
		}
		fit.Best = fit.CV.Min
		if d.OneSE {
			fit.Best = fit.CV.OneSE
		}
	}
	if d.HeldOut {
		err = fit.holdOut(ctx, m, d)
	}
	return fit, err
}

func (f *PenalisedFit) add(m *logitModel, gamma []float64, ev *logitEval, gap float64) {
	coef := make([]float64, m.K)
	nonzero := 0
	for j, g := range gamma {
		if j == m.constant {
			coef[j] += g * m.scale[j]
			continue
		}
		coef[j] = g * m.scale[j]
		coef[m.constant] -= float64(coef[j]*m.centre[j]) * m.scale[m.constant]
		if g != 0 {
			nonzero++
		}
	}
	f.Coef = append(f.Coef, coef)
	f.NonZero = append(f.NonZero, nonzero)
	f.Deviance = append(f.Deviance, -2*ev.loglik)
	f.Gap = append(f.Gap, gap)
}

// ends reports whether smaller λ have nothing left to gain.
func (f *PenalisedFit) ends() bool {
	const atLeast = 5
	i := len(f.Deviance) - 1
	gain := func(i int) float64 { return 1 - f.Deviance[i]/f.NullDev }
	return gain(i) > 0.999 || i+1 >= atLeast && gain(i)-gain(i-1) < math.Min(1e-5, 1e-3*gain(i))
}

// validate fills CV.
func (f *PenalisedFit) validate(ctx context.Context, m *logitModel, d PenalisedData) error {
	loss := make([][]float64, d.Folds) // mean by λ
	rows := make([]float64, d.Folds)
	for k := range d.Folds {
		p, test, err := foldModel(m, d, int32(k))
		if err != nil {
			return err
		}
		rows[k] = float64(len(test))
		loss[k] = make([]float64, len(f.Lambda))
		gamma := p.m.coldStart()
		for i, lambda := range f.Lambda {
			if _, _, err := p.solve(ctx, gamma, lambda, 1e-8); err != nil {
				return fmt.Errorf("fold %d, λ %d of %d: %w", k+1, i+1, len(f.Lambda), err)
			}
			sum := SumChunks(len(test), 1, d.Workers, func(lo, hi int, acc []float64) {
				for _, r := range test[lo:hi] {
					mu := LogitLink.Mean(m.linear(gamma, int(r)))
					mu = math.Min(math.Max(mu, 1e-5), 1-1e-5)
					acc[0] -= 2 * (float64(d.Y[r]*math.Log(mu)) + float64((1-d.Y[r])*math.Log1p(-mu)))
				}
			})
			loss[k][i] = sum[0] / rows[k]
		}
	}
	f.CV = &PenalisedCV{Mean: make([]float64, len(f.Lambda)), SE: make([]float64, len(f.Lambda))}
	for i := range f.Lambda {
		mean, ss := 0.0, 0.0
		for k := range d.Folds {
			mean += float64(rows[k] * loss[k][i])
		}
		mean /= float64(d.N)
		for k := range d.Folds {
			ss += float64(rows[k] * (loss[k][i] - mean) * (loss[k][i] - mean))
		}
		f.CV.Mean[i], f.CV.SE[i] = mean, math.Sqrt(ss/float64(d.N)/float64(d.Folds-1))
		if mean < f.CV.Mean[f.CV.Min] {
			f.CV.Min = i
		}
	}
	for f.CV.Mean[f.CV.OneSE] > f.CV.Mean[f.CV.Min]+f.CV.SE[f.CV.Min] {
		f.CV.OneSE++
	}
	return nil
}

func (f *PenalisedFit) holdOut(ctx context.Context, m *logitModel, d PenalisedData) error {
	f.HeldOut = make([]float64, d.N)
	for k := range d.Folds {
		p, test, err := foldModel(m, d, int32(k))
		if err != nil {
			return err
		}
		gamma := p.m.coldStart()
		if _, _, err := p.solve(ctx, gamma, f.Lambda[f.Best], 1e-10); err != nil {
			return fmt.Errorf("fold %d: %w", k+1, err)
		}
		for _, r := range test {
			f.HeldOut[r] = m.linear(gamma, int(r))
		}
	}
	return nil
}

// foldModel is the model of the rows outside a fold, with the fold's rows.
func foldModel(m *logitModel, d PenalisedData, fold int32) (*penalised, []int32, error) {
	sub := *m
	sub.N, sub.X, sub.Y = 0, nil, nil
	var test []int32
	for i, k := range d.Fold {
		if k == fold {
			test = append(test, int32(i))
			continue
		}
		sub.N++
	}
	sub.X, sub.Y, sub.fitted = make([]float64, 0, sub.N*d.K), make([]float64, 0, sub.N), make([]float64, sub.N)
	for i, k := range d.Fold {
		if k != fold {
			sub.X = append(sub.X, d.X[i*d.K:(i+1)*d.K]...)
			sub.Y = append(sub.Y, d.Y[i])
		}
	}
	sub.sumW = float64(sub.N)
	sub.meanY = Sum(sub.Y) / sub.sumW
	if len(test) == 0 || !(sub.meanY > 0 && sub.meanY < 1) {
		return nil, nil, fmt.Errorf("%w: fold %d of %d is empty, or without it all outcomes are equal", ErrDomain, fold+1, d.Folds)
	}
	return newPenalised(&sub, d.Alpha), test, nil
}

// linear is the linear predictor of a row at centred and scaled coefficients.
func (m *logitModel) linear(gamma []float64, row int) float64 {
	eta := gamma[m.constant]
	for j, x := range m.X[row*m.K : (row+1)*m.K] {
		if j != m.constant {
			eta += float64(gamma[j] * float64((x-m.centre[j])*m.scale[j]))
		}
	}
	return eta
}
