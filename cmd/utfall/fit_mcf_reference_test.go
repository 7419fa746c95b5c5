//go:build reference

package main

import (
	"path/filepath"
	"testing"

	"utfall/internal/reftest"
)

// Case progress/cgd-mcf (survival 3.5-3, base R).
func TestFitMCFReference(t *testing.T) {
	data := filepath.Join(reftest.ReferenceDir(t), "progress", "cgd-mcf", "data.csv")
	a := fitted(t, "mcf", "--data", data, "--id", "id", "--time", "tstop", "--event", "status", "--by", "treat", "--at", "100,365")
	near := func(term string, value, se float64) {
		e := a.get(t, term, "")
		reftest.Agree(t, term, *e.Estimate, value, 9)
		reftest.Agree(t, term+" se", *e.StdError, se, 9)
	}
	near("time=100,group=placebo", 0.24664224664, 0.065442972971)
	near("time=365,group=placebo", 1.262657794, 0.25183847868)
	near("time=365,group=rIFN-g", 0.4154451189, 0.1391252107)
	near("time=365,contrast=rIFN-g-placebo", -0.84721267509, 0.28771243212)
	near("contrast=rIFN-g/placebo", -1.0952867353, 0.31193657708)
}
