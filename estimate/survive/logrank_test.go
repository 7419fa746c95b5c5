package survive

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func mustLogRank(t testing.TB, rho float64, f *Stratified) *estimate.Result {
	t.Helper()
	res, err := LogRank{Rho: rho}.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

// twoByTwo: events of A at 1 and 3, of B at 2; the other of B is censored at 3.
func twoByTwo() *Stratified {
	return &Stratified{Times: Times{
		Unit: []string{"a", "b", "c", "d"}, Time: []float64{1, 3, 2, 3}, Event: []bool{true, true, true, false},
		Group: []int{0, 0, 1, 1}, GroupNames: []string{"A", "B"}, Level: 0.95,
	}}
}

// By hand. At 1: 2 of 4 at risk are A's, E = 1/2, V = 1/4. At 2: 1 of 3, E = 1/3, V = 2/9.
// At 3: 1 of 2, E = 1/2, V = 1/4. U = 2 − 4/3 = 2/3, V = 13/18, χ² = (4/9)/(13/18) = 8/13.
// With ρ = 1 the weights are S = 1, 3/4, 1/2: U = 1/2 − 1/4 + 1/4 = 1/2,
// V = 1/4 + 9/16·2/9 + 1/16 = 7/16, χ² = 4/7. With ρ = 1/2: weights 1, √3/2, √(1/2):
// U = 1/2 − √3/6 + √2/4, V = 1/4 + 3/4·2/9 + 1/8 = 13/24.
func TestLogRankByHand(t *testing.T) {
	u := 0.5 - math.Sqrt(3)/6 + math.Sqrt2/4
	for rho, want := range map[float64]float64{0: 8.0 / 13, 1: 4.0 / 7, 0.5: u * u * 24 / 13} {
		res := mustLogRank(t, rho, twoByTwo())
		e := res.Estimates[0]
		require.Len(t, res.Estimates, 1)
		require.Equal(t, "logrank", e.Term)
		require.Equal(t, ChiSquare, e.Measure)
		reftest.Agree(t, "chi-square", e.Value, want, 14)
		require.Equal(t, e.Value, e.Test.Stat)
		require.Equal(t, 1.0, e.Test.DF)
		// One degree of freedom: the tail of a squared normal.
		reftest.Agree(t, "p", e.Test.P, math.Erfc(math.Sqrt(want/2)), 12)
		require.True(t, math.IsNaN(e.SE))
	}
	g := mustLogRank(t, 0, twoByTwo()).Details["groups"].([]LogRankGroup)
	require.Equal(t, []LogRankGroup{{"A", 2, 2, 2, g[0].Expected}, {"B", 2, 1, 1, g[1].Expected}}, g)
	reftest.Agree(t, "expected", g[0].Expected, 4.0/3, 14)
	reftest.Agree(t, "expected", g[1].Expected, 5.0/3, 14)
	// Ties, by hand: both of A and one of two of B at 1: E = 3/2, V = 3·(1/3)·1/4 = 1/4; U = 1/2.
	f := twoByTwo()
	f.Time, f.Event = []float64{1, 1, 1, 2}, []bool{true, true, true, false}
	reftest.Agree(t, "ties", mustLogRank(t, 0, f).Estimates[0].Value, 1, 14)
	// The same table twice, in two strata: U and V double, and so does χ².
	f = twoByTwo()
	g2 := twoByTwo()
	f.Unit = append(f.Unit, "e", "f", "g", "h")
	f.Time, f.Event, f.Group = append(f.Time, g2.Time...), append(f.Event, g2.Event...), append(f.Group, g2.Group...)
	f.Stratum = []int{7, 7, 7, 7, 3, 3, 3, 3}
	reftest.Agree(t, "strata", mustLogRank(t, 1, f).Estimates[0].Value, 8.0/7, 14)
	f.Stratum = nil
	require.NotEqual(t, 8.0/7, mustLogRank(t, 1, f).Estimates[0].Value)
}

// Late entry by hand: B's second unit enters at 1, so that it is not at risk at 1: E = 2/3
// and V = 2/9 there, as before at 2 and 3: U = 2 − 3/2 = 1/2, V = 2/9 + 2/9 + 1/4 = 25/36.
func TestLogRankLateEntry(t *testing.T) {
	f := twoByTwo()
	f.Entry = []float64{0, 0, 0, 1}
	reftest.Agree(t, "late", mustLogRank(t, 0, f).Estimates[0].Value, 9.0/25, 14)
	f.Entry = make([]float64, 4)
	reftest.Agree(t, "entry at 0 is none", mustLogRank(t, 0, f).Estimates[0].Value, 8.0/13, 14)
}

func threeGroups(seed uint64, n int) *Stratified {
	f := &Stratified{Times: *kmSample(seed, n, true)}
	f.GroupNames = []string{"x", "y", "z"}
	for i := range f.Group {
		f.Group[i] = num.NewStream(seed, "g", uint64(i)).Intn(3)
		f.Stratum = append(f.Stratum, i%4)
	}
	return f
}

// Rows, the names of groups, the unit of time, a monotone change of time and copies instead of frequencies carry no information.
func TestLogRankRelations(t *testing.T) {
	f := threeGroups(3, 150)
	f.Weight.Kind = estimate.Frequency
	long := &Stratified{Times: Times{Level: 0.95, GroupNames: []string{"c", "a", "b"}}}
	for i := range f.Unit {
		w := 1 + i%3
		f.Weight.Values = append(f.Weight.Values, float64(w))
	}
	for _, i := range permutation(num.NewStream(3, "p", 0), 150) {
		for r := range int(f.Weight.Values[i]) {
			long.Unit = append(long.Unit, f.Unit[i]+FormatTime(float64(r)))
			long.Time, long.Entry = append(long.Time, math.Sqrt(f.Time[i])), append(long.Entry, math.Sqrt(f.Entry[i]))
			long.Event, long.Group = append(long.Event, f.Event[i]), append(long.Group, (f.Group[i]+1)%3)
			long.Stratum = append(long.Stratum, 9-f.Stratum[i])
		}
	}
	for _, rho := range []float64{0, 1} {
		a, b := mustLogRank(t, rho, f), mustLogRank(t, rho, long)
		require.Equal(t, 2.0, a.Estimates[0].Test.DF)
		reftest.Agree(t, "chi-square", a.Estimates[0].Value, b.Estimates[0].Value, 11)
		var o, e float64
		for _, g := range a.Details["groups"].([]LogRankGroup) {
			o, e = o+g.Observed, e+g.Expected
		}
		reftest.Agree(t, "observed and expected have one sum", o, e, 12)
	}
	require.NotEqual(t, mustLogRank(t, 0, f).Estimates[0].Value, mustLogRank(t, 1, f).Estimates[0].Value)
}

func TestLogRankErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *LogRank, f *Stratified)
		err    error
	}{
		"rho":         {func(e *LogRank, _ *Stratified) { e.Rho = -1 }, nil},
		"infinite":    {func(e *LogRank, _ *Stratified) { e.Rho = math.Inf(1) }, nil},
		"one group":   {func(_ *LogRank, f *Stratified) { f.Group, f.GroupNames = nil, nil }, estimate.ErrTooFew},
		"empty group": {func(_ *LogRank, f *Stratified) { f.GroupNames = []string{"A", "B", "C"} }, estimate.ErrTooFew},
		"no event":    {func(_ *LogRank, f *Stratified) { f.Event = make([]bool, 4) }, estimate.ErrTooFew},
		"apart":       {func(_ *LogRank, f *Stratified) { f.Stratum = f.Group }, estimate.ErrNotIdentified},
		"cluster":     {func(_ *LogRank, f *Stratified) { f.Cluster = []int{0, 0, 0, 0} }, estimate.ErrTooFew},
		"stratum":     {func(_ *LogRank, f *Stratified) { f.Stratum = []int{0, 1, 2, -3} }, estimate.ErrInvalidFrame},
		"strata":      {func(_ *LogRank, f *Stratified) { f.Stratum = []int{0} }, estimate.ErrInvalidFrame},
		"negative":    {func(_ *LogRank, f *Stratified) { f.Time[0] = -1 }, ErrTime},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := LogRank{}, twoByTwo()
			c.change(&e, f)
			_, err := e.Fit(t.Context(), f)
			require.Error(t, err)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
	f := twoByTwo()
	f.Weight = estimate.Weights{Kind: estimate.Frequency, Values: []float64{1, 1, 1, 0}}
	require.Contains(t, codes(mustLogRank(t, 0, f)), "zero-weight")
}

