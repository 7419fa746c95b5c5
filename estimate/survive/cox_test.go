package survive

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func mustCox(t testing.TB, e Cox, f *Covaried) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

func threeCox() *Covaried {
	return &Covaried{Stratified: Stratified{Times: Times{
		Unit: []string{"a", "b", "c"}, Time: []float64{1, 2, 3}, Event: []bool{true, true, false}, Level: 0.95,
	}}, X: mat.NewDense(3, 1, []float64{1, 0, 1}), XNames: []string{"x"}}
}

// By hand, θ = e^β. L = θ/(2θ+1) · 1/(1+θ); its maximum is at 2θ² = 1: β = −ln2/2,
// ℓ = −2·ln(1+√2), ℓ(0) = −ln 6. I = 2θ/(2θ+1)² + θ/(1+θ)² = 6√2 − 8. At β = 0 the score is
// 1 − 2/3 − 1/2 = −1/6 and the information 2/9 + 1/4: score test 1/17. Of the pairs (a,b), (a,c),
// (b,c) one is discordant, one tied, one concordant: C = 1/2.
func TestCoxByHand(t *testing.T) {
	res := mustCox(t, Cox{}, threeCox())
	e := res.Estimates[0]
	require.Equal(t, "x", e.Term)
	require.Equal(t, estimate.LogHazardRatio, e.Measure)
	reftest.Agree(t, "beta", e.Value, -math.Ln2/2, 13)
	reftest.Agree(t, "se", e.SE, 1/math.Sqrt(6*math.Sqrt2-8), 12)
	reftest.Agree(t, "z", e.Test.Stat, e.Value/e.SE, 14)
	ll := res.Details["loglik"].([]float64)
	reftest.Agree(t, "null", ll[0], -math.Log(6), 14)
	reftest.Agree(t, "loglik", ll[1], -2*math.Log(1+math.Sqrt2), 14)
	reftest.Agree(t, "lr", res.Details["lr"].(ChiSquareRow).Statistic, 2*(ll[1]-ll[0]), 14)
	reftest.Agree(t, "score", res.Details["score"].(ChiSquareRow).Statistic, 1.0/17, 13)
	reftest.Agree(t, "wald", res.Details["wald"].(ChiSquareRow).Statistic, e.Test.Stat*e.Test.Stat, 13)
	require.Equal(t, 0.5, res.Details["concordance"])
	require.Equal(t, 2, res.N.Events)
	// Ties: a and b have the event at 1, c is censored at 2. Breslow: L = θ/(2θ+1)², θ = 1/2.
	// Efron: L = θ/((2θ+1)(3θ+1)/2), 6θ² = 1.
	f := threeCox()
	f.Time = []float64{1, 1, 2}
	reftest.Agree(t, "breslow", mustCox(t, Cox{Ties: "breslow"}, f).Estimates[0].Value, -math.Ln2, 13)
	reftest.Agree(t, "efron", mustCox(t, Cox{}, f).Estimates[0].Value, -math.Log(6)/2, 13)
	// Late entry: c enters at 1: L = θ/(θ+1) · 1/(1+θ), θ = 1.
	f = threeCox()
	f.Entry = []float64{0, 0, 1}
	reftest.Near(t, "entry", mustCox(t, Cox{}, f).Estimates[0].Value, 0, 1e-13)
	// Weight 4 for a: L = θ⁴/(5θ+1)⁴ · 1/(1+θ): 4/θ − 20/(5θ+1) − 1/(1+θ) = 0.
	f = threeCox()
	f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: []float64{4, 1, 1}}
	w := mustCox(t, Cox{}, f)
	theta := math.Exp(w.Estimates[0].Value)
	reftest.Near(t, "weighted score", 4/theta-20/(5*theta+1)-1/(1+theta), 0, 1e-12)
	require.Contains(t, codes(w), "weights-fixed")
}

func coxSample(seed uint64, n int, late bool) *Covaried {
	f := &Covaried{Stratified: Stratified{Times: *kmSample(seed, n, late)}, XNames: []string{"u", "v", "g"}, X: mat.NewDense(n, 3, nil)}
	f.Group, f.GroupNames = nil, nil
	for i := range n {
		st := num.NewStream(seed, "x", uint64(i))
		f.X.SetRow(i, []float64{st.Normal() - f.Time[i]/15, 50 + 10*st.Float(), float64(st.Intn(2))})
		f.Stratum = append(f.Stratum, i%3)
	}
	return f
}

