package release

import (
	"cmp"
	"slices"
)

// Why a value is withheld. The codes are stable; a report says them in words.
type Why string

// The reasons.
const (
	BelowMinimum    Why = "below-minimum"     // fewer than the threshold
	Difference      Why = "difference"        // the difference to a shown number is below the threshold
	Complementary   Why = "complementary"     // would let a withheld number be worked out
	WholeGroup      Why = "whole-group"       // says the same of everybody in a group
	FewDF           Why = "few-df"            // fewer than 10 residual degrees of freedom
	AtRisk          Why = "at-risk"           // fewer than twice the threshold still followed
	EventCell       Why = "few-events"        // the event, or its absence, is below the threshold in a group
	RestTooSmall    Why = "remainder-minimum" // everybody else together is below the threshold
	Dominance       Why = "dominated"         // one or two people make up nearly all of a sum
	FewContributors Why = "few-contributors"  // fewer than the threshold have anything of a sum
)

// Withheld is one line of the protocol: how many numbers of one kind were withheld
// in one place, and why. Place holds names from the study file, never a data value.
type Withheld struct {
	Place string `json:"place"`
	Why   Why    `json:"why"`
	Cells int    `json:"cells"`
}

// Protocol is the record of a disclosure check, fit to be published with the result.
type Protocol struct {
	MinCount  int        `json:"min_count"`
	RoundTo   int        `json:"round_to"`
	Threshold int        `json:"threshold"`
	Withheld  []Withheld `json:"withheld"`
}

// Protocol collects what the single releases withheld: equal place and reason are
// added up, order is by place and then reason, whatever the order of the calls.
func (p Policy) Protocol(parts ...[]Withheld) Protocol {
	p = p.must()
	out := Protocol{MinCount: p.MinCount, RoundTo: p.RoundTo, Threshold: p.Threshold(), Withheld: []Withheld{}}
	for _, w := range slices.Concat(parts...) {
		i := slices.IndexFunc(out.Withheld, func(o Withheld) bool { return o.Place == w.Place && o.Why == w.Why })
		if i >= 0 {
			out.Withheld[i].Cells += w.Cells
		} else {
			out.Withheld = append(out.Withheld, w)
		}
	}
	slices.SortFunc(out.Withheld, func(a, b Withheld) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Why, b.Why))
	})
	return out
}

// Cells is how many numbers were withheld in all.
func (p Protocol) Cells() int {
	n := 0
	for _, w := range p.Withheld {
		n += w.Cells
	}
	return n
}
