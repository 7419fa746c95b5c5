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

func mustIPCW(t testing.TB, e IPCW, f *CompetingCovaried) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

// By hand: a (x = 0) and b (1) have the event at 1, c (0) and d (1) are censored at 2, e (0) and f (1) have the event at 3. At 2
// two of four are censored, one of each x: γ = 0 and Λ = 1/2. Who has the event at 3 counts √e: F(3) = (2 + 2√e)/6, and
// the mean time to 4 is 4 − (2·3 + 2√e·1)/6.
func TestIPCWByHand(t *testing.T) {
	f := &CompetingCovaried{X: mat.NewDense(6, 1, []float64{0, 1, 0, 1, 0, 1}), XNames: []string{"x"}}
	f.Unit, f.Time, f.Level = []string{"a", "b", "c", "d", "e", "f"}, []float64{1, 1, 2, 2, 3, 3}, 0.95
	f.Cause, f.CauseNames = []int{0, 0, Censored, Censored, 0, 0}, []string{"y"}
	res := mustIPCW(t, IPCW{At: []float64{1, 3}}, f)
	reftest.Agree(t, "F(1)", res.Estimates[0].Value, 1.0/3, 13)
	reftest.Agree(t, "F(3)", res.Estimates[1].Value, (2+2*math.Exp(0.5))/6, 13)
	require.Equal(t, "time=3,cause=y", res.Estimates[1].Term)
	require.InDelta(t, 0, res.Details["censoring"].([]CensoringTerm)[0].Estimate, 1e-12)
	reftest.Agree(t, "weight", res.Details["max_weight"].(float64), math.Exp(0.5), 13)
	// Before anybody is censored it is a share: √(1/3·2/3/6).
	reftest.Agree(t, "se", res.Estimates[0].SE, math.Sqrt(2.0/9/6), 12)
	s := mustIPCW(t, IPCW{At: []float64{1, 3}, Survival: true}, f)
	reftest.Agree(t, "S(3)", s.Estimates[1].Value, 1-(2+2*math.Exp(0.5))/6, 12)
	require.Equal(t, res.Estimates[0].SE, s.Estimates[0].SE)
	f.Time[5] = 4 // somebody is seen to 4
	m := mustIPCW(t, IPCW{Tau: 4}, f)
	reftest.Agree(t, "mean", m.Estimates[0].Value, 4-(6+math.Exp(0.5))/6, 12)
}

// ipcwSample has censoring and events that hang on x.
func ipcwSample(seed uint64, n int, groups bool) *CompetingCovaried {
	f := &CompetingCovaried{X: mat.NewDense(n, 2, nil), XNames: []string{"x", "z"}}
	f.Level, f.CauseNames = 0.95, []string{"p", "q"}
	if groups {
		f.GroupNames = []string{"a", "b"}
	}
	for i := range n {
		st := num.NewStream(seed, "ipcw", uint64(i))
		x, z := st.Normal(), float64(st.Intn(2))
		f.X.SetRow(i, []float64{x, z})
		p, q, c := st.Exp()*math.Exp(-0.8*x), 3*st.Exp(), 2*st.Exp()*math.Exp(-0.9*x+0.3*z)
		time, cause := p, 0
		if q < time {
			time, cause = q, 1
		}
		if c < time {
			time, cause = c, Censored
		}
		f.Unit, f.Time, f.Cause = append(f.Unit, fmt.Sprintf("%05d", i)), append(f.Time, time), append(f.Cause, cause)
		if groups {
			f.Group = append(f.Group, st.Intn(2))
		}
	}
	return f
}

