package cohort

import "errors"

// errorsIsDesign: a fuzzed data set may be one that no design fits.
func errorsIsDesign(err error) bool {
	for _, e := range []error{ErrNoTreated, ErrNoControls, ErrNoSupport, ErrCovariate, ErrSeparation} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
