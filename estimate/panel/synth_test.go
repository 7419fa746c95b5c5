package panel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// blocks is a panel of one unit a row, periods from 1, the last n1 units treated after t0 periods.
func blocks(n1, t0 int, y [][]float64) (*Frame, []bool) {
	cohorts := make([]int, len(y))
	for i := len(y) - n1; i < len(y); i++ {
		cohorts[i] = t0 + 1
	}
	return marked(rect(cohorts, y))
}

func mustSynth(t testing.TB, s Synthetic, f *Frame, d []bool) *estimate.Result {
	t.Helper()
	res, err := s.Fit(t.Context(), f, d)
	require.NoError(t, err)
	return res
}

func unitWeight(res *estimate.Result, unit int) float64 {
	return res.Details["unit_weights"].(map[string]float64)[fmt.Sprintf("u%02d", unit)]
}

// By hand: the treated (1, 2) lie a quarter of the way from (0, 0) to (4, 8); afterwards 3/4·2 + 1/4·10 = 4 and 7 - 4 = 3.
func TestSyntheticControlByHand(t *testing.T) {
	f, d := blocks(1, 2, [][]float64{{0, 0, 2}, {4, 8, 10}, {1, 2, 7}})
	res := mustSynth(t, Synthetic{Method: SyntheticControl, Errors: NoErrors}, f, d)
	require.InDelta(t, 3, res.Estimates[0].Value, 1e-9)
	require.InDelta(t, 0.25, unitWeight(res, 1), 1e-10)
	require.Equal(t, estimate.Counts{Units: 3, Treated: 1}, res.N)
	require.False(t, res.Estimates[0].HasSE())
	require.True(t, hasNote(res, "errors-not-asked"))
	require.InDelta(t, 1/(9./16+1./16), res.Details["effective_controls"].(float64), 1e-9)
}

// By hand. Controls (0, 0) and (0, 2) change by 0 and 2, so noise² = 2; treated (5, 5.5): centred, weight v on the second
// control costs 2(v - 1/4)² + ρ(v² + (1-v)²), least at v = (1/2 + ρ)/(2 + 2ρ), with ρ = 2·√(1·4)·2 = 8: v = 17/36. Time: the
// controls differ by 0, 2 before and 1 after, so λ = 1/2 each (the tiny ridge agrees). Gaps before 5 and 5.5 - 17/18, after
// (control means 1 - v + 2v = 53/36) 9 - 53/36: θ = 9 - 53/36 - (10.5 - 17/18)/2 = (324 - 53 - 172)/36.
func TestSyntheticDIDByHand(t *testing.T) {
	f, d := blocks(1, 2, [][]float64{{0, 0, 1, 1, 1, 1}, {0, 2, 2, 2, 2, 2}, {5, 5.5, 9, 9, 9, 9}})
	res := mustSynth(t, Synthetic{Method: SyntheticDID, Errors: NoErrors}, f, d)
	reftest.Agree(t, "weight", unitWeight(res, 1), 17.0/36, 13)
	reftest.Agree(t, "lambda", res.Details["time_weights"].(map[string]float64)["2"], 0.5, 11)
	reftest.Agree(t, "overall", res.Estimates[0].Value, 99.0/36, 11)
	reftest.Agree(t, "zeta", res.Details["zeta"].(float64), 2, 14)
	// The controls differ by 0 and 2 before and by 3/2 after: λ = 1/4, 3/4, from which the time ridge may not move it.
	g, marks := blocks(1, 2, [][]float64{{0, 0, 1}, {0, 2, 2.5}, {5, 5.5, 9}})
	require.InDelta(t, 0.75, mustSynth(t, Synthetic{Method: SyntheticDID, Errors: NoErrors}, g, marks).Details["time_weights"].(map[string]float64)["2"], 1e-9)
	path := res.Details["path"].([]PathPoint)
	sum := 0.0
	for _, p := range path[2:] {
		sum += p.Gap / 4
		require.InDelta(t, p.Treated-p.Synthetic, p.Gap, 1e-14)
	}
	reftest.Agree(t, "path", sum, 99.0/36, 11)
	require.Equal(t, 6, path[5].Time)
}

