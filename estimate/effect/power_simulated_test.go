package effect

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
)

// What is computed here instead of Difference is Difference, with sets, clusters and neither.
func TestSimulationTestsAsDifferenceDoes(t *testing.T) {
	for name, change := range map[string]func(f *estimate.Frame){
		"clusters": func(*estimate.Frame) {},
		"sets":     func(f *estimate.Frame) { f.Cluster = nil },
		"weights":  func(f *estimate.Frame) { f.Cluster, f.Set = nil, nil },
		"plain":    func(f *estimate.Frame) { f.Cluster, f.Set, f.Weight = nil, nil, estimate.Weights{} },
		"outside":  func(f *estimate.Frame) { f.Set[0] = -1 },
	} {
		f := cohortOf(30)
		change(f)
		m, err := SimulatedPower{Power: Power{Expected: Expected{SD: 1}, Level: .95, Power: .8}}.simulation(f)
		require.NoError(t, err)
		y := make([]float64, len(m.s.rows))
		for i, r := range m.s.rows {
			f.Y[r] = num.NewStream(5, name, uint64(i)).Normal()
			y[i] = f.Y[r]
		}
		want, err := Difference{}.Fit(t.Context(), f)
		require.NoError(t, err)
		value, se := m.difference(y)
		powerNear(t, want.Estimates[0].Value, value, 11)
		powerNear(t, want.Estimates[0].SE, se, 11)
		require.Equal(t, want.Estimates[0].Test.DF, m.df())
	}
}

// Without an effect 5 % are rejected, at the analytic effect 80 %, and the simulated
// smallest effect is near the analytic one: numbers and shares, with and without
// correlation.
func TestSimulatedPowerAgreesWithTheFormula(t *testing.T) {
	f := cohortOf(120)
	for _, e := range []Expected{{SD: 2}, {SD: 2, SetCorrelation: .4, ClusterCorrelation: .1}, {Share: .4, SetCorrelation: .3}, {Share: .4}} {
		p := Power{Expected: e, Level: .95, Power: .8}
		mde, err := p.In(f)
		require.NoError(t, err)
		o := SimulatedPower{Power: p, Replicates: 1500, Seed: 1}
		r, err := o.At(t.Context(), f, 0, mde)
		require.NoError(t, err)
		require.InDelta(t, .05, r[0].Share, .02, "%v", e)
		require.InDelta(t, .79, r[1].Share, .04, "%v", e) // Student's t on 59 degrees of freedom
		powerNear(t, math.Sqrt(r[1].Share*(1-r[1].Share)/1500), r[1].Error, 12)
		d, err := o.Detectable(t.Context(), f)
		require.NoError(t, err)
		require.InDelta(t, 1, d.Effect/mde, .1, "%v", e)
		require.GreaterOrEqual(t, d.Share, .8)
		require.InDelta(t, .8, d.Share, .01)
	}
}

// Few clusters that are treated as a whole: the formula promises what Student's t on few
// degrees of freedom does not give.
func TestSimulatedPowerSeesFewClusters(t *testing.T) {
	f := cohortOf(12)
	f.Set, f.Weight = nil, estimate.Weights{}
	for i := range f.Treated {
		f.Treated[i] = f.Cluster[i] < 3
	}
	p := Power{Expected: Expected{SD: 1, ClusterCorrelation: .2}, Level: .95, Power: .8}
	mde, err := p.In(f)
	require.NoError(t, err)
	o := SimulatedPower{Power: p, Replicates: 1000, Seed: 2}
	d, err := o.Detectable(t.Context(), f)
	require.NoError(t, err)
	require.Greater(t, d.Effect, mde*1.05)
}

func TestSimulatedPowerOptionsMatter(t *testing.T) {
	f := cohortOf(40)
	base := SimulatedPower{Power: Power{Expected: Expected{SD: 1}, Level: .95, Power: .8}, Replicates: 400, Seed: 1, Workers: 1}
	want, err := base.At(t.Context(), f, .3)
	require.NoError(t, err)
	other := base
	other.Workers = 5
	got, err := other.At(t.Context(), f, .3)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for name, change := range map[string]func(o *SimulatedPower){
		"seed":  func(o *SimulatedPower) { o.Seed = 2 },
		"b":     func(o *SimulatedPower) { o.Replicates = 900 },
		"level": func(o *SimulatedPower) { o.Level = .8 },
		"sd":    func(o *SimulatedPower) { o.SD = 2 },
		"set":   func(o *SimulatedPower) { o.SetCorrelation = .6 },
	} {
		o := base
		change(&o)
		got, err := o.At(t.Context(), f, .3)
		require.NoError(t, err)
		require.NotEqual(t, want, got, name)
	}
	// Another planned analysis is run as it is.
	o := base
	o.Planned = Difference{}
	got, err = o.At(t.Context(), f, .3)
	require.NoError(t, err)
	require.Equal(t, want, got)
	// Rows in another order are other sums, but the same people with the same outcomes.
	g := &estimate.Frame{Level: f.Level, Weight: estimate.Weights{Kind: f.Weight.Kind}}
	for i := range f.Unit {
		j := len(f.Unit) - 1 - i
		g.Unit, g.Treated, g.Set, g.Cluster = append(g.Unit, f.Unit[j]), append(g.Treated, f.Treated[j]), append(g.Set, f.Set[j]), append(g.Cluster, f.Cluster[j])
		g.Weight.Values, g.Y = append(g.Weight.Values, f.Weight.Values[j]), append(g.Y, 0)
	}
	base.SetCorrelation = .3
	a, err := base.At(t.Context(), f, .3)
	require.NoError(t, err)
	b, err := base.At(t.Context(), g, .3)
	require.NoError(t, err)
	require.Equal(t, a, b)
}

func TestSimulatedPowerErrors(t *testing.T) {
	f := cohortOf(10)
	for i, o := range []SimulatedPower{
		{Power: Power{Expected: Expected{SD: 1}, Level: .95, Power: .8}, Replicates: 5},
		{Power: Power{Level: .95, Power: .8}},
		{Power: Power{Expected: Expected{Share: .9}, Level: .95, Power: .8}},
	} {
		_, err := o.At(t.Context(), f, .2)
		require.ErrorIs(t, err, ErrOption, "%d", i)
	}
	require.InDelta(t, 0, latent(0, .3), 0)
	// Indicators at the median have correlation (2/π)·arcsin r.
	powerNear(t, math.Sin(.2*math.Pi/2), latent(.2, .5), 9)
}
