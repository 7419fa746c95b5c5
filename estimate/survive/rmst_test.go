package survive

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

func mustRMST(t testing.TB, tau float64, f *Times) *estimate.Result {
	t.Helper()
	res, err := RMST{Tau: tau}.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

// twoMeans: A has events at 1 and 2 and one censored at 4; B an event at 2 and two censored at 3.
func twoMeans() *Times {
	return &Times{
		Unit: []string{"a", "b", "c", "d", "e", "f"}, Time: []float64{1, 2, 4, 2, 3, 3},
		Event: []bool{true, true, false, true, false, false}, Group: []int{0, 0, 0, 1, 1, 1}, GroupNames: []string{"A", "B"}, Level: 0.95,
	}
}

// By hand, τ = 3. A: S = 1, 2/3, 1/3 from 0, 1, 2: m = 1 + 2/3 + 1/3 = 2; the areas after 1
// and 2 are 1 and 1/3, d/(Y(Y−d)) = 1/6 and 1/2, V = 1/6 + 1/18 = 2/9. B: m = 2 + 2/3 = 8/3,
// V = (2/3)²/6 = 2/27. Difference 2/3, V = 8/27. Ratio 4/3, V(log) = (2/9)/4 + (2/27)/(8/3)²
// = 19/288. Time lost 1 and 1/3: ratio 1/3, V(log) = 2/9 + (2/27)·9 = 8/9.
func TestRMSTByHand(t *testing.T) {
	res := mustRMST(t, 3, twoMeans())
	const z = 1.959963984540054
	for q, w := range []struct {
		term      string
		measure   estimate.Measure
		value, se float64
	}{
		{"group=A", estimate.RestrictedMeanTime, 2, math.Sqrt(2.0 / 9)},
		{"group=B", estimate.RestrictedMeanTime, 8.0 / 3, math.Sqrt(2.0 / 27)},
		{"contrast=B-A", RestrictedMeanTimeDifference, 2.0 / 3, math.Sqrt(8.0 / 27)},
		{"contrast=B/A", RestrictedMeanTimeRatio, 4.0 / 3, 4.0 / 3 * math.Sqrt(19.0/288)},
		{"contrast=B/A", TimeLostRatio, 1.0 / 3, 1.0 / 3 * math.Sqrt(8.0/9)},
	} {
		e := res.Estimates[q]
		require.Equal(t, w.term, e.Term)
		require.Equal(t, w.measure, e.Measure)
		reftest.Agree(t, "value", e.Value, w.value, 14)
		reftest.Agree(t, "se", e.SE, w.se, 14)
		reftest.Agree(t, "Cov", res.Cov.At(q, q), w.se*w.se, 13)
		if q < 3 {
			reftest.Agree(t, "lo", e.CI.Lo, w.value-z*w.se, 13)
			continue
		}
		reftest.Agree(t, "lo", e.CI.Lo, w.value*math.Exp(-z*w.se/w.value), 13)
		reftest.Agree(t, "hi", e.CI.Hi, w.value*math.Exp(z*w.se/w.value), 13)
		reftest.Agree(t, "stat", e.Test.Stat, math.Log(w.value)/(w.se/w.value), 13)
		reftest.Agree(t, "p", e.Test.P, num.NormalTail(e.Test.Stat), 14)
		require.Equal(t, 1.0, e.Test.Null)
	}
	require.True(t, math.IsNaN(res.Estimates[0].Test.P))
	reftest.Agree(t, "p of the difference", res.Estimates[2].Test.P, num.NormalTail(2.0/3/math.Sqrt(8.0/27)), 13)
	require.Equal(t, []RMSTGroup{{"A", 3, 2, 1}, {"B", 3, 1, 3 - res.Estimates[1].Value}}, res.Details["groups"])
	// The horizon that all groups allow is B's last time.
	other := mustRMST(t, 0, twoMeans())
	require.Equal(t, 3.0, other.Details["tau"])
	require.Contains(t, codes(other), "tau-default")
	// An event after the horizon is not counted and changes nothing.
	f := twoMeans()
	f.Event[2] = true
	require.Equal(t, fmt.Sprint(res.Estimates), fmt.Sprint(mustRMST(t, 3, f).Estimates))
	// To 2 the curve of A loses one third for one unit of time.
	reftest.Agree(t, "tau matters", mustRMST(t, 2, twoMeans()).Estimates[0].Value, 5.0/3, 14)
}

// Without censoring the mean is that of min(T, τ), and its error √Σ(x−m)²/n.
func TestRMSTWithoutCensoring(t *testing.T) {
	f := &Times{Level: 0.95}
	var sum, sq float64
	const tau = 9.0
	for i := range 80 {
		x := float64(num.NewStream(4, "t", uint64(i)).Intn(14))
		f.Unit, f.Time, f.Event = append(f.Unit, FormatTime(float64(100+i))), append(f.Time, x), append(f.Event, true)
		sum += min(x, tau)
		sq += min(x, tau) * min(x, tau)
	}
	e := mustRMST(t, tau, f).Estimates[0]
	require.Equal(t, "overall", e.Term)
	reftest.Agree(t, "mean", e.Value, sum/80, 13)
	reftest.Agree(t, "se", e.SE, math.Sqrt(sq/80-sum/80*sum/80)/math.Sqrt(80), 11)
	// The whole curve is at 0 in the end: any horizon beyond is allowed and adds nothing.
	require.Equal(t, mustRMST(t, 13, f).Estimates[0].Value, mustRMST(t, 50, f).Estimates[0].Value)
}

// The mean is the mean time in the first state of a history with one way out, with late
// entry, weights and clusters too: value, error and influence function.
func TestRMSTIsTimeInState(t *testing.T) {
	for seed := range uint64(4) {
		f := kmSample(40+seed, 160, seed%2 == 1)
		f.Weight.Kind = estimate.Sampling
		s := &Spells{States: []string{"in", "out"}, ID: f.Unit, Level: 0.95, Stop: f.Time, Start: f.Entry, Group: f.Group, GroupNames: f.GroupNames}
		if s.Start == nil {
			s.Start = make([]float64, 160)
		}
		for i, e := range f.Event {
			f.Weight.Values = append(f.Weight.Values, 0.3+num.NewStream(seed, "w", uint64(i)).Float())
			s.Person, s.From, s.To = append(s.Person, i), append(s.From, 0), append(s.To, Censored)
			if e {
				s.To[i] = 1
			}
			if seed >= 2 {
				f.Cluster = append(f.Cluster, i%17)
			}
		}
		s.Weight, s.Cluster = f.Weight, f.Cluster
		res, aj := mustRMST(t, 11, f), mustFit(t, AalenJohansen{Tau: 11}, s)
		for q, r := range []int{0, 2, 4} { // state in of each group, and the contrast
			reftest.Agree(t, "value", res.Estimates[q].Value, aj.Estimates[r].Value, 12)
			reftest.Agree(t, "se", res.Estimates[q].SE, aj.Estimates[r].SE, 11)
			for i := range f.Unit {
				reftest.Near(t, "influence", res.Influence.At(i, q), aj.Influence.At(i, r), 1e-13)
			}
		}
		f.Weight, f.Cluster = estimate.Weights{}, nil
		if f.Entry == nil { // Greenwood's form is the sum of squares of the influence function
			res = mustRMST(t, 11, f)
			for q := range res.Estimates {
				var v float64
				for i := range f.Unit {
					v += res.Influence.At(i, q) * res.Influence.At(i, q)
				}
				reftest.Agree(t, res.Estimates[q].Term, res.Estimates[q].SE, math.Sqrt(v), 11)
			}
		}
		_, err := json.Marshal([]any{res.Details, res.Notes})
		require.NoError(t, err)
	}
}

// Rows carry no information; the unit of time scales the means; the names of two groups
// exchanged turn the difference; a frequency is so many rows; a row censored before the first event is nothing.
func TestRMSTRelations(t *testing.T) {
	f := kmSample(8, 120, true)
	f.Weight.Kind = estimate.Frequency
	long := &Times{Level: 0.95, GroupNames: []string{"X", "Y"}}
	for _, i := range permutation(num.NewStream(8, "p", 0), 120) {
		for r := range 1 + i%3 {
			long.Unit = append(long.Unit, f.Unit[i]+FormatTime(float64(r)))
			long.Time, long.Entry = append(long.Time, 8*f.Time[i]), append(long.Entry, 8*f.Entry[i])
			long.Event, long.Group = append(long.Event, f.Event[i]), append(long.Group, 1-f.Group[i])
		}
	}
	for i := range f.Unit {
		f.Weight.Values = append(f.Weight.Values, float64(1+i%3))
	}
	a, b := mustRMST(t, 12, f).Estimates, mustRMST(t, 96, long).Estimates
	reftest.Agree(t, "mean", 8*a[0].Value, b[1].Value, 13)
	reftest.Agree(t, "se", 8*a[0].SE, b[1].SE, 13)
	reftest.Agree(t, "difference", -8*a[2].Value, b[2].Value, 12)
	reftest.Agree(t, "ratio", 1/a[3].Value, b[3].Value, 13)
	reftest.Agree(t, "lost", 1/a[4].Value, b[4].Value, 13)
	reftest.Agree(t, "p of the ratio", a[3].Test.P, b[3].Test.P, 12)
	g := twoMeans()
	base := mustRMST(t, 3, g)
	g.Unit, g.Time, g.Event, g.Group = append(g.Unit, "g"), append(g.Time, 0.5), append(g.Event, false), append(g.Group, 0)
	more := mustRMST(t, 3, g)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(more.Estimates))
	require.Equal(t, base.N.Units+1, more.N.Units)
}

