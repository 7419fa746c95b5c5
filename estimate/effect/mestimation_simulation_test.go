package effect

import (
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// normalMean is E g(z) for a standard normal z, by the trapezoid rule.
func normalMean(g func(z float64) float64) float64 {
	const step = 1.0 / 256
	sum := 0.0
	for i := -10 * 256; i <= 10*256; i++ {
		z := float64(i) * step
		sum += g(z) * math.Exp(-z*z/2)
	}
	return sum * step / math.Sqrt(2*math.Pi)
}

// A coverage band of 400 repetitions at 95 %: 3.3 binomial standard deviations.
const coverageBand = 0.0359

// covers runs 400 cohorts and returns each estimator's share of intervals that hold the
// truth, its mean error and the ratio of mean standard error to the spread of estimates.
func covers(t *testing.T, truth map[string]float64, list map[string]estimate.Estimator, frame func(rep uint64) *estimate.Frame, which int) map[string][3]float64 {
	t.Helper()
	const reps = 400 * sim.Factor
	out := map[string][3]float64{}
	sum := map[string]*[4]float64{}
	for name := range list {
		sum[name] = &[4]float64{}
	}
	for rep := range uint64(reps) {
		f := frame(rep)
		for name, e := range list {
			res, err := e.Fit(t.Context(), f)
			if err != nil {
				t.Fatalf("%s, cohort %d: %v", name, rep, err)
			}
			got, want := res.Estimates[which], truth[name]
			s := sum[name]
			if got.CI.Lo <= want && want <= got.CI.Hi {
				s[0]++
			}
			s[1] += got.Value - want
			s[2] += (got.Value - want) * (got.Value - want)
			s[3] += got.SE
		}
	}
	for name, s := range sum {
		bias := s[1] / reps
		sd := math.Sqrt(s[2]/reps - bias*bias)
		out[name] = [3]float64{s[0] / reps, bias, s[3] / reps / sd}
		sim.Share(t, name, s[0]/reps, reps)
		t.Logf("%-22s coverage %.3f, bias %+.3f (%.1f sd), error/spread %.3f", name, s[0]/reps, bias, bias/sd*math.Sqrt(reps), s[3]/reps/sd)
	}
	return out
}

func TestMeansCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	// The linear predictor of treatment is -0.3 + √0.65·z, and 0.7/√0.65 is the regression of x1 on z.
	root := math.Sqrt(0.65)
	p := func(z float64) float64 { return num.LogitLink.Mean(-0.3 + root*z) }
	about := func(w func(p float64) float64) float64 {
		return 0.8 + 0.3*0.7/root*normalMean(func(z float64) float64 { return z * w(p(z)) })/normalMean(func(z float64) float64 { return w(p(z)) })
	}
	effects := map[string]float64{
		"att": about(func(p float64) float64 { return p }), "atc": about(func(p float64) float64 { return 1 - p }),
		"ate": 0.8, "ato": about(func(p float64) float64 { return p * (1 - p) }),
	}
	list, truth := map[string]estimate.Estimator{"naive (must fail)": Difference{}}, map[string]float64{"naive (must fail)": effects["att"]}
	add := func(name, estimand string, e estimate.Estimator) {
		list[name+" "+estimand], truth[name+" "+estimand] = e, effects[estimand]
	}
	for _, estimand := range []string{"att", "ate", "ato"} {
		add("ipw", estimand, IPW{Estimand: estimand})
	}
	for _, estimand := range []string{"att", "ate"} {
		add("g-computation", estimand, GComputation{Estimand: estimand})
		add("aipw", estimand, AIPW{Estimand: estimand})
		add("tmle", estimand, TMLE{Estimand: estimand})
		add("matching", estimand, BiasCorrectedMatching{Estimand: estimand, Ratio: 2, Variance: 4})
	}
	add("aipw folds", "ate", AIPW{Estimand: "ate", Folds: 4, Repeats: 1})
	add("matching iid", "atc", BiasCorrectedMatching{Estimand: "atc"})
	for name, c := range covers(t, truth, list, func(rep uint64) *estimate.Frame { return meansFrame(101, rep, 300, "number") }, 0) {
		if name == "naive (must fail)" {
			if c[0] > 0.8 {
				t.Errorf("the naive difference covers %.3f: it must fail", c[0])
			}
			continue
		}
		if math.Abs(c[0]-0.95) > coverageBand {
			t.Errorf("%s covers %.3f", name, c[0])
		}
	}
}

// doubleFrame has treatment and outcome models of which the one named is not that of the
// estimators, which have a constant and x. The effect is 1 for everybody.
func doubleFrame(rep uint64, n int, wrong string) *estimate.Frame {
	s := num.NewStream(77, "double robustness "+wrong, rep)
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, 1, nil), XNames: []string{"x"}}
	for i := range n {
		x := s.Normal()
		p, y := num.LogitLink.Mean(-1+0.8*x), 3*x
		if wrong == "outcome" {
			y = math.Max(x, 0) * 4
		}
		if wrong == "treatment" {
			p = 0.2
			if x > 0.5 {
				p = 0.8
			}
			if x < -1.2 {
				p = 0.5
			}
		}
		treated := s.Bernoulli(p)
		y += float64(index(treated)) + s.Normal()
		f.X.Set(i, 0, x)
		f.Unit, f.Treated, f.Y = append(f.Unit, strconv.Itoa(i)), append(f.Treated, treated), append(f.Y, y)
	}
	return f
}

func TestDoubleRobustness(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	list := map[string]estimate.Estimator{
		"naive": Difference{}, "ipw": IPW{Estimand: "ate"}, "g-computation": GComputation{Estimand: "ate"},
		"aipw": AIPW{Estimand: "ate"}, "aipw stacked": AIPW{Estimand: "ate", Errors: "stacked"},
		"aipw att stacked": AIPW{Errors: "stacked"},
	}
	truth := map[string]float64{}
	for name := range list {
		truth[name] = 1
	}
	for wrong, fails := range map[string]string{"outcome": "g-computation", "treatment": "ipw"} {
		t.Run(wrong, func(t *testing.T) {
			got := covers(t, truth, list, func(rep uint64) *estimate.Frame { return doubleFrame(rep, 500, wrong) }, 0)
			for _, name := range []string{"naive", fails} {
				if got[name][0] > 0.9 {
					t.Errorf("%s covers %.3f although its model is wrong", name, got[name][0])
				}
			}
			for _, name := range []string{"aipw stacked", "aipw att stacked"} {
				if math.Abs(got[name][0]-0.95) > coverageBand {
					t.Errorf("%s covers %.3f", name, got[name][0])
				}
			}
		})
	}
}
