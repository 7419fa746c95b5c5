package effect

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func powerNear(t *testing.T, want, got float64, digits reftest.Digits) {
	t.Helper()
	if d := reftest.LRE(got, want); d < digits {
		t.Errorf("got %.17g, want %.17g", got, want)
	}
}

// 50 treated, 150 others, SD 2: the plain formula; sets with correlation .36 multiply it
// by √.64; clusters of mean 10 with CV .5 and ι .04 by √(1 + 11.5·.04).
func TestPowerByHand(t *testing.T) {
	p := Power{Expected: Expected{SD: 2}, Level: .95, Power: .8}
	plain, err := MinimumDetectable(50, 150, 2, .95, .8)
	require.NoError(t, err)
	got, err := p.Of(Comparison{Treated: 50, Control: 150})
	require.NoError(t, err)
	powerNear(t, plain, got, 14)
	p.SetCorrelation = .36
	got, err = p.Of(Comparison{Treated: 50, Control: 150})
	require.NoError(t, err)
	powerNear(t, .8*plain, got, 14)
	p.SetCorrelation, p.ClusterCorrelation = 0, .04
	got, err = p.Of(Comparison{Treated: 50, Control: 150, ClusterSize: 10, ClusterSizeVariety: .5})
	require.NoError(t, err)
	powerNear(t, math.Sqrt(1+11.5*.04)*plain, got, 14)
	// At the effect itself the power is .8, but for the wrong tail.
	reach, err := p.Reach(Comparison{Treated: 50, Control: 150, ClusterSize: 10, ClusterSizeVariety: .5}, got)
	require.NoError(t, err)
	require.InDelta(t, .8, reach, 1e-6)
	require.Greater(t, reach, .8)
	reach, err = p.Reach(Comparison{Treated: 50, Control: 150, ClusterSize: 10, ClusterSizeVariety: .5}, 0)
	require.NoError(t, err)
	powerNear(t, .05, reach, 12)
}

// A share of .3 in 100 against 100: δ solves δ = 2.8016·√((.3+δ)(.7-δ)/100 + .21/100);
// down from .3 the spread is smaller and so is the effect.
func TestPowerOfShares(t *testing.T) {
	p := Power{Expected: Expected{Share: .3}, Level: .95, Power: .8}
	up, err := p.Of(Comparison{Treated: 100, Control: 100})
	require.NoError(t, err)
	z := num.NormalQuantile(.975) + num.NormalQuantile(.8)
	powerNear(t, z*math.Sqrt((.3+up)*(.7-up)/100+.0021), up, 13)
	p.Lower = true
	down, err := p.Of(Comparison{Treated: 100, Control: 100})
	require.NoError(t, err)
	powerNear(t, z*math.Sqrt((.3+down)*(.7-down)/100+.0021), -down, 13)
	require.Less(t, -down, up)
	_, err = p.Of(Comparison{Treated: 5, Control: 5})
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	_, err = p.Reach(Comparison{Treated: 50, Control: 50}, -.4)
	require.ErrorIs(t, err, ErrOption)
}

// cohortOf are sets of one treated and one or two others, two sets to a cluster.
func cohortOf(sets int) *estimate.Frame {
	f := &estimate.Frame{Level: .95, Weight: estimate.Weights{Kind: estimate.Matching}}
	for s := range sets {
		n := 1 + s%2
		for j := range n + 1 {
			f.Unit = append(f.Unit, fmt.Sprintf("s%03d/%d", s, j))
			f.Treated = append(f.Treated, j == 0)
			w := 1.0
			if j > 0 {
				w = 1 / float64(n)
			}
			f.Weight.Values = append(f.Weight.Values, w)
			f.Set = append(f.Set, s)
			f.Cluster = append(f.Cluster, s/2)
		}
	}
	f.Y = make([]float64, len(f.Unit))
	return f
}