// By hand. Jackknife: changes 0, 2 of controls and 5, 9 of treated, θ = 6; without one each 5, 7, 8, 4, so SE² = 3/4·10.
// Placebo: changes 0, 2, 7 and 10: θ = 7; placebos -9/2, -3/2 and 6, mean 0, SE² = (81/4 + 9/4 + 36)/3 = 39/2, p = 1/4.
func TestSyntheticErrorsByHand(t *testing.T) {
	f, d := blocks(2, 1, [][]float64{{1, 1}, {0, 2}, {3, 8}, {0, 9}})
	res := mustSynth(t, Synthetic{Method: DifferenceInMeans, Errors: JackknifeErrors}, f, d)
	reftest.Agree(t, "overall", res.Estimates[0].Value, 6, 14)
	reftest.Agree(t, "jackknife", res.Estimates[0].SE, math.Sqrt(7.5), 14)

	f, d = blocks(1, 1, [][]float64{{1, 1}, {0, 2}, {0, 7}, {0, 10}})
	res = mustSynth(t, Synthetic{Method: DifferenceInMeans, Errors: PlaceboErrors}, f, d)
	reftest.Agree(t, "overall", res.Estimates[0].Value, 7, 14)
	reftest.Agree(t, "placebo", res.Estimates[0].SE, math.Sqrt(19.5), 14)
	p := res.Details["placebo"].(map[string]any)
	require.Equal(t, 0.25, p["p_value"])
	require.Equal(t, 3, p["draws"])
	reftest.Agree(t, "of the second", p["effects"].(map[string]float64)["u01"], -1.5, 14)
	require.True(t, hasNote(res, "few-placebos"))
}

// By hand: sc gives all weight to the second control, d = (2, 0, 0), X'X = diag(2, 0, 0) and with L = 2 each control gets
// X·2/4 = ∓1/2 more: weights -1/2 and 3/2, after treatment -1 + 6 = 5, θ = 6 - 5.
func TestAugmentedByHand(t *testing.T) {
	f, d := blocks(1, 3, [][]float64{{-1, 0, 0, 2}, {1, 0, 0, 4}, {3, 0, 0, 6}})
	two := 2.0
	res := mustSynth(t, Synthetic{Method: AugmentedSynthetic, Errors: NoErrors, Lambda: &two}, f, d)
	reftest.Agree(t, "overall", res.Estimates[0].Value, 1, 12)
	reftest.Agree(t, "weight", unitWeight(res, 0), -0.5, 12)
	reftest.Agree(t, "below", res.Details["negative_weight"].(float64), 0.5, 12)
	huge := 1e15
	res = mustSynth(t, Synthetic{Method: AugmentedSynthetic, Errors: NoErrors, Lambda: &huge}, f, d)
	require.InDelta(t, mustSynth(t, Synthetic{Method: SyntheticControl, Errors: NoErrors}, f, d).Estimates[0].Value, res.Estimates[0].Value, 1e-10)
}

