package panel

import (
	"fmt"
	"math"
	"testing"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// Bands of 400 replicates: 95 % ± 3.29 Monte Carlo errors (one false alarm in 1,000).
const (
	reps = 400 * sim.Factor
	band = 0.0359
)

// simulate runs f for each replicate and returns the share of true answers per key.
func simulate(t *testing.T, f func(seed uint64) map[string]bool) map[string]float64 {
	t.Helper()
	if testing.Short() {
		t.Skip("simulation")
	}
	answers := make([]map[string]bool, reps)
	num.ForEach(reps, 2, func(i int) { answers[i] = f(uint64(1000 + i)) })
	out := map[string]float64{}
	for _, a := range answers {
		for k, v := range a {
			if v {
				out[k] += 1.0 / reps
			}
		}
	}
	return out
}

// A staggered roll-out whose effects grow with time and differ by cohort: early
// cohorts gain most. p: 3, 5 and never with equal probability.
var growing = staggered{units: 240, periods: 7, cohorts: []int{3, 5, 0}, noise: 1,
	effect: func(g, t int) float64 { return float64(t-g+1) * float64(7-g) / 4 }}

// Truth by closed form. Effect of cohort 3: (e+1), e = 0 … 4; of cohort 5: (e+1)/2,
// e = 0 … 2. Equal shares: events 0.75, 1.5, 2.25, 4, 5, their mean 2.7. Over all
// cells: (15 + 3)/8. By cohort: 3 and 1, mean 2.
func TestCoverage(t *testing.T) {
	truth := map[string]float64{"event=-4": 0, "event=-3": 0, "event=-2": 0, "event=0": 0.75, "event=1": 1.5, "event=2": 2.25, "event=3": 4, "event=4": 5, Overall: 2.7}
	got := simulate(t, func(seed uint64) map[string]bool {
		f := growing.draw(seed)
		r := mustFit(t, GroupTime{}, f)
		out := map[string]bool{}
		dynamic := mustAggregate(t, r, Dynamic, AggregateOptions{Seed: seed, Replicates: 499})
		point := mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise})
		joint, jointPoint := true, true
		for i, e := range point.Estimates {
			if !e.HasSE() {
				continue
			}
			covers := func(lo, hi float64) bool { return lo <= truth[e.Term] && truth[e.Term] <= hi }
			out[e.Term] = covers(e.CI.Lo, e.CI.Hi)
			if e.Term != Overall {
				joint = joint && covers(dynamic.Estimates[i].CI.Lo, dynamic.Estimates[i].CI.Hi)
				jointPoint = jointPoint && out[e.Term]
			}
		}
		out["uniform band"], out["pointwise, all events"] = joint, jointPoint
		in := func(kind Aggregation, want float64) bool {
			res := mustAggregate(t, r, kind, AggregateOptions{Bands: Pointwise})
			e := res.Estimates[len(res.Estimates)-1]
			return e.CI.Lo <= want && want <= e.CI.Hi
		}
		out["simple"], out["group"] = in(Simple, 18.0/8), in(Group, 2)
		// The regression on unit and period dummies, with the width of our own interval.
		e := point.Estimates[len(point.Estimates)-1]
		out["twfe"] = math.Abs(twoWay(f)-18.0/8) <= (e.CI.Hi-e.CI.Lo)/2
		return out
	})
	for term, share := range got {
		switch term {
		case "pointwise, all events":
			if share > 0.9 {
				t.Errorf("pointwise intervals cover all events in %.3f: the uniform band is not needed here and its test has no power", share)
			}
		case "twfe":
			if share > 0.3 {
				t.Errorf("two-way fixed effects cover in %.3f: the scenario does not show its bias", share)
			}
		default:
			if math.Abs(share-0.95) > band {
				t.Errorf("%s covers in %.4f, want 0.95 ± %.4f", term, share, band)
			}
		}
	}
	t.Log(fmt.Sprint(got))
}

