package survive

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func mustFG(t testing.TB, e FineGray, f *CompetingCovaried) *estimate.Result {
	t.Helper()
	if e.Cause == "" {
		e.Cause = "x"
	}
	res, err := e.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

// By hand. a has the other event at 1; b is censored at 2 when four are at risk, so that G = 3/4 from then on and a
// stays with weight 3/4; c and d have the event at 3 and 4; e is censored at 5. θ = e^β, s = √2:
//
//	L = θ/(2θ + 7/4) · 1/(θ + 7/4), largest at θ² = 49/32
//
// Then e(3) = 2−s, e(4) = s−1, h(3) = 4(s−1)/7, h(4) = 4(2−s)/7, and I = 2s/(3+2s). Score residuals: a
// (3/4)(e(3)h(3) + e(4)h(4)) = (6/7)(3s−4); b 0; c (1−e(3))(1−θh(3)) = 1 − 1/s; d −e(4) + (8/7)(3s−4);
// e −θ(1−e(3))h(3) − θ(1−e(4))h(4) = −(s−1)(1−1/s) − (2−s)(s−1). With q = −(6/7)(3s−4) at the censoring time 2, and 0
// at 5, the weights add q/4 − q/16 to b and −q/16 to c, d and e.
func TestFineGrayByHand(t *testing.T) {
	f := &CompetingCovaried{X: mat.NewDense(5, 1, []float64{0, 1, 1, 0, 1}), XNames: []string{"g"}}
	f.Times = Times{Unit: []string{"a", "b", "c", "d", "e"}, Time: []float64{1, 2, 3, 4, 5}, Level: 0.95}
	f.Cause, f.CauseNames = []int{1, Censored, 0, 0, Censored}, []string{"x", "y"}
	res := mustFG(t, FineGray{}, f)
	e, s := res.Estimates[0], math.Sqrt2
	require.Equal(t, LogSubdistributionHazardRatio, e.Measure)
	reftest.Agree(t, "beta", e.Value, math.Log(7/(4*s)), 13)
	ll := res.Details["loglik"].([]float64)
	reftest.Agree(t, "null", ll[0], -math.Log(15.0/4*11/4), 14)
	reftest.Agree(t, "loglik", ll[1], -math.Log((s+1)*(s+1)*7/4), 14)
	info, q := 2*s/(3+2*s), -6.0/7*(3*s-4)
	sq := 0.0
	for i, l := range []float64{-q, 3 * q / 16, 1 - 1/s - q/16, 1 - s + 8.0/7*(3*s-4) - q/16, -(s-1)*(1-1/s) - (2-s)*(s-1) - q/16} {
		reftest.Agree(t, f.Unit[i], res.Influence.At(i, 0), l/info, 12)
		sq += l * l / info / info
	}
	reftest.Agree(t, "se", e.SE, math.Sqrt(sq), 12)
	reftest.Agree(t, "wald", res.Details["wald"].(ChiSquareRow).Statistic, e.Value*e.Value/sq, 12)
	require.Equal(t, []any{2, 1, 2, 2, 5}, []any{res.Details["events"], res.Details["competing"], res.Details["censored"], res.N.Events, res.N.Units})
	// The other cause: one event, at 1, θ/(2+3θ): no maximum.
	_, err := FineGray{Cause: "y"}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrSeparated)
}

// twentyFour are rows of which R was asked; distinct makes their times differ.
func twentyFour(distinct bool) *CompetingCovaried {
	time := []float64{2, 1, 3, 5, 4, 8, 1, 8, 2, 2, 4, 8, 9, 3, 1, 3, 7, 4, 8, 4, 2, 3, 1, 8}
	state := []int{0, 2, 0, 0, 0, 2, 2, 0, 0, 2, 2, 0, 1, 0, 1, 0, 2, 0, 0, 2, 1, 1, 2, 1}
	a := []float64{-0.6, 0, -1.5, -1.4, 1.2, -0.9, 1.3, 0.6, 0, -1, -0.8, -0.3, -1.5, -0.3, -1.1, 0, -0.2, 0.9, -0.6, -0.7, -0.7, 0, -0.4, 0.4}
	b := []float64{1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0}
	f := &CompetingCovaried{X: mat.NewDense(24, 2, nil), XNames: []string{"a", "b"}}
	f.Level, f.CauseNames = 0.95, []string{"x", "y"}
	for i := range 24 {
		f.Unit, f.Cause = append(f.Unit, fmt.Sprintf("%02d", i)), append(f.Cause, state[i]-1)
		if distinct {
			time[i] += float64(i+1) / 100
		}
		f.X.SetRow(i, []float64{a[i], b[i]})
	}
	f.Time = time
	return f
}