// The influence function is the derivative by the weights, the censoring model included.
func TestIPCWInfluenceIsTheDerivative(t *testing.T) {
	f := ipcwSample(3, 200, true)
	f.Weight.Kind = estimate.Sampling
	for i := range f.Time {
		f.Time[i] = math.Ceil(8*f.Time[i]) / 8
		f.Weight.Values = append(f.Weight.Values, 0.5+num.NewStream(1, "w", uint64(i)).Float())
	}
	for _, e := range []IPCW{{At: []float64{0.25, 0.75}}, {At: []float64{0.75}, Survival: true}, {Tau: 0.75}} {
		base := mustIPCW(t, e, f)
		const h = 1e-5
		for i := 0; i < 200; i += 7 {
			fit := func(d float64) *estimate.Result {
				x := *f
				x.Weight.Values = slices.Clone(f.Weight.Values)
				x.Weight.Values[i] += d
				return mustIPCW(t, e, &x)
			}
			up, down := fit(h), fit(-h)
			for j := range base.Estimates {
				slope := (up.Estimates[j].Value - down.Estimates[j].Value) / (2 * h) * f.Weight.Values[i]
				reftest.Near(t, "slope", base.Influence.At(i, j), slope, 1e-8)
			}
		}
		for j := range base.Estimates {
			sum, square := 0.0, 0.0
			for i := range 200 {
				x := base.Influence.At(i, j)
				sum, square = sum+x, square+x*x
			}
			require.InDelta(t, 0, sum, 1e-10)
			reftest.Agree(t, "se", math.Sqrt(square), base.Estimates[j].SE, 10)
		}
	}
}

func TestIPCWRelations(t *testing.T) {
	f := ipcwSample(5, 4000, true)
	at := []float64{0.3, 0.6}
	base := mustIPCW(t, IPCW{At: at}, f)
	require.Len(t, base.Estimates, 8)
	// Covariates that tell nothing of censoring leave cumulative incidence as it is, up to the 1/n by which e^{−Λ} differs from the product.
	blind := *f
	blind.X = mat.NewDense(4000, 1, nil)
	blind.XNames = []string{"noise"}
	for i := range f.Time {
		blind.X.Set(i, 0, num.NewStream(6, "noise", uint64(i)).Normal())
	}
	plain, err := CumulativeIncidence{At: at}.Fit(t.Context(), &f.Competing)
	require.NoError(t, err)
	noise := mustIPCW(t, IPCW{At: at}, &blind)
	for j, e := range noise.Estimates {
		require.Equal(t, plain.Estimates[j].Term, e.Term)
		require.InDelta(t, plain.Estimates[j].Value, e.Value, 0.003)
		require.InDelta(t, 1, e.SE/plain.Estimates[j].SE, 0.05)
		require.Greater(t, math.Abs(base.Estimates[0].Value-plain.Estimates[0].Value), plain.Estimates[0].SE)
	}
	// Scale and sign of a covariate, the clock and the scale of weights.
	turned := *f
	turned.X, turned.Time = mat.NewDense(4000, 2, nil), make([]float64, 4000)
	turned.Weight = estimate.Weights{Kind: estimate.Sampling, Values: slices.Repeat([]float64{8}, 4000)}
	for i := range f.Time {
		turned.X.SetRow(i, []float64{3 - 2*f.X.At(i, 0), 5 * f.X.At(i, 1)})
		turned.Time[i] = 2 * f.Time[i]
	}
	moved := mustIPCW(t, IPCW{At: []float64{0.6, 1.2}, Workers: 1}, &turned)
	for j, e := range moved.Estimates {
		reftest.Agree(t, "value", e.Value, base.Estimates[j].Value, 10)
		reftest.Agree(t, "se", e.SE, base.Estimates[j].SE, 9)
	}
	// Survival is what is left of all causes; the mean is the area under it.
	s := mustIPCW(t, IPCW{At: at, Survival: true}, f)
	reftest.Agree(t, "survival", s.Estimates[0].Value, 1-base.Estimates[0].Value-base.Estimates[1].Value, 12)
	m := mustIPCW(t, IPCW{Tau: 0.6}, f)
	require.Len(t, m.Estimates, 3)
	reftest.Agree(t, "difference", m.Estimates[2].Value, m.Estimates[1].Value-m.Estimates[0].Value, 12)
	var fine []float64
	for k := range 120 {
		fine = append(fine, (float64(k)+0.5)/200)
	}
	area := 0.0
	for _, e := range mustIPCW(t, IPCW{At: fine, Survival: true}, f).Estimates[:120] {
		area += e.Value / 200
	}
	require.InDelta(t, area, m.Estimates[0].Value, 1e-3)
	square := 0.0
	for i := range 4000 {
		square += m.Influence.At(i, 2) * m.Influence.At(i, 2)
	}
	reftest.Agree(t, "se of the difference", math.Sqrt(square), m.Estimates[2].SE, 9)
	clustered := *f
	clustered.Cluster = make([]int, 4000)
	for i := range clustered.Cluster {
		clustered.Cluster[i] = i / 3
	}
	require.NotEqual(t, base.Estimates[0].SE, mustIPCW(t, IPCW{At: at}, &clustered).Estimates[0].SE)
}

func TestIPCWErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *IPCW, f *CompetingCovaried)
		err    error
	}{
		"nothing":  {func(e *IPCW, _ *CompetingCovaried) { e.At = nil }, nil},
		"both":     {func(e *IPCW, _ *CompetingCovaried) { e.Tau = 1 }, nil},
		"survival": {func(e *IPCW, _ *CompetingCovaried) { e.At, e.Tau, e.Survival = nil, 1, true }, nil},
		"beyond":   {func(e *IPCW, _ *CompetingCovaried) { e.At = []float64{1e6} }, estimate.ErrNotIdentified},
		"entry":    {func(_ *IPCW, f *CompetingCovaried) { f.Entry = make([]float64, 80) }, ErrLateEntry},
		"strata":   {func(_ *IPCW, f *CompetingCovaried) { f.Stratum = make([]int, 80) }, estimate.ErrInvalidFrame},
		"frequency": {func(_ *IPCW, f *CompetingCovaried) {
			f.Weight = estimate.Weights{Kind: estimate.Frequency, Values: ones(80)}
		}, estimate.ErrWeights},
		"nobody": {func(_ *IPCW, f *CompetingCovaried) {
			for i := range f.Cause {
				f.Cause[i] = 0
			}
		}, estimate.ErrTooFew},
		"constant":    {func(_ *IPCW, f *CompetingCovaried) { f.X.SetCol(1, make([]float64, 80)) }, estimate.ErrCollinear},
		"one cluster": {func(_ *IPCW, f *CompetingCovaried) { f.Cluster = make([]int, 80) }, estimate.ErrTooFew},
		"empty":       {func(_ *IPCW, f *CompetingCovaried) { f.GroupNames = append(f.GroupNames, "c") }, estimate.ErrTooFew},
	} {
		e, f := IPCW{At: []float64{0.2}}, ipcwSample(2, 80, true)
		c.change(&e, f)
		_, err := e.Fit(t.Context(), f)
		require.Error(t, err, name)
		if c.err != nil {
			require.ErrorIs(t, err, c.err, name)
		}
	}
}

// Censoring that hangs on what decides the event, 300 people: IPCW covers, cumulative incidence and restricted mean that take censoring as independent do not.
func TestIPCWCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	// The truth, from two hundred thousand people who are not censored.
	const many, reps, n, at = 200000, 400 * sim.Factor, 300, 0.7
	var truth [2]float64
	for i := range many {
		st := num.NewStream(99, "truth", uint64(i))
		x := st.Normal()
		p, q := st.Exp()*math.Exp(-0.8*x), 3*st.Exp()
		if p < q && p <= at {
			truth[0] += 1.0 / many
		}
		truth[1] += math.Min(at, math.Min(p, q)) / many
	}
	var in, naive [2]int
	for r := range reps {
		f := ipcwSample(1000+uint64(r), n, false)
		one := *f
		times := Times{Unit: f.Unit, Time: f.Time, Level: 0.95}
		for _, c := range f.Cause {
			times.Event = append(times.Event, c != Censored)
		}
		plain, err := CumulativeIncidence{At: []float64{at}}.Fit(t.Context(), &one.Competing)
		require.NoError(t, err)
		area, err := RMST{Tau: at}.Fit(t.Context(), &times)
		require.NoError(t, err)
		for k, e := range []estimate.Estimate{mustIPCW(t, IPCW{At: []float64{at}}, f).Estimates[0], mustIPCW(t, IPCW{Tau: at}, f).Estimates[0]} {
			if math.Abs(e.Value-truth[k]) <= 1.96*e.SE {
				in[k]++
			}
			if e := []estimate.Estimate{plain.Estimates[0], area.Estimates[0]}[k]; math.Abs(e.Value-truth[k]) <= 1.96*e.SE {
				naive[k]++
			}
		}
	}
	for k, what := range []string{"share", "restricted mean"} {
		sim.Share(t, "ipcw, "+what, float64(in[k])/reps, reps)
		sim.Share(t, "censoring taken as independent, "+what+" (must fail)", float64(naive[k])/reps, reps)
	}
	for _, k := range in {
		require.InDelta(t, 0.95, float64(k)/reps, 0.0359)
	}
	require.Less(t, float64(naive[0])/reps, 0.9)
}