// By hand: predictor a is 0, 4 and 1, b 0, 40 and 30, ten times the spread of a, which is taken out, so that the weight of the second control is a mean of
// 1/4 and 3/4 by V = 3/4, 1/4: 3/8. Values outside the window and missing ones do not count.
func TestSyntheticPredictorsByHand(t *testing.T) {
	f, d := blocks(1, 3, [][]float64{{0, 1, 0, 0}, {0, 0, 1, 8}, {1, 2, 0, 10}})
	a, b, nan := []float64{0, 4, 1}, []float64{0, 40, 30}, math.NaN()
	pa, pb := Predictor{Name: "a"}, Predictor{Name: "b", From: ptr(2), To: ptr(3)}
	for i := range f.Y {
		u := i / 4
		pa.Values = append(pa.Values, []float64{a[u] - 1, nan, a[u] + 1, 99}[i%4])
		pb.Values = append(pb.Values, []float64{77, b[u], nan, 99}[i%4])
	}
	s := Synthetic{Method: SyntheticControl, Errors: NoErrors, Predictors: []Predictor{pa, pb}, PredictorWeights: []float64{3, 1}}
	res := mustSynth(t, s, f, d)
	require.InDelta(t, 0.375, unitWeight(res, 1), 1e-8)
	require.InDelta(t, 10-3, res.Estimates[0].Value, 1e-7)
	row := res.Details["predictors"].([]map[string]any)[0]
	require.InDelta(t, 1, row["treated"], 1e-14)
	require.InDelta(t, 1.5, row["synthetic"], 1e-7)
	given := res.Details["loss_v"].(float64)
	s.PredictorWeights = nil
	require.LessOrEqual(t, mustSynth(t, s, f, d).Details["loss_v"].(float64), given)
}

func ptr(v int) *int { return &v }

// factors draws a panel with one factor; the treated, the last n1 units, get effect.
func factors(seed uint64, n0, n1, t0, t1 int, effect float64) (*Frame, []bool) {
	r := num.NewStream(seed, "synth-test", 0)
	y := make([][]float64, n0+n1)
	f := make([]float64, t0+t1)
	for t := range f {
		f[t] = r.Normal()
	}
	for i := range y {
		level, load := 2*r.Normal(), 1+0.5*r.Normal()
		for t, v := range f {
			x := level + load*v + 0.1*float64(t) + 0.5*r.Normal()
			if i >= n0 && t >= t0 {
				x += effect
			}
			y[i] = append(y[i], x)
		}
	}
	return blocks(n1, t0, y)
}

func TestSyntheticRelations(t *testing.T) {
	f, d := factors(3, 12, 3, 8, 4, 1)
	for _, method := range []string{SyntheticControl, SyntheticDID, DifferenceInMeans, AugmentedSynthetic} {
		errs := []string{PlaceboErrors, BootstrapErrors, JackknifeErrors}
		if method == AugmentedSynthetic {
			errs = errs[:2]
		}
		for _, e := range errs {
			s := Synthetic{Method: method, Errors: e, Workers: 1}
			if e != JackknifeErrors {
				s.Replicates, s.Seed = 20, 5
			}
			base := mustSynth(t, s, f, d).Estimates[0]
			require.Positive(t, base.SE)
			many := s
			many.Workers = 4
			require.Equal(t, base, mustSynth(t, many, f, d).Estimates[0], "workers")

			g := &Frame{Level: 0.95}
			marks := []bool(nil)
			for i := range f.Y { // the other way round, another origin of time
				k := len(f.Y) - 1 - i
				g.Unit, g.Time, g.Y = append(g.Unit, f.Unit[k]), append(g.Time, f.Time[k]+2000), append(g.Y, f.Y[k])
				marks = append(marks, d[k])
			}
			require.Equal(t, base, mustSynth(t, s, g, marks).Estimates[0], "row order")

			change := func(how func(i int, y float64) float64) estimate.Estimate {
				h := *f
				h.Y = slices.Clone(f.Y)
				for i, y := range h.Y {
					h.Y[i] = how(i, y)
				}
				return mustSynth(t, s, &h, d).Estimates[0]
			}
			same := func(got estimate.Estimate, scale, effect float64, what string) {
				require.InDelta(t, scale*base.Value+effect, got.Value, 1e-6*scale, "%s %s %s", method, e, what)
				require.InDelta(t, scale*base.SE, got.SE, 1e-5*scale, "%s %s %s", method, e, what)
			}
			same(change(func(_ int, y float64) float64 { return y + 100 }), 1, 0, "constant")
			same(change(func(_ int, y float64) float64 { return 8 * y }), 8, 0, "scale")
			same(change(func(i int, y float64) float64 {
				if d[i] {
					return y + 3
				}
				return y
			}), 1, 3, "effect")
			if method == SyntheticDID || method == DifferenceInMeans {
				same(change(func(i int, y float64) float64 { return y + float64(len(f.Unit[i])*int(f.Unit[i][2])) }), 1, 0, "unit constants")
			}
		}
	}
	flatY := &Frame{Unit: f.Unit, Time: f.Time, Y: make([]float64, len(f.Y)), Level: 0.95}
	for _, method := range []string{SyntheticControl, SyntheticDID, AugmentedSynthetic} {
		e := mustSynth(t, Synthetic{Method: method, Errors: PlaceboErrors}, flatY, d).Estimates[0]
		require.Zero(t, e.Value)
		require.Zero(t, e.SE)
	}
}

