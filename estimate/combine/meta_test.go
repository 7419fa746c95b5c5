package combine

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

func effects(y, v []float64) *Effects {
	f := &Effects{Y: y, Variance: v, Level: .95}
	for i := range y {
		f.Unit = append(f.Unit, fmt.Sprint(i+1))
	}
	return f
}

func meta(t *testing.T, o Meta, f *Effects) (map[string]estimate.Estimate, *estimate.Result) {
	t.Helper()
	r, err := o.Fit(t.Context(), f)
	require.NoError(t, err)
	out := map[string]estimate.Estimate{}
	for _, e := range r.Estimates {
		require.NotContains(t, out, e.Term)
		out[e.Term] = e
	}
	return out, r
}

// Effects 0 and 4 with variance 1: Q(τ²) = 8/(1+τ²), tr P₀ = 1. dl 8-1 = 7; pm 8/(1+7) = 1;
// reml: the sample variance 8 = 1+τ²; ml: 4 = 1+τ². With τ² = 7: V = 8/2, I² = 7/8, H² = 8,
// λ = 7/8, shrunken 7/8·4 + 1/8·2 with variance 7/8 + 4/64, prediction variance 4+7.
// Errors of τ²: reml tr PP = 1/64; dl √(2+28+98); pm √2·2/(2/8); all √128; ml Σw² = 1/8, so 4.
func TestMetaByHand(t *testing.T) {
	for method, tau2 := range map[string]float64{"dl": 7, "pm": 7, "eb": 7, "reml": 7, "ml": 3} {
		got, r := meta(t, Meta{Method: method}, effects([]float64{0, 4}, []float64{1, 1}))
		close13(t, tau2, got["tau2"].Value)
		close13(t, math.Sqrt((1+tau2)/2), got["pooled"].SE)
		require.Equal(t, tau2 == 3, method == "ml")
		close13(t, map[bool]float64{true: 4, false: math.Sqrt(128)}[method == "ml"], got["tau2"].SE)
		require.Equal(t, method, r.Details["method"])
	}
	got, r := meta(t, Meta{}, effects([]float64{0, 4}, []float64{1, 1}))
	close13(t, 2, got["pooled"].Value)
	close13(t, 87.5, got["I2"].Value)
	close13(t, 8, got["H2"].Value)
	close13(t, 8, got["Q"].Value)
	require.Equal(t, 1., got["Q"].Test.DF)
	close13(t, 3.75, got["unit=2"].Value)
	close13(t, math.Sqrt(15./16), got["unit=2"].SE)
	close13(t, math.Sqrt(11), got["prediction"].SE)
	close13(t, 2-num.NormalQuantile(.975)*math.Sqrt(11), got["prediction"].CI.Lo)
	require.True(t, math.IsNaN(got["prediction"].Test.P))
	require.Equal(t, .875, math.Round(1e12*r.Details["shrinkage"].(map[string]float64)["1"])/1e12)
	require.InDelta(t, 50, r.Details["weights_percent"].(map[string]float64)["1"], 1e-12)
	// -½log 2π - ½Σlog(v+τ²) - ½log|X'WX| + ½log|X'X| - ½Q with Q = 1.
	want := -.5*math.Log(2*math.Pi) - .5*2*math.Log(8) - .5*math.Log(2./8) + .5*math.Log(2) - .5
	require.InDelta(t, want, r.Details["log_likelihood"].(float64), 1e-12)
	// The profile interval: 8/(1+τ²) at the two quantiles.
	lo, hi := got["tau2"].CI.Lo, got["tau2"].CI.Hi
	require.InDelta(t, .025, num.ChiSquareTail(8/(1+lo), 1), 1e-12)
	require.InDelta(t, .975, num.ChiSquareTail(8/(1+hi), 1), 1e-12)

	kh, _ := meta(t, Meta{Test: "knapp-hartung"}, effects([]float64{0, 4}, []float64{1, 1}))
	close13(t, 2, kh["pooled"].SE) // the scale is 8/8
	close13(t, 1, kh["pooled"].Test.DF)
	require.Greater(t, kh["prediction"].CI.Hi, got["prediction"].CI.Hi)

	fixed, r := meta(t, Meta{Method: "fixed"}, effects([]float64{0, 4}, []float64{1, 4}))
	close13(t, .8, fixed["pooled"].Value) // weights 1 and ¼
	close13(t, math.Sqrt(.8), fixed["pooled"].SE)
	close13(t, 16./5, fixed["Q"].Value)
	close13(t, 100*(1-5./16), fixed["I2"].Value)
	require.NotContains(t, fixed, "tau2")
	require.NotContains(t, fixed, "unit=1")
	require.InDelta(t, 80, r.Details["weights_percent"].(map[string]float64)["1"], 1e-12)
}

