//go:build nightly

package sim

// Factor multiplies the replicates of a simulation: 400 become 10,000.
const Factor = 25
