// Package panel estimates effects of a treatment that reaches units (municipalities,
// say) at different times: group-time average effects, event studies and what is
// built on them. METHODS.md in this folder gives estimand, equation, variance and
// reference software of each method.
package panel

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// Errors of this package, beside those of package estimate. Test with [errors.Is].
var (
	ErrOption        = errors.New("invalid option")
	ErrDuplicate     = errors.New("the same unit and period twice")
	ErrCohortChanges = errors.New("the cohort of a unit changes over time")
	ErrNotNested     = errors.New("the cluster of a unit changes over time")
	ErrOnePeriod     = errors.New("fewer than two periods")
	// ErrFewPeriods is too few periods for a method. It is also an [estimate.ErrTooFew],
	// whose words are about units.
	ErrFewPeriods error = fewPeriods{}
)

type fewPeriods struct{}

func (fewPeriods) Error() string { return "too few periods" }

// Is makes the error one of too little data.
func (fewPeriods) Is(target error) bool { return target == estimate.ErrTooFew }

// DidVersion is the software whose numbers [GroupTime.Reproduce] can give.
const DidVersion = "did-2.1.2"

// A Frame is n rows in long format, one for each unit and period (panel) or for
// each observation (repeated cross-sections); read-only in every Fit.
type Frame struct {
	Unit    []string   // n; nil only for repeated cross-sections (rows are then numbered from 1)
	Time    []int      // n, period
	Cohort  []int      // n, first treated period in the units of Time; 0 = never treated
	Y       []float64  // n, outcome units, finite
	X       *mat.Dense // n×k, no intercept, finite; nil if none
	XNames  []string   // k
	Weight  []float64  // n sampling weights > 0; nil = 1
	Cluster []string   // n; nil = each unit (each row of a cross-section) is its own
	Level   float64    // two-sided confidence level, e.g. 0.95
}

// check reports the first way in which the frame breaks its contract. What only
// several rows together can break is checked where the rows are laid out.
func (f *Frame) check(crossSection bool) error {
	n := len(f.Y)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	row := func(i int, format string, a ...any) error {
		return &estimate.RowError{Row: i, Err: bad(format, a...)}
	}
	switch {
	case n == 0:
		return bad("no rows")
	case f.Unit == nil && !crossSection:
		return bad("a panel needs the unit of each row")
	case f.Unit != nil && len(f.Unit) != n:
		return bad("%d units for %d outcomes", len(f.Unit), n)
	case len(f.Time) != n:
		return bad("%d periods for %d outcomes", len(f.Time), n)
	case len(f.Cohort) != n:
		return bad("%d cohorts for %d outcomes", len(f.Cohort), n)
	case f.Weight != nil && len(f.Weight) != n:
		return bad("%d weights for %d outcomes", len(f.Weight), n)
	case f.Cluster != nil && len(f.Cluster) != n:
		return bad("%d clusters for %d outcomes", len(f.Cluster), n)
	case !(f.Level > 0 && f.Level < 1):
		return bad("confidence level %v is not between 0 and 1", f.Level)
	case f.X == nil && len(f.XNames) > 0:
		return bad("names of %d covariates without covariates", len(f.XNames))
	}
	if f.X != nil {
		if r, k := f.X.Dims(); r != n || k != len(f.XNames) {
			return bad("covariates are %d×%d, %d×%d expected", r, k, n, len(f.XNames))
		}
	}
	for i, v := range f.Y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return row(i, "the outcome is not a finite number")
		}
	}
	for i, v := range f.Weight {
		if !(v > 0) || math.IsInf(v, 1) {
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: a sampling weight must be a finite number above 0; leave out rows that shall not count", estimate.ErrWeights)}
		}
	}
	if f.X != nil {
		for i := range n {
			for j, v := range f.X.RawRowView(i) {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return row(i, "covariate %q is not a finite number", f.XNames[j])
				}
			}
		}
	}
	return nil
}
