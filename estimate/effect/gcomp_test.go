package effect

import (
	"errors"
	"strings"
	"testing"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// After matching, with the design's weights and sets: the effect of regression with
// interactions, with errors by set that also hold the sampling of the covariates.
func TestGComputationAfterMatching(t *testing.T) {
	f := meansFrame(41, 0, 120, "number")
	f.Set = make([]int, len(f.Y))
	f.Weight = estimate.Weights{Kind: estimate.Matching, Values: repeat(1, len(f.Y))}
	for i := range f.Set {
		f.Set[i] = i / 4
		if i >= 112 {
			f.Set[i] = -1
		}
		if !f.Treated[i] {
			f.Weight.Values[i] = 0.5 + float64(i%3)
		}
	}
	g, r := mustFit(t, GComputation{}, f), mustFit(t, Regression{Interactions: true, Vcov: CR0}, f)
	reftest.Agree(t, "value", g.Estimates[0].Value, r.Estimates[0].Value, 11)
	if g.N != r.N || !hasNote(g, "rows-in-no-set") || g.N.Sets < 20 || g.Estimates[0].Test.DF != float64(g.N.Clusters-1) {
		t.Errorf("%+v %+v %v", g.N, r.N, g.Notes)
	}
	if ratio := g.Estimates[0].SE / r.Estimates[0].SE; ratio < 0.9 || ratio > 1.3 {
		t.Errorf("error %g times that with covariates as given", ratio)
	}
	// Clusters given beside sets are those of the errors.
	f.Cluster = make([]int, len(f.Y))
	for i := range f.Cluster {
		f.Cluster[i] = i % 40
	}
	if c := mustFit(t, GComputation{}, f); c.N.Clusters != 40 || c.Estimates[0].SE == g.Estimates[0].SE {
		t.Errorf("%+v", c.N)
	}
	// Without covariates it is the difference in means with its robust error, factors and all.
	f = simFrame(42, 0, 30, 4, 0, 0.5)
	for _, vcov := range []Vcov{HC0, HC1, CR0, CR1} {
		a, b := mustFit(t, GComputation{Vcov: vcov}, f).Estimates[0], mustFit(t, Difference{Vcov: vcov}, f).Estimates[0]
		reftest.Agree(t, string(vcov), a.SE, b.SE, 12)
		reftest.Agree(t, "difference", a.Value, b.Value, 12)
	}
}

// A level that one arm lacks: its model has nothing to say about it, and is not asked
// where only the other arm's people are the target.
func TestGComputationNamesWhatAnArmLacks(t *testing.T) {
	f := meansFrame(43, 0, 100, "number")
	f.XNames = []string{"x1", "only[treated]"}
	for i, a := range f.Treated {
		f.X.Set(i, 1, float64(index(a && i%2 == 0)))
	}
	for _, estimand := range []string{"att", "ate"} {
		_, err := GComputation{Estimand: estimand}.Fit(t.Context(), f)
		if !errors.Is(err, estimate.ErrNotIdentified) || !strings.Contains(err.Error(), "only[treated]") || !strings.Contains(err.Error(), "comparison units") {
			t.Errorf("%s: %v", estimand, err)
		}
	}
	if _, err := (GComputation{Estimand: "atc"}).Fit(t.Context(), f); err != nil {
		t.Error(err)
	}
}
