package survive

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func ones(n int) (out []float64) {
	for range n {
		out = append(out, 1)
	}
	return out
}

// By hand, the four of twoByTwo with weights of 1: A has events at 1 and 3, B one at 2, the other of B is censored at 3; p = 1/2, 1/3, 1/2 and d/Y = 1/4, 1/3, 1/2.
// What they add to U of A, in 72nds: 36 − 9 = 27; −24 + 9 + 8 = −7; 36 − 9 − 16 − 18 = −7; 9 + 8 + 18 = 35. U = 48/72, V = (27² + 7² + 7² + 35²)/72².
// In clusters of the events at 1 and 2, and the others: 20 and 28: χ² = 48²/(20² + 28²).
func TestRobustLogRankByHand(t *testing.T) {
	f := twoByTwo()
	f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: ones(4)}
	res := mustLogRank(t, 0, f)
	reftest.Agree(t, "chi-square", res.Estimates[0].Value, 64.0/57, 14)
	require.Equal(t, "influence", res.Details["vcov"])
	require.Contains(t, codes(res), "weights-fixed")
	f.Weight = estimate.Weights{}
	f.Cluster = make([]int, 4)
	for i := range f.Time {
		if !(f.Time[i] < 3) {
			f.Cluster[i] = 1
		}
	}
	res = mustLogRank(t, 0, f)
	reftest.Agree(t, "clusters", res.Estimates[0].Value, 48.0*48/(20*20+28*28), 13)
	require.Equal(t, 2, res.N.Clusters)
	require.Contains(t, codes(res), "few-clusters")
	f.Cluster = make([]int, 4)
	_, err := LogRank{}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	f.Cluster, f.Weight = []int{0, 0, 1, 1}, estimate.Weights{Kind: estimate.Frequency, Values: ones(4)}
	_, err = LogRank{}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrWeights)
}

// weighted gives the sample of the log-rank tests weights that are no constant.
func weighted(seed uint64, n int, late bool) *Stratified {
	f := &Stratified{Times: *kmSample(seed, n, late)}
	f.Weight.Kind = estimate.Sampling
	for i := range f.Time {
		st := num.NewStream(seed, "weighted", uint64(i))
		f.Weight.Values = append(f.Weight.Values, 0.5+st.Float())
		f.Stratum = append(f.Stratum, st.Intn(2))
	}
	return f
}

// With ρ = 0 it is the robust score test of Cox regression, whose score is that of coxModel; a stratum more, entry times and clusters included.
func TestRobustLogRankRelations(t *testing.T) {
	for _, late := range []bool{false, true} {
		f := weighted(21, 200, late)
		base := mustLogRank(t, 0, f).Estimates[0].Value
		scaled := *f
		scaled.Weight.Values = make([]float64, 200)
		for i, w := range f.Weight.Values {
			scaled.Weight.Values[i] = 8 * w
		}
		require.Equal(t, base, mustLogRank(t, 0, &scaled).Estimates[0].Value, "the scale of weights")
		require.NotEqual(t, base, mustLogRank(t, 1, f).Estimates[0].Value, "rho")
		plain := *f
		plain.Stratum = nil
		require.NotEqual(t, base, mustLogRank(t, 0, &plain).Estimates[0].Value, "strata")
		// A weight of 2 is two copies in one cluster.
		double, copies := *f, &Stratified{Times: Times{Level: 0.95, GroupNames: f.GroupNames}}
		double.Weight.Values = ones(200)
		for i := range f.Time {
			for c := range 1 + i%2 {
				double.Weight.Values[i] = float64(1 + i%2)
				copies.Unit, copies.Time = append(copies.Unit, f.Unit[i]+string(rune('a'+c))), append(copies.Time, f.Time[i])
				copies.Event, copies.Group = append(copies.Event, f.Event[i]), append(copies.Group, f.Group[i])
				copies.Stratum, copies.Cluster = append(copies.Stratum, f.Stratum[i]), append(copies.Cluster, i)
				if late {
					copies.Entry = append(copies.Entry, f.Entry[i])
				}
			}
		}
		for _, rho := range []float64{0, 1} {
			reftest.Agree(t, "copies", mustLogRank(t, rho, copies).Estimates[0].Value, mustLogRank(t, rho, &double).Estimates[0].Value, 11)
		}
		// Row order changes no byte.
		turned := *f
		turned.Times = Times{Level: 0.95, GroupNames: f.GroupNames, Weight: estimate.Weights{Kind: estimate.Sampling}}
		turned.Stratum = nil
		for i := 199; i >= 0; i-- {
			turned.Unit, turned.Time, turned.Event = append(turned.Unit, f.Unit[i]), append(turned.Time, f.Time[i]), append(turned.Event, f.Event[i])
			turned.Group, turned.Stratum = append(turned.Group, f.Group[i]), append(turned.Stratum, f.Stratum[i])
			turned.Weight.Values = append(turned.Weight.Values, f.Weight.Values[i])
			if late {
				turned.Entry = append(turned.Entry, f.Entry[i])
			}
		}
		require.Equal(t, base, mustLogRank(t, 0, &turned).Estimates[0].Value)
		// Gray's test with one cause is this one.
		c := &Competing{Stratified: *f, CauseNames: []string{"x"}}
		c.Event = nil
		for _, e := range f.Event {
			c.Cause = append(c.Cause, map[bool]int{true: 0, false: Censored}[e])
		}
		g, err := GrayTest{}.Fit(t.Context(), c)
		require.NoError(t, err)
		reftest.Agree(t, "one cause", g.Estimates[0].Value, base, 9)
		require.Equal(t, "influence", g.Details["vcov"])
		c.Weight.Kind, c.Cluster = estimate.Matching, copies.Cluster[:200]
		g, err = GrayTest{}.Fit(t.Context(), c)
		require.NoError(t, err)
		f.Cluster = c.Cluster
		reftest.Agree(t, "one cause, clusters", g.Estimates[0].Value, mustLogRank(t, 0, f).Estimates[0].Value, 9)
	}
}

