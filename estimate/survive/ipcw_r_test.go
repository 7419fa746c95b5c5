package survive

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// Thirty units without shared times, made by a rule that R follows as well: times 1 + 7i mod 31 + i/128, cause i mod 3 (0 is
// censored), x = (5i mod 11)/4 − 1, z = i mod 2. The numbers are of R 4.2.2 with survival 3.5-3:
//
//	c <- coxph(Surv(t, s == 0) ~ x, ties = "breslow", eps = 1e-14); b <- basehaz(c, centered = FALSE)
//	L <- function(u) sapply(u, function(v) max(0, b$hazard[b$time < v])); G <- exp(-L(t) * exp(x * coef(c)))
//	mean((t <= h & s == 1) / G); 24 - mean(pmax(24 - t, 0) * (s > 0) / G)
func rIPCW() *CompetingCovaried {
	f := &CompetingCovaried{X: mat.NewDense(30, 1, nil), XNames: []string{"x"}}
	f.CauseNames, f.Level = []string{"p", "q"}, .95
	for i := 1; i <= 30; i++ {
		f.Unit, f.Time = append(f.Unit, fmt.Sprintf("%02d", i)), append(f.Time, 1+float64(7*i%31)+float64(i)/128)
		f.Cause = append(f.Cause, i%3-1)
		f.X.Set(i-1, 0, float64(5*i%11)/4-1)
	}
	return f
}

func TestIPCWAgainstR(t *testing.T) {
	f := rIPCW()
	res := mustIPCW(t, IPCW{At: []float64{8, 16, 24}}, f)
	reftest.Agree(t, "gamma", res.Details["censoring"].([]CensoringTerm)[0].Estimate, -0.21019345003244372, 10)
	want := map[string]float64{
		"time=8,cause=p": 0, "time=8,cause=q": 0.1116473219244718, "time=16,cause=p": 0.14686999852370669,
		"time=16,cause=q": 0.15250280021536025, "time=24,cause=p": 0.28108913478772629, "time=24,cause=q": 0.29117290519898342,
	}
	for _, e := range res.Estimates {
		reftest.Agree(t, e.Term, e.Value, want[e.Term], 10)
	}
	reftest.Agree(t, "max_weight", res.Details["max_weight"].(float64), 2.7824824378019195, 10)
	reftest.Agree(t, "mean", mustIPCW(t, IPCW{Tau: 24}, f).Estimates[0].Value, 18.048761165825205, 10)
}

// Cox regression with weights that change over time: every unit is cut at the times of censoring, each piece weighs 1/G just
// before its end. In R survSplit at those times, w <- exp(L(stop) * exp(x * coef(c))) and
//
//	coxph(Surv(start, stop, e) ~ z + x, weights = w, cluster = id)
func TestCoxWithCensoringWeightsAgainstR(t *testing.T) {
	f := rIPCW()
	gamma := mustIPCW(t, IPCW{Tau: 24}, f).Details["censoring"].([]CensoringTerm)[0].Estimate
	risk := func(i int) float64 { return math.Exp(gamma * f.X.At(i, 0)) }
	type jump struct{ at, by float64 }
	var jumps []jump
	for i, u := range f.Time {
		if f.Cause[i] != Censored {
			continue
		}
		sum := 0.0
		for j, v := range f.Time {
			if v >= u {
				sum += risk(j)
			}
		}
		jumps = append(jumps, jump{u, 1 / sum})
	}
	slices.SortFunc(jumps, func(a, b jump) int { return int(math.Copysign(1, a.at-b.at)) })
	c := &Covaried{Stratified: Stratified{Times: Times{Level: .95, Weight: estimate.Weights{Kind: estimate.Sampling}}}, XNames: []string{"z", "x"}, Intervals: true}
	var x []float64
	for i, u := range f.Time {
		from, hazard := 0.0, 0.0
		piece := func(to float64, event bool) {
			c.Unit, c.Entry, c.Time, c.Event = append(c.Unit, f.Unit[i]), append(c.Entry, from), append(c.Time, to), append(c.Event, event)
			c.Weight.Values = append(c.Weight.Values, math.Exp(hazard*risk(i)))
			x, from = append(x, float64((i+1)%2), f.X.At(i, 0)), to
		}
		for _, j := range jumps {
			if j.at < u {
				piece(j.at, false)
				hazard += j.by
			}
		}
		piece(u, f.Cause[i] != Censored)
	}
	c.X = mat.NewDense(len(c.Time), 2, x)
	res := mustCox(t, Cox{}, c)
	if len(c.Time) != 198 {
		t.Errorf("%d rows, 198 in R", len(c.Time))
	}
	for j, want := range [][2]float64{{0.4333390304749517, 0.40100804969389359}, {-0.025368729286271274, 0.29490579846927062}} {
		reftest.Agree(t, "coefficient", res.Estimates[j].Value, want[0], 9)
		reftest.Agree(t, "error", res.Estimates[j].SE, want[1], 9)
	}
	loglik := res.Details["loglik"].([]float64)
	reftest.Agree(t, "null", loglik[0], -75.523785464857838, 10)
	reftest.Agree(t, "loglik", loglik[1], -74.939015490796194, 10)
}
