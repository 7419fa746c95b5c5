package progress

import (
	"math"
	"slices"

	"utfall/table"
)

// An Invariance is what was found out about whether questions mean the same to all.
type Invariance struct {
	Tested       bool // differential item functioning and response shift were tested
	Anchors      int  // items of the smallest dimension that were not flagged
	SignChanges  bool // the difference changes sign or significance without the flagged items
	SharedShift  bool // an item shifted alike in both groups
	DiffersShift bool // an item shifted in one group only
}

// Invariant is gate G5: the questions measure the same in both groups and at both times. A shift in
// one group only, or too few items that measure the same, stops the comparison of the groups; a shift that both
// share touches the level of the change and hardly the difference.
func Invariant(v Invariance) Gate {
	meaning := table.Note{
		Code: "gate-invariance", Text: "The questions must mean the same to both groups and at both times; else the answers moved, and perhaps not the people.",
	}
	switch {
	case !v.Tested:
		return decided("G5", "invariance", CannotTest, Cautioned, meaning)
	case v.Anchors < MinAnchors, v.SignChanges, v.DiffersShift:
		return decided("G5", "invariance", NotMet, WithinGroup, meaning)
	case v.SharedShift:
		return decided("G5", "invariance", NotMet, Cautioned, meaning)
	}
	return decided("G5", "invariance", Met, NoConsequence, meaning)
}

// Tipping is gate G6: those who did not answer would have to have fared worse by at least one important
// change (delta, in important changes; NaN if not known, +Inf if no delta tips it) before the interval covers 0.
func Tipping(delta float64) Gate {
	return gate("G6", "tipping", math.Abs(delta), MinTipping, true, Cautioned, table.Note{
		Code: "gate-tipping", Text: "How much worse must those who did not answer have fared for the conclusion to fall? If less than an important change does it, the conclusion hangs on people whom nobody heard.",
	})
}

// Response is gate G6: at least 60 % answered in the arm where fewest did. Below 40 % nothing is shown.
func Response(participants, comparison float64) Gate {
	least := math.Min(participants, comparison)
	g := gate("G6", "response", least, MinResponse, true, Cautioned, table.Note{
		Code: "gate-response", Text: "At least 60% must have answered both times; under 40% nothing is shown.",
	})
	if least < LeastResponse {
		g.Consequence = NotShown
	}
	return g
}

// ResponseGap is gate G6: response differs by at most 10 percentage points between the arms.
func ResponseGap(participants, comparison float64) Gate {
	return gate("G6", "response-gap", math.Abs(participants-comparison), MaxResponseGap, false, Cautioned, table.Note{
		Code: "gate-response-gap", Text: "Participants and comparison people must answer about as often: to answer can itself be an effect of the programme.",
	})
}

// Orders is gate G7: net months have the same sign under every declared order of the steps.
func Orders(c OrderCheck) Gate {
	status := map[Verdict]GateStatus{Agree: Met, Disagree: NotMet, NotChecked: CannotTest}[c.Verdict]
	cons := Cautioned
	if status == NotMet {
		cons = NoDirection
	}
	return decided("G7", "orders", status, cons, table.Note{
		Code: "gate-orders", Text: "The conclusion must not hang on how disputed steps are ordered; all orders were declared beforehand.",
	})
}

// DominatesAt reports whether first-order dominance was shown at every one of the times: then any
// increasing points for the steps give the same sign there.
func DominatesAt(d []Dominance, times ...float64) bool {
	for _, t := range times {
		if !slices.ContainsFunc(d, func(x Dominance) bool { return x.Time == t && x.Shown }) {
			return false
		}
	}
	return len(times) > 0
}

// ArmSize is gate G8: at least 15 persons in each arm.
func ArmSize(participants, comparison int) Gate {
	return gate("G8", "arm-size", float64(min(participants, comparison)), MinArm, true, NotShown, table.Note{
		Code: "gate-arm-size", Text: "With fewer than 15 people in a group no effect is shown: add people, or start years, to the group.",
	}).counted()
}

// EventCount is gate G8: a rate rests on at least 10 events.
func EventCount(events int) Gate {
	return gate("G8", "events", float64(events), MinExits, true, NotShown, table.Note{
		Code: "gate-events", Text: "With fewer than 10 events no rate is shown: follow people for longer, or join groups.",
	}).counted()
}
