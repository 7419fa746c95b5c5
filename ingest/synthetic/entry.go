package synthetic

import "math"

// window is the number of months of history that participation may depend on.
const window = 24

// observed is all that the hazard of participation may depend on: what a register
// shows at the beginning of a month. The type has no room for the hidden frailty,
// which makes participation ignorable given observed history by construction.
type observed struct {
	months    [nStates]int16 // in each state during the 24 months before
	last      state          // in the month before
	age       int
	woman     bool
	abroad    bool
	education int
	county    int // index from 0
	year      int
	previous  int // participations ended before
}

// The coefficients of the hazard of participation, on the logit scale.
var (
	entryLast = [nStates]float64{
		work: -2.1, subsidised: -1.4, studies: -1.6, training: 0.10, rehab: 0.45, sickness: 0.05,
		disability: -2.6, activity: 0.65, social: 0.30, unemployment: 0.15, none: -0.10,
	}
	entryMonth = [nStates]float64{
		work: 0.030, sickness: 0.008, social: 0.012, rehab: 0.018, unemployment: 0.006, disability: -0.04,
	}
	entryEducation = [3]float64{compulsory: 0.25, secondary: 0, tertiary: -0.30}
)

const (
	entryBase   = -5.50
	entryWoman  = 0.16
	entryAbroad = 0.10
	entryAge    = -0.016 // a year from 40
	entryYear   = 0.05   // a year from 2014: a growing activity
	entryAgain  = 0.10   // has taken part before
	entryRule   = -0.20  // from 2016 on: a national change of rules
	ruleYear    = 2016
)

// hazard is the probability that participation starts this month in a municipality
// that is a member: logistic in what was observed, nothing else.
func (o *observed) hazard(countyPull []float64) float64 {
	x := entryBase + entryLast[o.last] + entryEducation[o.education] + countyPull[o.county]
	for s, b := range entryMonth {
		if b != 0 {
			x += float64(b * float64(o.months[s]))
		}
	}
	x += float64(entryWoman*indicator(o.woman)) + float64(entryAbroad*indicator(o.abroad))
	x += float64(entryAge*float64(o.age-40)) + float64(entryYear*float64(o.year-2014))
	if o.year >= ruleYear {
		x += entryRule
	}
	if o.previous > 0 {
		x += entryAgain
	}
	return 1 / (1 + math.Exp(-x))
}

// mayEnter says who can be recruited at all: working age, and not living on a job or a pension.
func (o *observed) mayEnter() bool { return o.age >= 18 && o.age <= 63 && !o.last.absorbing() }

// hazardBound is above every hazard, so that most months need no exponential. The
// largest terms: last state .65, 24 months of work .72, education .25, woman and
// abroad .26, age 18 .4, year and again 1.2, county pull .5.
func hazardBound() float64 { return logistic(entryBase + 0.65 + 0.72 + 0.25 + 0.26 + 0.4 + 1.2 + 0.5) }
