// Package cohort decides who is compared with whom: eligibility, time zero,
// propensity, matching, balance and attrition. A cohort is a table with a set
// column and a weight column; what an effect is, package estimate says.
package cohort

import (
	"errors"

	"utfall/table"
)

// Errors that the design stage gives. Test with [errors.Is].
var (
	ErrNoTreated  = errors.New("no treated units")
	ErrNoControls = errors.New("no comparison units")
	ErrNoSupport  = errors.New("no common support")
	ErrCovariate  = errors.New("covariate cannot be used")
	ErrSeparation = errors.New("treatment is perfectly separated by the covariates")
	ErrConstraint = errors.New("a matched set breaks a constraint")
	ErrOption     = errors.New("invalid matching option")
	ErrNotBuilt   = errors.New("not built yet")
)

// Names of the columns that the design adds to a cohort's table.
const (
	SetColumn    = "set"    // integer from 1; missing = in no set
	WeightColumn = "weight" // float ≥ 0; 0 = in no set
	ScoreColumn  = "score"  // propensity score, probability
)

// Cohort is the outcome of a design: the table that goes to estimation, with the
// record of who was left out at each step and how alike the groups are.
type Cohort struct {
	Table     *table.Table // kept units, with set and weight columns
	Attrition []Step       // one per filter, in the order in which they ran
	Balance   Balance      // before and after, all covariates
	Notes     []table.Note
}

// Step is one row of the attrition table. UnitsIn of a step is UnitsOut of the one
// before; the units dropped are the difference, of which Missing had no value in a
// column that the filter needs.
type Step struct {
	Name                  string // stable name, "working-age"
	Rule                  string // the expression or rule that ran
	UnitsIn, UnitsOut     int
	TreatedIn, TreatedOut int
	Missing               int
}
