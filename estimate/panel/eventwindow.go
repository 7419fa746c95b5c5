package panel

import (
	"context"
	"fmt"

	"utfall/estimate"
)

// eventWindow is what the estimators with a window around entry, [Stacked] and [LocalProjections], are asked for.
type eventWindow struct {
	name string
	EventOptions
	before, after *int
	control       string
}

// lay checks the options and sorts the rows.
func (e eventWindow) lay(ctx context.Context, f *Frame) (*long, error) {
	only, bad := onlyNever(e.control)
	switch err := e.check(); {
	case err != nil:
		return nil, err
	case bad != nil:
		return nil, bad
	case e.before != nil && *e.before < 1+e.Anticipation:
		return nil, fmt.Errorf("%w: %d periods before treatment are too few for a reference before %d periods of anticipation", ErrOption, *e.before, e.Anticipation)
	case e.after != nil && *e.after < 0:
		return nil, fmt.Errorf("%w: the window ends %d periods before treatment", ErrOption, -*e.after)
	case len(f.XNames) > 0:
		return nil, fmt.Errorf("%w: %s takes no covariates; use imputation, etwfe or did", ErrOption, e.name)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	l, err := layLong(f, e.Anticipation, false)
	if err != nil {
		return nil, err
	}
	switch {
	case len(l.cohortsIn()) == 0:
		return nil, fmt.Errorf("%w: no cohort starts after the first period and by the last", estimate.ErrNoTreated)
	case only && !l.hasNever():
		return nil, fmt.Errorf("%w: no unit is never treated; use not-yet-treated comparison units", estimate.ErrNoControls)
	}
	return l, nil
}
