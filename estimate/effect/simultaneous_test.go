package effect

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

// Independent outcomes: P(max ≤ c) = (2Φ(c)-1)^K, so that c is the normal quantile of the
// level 0.95^(1/K). Equal outcomes: that of one.
func TestSupTByHand(t *testing.T) {
	const k = 6
	r, equal := mat.NewSymDense(k, nil), mat.NewSymDense(k, nil)
	for i := range k {
		for j := i; j < k; j++ {
			r.SetSym(i, j, float64(index(i == j)))
			equal.SetSym(i, j, 1)
		}
	}
	c, mc := supT(r, 0.95, 40000, 1, 2)
	reftest.Near(t, "independent", c, num.StudentQuantile(math.Pow(0.95, 1.0/k), math.Inf(1)), 4*mc)
	if mc > 0.02 {
		t.Errorf("Monte Carlo error %g", mc)
	}
	c, mc = supT(equal, 0.95, 40000, 1, 2)
	reftest.Near(t, "equal", c, 1.959963984540054, 4*mc)
	again, _ := supT(equal, 0.95, 40000, 1, 7)
	if again != c {
		t.Error("workers change the band")
	}
}

// monthly makes outcomes of six months that share a level, with no effect in any.
func monthly(rep uint64, n int, clustered bool) (*estimate.Frame, []Outcome) {
	f := meansFrame(21, rep, n, "number")
	s := num.NewStream(22, "months", rep)
	if clustered {
		f.Cluster = make([]int, n)
	}
	outcomes := make([]Outcome, 6)
	shock := make([]float64, n/10+1)
	for i := range shock {
		shock[i] = s.Normal()
	}
	for i := range n {
		level := s.Normal() + f.X.At(i, 0)
		if clustered {
			f.Cluster[i] = i / 10
			level += shock[i/10]
		}
		for k := range outcomes {
			outcomes[k].Y = append(outcomes[k].Y, level+1.5*s.Normal())
		}
	}
	for k := range outcomes {
		outcomes[k].Name = fmt.Sprint("m", k+1)
	}
	f.Y = outcomes[0].Y
	return f, outcomes
}

func TestSimultaneous(t *testing.T) {
	for _, clustered := range []bool{false, true} {
		f, outcomes := monthly(0, 200, clustered)
		each := IPW{Estimand: "ate"}
		res := mustFit(t, Simultaneous{Each: each, Outcomes: outcomes, Pointwise: true}, f)
		banded, err := Simultaneous{Each: each, Outcomes: outcomes, Seed: 3}.Fit(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		bands := banded.Details["bands"].(map[string]any)
		c := bands["critical"].(float64)
		if c < 2.05 || c > 2.64 { // between one outcome and six independent ones
			t.Errorf("critical value %g", c)
		}
		if clustered {
			c = num.StudentQuantile(1-num.NormalTail(c), 19)
		}
		for k, o := range outcomes {
			g := *f
			g.Y = o.Y
			alone := mustFit(t, each, &g).Estimates[0]
			e, b := res.Estimates[k], banded.Estimates[k]
			if e.Term != "ate,outcome="+o.Name || e.Value != alone.Value || e.CI != alone.CI || b.Test != alone.Test || b.CI.Method != "uniform-band" {
				t.Errorf("%+v %+v", e, b)
			}
			reftest.Agree(t, "band", b.CI.Hi, b.Value+c*b.SE, 12)
			reftest.Agree(t, "band", b.CI.Lo, b.Value-c*b.SE, 12)
		}
		// The difference of two months, from the covariance, is the effect on the difference.
		g := *f
		g.Y = make([]float64, len(f.Y))
		for i := range g.Y {
			g.Y[i] = outcomes[1].Y[i] - outcomes[0].Y[i]
		}
		d := mustFit(t, each, &g).Estimates[0]
		reftest.Agree(t, "joint covariance", res.Cov.At(0, 0)+res.Cov.At(1, 1)-2*res.Cov.At(0, 1), d.SE*d.SE, 9)
	}
	f, outcomes := monthly(0, 60, false)
	for _, s := range []Simultaneous{{Each: IPW{}, Outcomes: outcomes[:1]}, {Outcomes: outcomes}, {Each: IPW{}, Outcomes: outcomes, Replicates: 10},
		{Each: IPW{Quantiles: []float64{0.5}}, Outcomes: outcomes}, {Each: IPW{}, Outcomes: []Outcome{outcomes[0], outcomes[0]}}} {
		if _, err := s.Fit(t.Context(), f); !errors.Is(err, ErrOption) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// In 400 cohorts without any effect the band holds 0 for all six months in 95 %; the
// intervals of single months together hold it much less often.
func TestSimultaneousCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps = 400 * sim.Factor
	joint, single := 0.0, 0.0
	for rep := range uint64(reps) {
		f, outcomes := monthly(rep, 250, false)
		res, err := Simultaneous{Each: GComputation{}, Outcomes: outcomes, Replicates: 999}.Fit(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		all, alone := true, true
		for _, e := range res.Estimates {
			all = all && e.CI.Lo <= 0 && 0 <= e.CI.Hi
			alone = alone && e.Test.P > 0.05
		}
		joint, single = joint+float64(index(all)), single+float64(index(alone))
	}
	sim.Share(t, "simultaneous band", joint/reps, reps)
	sim.Share(t, "single intervals together (must fail)", single/reps, reps)
	if math.Abs(joint/reps-0.95) > coverageBand || single/reps > 0.9 {
		t.Errorf("band %.3f, single intervals %.3f", joint/reps, single/reps)
	}
}
