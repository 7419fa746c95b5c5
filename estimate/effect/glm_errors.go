package effect

import (
	"math"
	"strings"

	"utfall/internal/num"
)

// plainCondition is the condition number of the columns, times the root of their information, up to which the
// triangle of the last Newton step, made from sums of products, is used for errors: its square costs seven of 16 digits.
const plainCondition = 2000

// solve gives coefficients, errors and influence at the maximum, and Pearson's χ²: by the
// least squares of the last step, or, where the errors need each row's score and no more, from what that step left: with
// R'R = X'WX and s the score of a row the influence is R⁻¹R⁻ᵀx·s.
func (g GLM) solve(l *linear, names []string, fit *maximum) (sol *solution, pearson float64, err error) {
	if g.Family != num.Gaussian {
		l.dispersion = 1
	}
	plain := (l.vcov == IID || l.vcov == HC0 || l.vcov == HC1) && g.Family != num.Gaussian && fit.Condition <= plainCondition
	if plain {
		pearson = fit.pearson(l.workers)
		plain = pearson > 1e-20*float64(l.n) // else the fit is exact, and its rounding must not look like an error
	}
	if plain {
		l.scores, l.spent = fit.Score, true
		lsq := num.LsqFit{Kept: fit.kept, Collinear: fit.collinear, Rank: len(fit.kept), R: fit.R, Condition: fit.Condition}
		for _, j := range fit.kept {
			lsq.Coef = append(lsq.Coef, fit.Coef[j])
		}
		sol, err = l.errors(names, lsq)
	} else {
		pearson = l.working(fit.GLMFit)
		l.spent = !l.vcov.clustered()
		sol, err = l.solve(names)
	}
	if err != nil {
		return nil, 0, err
	}
	if g.Pearson {
		f := pearson / (sol.units - float64(sol.params))
		sol.cov.ScaleSym(f, sol.cov)
		for j := range sol.se {
			sol.se[j] *= math.Sqrt(f)
			sol.df[j] = sol.units - float64(sol.params)
		}
		sol.vcov = "iid: Pearson dispersion times the inverse of the expected information; t on N-K"
	} else if l.vcov == IID && l.dispersion > 0 {
		sol.vcov = "iid: inverse of the expected information; normal"
	}
	if l.normal && !l.vcov.clustered() && l.vcov != IID {
		sol.vcov = strings.Replace(sol.vcov, "t on N-K", "normal", 1)
	}
	return sol, pearson, nil
}

// working turns the maximum into the least squares of its last step: x and y become
// √u·x and √u·(x'β + r), u the information of a row of weight 1. It returns Pearson's
// χ².
func (l *linear) working(fit *num.GLMFit) (pearson float64) {
	l.y, l.start = make([]float64, l.n), fit.Coef
	return num.SumChunks(l.n, 1, l.workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			row := l.x[i*l.k : (i+1)*l.k]
			if !(fit.Info[i] > 0) { // a mean that has underflowed weighs nothing
				clear(row)
				continue
			}
			root, r := math.Sqrt(fit.Info[i]/l.w(i)), fit.Score[i]/fit.Info[i]
			acc[0] += float64(r * fit.Score[i])
			var eta float64
			for j, x := range row {
				eta += float64(x * fit.Coef[j])
				row[j] = root * x
			}
			l.y[i] = root * (eta + r)
		}
	})[0]
}

// pearson is Pearson's χ², and makes the score of a row 0 whose mean has underflowed: it weighs nothing.
func (fit *maximum) pearson(workers int) float64 {
	return num.SumChunks(len(fit.Score), 1, workers, func(lo, hi int, acc []float64) {
		for i, info := range fit.Info[lo:hi] {
			score := &fit.Score[lo+i]
			if !(info > 0) {
				*score = 0
				continue
			}
			acc[0] += float64(*score / info * *score)
		}
	})[0]
}
