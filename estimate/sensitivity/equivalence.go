package sensitivity

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// The scales of the numbers of [Equivalence].
const (
	EquivalenceTest estimate.Measure = "equivalence-test"
	ShareOfClaim    estimate.Measure = "share-of-effect"
)

// Equivalence tests whether a placebo effect p is small beside the claimed effect c:
// within ±f·|c|. An interval that holds 0 does not show that, only a narrow one does. Two
// one-sided tests, with s the sign of c,
//
//	lower: t = (p + f|c|)/√(v_p + f²v_c + 2fs·cov),  upper: t = (f|c| - p)/√(v_p + f²v_c - 2fs·cov)
//
// each with its upper tail of Student's t on DF; the error of c counts, because the margin
// is estimated. With Margin the margin is that number and v_c = cov = 0.
//
// The estimates are the terms "lower" and "upper" (the distances to the margin with their
// one-sided tests), "equivalence" (the one of the larger p-value; it is small where
// equivalence is shown) and "smallest" (measure share-of-effect, or shift with Margin:
// the smallest f or margin at which equivalence is shown at 1 - Level, one-sided; NaN with note
// "no-equivalence" where there is none).
//
// Errors: [ErrOption].
//
// Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657–680.
type Equivalence struct {
	Placebo, SE    float64
	Claim, ClaimSE float64 // with Share
	Cov            float64 // of the two estimates
	Share          float64 // f, above 0; 0 means Margin is given
	Margin         float64 // instead of Share
	DF             float64 // 0 means the normal distribution
	Level          float64
}

// Value returns the estimates.
func (o Equivalence) Value() (*estimate.Result, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("equivalence: %w", err)
	}
	df := o.DF
	if df == 0 {
		df = math.Inf(1)
	}
	f, term := o.Share, ShareOfClaim
	if f == 0 {
		f, term = o.Margin, Shift
	}
	lower, upper, p := o.tests(f, df)
	worst := lower
	if upper.Test.P > lower.Test.P {
		worst = upper
	}
	worst.Term = "equivalence"
	res := &estimate.Result{Method: "equivalence", Fit: estimate.Convergence{Converged: true}, Details: map[string]any{"p_value": p, "margin": o.margin(f)}}
	least := o.least(df)
	res.Estimates = []estimate.Estimate{lower, upper, worst, bare("smallest", term, least)}
	if math.IsNaN(least) {
		res.Notes = append(res.Notes, table.Note{Code: "no-equivalence",
			Text: "No margin shows equivalence: the claimed effect is itself too uncertain to measure the placebo by it."})
	}
	return res, nil
}

func (o Equivalence) check() error {
	finite := func(v ...float64) bool {
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return false
			}
		}
		return true
	}
	bad := func(text string) error { return fmt.Errorf("%w: %s", ErrOption, text) }
	switch {
	case !finite(o.Placebo, o.SE) || o.SE <= 0:
		return bad("the placebo effect needs a finite estimate and a standard error above 0")
	case (o.Share == 0) == (o.Margin == 0):
		return bad("give the share of the claimed effect, or a margin")
	case !(o.Share >= 0) || !(o.Margin >= 0) || !finite(o.Share, o.Margin):
		return bad("the share or the margin must be a finite number above 0")
	case o.Margin > 0 && (o.Claim != 0 || o.ClaimSE != 0 || o.Cov != 0):
		return bad("a margin stands by itself: no claimed effect goes with it")
	case o.Share > 0 && (!finite(o.Claim, o.ClaimSE, o.Cov) || o.Claim == 0 || o.ClaimSE <= 0):
		return bad("the claimed effect needs a finite estimate other than 0 and a standard error above 0")
	case o.Share > 0 && math.Abs(o.Cov) > o.SE*o.ClaimSE*(1+1e-9):
		return bad("the covariance is larger than the standard errors allow")
	case !(o.DF >= 0):
		return bad("degrees of freedom below 0")
	case !(o.Level > 0.5 && o.Level < 1):
		return bad("level must be between 0.5 and 1")
	}
	return nil
}

func (o Equivalence) margin(f float64) float64 {
	if o.Share == 0 {
		return f
	}
	return f * math.Abs(o.Claim)
}

// tests returns both one-sided tests at the share (or margin) f and the larger p-value.
func (o Equivalence) tests(f, df float64) (lower, upper estimate.Estimate, p float64) {
	s, vc := math.Copysign(1, o.Claim), f*f*o.ClaimSE*o.ClaimSE
	if o.Share == 0 {
		vc = 0
	}
	cross := 2 * f * s * o.Cov
	one := func(term string, distance, v float64) estimate.Estimate {
		e := bare(term, EquivalenceTest, distance)
		e.SE = math.Sqrt(math.Max(v, 0))
		e.Test = estimate.Test{Stat: distance / e.SE, DF: df}
		e.Test.P = upperStudent(e.Test.Stat, df)
		return e
	}
	base := float64(o.SE*o.SE) + vc
	lower = one("lower", o.Placebo+o.margin(f), base+cross)
	upper = one("upper", o.margin(f)-o.Placebo, base-cross)
	return lower, upper, math.Max(lower.Test.P, upper.Test.P)
}

// upperStudent is P(T > t), from the near tail.
func upperStudent(t, df float64) float64 {
	switch {
	case math.IsNaN(t):
		return math.NaN()
	case t < 0:
		return 1 - num.StudentTail(t, df)/2
	}
	return num.StudentTail(t, df) / 2
}

// least finds the share or margin from which on equivalence is shown: the larger p-value
// falls as it grows.
func (o Equivalence) least(df float64) float64 {
	scale := math.Abs(o.Placebo) + o.SE
	if o.Share > 0 {
		scale /= math.Abs(o.Claim)
	}
	shown := func(f float64) bool { _, _, p := o.tests(f, df); return p <= 1-o.Level }
	lo, hi := 0.0, math.NaN()
	for f := scale * 1e-3; f < scale*1e6; f *= 1.25 {
		if shown(f) {
			hi = f
			break
		}
		lo = f
	}
	if math.IsNaN(hi) {
		return hi
	}
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if shown(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}
