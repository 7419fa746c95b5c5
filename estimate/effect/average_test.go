package effect

import (
	"errors"
	"testing"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// The mean of effects on several outcomes is the effect on their mean, with its error.
func TestAverageIsTheEffectOnTheMean(t *testing.T) {
	f := meansFrame(61, 0, 120, "number")
	f.Cluster = make([]int, len(f.Y))
	a, b, mean := make([]float64, len(f.Y)), make([]float64, len(f.Y)), make([]float64, len(f.Y))
	for i, y := range f.Y {
		f.Cluster[i] = i / 4
		a[i], b[i] = y, y*y-f.X.At(i, 1)
		mean[i] = (a[i] + b[i]) / 2
	}
	each := Regression{Vcov: CR1}
	res := mustFit(t, Simultaneous{Each: each, Term: "att", Outcomes: []Outcome{{"a", a}, {"b", b}}, Replicates: 199}, f)
	got, err := Average(res, []int{0, 1}, "overall", 0.95)
	if err != nil {
		t.Fatal(err)
	}
	g := *f
	g.Y = mean
	want := mustFit(t, each, &g)
	e := want.Estimates[0]
	for _, x := range want.Estimates {
		if x.Term == "att" {
			e = x
		}
	}
	reftest.Agree(t, "mean", got.Value, e.Value, 12)
	reftest.Agree(t, "error", got.SE, e.SE, 12)
	reftest.Agree(t, "interval", got.CI.Lo, e.CI.Lo, 12)
	if _, err := Average(res, nil, "x", 0.95); !errors.Is(err, estimate.ErrTooFew) {
		t.Error(err)
	}
	if _, err := (Simultaneous{Each: each, Term: "ate", Outcomes: []Outcome{{"a", a}, {"b", b}}}).Fit(t.Context(), f); !errors.Is(err, ErrOption) {
		t.Error(err)
	}
}
