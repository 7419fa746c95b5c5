// Package missing says what can be learnt where values are missing, and at what price:
// who is missing and why ([Reason], [CompleteCases]), indicators ([Indicator]), multiple
// imputation by chained equations ([Impute], [Imputations.Pool], [BootstrapImpute]),
// weights by the inverse probability of consent ([Consent]), and bounds that assume
// nothing of the missing ([Manski]) or that who answers changes in one direction ([Lee]).
// METHODS.md has the equations, what was compared with what, and where it differs.
package missing

import "errors"

// Errors of this package, beside those of [utfall/estimate].
var (
	ErrOption   = errors.New("option out of range")
	ErrConstant = errors.New("one value only")
)
