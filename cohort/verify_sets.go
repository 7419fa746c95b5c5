package cohort

import (
	"fmt"
	"math"
)

// VerifyWritten re-checks sets and weights as they are about to be written, by [VerifySets]
// or, with replacement, by [VerifyPairWeights].
func (m *Matched) VerifyWritten(treated []bool, aim string) error {
	if m.Replaced {
		return VerifyPairWeights(treated, m.Pairs, m.Weight, aim)
	}
	return VerifySets(treated, m.Set, m.Weight, aim)
}

// VerifySets re-checks the sets and weights of a cohort without replacement by any method, as
// they are about to be written: every set has units of both groups, within a set a group
// has one weight, and with n₁ treated and n₀ untreated in a set the weights are
//
//	att  c₁ and c₀·n₁/n₀      atc  c₁·n₀/n₁ and c₀      ate  c₁·(n₁+n₀)/n₁ and c₀·(n₁+n₀)/n₀
//
// of a treated and an untreated unit, c₁ and c₀ the same in all sets. Units in no set (0)
// have weight 0. aim is the estimand that the design was for, before anybody was left
// out. A breach is [ErrConstraint].
func VerifySets(treated []bool, set []int, weight []float64, aim string) error {
	n := len(treated)
	if len(set) != n || len(weight) != n {
		return fmt.Errorf("%w: %d sets and %d weights for %d units", ErrConstraint, len(set), len(weight), n)
	}
	last := 0
	for i, s := range set {
		switch {
		case s < 0:
			return fmt.Errorf("%w: unit %d is in set %d", ErrConstraint, i+1, s)
		case s == 0 && weight[i] != 0:
			return fmt.Errorf("%w: unit %d is in no set and has a weight", ErrConstraint, i+1)
		}
		last = max(last, s)
	}
	count := make([][2]float64, last+1)
	for i, s := range set {
		count[s][arm(treated[i])]++
	}
	var scale [2]float64 // what weights are over what the sets give
	for i, s := range set {
		if s == 0 {
			continue
		}
		c := count[s]
		if c[0] == 0 || c[1] == 0 {
			return fmt.Errorf("%w: set %d lacks one of the groups", ErrConstraint, s)
		}
		a := arm(treated[i])
		want := 1.0
		switch {
		case aim == ATE:
			want = (c[0] + c[1]) / c[a]
		case a == arm(aim == ATC): // not the group that the effect is about
			want = c[1-a] / c[a]
		}
		ratio := weight[i] / want
		if scale[a] == 0 {
			scale[a] = ratio
		}
		if !(ratio > 0) || math.IsInf(ratio, 1) || !(math.Abs(ratio-scale[a]) <= 1e-9*scale[a]) {
			return fmt.Errorf("%w: the weight of unit %d is not the one that its set gives", ErrConstraint, i+1)
		}
	}
	if scale[0] == 0 {
		return fmt.Errorf("%w: there is no set", ErrConstraint)
	}
	return nil
}

// VerifyPairWeights re-checks the weights of a cohort matched with replacement as they are
// about to be written: 1 for units served, for partners one factor times Σ 1/k over the
// units that they serve, k the partners of such a unit, and 0 for all others. Pairs are
// rows (treated, untreated). A breach is [ErrConstraint].
func VerifyPairWeights(treated []bool, pairs [][2]int, weight []float64, aim string) error {
	n := len(treated)
	if len(weight) != n || len(pairs) == 0 {
		return fmt.Errorf("%w: %d weights and %d pairs for %d units", ErrConstraint, len(weight), len(pairs), n)
	}
	served := arm(aim != ATC)
	partners, share := make([]float64, n), make([]float64, n)
	for i, p := range pairs {
		if min(p[0], p[1]) < 0 || max(p[0], p[1]) >= n || !treated[p[0]] || treated[p[1]] {
			return fmt.Errorf("%w: pair %d is not of a treated and an untreated unit", ErrConstraint, i+1)
		}
		partners[p[1-served]]++
	}
	for _, p := range pairs {
		share[p[served]] += 1 / partners[p[1-served]]
	}
	factor := 0.0
	for i, w := range weight {
		want := math.Min(partners[i], 1)
		if share[i] > 0 {
			if factor == 0 {
				factor = w / share[i]
			}
			want = factor * share[i]
		}
		if !(w >= 0) || math.IsInf(w, 1) || !(math.Abs(w-want) <= 1e-9*(1+want)) || (w == 0) != (partners[i] == 0 && share[i] == 0) {
			return fmt.Errorf("%w: the weight of unit %d is not the one that its pairs give", ErrConstraint, i+1)
		}
	}
	return nil
}
