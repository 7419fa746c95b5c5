package sensitivity

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"

	"utfall/estimate"
	"utfall/internal/num"
)

// shift returns the τ at which the share p of the n(n+1)/2 means of two differences
// (each with itself too) lies above τ; d ascending. No mean is stored: 28,500 pairs have
// 406 million of them.
func shift(d []float64, p float64) float64 {
	n := float64(len(d))
	m := n * (n + 1) / 2
	c := p * m
	whole := math.Round(c)
	if math.Abs(c-whole) > 1e-12*m {
		return largest(d, math.Ceil(c))
	}
	// A whole number: any τ between two means does, and the middle is taken.
	a, b := largest(d, whole), largest(d, whole+1)
	return a + (b-a)/2
}

// shiftLimits inverts the signed-rank test at p = Γ/(1+Γ) and 1-p: the shifts that neither
// side rejects at (1-level)/2. NaN where the sample rejects no shift.
func shiftLimits(d []float64, p, level float64) (lower, upper float64) {
	n := float64(len(d))
	m := n * (n + 1) / 2
	c := float64(p*m) + num.NormalQuantile((1+level)/2)*math.Sqrt(p*(1-p)*n*(n+1)*(2*n+1)/6)
	k := math.Floor(c) + 1 // fewer than c means lie above
	if k > m {
		return math.NaN(), math.NaN()
	}
	return largest(d, k), largest(d, m+1-k)
}

// largest returns the k-th largest mean of two, 1 ≤ k, by bisection over the floats: at
// most 64 counts.
func largest(d []float64, k float64) float64 {
	lo, hi := key(d[0]), key(d[len(d)-1]) // the means lie between
	for lo < hi {
		mid := lo + (hi-lo)/2
		if above(d, float(mid)) <= k-1 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return float(lo)
}

// above counts the means of two that exceed τ.
func above(d []float64, tau float64) float64 {
	count := 0.0
	j := len(d) - 1
	for i := range d {
		for j >= 0 && mean2(d[i], d[j]) > tau {
			j--
		}
		// All partners beyond j exceed τ with d[i]; those before i were counted from the other side.
		count += float64(len(d) - 1 - max(j, i-1))
	}
	return count
}

func mean2(a, b float64) float64 { return a/2 + b/2 }

// key orders the floats as whole numbers; float is its inverse.
func key(v float64) uint64 {
	b := math.Float64bits(v + 0) // -0 becomes 0
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func float(k uint64) float64 {
	if k>>63 == 1 {
		return math.Float64frombits(k &^ (1 << 63))
	}
	return math.Float64frombits(^k)
}

// mcnemar fills in the exact bounds of an outcome of 0 and 1.
func (o Rosenbaum) mcnemar(d []float64, sign float64, gammas []float64, f *estimate.Frame, res *estimate.Result) (func(float64) float64, error) {
	for i, y := range f.Y {
		if y != 0 && y != 1 {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: an outcome other than 0 and 1", ErrOption)}
		}
	}
	treated, control := 0, 0
	for _, v := range d {
		switch {
		case v > 0:
			treated++
		case v < 0:
			control++
		}
	}
	m := treated + control
	if m == 0 {
		return nil, fmt.Errorf("%w: no pair of %d has a difference", estimate.ErrTooFew, len(d))
	}
	b := treated
	if sign < 0 {
		b = control
	}
	tail := func(p float64) float64 { // P(Binomial(m, p) ≥ b)
		if b == 0 {
			return 1
		}
		return mathext.RegIncBeta(float64(b), float64(m-b+1), p)
	}
	var rows []McNemarBound
	for _, g := range gammas {
		r := McNemarBound{Gamma: g, TreatedOnly: treated, ControlOnly: control, PUpper: tail(g / (1 + g)), PLower: tail(1 / (1 + g))}
		rows = append(rows, r)
		term := fmt.Sprintf("gamma=%v", g)
		res.Estimates = append(res.Estimates, bare(term, PUpper, r.PUpper), bare(term, PLower, r.PLower))
	}
	res.Details = map[string]any{"test": "mcnemar", "discordant_treated_only": treated, "discordant_control_only": control, "mcnemar_binary": rows}
	return tail, nil
}
