package effect

import (
	"fmt"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// By hand: of 50 at x = 0 2 are treated, of 50 at x = 1 46. Treated at x = 0 had 0.04 for
// their group, untreated at x = 1 0.08. att: untreated weigh 48 × 1/24 and 4 × 23/2, so that
// the effective size is (2 + 46)²/(48/24² + 4·(23/2)²) = 2304/(1/12 + 529).
func TestOverlapAndEffectiveSize(t *testing.T) {
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(100, 1, nil), XNames: []string{"x"}}
	for i := range 100 {
		x := i / 50
		f.X.Set(i, 0, float64(x))
		f.Unit = append(f.Unit, fmt.Sprint(i))
		f.Treated = append(f.Treated, i%50 < []int{2, 46}[x])
		f.Y = append(f.Y, float64(i%7))
	}
	want := map[string]int{"att": 4, "atc": 2, "ate": 6, "ato": 0}
	for estimand, n := range want {
		res := mustFit(t, IPW{Estimand: estimand}, f)
		got := 0
		for _, note := range res.Notes {
			if note.Code == "scores-near-bounds" {
				got = note.Args["n"].(int)
			}
		}
		if got != n {
			t.Errorf("%s: %d units near the bounds, want %d", estimand, got, n)
		}
	}
	ess := 2304 / (1.0/12 + 529)
	res := mustFit(t, IPW{}, f)
	reftest.Agree(t, "ess", res.Details["ess"].(map[string]any)["control"].(float64), ess, 9)
	reftest.Agree(t, "ess treated", res.Details["ess"].(map[string]any)["treated"].(float64), 48, 12)
	if !hasNote(res, "thin-weights") || hasNote(mustFit(t, IPW{}, meansFrame(1, 0, 200, "number")), "thin-weights") {
		t.Errorf("%v", res.Notes)
	}
	// Copies are units: twice everybody is twice the effective size.
	f.Weight = estimate.Weights{Kind: estimate.Frequency, Values: repeat(2, 100)}
	reftest.Agree(t, "ess of copies", mustFit(t, IPW{}, f).Details["ess"].(map[string]any)["control"].(float64), 2*ess, 9)
	f.Weight.Kind = estimate.Sampling
	reftest.Agree(t, "ess of sampling weights", mustFit(t, IPW{}, f).Details["ess"].(map[string]any)["control"].(float64), ess, 9)
}
