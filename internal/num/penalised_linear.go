package num

import (
	"context"
	"fmt"
	"math"
)

// PenalisedLinear minimises, for each λ of a falling path,
//
//	1/(2N)·Σ (yᵢ - x'β)² + λ·[(1-α)/2·Σ (sⱼβⱼ)²/s + α·Σ |sⱼβⱼ|],
//
// sⱼ the SD of column j and s that of y (divisor N): the objective of glmnet with
// standardised columns, in which λ has the unit of y. Y are N finite numbers; Deviance is the residual sum of squares, Gap is in SDs of Y.
// Everything else is as in [PenalisedLogit].
//
// All λ are solved on the correlations of the columns, summed once by fold: by their
// eigenvalues (α = 0), or by coordinate descent and then exactly on the columns that it
// left in. Products of columns lose digits where columns are nearly dependent, which is
// where the penalty decides; as λ goes to 0 the fit is that of [LeastSquares] to about
// 1e-16 times the squared condition number.
//
// A Y without spread gives the constant alone. Errors: [ErrDomain] (a value that is not
// finite, an empty fold), [ErrNoConvergence].
func PenalisedLinear(ctx context.Context, d PenalisedData) (*PenalisedFit, error) {
	g, err := newGram(d)
	if err != nil {
		return nil, err
	}
	all := g.parts[0].plus(g.parts[1:]...)
	p := g.standardise(all)
	fit := &PenalisedFit{SD: make([]float64, d.K), Lambda: d.Lambda, NullDev: p.yy * p.n}
	for j := range d.K {
		if j != g.constant {
			fit.SD[j] = p.sd[j] / g.scale[j]
		}
	}
	own := d.Lambda == nil
	if own {
		fit.Lambda = p.path(d.Alpha, g.constant)
	}
	b := make([]float64, d.K)
	for i, lambda := range fit.Lambda {
		gap, err := p.solve(ctx, b, d.Alpha, lambda, g.constant)
		if err != nil {
			return nil, fmt.Errorf("λ %d of %d: %w", i+1, len(fit.Lambda), err)
		}
		fit.Coef = append(fit.Coef, g.natural(p, b))
		fit.Gap = append(fit.Gap, gap)
		fit.Deviance = append(fit.Deviance, p.rss(b))
		fit.NonZero = append(fit.NonZero, nonZero(b))
		if own && (fit.NullDev == 0 || fit.endsLinear()) {
			fit.Lambda = fit.Lambda[:i+1]
			break
		}
	}
	fit.Best = len(fit.Lambda) - 1
	if d.Fold == nil {
		return fit, nil
	}
	if err := g.validate(ctx, fit, all); err != nil {
		return nil, err
	}
	fit.Best = fit.CV.Min
	if d.OneSE {
		fit.Best = fit.CV.OneSE
	}
	if d.HeldOut {
		fit.HeldOut = make([]float64, d.N)
		for k := range g.parts {
			p := g.standardise(all.minus(g.parts[k]))
			b := make([]float64, d.K)
			if _, err := p.solve(ctx, b, d.Alpha, fit.Lambda[fit.Best], g.constant); err != nil {
				return nil, fmt.Errorf("fold %d: %w", k+1, err)
			}
			coef := g.natural(p, b)
			for i, f := range d.Fold {
				if int(f) == k {
					var s float64
					for j, x := range d.X[i*d.K : (i+1)*d.K] {
						s += float64(x * coef[j])
					}
					fit.HeldOut[i] = s
				}
			}
		}
	}
	return fit, nil
}

// endsLinear is glmnet's rule for squared errors, whose last steps are relative.
func (f *PenalisedFit) endsLinear() bool {
	const atLeast = 5
	i := len(f.Deviance) - 1
	gain := func(i int) float64 { return 1 - f.Deviance[i]/f.NullDev }
	return gain(i) > 0.999 || i+1 >= atLeast && gain(i)-gain(i-1) < 1e-5*gain(i)
}

func nonZero(b []float64) int {
	n := 0
	for _, v := range b {
		if v != 0 {
			n++
		}
	}
	return n
}

// gram is the products of the columns by fold, for columns z = (x-centre)·scale and
// y - centreY, whose sizes are near 1.
type gram struct {
	d        PenalisedData
	constant int
	centre   []float64
	scale    []float64
	centreY  float64
	parts    []moments
}

// moments of some rows: n, Σz, Σy, Σzz', Σzy, Σy², one after another.
type moments []float64

func (m moments) plus(more ...moments) moments {
	out := append(moments(nil), m...)
	for _, o := range more {
		for i, v := range o {
			out[i] += v
		}
	}
	return out
}

func (m moments) minus(o moments) moments {
	out := append(moments(nil), m...)
	for i, v := range o {
		out[i] -= v
	}
	return out
}

