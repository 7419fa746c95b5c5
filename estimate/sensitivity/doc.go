// Package sensitivity says how far to trust an effect that was not randomised: how
// strong a hidden cause of both treatment and outcome would have to be to explain the
// effect away. E-values need a published ratio only, Rosenbaum's bounds matched pairs,
// and the omitted-variable bounds a regression. METHODS.md states every equation as
// coded and the digits reached against reference numbers.
package sensitivity

import "errors"

// Errors of this package beside those of package estimate. Test with [errors.Is].
var (
	// ErrOption is an option with a value that the method does not know or cannot use.
	ErrOption = errors.New("option")
	// ErrNotPairs means that a matched set is not one treated and one comparison unit.
	ErrNotPairs = errors.New("not matched pairs")
	// ErrBenchmark means that a hidden cause so many times as strong as a benchmark
	// cannot exist: it would explain more than everything.
	ErrBenchmark = errors.New("benchmark too strong")
)
