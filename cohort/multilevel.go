package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// multilevel fits a logit with a random intercept by site,
//
//	P(treated | x, site) = logistic(x'β + u_site),   u ~ N(0, σ²),
//
// by [num.SiteLogit]. The score is the probability at the site's conditional mode of u,
// so that units are compared at equal inclination of their sites; a unit of a site that
// a cross-fitted model has not seen is at u = 0.
//
// Source: Li, Zaslavsky and Landrum (2013), Stat. Med. 32 (propensity scores with
// clustered data).
func (p *propensityData) multilevel(ctx context.Context) (*PropensityFit, error) {
	site, err := p.readSite()
	if err != nil {
		return nil, err
	}
	nodes := max(p.s.Nodes, 1)
	d := num.SiteLogitData{N: p.u.n, K: len(p.x.Columns), X: p.x.Values, Y: p.y, Site: make([]int32, p.u.n), Sites: len(site.levels), Nodes: nodes, Workers: p.d.Workers}
	for i, r := range p.u.order {
		d.Site[i] = site.codes[r]
	}
	fit, err := num.SiteLogit(ctx, d)
	if err != nil {
		return nil, propensityError(err, p.x, p.cov, p.u)
	}
	part := newSiteFit(RandomSites, site, p.u)
	part.Value, part.SD, part.Nodes, part.NullLogLik = fit.Effect, fit.SD, nodes, fit.NullLogLik
	if fit.SD == 0 {
		p.note("no-site-variance", map[string]any{"sites": len(site.levels)}, "The sites differ no more than chance would have it: the variance of their intercepts is 0, and the model is that without sites.")
	}
	if len(site.levels) < 5 {
		p.note("few-sites", map[string]any{"sites": len(site.levels)}, "%d sites tell little about the variance between sites; consider fixed effects of the sites.", len(site.levels))
	}
	linear := p.linears(fit.Coef)
	for i, s := range d.Site {
		linear[i] += fit.Effect[s]
	}
	if p.s.CrossFit {
		linear, err = p.crossFit(ctx, func(rows []int32, x, y []float64) (func(int) float64, error) {
			sub := d
			sub.N, sub.X, sub.Y, sub.Site = len(rows), x, y, make([]int32, len(rows))
			for i, r := range rows {
				sub.Site[i] = d.Site[r]
			}
			fit, err := num.SiteLogit(ctx, sub)
			if err != nil {
				return nil, err
			}
			return func(i int) float64 { return p.linear(fit.Coef, i) + fit.Effect[d.Site[i]] }, nil
		})
		if err != nil {
			return nil, err
		}
	}
	out := p.result(MultilevelModel, linear, p.s.CrossFit)
	out.Names, out.Coef, out.Cov, out.SE = p.x.Names(), fit.Coef, fit.Cov, make([]float64, len(fit.Coef))
	for j := range out.SE {
		out.SE[j] = math.Sqrt(fit.Cov.At(j, j))
	}
	out.LogLik, out.Deviance, out.Iterations, out.Sites = fit.LogLik, -2*fit.LogLik, fit.Iterations, part
	return out, ctx.Err()
}

func (p *propensityData) readSite() (covariate, error) {
	if slices.Contains(p.s.Covariates, p.s.Site) {
		return covariate{}, fmt.Errorf("%w: column %q is the site and a covariate", ErrCovariate, p.s.Site)
	}
	if err := notTheTreatment([]string{p.s.Site}, p.d); err != nil {
		return covariate{}, err
	}
	site, problem := readCovariate(p.t, p.s.Site, true)
	switch {
	case problem != "":
		return site, fmt.Errorf("%w: site: %s", ErrCovariate, problem)
	case len(site.levels) < 2:
		return site, fmt.Errorf("%w: site: column %q has one site in all of the %d rows", ErrCovariate, p.s.Site, p.u.n)
	}
	return site, nil
}

func newSiteFit(effect string, site covariate, u *units) *SiteFit {
	out := &SiteFit{Effect: effect, Names: site.levels, Units: make([]int, len(site.levels)), SD: math.NaN(), NullLogLik: math.NaN()}
	treated := make([]int, len(site.levels))
	for i, c := range site.codes {
		out.Units[c]++
		treated[c] += arm(u.treated[i])
	}
	for j, n := range out.Units {
		if treated[j] == 0 || treated[j] == n {
			out.OneGroup++
		}
	}
	return out
}

// fixedSites fits a logit with a dummy for each site but the first. A site in which all
// are in one group separates the groups.
func (s PropensitySpec) fixedSites(ctx context.Context, t *table.Table, d Spec, u *units) (*PropensityFit, error) {
	p, err := s.prepare(t, d, u)
	if err != nil {
		return nil, err
	}
	site, err := p.readSite()
	if err != nil {
		return nil, err
	}
	part := newSiteFit(FixedSites, site, u)
	if part.OneGroup > 0 {
		return nil, fmt.Errorf("%w: in %d of the %d sites of column %q all units are in one group, so that they have no fixed effect: use random site effects, or leave these sites out", ErrSeparation, part.OneGroup, len(site.levels), s.Site)
	}
	plain := s
	plain.Model, plain.Site, plain.SiteEffect = LogitModel, "", ""
	plain.Covariates = append(slices.Clone(s.Covariates), s.Site)
	plain.Categorical = append(slices.Clone(s.Categorical), s.Site)
	out, err := plain.fit(ctx, t, d, u)
	if err != nil {
		return nil, err
	}
	part.Value = make([]float64, len(site.levels))
	first := len(out.Coef) - len(site.levels) + 1
	copy(part.Value[1:], out.Coef[first:])
	out.Model, out.Sites = MultilevelModel, part
	return out, nil
}