// All placebos are taken where they are few, and the penalty chosen lies on its grid.
func TestSyntheticDrawsAndPenalty(t *testing.T) {
	all, yes := choices(5, 2, 10)
	require.True(t, yes)
	require.Len(t, all, 10)
	require.Equal(t, []int{3, 4}, all[9])
	_, yes = choices(5, 2, 9)
	require.False(t, yes)
	count := make([]int, 6)
	for i := range 3000 {
		c := choose(num.NewStream(1, "choose", uint64(i)), 6, 2)
		require.Less(t, c[0], c[1])
		count[c[0]]++
		count[c[1]]++
	}
	for _, c := range count {
		require.InDelta(t, 1000, c, 110)
	}
	f, d := factors(9, 14, 1, 10, 3, 0)
	a := mustSynth(t, Synthetic{Method: AugmentedSynthetic, Errors: PlaceboErrors}, f, d)
	b := mustSynth(t, Synthetic{Method: SyntheticControl, Errors: PlaceboErrors}, f, d)
	require.Positive(t, a.Details["lambda"].(float64))
	require.Less(t, a.Details["pre_rmse"].(float64), b.Details["pre_rmse"].(float64), "the ridge brings the fit nearer")
	require.NotEqual(t, a.Estimates[0].SE, b.Estimates[0].SE)
}

// The penalty found automatically is the largest whose error in forecasting each period before treatment from the others, as a
// fit of its own with that period as the treated one, is within one standard error of the least.
func TestAugmentedPenalty(t *testing.T) {
	const t0 = 6
	f, d := factors(21, 9, 1, t0, 2, 0)
	got := mustSynth(t, Synthetic{Method: AugmentedSynthetic, Errors: NoErrors}, f, d).Details["lambda"].(float64)
	b, _, err := (&Synthetic{Method: AugmentedSynthetic}).block(f, d)
	require.NoError(t, err)
	r, err := b.ridge([]int{0, 1, 2, 3, 4, 5})
	require.NoError(t, err)
	least, limit := math.Inf(1), 0.0
	mean := map[float64]float64{}
	for j := range 21 {
		lambda := slices.Max(r.d) * math.Pow(1e-8, float64(j)/20)
		var errs []float64
		for out := 1; out <= t0; out++ {
			g, marks := &Frame{Level: 0.95}, []bool(nil)
			for i, at := range f.Time {
				if at > t0 {
					continue
				}
				if at == out {
					at = 99
				}
				g.Unit, g.Time, g.Y = append(g.Unit, f.Unit[i]), append(g.Time, at), append(g.Y, f.Y[i])
				marks = append(marks, f.Unit[i] == "u09" && at == 99)
			}
			miss := mustSynth(t, Synthetic{Method: AugmentedSynthetic, Errors: NoErrors, Lambda: &lambda}, g, marks).Estimates[0].Value
			errs = append(errs, miss*miss)
		}
		m := num.Sum(errs) / t0
		mean[lambda] = m
		if bound := m + deviation(errs, 1)/math.Sqrt(t0); m < least {
			least, limit = m, bound
		}
	}
	best := 0.0
	for lambda, m := range mean {
		if m <= limit {
			best = max(best, lambda)
		}
	}
	reftest.Agree(t, "penalty", got, best, 12)
}
