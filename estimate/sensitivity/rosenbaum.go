package sensitivity

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// The scales of the numbers of [Rosenbaum].
const (
	PUpper     estimate.Measure = "p-upper"
	PLower     estimate.Measure = "p-lower"
	ShiftMin   estimate.Measure = "hl-min"
	ShiftMax   estimate.Measure = "hl-max"
	LimitMin   estimate.Measure = "interval-min"
	LimitMax   estimate.Measure = "interval-max"
	GammaValue estimate.Measure = "gamma"
)

// Rosenbaum bounds what a matched-pair comparison can say when a hidden cause makes one
// of two alike people up to Γ times as likely (in odds) to be treated. With d the
// differences treated - control, the probability that the treated one of a pair is the
// one with the higher outcome lies between 1/(1+Γ) and Γ/(1+Γ) if treatment does nothing.
//
// For a number outcome Wilcoxon's signed rank W = Σ rank(|d|)·1{d>0} over the pairs with
// d ≠ 0, mean ranks for ties, and, without continuity correction,
//
//	z(p) = (W - p·Σr)/√(p(1-p)·Σr²),  p-upper = P(Z > z(Γ/(1+Γ))),  p-lower = P(Z > z(1/(1+Γ)))
//
// The Hodges–Lehmann bounds are the shifts τ that make W(d-τ), over all pairs, equal to
// p·n(n+1)/2: with a zero of d-τ counted half, W is #{i≤j: (dᵢ+dⱼ)/2 > τ} + ½·#{= τ}, so
// that hl-min is the order statistic of the n(n+1)/2 means of two with Γ/(1+Γ) of them
// above, hl-max with 1/(1+Γ) (the middle of two where a whole number falls between).
// The interval for that shift, of level f.Level at each Γ, is the same with c ± z·√(p(1-p)n(n+1)(2n+1)/6)
// of them above: interval-min and interval-max; NaN with note "interval-unbounded" where so few pairs give none.
//
// For an outcome of 0 and 1 only (Binary) McNemar's exact test: b pairs where only the
// treated one has 1 of m that differ, p = P(Binomial(m, p) ≥ b) at the same two p.
//
// The tests are one-sided: Alternative "greater" (default) that treatment raises the
// outcome, "less" that it lowers it; the shifts do not depend on it. Terms "gamma=G", measures p-upper, p-lower,
// hl-min, hl-max, interval-min, interval-max (no shifts with Binary), then "sensitivity-value", measure gamma: the
// largest Γ at which p-upper ≤ 1 - f.Level; NaN where p-upper exceeds it at Γ = 1.
// Details: test, n_nonzero and W (or discordant_treated_only, discordant_control_only),
// rows signed_rank with z_upper and z_lower, hodges_lehmann or mcnemar_binary.
//
// It reads f.Y, f.Treated, f.Set. A set with one of the two missing and a unit in no set
// (-1) are left out and counted. Weights and clusters: [estimate.ErrWeights] and
// [ErrOption]. A set of more than two: [ErrNotPairs]. No pair with a difference:
// [estimate.ErrTooFew].
//
// Source: Rosenbaum (2002), Observational Studies, chapter 4; sensitivity value: Zhao (2019).
type Rosenbaum struct {
	Gamma       []float64 // each at least 1; nil means 1, 1.5, 2, 3
	Alternative string    // "greater" or "less"; "" is greater
	Binary      bool      // the outcome is 0 or 1
}

var _ estimate.Estimator = Rosenbaum{}

// SignedRankBound is a row of the details.
type SignedRankBound struct {
	Gamma  float64 `json:"gamma"`
	Pairs  int     `json:"n_nonzero"`
	W      float64 `json:"W"`
	PUpper float64 `json:"p_upper"`
	PLower float64 `json:"p_lower"`
	ZUpper float64 `json:"z_upper"`
	ZLower float64 `json:"z_lower"`
}

// ShiftBound is a row of the details.
type ShiftBound struct {
	Gamma float64 `json:"gamma"`
	Min   float64 `json:"hl_min"`
	Max   float64 `json:"hl_max"`
	Lower float64 `json:"interval_min"`
	Upper float64 `json:"interval_max"`
}