func everySecond() (out []int) {
	for i := range 24 {
		out = append(out, i%2)
	}
	return out
}

// Numbers of R 4.2.2: crr of cmprsk 2.2-11 with gtol 1e-15, and coxph (Breslow) on finegray of survival 3.5-3, whose
// weights are the same where no time is shared.
func TestFineGrayAgainstR(t *testing.T) {
	agree := func(what string, res *estimate.Result, value, se, loglik []float64) {
		t.Helper()
		for j, e := range res.Estimates {
			reftest.Agree(t, what, e.Value, value[j], 10)
			if se != nil {
				reftest.Agree(t, what+" se", e.SE, se[j], 10)
			}
		}
		ll := res.Details["loglik"].([]float64)
		reftest.Agree(t, what+" null", ll[0], loglik[0], 12)
		reftest.Agree(t, what+" loglik", ll[1], loglik[1], 12)
	}
	agree("ties", mustFG(t, FineGray{}, twentyFour(false)), []float64{-0.3942470800034348, -1.1454321702913626},
		[]float64{0.4275307029598782, 1.0611609213510478}, []float64{-12.98293133146998, -12.18303731550394})
	f := twentyFour(true)
	agree("distinct", mustFG(t, FineGray{}, f), []float64{-0.3058577023093789, -0.9422176338045727},
		[]float64{0.3905443041657961, 1.1220160816186993}, []float64{-11.65132877250804, -11.12588410836237})
	f.Stratum, f.CensoringStratum = everySecond(), everySecond()
	agree("strata", mustFG(t, FineGray{}, f), []float64{-0.3922541987380229, -0.7659382478450801}, nil, []float64{-8.492777115400918, -8.066010545988236})
	f = twentyFour(true)
	f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: []float64{1.7, 1.5, 1.5, 0.8, 1.7, 0.6, 1, 1.8, 0.7, 0.7, 1.1, 1.7, 0.9, 0.9, 0.9, 1.5, 1.8, 1, 0.8, 1.9, 2, 0.7, 1.6, 1.9}}
	// survival leaves weights out of G, here they are in it; the pseudo likelihood is that of R code with the weights in G.
	ll := mustFG(t, FineGray{}, f).Details["loglik"].([]float64)
	reftest.Agree(t, "weights null", ll[0], -16.39246854587365, 14)
	reftest.Agree(t, "weights loglik", ll[1], -14.86225650855898, 14)
	// Without an event at 9, which only one of the censoring strata reaches: beyond its last time crr takes G to be 0.
	f = twentyFour(false)
	f.CensoringStratum, f.Cause[12] = everySecond(), Censored
	res := mustFG(t, FineGray{}, f)
	reftest.Agree(t, "censoring strata a", res.Estimates[0].Value, -0.1701990887945061, 10)
	reftest.Agree(t, "censoring strata b", res.Estimates[1].Value, -0.9382880397217330, 10)
	reftest.Agree(t, "censoring strata", res.Details["loglik"].([]float64)[1], -11.28325788650888, 12)
	require.Equal(t, 2, res.Details["censoring_strata"])
}

