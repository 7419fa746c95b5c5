//go:build !nightly

package sim

// Factor multiplies the replicates of a simulation: 1.
const Factor = 1