// Two groups, 0 and 2 against 4 and 10, variance 1: residual sum of squares 20 on 2 degrees
// of freedom, tr P₀ = 2, τ² = 9; slope 7-1 with variance 10/2+10/2; QM = 36/10.
func TestMetaModeratorByHand(t *testing.T) {
	f := effects([]float64{0, 2, 4, 10}, []float64{1, 1, 1, 1})
	f.X, f.XNames = mat.NewDense(4, 1, []float64{0, 0, 1, 1}), []string{"late"}
	for _, method := range []string{"dl", "pm", "reml"} {
		got, _ := meta(t, Meta{Method: method}, f)
		close13(t, 9, got["tau2"].Value)
		close13(t, 1, got["(intercept)"].Value)
		close13(t, 6, got["late"].Value)
		close13(t, math.Sqrt(10), got["late"].SE)
		close13(t, 3.6, got["QM"].Value)
		close13(t, 90, got["I2"].Value)
		close13(t, 10, got["H2"].Value)
		close13(t, num.ChiSquareTail(3.6, 1), got["QM"].Test.P)
		require.NotContains(t, got, "prediction")
		close13(t, .9*10+.1*7, got["unit=4"].Value)
	}
	got, _ := meta(t, Meta{Test: "knapp-hartung"}, f)
	close13(t, got["late"].Test.P, got["QM"].Test.P) // F on 1 and 2 is t²
	// Three groups with means 1, 5, 9 and residuals of 1: sum of squares 6 on 3, τ² = 1, the
	// means have variance (1+1)/2, QM = 4²+4² over that, F = 16 on 2 and 3: p = (1+2F/3)^(-3/2).
	three := effects([]float64{0, 2, 4, 6, 8, 10}, []float64{1, 1, 1, 1, 1, 1})
	three.X, three.XNames = mat.NewDense(6, 2, []float64{0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1}), []string{"b", "c"}
	got, _ = meta(t, Meta{Method: "dl"}, three)
	close13(t, 32, got["QM"].Value)
	got, _ = meta(t, Meta{Method: "dl", Test: "knapp-hartung"}, three)
	close13(t, 16, got["QM"].Value)
	close13(t, math.Pow(1+32./3, -1.5), got["QM"].Test.P)
	double := effects(f.Y, f.Variance)
	double.X, double.XNames = mat.NewDense(4, 2, []float64{0, 0, 0, 0, 1, 2, 1, 2}), []string{"late", "twice"}
	_, err := Meta{}.Fit(t.Context(), double)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	require.ErrorContains(t, err, "twice")
}

// 60 places: Q(pm) is k-1; no grid point is likelier than the root; row order changes no
// byte; a scale changes as it must.
func TestMetaRelations(t *testing.T) {
	s := num.NewStream(5, "places", 0)
	var y, v []float64
	for range 60 {
		v = append(v, .2+s.Exp())
		y = append(y, .5+.8*s.Normal()+math.Sqrt(v[len(v)-1])*s.Normal())
	}
	f := effects(y, v)
	m, err := newModel(f)
	require.NoError(t, err)
	pm, _ := meta(t, Meta{Method: "pm"}, f)
	at, err := m.at(pm["tau2"].Value)
	require.NoError(t, err)
	require.InDelta(t, 59, at.q, 1e-11)
	for method, restricted := range map[string]bool{"reml": true, "ml": false} {
		got, r := meta(t, Meta{Method: method}, f)
		for _, factor := range []float64{0, .5, .99, 1.01, 2, 10} {
			e, err := m.at(factor * got["tau2"].Value)
			require.NoError(t, err)
			require.Less(t, m.logLik(e, restricted), r.Details["log_likelihood"].(float64))
		}
	}
	for _, o := range []Meta{{}, {Method: "dl", Test: "knapp-hartung"}, {Method: "fixed"}} {
		want, _ := meta(t, o, f)
		g := &Effects{Unit: slices.Clone(f.Unit), Y: slices.Clone(y), Variance: slices.Clone(v), Level: .95}
		slices.Reverse(g.Unit)
		slices.Reverse(g.Y)
		slices.Reverse(g.Variance)
		got, _ := meta(t, o, g)
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(got))
		for i := range g.Y {
			g.Y[i], g.Variance[i] = 4*g.Y[i], 16*g.Variance[i]
		}
		got, _ = meta(t, o, g)
		require.InDelta(t, 4*want["pooled"].SE, got["pooled"].SE, 1e-12)
		require.InDelta(t, want["I2"].Value, got["I2"].Value, 1e-10)
		narrow := *f
		narrow.Level = .5
		got, _ = meta(t, o, &narrow)
		require.Greater(t, got["pooled"].CI.Lo, want["pooled"].CI.Lo)
	}
}

