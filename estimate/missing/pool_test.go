package missing

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// Two resamples with two imputations each, 1, 3 and 5, 9: θ̄_b 2 and 7, MSW = (2 + 8)/2 = 5,
// MSB = 2·25/2 = 25, V = 3/4·25 - 5/2 = 65/4,
// df = (65/4)²/((75/4)²/1 + 25/(2·4·1)), below 3 and so 3.
func TestBootstrapImputePoolsByHand(t *testing.T) {
	r := func(v float64) *estimate.Result {
		return &estimate.Result{Estimates: []estimate.Estimate{{Term: "a", Measure: estimate.Mean, Value: v}}}
	}
	b := BootstrapImpute{Replicates: 2, Impute: Impute{M: 2}, Level: .9}
	got, err := b.pool([][]*estimate.Result{{r(1), r(3)}, {r(5), r(9)}})
	require.NoError(t, err)
	require.Equal(t, estimate.Wald("a", estimate.Mean, 4.5, math.Sqrt(65./4), 3, .9), got.Estimates[0])
	// Eight resamples of 0 and 10 in turn, imputations ±1 about them: MSB = 2·8·25/7,
	// MSW 2, V = 9/16·400/7 - 1, df = V²/((9/16·400/7)²/7 + 4/(8·4)).
	var theta [][]*estimate.Result
	for i := range 8 {
		theta = append(theta, []*estimate.Result{r(float64(i%2*10) - 1), r(float64(i%2*10) + 1)})
	}
	b.Replicates = 8
	got, err = b.pool(theta)
	require.NoError(t, err)
	share := 9. / 16 * 400 / 7
	near(t, math.Sqrt(share-1), got.Estimates[0].SE, 13)
	near(t, (share-1)*(share-1)/(share*share/7+1./8), got.Estimates[0].Test.DF, 13)
	_, err = b.pool([][]*estimate.Result{{r(1), r(3)}, {r(1), r(3)}})
	require.ErrorIs(t, err, estimate.ErrNotConverged)
	other := r(1)
	other.Estimates[0].Term = "b"
	_, err = b.pool([][]*estimate.Result{{r(1), other}, {r(1), r(3)}})
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
}

// Nothing missing: Rubin's rules give the estimate itself, the bootstrap nearly so; with
// whole clusters drawn the copies of a person tell nothing new.
func TestPoolWithoutMissing(t *testing.T) {
	d := people(200, 3)
	d.Variables = d.Variables[1:2]
	im, err := Impute{M: 2, Seed: 1}.Run(t.Context(), d)
	require.NoError(t, err)
	r, err := im.Pool(t.Context(), .95, 2, meanOf(0))
	require.NoError(t, err)
	m, v := meanVar(d.Variables[0].Values)
	near(t, m, r.Estimates[0].Value, 13)
	near(t, math.Sqrt(v/200), r.Estimates[0].SE, 13)
	b := BootstrapImpute{Impute: Impute{Seed: 2}, Replicates: 400, Level: .95}
	r, err = b.Run(t.Context(), d, meanOf(0))
	require.NoError(t, err)
	require.InDelta(t, 1, r.Estimates[0].SE/math.Sqrt(v/200), .1)
	twice := Data{Unit: names(400), Variables: []Variable{{Name: "x", Kind: Number, Values: slices.Concat(d.Variables[0].Values, d.Variables[0].Values)}}}
	for i := range 400 {
		b.Cluster = append(b.Cluster, i%200)
	}
	c, err := b.Run(t.Context(), twice, meanOf(0))
	require.NoError(t, err)
	require.InDelta(t, 1, c.Estimates[0].SE/math.Sqrt(v/200), .1)
	b.Cluster = nil
	c, err = b.Run(t.Context(), twice, meanOf(0))
	require.NoError(t, err)
	require.InDelta(t, 1, c.Estimates[0].SE/math.Sqrt(v/400), .1)
}

// Rows, seeds and workers: the bootstrap too depends on the units only.
func TestBootstrapImputeIsDeterministic(t *testing.T) {
	d := people(80, 4)
	d.Variables = d.Variables[:2]
	b := BootstrapImpute{Impute: Impute{Iterations: 1, Seed: 3, Donors: 3, Workers: 1}, Replicates: 20, Level: .95}
	want, err := b.Run(t.Context(), d, slopes)
	require.NoError(t, err)
	b.Impute.Workers = 5
	got, err := b.Run(t.Context(), d, slopes)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for name, other := range map[string]BootstrapImpute{
		"seed":       {Impute: Impute{Iterations: 1, Seed: 4, Donors: 3}, Replicates: 20, Level: .95},
		"replicates": {Impute: Impute{Iterations: 1, Seed: 3, Donors: 3}, Replicates: 21, Level: .95},
		"m":          {Impute: Impute{M: 3, Iterations: 1, Seed: 3, Donors: 3}, Replicates: 20, Level: .95},
	} {
		got, err := other.Run(t.Context(), d, slopes)
		require.NoError(t, err)
		require.NotEqual(t, want.Estimates, got.Estimates, name)
	}
	for i, bad := range []BootstrapImpute{{Replicates: 2, Level: .95}, {Impute: Impute{M: 1}, Level: .95}, {}, {Level: .95, Cluster: []int{1}}} {
		_, err := bad.Run(t.Context(), d, slopes)
		require.ErrorIs(t, err, ErrOption, "%d", i)
	}
	_, err = BootstrapImpute{Level: .95, Cluster: make([]int, 80)}.Run(t.Context(), d, slopes)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}