// Under equal hazards the test rejects at 5% inside the 99.8% binomial band.
func TestLogRankSize(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps = 1000 * sim.Factor
	rejected := map[float64]int{}
	for r := range uint64(reps) {
		f := &Stratified{Times: Times{Level: 0.95, GroupNames: []string{"x", "y"}}}
		for i := range 120 {
			st := num.NewStream(500+r, "size", uint64(i))
			x, c := 10*st.Exp(), 15*st.Float()
			f.Unit, f.Group = append(f.Unit, FormatTime(float64(i))), append(f.Group, i%2)
			f.Time, f.Event = append(f.Time, math.Ceil(min(x, c))), append(f.Event, x <= c)
		}
		for _, rho := range []float64{0, 1} {
			if mustLogRank(t, rho, f).Estimates[0].Test.P < 0.05 {
				rejected[rho]++
			}
		}
	}
	for rho, n := range rejected {
		rate, half := float64(n)/reps, sim.Band(reps)
		sim.Share(t, fmt.Sprintf("log-rank family rejects, rho %v", rho), rate, reps)
		if math.Abs(rate-0.05) > half {
			t.Errorf("rho %v: rejects %.3f, want 0.05 ± %.3f", rho, rate, half)
		}
	}
}

// The two ways through the times, counted by time and visited in order, give the same numbers: days as whole numbers
// are counted, the same days in fractions are sorted, and few distinct values among many rows are counted again.
func TestLogRankWays(t *testing.T) {
	for _, c := range []struct {
		late bool
		span int
	}{{false, 400}, {true, 400}, {false, 1}, {true, 1}} {
		late, f := c.late, kmSample(21, 3000, c.late)
		for i := range f.Time {
			f.Time[i] += float64(i % c.span)
		}
		whole, err := LogRank{Rho: 0.5}.Fit(t.Context(), &Stratified{Times: *f})
		require.NoError(t, err)
		scaled := *f
		scaled.Time, scaled.Entry = append([]float64(nil), f.Time...), append([]float64(nil), f.Entry...)
		if !late {
			scaled.Entry = nil
		}
		for i := range scaled.Time {
			scaled.Time[i] /= 8
			if late {
				scaled.Entry[i] /= 8
			}
		}
		for _, workers := range []int{1, 3} {
			res, err := LogRank{Rho: 0.5, Workers: workers}.Fit(t.Context(), &Stratified{Times: scaled})
			require.NoError(t, err)
			require.Equal(t, whole.Estimates[0].Value, res.Estimates[0].Value)
			require.Equal(t, whole.Details, res.Details)
		}
		for _, workers := range []int{1, 3} {
			a, b := mustKM(t, KaplanMeier{At: []float64{4, 8, 16}}, f), mustKM(t, KaplanMeier{At: []float64{0.5, 1, 2}, Workers: workers}, &scaled)
			for q := range a.Estimates {
				require.Equal(t, a.Estimates[q].Value, b.Estimates[q].Value)
				require.Equal(t, a.Estimates[q].SE, b.Estimates[q].SE)
			}
			require.Equal(t, a.Influence, b.Influence)
		}
	}
}
