// Package survive estimates time to event and state occupation from histories:
// Kaplan–Meier curves, Cox and Fine–Gray regression, restricted means, rank tests, cumulative
// incidence with Gray's test, and Aalen–Johansen state occupation with months per state.
// METHODS.md states each estimand, equation, variance and reference.
package survive

import "utfall/estimate"

// Measures that the core types do not name.
const (
	RestrictedMeanTimeDifference estimate.Measure = "restricted-mean-time-difference"
	RestrictedMeanTimeRatio      estimate.Measure = "restricted-mean-time-ratio"
	TimeLostRatio                estimate.Measure = "time-lost-ratio"
	CumulativeIncidenceMeasure   estimate.Measure = "cumulative-incidence"
	ChiSquare                    estimate.Measure = "chi-square"
)