func fgSample(seed uint64, n int) *CompetingCovaried {
	f := &CompetingCovaried{XNames: []string{"u", "g"}, X: mat.NewDense(n, 2, nil)}
	f.Level, f.CauseNames = 0.95, []string{"x", "y", "z"}
	for i := range n {
		st := num.NewStream(seed, "fg", uint64(i))
		f.Unit = append(f.Unit, fmt.Sprintf("%04d", i))
		f.X.SetRow(i, []float64{10 + 3*st.Normal(), float64(st.Intn(2))})
		f.Time = append(f.Time, float64(1+st.Intn(15)))
		f.Cause = append(f.Cause, st.Intn(4)-1)
		f.Stratum = append(f.Stratum, st.Intn(2))
		f.CensoringStratum = append(f.CensoringStratum, 2*st.Intn(3))
		f.Cluster = append(f.Cluster, st.Intn(n/3))
		f.Weight.Values = append(f.Weight.Values, 0.5+st.Float())
	}
	f.Weight.Kind = estimate.Matching
	return f
}

// Without censoring whoever has an event of another cause stays for good: a Cox regression
// in which their time comes after all others. Estimates, influence and ties are the same.
func TestFineGrayWithoutCensoringIsCox(t *testing.T) {
	f := fgSample(1, 150)
	f.Weight, f.Cluster = estimate.Weights{}, nil
	c := &Covaried{Stratified: f.Stratified, X: f.X, XNames: f.XNames}
	c.Time = slices.Clone(f.Time)
	for i := range f.Cause {
		f.Cause[i] = max(f.Cause[i], 1)
		if f.Cause[i] != 0 {
			c.Time[i] = 100
		}
		if i%5 == 0 {
			f.Cause[i], c.Time[i] = 0, f.Time[i]
		}
		c.Event = append(c.Event, f.Cause[i] == 0)
	}
	for _, ties := range []string{"breslow", "efron"} {
		a, b := mustFG(t, FineGray{Ties: ties}, f), mustCox(t, Cox{Ties: ties, Robust: true}, c)
		for j, e := range a.Estimates {
			reftest.Agree(t, ties, e.Value, b.Estimates[j].Value, 11)
			reftest.Agree(t, ties+" se", e.SE, b.Estimates[j].SE, 11)
			for i := range f.Unit {
				reftest.Near(t, ties+" influence", a.Influence.At(i, j), b.Influence.At(i, j), 1e-13)
			}
		}
		reftest.Agree(t, "loglik", a.Details["loglik"].([]float64)[1], b.Details["loglik"].([]float64)[1], 13)
		require.Equal(t, ties, a.Details["ties"])
	}
}

// The influence function is the derivative by the weights, ψ included, up to terms of the order of 1/π: without ties in
// time nothing else is left out. Without ψ the distance would be many times larger.
func TestFineGrayInfluenceIsTheDerivative(t *testing.T) {
	f := fgSample(3, 240)
	f.Cluster = nil
	for i := range f.Time {
		f.Time[i] += num.NewStream(3, "apart", uint64(i)).Float()
		if i%2 == 0 && f.Cause[i] == 2 {
			f.Cause[i] = Censored
		}
	}
	base := mustFG(t, FineGray{}, f)
	const h = 1e-4
	var far, size float64
	for i := 0; i < 240; i += 3 {
		fit := func(d float64) *estimate.Result {
			x := *f
			x.Weight.Values = slices.Clone(f.Weight.Values)
			x.Weight.Values[i] += d
			return mustFG(t, FineGray{}, &x)
		}
		up, down := fit(h), fit(-h)
		for j := range 2 {
			slope := (up.Estimates[j].Value - down.Estimates[j].Value) / (2 * h) * f.Weight.Values[i]
			d := (base.Influence.At(i, j) - slope) / base.Estimates[j].SE
			far, size = far+d*d, size+math.Pow(slope/base.Estimates[j].SE, 2)
		}
	}
	require.Less(t, math.Sqrt(far/size), 0.01)
}