// McNemarBound is a row of the details.
type McNemarBound struct {
	Gamma       float64 `json:"gamma"`
	TreatedOnly int     `json:"discordant_treated_only"`
	ControlOnly int     `json:"discordant_control_only"`
	PUpper      float64 `json:"p_upper_exact"`
	PLower      float64 `json:"p_lower_exact"`
}

// Fit implements [estimate.Estimator].
func (o Rosenbaum) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("rosenbaum bounds: %w", err)
	}
	return res, nil
}

func (o Rosenbaum) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	gammas, err := o.check(f)
	if err != nil {
		return nil, err
	}
	d, notes, err := differences(f)
	if err != nil {
		return nil, err
	}
	sign := 1.0
	if o.Alternative == "less" {
		sign = -1
	}
	res := &estimate.Result{Method: "rosenbaum", Notes: notes, Fit: estimate.Convergence{Converged: true},
		N: estimate.Counts{Units: 2 * len(d), Treated: len(d), Sets: len(d)}}
	var tail func(p float64) float64
	if o.Binary {
		tail, err = o.mcnemar(d, sign, gammas, f, res)
	} else {
		tail, err = o.signedRank(ctx, d, sign, gammas, f.Level, res)
	}
	if err != nil {
		return nil, err
	}
	res.Estimates = append(res.Estimates, bare("sensitivity-value", GammaValue, breakdown(tail, 1-f.Level)))
	if p := tail(0.5); p > 0.5 {
		res.Notes = append(res.Notes, table.Note{Code: "other-direction", Args: map[string]any{"p": p},
			Text: "The pairs lean the other way than the one-sided alternative; --alternative names the other side."})
	}
	return res, nil
}

func (o Rosenbaum) check(f *estimate.Frame) ([]float64, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	switch {
	case o.Alternative != "" && o.Alternative != "greater" && o.Alternative != "less":
		return nil, fmt.Errorf("%w: alternative %q; known are greater and less", ErrOption, o.Alternative)
	case f.Weight.Values != nil:
		return nil, fmt.Errorf("%w: bounds for pairs use none", estimate.ErrWeights)
	case f.Cluster != nil:
		return nil, fmt.Errorf("%w: bounds for pairs do not use clusters", ErrOption)
	case f.Treated == nil || f.Set == nil:
		return nil, fmt.Errorf("%w: treatment and matched sets are needed", estimate.ErrInvalidFrame)
	}
	gammas := o.Gamma
	if gammas == nil {
		gammas = []float64{1, 1.5, 2, 3}
	}
	for i, g := range gammas {
		if !(g >= 1) || math.IsInf(g, 0) {
			return nil, fmt.Errorf("%w: gamma %v is not a finite number of at least 1", ErrOption, g)
		}
		if slices.Contains(gammas[:i], g) {
			return nil, fmt.Errorf("%w: gamma %v is given twice", ErrOption, g)
		}
	}
	return gammas, nil
}

// differences returns treated less control of each pair, ascending, so that sums do not
// depend on the order of the pairs.
func differences(f *estimate.Frame) ([]float64, []table.Note, error) {
	type pair struct {
		y [2]float64
		n [2]int
	}
	pairs := map[int]*pair{}
	none := 0
	for i, s := range f.Set {
		if s < 0 {
			none++
			continue
		}
		p := pairs[s]
		if p == nil {
			p = &pair{}
			pairs[s] = p
		}
		arm := 0
		if f.Treated[i] {
			arm = 1
		}
		p.y[arm] = f.Y[i]
		p.n[arm]++
	}
	var d []float64
	half, large := 0, 0
	for _, p := range pairs {
		switch {
		case p.n[0] == 1 && p.n[1] == 1:
			d = append(d, p.y[1]-p.y[0])
		case p.n[0]+p.n[1] > 2:
			large++
		default:
			half++
		}
	}
	if large > 0 {
		return nil, nil, fmt.Errorf("%w: %d of %d sets have more than two units; match one to one", ErrNotPairs, large, len(pairs))
	}
	if len(d) == 0 {
		return nil, nil, fmt.Errorf("%w: no pair with both a treated and a comparison unit", estimate.ErrTooFew)
	}
	slices.Sort(d)
	var notes []table.Note
	if none > 0 {
		notes = append(notes, table.Note{Code: "units-in-no-pair", Text: fmt.Sprintf("%d units are in no matched pair and were left out.", none), Args: map[string]any{"units": none}})
	}
	if half > 0 {
		notes = append(notes, table.Note{Code: "pairs-incomplete", Text: fmt.Sprintf("%d matched sets lack the treated or the comparison unit and were left out.", half), Args: map[string]any{"sets": half}})
	}
	return d, notes, nil
}

