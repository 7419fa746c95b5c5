//go:build reference

package main

import (
	"path/filepath"
	"testing"

	"utfall/internal/reftest"
)

// Case progress/reliability-change (base R), its simulated anchor; alpha of 06a (psych 2.2.9).
func TestFitReliabilityReference(t *testing.T) {
	dir := reftest.ReferenceDir(t)
	a := fitted(t, "reliability", "--data", filepath.Join(dir, "progress", "reliability-change", "data.csv"), "--where", "part == 'mic'", "--change", "score", "--anchor", "anchor")
	reftest.Agree(t, "mic", *a.get(t, "mic", "").Estimate, 3.5299164784, 9)
	reftest.Agree(t, "mic adjusted", *a.get(t, "mic-adjusted", "").Estimate, 3.6991839922, 9)
	s := fitted(t, "reliability", "--data", filepath.Join(dir, "06a_science_grm", "data.csv"), "--items", "Comfort,Work,Future,Benefit")
	reftest.Agree(t, "alpha", *s.get(t, "alpha", "").Estimate, 0.5977240256431935, 12)
	// R 4.2.2 factanal, one factor, loadings and uniquenesses times the variances.
	reftest.Agree(t, "omega", *s.get(t, "omega", "").Estimate, 0.613402413333, 7)
}
