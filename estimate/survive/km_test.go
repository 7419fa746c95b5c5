package survive

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func mustKM(t testing.TB, e KaplanMeier, f *Times) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

// six: events at 2, 3, 3, 6; censored at 3 and 5; the person with time 5 enters at 2.
func six() *Times {
	return &Times{
		Unit: []string{"a", "b", "c", "d", "e", "f"}, Time: []float64{2, 3, 3, 3, 5, 6},
		Event: []bool{true, true, true, false, false, true}, Entry: []float64{0, 0, 0, 0, 2, 0}, Level: 0.95,
	}
}

// By hand. At risk at 2: a b c d f = 5 (e enters at 2, so after it); at 3: b c d e f = 5;
// at 6: f. S = 4/5, 4/5·3/5 = 12/25, 0. Greenwood at 3: (12/25)²·(1/(5·4) + 2/(5·3)) =
// (144/625)·(11/60) = 0.04224.
func TestKaplanMeierByHand(t *testing.T) {
	res := mustKM(t, KaplanMeier{Conf: "plain"}, six())
	require.Len(t, res.Estimates, 3)
	for q, w := range []struct {
		term      string
		value, se float64
	}{{"time=2", 0.8, math.Sqrt(0.64 / 20)}, {"time=3", 0.48, math.Sqrt(0.04224)}, {"time=6", 0, math.NaN()}} {
		e := res.Estimates[q]
		require.Equal(t, w.term, e.Term)
		reftest.Near(t, w.term, e.Value, w.value, 1e-15)
		if q < 2 {
			reftest.Agree(t, w.term+" se", e.SE, w.se, 14)
			reftest.Agree(t, "lo", e.CI.Lo, max(0, w.value-1.959963984540054*w.se), 13)
		} else if !math.IsNaN(e.SE) || e.CI.Level != 0 {
			t.Error("a curve at 0 has no standard error")
		}
	}
	require.Equal(t, 1.0, res.Estimates[0].CI.Hi)
	require.Contains(t, codes(res), "survival-zero")
	counts := res.Details["counts"].([]RiskCount)
	require.Equal(t, []RiskCount{
		{Time: 2, AtRisk: 5, Weight: 5, Events: 1}, {Time: 3, AtRisk: 5, Weight: 5, Events: 2, Censored: 1},
		{Time: 6, AtRisk: 1, Weight: 1, Events: 1, Censored: 1},
	}, counts)
	reftest.Agree(t, "Cov", res.Cov.At(0, 1), 0.8*0.48/20, 14)
	// The other scales, from their formulas at S = 0.8, se = 0.1788854….
	se, z := math.Sqrt(0.64/20), 1.959963984540054
	ci := mustKM(t, KaplanMeier{At: []float64{2}}, six()).Estimates[0].CI
	require.Equal(t, "log", ci.Method)
	reftest.Agree(t, "log", ci.Lo, math.Exp(math.Log(0.8)-z*se/0.8), 13)
	require.Equal(t, 1.0, ci.Hi)
	ci = mustKM(t, KaplanMeier{At: []float64{2}, Conf: "loglog"}, six()).Estimates[0].CI
	v := math.Log(-math.Log(0.8))
	reftest.Agree(t, "loglog lo", ci.Lo, math.Exp(-math.Exp(v+z*se/(0.8*-math.Log(0.8)))), 13)
	reftest.Agree(t, "loglog hi", ci.Hi, math.Exp(-math.Exp(v-z*se/(0.8*-math.Log(0.8)))), 13)
}