// Row order and numbering change no byte; scale, shift and sign of a column, the clock and the scale of weights do what they should.
func TestFineGrayRelations(t *testing.T) {
	f := fgSample(5, 200)
	base := mustFG(t, FineGray{}, f)
	turned := *f
	turned.X = mat.NewDense(200, 2, nil)
	turned.Unit, turned.Time, turned.Cause = slices.Clone(f.Unit), slices.Clone(f.Time), slices.Clone(f.Cause)
	turned.Stratum, turned.CensoringStratum, turned.Cluster = slices.Clone(f.Stratum), slices.Clone(f.CensoringStratum), slices.Clone(f.Cluster)
	turned.Weight.Values = slices.Clone(f.Weight.Values)
	slices.Reverse(turned.Unit)
	slices.Reverse(turned.Time)
	slices.Reverse(turned.Cause)
	slices.Reverse(turned.Stratum)
	slices.Reverse(turned.CensoringStratum)
	slices.Reverse(turned.Cluster)
	slices.Reverse(turned.Weight.Values)
	for i := range 200 {
		turned.X.SetRow(i, f.X.RawRowView(199-i))
	}
	require.Equal(t, base.Estimates, mustFG(t, FineGray{}, &turned).Estimates)
	scaled := *f
	scaled.X = mat.NewDense(200, 2, nil)
	scaled.Time = slices.Clone(f.Time)
	scaled.Weight.Values = slices.Clone(f.Weight.Values)
	for i := range 200 {
		scaled.X.SetRow(i, []float64{7 - 4*f.X.At(i, 0), f.X.At(i, 1)})
		scaled.Time[i] = math.Exp(f.Time[i] / 5)
		scaled.Weight.Values[i] *= 8
	}
	res := mustFG(t, FineGray{}, &scaled)
	reftest.Agree(t, "scale", res.Estimates[0].Value, -base.Estimates[0].Value/4, 10)
	reftest.Agree(t, "scale se", res.Estimates[0].SE, base.Estimates[0].SE/4, 10)
	reftest.Agree(t, "other", res.Estimates[1].SE, base.Estimates[1].SE, 10)
	require.Contains(t, codes(base), "weights-fixed")
	// Every option and every input changes a number.
	one := *f
	one.CensoringStratum = nil
	pooled := *f
	pooled.Stratum = nil
	plain := *f
	plain.Weight = estimate.Weights{}
	alone := *f
	alone.Cluster = nil
	for what, r := range map[string]*estimate.Result{
		"ties": mustFG(t, FineGray{Ties: "efron"}, f), "cause": mustFG(t, FineGray{Cause: "y"}, f), "censoring strata": mustFG(t, FineGray{}, &one),
		"strata": mustFG(t, FineGray{}, &pooled), "weights": mustFG(t, FineGray{}, &plain), "clusters": mustFG(t, FineGray{}, &alone),
	} {
		require.NotEqual(t, base.Estimates[0].SE, r.Estimates[0].SE, what)
	}
	require.Equal(t, base.Estimates[0].Value, mustFG(t, FineGray{}, &alone).Estimates[0].Value)
	// A weight of 0 is as good as absent.
	without := fgSample(5, 200)
	without.Weight.Values[7] = 0
	require.Contains(t, codes(mustFG(t, FineGray{}, without)), "zero-weight")
}

func TestFineGrayErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *FineGray, f *CompetingCovaried)
		err    error
		text   string
	}{
		"ties":  {func(e *FineGray, _ *CompetingCovaried) { e.Ties = "exact" }, nil, "breslow or efron"},
		"cause": {func(e *FineGray, _ *CompetingCovaried) { e.Cause = "w" }, estimate.ErrTooFew, `cause "w"`},
		"entry": {func(_ *FineGray, f *CompetingCovaried) { f.Entry = slices.Clone(f.Time) }, ErrTime, ""},
		"frequency": {func(_ *FineGray, f *CompetingCovaried) {
			f.Weight.Kind = estimate.Frequency
			f.Weight.Values = slices.Repeat([]float64{1}, 60)
		}, estimate.ErrWeights, "one unit a row"},
		"group":             {func(_ *FineGray, f *CompetingCovaried) { f.Group, f.GroupNames = make([]int, 60), []string{"a"} }, estimate.ErrInvalidFrame, "groups"},
		"no X":              {func(_ *FineGray, f *CompetingCovaried) { f.X = nil }, estimate.ErrInvalidFrame, "no covariates"},
		"constant":          {func(_ *FineGray, f *CompetingCovaried) { f.X.SetCol(1, make([]float64, 60)) }, estimate.ErrCollinear, `"g"`},
		"collinear":         {func(_ *FineGray, f *CompetingCovaried) { f.X.SetCol(1, mat.Col(nil, 0, f.X)) }, estimate.ErrCollinear, `"g"`},
		"censoring strata":  {func(_ *FineGray, f *CompetingCovaried) { f.CensoringStratum = []int{1} }, estimate.ErrInvalidFrame, "censoring strata"},
		"negative stratum":  {func(_ *FineGray, f *CompetingCovaried) { f.CensoringStratum[4] = -1 }, estimate.ErrInvalidFrame, "row 5"},
		"one cluster":       {func(_ *FineGray, f *CompetingCovaried) { f.Cluster = make([]int, 60) }, estimate.ErrTooFew, ""},
		"not finite":        {func(_ *FineGray, f *CompetingCovaried) { f.X.Set(3, 1, math.Inf(1)) }, estimate.ErrInvalidFrame, `"g"`},
		"the event decides": {func(_ *FineGray, f *CompetingCovaried) { separate(f) }, estimate.ErrSeparated, `"g"`},
		"none with a weight": {func(_ *FineGray, f *CompetingCovaried) {
			for i, c := range f.Cause {
				if c == 0 {
					f.Weight.Values[i] = 0
				}
			}
		}, estimate.ErrTooFew, "no event"},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := FineGray{Cause: "x"}, fgSample(8, 60)
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

func separate(f *CompetingCovaried) {
	for i, c := range f.Cause {
		f.X.Set(i, 1, map[bool]float64{true: 1}[c == 0])
	}
}

// 95% intervals cover the log subdistribution hazard ratio, with heavy censoring that depends on the covariate and is
// modelled by censoring strata. Taking other events as censorings, the naive answer, does not.
// F(t|a) = 1 − (1 − p(1−e^{−t}))^{exp(βa)} is the model (Fine and Gray 1999, section 5).
func TestFineGrayCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, truth, p = 400 * sim.Factor, 0.6, 0.5
	covered, naive := 0, 0
	for r := range uint64(reps) {
		f := &CompetingCovaried{XNames: []string{"a"}, X: mat.NewDense(250, 1, nil)}
		f.Level, f.CauseNames = 0.95, []string{"x", "y"}
		for i := range 250 {
			st := num.NewStream(9000+r, "fg", uint64(i))
			a := float64(i % 2)
			power := math.Exp(truth * a)
			ever := 1 - math.Pow(1-p, power)
			cause, time := 1, st.Exp()/(0.5+2*a)
			if u := st.Float(); u < ever {
				cause, time = 0, -math.Log(1-(1-math.Pow(1-u, 1/power))/p)
			}
			if end := st.Exp() * (1 + a); end < time {
				cause, time = Censored, end
			}
			f.X.Set(i, 0, a)
			f.Unit, f.Time, f.Cause = append(f.Unit, fmt.Sprintf("%03d", i)), append(f.Time, time), append(f.Cause, cause)
			f.CensoringStratum = append(f.CensoringStratum, i%2)
		}
		if ci := mustFG(t, FineGray{}, f).Estimates[0].CI; ci.Lo <= truth && truth <= ci.Hi {
			covered++
		}
		c := &Covaried{Stratified: f.Stratified, X: f.X, XNames: f.XNames}
		for _, x := range f.Cause {
			c.Event = append(c.Event, x == 0)
		}
		if ci := mustCox(t, Cox{}, c).Estimates[0].CI; ci.Lo <= truth && truth <= ci.Hi {
			naive++
		}
	}
	sim.Share(t, "fine-gray", float64(covered)/reps, reps)
	sim.Share(t, "cox with other events as censored (must fail)", float64(naive)/reps, reps)
	require.InDelta(t, 0.95, float64(covered)/reps, 0.0359)
	require.Less(t, float64(naive)/reps, 0.9)
}