// The influence function is the derivative by the weights: with Breslow's ties exactly, also with late entry and strata.
func TestCoxInfluenceIsTheDerivative(t *testing.T) {
	f := coxSample(2, 60, true)
	f.Weight.Kind = estimate.Sampling
	for i := range f.Unit {
		f.Weight.Values = append(f.Weight.Values, 0.5+num.NewStream(2, "w", uint64(i)).Float())
	}
	base := mustCox(t, Cox{Ties: "breslow"}, f)
	for j := range 3 {
		var sum, sq float64
		for i := range f.Unit {
			sum += base.Influence.At(i, j)
			sq += base.Influence.At(i, j) * base.Influence.At(i, j)
		}
		reftest.Near(t, "adds up to 0", sum, 0, 1e-12)
		reftest.Agree(t, "se", base.Estimates[j].SE, math.Sqrt(sq), 12)
	}
	const h = 1e-4
	for i := 0; i < 60; i += 7 {
		fit := func(d float64) *estimate.Result {
			x := *f
			x.Weight.Values = append([]float64(nil), f.Weight.Values...)
			x.Weight.Values[i] += d
			return mustCox(t, Cox{Ties: "breslow"}, &x)
		}
		up, down := fit(h), fit(-h)
		for j := range 3 {
			slope := (up.Estimates[j].Value - down.Estimates[j].Value) / (2 * h) * f.Weight.Values[i]
			reftest.Near(t, fmt.Sprintf("row %d column %d", i, j), base.Influence.At(i, j), slope, 1e-7)
		}
	}
}

// What carries no information changes nothing: rows and their order to the byte; a monotone
// change of time, a shift of a covariate, a row censored before the first event, entry at 0,
// rows split in two; the sign and unit of a covariate turn and scale its coefficient.
func TestCoxRelations(t *testing.T) {
	f := coxSample(7, 120, true)
	base := mustCox(t, Cox{}, f)
	n := 120
	x := &Covaried{XNames: f.XNames, X: mat.NewDense(n, 3, nil)}
	x.Level = 0.95
	for r, i := range permutation(num.NewStream(7, "p", 0), n) {
		x.Unit, x.Time, x.Event = append(x.Unit, f.Unit[i]), append(x.Time, f.Time[i]), append(x.Event, f.Event[i])
		x.Entry, x.Stratum = append(x.Entry, f.Entry[i]), append(x.Stratum, f.Stratum[i])
		x.X.SetRow(r, f.X.RawRowView(i))
	}
	require.Equal(t, base.Estimates, mustCox(t, Cox{}, x).Estimates)
	require.Equal(t, base.Details, mustCox(t, Cox{}, x).Details)
	changed := *x
	changed.Time, changed.Entry, changed.X = nil, nil, mat.NewDense(n, 3, nil)
	for i := range n {
		changed.Time, changed.Entry = append(changed.Time, math.Sqrt(x.Time[i])), append(changed.Entry, math.Sqrt(x.Entry[i]))
		changed.X.SetRow(i, []float64{-x.X.At(i, 0), x.X.At(i, 1)/12 + 1000, 1 - x.X.At(i, 2)})
	}
	got := mustCox(t, Cox{}, &changed)
	for j, scale := range []float64{-1, 12, -1} {
		reftest.Agree(t, "coefficient", got.Estimates[j].Value, scale*base.Estimates[j].Value, 9)
		reftest.Agree(t, "se", got.Estimates[j].SE, math.Abs(scale)*base.Estimates[j].SE, 9)
	}
	split := &Covaried{XNames: f.XNames, X: mat.NewDense(2*n+1, 3, nil)}
	split.Level = 0.95
	for i := range n {
		mid := (f.Entry[i] + f.Time[i]) / 2
		split.Unit = append(split.Unit, f.Unit[i]+"a", f.Unit[i]+"b")
		split.Entry, split.Time = append(split.Entry, f.Entry[i], mid), append(split.Time, mid, f.Time[i])
		split.Event, split.Stratum = append(split.Event, false, f.Event[i]), append(split.Stratum, f.Stratum[i], f.Stratum[i])
		split.X.SetRow(2*i, f.X.RawRowView(i))
		split.X.SetRow(2*i+1, f.X.RawRowView(i))
	}
	split.Unit, split.Entry, split.Time = append(split.Unit, "z"), append(split.Entry, 0), append(split.Time, 0.5)
	split.Event, split.Stratum = append(split.Event, false), append(split.Stratum, 0)
	split.X.SetRow(2*n, []float64{9, 90, 1})
	parts := mustCox(t, Cox{}, split)
	for j := range 3 {
		reftest.Agree(t, "split", parts.Estimates[j].Value, base.Estimates[j].Value, 10)
		reftest.Agree(t, "split se", parts.Estimates[j].SE, base.Estimates[j].SE, 10)
	}
	zero := coxSample(8, 90, false)
	plain := mustCox(t, Cox{}, zero)
	zero.Entry = make([]float64, 90)
	require.Equal(t, plain.Estimates, mustCox(t, Cox{}, zero).Estimates)
	require.NotEqual(t, plain.Estimates[0].Value, mustCox(t, Cox{Ties: "breslow"}, zero).Estimates[0].Value)
	robust := mustCox(t, Cox{Robust: true}, zero)
	require.Equal(t, plain.Estimates[0].Value, robust.Estimates[0].Value)
	require.NotEqual(t, plain.Estimates[0].SE, robust.Estimates[0].SE)
	require.NotEqual(t, plain.Details["zph"], mustCox(t, Cox{ZPH: "identity"}, zero).Details["zph"])
	zero.Stratum = nil
	require.NotEqual(t, plain.Estimates[0].Value, mustCox(t, Cox{}, zero).Estimates[0].Value)
	for i := range zero.Time {
		zero.Time[i] += float64(i) / 1000
	}
	one, two := mustCox(t, Cox{}, zero), mustCox(t, Cox{Ties: "breslow"}, zero)
	require.Equal(t, one.Estimates, two.Estimates) // no ties
	_, err := json.Marshal([]any{plain.Details, plain.Notes})
	require.NoError(t, err)
}