// Shrunken effects are nearer to the truth than the raw ones. Their errors take τ² as
// known, so that the intervals cover too little where it is not: with 30 places and I²
// near 40% about .90 (τ² comes out as 0 in some replicates, and then they shrink to that of
// the mean), with 100 places and I² near 70% about .945. Bands of 4 Monte Carlo errors of a
// replicate's share about these, and the binomial 99.8% band for the pooled effect.
func TestMetaShrinkageOnKnownTruth(t *testing.T) {
	for _, c := range []struct {
		places, replicates int
		sd, cover, band    float64
		gain               float64
	}{{30, 200, .7, .9, .025, .5}, {100, 60, 1.2, .945, .012, .75}} {
		raw, shrunk, inside, pooled := 0.0, 0.0, 0, 0
		for r := range c.replicates {
			s := num.NewStream(11, "shrink", uint64(r))
			f := effects(nil, nil)
			var truth []float64
			for i := range c.places {
				truth = append(truth, 1+c.sd*s.Normal())
				f.Unit = append(f.Unit, fmt.Sprint(i+1))
				f.Variance = append(f.Variance, .3+s.Float())
				f.Y = append(f.Y, truth[i]+math.Sqrt(f.Variance[i])*s.Normal())
			}
			got, _ := meta(t, Meta{Test: "knapp-hartung"}, f)
			if e := got["pooled"]; e.CI.Lo <= 1 && 1 <= e.CI.Hi {
				pooled++
			}
			for i := range truth {
				e := got["unit="+f.Unit[i]]
				raw += math.Pow(f.Y[i]-truth[i], 2)
				shrunk += math.Pow(e.Value-truth[i], 2)
				if e.CI.Lo <= truth[i] && truth[i] <= e.CI.Hi {
					inside++
				}
			}
		}
		n := float64(c.replicates)
		t.Logf("pooled %.3f, places %.4f, squared error %.3f of raw", float64(pooled)/n, float64(inside)/(float64(c.places)*n), shrunk/raw)
		require.Less(t, shrunk, c.gain*raw)
		require.InDelta(t, .95, float64(pooled)/n, 3.09*math.Sqrt(.95*.05/n))
		require.InDelta(t, c.cover, float64(inside)/(float64(c.places)*n), c.band)
	}
}

func TestMetaEdges(t *testing.T) {
	// No difference at all: τ² 0, all places the same, an empty interval with a note.
	got, r := meta(t, Meta{}, effects([]float64{2, 2, 2}, []float64{1, 2, 3}))
	require.Zero(t, got["tau2"].Value)
	require.True(t, math.IsNaN(got["tau2"].CI.Hi))
	require.Equal(t, "tau2-interval-empty", r.Notes[0].Code)
	close13(t, 2, got["unit=3"].Value)
	require.Equal(t, "no-spread-found", r.Notes[1].Code)
	got, r = meta(t, Meta{Test: "knapp-hartung"}, effects([]float64{1.9, 2, 2.2}, []float64{1, 2, 3}))
	require.Equal(t, "knapp-hartung-narrower", r.Notes[0].Code)
	require.Less(t, got["pooled"].SE, .2)
	// A huge difference beside small errors.
	got, _ = meta(t, Meta{}, effects([]float64{-1e6, 1e6, 0}, []float64{1e-6, 1e-6, 1e-6}))
	close13(t, 1e12, got["tau2"].Value)
}

func TestMetaErrors(t *testing.T) {
	ok := effects([]float64{0, 4}, []float64{1, 1})
	for _, o := range []Meta{{Method: "hs"}, {Test: "t"}, {Method: "fixed", Test: "knapp-hartung"}} {
		_, err := o.Fit(t.Context(), ok)
		require.ErrorIs(t, err, ErrOption)
	}
	_, err := Meta{}.Fit(t.Context(), effects([]float64{1}, []float64{1}))
	require.ErrorIs(t, err, estimate.ErrTooFew)
	for _, f := range []*Effects{effects([]float64{0, 4}, []float64{1, 0}), effects([]float64{0, math.NaN()}, []float64{1, 1}), effects([]float64{0, 4}, []float64{1, math.Inf(1)})} {
		_, err = Meta{}.Fit(t.Context(), f)
		var row *estimate.RowError
		require.ErrorAs(t, err, &row)
		require.Equal(t, 1, row.Row)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	}
	_, err = Meta{}.Fit(t.Context(), &Effects{Unit: []string{"1"}, Y: []float64{1, 2}, Variance: []float64{1, 1}, Level: .95})
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}

// Effects that are all alike say nothing of how effects vary: Knapp and Hartung's error
// would be rounding. Nothing is given, and a note says what to use.
func TestMetaOfEqualEffects(t *testing.T) {
	for _, y := range [][]float64{{0.3, 0.3}, {0.2, 0.2, 0.2, 0.2}} {
		f := &Effects{Y: y, Level: 0.95}
		for i := range y {
			f.Unit, f.Variance = append(f.Unit, string(rune('a'+i))), append(f.Variance, 0.25)
		}
		res, err := Meta{Test: "knapp-hartung"}.Fit(t.Context(), f)
		require.NoError(t, err)
		require.InDelta(t, y[0], res.Estimates[0].Value, 1e-15)
		require.False(t, res.Estimates[0].HasSE())
		require.True(t, math.IsNaN(res.Estimates[0].Test.P))
		codes := ""
		for _, n := range res.Notes {
			codes += n.Code + " "
		}
		require.Contains(t, codes, "knapp-hartung-undefined")
		z, err := Meta{Test: "z"}.Fit(t.Context(), f)
		require.NoError(t, err)
		require.InDelta(t, math.Sqrt(0.25/float64(len(y))), z.Estimates[0].SE, 1e-12)
	}
}
