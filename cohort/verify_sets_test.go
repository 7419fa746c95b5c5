package cohort

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

// By hand: sets {t,c}, {t,c,c} and {t,t,c}, one control outside. att: 1 for treated, 1, ½
// and 2 times one factor for untreated; atc: 1, 2 and ½ times one factor for treated; ate:
// 2, 3 and 3/2 for treated, 2, 3/2 and 3 for untreated, times a factor each.
func TestVerifySetsByHand(t *testing.T) {
	treated := []bool{true, false, true, false, false, true, true, false, false}
	set := []int{1, 1, 2, 2, 2, 3, 3, 3, 0}
	good := map[string][]float64{
		ATT: {1, 0.8, 1, 0.4, 0.4, 1, 1, 1.6, 0},
		ATC: {3, 1, 6, 1, 1, 1.5, 1.5, 1, 0},
		ATE: {2, 4, 3, 3, 3, 1.5, 1.5, 6, 0},
	}
	for aim, w := range good {
		require.NoError(t, VerifySets(treated, set, w, aim), aim)
		for other, v := range good {
			if other != aim {
				require.ErrorIs(t, VerifySets(treated, set, v, aim), ErrConstraint, "%s for %s", other, aim)
			}
		}
		for i := range w {
			for _, bad := range []float64{w[i] + 0.01, -w[i] - 1e-3, math.NaN(), math.Inf(1)} {
				v := slices.Clone(w)
				v[i] = bad
				require.ErrorIs(t, VerifySets(treated, set, v, aim), ErrConstraint, "%s: weight %d is %g", aim, i, bad)
			}
		}
	}
	w := good[ATT]
	change := func(at, to int) []int { s := slices.Clone(set); s[at] = to; return s }
	require.ErrorContains(t, VerifySets(treated, change(1, 0), w, ATT), "no set and has a weight")
	require.ErrorContains(t, VerifySets(treated, change(0, 4), w, ATT), "lacks one of the groups")
	require.ErrorContains(t, VerifySets(treated, change(3, -1), w, ATT), "set -1")
	require.ErrorContains(t, VerifySets(treated, change(3, 1), w, ATT), "its set gives")
	require.ErrorContains(t, VerifySets(treated, set[1:], w, ATT), "8 sets")
	require.ErrorContains(t, VerifySets(treated, set, w[1:], ATT), "8 weights")
	require.ErrorContains(t, VerifySets(treated, make([]int, 9), make([]float64, 9), ATT), "no set")
}

// By hand: t1 has c1 and c2, t2 has c2: shares ½ and 3/2, factor 2/2.
func TestVerifyPairWeightsByHand(t *testing.T) {
	treated := []bool{true, true, false, false, false}
	pairs := [][2]int{{0, 2}, {0, 3}, {1, 3}}
	w := []float64{1, 1, 0.5, 1.5, 0}
	require.NoError(t, VerifyPairWeights(treated, pairs, w, ATT))
	require.ErrorIs(t, VerifyPairWeights(treated, pairs, w, ATC), ErrConstraint)
	// c1 has t1, c2 has t1 and t2: t1 1 + ½, t2 ½, times 2/2.
	require.NoError(t, VerifyPairWeights(treated, pairs, []float64{1.5, 0.5, 1, 1, 0}, ATC))
	for i := range w {
		for _, bad := range []float64{w[i] + 0.01, -1, math.NaN(), 0, math.Inf(1)} {
			v := slices.Clone(w)
			if v[i] = bad; bad != w[i] {
				require.ErrorIs(t, VerifyPairWeights(treated, pairs, v, ATT), ErrConstraint, "weight %d is %g", i, bad)
			}
		}
	}
	for _, p := range [][2]int{{2, 0}, {0, 1}, {2, 3}, {-1, 2}, {0, 5}} {
		require.ErrorContains(t, VerifyPairWeights(treated, [][2]int{p}, w, ATT), "not of a treated")
	}
	require.ErrorIs(t, VerifyPairWeights(treated, nil, w, ATT), ErrConstraint)
	require.ErrorIs(t, VerifyPairWeights(treated, pairs, w[1:], ATT), ErrConstraint)
}

// What every method gives has passed, and one weight changed has not.
func TestVerifySetsOfEveryMethod(t *testing.T) {
	p := smooth(num.NewStream(51, "sets", 0), 150)
	for i := range p.group {
		p.group[i] = string(rune('a' + i%3))
	}
	tab := p.table(t)
	for _, x := range everyMethod() {
		if x.m == nil {
			continue
		}
		m, err := x.m.Match(t.Context(), tab, x.d)
		require.NoError(t, err)
		aim := ATT
		switch {
		case x.name == "nearest score, atc":
			aim = ATC
		case x.name == "full, ate" || x.name == "subclass, ate":
			aim = ATE
		}
		check := func(w []float64) error {
			changed := *m
			changed.Weight = w
			return changed.VerifyWritten(p.treat, aim)
		}
		require.NoError(t, check(m.Weight), x.name)
		w := slices.Clone(m.Weight)
		w[slices.IndexFunc(w, func(v float64) bool { return v > 0 })] *= 1.001
		if !slices.Equal(w, m.Weight) && m.Counts.Sets > 1 {
			require.ErrorIs(t, check(w), ErrConstraint, x.name)
		}
	}
}