// Quantiles by hand: S = 3/4, 1/2, 1/4, 0 at 1, 2, 3, 4: the median is the midpoint of [2, 3].
func TestQuantilesByHand(t *testing.T) {
	f := &Times{Unit: []string{"a", "b", "c", "d"}, Time: []float64{1, 2, 3, 4}, Event: []bool{true, true, true, true}, Level: 0.95}
	q := mustKM(t, KaplanMeier{}, f).Details["quantiles"].([]Quantile)
	require.Equal(t, []float64{1.5, 2.5, 3.5}, []float64{*q[0].Value, *q[1].Value, *q[2].Value})
	f.Event = []bool{true, false, false, false}
	q = mustKM(t, KaplanMeier{}, f).Details["quantiles"].([]Quantile)
	require.Equal(t, 2.5, *q[0].Value) // equal to 3/4 from 1 to the last time, 4
	require.Nil(t, q[1].Value)
	require.Nil(t, q[1].Hi)
}

func kmSample(seed uint64, n int, late bool) *Times {
	f := &Times{Level: 0.95, GroupNames: []string{"x", "y"}}
	for i := range n {
		st := num.NewStream(seed, "km", uint64(i))
		f.Unit = append(f.Unit, FormatTime(float64(100000+i)))
		f.Group = append(f.Group, st.Intn(2))
		entry := 0.0
		if late && st.Bernoulli(0.4) {
			entry = float64(st.Intn(6))
		}
		f.Entry = append(f.Entry, entry)
		f.Time = append(f.Time, entry+float64(1+st.Intn(20)))
		f.Event = append(f.Event, st.Bernoulli(0.6))
	}
	if !late {
		f.Entry = nil
	}
	return f
}

// The single pass over rows gives the root of the squares of the influence matrix, and
// without weights and late entry that is Greenwood's formula.
func TestErrorsAreThoseOfTheInfluence(t *testing.T) {
	at := []float64{1, 4, 9, 15}
	for seed := range uint64(4) {
		f := kmSample(seed, 200, seed%2 == 1)
		base := mustKM(t, KaplanMeier{At: at}, f)
		if f.Entry == nil {
			for q, e := range base.Estimates {
				var v float64
				for i := range f.Unit {
					v += base.Influence.At(i, q) * base.Influence.At(i, q)
				}
				reftest.Agree(t, "Greenwood "+e.Term, e.SE, math.Sqrt(v), 12)
			}
		}
		f.Weight.Kind = estimate.Sampling
		for i := range f.Unit {
			f.Weight.Values = append(f.Weight.Values, 0.3+num.NewStream(seed, "w", uint64(i)).Float())
		}
		for _, cluster := range [][]int{nil, make([]int, 200)} {
			f.Cluster = cluster
			for i := range cluster {
				cluster[i] = i * 7 % 23
			}
			res := mustKM(t, KaplanMeier{At: at, Workers: 3}, f)
			require.NotEqual(t, base.Estimates[2].SE, res.Estimates[2].SE)
			for q, e := range res.Estimates {
				reftest.Agree(t, "one pass "+e.Term, e.SE*e.SE, res.Cov.At(q, q), 11)
				var sum float64
				for i := range f.Unit {
					sum += res.Influence.At(i, q)
				}
				reftest.Near(t, "influence adds up to 0", sum, 0, 1e-13)
			}
		}
	}
}

// A frequency is so many rows.
func TestFrequencyIsRepetition(t *testing.T) {
	f := kmSample(5, 60, true)
	f.Weight = estimate.Weights{Kind: estimate.Frequency}
	long := &Times{Level: 0.95, GroupNames: f.GroupNames}
	for i := range f.Unit {
		w := i % 4
		f.Weight.Values = append(f.Weight.Values, float64(w))
		for r := range w {
			long.Unit = append(long.Unit, f.Unit[i]+FormatTime(float64(r)))
			long.Time, long.Event = append(long.Time, f.Time[i]), append(long.Event, f.Event[i])
			long.Entry, long.Group = append(long.Entry, f.Entry[i]), append(long.Group, f.Group[i])
		}
	}
	at := []float64{3, 8, 12}
	a, b := mustKM(t, KaplanMeier{At: at}, f), mustKM(t, KaplanMeier{At: at}, long)
	for q := range a.Estimates {
		reftest.Agree(t, "value", a.Estimates[q].Value, b.Estimates[q].Value, 13)
		reftest.Agree(t, "se", a.Estimates[q].SE, b.Estimates[q].SE, 13)
		var x, y float64
		for i := range f.Unit {
			x += a.Influence.At(i, q) * a.Influence.At(i, q)
		}
		for i := range long.Unit {
			y += b.Influence.At(i, q) * b.Influence.At(i, q)
		}
		reftest.Agree(t, "influence squares", x, y, 12)
	}
	f.Cluster = make([]int, 60)
	_, err := KaplanMeier{}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrWeights)
}

