package progress

import (
	"math"

	"utfall/estimate"
	"utfall/table"
)

// GoalCorrelation is the correlation between a person's goals that the score supposes.
const GoalCorrelation = 0.3

// GoalAttainment is the T score of one person's goals, for the talk between a person and a caseworker:
//
//	T = 50 + 10·Σw·x/√((1 − ρ)·Σw² + ρ·(Σw)²),  ρ = .3
//
// with x from −2 (much less than expected) to 2 (much more) and w the weight of each goal, above 0; nil weighs all alike. All goals
// as expected give 50.
//
// The levels are ranks, and who sets the goals decides how hard they are, so that 50 is the expectation by construction and easy goals
// cannot be told from progress: T is never compared between groups ([CompareGoals] says so). The level reached, judged by somebody who
// does not know the group, may be compared as steps ([Wins]).
//
// Errors: [estimate.ErrInvalidFrame]. Kiresuk and Sherman (1968).
func GoalAttainment(x, w []float64) (float64, error) {
	if len(x) == 0 || w != nil && len(w) != len(x) {
		return 0, invalid("%d goals with %d weights", len(x), len(w))
	}
	var sum, total, squares float64
	for i, v := range x {
		if v != math.Trunc(v) || v < -2 || v > 2 {
			return 0, invalid("goal %d: the level is a whole number from −2 to 2", i+1)
		}
		weight := 1.0
		if w != nil {
			weight = w[i]
		}
		if !(weight > 0) || math.IsInf(weight, 1) {
			return 0, invalid("goal %d: a weight is above 0", i+1)
		}
		sum, total, squares = sum+float64(weight*v), total+weight, squares+float64(weight*weight)
	}
	return 50 + 10*sum/math.Sqrt((1-GoalCorrelation)*squares+GoalCorrelation*total*total), nil
}

// CompareGoals is the answer to any comparison of T scores between groups, associations or years.
func CompareGoals() Finding {
	return Finding{
		Kind: Refused, Word: NothingIsSaid, Interval: estimate.Interval{Lo: math.NaN(), Hi: math.NaN()},
		Reason: &table.Note{Code: "goals-not-comparable", Text: "Goals are as hard as those who set them made them, so that easy goals cannot be told from progress: goal scores are not compared between groups."},
		Fix:    &table.Note{Code: "fix-goals", Text: "Let somebody who does not know the group judge the level reached in a sample of people, and compare the levels."},
	}
}
