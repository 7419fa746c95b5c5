package progress

import (
	"math"

	"utfall/estimate"
	"utfall/table"
)

// A Kind is what a number may be called.
type Kind string

// The kinds, from most to least that is claimed.
const (
	Effect      Kind = "effect"      // participants against people who are alike otherwise
	Association Kind = "association" // a difference of groups of which this is not known
	Description Kind = "description" // one group, or change over time without a comparison
	Refused     Kind = "refused"
)

// A Word is what an interval allows to be said; the value and its p-value do not enter.
type Word string

// The words.
const (
	Better        Word = "better"                  // the interval lies above 0
	Worse         Word = "worse"                   // below 0
	NoImportance  Word = "no-important-difference" // it covers 0 and lies inside the differences that do not matter
	CannotBeKnown Word = "cannot-be-decided"
	NothingIsSaid Word = "nothing" // there is no interval, or none may be read
)

// Say reads an interval of a difference that is good when it is positive. relevance is the smallest
// difference that matters, 0 if none was declared: then no interval shows that a difference is unimportant.
func Say(ci estimate.Interval, relevance float64) Word {
	switch {
	case ci.Level == 0 || math.IsNaN(ci.Lo) || math.IsNaN(ci.Hi) || ci.Lo > ci.Hi:
		return NothingIsSaid
	case ci.Lo > 0:
		return Better
	case ci.Hi < 0:
		return Worse
	case relevance > 0 && ci.Lo >= -relevance && ci.Hi <= relevance:
		return NoImportance
	}
	return CannotBeKnown
}

// A Claim is a number of which more or less may be said. Estimate is a difference that is good when
// it is positive; if it is one of the headlines its interval is that of
// all headlines together (combine.Family, sup-t).
type Claim struct {
	Estimate   estimate.Estimate
	Relevance  float64 // smallest difference that matters, in the unit of the estimate; 0 if not declared
	Compared   bool    // with people who did not take part
	Designed   bool    // the comparison was randomised or matched, and its balance passed
	Registered bool    // ladder and analysis were locked before outcomes were read
	Benchmark  float64 // for a forecast: the direct effect that older cohorts leave open, by which an unconfirmed one is widened
	Gates      []Gate
}

// A Finding is a claim with what may be said of it. Reason and Fix are set for a refused one: which
// gate stopped it, and what would mend that. Cautions are sentences that must stand beside the number.
type Finding struct {
	Kind        Kind              `json:"kind"`
	Word        Word              `json:"word"`
	Interval    estimate.Interval `json:"-"` // widened for a forecast that is unconfirmed
	Exploratory bool              `json:"exploratory"`
	Unconfirmed bool              `json:"unconfirmed"`
	Reason      *table.Note       `json:"reason,omitempty"`
	Fix         *table.Note       `json:"fix,omitempty"`
	Cautions    []table.Note      `json:"cautions,omitempty"`
	Gates       []Gate            `json:"gates"`
}

// Judge says what may be said of a claim. The hardest consequence of its gates decides the kind: a
// refused number is not shown; without a comparison, or with a gate that leaves description only, or
// within groups only, it is a description and carries no word; without a design, or with a failed placebo, an
// association. Words come from the interval only.
func (c Claim) Judge() Finding {
	f := Finding{Kind: Effect, Interval: c.Estimate.CI, Exploratory: !c.Registered, Gates: c.Gates}
	direction := true
	lower := func(k Kind) {
		if f.Kind == Effect || k != Association && f.Kind == Association {
			f.Kind = k
		}
	}
	if !c.Designed {
		lower(Association)
	}
	if !c.Compared {
		lower(Description)
	}
	for _, g := range c.Gates {
		if g.Consequence == NotShown {
			meaning, fix := g.Meaning, mend(g)
			f.Kind, f.Word, f.Interval, f.Reason, f.Fix = Refused, NothingIsSaid, estimate.Interval{Lo: math.NaN(), Hi: math.NaN()}, &meaning, &fix
			return f
		}
	}
	for _, g := range c.Gates {
		switch g.Consequence {
		case NoConsequence:
			continue
		case NoDirection:
			direction = false
		case Unconfirmed:
			f.Unconfirmed = true
		case NotCausal:
			lower(Association)
		case OnlyDescription, WithinGroup:
			lower(Description)
		}
		f.Cautions = append(f.Cautions, g.Meaning)
	}
	if f.Unconfirmed {
		f.Interval = Widen(f.Interval, c.Benchmark)
	}
	f.Word = Say(f.Interval, c.Relevance)
	if f.Kind == Description || !direction {
		f.Word = NothingIsSaid
	}
	return f
}

// Widen moves both ends of an interval out by delta, the direct effect that older cohorts leave open.
func Widen(ci estimate.Interval, delta float64) estimate.Interval {
	ci.Lo -= math.Abs(delta)
	ci.Hi += math.Abs(delta)
	ci.Method += ", widened"
	return ci
}

// mend says what would let a refused number through.
func mend(g Gate) table.Note {
	switch g.ID {
	case "G0":
		return table.Note{Code: "fix-overlaps", Text: "Decide an order of priority for states that overlap, and write it in the study file."}
	case "G2":
		return table.Note{Code: "fix-forecast", Text: "Take in more older people, or fewer and steadier indicators, and make the forecast anew."}
	case "G4":
		return table.Note{Code: "fix-truth", Text: "Wait until participants' own outcomes have come, or find what the indicators miss: the forecast was wrong for people who started earlier."}
	case "G6":
		return table.Note{Code: "fix-response", Text: "Ask those again who have not answered, or take the answers of a small sample by telephone."}
	}
	return table.Note{Code: "fix-more-people", Text: "Join groups, add start years, or follow people for longer."}
}

// RegressionToMean is how much a group that was picked for a low score would rise with no programme
// at all: (1 − reliability)·(mean of everybody − mean of the group before). It is printed beside every change
// without a comparison.
func RegressionToMean(reliability, everybody, before float64) float64 {
	if !(reliability >= 0 && reliability <= 1) {
		return math.NaN()
	}
	return (1 - reliability) * (everybody - before)
}