// Weights of 1 leave Gray's U, where no time is shared.
func TestRobustGrayHasGraysScore(t *testing.T) {
	f := competing(17, 150, 1, false)
	f.Stratum = nil
	for i := range f.Time {
		f.Time[i] += float64(i) * 1e-6
	}
	u := make([]float64, len(f.GroupNames))
	newGray(0, f, 0, u, mat.NewSymDense(len(u), nil)).stratum(byTime(f.Time, f.allRows()))
	c := &CompetingCovaried{Competing: *f, X: mat.NewDense(150, len(u)-1, nil), XNames: f.GroupNames[1:], CensoringStratum: f.Group}
	for i, g := range f.Group {
		if g > 0 {
			c.X.Set(i, g-1, 1)
		}
	}
	m, err := newFineGrayModel(c, f.allRows(), 0, false)
	require.NoError(t, err)
	p := m.point(make([]float64, m.k))
	for a := range m.k {
		reftest.Near(t, "score", p.u[a]*m.sd[a], u[a+1], 1e-10)
	}
	for name, change := range map[string]func(e *GrayTest, f *Competing){
		"rho": func(e *GrayTest, f *Competing) { e.Rho, f.Entry = 1, make([]float64, 150) },
		"frequency": func(_ *GrayTest, f *Competing) {
			f.Weight = estimate.Weights{Kind: estimate.Frequency, Values: ones(150)}
			f.Entry = make([]float64, 150)
		},
		"one cluster": func(_ *GrayTest, f *Competing) {
			f.Cluster = make([]int, 150)
		},
	} {
		e, g := GrayTest{}, competing(17, 150, 1, false)
		change(&e, g)
		_, err := e.Fit(t.Context(), g)
		require.Error(t, err, name)
	}
}

// Equal groups whose weights hang on who is soon to have the event: both tests reject one in twenty, inside the 99.8 % band.
func TestRobustRankSize(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, n = 400 * sim.Factor, 240
	var rank, gray, naive int
	for r := range reps {
		f := &Competing{Stratified: Stratified{Times: Times{Level: 0.95, GroupNames: []string{"a", "b"}}}, CauseNames: []string{"x", "y"}}
		f.Weight.Kind = estimate.Sampling
		for i := range n {
			st := num.NewStream(uint64(r), "size", uint64(i))
			x := st.Normal()
			t1, t2, c := st.Exp()*math.Exp(-0.5*x), 2*st.Exp(), 2.5*st.Float()
			time, cause := t1, 0
			if t2 < time {
				time, cause = t2, 1
			}
			if c < time {
				time, cause = c, Censored
			}
			f.Unit, f.Time, f.Cause = append(f.Unit, string(rune(0x4e00+i))), append(f.Time, time), append(f.Cause, cause)
			f.Group = append(f.Group, st.Intn(2))
			f.Weight.Values = append(f.Weight.Values, math.Exp(0.8*x))
		}
		lr := &Stratified{Times: f.Times}
		for _, c := range f.Cause {
			lr.Event = append(lr.Event, c == 0)
		}
		if mustLogRank(t, 0, lr).Estimates[0].Test.P < 0.05 {
			rank++
		}
		g, err := GrayTest{}.Fit(t.Context(), f)
		require.NoError(t, err)
		if g.Estimates[0].Test.P < 0.05 {
			gray++
		}
		// Weights taken as numbers of people.
		whole := *lr
		whole.Weight = estimate.Weights{Kind: estimate.Frequency}
		for _, w := range f.Weight.Values {
			whole.Weight.Values = append(whole.Weight.Values, math.Ceil(4*w))
		}
		if mustLogRank(t, 0, &whole).Estimates[0].Test.P < 0.05 {
			naive++
		}
	}
	sim.Share(t, "weighted log-rank rejects", float64(rank)/reps, reps)
	sim.Share(t, "weighted gray's test rejects", float64(gray)/reps, reps)
	sim.Share(t, "weights as counts: log-rank rejects (must fail)", float64(naive)/reps, reps)
	for _, k := range []int{rank, gray} {
		require.InDelta(t, 0.05, float64(k)/reps, 0.034)
	}
	require.Greater(t, float64(naive)/reps, 0.2)
}
