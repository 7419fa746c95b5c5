package sensitivity

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/table"
)

// RiskRatio and EValueMeasure are the scales of the numbers of [EValue].
const (
	RiskRatio     estimate.Measure = "risk-ratio"
	EValueMeasure estimate.Measure = "e-value"
)

// EValue is the smallest risk ratio that a hidden cause must have with both treatment
// and outcome, beyond the measured covariates, to move a ratio to Null:
//
//	E = R + √(R·(R-1)), R = r or 1/r, whichever is at least 1, r = RR/Null
//
// The measure becomes a risk ratio first: rr as it is; or and hr as they are when the
// outcome is rare, else RR = √OR and RR = (1-½^√HR)/(1-½^√(1/HR)); smd RR = exp(0.91·d).
// The E-value of the interval is that of the limit nearer to Null, and 1 when the
// interval holds Null. With StdError an smd has the limits exp(0.91·d ∓ 1.78·se), the
// published 95% interval; without, exp(0.91·limit). A difference of shares rd becomes
// (Baseline + rd)/Baseline, limits alike (below 0: 0), a difference of means md the smd md/SD.
//
// The estimates are the term "rr" (measure risk-ratio, with its interval), "point" and,
// where an interval was given, "interval" (measure e-value). They have no standard error:
// an E-value is a statement about a limit, not a random quantity of its own.
// Details: rr, lo, hi, evalue_point, evalue_ci.
//
// Errors: [ErrOption].
//
// Source: VanderWeele and Ding (2017), Annals of Internal Medicine 167:268–274.
type EValue struct {
	Measure         string  // "rr", "or", "hr", "smd", "rd" or "md"
	Estimate        float64 // a ratio above 0, or a difference
	Baseline        float64 // rd: the comparison group's share, in (0, 1)
	SD              float64 // md: the outcome's standard deviation within groups, above 0
	ConfLow, ConfHi float64 // limits of its interval; both NaN = none
	StdError        float64 // of d, instead of limits; NaN = none
	Rare            bool    // the outcome is rare (under 15% at the end of follow-up): or and hr only
	Null            float64 // risk ratio that the hidden cause should leave; 0 means 1
	Level           float64 // of the interval
}

// Value returns the estimates.
func (o EValue) Value() (*estimate.Result, error) {
	res, err := o.value()
	if err != nil {
		return nil, fmt.Errorf("e-value: %w", err)
	}
	return res, nil
}

func (o EValue) value() (*estimate.Result, error) {
	null := o.Null
	if null == 0 {
		null = 1
	}
	if err := o.check(null); err != nil {
		return nil, err
	}
	rr, lo, hi := o.ratio(o.Estimate), o.ratio(o.ConfLow), o.ratio(o.ConfHi)
	clipped := o.Measure == "rd" && lo < 0
	if clipped {
		lo = 0
	}
	if !math.IsNaN(o.StdError) {
		d, half := 0.91*o.Estimate, 1.78*o.StdError
		lo, hi = math.Exp(d-half), math.Exp(d+half)
	}
	point, limit := eValue(rr/null), math.NaN()
	switch {
	case math.IsNaN(lo):
	case lo <= null && hi >= null:
		limit = 1
	case rr > null:
		limit = eValue(lo / null)
	default:
		limit = eValue(hi / null)
	}
	ratio := bare("rr", RiskRatio, rr)
	res := &estimate.Result{Method: "evalue", Fit: estimate.Convergence{Converged: true}}
	res.Estimates = []estimate.Estimate{ratio, bare("point", EValueMeasure, point)}
	if !math.IsNaN(lo) {
		res.Estimates[0].CI = estimate.Interval{Lo: lo, Hi: hi, Level: o.Level, Method: "converted"}
		res.Estimates = append(res.Estimates, bare("interval", EValueMeasure, limit))
	}
	res.Details = map[string]any{"rr": rr, "lo": lo, "hi": hi, "null": null, "evalue_point": point, "evalue_ci": limit}
	if clipped {
		res.Notes = append(res.Notes, table.Note{Code: "limit-clipped", Text: "The lower limit of the difference lies below a share of 0; its ratio is taken as 0."})
	}
	if (o.Measure == "or" || o.Measure == "hr") && !o.Rare {
		res.Notes = append(res.Notes, table.Note{Code: "ratio-converted",
			Text: "The outcome is taken as common (15% or more): the ratio was turned into an approximate risk ratio first. With a rare outcome say so."})
	}
	return res, nil
}