func TestRMSTErrors(t *testing.T) {
	for name, c := range map[string]struct {
		tau    float64
		change func(f *Times)
		err    error
	}{
		"beyond":   {3.5, func(*Times) {}, estimate.ErrNotIdentified},
		"negative": {-1, func(*Times) {}, nil},
		"nan":      {math.NaN(), func(*Times) {}, nil},
		"infinite": {math.Inf(1), func(*Times) {}, nil},
		"empty":    {3, func(f *Times) { f.GroupNames = []string{"A", "B", "C"} }, estimate.ErrTooFew},
		"cluster":  {3, func(f *Times) { f.Cluster = make([]int, 6) }, estimate.ErrTooFew},
		"time":     {3, func(f *Times) { f.Time[0] = math.NaN() }, ErrTime},
		"all at 0": {0, func(f *Times) { f.Time, f.Event = make([]float64, 6), make([]bool, 6) }, estimate.ErrNotIdentified},
		"frequency": {3, func(f *Times) {
			f.Weight = estimate.Weights{Kind: estimate.Frequency, Values: []float64{1, 1, 1, 1, 1, 1}}
			f.Cluster = []int{0, 1, 2, 3, 4, 5}
		}, estimate.ErrWeights},
	} {
		t.Run(name, func(t *testing.T) {
			f := twoMeans()
			c.change(f)
			_, err := RMST{Tau: c.tau}.Fit(t.Context(), f)
			require.Error(t, err)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
	// Nothing lost in A: its error is 0, and a ratio to it does not exist.
	f := twoMeans()
	f.Event = []bool{false, false, false, true, false, false}
	res := mustRMST(t, 3, f)
	require.Zero(t, res.Estimates[0].SE)
	require.True(t, math.IsNaN(res.Estimates[4].Value) && math.IsNaN(res.Estimates[4].SE))
	require.Contains(t, codes(res), "boundary")
}

// 95% intervals of the difference cover the truth inside the 99.8% binomial band.
func TestRMSTCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, tau = 1000 * sim.Factor, 12.0
	mean := func(rate float64) float64 { return (1 - math.Exp(-tau*rate)) / rate }
	truth := mean(1.0/20) - mean(1.0/10)
	covered := 0
	for r := range uint64(reps) {
		f := &Times{Level: 0.95, GroupNames: []string{"x", "y"}}
		for i := range 160 {
			st := num.NewStream(900+r, "rmst", uint64(i))
			x, c := 10*float64(1+i%2)*st.Exp(), 40*st.Float()
			if c < tau && i < 20 {
				c = 40 // some of each group are followed to the horizon
			}
			f.Unit, f.Group = append(f.Unit, FormatTime(float64(i))), append(f.Group, i%2)
			f.Time, f.Event = append(f.Time, min(x, c)), append(f.Event, x <= c)
		}
		if ci := mustRMST(t, tau, f).Estimates[2].CI; ci.Lo <= truth && truth <= ci.Hi {
			covered++
		}
	}
	rate, half := float64(covered)/reps, sim.Band(reps)
	sim.Share(t, "rmst difference", rate, reps)
	if math.Abs(rate-0.95) > half {
		t.Errorf("coverage %.3f, want 0.95 ± %.3f", rate, half)
	}
}

// Without an event nothing varies: no interval is given, rather than one without width.
func TestRMSTWithoutVariationHasNoInterval(t *testing.T) {
	f := twoMeans()
	f.Event = make([]bool, 6)
	for _, e := range mustRMST(t, 3, f).Estimates {
		if !math.IsNaN(e.CI.Lo) || !math.IsNaN(e.CI.Hi) {
			t.Errorf("%s: interval from %v to %v", e.Term, e.CI.Lo, e.CI.Hi)
		}
	}
}