// Missing at random given x: the mean of complete cases is biased and its interval fails;
// Rubin's interval of the imputed mean covers 95 %, and so does that of the slope on x
// where x is missing by y, which complete cases get wrong.
func TestImputeCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, n = 400 * sim.Factor, 120
	var mi, cc, slope, ccSlope int
	for r := range reps {
		d := Data{Unit: names(n)}
		y, x := Variable{Name: "y", Kind: Number, Method: Linear, Values: make([]float64, n), Missing: make([]bool, n)}, Variable{Name: "x", Kind: Number, Values: make([]float64, n)}
		for i := range n {
			s := num.NewStream(11, "coverage", uint64(r*n+i))
			x.Values[i] = s.Normal()
			y.Values[i] = 1 + x.Values[i] + s.Normal()
			y.Missing[i] = s.Bernoulli(logistic(1.5*x.Values[i] - .5))
		}
		d.Variables = []Variable{y, x}
		pool := func(d Data, a Analysis) estimate.Estimate {
			im, err := Impute{M: 10, Iterations: 1, Seed: uint64(r), Workers: 1}.Run(t.Context(), d)
			require.NoError(t, err)
			res, err := im.Pool(t.Context(), .95, 1, a)
			require.NoError(t, err)
			return res.Estimates[0]
		}
		covers := func(e estimate.Estimate) int {
			if e.CI.Lo <= 1 && 1 <= e.CI.Hi {
				return 1
			}
			return 0
		}
		complete := func(a Analysis) estimate.Estimate {
			var v [2]Variable
			for j, from := range []Variable{y, x} {
				v[j].Name = from.Name
				for i := range n {
					if !y.Missing[i] {
						v[j].Values = append(v[j].Values, from.Values[i])
					}
				}
			}
			res, err := a(t.Context(), nil, v[:])
			require.NoError(t, err)
			return res.Estimates[0]
		}
		mi += covers(pool(d, meanOf(0)))
		cc += covers(complete(meanOf(0)))
		// The covariate is missing where the outcome is high: regression of y on x.
		u := y
		u.Missing, u.Method = nil, ""
		w := x
		w.Method, w.Missing = Linear, make([]bool, n)
		for i := range n {
			w.Missing[i] = num.NewStream(12, "coverage", uint64(r*n+i)).Bernoulli(logistic(1.5*y.Values[i] - 1.5))
		}
		slope += covers(pool(Data{Unit: d.Unit, Variables: []Variable{u, w}}, slopes))
		y.Missing = w.Missing
		ccSlope += covers(complete(slopes))
	}
	for what, k := range map[string]int{"mean, imputed": mi, "mean, complete cases (must fail)": cc, "slope, imputed": slope, "slope, complete cases (must fail)": ccSlope} {
		sim.Share(t, what, float64(k)/reps, reps)
	}
	require.InDelta(t, .95, float64(mi)/reps, .0359)
	require.InDelta(t, .95, float64(slope)/reps, .0359)
	require.Less(t, float64(cc)/reps, .6)
	require.Less(t, float64(ccSlope)/reps, .85)
}

// Imputing inside the bootstrap covers too.
func TestBootstrapImputeCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, n = 400 * sim.Factor, 60
	covered := 0
	for r := range reps {
		y, x := Variable{Name: "y", Kind: Number, Method: Linear, Values: make([]float64, n), Missing: make([]bool, n)}, Variable{Name: "x", Kind: Number, Values: make([]float64, n)}
		for i := range n {
			s := num.NewStream(13, "coverage", uint64(r*n+i))
			x.Values[i] = s.Normal()
			y.Values[i] = 1 + x.Values[i] + s.Normal()
			y.Missing[i] = s.Bernoulli(logistic(x.Values[i] - .5))
		}
		b := BootstrapImpute{Impute: Impute{Iterations: 1, Seed: uint64(r)}, Replicates: 100, Level: .95}
		res, err := b.Run(t.Context(), Data{Unit: names(n), Variables: []Variable{y, x}}, meanOf(0))
		require.NoError(t, err)
		if e := res.Estimates[0]; e.CI.Lo <= 1 && 1 <= e.CI.Hi {
			covered++
		}
	}
	sim.Share(t, "mean, imputing inside the bootstrap", float64(covered)/reps, reps)
	require.InDelta(t, .95, float64(covered)/reps, .0359)
}

func TestPoolGivesTheAnalysisError(t *testing.T) {
	im, err := Impute{M: 2, Iterations: 1, Seed: 1}.Run(t.Context(), people(60, 1))
	require.NoError(t, err)
	_, err = im.Pool(t.Context(), .95, 1, func(context.Context, []int, []Variable) (*estimate.Result, error) {
		return nil, estimate.ErrTooFew
	})
	require.ErrorIs(t, err, estimate.ErrTooFew)
	require.ErrorContains(t, err, "imputation 1")
}