func (o EValue) check(null float64) error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...))
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	limits := !math.IsNaN(o.ConfLow) || !math.IsNaN(o.ConfHi)
	switch o.Measure {
	case "rr", "or", "hr", "smd", "rd", "md":
	default:
		return bad("measure %q; known are rr, or, hr, smd, rd and md", o.Measure)
	}
	switch {
	case !finite(o.Estimate) || o.ratioScale() && o.Estimate <= 0:
		return bad("the estimate of measure %s must be a finite number%s", o.Measure, o.above0())
	case o.Measure == "rd" && !(o.Baseline > 0 && o.Baseline < 1):
		return bad("measure rd needs the comparison group's share, between 0 and 1")
	case o.Measure == "rd" && !(o.Baseline+o.Estimate > 0 && o.Baseline+o.Estimate <= 1):
		return bad("share and difference together must lie above 0 and not above 1")
	case o.Measure != "rd" && o.Baseline != 0:
		return bad("the comparison group's share goes with measure rd")
	case o.Measure == "md" && (!finite(o.SD) || o.SD <= 0):
		return bad("measure md needs the outcome's standard deviation, above 0")
	case o.Measure != "md" && o.SD != 0:
		return bad("a standard deviation goes with measure md")
	case o.Rare && o.Measure != "or" && o.Measure != "hr":
		return bad("rare says how an odds or hazard ratio is read; measure %s does not use it", o.Measure)
	case !finite(null) || null <= 0:
		return bad("null must be a risk ratio above 0")
	case limits && (!finite(o.ConfLow) || !finite(o.ConfHi)):
		return bad("an interval has two finite limits")
	case limits && o.ratioScale() && o.ConfLow <= 0:
		return bad("the limits of measure %s must be above 0", o.Measure)
	case limits && !(o.ConfLow <= o.Estimate && o.Estimate <= o.ConfHi):
		return bad("the estimate must lie between the limits of its interval")
	case math.IsNaN(o.StdError):
		return nil
	case o.Measure != "smd":
		return bad("a standard error goes with measure smd; give the limits of the interval")
	case limits:
		return bad("give the limits of the interval or the standard error, not both")
	case !finite(o.StdError) || o.StdError <= 0:
		return bad("the standard error must be a finite number above 0")
	case o.Level != 0.95:
		return bad("the published interval from a standard error is for level 0.95; give the limits for another")
	}
	return nil
}

// ratioScale says that the measure is a ratio; the others are differences.
func (o EValue) ratioScale() bool { return o.Measure == "rr" || o.Measure == "or" || o.Measure == "hr" }

func (o EValue) above0() string {
	if o.ratioScale() {
		return " above 0"
	}
	return ""
}

// ratio is the risk ratio of a number on the scale of the measure.
func (o EValue) ratio(v float64) float64 {
	switch {
	case o.Measure == "smd":
		return math.Exp(0.91 * v)
	case o.Measure == "md":
		return math.Exp(0.91 * v / o.SD)
	case o.Measure == "rd":
		return (o.Baseline + v) / o.Baseline
	case o.Measure == "or" && !o.Rare:
		return math.Sqrt(v)
	case o.Measure == "hr" && !o.Rare:
		// 1 - ½^x = -expm1(-x·ln 2), which keeps its digits for a small ratio.
		return math.Expm1(-math.Ln2*math.Sqrt(v)) / math.Expm1(-math.Ln2*math.Sqrt(1/v))
	}
	return v
}

func eValue(r float64) float64 {
	if r < 1 {
		r = 1 / r
	}
	return r + math.Sqrt(r*(r-1))
}

// bare is a number without standard error, interval or test.
func bare(term string, m estimate.Measure, v float64) estimate.Estimate {
	nan := math.NaN()
	return estimate.Estimate{Term: term, Measure: m, Value: v, SE: nan, CI: estimate.Interval{Lo: nan, Hi: nan}, Test: estimate.Test{Stat: nan, DF: nan, P: nan}}
}
