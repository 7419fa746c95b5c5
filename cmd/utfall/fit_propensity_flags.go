package main

import (
	"fmt"
	"slices"
	"strings"

	"utfall/cohort"
)

// propensityFlags are the choices of a model of treatment, for fit propensity and fit weight.
type propensityFlags struct {
	f                                    *flagSet
	model, link, rule, person            string
	site, siteEffect, stop, stopEstimand string
	lambda, shrinkage                    float64
	folds, nodes, depth, rounds, minLeaf int
	crossFit                             bool
	seed                                 uint64
}

func (p *propensityFlags) flags(f *flagSet) {
	p.f = f
	f.text(&p.model, "model", cohort.LogitModel, "of treatment: logit, ridge, lasso, boosted or multilevel")
	f.text(&p.link, "link", "", "of model logit: logit (default), probit or cloglog")
	f.number(&p.lambda, "lambda", 0, "`penalty` of ridge and lasso (default: by cross-validation)")
	f.text(&p.rule, "lambda-rule", "", "of the cross-validation: min (least deviance, default) or 1se (largest penalty within one standard error)")
	f.column(&p.site, "site", "of the sites of model multilevel")
	f.text(&p.siteEffect, "site-effect", "", "random (default) or fixed")
	f.whole(&p.nodes, "nodes", 0, "of the quadrature over random site effects (default 1, Laplace's approximation)")
	f.whole(&p.depth, "depth", 0, "of boosted trees (default 3)")
	f.number(&p.shrinkage, "shrinkage", 0, "`share` of each boosted tree that is added (default 0.1)")
	f.whole(&p.rounds, "rounds", 0, "most boosted trees (default 1000)")
	f.whole(&p.minLeaf, "min-leaf", 0, "fewest units in a leaf of a boosted tree (default 20)")
	f.text(&p.stop, "stop", "", "number of boosted trees: cv (default), balance or none (as many as --rounds)")
	f.whole(&p.folds, "folds", 0, "of cross-validation and --cross-fit (default 10)")
	f.column(&p.person, "cluster", "persons that have several rows: they share a fold")
	f.yes(&p.crossFit, "cross-fit", false, "each unit's score from a model of the other folds")
	f.seed(&p.seed, "key of the folds")
}

// given reports whether a flag of the model was on the command line.
func (p *propensityFlags) given() bool {
	return slices.ContainsFunc([]string{"model", "link", "lambda", "lambda-rule", "site", "site-effect", "nodes", "depth", "shrinkage", "rounds",
		"min-leaf", "stop", "folds", "cluster", "cross-fit", "seed"}, p.f.given)
}

func (p *propensityFlags) spec(covariates []string) cohort.PropensitySpec {
	s := cohort.PropensitySpec{
		Model: p.model, Link: p.link, Covariates: covariates, LambdaRule: p.rule, Site: p.site, SiteEffect: p.siteEffect, Nodes: p.nodes,
		Depth: p.depth, Shrinkage: p.shrinkage, Rounds: p.rounds, MinLeaf: p.minLeaf, Stop: p.stop, Estimand: p.stopEstimand,
		Folds: p.folds, Person: p.person, CrossFit: p.crossFit, Seed: p.seed,
	}
	if p.f.given("lambda") {
		s.Lambda = &p.lambda
	}
	return s
}

// check lists the numbers that were given and are none of an option: 0 means the default
// in a study file and must not do so on a command line.
func (p *propensityFlags) check() (problems []string) {
	for name, v := range map[string]int{"folds": p.folds, "nodes": p.nodes, "depth": p.depth, "rounds": p.rounds, "min-leaf": p.minLeaf} {
		if p.f.given(name) && v == 0 {
			problems = append(problems, fmt.Sprintf("--%s must be at least 1", name))
		}
	}
	if p.f.given("shrinkage") && p.shrinkage == 0 {
		problems = append(problems, "--shrinkage must be above 0")
	}
	slices.Sort(problems)
	return problems
}

// optionTexts are the problems of a specification in the words of the command line.
func optionTexts(errs []error) (problems []string) {
	for _, err := range errs {
		problems = append(problems, strings.TrimPrefix(err.Error(), cohort.ErrOption.Error()+": "))
	}
	return problems
}

// modelDetails is what a model says about itself and its choice.
func modelDetails(p *cohort.PropensityFit) map[string]any {
	out := map[string]any{"model": p.Model, "link": p.Link, "log_likelihood": p.LogLik, "deviance": p.Deviance, "null_deviance": p.NullDev}
	if p.CrossFit > 0 {
		out["cross_fit_folds"] = p.CrossFit
	}
	if p.Coef != nil {
		coef := map[string]float64{}
		for j, name := range p.Names {
			coef[name] = p.Coef[j]
		}
		out["coefficients"] = coef
	}
	path := func(n int, columns map[string]func(i int) any) []any {
		rows := make([]any, n)
		for i := range rows {
			row := map[string]any{}
			for name, f := range columns {
				row[name] = f(i)
			}
			rows[i] = row
		}
		return rows
	}
	numbers := func(v []float64) func(int) any { return func(i int) any { return v[i] } }
	if q := p.Penalty; q != nil {
		columns := map[string]func(i int) any{"lambda": numbers(q.Lambda), "deviance": numbers(q.Deviance), "nonzero": func(i int) any { return q.NonZero[i] }}
		if q.Mean != nil {
			columns["cv_deviance"], columns["cv_std_error"] = numbers(q.Mean), numbers(q.SE)
			out["lambda_min"], out["lambda_1se"] = q.Min, q.OneSE
		}
		out["alpha"], out["lambda"], out["lambda_rule"], out["kkt_gap"] = q.Alpha, q.Chosen, q.Rule, q.Gap
		out["path"] = path(len(q.Lambda), columns)
	}
	if b := p.Boosted; b != nil {
		rounds := max(len(b.Deviance), len(b.Mean))
		or := func(v []float64) func(int) any { // the search goes on past the trees that are used
			return func(i int) any {
				if i < len(v) {
					return v[i]
				}
				return nil
			}
		}
		columns := map[string]func(i int) any{"trees": func(i int) any { return i }, "deviance": or(b.Deviance)}
		if b.Mean != nil {
			columns["cv_deviance"], columns["cv_std_error"] = or(b.Mean), or(b.SE)
		}
		if b.Balance != nil {
			columns["mean_abs_smd"] = or(b.Balance)
		}
		influence := map[string]float64{}
		for j, name := range b.Names {
			influence[name] = b.Influence[j]
		}
		out["trees"], out["depth"], out["shrinkage"], out["min_leaf"], out["stop"] = b.Rounds, b.Depth, b.Shrinkage, b.MinLeaf, b.Stop
		out["path"], out["influence"] = path(rounds, columns), influence
	}
	if s := p.Sites; s != nil {
		effects := map[string]float64{}
		for j, name := range s.Names {
			effects[name] = s.Value[j]
		}
		out["site_effect"], out["site_effects"], out["sites"], out["sites_one_group"] = s.Effect, effects, len(s.Names), s.OneGroup
		if s.Effect == cohort.RandomSites {
			out["site_sd"], out["site_variance"], out["nodes"], out["log_likelihood_without_sites"] = s.SD, s.SD*s.SD, s.Nodes, s.NullLogLik
		}
	}
	return out
}
