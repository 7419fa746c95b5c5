package progress

import (
	"encoding/json"
	"math"

	"utfall/estimate"
	"utfall/table"
)

// A GateStatus says whether a claim has passed a gate.
type GateStatus string

// The statuses. What cannot be tested has not been passed.
const (
	Met        GateStatus = "met"
	NotMet     GateStatus = "not-met"
	CannotTest GateStatus = "cannot-be-tested"
)

// A Consequence is what a gate that is not met does to what may be said.
type Consequence string

// The consequences, from mild to hard.
const (
	NoConsequence   Consequence = ""
	Cautioned       Consequence = "caution"       // shown beside the gate's sentence
	NoDirection     Consequence = "no-direction"  // all orders are shown; neither better nor worse is said
	Unconfirmed     Consequence = "unconfirmed"   // a forecast with a wider interval and this word
	NotCausal       Consequence = "not-causal"    // at most an association
	OnlyDescription Consequence = "description"   // figures of a group, no contrast
	WithinGroup     Consequence = "within-groups" // each group by itself, no comparison between them
	NotShown        Consequence = "refused"
)

// A Gate is one test that a claim has to pass, with what it was decided by. Value is
// compared with Limit (at least it if AtLeast, else at most); both NaN where the check has
// no single number. Consequence is empty if the gate is met. Meaning says what the gate
// asks and why, in one sentence that is true whatever the status.
type Gate struct {
	ID          string      `json:"id"`    // "G0" to "G8"
	Check       string      `json:"check"` // what of the gate, "coverage" say
	Status      GateStatus  `json:"status"`
	Value       float64     `json:"value"`
	Limit       float64     `json:"limit"`
	AtLeast     bool        `json:"at_least"`
	Whole       bool        `json:"whole,omitempty"`  // value and limit are counts or whole months
	People      bool        `json:"people,omitempty"` // value counts people or their events
	Consequence Consequence `json:"consequence,omitempty"`
	Meaning     table.Note  `json:"meaning"`
}

// The limits of the gates, as decided before any data were seen.
const (
	MinCoverage    = 0.95 // of the person-months, covered by a known state
	MinCensoringP  = 0.01 // of the test that both arms are followed as long
	MaxPlacebo     = 0.25 // of the claimed effect
	MinSlope       = 0.8  // of a calibration
	MaxSlope       = 1.25 // of a calibration
	MaxOff         = 0.02 // probability: calibration in the large
	MaxOffGroup    = 0.03 // the same in a group
	MinAnchors     = 2    // items of a dimension that measure the same for all
	MinTipping     = 1.0  // in important changes
	MinResponse    = 0.60
	MaxResponseGap = 0.10
	LeastResponse  = 0.40 // below it nothing is shown
	MinArm         = 15   // persons
	MinExits       = 10   // events of a rate
	gateLevel      = 0.05
)

// gate compares a value with its limit; NaN cannot be tested.
func gate(id, check string, value, limit float64, atLeast bool, c Consequence, meaning table.Note) Gate {
	g := Gate{ID: id, Check: check, Status: Met, Value: value, Limit: limit, AtLeast: atLeast, Meaning: meaning}
	switch {
	case math.IsNaN(value) || math.IsNaN(limit):
		g.Status = CannotTest
	case atLeast && value < limit, !atLeast && value > limit:
		g.Status = NotMet
	}
	if g.Status != Met {
		g.Consequence = c
	}
	return g
}

// decided is a gate without a single number.
func decided(id, check string, s GateStatus, c Consequence, meaning table.Note) Gate {
	g := Gate{ID: id, Check: check, Status: s, Value: math.NaN(), Limit: math.NaN(), Meaning: meaning}
	if s != Met {
		g.Consequence = c
	}
	return g
}

// Coverage is gate G0: at least 95 % of the person-months that should be covered by a
// known state are.
func Coverage(covered, expected float64) Gate {
	share := math.NaN()
	if expected > 0 {
		share = covered / expected
	}
	return gate("G0", "coverage", share, MinCoverage, true, Cautioned, table.Note{
		Code: "gate-coverage", Text: "At least 95% of the months of all people should be known: a month without facts must not count as a month without support.",
	})
}

// Overlaps is gate G0: spells that overlap are settled by a declared priority. unsettled
// counts the overlaps without one.
func Overlaps(unsettled int) Gate {
	return gate("G0", "overlaps", float64(unsettled), 0, false, NotShown, table.Note{
		Code: "gate-overlaps", Text: "Where two authorities are responsible in the same month, an order decided beforehand says which state counts.",
	}).counted()
}

// FollowUp is gate G0: both arms are followed as long, P > .01 in a log-rank test of the end
// of observation, or the loss is modelled with weights. P is NaN where it was not tested; if nobody
// was lost pass lost 0.
func FollowUp(lost int, p float64, weighted bool) Gate {
	if lost == 0 || weighted {
		p = 1
	}
	return gate("G0", "follow-up", p, MinCensoringP, true, Cautioned, table.Note{
		Code: "gate-follow-up", Text: "Participants and comparison people must be followed as long, or the loss be weighed up: who disappears is seldom like who stays.",
	})
}

