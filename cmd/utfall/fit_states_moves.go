package main

import (
	"fmt"
	"strings"

	"utfall/estimate/survive"
	"utfall/table"
)

// fewMoves is the number of moves below which what rests on a transition alone is badly known (gate G8).
const fewMoves = 10

// fewTransitions names the transitions that few make.
func fewTransitions(moves []survive.Transition) []table.Note {
	var few []string
	for _, m := range moves {
		if m.Count >= fewMoves {
			continue
		}
		name := m.From + "->" + m.To
		if m.Group != "" {
			name += " in " + m.Group
		}
		few = append(few, name)
	}
	if few == nil {
		return nil
	}
	return []table.Note{{Code: "few-transitions", Args: map[string]any{"transitions": few, "count": len(few)},
		Text: fmt.Sprintf("%d of %d transitions are made fewer than %d times (%s): what rests on one of them alone is badly known; join states or groups.", len(few), len(moves), fewMoves, strings.Join(few, ", "))}}
}