// Four sets, of one and two others in turn: Σa² = 4/16 + (2 + 4·1/4)/16 = 7/16. In a set
// Σa = 0, so that a set correlation takes its share of the variance away; clusters hold
// whole sets, and so does theirs.
func TestPowerInACohortByHand(t *testing.T) {
	f := cohortOf(4)
	z := num.NormalQuantile(.975) + num.NormalQuantile(.8)
	for _, c := range []struct{ rho, icc, want float64 }{{0, 0, 7. / 16}, {.3, 0, .7 * 7 / 16}, {.3, .2, .5 * 7 / 16}} {
		p := Power{Expected: Expected{SD: 3, SetCorrelation: c.rho, ClusterCorrelation: c.icc}, Level: .95, Power: .8}
		got, err := p.In(f)
		require.NoError(t, err)
		powerNear(t, z*3*math.Sqrt(c.want), got, 13)
		reach, err := p.ReachIn(f, got)
		require.NoError(t, err)
		require.InDelta(t, .8, reach, 1e-5)
	}
	// Clusters that are treated or not as a whole: Kish's design effect.
	g := &estimate.Frame{Level: .95}
	for c := range 8 {
		for j := range 5 {
			g.Unit = append(g.Unit, fmt.Sprint(c, "-", j))
			g.Treated, g.Cluster = append(g.Treated, c < 4), append(g.Cluster, c)
		}
	}
	p := Power{Expected: Expected{SD: 1, ClusterCorrelation: .1}, Level: .95, Power: .8}
	got, err := p.In(g)
	require.NoError(t, err)
	want, err := p.Of(Comparison{Treated: 20, Control: 20, ClusterSize: 5})
	require.NoError(t, err)
	powerNear(t, want, got, 13)
}

func TestPowerErrors(t *testing.T) {
	ok := Power{Expected: Expected{SD: 1}, Level: .95, Power: .8}
	c := Comparison{Treated: 10, Control: 10}
	for i, x := range []struct {
		change func(p *Power, c *Comparison)
		is     error
	}{
		{func(p *Power, c *Comparison) { p.Share = .2 }, ErrOption},
		{func(p *Power, c *Comparison) { p.SD = 0 }, ErrOption},
		{func(p *Power, c *Comparison) { p.SD = -1 }, ErrOption},
		{func(p *Power, c *Comparison) { p.SD, p.Share = 0, 1.2 }, ErrOption},
		{func(p *Power, c *Comparison) { p.Level = 1 }, ErrOption},
		{func(p *Power, c *Comparison) { p.Power = 0 }, ErrOption},
		{func(p *Power, c *Comparison) { p.Power = .01 }, ErrOption},
		{func(p *Power, c *Comparison) { p.Lower = true }, ErrOption},
		{func(p *Power, c *Comparison) { p.SetCorrelation = -.1 }, ErrOption},
		{func(p *Power, c *Comparison) { p.SetCorrelation = 1 }, ErrOption},
		{func(p *Power, c *Comparison) { p.ClusterCorrelation = .1 }, ErrOption},
		{func(p *Power, c *Comparison) { c.ClusterSize = 4 }, ErrOption},
		{func(p *Power, c *Comparison) { p.ClusterCorrelation, c.ClusterSize, c.ClusterSizeVariety = .1, 4, -1 }, ErrOption},
		{func(p *Power, c *Comparison) { p.ClusterCorrelation, p.SetCorrelation, c.ClusterSize = .1, .1, 4 }, ErrOption},
		{func(p *Power, c *Comparison) { p.SetCorrelation, c.Control = .1, 5 }, ErrOption},
		{func(p *Power, c *Comparison) { c.Treated = 1 }, ErrOption},
	} {
		p, d := ok, c
		x.change(&p, &d)
		_, err := p.Of(d)
		require.ErrorIs(t, err, x.is, "%d", i)
	}
	f := cohortOf(4)
	f.Set = nil
	ok.SetCorrelation = .1
	_, err := ok.In(f)
	require.ErrorIs(t, err, ErrOption)
}