// Placebo is gate G1: the interval of the same measure in the 12 months before the start
// lies inside ±25 % of the claimed effect. Where the interval of the effect holds 0 no effect is claimed, and a quarter of
// next to nothing nobody could meet: then it must lie inside the differences that do not matter, ±relevance (0: none
// declared, the quarter stays). Value is the farther end of the interval.
func Placebo(before estimate.Interval, effect estimate.Estimate, relevance float64) Gate {
	far := math.Max(math.Abs(before.Lo), math.Abs(before.Hi))
	if before.Level == 0 {
		far = math.NaN()
	}
	limit := MaxPlacebo * math.Abs(effect.Value)
	if effect.CI.Lo <= 0 && effect.CI.Hi >= 0 {
		limit = math.Max(limit, relevance)
	}
	return gate("G1", "placebo", far, limit, false, NotCausal, table.Note{
		Code: "gate-placebo", Text: "In the year before the start nothing can be an effect: if the groups differ then, by more than a quarter of the claimed effect or, where none is claimed, by more than matters, the later difference is not shown as caused by the programme.",
	})
}

// LogScoreGain is gate G2: what is known on the way predicts better than background alone.
// gain is the gain in the cross-fitted log score per person with its interval; its lower end must
// be above 0.
func LogScoreGain(gain estimate.Interval) Gate {
	lo := gain.Lo
	if gain.Level == 0 {
		lo = math.NaN()
	}
	g := gate("G2", "log-score", lo, 0, true, NotShown, table.Note{
		Code: "gate-log-score", Text: "The indicators must say more about who becomes self-supporting than background does, for people who were not used to make the forecast.",
	})
	if g.Status == Met && !(lo > 0) {
		g.Status, g.Consequence = NotMet, NotShown
	}
	return g
}

// CalibrationSlope is gate G2: .8 to 1.25. Below 1 the forecasts are too bold. Limit is the end that is
// nearer.
func CalibrationSlope(slope float64) Gate {
	limit, atLeast := MinSlope, true
	if slope > 1 {
		limit, atLeast = MaxSlope, false
	}
	return gate("G2", "slope", slope, limit, atLeast, NotShown, table.Note{
		Code: "gate-slope", Text: "Where the forecast says that chances are twice as good they must be about twice as good: a forecast that is too bold, or too timid, is not shown.",
	})
}

// InTheLarge is gate G2: mean forecast less mean outcome, at most 2 percentage points.
func InTheLarge(off float64) Gate {
	return gate("G2", "in-the-large", math.Abs(off), MaxOff, false, NotShown, table.Note{
		Code: "gate-in-the-large", Text: "On average the forecast must hit within 2 percentage points.",
	})
}

// InTheLargeGroup is gate G2 for the group (of sex, age, language, size of association) in which the
// forecast is farthest off: at most 3 percentage points.
func InTheLargeGroup(off ...float64) Gate {
	far := math.NaN()
	for i, v := range off {
		if i == 0 || math.IsNaN(v) || math.Abs(v) > far {
			far = math.Abs(v)
		}
		if math.IsNaN(v) {
			break
		}
	}
	return gate("G2", "in-groups", far, MaxOffGroup, false, NotShown, table.Note{
		Code: "gate-in-groups", Text: "In no group of sex, age, language or size of association may the forecast be off by more than 3 percentage points.",
	})
}

// Responds is gate G3: the indicator moved in at least one randomised or well-matched
// contrast. p are the two-sided p-values of all contrasts that were looked at; the smallest times
// their number (Bonferroni) must be below .05.
func Responds(p ...float64) Gate {
	least := math.NaN()
	for _, v := range p {
		if !math.IsNaN(v) && !(v > least) {
			least = v
		}
	}
	g := gate("G3", "responds", math.Min(1, least*float64(len(p))), gateLevel, false, OnlyDescription, table.Note{
		Code: "gate-responds", Text: "An indicator that predicts work but that no programme has ever moved says nothing about progress: it is only described.",
	})
	return g
}

// Truth is gate G4: in at least one older cohort whose outcome is known the forecast hit within what
// was agreed to be small, and in none it certainly did not.
func Truth(cohorts ...SurrogateTruth) Gate {
	meaning := table.Note{
		Code: "gate-truth", Text: "The same forecast, made for people who started earlier, is compared with what became of them.",
	}
	g := decided("G4", "truth", CannotTest, Unconfirmed, meaning)
	for _, c := range cohorts {
		switch {
		case c.Verdict == "withdrawn":
			return decided("G4", "truth", NotMet, NotShown, meaning)
		case c.Verdict == "validated":
			g = decided("G4", "truth", Met, NoConsequence, meaning)
		}
	}
	return g
}

// Horizon is gate G4: nobody is forecast farther ahead than a forecast has been tested; in months,
// tested 0 or NaN if none was.
func Horizon(forecast, tested float64) Gate {
	if tested == 0 {
		tested = math.NaN()
	}
	return gate("G4", "horizon", forecast, tested, false, Unconfirmed, table.Note{
		Code: "gate-horizon", Text: "A forecast does not look farther ahead than it has been tested on people who started earlier.",
	}).whole()
}

// whole marks a gate in whole months.
func (g Gate) whole() Gate {
	g.Whole = true
	return g
}

// counted marks a gate that counts people or what happened to them: disclosure control is for its value too.
func (g Gate) counted() Gate {
	g.Whole, g.People = true, true
	return g
}

// orNull is a number as JSON has it: null where it does not exist.
func orNull(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// MarshalJSON writes a value or limit that does not exist as null.
func (g Gate) MarshalJSON() ([]byte, error) {
	type plain Gate
	return json.Marshal(struct {
		plain
		Value *float64 `json:"value"`
		Limit *float64 `json:"limit"`
	}{plain(g), orNull(g.Value), orNull(g.Limit)})
}