func (o Rosenbaum) signedRank(ctx context.Context, d []float64, sign float64, gammas []float64, level float64, res *estimate.Result) (func(float64) float64, error) {
	w, sum, squares, n := signedRanks(d, sign)
	if n == 0 {
		return nil, fmt.Errorf("%w: no pair of %d has a difference", estimate.ErrTooFew, len(d))
	}
	z := func(p float64) float64 { return (w - float64(p*sum)) / math.Sqrt(p*(1-p)*squares) }
	tail := func(p float64) float64 { return upperNormal(z(p)) }
	var tests []SignedRankBound
	var shifts []ShiftBound
	unbounded := 0
	for _, g := range gammas {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		up, down := g/(1+g), 1/(1+g)
		t := SignedRankBound{Gamma: g, Pairs: n, W: w, PUpper: tail(up), PLower: tail(down), ZUpper: z(up), ZLower: z(down)}
		s := ShiftBound{Gamma: g, Min: shift(d, up), Max: shift(d, down)}
		s.Lower, s.Upper = shiftLimits(d, up, level)
		if math.IsNaN(s.Lower) {
			unbounded++
		}
		tests, shifts = append(tests, t), append(shifts, s)
		term := fmt.Sprintf("gamma=%v", g)
		res.Estimates = append(res.Estimates, bare(term, PUpper, t.PUpper), bare(term, PLower, t.PLower), bare(term, ShiftMin, s.Min), bare(term, ShiftMax, s.Max),
			bare(term, LimitMin, s.Lower), bare(term, LimitMax, s.Upper))
	}
	if n < 20 {
		res.Notes = append(res.Notes, table.Note{Code: "few-pairs", Text: fmt.Sprintf("Only %d pairs differ: the normal approximation of the signed rank is rough.", n), Args: map[string]any{"pairs": n}})
	}
	if unbounded > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "interval-unbounded", Args: map[string]any{"gammas": unbounded},
			Text: fmt.Sprintf("At %d values of gamma the pairs are too few for an interval of the shift with two limits.", unbounded)})
	}
	res.Details = map[string]any{"test": "signed-rank", "n_nonzero": n, "W": w, "signed_rank": tests, "hodges_lehmann": shifts}
	return tail, nil
}

// signedRanks returns W, Σr and Σr² over the n differences that are not 0; d ascending.
func signedRanks(d []float64, sign float64) (w, sum, squares float64, n int) {
	var size []float64
	var positive []bool
	order := make([]int, 0, len(d))
	for i, v := range d {
		if v != 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := math.Abs(d[a]), math.Abs(d[b]); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	for _, i := range order {
		size, positive = append(size, math.Abs(d[i])), append(positive, d[i]*sign > 0)
	}
	n = len(size)
	for lo := 0; lo < n; {
		hi := lo + 1
		for hi < n && size[hi] == size[lo] {
			hi++
		}
		r := float64(lo+hi+1) / 2
		for i := lo; i < hi; i++ {
			sum += r
			squares += float64(r * r)
			if positive[i] {
				w += r
			}
		}
		lo = hi
	}
	return w, sum, squares, n
}

// upperNormal is P(Z > z), from the near tail.
func upperNormal(z float64) float64 {
	if z < 0 {
		return 1 - num.NormalTail(z)/2
	}
	return num.NormalTail(z) / 2
}

// breakdown is the largest Γ with tail(Γ/(1+Γ)) ≤ alpha; NaN if there is none.
func breakdown(tail func(p float64) float64, alpha float64) float64 {
	lo, hi := 0.5, 1.0
	if tail(lo) > alpha {
		return math.NaN()
	}
	// The tail grows with p: to the last bit of p, about 60 steps.
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if tail(mid) <= alpha {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo / (1 - lo)
}
