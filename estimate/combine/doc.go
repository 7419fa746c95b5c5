// Package combine puts estimates together: of one quantity from several completed data
// sets (Rubin's rules), and of one effect in many places (random effects, with the
// shrunken effect of each place), and of several tests that are one family (multiplicity).
// METHODS.md states every equation as coded and the
// digits reached against reference software.
package combine

import "errors"

// Errors of this package beside those of package estimate. Test with [errors.Is].
var (
	// ErrOption is an option with a value that the method does not know or cannot use.
	ErrOption = errors.New("option")
	// ErrTables means that the tables to be pooled are not of the same terms.
	ErrTables = errors.New("tables do not agree")
)
