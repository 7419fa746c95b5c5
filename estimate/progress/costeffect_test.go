package progress

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func perEffect(t *testing.T, e CostPerEffect, j *CostAndEffect) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), j)
	require.NoError(t, err)
	return res
}

// By hand, z² = 4: y = 3, x = 2, vy = 1, vx = 1/4, vxy = 0: a = 4 − 1 = 3, b = 6, c = 9 − 4 = 5; (6 ± √(36 − 15))/3 = 2 ± √21/3.
// With vx = 4, vxy = 0: a = 4 − 16 = −12, b = 6, c = 5: roots of −12ρ² − 12ρ + 5 = 0, (6 ± √96)/−12: all but −1.3165 … .3165.
// With y = 1 as well (c = −3, b = 2): 4 − 36 < 0: all numbers. With vx = 1 a is 0: 4ρ·… one root c/(2b) = 5/12, and all below it.
func TestFiellerByHand(t *testing.T) {
	f := FiellerSet(3, 2, 1, 0, .25, 2)
	require.Equal(t, FiellerInterval, f.Shape)
	reftest.Agree(t, "low", f.Low, 2-math.Sqrt(21)/3, 14)
	reftest.Agree(t, "high", f.High, 2+math.Sqrt(21)/3, 14)
	f = FiellerSet(3, 2, 1, 0, 4, 2)
	require.Equal(t, FiellerComplement, f.Shape)
	reftest.Agree(t, "low", f.Low, (6+math.Sqrt(96))/-12, 14)
	reftest.Agree(t, "high", f.High, (6-math.Sqrt(96))/-12, 14)
	require.Equal(t, FiellerLine, FiellerSet(1, 2, 1, 0, 4, 2).Shape)
	f = FiellerSet(3, 2, 1, 0, 1, 2)
	require.Equal(t, FiellerComplement, f.Shape)
	require.True(t, math.IsInf(f.Low, -1))
	reftest.Agree(t, "one root", f.High, 5./12, 14)
	// The ends of an interval are where the test of y − ρx is at its limit, whatever the covariance.
	f = FiellerSet(100, 2, 400, 5, .25, 1.96)
	for _, r := range []float64{f.Low, f.High} {
		reftest.Agree(t, "limit", math.Pow(100-2*r, 2), 1.96*1.96*(400-10*r+.25*r*r), 10)
	}
	for want, g := range map[CostWords][2]float64{CostsDearer: {30, 20}, CostsCheaper: {-30, 20}, CostsEither: {.5, 20}, CostsLoss: {30, -20}, CostsUnbounded: {3, .1}} {
		require.Equal(t, want, FiellerSet(g[0], g[1], 1, 0, 1, 1.96).words(g[1]))
	}
	b, err := json.Marshal(FiellerSet(1, 2, 1, 0, 4, 2))
	require.NoError(t, err)
	require.Equal(t, `{"shape":"line","low":null,"high":null}`, string(b))
}

// By hand: cost 8 with influence ±2, effect 2 with ∓½, ±½ of four people: variances 16 and 1, covariance 0. Net benefit at 10:
// 20 − 8 = 12, variance 16 + 100 = 116, Φ(12/√116). In two clusters that hold the same signs the sums count.
func TestCostPerEffectByHand(t *testing.T) {
	j := &CostAndEffect{Unit: []string{"a", "b", "c", "d"}, Cost: 8, Effect: 20, CostInfluence: []float64{2, 2, -2, -2}, EffectInfluence: []float64{.5, -.5, .5, -.5}, Level: .95}
	res := perEffect(t, CostPerEffect{Willingness: []float64{1}}, j)
	reftest.Agree(t, "ratio", res.Estimates[0].Value, .4, 14)
	require.Equal(t, "fieller", res.Estimates[0].CI.Method)
	b := res.Estimates[1]
	reftest.Agree(t, "benefit", b.Value, 12, 14)
	reftest.Agree(t, "its error", b.SE, math.Sqrt(17), 14)
	reftest.Agree(t, "acceptability", res.Estimates[2].Value, 1-.5*math.Erfc(12/math.Sqrt(17)/math.Sqrt2), 12)
	curve := res.Details["acceptability"].([]AcceptabilityPoint)
	require.Equal(t, 2.0, curve[len(curve)-1].Willingness)
	reftest.Agree(t, "at 0: costs fall", curve[0].Probability, .5*math.Erfc(2/math.Sqrt2), 12)
	j.Cluster = []int{0, 0, 1, 1}
	clustered := perEffect(t, CostPerEffect{Willingness: []float64{1}}, &CostAndEffect{Unit: j.Unit, Cost: 8, Effect: 20, CostInfluence: j.CostInfluence, EffectInfluence: []float64{.5, .5, -.5, -.5}, Cluster: j.Cluster, Level: .95})
	// Cost 4² + 4² times 2, effect 1 + 1 times 2, covariance −8·… = 2(4·1 + 4·1) = 16: 64 − 32 + 4.
	reftest.Agree(t, "clustered", clustered.Estimates[1].SE, 6, 14)
}

