package cohort

import (
	"context"
	"errors"
	"math"
	"strings"

	"utfall/internal/num"
)

// penalised fits a ridge (α = 0) or a lasso (α = 1): the β that minimise
//
//	-(1/n)·loglik(β) + λ·[(1-α)/2·Σ (sⱼβⱼ)² + α·Σ |sⱼβⱼ|],
//
// sⱼ the SD of column j (divisor n) and the constant free; see [num.PenalisedLogit] for
// path and cross-validation. λ is given, or that with the least held-out deviance (rule
// min), or the largest within a standard error of it (1se). There are no standard errors:
// penalised coefficients are biased, and their spread says nothing about that.
//
// Columns that separate the groups, and columns that depend on others, are accepted, and
// named in a note.
//
// Sources: Hoerl and Kennard (1970), Technometrics 12; Tibshirani (1996), JRSS-B 58;
// Friedman, Hastie and Tibshirani (2010), J. Stat. Softw. 33(1).
func (p *propensityData) penalised(ctx context.Context) (*PropensityFit, error) {
	alpha, rule := 0.0, p.s.LambdaRule
	if p.s.Model == LassoModel {
		alpha = 1
	}
	if rule == "" {
		rule = LambdaMin
	}
	d := num.PenalisedData{
		N: p.u.n, K: len(p.x.Columns), X: p.x.Values, Y: p.y, Alpha: alpha, Workers: p.d.Workers,
		Fold: p.fold, Folds: p.folds, HeldOut: p.s.CrossFit, OneSE: rule == LambdaOneSE,
	}
	if p.s.Lambda != nil {
		rule, d.Lambda = "given", []float64{*p.s.Lambda}
	}
	p.without()
	fit, err := num.PenalisedLogit(ctx, d)
	if err != nil {
		return nil, propensityError(err, p.x, p.cov, p.u)
	}
	best := fit.Best
	pen := &PenaltyFit{
		Alpha: alpha, Lambda: fit.Lambda, Deviance: fit.Deviance, NonZero: fit.NonZero, Chosen: fit.Lambda[best], Rule: rule,
		Gap: fit.Gap[best], Min: math.NaN(), OneSE: math.NaN(),
	}
	if fit.CV != nil {
		pen.Mean, pen.SE, pen.Min, pen.OneSE = fit.CV.Mean, fit.CV.SE, fit.Lambda[fit.CV.Min], fit.Lambda[fit.CV.OneSE]
		switch {
		case fit.CV.Min == 0:
			p.note("penalty-largest", nil, "No penalty below the largest predicts held-out units better: the covariates say next to nothing about who is treated.")
		case fit.CV.Min == len(fit.Lambda)-1 && len(fit.Lambda) > 1:
			p.note("penalty-smallest", map[string]any{"lambda": pen.Min}, "The smallest penalty of the path predicts held-out units best: the model hardly needs one.")
		}
	}
	p.note("penalised-no-errors", nil, "Penalised coefficients are drawn towards 0 on purpose, so that they have no standard errors; the scores are what they are for.")
	linear := fit.HeldOut
	if linear == nil {
		linear = p.linears(fit.Coef[best])
	}
	out := p.result(p.s.Model, linear, p.s.CrossFit)
	out.Names, out.Coef, out.Penalty = p.x.Names(), fit.Coef[best], pen
	out.Deviance, out.LogLik = fit.Deviance[best], -fit.Deviance[best]/2
	return out, ctx.Err()
}

// without says what the model could not do without its penalty.
func (p *propensityData) without() {
	_, err := num.Logit(num.LogitData{N: p.u.n, K: len(p.x.Columns), X: p.x.Values, Y: p.y, Workers: p.d.Workers})
	var singular *num.SingularColumn
	switch {
	case errors.As(err, &singular):
		names := collinear(p.cov, p.u, p.d.Workers)
		if len(names) == 0 {
			names = []string{p.x.Columns[singular.Column].Name}
		}
		p.note("collinear-covariate", map[string]any{"columns": names, "n": len(names)},
			"Columns that are a linear combination of those before share their slopes: %s. Without a penalty there is no such model.", quoted(names))
	case errors.Is(err, num.ErrSeparated):
		hints := separatingColumns(p.cov, p.u)
		text := "no single column does it, several together do"
		if len(hints) > 0 {
			text = "look at " + strings.Join(hints, "; ")
		}
		p.note("separation-accepted", map[string]any{"columns": len(hints)},
			"The covariates separate the groups, and only the penalty keeps the model finite: %s. There are units whom nobody in the other group resembles.", text)
	}
}