func newGram(d PenalisedData) (*gram, error) {
	k := d.K
	if len(d.X) != d.N*k || len(d.Y) != d.N || d.Fold != nil && len(d.Fold) != d.N || d.N == 0 {
		panic("num: PenalisedLinear with data of inconsistent lengths")
	}
	g := &gram{d: d, constant: -1, centre: make([]float64, k), scale: make([]float64, k)}
	for i, v := range d.Y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%w: outcome of row %d is not finite", ErrDomain, i+1)
		}
	}
	g.centreY = Sum(d.Y) / float64(d.N)
	s := SumChunks(d.N, k, d.Workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			for j, x := range d.X[i*k : (i+1)*k] {
				acc[j] += x
			}
		}
	})
	for j := range k {
		g.centre[j] = s[j] / float64(d.N)
		if math.IsNaN(g.centre[j]) || math.IsInf(g.centre[j], 0) {
			return nil, fmt.Errorf("%w: column %d is not finite", ErrDomain, j+1)
		}
		largest := 0.0
		for i := range d.N {
			largest = math.Max(largest, math.Abs(d.X[i*k+j]-g.centre[j]))
		}
		switch {
		case largest > 0:
			_, e := math.Frexp(largest)
			g.scale[j] = math.Ldexp(1, -e)
		case g.constant < 0 && g.centre[j] != 0:
			g.constant = j
			fallthrough
		default:
			g.scale[j] = 1
		}
	}
	if g.constant < 0 {
		panic("num: PenalisedLinear without a constant column")
	}
	folds := max(d.Folds, 1)
	if d.Fold == nil {
		folds = 1
	}
	width := folds * (k*k + 2*k + 3)
	sums := SumChunks(d.N, width, d.Workers, func(lo, hi int, acc []float64) {
		z := make([]float64, k)
		for i := lo; i < hi; i++ {
			at := acc
			if d.Fold != nil {
				at = acc[int(d.Fold[i])*(width/folds):]
			}
			for j, x := range d.X[i*k : (i+1)*k] {
				z[j] = (x - g.centre[j]) * g.scale[j]
			}
			y := d.Y[i] - g.centreY
			at[0]++
			at[1] += y
			at[2] += float64(y * y)
			mean, zy, zz := at[3:3+k], at[3+k:3+2*k], at[3+2*k:]
			for j, v := range z {
				mean[j] += v
				zy[j] += float64(v * y)
				for l, w := range z[:j+1] {
					zz[j*k+l] += float64(v * w)
				}
			}
		}
	})
	for f := range folds {
		part := moments(sums[f*(width/folds) : (f+1)*(width/folds)])
		if part[0] == 0 || folds > 1 && part[0] == float64(d.N) {
			return nil, fmt.Errorf("%w: fold %d of %d is empty, or holds all rows", ErrDomain, f+1, folds)
		}
		g.parts = append(g.parts, part)
	}
	return g, nil
}

// natural returns the coefficients of the columns as given.
func (g *gram) natural(p *standard, b []float64) []float64 {
	out := make([]float64, len(b))
	at := p.meanY + g.centreY
	for j, v := range b {
		if j == g.constant || v == 0 {
			continue
		}
		out[j] = v / p.sd[j] * g.scale[j]
		at -= float64(out[j] * (g.centre[j] + p.mean[j]/g.scale[j]))
	}
	out[g.constant] = at / g.d.X[g.constant]
	return out
}

// validate fills CV with the mean squared errors of held-out rows.
func (g *gram) validate(ctx context.Context, f *PenalisedFit, all moments) error {
	k := g.d.K
	f.CV = &PenalisedCV{Mean: make([]float64, len(f.Lambda)), SE: make([]float64, len(f.Lambda))}
	loss := make([][]float64, len(g.parts))
	for fold, test := range g.parts {
		p := g.standardise(all.minus(test))
		loss[fold] = make([]float64, len(f.Lambda))
		b, slope := make([]float64, k), make([]float64, k)
		for i, lambda := range f.Lambda {
			if _, err := p.solve(ctx, b, g.d.Alpha, lambda, g.constant); err != nil {
				return fmt.Errorf("fold %d, λ %d of %d: %w", fold+1, i+1, len(f.Lambda), err)
			}
			// Σ(y - a - z'β)² of the rows from their moments.
			a := p.meanY
			for j := range b {
				slope[j] = 0
				if b[j] != 0 {
					slope[j] = b[j] / p.sd[j]
					a -= float64(slope[j] * p.mean[j])
				}
			}
			n, mean, zy, zz := test[0], test[3:3+k], test[3+k:3+2*k], test[3+2*k:]
			s := test[2] - float64(2*a*test[1]) + float64(n*a*a)
			for j, v := range slope {
				if v == 0 {
					continue
				}
				s += float64(2 * v * (float64(a*mean[j]) - zy[j]))
				s += float64(v * float64(v*zz[j*k+j]))
				for l, w := range slope[:j] {
					s += float64(2 * v * float64(w*zz[j*k+l]))
				}
			}
			loss[fold][i] = math.Max(s, 0) / n
		}
	}
	for i := range f.Lambda {
		mean, ss := 0.0, 0.0
		for fold, test := range g.parts {
			mean += float64(test[0]*loss[fold][i]) / all[0]
		}
		for fold, test := range g.parts {
			ss += float64(test[0]*(loss[fold][i]-mean)*(loss[fold][i]-mean)) / all[0]
		}
		f.CV.Mean[i], f.CV.SE[i] = mean, math.Sqrt(ss/float64(len(g.parts)-1))
		if mean < f.CV.Mean[f.CV.Min] {
			f.CV.Min = i
		}
	}
	for f.CV.Mean[f.CV.OneSE] > f.CV.Mean[f.CV.Min]+f.CV.SE[f.CV.Min] {
		f.CV.OneSE++
	}
	return nil
}
