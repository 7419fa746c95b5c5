package sensitivity

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

func close14(t *testing.T, want, got float64) {
	t.Helper()
	if d := reftest.LRE(got, want); d < 14 {
		t.Errorf("got %.17g, want %.17g", got, want)
	}
}

func evalues(t *testing.T, o EValue) (rr, point, interval float64) {
	t.Helper()
	r, err := o.Value()
	require.NoError(t, err)
	interval = math.NaN()
	if len(r.Estimates) == 3 {
		require.Equal(t, "interval", r.Estimates[2].Term)
		interval = r.Estimates[2].Value
	}
	return r.Estimates[0].Value, r.Estimates[1].Value, interval
}

// Of RR 2: 2 + √(2·1). Of the limit 3/2: 3/2 + √(3/2·1/2) = (3+√3)/2.
func TestEValueByHand(t *testing.T) {
	nan := math.NaN()
	base := EValue{Measure: "rr", Estimate: 2, ConfLow: 1.5, ConfHi: 4, StdError: nan, Level: .95}
	rr, p, i := evalues(t, base)
	close14(t, 2, rr)
	close14(t, 2+math.Sqrt2, p)
	close14(t, (3+math.Sqrt(3))/2, i)

	turned := base // a protective ratio is the other way round
	turned.Estimate, turned.ConfLow, turned.ConfHi = .5, .25, 1/1.5
	_, p, i = evalues(t, turned)
	close14(t, 2+math.Sqrt2, p)
	close14(t, (3+math.Sqrt(3))/2, i)

	crossing := base
	crossing.ConfLow = .9
	_, _, i = evalues(t, crossing)
	close14(t, 1, i)

	none := base
	none.ConfLow, none.ConfHi = nan, nan
	_, _, i = evalues(t, none)
	require.True(t, math.IsNaN(i))

	null := base // to move 2 to 1.6 takes what moves 1.25 to 1: 1.25+√(1.25/4); 1.5 lies beyond 1.6, so the interval holds it
	null.Null = 1.6
	_, p, i = evalues(t, null)
	close14(t, 1.25+math.Sqrt(.3125), p)
	close14(t, 1, i)
}

func TestEValueScales(t *testing.T) {
	nan := math.NaN()
	of := func(measure string, v float64, rare bool) float64 {
		rr, _, _ := evalues(t, EValue{Measure: measure, Estimate: v, ConfLow: nan, ConfHi: nan, StdError: nan, Rare: rare, Level: .95})
		return rr
	}
	close14(t, 2, of("or", 4, false))
	close14(t, 4, of("or", 4, true))
	close14(t, 4, of("hr", 4, true))
	close14(t, .75/(1-math.Sqrt(.5)), of("hr", 4, false)) // (1-½²)/(1-½^½)
	close14(t, math.Exp(.91), of("smd", 1, false))
	r, err := EValue{Measure: "smd", Estimate: 1, ConfLow: nan, ConfHi: nan, StdError: .5, Level: .95}.Value()
	require.NoError(t, err)
	close14(t, math.Exp(.02), r.Estimates[0].CI.Lo)
	close14(t, math.Exp(1.8), r.Estimates[0].CI.Hi)
	r, err = EValue{Measure: "smd", Estimate: 1, ConfLow: .5, ConfHi: 2, StdError: nan, Level: .9}.Value()
	require.NoError(t, err)
	close14(t, math.Exp(.455), r.Estimates[0].CI.Lo)
	require.Equal(t, .9, r.Estimates[0].CI.Level)
	r, err = EValue{Measure: "or", Estimate: 2, ConfLow: nan, ConfHi: nan, StdError: nan, Level: .95}.Value()
	require.NoError(t, err)
	require.Equal(t, "ratio-converted", r.Notes[0].Code)
}