// Each row twice in one cluster: the clustered error stays, that of the information falls by √2.
func TestCoxCopiesInClusters(t *testing.T) {
	f := coxSample(9, 80, false)
	twice := &Covaried{XNames: f.XNames, X: mat.NewDense(160, 3, nil)}
	twice.Level = 0.95
	for i := range 160 {
		twice.Unit, twice.Time = append(twice.Unit, f.Unit[i/2]+FormatTime(float64(i%2))), append(twice.Time, f.Time[i/2])
		twice.Event, twice.Stratum = append(twice.Event, f.Event[i/2]), append(twice.Stratum, f.Stratum[i/2])
		twice.X.SetRow(i, f.X.RawRowView(i/2))
	}
	a, b := mustCox(t, Cox{Ties: "breslow"}, f), mustCox(t, Cox{Ties: "breslow"}, twice)
	reftest.Agree(t, "naive", b.Estimates[0].SE*math.Sqrt2, a.Estimates[0].SE, 11)
	for i := range 160 {
		twice.Cluster = append(twice.Cluster, i/2)
	}
	a, b = mustCox(t, Cox{Ties: "breslow", Robust: true}, f), mustCox(t, Cox{Ties: "breslow"}, twice)
	require.Equal(t, 80, b.N.Clusters)
	require.Equal(t, "influence, clustered, no factor", b.Details["vcov"])
	for j := range 3 {
		reftest.Agree(t, "robust", b.Estimates[j].SE, a.Estimates[j].SE, 10)
	}
	for i := range twice.Cluster {
		twice.Cluster[i] /= 40
	}
	few := mustCox(t, Cox{}, twice)
	require.Contains(t, codes(few), "few-clusters")
	require.Nil(t, few.Details["wald"]) // two clusters, three terms
}

func TestCoxErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Cox, f *Covaried)
		err    error
		text   string
	}{
		"ties":                        {func(e *Cox, _ *Covaried) { e.Ties = "average" }, nil, "efron, breslow or exact"},
		"clock":                       {func(e *Cox, _ *Covaried) { e.ZPH = "rank" }, nil, "km or identity"},
		"no event":                    {func(_ *Cox, f *Covaried) { f.Event = make([]bool, 90) }, estimate.ErrTooFew, "no event"},
		"constant":                    {func(_ *Cox, f *Covaried) { setColumn(f, 1, func(int) float64 { return 7 }) }, estimate.ErrCollinear, `"v"`},
		"collinear":                   {func(_ *Cox, f *Covaried) { setColumn(f, 2, func(i int) float64 { return 2*f.X.At(i, 0) - 3 }) }, estimate.ErrCollinear, `"g"`},
		"stratum":                     {func(_ *Cox, f *Covaried) { setColumn(f, 2, func(i int) float64 { return float64(f.Stratum[i]) }) }, estimate.ErrCollinear, `"g"`},
		"stratum in the first column": {func(_ *Cox, f *Covaried) { setColumn(f, 0, func(i int) float64 { return 1.7 * float64(f.Stratum[i]) }) }, estimate.ErrCollinear, `"u"`},
		"separated": {func(_ *Cox, f *Covaried) {
			setColumn(f, 2, func(i int) float64 { return map[bool]float64{true: 1}[f.Event[i]] })
		}, estimate.ErrSeparated, `"g"`},
		"no event in a level": {func(_ *Cox, f *Covaried) {
			setColumn(f, 2, func(i int) float64 { return map[bool]float64{true: 1}[!f.Event[i] && i%3 == 0] })
		}, estimate.ErrSeparated, `"g"`},
		"monotone": {func(_ *Cox, f *Covaried) {
			f.X, f.XNames, f.Stratum = mat.NewDense(90, 1, nil), []string{"t"}, nil
			setColumn(f, 0, func(i int) float64 { return f.Time[i] })
		}, estimate.ErrSeparated, `"t"`},
		"frequency": {func(_ *Cox, f *Covaried) {
			f.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, 90)}
		}, estimate.ErrWeights, ""},
		"group":       {func(_ *Cox, f *Covaried) { f.Group, f.GroupNames = make([]int, 90), []string{"a"} }, estimate.ErrInvalidFrame, "groups"},
		"no X":        {func(_ *Cox, f *Covaried) { f.X = nil }, estimate.ErrInvalidFrame, "no covariates"},
		"names":       {func(_ *Cox, f *Covaried) { f.XNames = f.XNames[:2] }, estimate.ErrInvalidFrame, "90×3"},
		"not finite":  {func(_ *Cox, f *Covaried) { f.X.Set(3, 1, math.NaN()) }, estimate.ErrInvalidFrame, `"v"`},
		"late":        {func(_ *Cox, f *Covaried) { f.Entry = append([]float64(nil), f.Time...) }, ErrTime, ""},
		"one cluster": {func(_ *Cox, f *Covaried) { f.Cluster = make([]int, 90) }, estimate.ErrTooFew, ""},
		"unit":        {func(_ *Cox, f *Covaried) { f.Unit[1] = f.Unit[0] }, estimate.ErrInvalidFrame, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := Cox{}, coxSample(8, 90, false)
			c.change(&e, f)
			_, err := e.Fit(t.Context(), f)
			require.Error(t, err)
			require.ErrorContains(t, err, c.text)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
}

func setColumn(f *Covaried, j int, value func(i int) float64) {
	for i := range f.Time {
		f.X.Set(i, j, value(i))
	}
}

// 95% intervals of both variances cover the log hazard ratio inside the 99.8% binomial band.
func TestCoxCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, truth = 600 * sim.Factor, 0.5
	covered := map[bool]int{}
	for r := range uint64(reps) {
		f := &Covaried{XNames: []string{"a", "x"}, X: mat.NewDense(200, 2, nil)}
		f.Level = 0.95
		for i := range 200 {
			st := num.NewStream(7000+r, "cox", uint64(i))
			a, x := float64(i%2), st.Normal()
			time, c := 10*st.Exp()/math.Exp(truth*a+0.3*x), 25*st.Float()
			f.X.SetRow(i, []float64{a, x})
			f.Unit, f.Time, f.Event = append(f.Unit, FormatTime(float64(i))), append(f.Time, min(time, c)), append(f.Event, time <= c)
		}
		for _, robust := range []bool{false, true} {
			if ci := mustCox(t, Cox{Robust: robust}, f).Estimates[0].CI; ci.Lo <= truth && truth <= ci.Hi {
				covered[robust]++
			}
		}
	}
	for robust, n := range covered {
		rate, half := float64(n)/reps, sim.Band(reps)
		sim.Share(t, fmt.Sprintf("cox, robust %v", robust), rate, reps)
		if math.Abs(rate-0.95) > half {
			t.Errorf("robust %v: coverage %.3f, want 0.95 ± %.3f", robust, rate, half)
		}
	}
}