// Below an interval's lower end more effect is worth less than it costs, beyond its upper end more, for sure; where the set is no
// interval none is given, and the words never name a price.
func TestFiellerAndNetBenefitAgree(t *testing.T) {
	j := &CostAndEffect{Unit: []string{"a", "b", "c", "d"}, Cost: 8, Effect: 4, CostInfluence: []float64{1, 1, -1, -1}, EffectInfluence: []float64{.7, -.5, .4, -.6}, Level: .95}
	res := perEffect(t, CostPerEffect{}, j)
	ci := res.Estimates[0].CI
	for _, c := range []struct{ l, sign float64 }{{ci.Lo * .999, -1}, {ci.Hi * 1.001, 1}} {
		b := perEffect(t, CostPerEffect{Willingness: []float64{c.l}}, j).Estimates[1]
		require.Less(t, b.Test.P, .05)
		require.Positive(t, b.Value*c.sign)
	}
	for _, l := range []float64{ci.Lo * 1.001, ci.Hi * .999} {
		require.Greater(t, perEffect(t, CostPerEffect{Willingness: []float64{l}}, j).Estimates[1].Test.P, .05)
	}
	j.Effect = .5
	res = perEffect(t, CostPerEffect{}, j)
	require.True(t, math.IsNaN(res.Estimates[0].CI.Lo) && math.IsNaN(res.Estimates[0].SE))
	require.Equal(t, CostsUnbounded, res.Details["words"])
	require.Equal(t, "no-ratio-interval", res.Notes[0].Code)
	for text, bad := range map[string]func(e *CostPerEffect, j *CostAndEffect){
		"prices":                   func(e *CostPerEffect, _ *CostAndEffect) { e.Willingness = []float64{0} },
		"asked for once":           func(e *CostPerEffect, _ *CostAndEffect) { e.Willingness = []float64{2, 2} },
		"finite number":            func(_ *CostPerEffect, j *CostAndEffect) { j.CostInfluence = []float64{math.NaN(), 0, 0, 0} },
		"no effect at all":         func(_ *CostPerEffect, j *CostAndEffect) { j.Effect = 0 },
		"influences for 4":         func(_ *CostPerEffect, j *CostAndEffect) { j.EffectInfluence = nil },
		"costs or effects without": func(_ *CostPerEffect, j *CostAndEffect) { j.CostInfluence = make([]float64, 4) },
	} {
		e, k := CostPerEffect{}, *j
		bad(&e, &k)
		_, err := e.Fit(t.Context(), &k)
		require.ErrorContains(t, err, text)
	}
}

// Fieller's set covers the ratio as often as it says, also where the effect is weak and the delta method's interval does not.
func TestFiellerCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, n, truth = 2000 * sim.Factor, 200, 4.
	for _, effect := range []float64{.8, .15} { // 11 and 2 standard errors
		covered, delta, open := 0., 0., 0.
		for rep := range reps {
			st := num.NewStream(uint64(rep), fmt.Sprint("fieller ", effect), 0)
			var sum, square [2]float64
			var cross float64
			for range n {
				u := st.Normal()
				y, x := truth*effect+u+st.Normal(), effect+.6*u+.8*st.Normal()
				sum[0], sum[1] = sum[0]+y, sum[1]+x
				square[0], square[1], cross = square[0]+y*y, square[1]+x*x, cross+x*y
			}
			y, x := sum[0]/n, sum[1]/n
			vy, vx, vxy := (square[0]/n-y*y)/n, (square[1]/n-x*x)/n, (cross/n-x*y)/n
			f := FiellerSet(y, x, vy, vxy, vx, 1.959964)
			in := f.Low <= truth && truth <= f.High
			if f.Shape == FiellerLine || in == (f.Shape == FiellerInterval) {
				covered += 1. / reps
			}
			if f.Shape != FiellerInterval {
				open += 1. / reps
			}
			r := y / x
			if se := math.Sqrt(vy-2*r*vxy+r*r*vx) / x; math.Abs(r-truth) <= 1.959964*math.Abs(se) {
				delta += 1. / reps
			}
		}
		sim.Share(t, fmt.Sprintf("Fieller's set, effect %g", effect), covered, reps)
		sim.Share(t, fmt.Sprintf("delta method, effect %g", effect), delta, reps)
		t.Logf("no interval in %.3f", open)
		require.InDelta(t, .95, covered, sim.Band(reps))
	}
}