// Cohorts that select on a covariate which also moves the trend: dr, ipw and reg are
// right, the comparison without covariates is not.
func TestCoverageWithCovariates(t *testing.T) {
	s := staggered{units: 500, periods: 4, cohorts: []int{3, 0, 0, 0}, covariates: 2, trend: 0.5, noise: 1,
		effect: func(g, t int) float64 { return float64(t - g + 1) }}
	got := simulate(t, func(seed uint64) map[string]bool {
		f := s.draw(seed)
		out := map[string]bool{}
		for _, rc := range []bool{false, true} {
			for _, m := range []string{DoublyRobust, Weighting, Regression, "none"} {
				g, frame := GroupTime{Method: m, RepeatedCrossSection: rc}, f
				if m == "none" {
					g.Method, frame = "", f.clone()
					frame.X, frame.XNames = nil, nil
				}
				if rc { // one period of each unit: independent rows
					frame = frame.where(func(i int) bool { return frame.Time[i] == 1+int(num.KeyedHash(seed, frame.Unit[i])%4) })
				}
				e := mustAggregate(t, mustFit(t, g, frame), Simple, AggregateOptions{}).Estimates[0]
				out[fmt.Sprintf("%s cross=%v", m, rc)] = e.CI.Lo <= 1.5 && 1.5 <= e.CI.Hi
			}
		}
		return out
	})
	for key, share := range got {
		switch key {
		case "none cross=false":
			if share > 0.6 {
				t.Errorf("without covariates the interval covers in %.3f: nothing to adjust for", share)
			}
		case "none cross=true", "ipw cross=true": // a quarter of the rows: no power, and ipw's weights are long-tailed
		default:
			if math.Abs(share-0.95) > band {
				t.Errorf("%s covers in %.4f, want 0.95 ± %.4f", key, share, band)
			}
		}
	}
	t.Log(fmt.Sprint(got))
}

// The pre-test rejects a true null in 5 % of the data sets and finds a trend that
// differs. Without covariates 1,000 data sets, band ± 3.29 Monte Carlo errors. With a
// covariate the chi-square approximation is late: 4,000 data sets of 600 units gave
// 6.0 % (Monte Carlo error 0.4), so that is what 400 data sets are held to.
func TestPreTestSize(t *testing.T) {
	s := staggered{units: 600, periods: 5, cohorts: []int{4, 5, 0}, noise: 1}
	const draws = 1000
	if testing.Short() {
		t.Skip("simulation")
	}
	rejected := make([]float64, draws)
	num.ForEach(draws, 2, func(i int) {
		if mustFit(t, GroupTime{}, s.draw(uint64(5000+i))).PreTest(0).P < 0.05 {
			rejected[i] = 1
		}
	})
	if size := num.Sum(rejected) / draws; math.Abs(size-0.05) > 0.0227 {
		t.Errorf("the pre-test rejects in %.4f, want 0.05 ± 0.0227", size)
	} else {
		t.Logf("size without covariates %.4f", size)
	}
	s.covariates = 1
	got := simulate(t, func(seed uint64) map[string]bool {
		f := s.draw(seed)
		tilted := mapY(f, func(i int, y float64) float64 {
			if f.Cohort[i] == 4 {
				y += 0.3 * float64(f.Time[i])
			}
			return y
		})
		return map[string]bool{"size": mustFit(t, GroupTime{}, f).PreTest(0).P < 0.05,
			"power": mustFit(t, GroupTime{}, tilted).PreTest(0).P < 0.05}
	})
	if math.Abs(got["size"]-0.06) > band {
		t.Errorf("with a covariate the pre-test rejects in %.4f, want 0.06 ± %.4f", got["size"], band)
	}
	if got["power"] < 0.8 {
		t.Errorf("the pre-test finds a trend of 0.3 in %.3f only", got["power"])
	}
	t.Log(fmt.Sprint(got))
}