// Order of rows and the unit of time carry no information.
func TestKaplanMeierRelations(t *testing.T) {
	f := kmSample(9, 150, true)
	f.Weight.Kind = estimate.Matching
	for i := range f.Unit {
		f.Weight.Values = append(f.Weight.Values, 0.3+num.NewStream(9, "w", uint64(i)).Float())
	}
	base := mustKM(t, KaplanMeier{At: []float64{4, 9}}, f)
	order := permutation(num.NewStream(9, "p", 0), 150)
	x := &Times{Level: 0.95, GroupNames: f.GroupNames, Weight: estimate.Weights{Kind: f.Weight.Kind}}
	for _, i := range order {
		x.Unit, x.Time = append(x.Unit, f.Unit[i]), append(x.Time, f.Time[i]/7)
		x.Event, x.Entry = append(x.Event, f.Event[i]), append(x.Entry, f.Entry[i]/7)
		x.Group, x.Weight.Values = append(x.Group, f.Group[i]), append(x.Weight.Values, f.Weight.Values[i])
	}
	other := mustKM(t, KaplanMeier{At: []float64{4.0 / 7, 9.0 / 7}}, x)
	for q := range base.Estimates {
		require.Equal(t, base.Estimates[q].Value, other.Estimates[q].Value)
		require.Equal(t, base.Estimates[q].SE, other.Estimates[q].SE)
	}
}

func TestKaplanMeierEdges(t *testing.T) {
	f := six()
	f.Event[5] = false
	res := mustKM(t, KaplanMeier{At: []float64{0, 6, 7}}, f)
	require.Equal(t, estimate.Interval{Lo: 1, Hi: 1, Level: 0.95, Method: "log"}, res.Estimates[0].CI)
	reftest.Agree(t, "at the last time", res.Estimates[1].Value, 0.48, 14)
	require.True(t, math.IsNaN(res.Estimates[2].Value))
	require.Contains(t, codes(res), "beyond-follow-up")
	none := &Times{Unit: []string{"a"}, Time: []float64{3}, Event: []bool{false}, Level: 0.95}
	require.Contains(t, codes(mustKM(t, KaplanMeier{}, none)), "no-events")
	early := &Times{
		Unit: []string{"a", "b"}, Time: []float64{1, 9}, Event: []bool{true, true}, Entry: []float64{0, 4}, Level: 0.95,
	}
	require.Contains(t, codes(mustKM(t, KaplanMeier{}, early)), "late-entry-zero")
	for name, change := range map[string]func(e *KaplanMeier, f *Times){
		"scale":         func(e *KaplanMeier, _ *Times) { e.Conf = "log-log" },
		"time twice":    func(e *KaplanMeier, _ *Times) { e.At = []float64{1, 1} },
		"negative at":   func(e *KaplanMeier, _ *Times) { e.At = []float64{-1} },
		"negative time": func(_ *KaplanMeier, f *Times) { f.Time[1] = -1 },
		"entry late":    func(_ *KaplanMeier, f *Times) { f.Entry[1] = 3 },
		"short":         func(_ *KaplanMeier, f *Times) { f.Event = f.Event[:2] },
		"kind":          func(_ *KaplanMeier, f *Times) { f.Weight = estimate.Weights{Kind: "other", Values: make([]float64, 6)} },
		"no weight": func(_ *KaplanMeier, f *Times) {
			f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: make([]float64, 6)}
		},
		"half frequency": func(_ *KaplanMeier, f *Times) {
			f.Weight = estimate.Weights{Kind: estimate.Frequency, Values: []float64{1, 1, 1, 1, 1, 0.5}}
		},
		"one cluster": func(_ *KaplanMeier, f *Times) { f.Cluster = make([]int, 6) },
		"unit twice":  func(_ *KaplanMeier, f *Times) { f.Unit[1], f.Cluster = "a", []int{0, 1, 2, 3, 4, 5} },
	} {
		t.Run(name, func(t *testing.T) {
			e, f := KaplanMeier{}, six()
			change(&e, f)
			_, err := e.Fit(t.Context(), f)
			require.Error(t, err)
		})
	}
}