func TestEValueRefuses(t *testing.T) {
	nan := math.NaN()
	for name, o := range map[string]EValue{
		"measure":      {Measure: "rd", Estimate: 2, ConfLow: nan, ConfHi: nan, StdError: nan},
		"negative":     {Measure: "rr", Estimate: -2, ConfLow: nan, ConfHi: nan, StdError: nan},
		"not a number": {Measure: "smd", Estimate: nan, ConfLow: nan, ConfHi: nan, StdError: nan},
		"one limit":    {Measure: "rr", Estimate: 2, ConfLow: 1, ConfHi: nan, StdError: nan},
		"outside":      {Measure: "rr", Estimate: 2, ConfLow: 3, ConfHi: 4, StdError: nan},
		"low limit":    {Measure: "rr", Estimate: 2, ConfLow: -1, ConfHi: 4, StdError: nan},
		"rare rr":      {Measure: "rr", Estimate: 2, ConfLow: nan, ConfHi: nan, StdError: nan, Rare: true},
		"null":         {Measure: "rr", Estimate: 2, ConfLow: nan, ConfHi: nan, StdError: nan, Null: -1},
		"se of rr":     {Measure: "rr", Estimate: 2, ConfLow: nan, ConfHi: nan, StdError: .1, Level: .95},
		"se and ci":    {Measure: "smd", Estimate: 2, ConfLow: 1, ConfHi: 3, StdError: .1, Level: .95},
		"se level":     {Measure: "smd", Estimate: 2, ConfLow: nan, ConfHi: nan, StdError: .1, Level: .9},
		"se 0":         {Measure: "smd", Estimate: 2, ConfLow: nan, ConfHi: nan, StdError: 0, Level: .95},
	} {
		_, err := o.Value()
		require.ErrorIs(t, err, ErrOption, name)
	}
}

// Shares .2 and .3: RR 3/2, limits (.2+.1∓.05)/.2 = 5/4 and 7/4. A mean 3 higher with SD 6 is d = ½.
func TestEValueOfDifferences(t *testing.T) {
	nan := math.NaN()
	o := EValue{Measure: "rd", Estimate: .1, ConfLow: .05, ConfHi: .15, StdError: nan, Baseline: .2, Level: .95}
	rr, p, i := evalues(t, o)
	close14(t, 1.5, rr)
	close14(t, 1.5+math.Sqrt(.75), p)
	close14(t, 1.25+math.Sqrt(1.25*.25), i)
	o.Estimate, o.ConfLow, o.ConfHi = -.1, -.25, -.05 // ½ with limit ¾ on the near side
	rr, p, i = evalues(t, o)
	close14(t, .5, rr)
	close14(t, 2+math.Sqrt2, p)
	close14(t, 4./3+math.Sqrt(4./9), i)
	r, err := o.Value()
	require.NoError(t, err)
	require.Equal(t, "limit-clipped", r.Notes[0].Code)
	require.Equal(t, 0., r.Estimates[0].CI.Lo)
	rr, _, i = evalues(t, EValue{Measure: "md", Estimate: 3, ConfLow: 1.2, ConfHi: 4.8, StdError: nan, SD: 6, Level: .95})
	close14(t, math.Exp(.455), rr)
	_, same, _ := evalues(t, EValue{Measure: "rr", Estimate: math.Exp(.182), ConfLow: nan, ConfHi: nan, StdError: nan})
	close14(t, same, i)
	for _, bad := range []EValue{
		{Measure: "rd", Estimate: .1}, {Measure: "rd", Estimate: .1, Baseline: 1}, {Measure: "rd", Estimate: -.2, Baseline: .2}, {Measure: "rd", Estimate: .9, Baseline: .2},
		{Measure: "rr", Estimate: 2, Baseline: .2}, {Measure: "md", Estimate: 2}, {Measure: "smd", Estimate: 2, SD: 1}, {Measure: "md", Estimate: 2, SD: -1},
	} {
		bad.ConfLow, bad.ConfHi, bad.StdError = nan, nan, nan
		_, err := bad.Value()
		require.ErrorIs(t, err, ErrOption)
	}
}
