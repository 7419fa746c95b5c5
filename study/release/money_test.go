package release

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// By hand: 10 of 19 is over half, with .69 of the squares; 5 of 19 is not. Two of 46 and ten of .8 are 92 of 100. Nobody is no cell.
func TestDominatedByHand(t *testing.T) {
	ones := func(n int, v float64, more ...float64) []float64 {
		return append(slices.Repeat([]float64{v}, n), more...)
	}
	for name, c := range map[string]struct {
		amounts []float64
		want    bool
	}{
		"over half":            {ones(8, 0, 10, 4, 4, 1), true},
		"under half":           {ones(10, 1, 5, 4), false},
		"two over nine tenths": {ones(10, .8, 46, 46), true},
		"two at nine tenths":   {ones(10, 1, 45, 45), false},
		"paid out":             {ones(8, 0, -10, -4, 4, 1), true},
		"both ways":            {[]float64{5, -5, 4, -4, 3, -3, 2, 1}, false}, // 5 of 27
		"nobody":               {ones(10, 0), false},
		"all alike":            {ones(10, 3), false},
		// 100 of 10 and one of 900 is .47 of the sum, but all but none of the squares.
		"squares": {ones(100, 10, 900), true},
	} {
		require.Equal(t, c.want, dominated(c.amounts), name)
	}
}

// Money that few make up is withheld, and a payer that is withheld alone takes another with it: the total less the others gives none.
func TestMoneyIsWithheld(t *testing.T) {
	p := Policy{MinCount: 10, RoundTo: 5}
	even := slices.Repeat([]float64{3, 4}, 50)
	on := func(treated, control []float64) Basis {
		return Basis{Treated: 100, Control: 100, DF: infinite, Money: NewMoney(treated, control)}
	}
	few := append(slices.Repeat([]float64{0}, 96), 1, 1, 1, 1)
	e := estimate.Wald("payer=a", estimate.MeanDifference, 5, 1, infinite, .95)
	for name, c := range map[string]struct {
		basis Basis
		why   Why
	}{
		"shown":           {on(even, even), ""},
		"few":             {on(even, few), FewContributors},
		"nobody":          {on(even, make([]float64, 100)), ""},
		"dominated":       {on(append(slices.Repeat([]float64{1}, 99), 500), even), Dominance},
		"few people, too": {Basis{Treated: 3, Control: 100, DF: infinite, Money: NewMoney(even[:3], even)}, BelowMinimum},
	} {
		out, _ := p.Estimate("costs", e, c.basis)
		require.Equal(t, c.why, out.Why, name)
	}
	out, _, err := p.Series("costs/payer", []estimate.Estimate{e, e, e}, []Basis{on(even, few), on(even, even), on(even[:50], even)}, true)
	require.NoError(t, err)
	shown := 0
	for _, x := range out {
		if x.Shown {
			shown++
		}
	}
	require.Equal(t, 1, shown)
}
