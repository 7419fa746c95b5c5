package effect

import (
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// By hand: x as in [cells], att. The treated are 4, 6, 8 with shares 1/3; the untreated 1,
// 2, 3 weigh 1/3 each and 3, 5 weigh 1 each, of 3: shares 1/9 at 1, 2/9 at 2, 2/3 at 3 and
// 1 at 5. The medians are 6 and 3, the lower fifths 4 and 2.
func TestQuantilesByHand(t *testing.T) {
	res, err := IPW{Quantiles: []float64{0.5, 0.2}}.Fit(t.Context(), cells())
	if err != nil {
		t.Fatal(err)
	}
	if e := res.Estimates[1]; e.Term != "att,quantile=0.5" || e.Measure != QuantileDifference || e.Value != 3 {
		t.Errorf("%+v", e)
	}
	if e := res.Estimates[2]; e.Term != "att,quantile=0.2" || e.Value != 2 {
		t.Errorf("%+v", e)
	}
	// Below a share of 2/3 - exactly what the weights add up to but for rounding - is 3.
	res, err = IPW{Quantiles: []float64{2.0 / 3}}.Fit(t.Context(), cells())
	if err != nil || res.Estimates[1].Value != 6-3 {
		t.Errorf("%v %v", err, res.Estimates)
	}
}

// quantileFrame has one covariate of 0 and 1 and outcomes N(x + a, 1), below 0 cut to 0 if
// mass is set, so that more than half are 0 without treatment.
func quantileFrame(rep uint64, n int, mass bool) *estimate.Frame {
	s := num.NewStream(55, "quantiles", rep)
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, 1, nil), XNames: []string{"x"}}
	for i := range n {
		x := float64(index(s.Bernoulli(0.4)))
		treated := s.Bernoulli(0.3 + 0.35*x)
		y := s.Normal() + x - 0.6 + float64(index(treated))
		if mass {
			y = math.Max(y, 0)
		}
		f.X.Set(i, 0, x)
		f.Unit, f.Treated, f.Y = append(f.Unit, strconv.Itoa(i)), append(f.Treated, treated), append(f.Y, y)
	}
	return f
}

// quantileTruth is the p-quantile of N(x + shift, 1) with x = 1 in the share given.
func quantileTruth(p, share, shift float64, mass bool) float64 {
	lo, hi := -10.0, 10.0
	below := func(z float64) float64 { // P(normal ≤ z)
		if z < 0 {
			return num.NormalTail(z) / 2
		}
		return 1 - num.NormalTail(z)/2
	}
	for range 200 {
		mid := (lo + hi) / 2
		if (1-share)*below(mid-shift)+share*below(mid-shift-1) < p {
			lo = mid
		} else {
			hi = mid
		}
	}
	if mass {
		return math.Max(lo, 0)
	}
	return lo
}

// Intervals hold the truth at the median and the upper tail, and where the untreated
// quantile lies in a mass at zero; where both do there is no interval and a note.
func TestQuantileCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	treated := 0.4 * 0.65 / (0.4*0.65 + 0.6*0.3) // share of x = 1 among the treated
	for _, c := range []struct {
		name, estimand string
		share, p       float64
		mass           bool
	}{
		{"att median", "att", treated, 0.5, false}, {"att upper", "att", treated, 0.85, false}, {"ate lower", "ate", 0.4, 0.25, false},
		{"ate, untreated at zero", "ate", 0.4, 0.5, true}, {"att, upper with mass", "att", treated, 0.8, true},
	} {
		want := quantileTruth(c.p, c.share, 0.4, c.mass) - quantileTruth(c.p, c.share, -0.6, c.mass)
		got := covers(t, map[string]float64{c.name: want}, map[string]estimate.Estimator{c.name: IPW{Estimand: c.estimand, Quantiles: []float64{c.p}}},
			func(rep uint64) *estimate.Frame { return quantileFrame(rep, 500, c.mass) }, 1)[c.name]
		if math.Abs(got[0]-0.95) > coverageBand {
			t.Errorf("%s covers %.3f", c.name, got[0])
		}
	}
}

func TestQuantileInMass(t *testing.T) {
	f := quantileFrame(1, 400, true)
	res, err := IPW{Estimand: "ate", Quantiles: []float64{0.1, 0.9}}.Fit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if e := res.Estimates[1]; e.Value != 0 || e.HasSE() || !math.IsNaN(e.CI.Lo) || !hasNote(res, "quantile-in-mass") {
		t.Errorf("%+v %v", e, res.Notes)
	}
	e := res.Estimates[2]
	if !(e.CI.Lo < e.Value && e.Value < e.CI.Hi) || e.CI.Method != "woodruff-mover" {
		t.Errorf("%+v", e)
	}
	reftest.Agree(t, "covariance", res.Cov.At(2, 2), e.SE*e.SE, 12)
	reftest.Agree(t, "influence", clusterVar(res, nil, 2), e.SE*e.SE, 12)
	if c := res.Cov.At(0, 2); !(c > 0) { // what raises the mean raises the quantile
		t.Errorf("covariance with the mean difference %g", c)
	}
	if got := res.Details["share_zero"].(map[string]float64); !(got["treated"] > 0.1 && got["control"] > got["treated"]) {
		t.Errorf("%v", got)
	}
	// Too far out for an interval.
	res, err = IPW{Quantiles: []float64{0.999}}.Fit(t.Context(), f)
	if err != nil || res.Estimates[1].HasSE() || !hasNote(res, "quantile-open") {
		t.Errorf("%v %+v", err, res)
	}
	// Outcomes that move by a constant move both quantiles (M24), and quantiles of ten times
	// the outcome are ten times as far apart.
	g := *f
	g.Y = make([]float64, len(f.Y))
	for i, y := range f.Y {
		g.Y[i] = 8*y + 16
	}
	res, err = IPW{Estimand: "ate", Quantiles: []float64{0.9}}.Fit(t.Context(), &g)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "M24 M27", res.Estimates[1].Value, 8*e.Value, 12)
	reftest.Agree(t, "M24 M27 lower", res.Estimates[1].CI.Lo, 8*e.CI.Lo, 12)
}
