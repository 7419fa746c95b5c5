// Package effect estimates effects on individuals: by least squares (the difference
// in means of a matched cohort, regression after matching, and plain regression
// with robust, clustered and fixed-effects variants), by the means of potential
// outcomes (g-computation, weighting, AIPW, TMLE) and by matching with replacement.
// METHODS.md states every equation as coded, with its finite-sample factor and the
// digits reached against reference software.
package effect
