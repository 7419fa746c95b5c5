package effect

import (
	"context"
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// pluggedIn is the doubly robust estimate with models that saw the units they predict
// for: what cross-fitting is there to avoid.
type pluggedIn struct{ estimand, kind string }

func (p pluggedIn) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	o := &causalOptions{method: "plugged in", estimand: p.estimand, estimands: []string{"att", "ate"}, covariates: true}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	if err := c.learn(ctx, p.kind, splitting{folds: 2}); err != nil {
		return nil, err
	}
	u, err := c.nuisance(o.estimand, LinearOutcome, c.y, &nuisanceSpec{})
	if err != nil {
		return nil, err
	}
	return c.result(o, c.augmented(o.estimand, u, false))
}

// bentFrame has a confounder that acts in steps on both treatment and outcome, and five
// covariates that do nothing. The effect is 1 for everybody.
func bentFrame(rep uint64, n int) *estimate.Frame {
	s := num.NewStream(211, "bent", rep)
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, 4, nil), XNames: []string{"a", "b", "c", "d"}}
	for i := range n {
		row := make([]float64, 4)
		for j := range row {
			row[j] = s.Normal()
		}
		row[0] = float64(s.Intn(3))
		f.X.SetRow(i, row)
		step := math.Abs(row[0] - 1)
		treated := s.Bernoulli(0.45 + 0.1*step)
		y := step + float64(index(treated)) + s.Normal()
		for _, v := range row[1:] {
			y += 2 * math.Sin(2*v)
		}
		f.Unit, f.Treated, f.Y = append(f.Unit, strconv.Itoa(i)), append(f.Treated, treated), append(f.Y, y)
	}
	return f
}

func TestDMLCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	list := map[string]estimate.Estimator{
		"boosted att":                DML{Estimand: "att", Nuisance: BoostedNuisance, Folds: 2, Repeats: 1, Workers: 1},
		"plugged in att (must fail)": pluggedIn{"att", BoostedNuisance},
	}
	truth := map[string]float64{}
	for name := range list {
		truth[name] = 1
	}
	got := covers(t, truth, list, func(rep uint64) *estimate.Frame { return bentFrame(rep, 200) }, 0)
	if c := got["boosted att"]; math.Abs(c[0]-0.95) > coverageBand {
		t.Errorf("covers %.3f", c[0])
	}
	if c := got["plugged in att (must fail)"]; c[0] > 0.9 || c[2] > 0.85 {
		t.Errorf("without cross-fitting %.3f are covered and errors are %.2f of the spread: that must fail", c[0], c[2])
	}
}
