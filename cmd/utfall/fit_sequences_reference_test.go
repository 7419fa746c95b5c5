//go:build reference

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// TraMineR 2.2-12, base R and survival 3.5-3: progress/mvad-sequences.
func TestFitSequencesReference(t *testing.T) {
	var months []string
	for k := range 70 {
		months = append(months, fmt.Sprintf("m%02d", k+1))
	}
	a := fitted(t, "sequences", "--data", casePath(t, "progress/mvad-sequences"), "--id", "id", "--months", strings.Join(months, ","),
		"--authority", "EM=own,FE=school,HE=school,JL=office,SC=school,TR=office", "--at", "23", "--benefit", "0")
	var means map[string]map[string]float64
	a.detail(t, "sequences", &means)
	for name, want := range map[string]float64{"entropy": 0.3995507820687, "turbulence": 5.769582298724, "complexity": 0.1069760886714, "transitions": 2.09691011236} {
		require.InDelta(t, want, means[name]["mean"], 1e-11, name)
	}
	reftest.Agree(t, "stable exit", *a.get(t, "stable-exit,time=23,cause=stable", "cumulative-incidence").Estimate, 1-0.6193820224719, 11)
}
