package panel

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
)

// TwoWay is two-way fixed effects: the regression of the outcome on dummies of the time
// since treatment e (event=E), unit and period effects and covariates,
//
//	y[i,t] = α[i] + λ[t] + Σ_{e ≠ r} β[e]·1{t - g = e} + x'γ
//
// with the reference r the last event before the anticipation (-1 without), and, for
// overall, the same regression on one dummy for t ≥ g. It is a benchmark and not an
// estimate to report: where entry is staggered and effects differ or grow, the
// coefficients mix effects of other events and cohorts with weights that can be
// negative (Sun and Abraham 2021; Goodman-Bacon 2021). [Bacon] shows what overall
// averages.
//
// Errors are cr1 by cluster (default: the unit), t on clusters - 1, in fixest's
// convention: G/(G-1)·(N-1)/(N-K), unit effects nested in the clusters counted once in
// K. Units treated throughout take part as comparison and are counted in a note; units
// may lack periods. Without never-treated units the effects by event are NaN (note
// events-not-identified). Influence has a row for each unit and contains the root of
// the finite-sample factor. Details: estimator, reference_event, covariates, bands.
//
// Errors: as [GroupTime.Fit], and [estimate.ErrNotIdentified] without a period before
// treatment. Agrees with R's fixest 0.12.1.
type TwoWay struct{ EventOptions }

// Fit estimates. f is read only; X holds covariates as they are in each period.
func (e TwoWay) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("two-way fixed effects: %w", err)
	}
	return res, nil
}

func (e TwoWay) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	l, err := layLong(f, e.Anticipation, true)
	if err != nil {
		return nil, err
	}
	if len(l.cohortsIn()) == 0 {
		return nil, fmt.Errorf("%w: no cohort starts by the last period", estimate.ErrNoTreated)
	}
	l.noteGaps()
	events := l.events(func(int) bool { return true })
	if events[0] >= -e.Anticipation {
		return nil, fmt.Errorf("%w: no treated unit has a period before treatment and its %d periods of anticipation", estimate.ErrNotIdentified, e.Anticipation)
	}
	reference := events[0]
	for _, v := range events {
		if v < -e.Anticipation {
			reference = v
		}
	}
	overall, err := l.static(ctx, e.Anticipation, e.Workers)
	if err != nil {
		return nil, err
	}
	var names []string
	column := map[int]int{}
	for _, v := range events {
		if v != reference {
			column[v] = len(names)
			names = append(names, eventTerm(v))
		}
	}
	var terms []term
	var covariates []map[string]any
	identified := l.hasNever()
	if identified {
		fit, err := l.regress(ctx, dummies{names: names, column: func(i int) int {
			if l.cohort[i] == never {
				return -1
			}
			if j, ok := column[l.event(i)]; ok {
				return j
			}
			return -1
		}}, e.Workers)
		if err != nil {
			return nil, err
		}
		identified = finite(fit.coef...)
		for _, v := range events {
			if v == reference {
				terms = append(terms, term{name: eventTerm(v), df: fit.df})
				continue
			}
			terms = append(terms, fit.combine(eventTerm(v), []int{column[v]}, []float64{1}))
		}
		covariates = fit.covariates
	}
	if !identified { // one coefficient that does not exist changes what the others mean
		terms = nil
		for _, v := range events {
			terms = append(terms, term{name: eventTerm(v), value: math.NaN(), df: overall.df})
		}
	}
	res, err := l.finish("twfe", append(terms, overall), e.EventOptions, f.Level)
	if err != nil {
		return nil, err
	}
	res.Details["reference_event"] = reference
	if len(covariates) > 0 {
		res.Details["covariates"] = covariates
	}
	return res, nil
}
