// Package sim says how often simulations of coverage and size are repeated. A test writes
//
//	const reps = 400 * sim.Factor
//
// and runs 400 times in a plain test run, 10,000 times under the build tag nightly.
package sim