// 95% intervals of S(12) under random censoring cover inside the 99.8% binomial band.
func TestKaplanMeierCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps = 1000 * sim.Factor
	truth := math.Exp(-12.0 / 30)
	for _, conf := range []string{"log", "plain", "loglog"} {
		covered := 0
		for r := range uint64(reps) {
			f := &Times{Level: 0.95}
			for i := range 100 {
				st := num.NewStream(77+r, conf, uint64(i))
				x, c := 30*st.Exp(), 40*st.Float()
				f.Unit = append(f.Unit, FormatTime(float64(i)))
				f.Time, f.Event = append(f.Time, min(x, c)), append(f.Event, x <= c)
			}
			if ci := mustKM(t, KaplanMeier{Conf: conf, At: []float64{12}}, f).Estimates[0].CI; ci.Lo <= truth && truth <= ci.Hi {
				covered++
			}
		}
		rate, half := float64(covered)/reps, sim.Band(reps)
		sim.Share(t, "kaplan-meier, "+conf, rate, reps)
		if math.Abs(rate-0.95) > half {
			t.Errorf("%s: coverage %.3f, want 0.95 ± %.3f", conf, rate, half)
		}
	}
}

// A group's curve, counts and errors do not hang on the other groups, whose times it does not know where all are distinct.
func TestKaplanMeierOfGroupsApart(t *testing.T) {
	f := kmTimes(3000, false)
	f.GroupNames, f.Group = []string{"a", "b", "c"}, make([]int, len(f.Time))
	for i := range f.Time {
		f.Group[i] = i % 3
		if i%5 == 0 && i > 30 { // and some are shared
			f.Time[i] = f.Time[i-30]
		}
	}
	e := KaplanMeier{At: []float64{0.5, 6, 18, 40}}
	all, err := e.Fit(t.Context(), f)
	require.NoError(t, err)
	for g, name := range f.GroupNames {
		one := &Times{Level: f.Level}
		for i := range f.Time {
			if f.Group[i] == g {
				one.Unit, one.Time, one.Event = append(one.Unit, f.Unit[i]), append(one.Time, f.Time[i]), append(one.Event, f.Event[i])
			}
		}
		alone, err := e.Fit(t.Context(), one)
		require.NoError(t, err)
		for a, w := range alone.Estimates {
			got := all.Estimates[g*len(e.At)+a]
			require.Equal(t, w.Term+",group="+name, got.Term)
			require.Equal(t, []any{w.Value, w.SE, w.CI}, []any{got.Value, got.SE, got.CI})
		}
		for a, w := range alone.Details["counts"].([]RiskCount) {
			got := all.Details["counts"].([]RiskCount)[g*len(e.At)+a]
			got.Group = ""
			require.Equal(t, w, got)
		}
		for r, i := 0, g; i < len(f.Time); r, i = r+1, i+3 {
			for a := range e.At {
				require.Equal(t, alone.Influence.At(r, a), all.Influence.At(i, g*len(e.At)+a))
			}
		}
	}
}
