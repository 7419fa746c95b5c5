package sensitivity

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// p 1 (se 2), claim -20 (se 3), f ½, covariance 1: margin 10. Lower (1+10)/√(4+9/4-1), upper (10-1)/√(4+9/4+1).
func TestEquivalenceByHand(t *testing.T) {
	r, err := Equivalence{Placebo: 1, SE: 2, Claim: -20, ClaimSE: 3, Cov: 1, Share: .5, DF: 30, Level: .95}.Value()
	require.NoError(t, err)
	e := byTerm(r)
	require.InDelta(t, 11/math.Sqrt(5.25), e["lower"].Test.Stat, 1e-14)
	require.InDelta(t, 9/math.Sqrt(7.25), e["upper"].Test.Stat, 1e-14)
	require.InDelta(t, num.StudentTail(9/math.Sqrt(7.25), 30)/2, e["equivalence"].Test.P, 1e-15)
	require.Equal(t, 10., r.Details["margin"])
	// A fixed margin: lower (1+4)/2, upper (4-1)/2; the smallest margin is 1 + 2·z.95.
	r, err = Equivalence{Placebo: 1, SE: 2, Margin: 4, Level: .95}.Value()
	require.NoError(t, err)
	e = byTerm(r)
	require.InDelta(t, 2.5, e["lower"].Test.Stat, 1e-15)
	require.InDelta(t, num.NormalTail(1.5)/2, e["equivalence"].Test.P, 1e-16)
	require.InDelta(t, 1+2*num.NormalQuantile(.95), e["smallest"].Value, 1e-10)
	require.Equal(t, Shift, e["smallest"].Measure)
	// A placebo beyond the margin: nearly sure not to be equivalent.
	r, err = Equivalence{Placebo: 10, SE: 2, Margin: 4, Level: .95}.Value()
	require.NoError(t, err)
	require.InDelta(t, 1-num.NormalTail(3)/2, byTerm(r)["equivalence"].Test.P, 1e-15)
}

// At the smallest share the larger p-value is the level; the signs of both effects do not matter together.
func TestEquivalenceRelations(t *testing.T) {
	o := Equivalence{Placebo: .01, SE: .02, Claim: .2, ClaimSE: .03, Cov: .0002, Share: .5, Level: .9}
	r, err := o.Value()
	require.NoError(t, err)
	least := byTerm(r)["smallest"].Value
	at := o
	at.Share = least
	s, err := at.Value()
	require.NoError(t, err)
	require.InDelta(t, .1, byTerm(s)["equivalence"].Test.P, 1e-9)
	o.Placebo, o.Claim = -o.Placebo, -o.Claim
	m, err := o.Value()
	require.NoError(t, err)
	require.Equal(t, byTerm(r)["lower"].Test.Stat, byTerm(m)["upper"].Test.Stat)
	require.Equal(t, least, byTerm(m)["smallest"].Value)
	o.Level = .99
	m, err = o.Value()
	require.NoError(t, err)
	require.Greater(t, byTerm(m)["smallest"].Value, least)
	weak, err := Equivalence{Placebo: 1, SE: 1, Claim: 1, ClaimSE: 1, Share: .5, Level: .95}.Value()
	require.NoError(t, err)
	require.True(t, math.IsNaN(byTerm(weak)["smallest"].Value))
	require.Equal(t, "no-equivalence", weak.Notes[0].Code)
}

// On the margin the test rejects as often as its level says (400 draws, 5 % ± 3.59).
func TestEquivalenceSize(t *testing.T) {
	rejected := 0
	for rep := range 400 * sim.Factor {
		s := num.NewStream(2, "equivalence", uint64(rep))
		e0 := s.Normal()
		c := 10 + e0
		p := 3 + .6*e0 + .8*s.Normal() // the true placebo effect is 0.3 of the claimed
		r, err := Equivalence{Placebo: p, SE: 1, Claim: c, ClaimSE: 1, Cov: .6, Share: .3, Level: .95}.Value()
		require.NoError(t, err)
		if byTerm(r)["equivalence"].Test.P <= .05 {
			rejected++
		}
	}
	share := float64(rejected) / (400 * sim.Factor)
	sim.Share(t, "equivalence shown at its margin", share, 400*sim.Factor)
	require.InDelta(t, 0.05, share, 0.0359)
}

func TestEquivalenceRefuses(t *testing.T) {
	ok := Equivalence{Placebo: 1, SE: 1, Claim: 1, ClaimSE: 1, Share: .5, Level: .95}
	nan := math.NaN()
	for name, change := range map[string]func(o *Equivalence){
		"se":     func(o *Equivalence) { o.SE = 0 },
		"nan":    func(o *Equivalence) { o.Placebo = nan },
		"both":   func(o *Equivalence) { o.Margin = 1 },
		"none":   func(o *Equivalence) { o.Share = 0 },
		"margin": func(o *Equivalence) { o.Share, o.Margin = 0, 1 },
		"minus":  func(o *Equivalence) { o.Share = -1 },
		"claim":  func(o *Equivalence) { o.Claim = 0 },
		"cov":    func(o *Equivalence) { o.Cov = 2 },
		"df":     func(o *Equivalence) { o.DF = -1 },
		"level":  func(o *Equivalence) { o.Level = .5 },
	} {
		o := ok
		change(&o)
		_, err := o.Value()
		require.ErrorIs(t, err, ErrOption, name)
	}
}
