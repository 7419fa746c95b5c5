package progress

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/table"
)

// An AdministrativeShare is details.administrative: how much of the net months is time in states that
// the programme itself puts people in.
type AdministrativeShare struct {
	States []string `json:"states"`
	// Merged is the net months with these states on the step below.
	Merged float64 `json:"net_months_merged"`
	// Share is 1 − merged/net months; NaN where the net months are 0. Above 1 the sign turns.
	Share float64 `json:"share"`
}

// administrativeLimit is the share from which net months are said to be mainly the programme itself.
const administrativeLimit = 0.5

// withoutAdministrative puts each administrative state on the highest step below it that another state
// has, or on the lowest such step where there is none below.
func withoutAdministrative(states []string, steps []int, names []string) ([]int, error) {
	own := make([]bool, len(states))
	for _, n := range names {
		j := slices.Index(states, n)
		if j < 0 {
			return nil, fmt.Errorf("%w: no state %q to count as administrative", estimate.ErrInvalidFrame, n)
		}
		if own[j] {
			return nil, fmt.Errorf("%w: state %q is named twice as administrative", estimate.ErrInvalidFrame, n)
		}
		own[j] = true
	}
	var others []int
	for j, s := range steps {
		if !own[j] {
			others = append(others, s)
		}
	}
	if len(others) == 0 || slices.Min(others) == slices.Max(others) {
		return nil, fmt.Errorf("%w: without the administrative states the ladder has only one step", estimate.ErrInvalidFrame)
	}
	out := slices.Clone(steps)
	for j := range out {
		if !own[j] {
			continue
		}
		to, below := 0, false
		for _, s := range others {
			if s < steps[j] && (!below || s > to) {
				to, below = s, true
			}
		}
		if below { // the lowest step has none below it and stays: merged upwards it would add to the effect
			out[j] = to
		}
	}
	return out, nil
}

// administrative gives the share, and the sentence that is mandatory above one half.
func administrative(states []string, net, merged float64) (AdministrativeShare, []table.Note) {
	a := AdministrativeShare{States: states, Merged: merged, Share: math.NaN()}
	if sign(net) == 0 {
		return a, nil
	}
	a.Share = 1 - merged/net
	if a.Share <= administrativeLimit {
		return a, nil
	}
	return a, []table.Note{{
		Code: "administrative-steps", Text: "More than half of the net months are time in states that the programme itself puts people in: read the net months with these steps merged.",
		Args: map[string]any{"states": states},
	}}
}
