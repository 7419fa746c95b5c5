package survive

import (
	"errors"
	"fmt"
	"math"

	"utfall/estimate"
)

// Times are times to one event, one row a unit. A unit is at risk over (Entry, Time].
type Times struct {
	Unit       []string  // n, unique
	Time       []float64 // n, > Entry ≥ 0 (without entry Time ≥ 0 is allowed: an event at 0 comes before everything)
	Event      []bool    // n; false is censored at Time
	Entry      []float64 // n, late entry; nil if everybody is observed from 0
	Group      []int     // n: index into GroupNames; nil if one group
	GroupNames []string
	Weight     estimate.Weights // frequency, sampling or matching
	Cluster    []int            // n, from 0; nil if independent
	Level      float64
}

// ErrTime is about a row whose time or entry time is not finite, negative, or whose time is not after its entry: the
// message says which.
var ErrTime = errors.New("times no unit can have")

// timeError says which rule the times of a row break; nil if none.
func (f *Times) timeError(i int) error {
	why := clockRule("the time", f.Time[i])
	if why == "" && f.Entry != nil {
		if why = clockRule("the entry time", f.Entry[i]); why == "" && !(f.Entry[i] < f.Time[i]) {
			why = "the time is not after the entry time, so that the row is never at risk"
		}
	}
	if why == "" {
		return nil
	}
	return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: %s", ErrTime, why)}
}

// clockRule is the rule that a time on a clock from 0 breaks; "" if none.
func clockRule(what string, t float64) string {
	switch {
	case math.IsNaN(t) || math.IsInf(t, 0):
		return what + " is not a finite number"
	case t < 0:
		return what + " is negative; the clock starts at 0"
	}
	return ""
}

// Check reports the first breach of the contract: an [estimate.RowError] where one
// row is at fault, else an error that wraps [estimate.ErrInvalidFrame].
func (f *Times) Check() error {
	n := len(f.Time)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case n == 0:
		return bad("no rows")
	case n > math.MaxInt32:
		return bad("%d rows; at most 2^31-1", n)
	case len(f.Unit) != n || len(f.Event) != n:
		return bad("%d units and %d event marks for %d times", len(f.Unit), len(f.Event), n)
	case f.Entry != nil && len(f.Entry) != n:
		return bad("%d entry times for %d times", len(f.Entry), n)
	case (f.Group == nil) != (len(f.GroupNames) == 0):
		return bad("groups without names, or names without groups")
	case f.Group != nil && len(f.Group) != n:
		return bad("%d group numbers for %d times", len(f.Group), n)
	case f.Cluster != nil && len(f.Cluster) != n:
		return bad("%d cluster numbers for %d times", len(f.Cluster), n)
	case f.Weight.Values != nil && len(f.Weight.Values) != n:
		return bad("%d weights for %d times", len(f.Weight.Values), n)
	case (f.Weight.Values == nil) != (f.Weight.Kind == estimate.NoWeights):
		return bad("weights without a kind, or a kind without weights")
	case !(f.Level > 0 && f.Level < 1):
		return bad("confidence level %v is not between 0 and 1", f.Level)
	}
	switch f.Weight.Kind {
	case estimate.NoWeights, estimate.Frequency, estimate.Sampling, estimate.Matching:
	default:
		return fmt.Errorf("%w: unknown kind %q", estimate.ErrWeights, f.Weight.Kind)
	}
	if err := distinct("group", f.GroupNames); err != nil {
		return bad("%v", err)
	}
	if err := checkWeights(f.Weight.Values, "row"); err != nil {
		return err
	}
	if f.Weight.Kind == estimate.Frequency {
		for i, w := range f.Weight.Values {
			if w != math.Trunc(w) {
				return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: a frequency must be a whole number", estimate.ErrWeights)}
			}
		}
	}
	for i := range f.Time {
		if err := f.timeError(i); err != nil {
			return err
		}
	}
	for i, g := range f.Group {
		if g < 0 || g >= len(f.GroupNames) {
			return bad("group number of row %d is not the number of a group", i+1)
		}
	}
	for i, c := range f.Cluster {
		if c < 0 {
			return bad("cluster number of row %d is negative", i+1)
		}
	}
	return nil
}
