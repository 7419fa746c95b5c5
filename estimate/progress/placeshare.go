package progress

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"utfall/estimate"
	"utfall/internal/num"
)

// PlaceShare asks how much of a score goes with the place (office, municipality, rater) that people belong to: with score = place +
// person, both normal with variances σ_a² and σ_e²,
//
//	ρ = σ_a²/(σ_a² + σ_e²) = (B − W)/(B + (n₀ − 1)W),  n₀ = (N − Σn_i²/N)/(a − 1)
//
// from the mean squares B between and W within a places of n_i people. The interval is exact (Wald): with λ = σ_a²/σ_e² and
// w_i = n_i/(1 + n_i·λ), Σ w_i(ȳ_i − ȳ_w)²/((a − 1)W) has the F distribution on a − 1 and N − a degrees of freedom. A negative
// value is not cut off: it says that places differ less than chance would have it.
//
// Estimate: places (reliability), the F test of no difference, no standard error. Details: places, smallest, largest (people),
// mean_squares.
//
// Errors: [estimate.ErrTooFew] below 2 places or where no place has two people; [estimate.ErrNotIdentified] without differences
// within places; [estimate.ErrInvalidFrame].
//
// Fisher (1925); Wald (1940).
type PlaceShare struct{}

// Placed are scores of people in places.
type Placed struct {
	Unit  []string // n, unique
	Y     []float64
	Place []int // n, any numbers
	Level float64
}

// Fit estimates from scores, which it does not change.
func (e PlaceShare) Fit(_ context.Context, s *Placed) (*estimate.Result, error) {
	n := len(s.Unit)
	if len(s.Y) != n || len(s.Place) != n {
		return nil, invalid("%d people, %d scores, %d places", n, len(s.Y), len(s.Place))
	}
	if !(s.Level > 0 && s.Level < 1) {
		return nil, invalid("confidence level %v is not between 0 and 1", s.Level)
	}
	for i, v := range s.Y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, &estimate.RowError{Row: i, Err: invalid("the score is not a finite number")}
		}
	}
	order := byUnit(s.Unit)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.Place[a], s.Place[b]) })
	var size, mean []float64
	within := 0.0
	for lo := 0; lo < n; {
		hi := lo
		var y []float64
		for hi < n && s.Place[order[hi]] == s.Place[order[lo]] {
			y = append(y, s.Y[order[hi]])
			hi++
		}
		m := num.Sum(y) / float64(len(y))
		for i, v := range y {
			y[i] = (v - m) * (v - m)
		}
		within += num.Sum(y)
		size, mean = append(size, float64(hi-lo)), append(mean, m)
		lo = hi
	}
	a, N := float64(len(size)), float64(n)
	if a < 2 || N <= a {
		return nil, fmt.Errorf("share of places: %w: %d people in %d places", estimate.ErrTooFew, n, len(size))
	}
	W := within / (N - a)
	if !(W > 0) {
		return nil, fmt.Errorf("share of places: %w: within places all scores are the same", estimate.ErrNotIdentified)
	}
	// ratio falls in λ, from infinity at −1/max(n) to 0.
	ratio := func(lambda float64) float64 {
		w, sum, total := make([]float64, len(size)), 0.0, 0.0
		for i, k := range size {
			w[i] = k / (1 + float64(k*lambda))
			total += w[i]
			sum += float64(w[i] * mean[i])
		}
		grand, squares := sum/total, 0.0
		for i := range size {
			d := mean[i] - grand
			squares += float64(w[i] * d * d)
		}
		return squares / ((a - 1) * W)
	}
	squares := 0.0
	for _, k := range size {
		squares += float64(k * k)
	}
	n0 := (N - squares/N) / (a - 1)
	F := ratio(0)
	B := F * W
	est := estimate.Estimate{Term: "places", Measure: ReliabilityCoefficient, Value: (B - W) / (B + float64((n0-1)*W)), SE: math.NaN(), CI: noInterval()}
	est.Test = estimate.Test{Stat: F, DF: N - a, P: fTail(F, a-1, N-a)}
	if F > 0 {
		p := 0.5 + s.Level/2
		lowest := -1 / slices.Max(size)
		est.CI = estimate.Interval{Level: s.Level, Method: "F",
			Lo: asShare(solveFalling(ratio, quantileF(p, a-1, N-a), lowest)), Hi: asShare(solveFalling(ratio, 1/quantileF(p, N-a, a-1), lowest))}
	}
	return &estimate.Result{Method: "place-share", Estimates: []estimate.Estimate{est}, N: estimate.Counts{Units: n, Clusters: len(size)}, Fit: estimate.Convergence{Converged: true},
		Details: map[string]any{"places": len(size), "smallest": int(slices.Min(size)), "largest": int(slices.Max(size)), "mean_squares": map[string]float64{"between": B, "within": W}}}, nil
}

// fTail is P(F > f) on a and b degrees of freedom.
func fTail(f, a, b float64) float64 { return mathext.RegIncBeta(b/2, a/2, b/(b+a*f)) }

func asShare(lambda float64) float64 { return lambda / (1 + lambda) }

// solveFalling finds where a function that falls from infinity at lowest to 0 has a value.
func solveFalling(f func(float64) float64, value, lowest float64) float64 {
	lo, hi := lowest, 1.0
	for f(hi) > value && hi < 1e12 {
		lo, hi = hi, hi*4
	}
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if f(mid) > value {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}
