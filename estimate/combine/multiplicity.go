package combine

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
)

// Holm returns the p-values of m tests adjusted so that the chance of any false
// rejection is at most the level (family-wise error), whatever their dependence: with
// p₍₁₎ ≤ … ≤ p₍ₘ₎
//
//	p̃₍ᵢ₎ = max over j ≤ i of min(1, (m-j+1)·p₍ⱼ₎)
//
// in the order of p. It is never larger than Bonferroni's m·p.
//
// Errors: [estimate.ErrTooFew] (no test), [estimate.ErrInvalidFrame] (a number outside
// [0, 1]).
//
// Source: Holm (1979), Scandinavian Journal of Statistics 6(2).
func Holm(p []float64) ([]float64, error) {
	return adjusted(p, func(m, rank int) float64 { return float64(m - rank) }, true)
}

// BenjaminiHochberg returns adjusted p-values whose rejection at q keeps the expected
// share of false rejections among all rejections (false discovery rate) at or below q,
// for independent or positively dependent tests:
//
//	p̃₍ᵢ₎ = min over j ≥ i of min(1, m/j·p₍ⱼ₎)
//
// Errors as [Holm]. Source: Benjamini and Hochberg (1995), JRSS-B 57(1).
func BenjaminiHochberg(p []float64) ([]float64, error) {
	return adjusted(p, func(m, rank int) float64 { return float64(m) / float64(rank+1) }, false)
}

// BenjaminiYekutieli is [BenjaminiHochberg] for any dependence: its p-values times
// 1 + 1/2 + … + 1/m.
//
// Errors as [Holm]. Source: Benjamini and Yekutieli (2001), Annals of Statistics 29(4).
func BenjaminiYekutieli(p []float64) ([]float64, error) {
	harmonic := 0.0
	for i := len(p); i > 0; i-- {
		harmonic += 1 / float64(i)
	}
	return adjusted(p, func(m, rank int) float64 { return harmonic * float64(m) / float64(rank+1) }, false)
}

// adjusted multiplies the p-value of each rank (from 0) by its factor and makes the
// result monotone, from the smallest up (a running maximum) or from the largest down.
func adjusted(p []float64, factor func(m, rank int) float64, up bool) ([]float64, error) {
	if len(p) == 0 {
		return nil, fmt.Errorf("%w: a family without a test", estimate.ErrTooFew)
	}
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			return nil, fmt.Errorf("%w: the p-value of test %d of %d is not between 0 and 1", estimate.ErrInvalidFrame, i+1, len(p))
		}
	}
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(p[a], p[b]) })
	out := make([]float64, len(p))
	last := 0.0
	if !up {
		last = 1
	}
	for i := range order {
		rank := i
		if !up {
			rank = len(p) - 1 - i
		}
		v := math.Min(1, factor(len(p), rank)*p[order[rank]])
		if up {
			last = math.Max(last, v)
		} else {
			last = math.Min(last, v)
		}
		out[order[rank]] = last
	}
	return out, nil
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
