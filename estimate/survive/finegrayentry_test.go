package survive

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func lateTwentyFour() *CompetingCovaried {
	f := twentyFour(true)
	f.Entry = make([]float64, 24)
	for i := 2; i < 24; i += 3 {
		f.Entry[i] = math.Min(f.Time[i]-0.5, float64(i+1)/8+0.003)
	}
	return f
}

// By hand: b enters at 1 and has the other cause at 2, a and c the cause at 3 and 4, d is censored at 5 and e, who enters at 2.5, at 6.
// Just after 2.5 a, c, d and e are at risk, of whom e has entered: from there on b counts 1/(1 − 1/4) = 4/3. At β = 0 the
// risk set is 4 + 4/3 at 3 and 3 + 4/3 at 4.
func TestFineGrayEntryByHand(t *testing.T) {
	f := &CompetingCovaried{X: mat.NewDense(5, 1, []float64{1, 0, 1, 0, 0}), XNames: []string{"x"}}
	f.Level, f.CauseNames = 0.95, []string{"x", "y"}
	f.Unit, f.Time, f.Cause = []string{"a", "b", "c", "d", "e"}, []float64{3, 2, 4, 5, 6}, []int{0, 1, 0, Censored, Censored}
	f.Entry = []float64{0, 1, 0, 0, 2.5}
	ll := func(res *estimate.Result) float64 { return res.Details["loglik"].([]float64)[0] }
	_, err := FineGray{Cause: "x"}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrSeparated) // both with x = 1
	f.X.Set(2, 0, 0)
	f.X.Set(3, 0, 1)
	reftest.Agree(t, "loglik at 0", ll(mustFG(t, FineGray{}, f)), -math.Log((4+4.0/3)*(3+4.0/3)), 13)
	// g is censored at 2.5, when e enters: one of four is censored, and g is no longer at risk just after: 4/3·3/4 = 1.
	f.Unit, f.Time, f.Cause, f.Entry = append(f.Unit, "g"), append(f.Time, 2.5), append(f.Cause, Censored), append(f.Entry, 0)
	f.X = mat.NewDense(6, 1, []float64{1, 0, 0, 1, 0, 1})
	reftest.Agree(t, "a censoring when another enters", ll(mustFG(t, FineGray{}, f)), -math.Log(5*4), 13)
}

// Numbers of R 4.2.2: coxph (Breslow) on finegray of survival 3.5-3 with Surv(entry, time, cause), where no time is shared.
func TestFineGrayEntryAgainstR(t *testing.T) {
	f := lateTwentyFour()
	res := mustFG(t, FineGray{}, f)
	for j, want := range []float64{-0.2730941049108104, -1.0700081136004513} {
		reftest.Agree(t, "value", res.Estimates[j].Value, want, 10)
	}
	reftest.Agree(t, "loglik", res.Details["loglik"].([]float64)[1], -10.93064858332493, 12)
	f.Stratum, f.CensoringStratum = everySecond(), everySecond()
	for j, want := range []float64{-0.4217807198526529, -0.8762244210524698} {
		reftest.Agree(t, "strata", mustFG(t, FineGray{}, f).Estimates[j].Value, want, 10)
	}
}

func lateSample(seed uint64, n int) *CompetingCovaried {
	f := fgSample(seed, n)
	f.Entry = make([]float64, n)
	for i := range f.Time {
		f.Time[i] += num.NewStream(seed, "apart", uint64(i)).Float()
		if st := num.NewStream(seed, "late", uint64(i)); st.Bernoulli(0.5) {
			f.Entry[i] = f.Time[i] * st.Float() * 0.6
		}
		if i%2 == 0 && f.Cause[i] == 2 {
			f.Cause[i] = Censored
		}
	}
	return f
}

// With what H adds the influence function is the derivative by the weights.
func TestFineGrayEntryInfluenceIsTheDerivative(t *testing.T) {
	f := lateSample(3, 240)
	f.Cluster, f.Stratum, f.CensoringStratum = nil, nil, nil
	for i := range f.Time { // most enter after others have left for another cause
		if i%4 != 0 {
			f.Entry[i] = f.Time[i] * (0.5 + 0.45*num.NewStream(4, "late", uint64(i)).Float())
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
	require.Less(t, math.Sqrt(far/size), 0.005)
}

func TestFineGrayEntryRelations(t *testing.T) {
	f := lateSample(5, 200)
	base := mustFG(t, FineGray{}, f)
	none := *f
	none.Entry = nil
	require.NotEqual(t, base.Estimates[0].Value, mustFG(t, FineGray{}, &none).Estimates[0].Value)
	// Everybody from 0 is no entry.
	zero := *f
	zero.Entry = make([]float64, 200)
	a, b := mustFG(t, FineGray{}, &zero), mustFG(t, FineGray{}, &none)
	for j := range a.Estimates {
		reftest.Agree(t, "from 0", a.Estimates[j].Value, b.Estimates[j].Value, 11)
		reftest.Agree(t, "from 0, se", a.Estimates[j].SE, b.Estimates[j].SE, 11)
	}
	// Without another cause it is Cox regression with late entry.
	alone := lateSample(5, 200)
	alone.Weight, alone.Cluster = estimate.Weights{}, nil
	for i, c := range alone.Cause {
		if c > 0 {
			alone.Cause[i] = Censored
		}
	}
	c := &Covaried{Stratified: alone.Stratified, X: alone.X, XNames: alone.XNames}
	for _, x := range alone.Cause {
		c.Event = append(c.Event, x == 0)
	}
	x, y := mustFG(t, FineGray{}, alone), mustCox(t, Cox{Ties: "breslow", Robust: true}, c)
	for j := range x.Estimates {
		reftest.Agree(t, "cox", x.Estimates[j].Value, y.Estimates[j].Value, 10)
		reftest.Agree(t, "cox se", x.Estimates[j].SE, y.Estimates[j].SE, 9)
	}
	// All but one leave before the others come: what happened to who left for another cause is unknown.
	gap := lateTwentyFour()
	for i := range gap.Time {
		if gap.Time[i] > 4 {
			gap.Entry[i] = 3.9
		} else if gap.Time[i] > 3.8 {
			gap.Time[i], gap.Entry[i] = 3.5, 0
		}
	}
	_, err := FineGray{Cause: "x"}.Fit(t.Context(), gap)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
}
