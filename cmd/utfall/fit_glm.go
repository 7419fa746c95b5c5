package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"utfall/cohort"
	"utfall/estimate"
)

// fitGLM is binomial regression.
type fitGLM struct {
	outcome      string
	covariates   []string
	family, link string
}

func (m *fitGLM) flags(f *flagSet) {
	f.column(&m.outcome, "outcome", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.text(&m.family, "family", "binomial", "distribution: binomial")
	f.text(&m.link, "link", "logit", "logit, probit or cloglog")
	f.need("outcome", "covariates")
}

func (m *fitGLM) check() []string {
	return append(choice("family", m.family, []string{"binomial"}, "poisson", "negbin", "gaussian"), oneOf("link", m.link, "logit", "probit", "cloglog")...)
}

func (m *fitGLM) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("outcome", m.outcome)
	c.apart("covariates", m.covariates...)
	return c
}

func (m *fitGLM) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	y, err := d.binary(m.outcome)
	if err != nil {
		return nil, err
	}
	events := 0
	for _, v := range y {
		if v {
			events++
		}
	}
	if events == 0 || events == len(y) {
		return nil, fmt.Errorf("%w: the outcome %q has one value only in the %d rows used", estimate.ErrNotIdentified, m.outcome, len(y))
	}
	p, err := d.propensity(ctx, m.outcome, m.covariates, m.link)
	if errors.Is(err, cohort.ErrSeparation) {
		return nil, fmt.Errorf("%w: the outcome is perfectly predicted%s", estimate.ErrSeparated, strings.TrimPrefix(err.Error(), cohort.ErrSeparation.Error()))
	}
	if err != nil {
		return nil, errors.New(strings.NewReplacer("propensity model", "model", "is the treatment", "is the outcome").Replace(err.Error()))
	}
	out := propensityOutput(p, d.level)
	out.n = map[string]int{"units": p.Units, "events": events}
	out.details["family"] = m.family
	return out, nil
}
